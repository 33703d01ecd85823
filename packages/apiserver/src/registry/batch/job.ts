import { batchv1, type corev1, type Draft } from '@k8ts/api';
import {
  invalidValue,
  isDNS1123Label,
  key,
  labelSelectorFromObject,
  matchesLabels,
  required,
  validateLabelSelector,
  type FieldError,
} from '@k8ts/apimachinery';
import { jobColumns } from '../../printing/columns/workloads.ts';
import type { Strategy } from '../contract.ts';
import { validateTemplateLabels } from '../core/pod-template/validation.ts';
import { immutable } from '../field-rules.ts';
import { fieldComparison } from '../semantic-equal.ts';
import { generationRules, hostnameWarning, statusStrategy } from '../strategy-parts.ts';
import { isReadable } from '../workload-rules.ts';
import { isEmpty, setJobDefaults } from './defaults.ts';
import { jobSpecWarnings, validateJobSpec } from './job-spec.ts';
import { validateJobStatus } from './job-status.ts';

type Job = batchv1.Job;

const LEGACY_CONTROLLER_UID = 'controller-uid';
const LEGACY_JOB_NAME = 'job-name';
const CONTROLLER_UID = 'batch.kubernetes.io/controller-uid';
const JOB_NAME = 'batch.kubernetes.io/job-name';

const specField = (field: string): readonly [string, (left: unknown, right: unknown) => boolean] => [
  field,
  fieldComparison(batchv1.jobs, 'spec', field),
];
const IMMUTABLE = [
  'completionMode',
  'podFailurePolicy',
  'backoffLimitPerIndex',
  'managedBy',
  'successPolicy',
].map(specField);
const sameSelector = fieldComparison(batchv1.jobs, 'spec', 'selector');
const sameTemplate = fieldComparison(batchv1.jobs, 'spec', 'template');

/** The job's own labels on its pods, and a selector for them, unless the user keeps book himself. */
function generateSelector({ metadata, spec }: Draft<Job>): void {
  const template = (spec.template.metadata ??= {} as NonNullable<typeof spec.template.metadata>);
  const before = template.labels;
  const labels: Record<string, string> = { ...before };
  const { name, uid = '' } = metadata;
  for (const label of [LEGACY_JOB_NAME, JOB_NAME]) labels[label] ??= name;
  for (const label of [LEGACY_CONTROLLER_UID, CONTROLLER_UID]) labels[label] ??= uid;
  template.labels = labels;
  const selector = (spec.selector ??= {});
  selector.matchLabels = { [CONTROLLER_UID]: uid, ...selector.matchLabels };
  // The job's labels are those of the template where it has none, and these are only complete now.
  if (isEmpty(metadata.labels) || sameLabels(metadata.labels, before)) metadata.labels = { ...labels };
}

function sameLabels(
  left: Readonly<Record<string, string>> = {},
  right: Readonly<Record<string, string>> = {},
): boolean {
  const names = Object.keys(left);
  return names.length === Object.keys(right).length && names.every((name) => left[name] === right[name]);
}

function validateGeneratedSelector({ metadata, spec }: Job, requirePrefixed: boolean): FieldError[] {
  if (spec.manualSelector === true || spec.selector === undefined) return [];
  const { uid = '', name } = metadata;
  const errors: FieldError[] = uid === '' ? [required('metadata.uid', '')] : [];
  const expected: Record<string, string> = { [LEGACY_CONTROLLER_UID]: uid, [LEGACY_JOB_NAME]: name };
  if (requirePrefixed) Object.assign(expected, { [CONTROLLER_UID]: uid, [JOB_NAME]: name });
  const labels = spec.template.metadata?.labels ?? {};
  for (const [label, value] of Object.entries(expected)) {
    const path = key('spec.template.metadata.labels', label);
    if (labels[label] === undefined) errors.push(required(path, `must be '${value}'`));
    else if (labels[label] !== value) errors.push(invalidValue(path, labels, `must be '${value}'`));
  }
  if (isReadable(spec.selector) && !matchesLabels(labelSelectorFromObject(spec.selector), expected))
    errors.push(invalidValue('spec.selector', spec.selector, '`selector` not auto-generated'));
  return errors;
}

function validateSpec(spec: batchv1.JobSpec): FieldError[] {
  const { selector } = spec;
  return [
    ...validateJobSpec(spec, 'spec'),
    ...(selector === undefined
      ? [required('spec.selector', '')]
      : validateLabelSelector(selector, 'spec.selector')),
    ...validateTemplateLabels(spec.template, selector, 'spec.template'),
  ];
}

function validate(job: Job, requirePrefixed: boolean): FieldError[] {
  const { metadata, spec } = job;
  const errors = [...validateGeneratedSelector(job, requirePrefixed), ...validateSpec(spec)];
  if (spec.completionMode === 'Indexed' && (spec.completions ?? 0) > 0) {
    const last = `${metadata.name}-${(spec.completions as number) - 1}`;
    if (isDNS1123Label(last).length > 0)
      errors.push(
        invalidValue(
          'metadata.name',
          metadata.name,
          `will not able to create pod with invalid DNS label: ${last}`,
        ),
      );
  }
  return errors;
}

