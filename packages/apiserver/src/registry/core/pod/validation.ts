/** ValidatePodCreate, ValidatePodUpdate and the rules of the pod's subresources. */
import { corev1, schemaOfType, type Schema } from '@k8ts/api';
import {
  forbiddenField,
  goQuote,
  invalidValue,
  rangeMessage,
  required,
  type FieldError,
} from '@k8ts/apimachinery';
import { each } from '../../field-rules.ts';
import { fieldComparison, semanticEqual } from '../../semantic-equal.ts';
import {
  MIRROR_POD,
  validatePodAnnotations,
  validatePodAnnotationsUpdate,
  validateProfileAnnotations,
} from '../pod-template/annotations.ts';
import { validateImageSpace } from '../pod-template/containers.ts';
import { validateOnlyAddedTolerations } from '../pod-template/scheduling.ts';
import { validatePodSpec } from '../pod-template/validation.ts';
import { specDiff } from './spec-diff.ts';

type Pod = corev1.Pod;
type Spec = corev1.PodSpec;

const MAX_INT32 = 2 ** 31 - 1;
const sameSpec = fieldComparison(corev1.pods, 'spec');
const sameNodeAffinity = fieldComparison(corev1.pods, 'spec', 'affinity', 'nodeAffinity');

function podSpecSchema(): Schema {
  return schemaOfType('corev1', 'PodSpec') as Schema;
}

export function validateMetadataAndSpec(pod: Pod): FieldError[] {
  const { metadata, spec } = pod;
  const errors = [
    ...validatePodAnnotations(metadata, spec, 'metadata.annotations'),
    ...validatePodSpec(spec, 'spec', metadata),
  ];
  if (!spec.serviceAccountName)
    for (const [i, volume] of (spec.volumes ?? []).entries())
      for (const [j, source] of (volume.projected?.sources ?? []).entries())
        if (source.serviceAccountToken !== undefined)
          errors.push(
            forbiddenField(
              `spec.volumes[${i}].projected.sources[${j}].serviceAccountToken`,
              'must not be specified when serviceAccountName is not set',
            ),
          );
  return [
    ...errors,
    ...each(spec.containers, 'spec.containers', validateImageSpace),
    ...each(spec.initContainers, 'spec.initContainers', validateImageSpace),
  ];
}

export function validatePod(pod: Pod): FieldError[] {
  const { metadata, spec } = pod;
  const errors = validateMetadataAndSpec(pod);
  if ((spec.ephemeralContainers ?? []).length > 0)
    errors.push(forbiddenField('spec.ephemeralContainers', 'cannot be set on create'));
  if (spec.nodeName && (spec.schedulingGates ?? []).length > 0)
    errors.push(forbiddenField('spec.nodeName', 'cannot be set until all schedulingGates have been cleared'));
  return [...errors, ...validateProfileAnnotations(metadata, spec, 'spec')];
}

const UPDATABLE = [
  '`spec.containers[*].image`',
  '`spec.initContainers[*].image`',
  '`spec.activeDeadlineSeconds`',
  '`spec.tolerations` (only additions to existing tolerations)',
  '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
].join(',');

/**
 * pkg/apis/core/validation: ValidatePodUpdate. Of a pod's spec only a few fields may change; the refusal shows what else
 * did.
 */
export function validatePodUpdate(pod: Pod, old: Pod): FieldError[] {
  const errors = [
    ...validateMetadataAndSpec(pod),
    ...validatePodAnnotationsUpdate(pod.metadata, old.metadata, 'metadata.annotations'),
  ];
  const { spec } = pod;
  const before = old.spec;
  for (const list of ['containers', 'initContainers'] as const) {
    const containers = spec[list] ?? [];
    if (containers.length !== (before[list] ?? []).length)
      return [...errors, forbiddenField(`spec.${list}`, 'pod updates may not add or remove containers')];
    errors.push(
      ...each(containers, `spec.${list}`, (container, at) => [
        ...(container.image ? [] : [required(`${at}.image`, '')]),
        ...validateImageSpace(container, at),
      ]),
    );
  }
  const deadlineErrors = validateDeadline(spec.activeDeadlineSeconds, before.activeDeadlineSeconds);
  errors.push(...deadlineErrors);
  if (deadlineErrors.length > 0 && spec.activeDeadlineSeconds !== undefined) return errors;
  errors.push(
    ...validateOnlyAddedTolerations(spec.tolerations ?? [], before.tolerations ?? [], 'spec.tolerations'),
    ...validateOnlyRemovedGates(spec, before),
  );
  if (sameSpec(spec, before)) return errors;

  const munged = withoutUpdatable(spec, before);
  if ((before.schedulingGates ?? []).length > 0) errors.push(...allowGatedChanges(munged, before));
  if (!sameSpec(munged, before))
    errors.push(
      forbiddenField(
        'spec',
        `pod updates may not change fields other than ${UPDATABLE}\n${specDiff(podSpecSchema(), before, munged)}`,
      ),
    );
  return errors;
}

function validateDeadline(next: number | undefined, old: number | undefined): FieldError[] {
  const path = 'spec.activeDeadlineSeconds';
  if (next === undefined)
    return old === undefined
      ? []
      : [invalidValue(path, null, 'must not update from a positive integer to nil value')];
  if (next < 0 || next > MAX_INT32) return [invalidValue(path, next, rangeMessage(0, MAX_INT32))];
  return old !== undefined && old < next
    ? [invalidValue(path, next, 'must be less than or equal to previous value')]
    : [];
}