function validateUpdate(job: Job, old: Job): FieldError[] {
  const { spec } = job;
  const labels = old.spec.template.metadata?.labels ?? {};
  const hadPrefixed = labels[JOB_NAME] !== undefined && labels[CONTROLLER_UID] !== undefined;
  return [
    // Upstream validates the spec twice; the message says it once, the causes say it twice.
    ...validate(job, hadPrefixed),
    ...validateSpec(spec),
    ...validateCompletions(spec, old.spec),
    ...immutable(spec.selector, sameSelector(spec.selector, old.spec.selector), 'spec.selector'),
    ...validateTemplateUpdate(spec, old),
    ...IMMUTABLE.flatMap(([field, equal]) => {
      const name = field as keyof batchv1.JobSpec;
      return immutable(spec[name], equal(spec[name], old.spec[name]), `spec.${field}`);
    }),
  ];
}

function validateCompletions(spec: batchv1.JobSpec, old: batchv1.JobSpec): FieldError[] {
  const { completions, parallelism } = spec;
  const path = 'spec.completions';
  if (completions === old.completions) return [];
  if (spec.completionMode !== 'Indexed') return immutable(completions, false, path);
  return completions !== undefined && completions !== parallelism
    ? [invalidValue(path, completions, 'can only be modified in tandem with spec.parallelism')]
    : [];
}

/** Before a suspended job starts, a queue may still say where its pods go and what they take. */
function validateTemplateUpdate({ template }: batchv1.JobSpec, old: Job): FieldError[] {
  const { spec, status = {} } = old;
  const isSuspended = (status.conditions ?? []).some(
    (condition) => condition.type === 'Suspended' && condition.status === 'True',
  );
  const mutable =
    spec.suspend === true && (status.startTime === undefined || isSuspended) && (status.active ?? 0) === 0;
  if (!mutable) return immutable(template, sameTemplate(template, spec.template), 'spec.template');
  const allowed = withResourcesOf(withDirectivesOf(spec.template, template), template);
  return sameTemplate(template, allowed) ? [] : immutable(template.spec, false, 'spec.template.spec');
}

function withDirectivesOf(old: corev1.PodTemplateSpec, next: corev1.PodTemplateSpec): corev1.PodTemplateSpec {
  const { affinity, nodeSelector, tolerations, schedulingGates } = next.spec ?? {};
  const { affinity: oldAffinity, ...oldSpec } = old.spec ?? ({} as corev1.PodSpec);
  const { nodeAffinity: _old, ...oldOthers } = oldAffinity ?? {};
  const nodeAffinity = affinity?.nodeAffinity;
  const merged = { ...oldOthers, ...(nodeAffinity === undefined ? {} : { nodeAffinity }) };
  const keepsAffinity = affinity !== undefined || Object.keys(merged).length > 0;
  return {
    ...old,
    // Labels and annotations may change; nothing else of a template's metadata is used.
    ...(next.metadata === undefined ? {} : { metadata: next.metadata }),
    spec: {
      ...oldSpec,
      ...(keepsAffinity ? { affinity: merged } : {}),
      nodeSelector,
      tolerations,
      schedulingGates,
    } as corev1.PodSpec,
  };
}

function withResourcesOf(old: corev1.PodTemplateSpec, next: corev1.PodTemplateSpec): corev1.PodTemplateSpec {
  const merged = (list: 'containers' | 'initContainers'): readonly corev1.Container[] | undefined => {
    const [before, after] = [old.spec?.[list], next.spec?.[list]];
    if (before === undefined || before.length !== (after?.length ?? 0)) return before;
    return before.map((container, i) =>
      after?.[i]?.name === container.name
        ? ({ ...container, resources: after[i].resources } as corev1.Container)
        : container,
    );
  };
  return {
    ...old,
    spec: {
      ...old.spec,
      containers: merged('containers'),
      initContainers: merged('initContainers'),
    } as corev1.PodSpec,
  };
}

const generations = generationRules(batchv1.jobs);

export const jobStrategy: Strategy<Job> = {
  type: batchv1.jobs,
  setDefaults: setJobDefaults,
  prepareForCreate(job, context) {
    if (job.spec.manualSelector !== true) generateSelector(job);
    generations.prepareForCreate(job, context);
  },
  prepareForUpdate: (job, old, context) => generations.prepareForUpdate(job, old, context),
  validate: (job) => validate(job, true),
  validateUpdate,
  warnings(job, old) {
    if (old !== undefined && job.metadata.generation === old.metadata.generation) return [];
    const wrong = old === undefined ? isDNS1123Label(job.metadata.name) : [];
    return [
      ...(wrong.length > 0 ? [hostnameWarning('Pod names and hostnames', wrong)] : []),
      ...jobSpecWarnings(job.spec, 'spec'),
    ];
  },
  subresources: { status: statusStrategy({ validateUpdate: validateJobStatus }) },
  selectableFields: ({ status }) => ({ 'status.successful': String(status?.succeeded ?? 0) }),
  defaultPropagation: 'Orphan',
  columns: jobColumns,
};