function validateOnlyRemovedGates(next: Spec, old: Spec): FieldError[] {
  const known = new Set((old.schedulingGates ?? []).map((gate) => gate.name));
  return each(next.schedulingGates, 'spec.schedulingGates', ({ name }, at) =>
    known.has(name)
      ? []
      : [forbiddenField(`${at}.name`, `only deletion is allowed, but found new scheduling gate '${name}'`)],
  );
}

type MutableSpec = { -readonly [K in keyof Spec]: Spec[K] };

/** The new spec with the old values wherever an update may change something. */
function withoutUpdatable(next: Spec, old: Spec): MutableSpec {
  const munged: MutableSpec = { ...next };
  const restore = <K extends keyof Spec>(field: K): void => {
    if (old[field] === undefined) delete munged[field];
    else munged[field] = old[field];
  };
  for (const list of ['containers', 'initContainers'] as const) {
    const containers = next[list];
    if (containers === undefined) continue;
    munged[list] = containers.map(({ image: _image, ...rest }, i) => {
      const image = old[list]?.[i]?.image;
      return image === undefined ? rest : { ...rest, image };
    });
  }
  restore('activeDeadlineSeconds');
  restore('schedulingGates');
  restore('tolerations');
  if ((old.terminationGracePeriodSeconds ?? 0) < 0 && next.terminationGracePeriodSeconds === 1)
    restore('terminationGracePeriodSeconds');
  return munged;
}

/** A pod that waits at its gates may be narrowed to fewer nodes (KEP-3838). */
function allowGatedChanges(munged: MutableSpec, old: Spec): FieldError[] {
  const errors: FieldError[] = [];
  const selector = munged.nodeSelector ?? {};
  for (const [label, value] of Object.entries(old.nodeSelector ?? {}))
    if (selector[label] !== value) {
      errors.push(
        invalidValue(
          'spec.nodeSelector',
          selector,
          'only additions to spec.nodeSelector are allowed (no mutations or deletions)',
        ),
      );
      break;
    }
  if (old.nodeSelector === undefined) delete munged.nodeSelector;
  else munged.nodeSelector = old.nodeSelector;

  const before = old.affinity?.nodeAffinity;
  const after = munged.affinity?.nodeAffinity;
  if (sameNodeAffinity(before, after)) return errors;
  errors.push(...validateAffinityAdditions(after, before));
  const { nodeAffinity: _nodeAffinity, ...others } = munged.affinity ?? {};
  const affinity = before === undefined ? others : { ...others, nodeAffinity: before };
  if (old.affinity === undefined && Object.keys(affinity).length === 0) delete munged.affinity;
  else munged.affinity = affinity;
  return errors;
}

function validateAffinityAdditions(
  next: corev1.NodeAffinity | undefined,
  old: corev1.NodeAffinity | undefined,
): FieldError[] {
  const path = 'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms';
  const before = old?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  const after = next?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  if (before.length > 0 && before.length !== after.length)
    return [
      invalidValue(path, after, 'no additions/deletions to non-empty NodeSelectorTerms list are allowed'),
    ];
  return before.flatMap((term, i) =>
    onlyAdds(after[i] as corev1.NodeSelectorTerm, term)
      ? []
      : [invalidValue(`${path}[${i}]`, after[i], 'only additions are allowed (no mutations or deletions)')],
  );
}

function onlyAdds(next: corev1.NodeSelectorTerm, old: corev1.NodeSelectorTerm): boolean {
  const lists = ['matchExpressions', 'matchFields'] as const;
  const isEmpty = (term: corev1.NodeSelectorTerm): boolean =>
    lists.every((list) => (term[list] ?? []).length === 0);
  if (isEmpty(old)) return isEmpty(next);
  return lists.every((list) => {
    const before = old[list] ?? [];
    return semanticEqual(undefined, (next[list] ?? []).slice(0, before.length), before);
  });
}

const ephemeralSchema = (): Schema => schemaOfType('corev1', 'EphemeralContainer') as Schema;

export function validateEphemeralContainersUpdate(pod: Pod, old: Pod): FieldError[] {
  if (old.metadata.annotations?.[MIRROR_POD] !== undefined)
    return [forbiddenField('[]', 'static pods do not support ephemeral containers')];
  const errors = [
    ...validateMetadataAndSpec(pod),
    ...validatePodAnnotationsUpdate(pod.metadata, old.metadata, 'metadata.annotations'),
  ];
  const next = new Map((pod.spec.ephemeralContainers ?? []).map((container) => [container.name, container]));
  const path = 'spec.ephemeralContainers';
  for (const before of old.spec.ephemeralContainers ?? []) {
    const after = next.get(before.name);
    const name = goQuote(before.name);
    if (after === undefined)
      errors.push(forbiddenField(path, `existing ephemeral containers ${name} may not be removed\n`));
    else if (!semanticEqual(ephemeralSchema(), before, after))
      errors.push(
        forbiddenField(
          path,
          `existing ephemeral containers ${name} may not be changed\n${specDiff(ephemeralSchema(), before, after)}`,
        ),
      );
  }
  return errors;
}
