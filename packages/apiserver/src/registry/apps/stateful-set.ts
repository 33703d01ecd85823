import { appsv1, type corev1 } from '@k8ts/api';
import {
  forbiddenField,
  invalidValue,
  notSupported,
  required,
  validateAnnotations,
  validateLabels,
  type FieldError,
} from '@k8ts/apimachinery';
import { statefulSetColumns } from '../../printing/columns/workloads.ts';
import type { Strategy } from '../contract.ts';
import { validatePodAnnotations } from '../core/pod-template/annotations.ts';
import { validateClaimSpec } from '../core/pod-template/claim-spec.ts';
import { fractionalStorageWarnings } from '../core/pod-template/claim-warnings.ts';
import {
  validatePodTemplateSpec,
  validateRunsForGood,
  validateTemplateLabels,
} from '../core/pod-template/validation.ts';
import { dnsLabel, each, notNegative } from '../field-rules.ts';
import { nameIsDNSLabel } from '@k8ts/apimachinery';
import { amountOf, isNotMoreThan100Percent, validateIntOrPercent } from '../int-or-percent.ts';
import { fieldComparison } from '../semantic-equal.ts';
import { generationRules, statusStrategy } from '../strategy-parts.ts';
import {
  isReadable,
  selectorText,
  templateWarnings,
  validateAtMost,
  validateCollisions,
  validateCounts,
  validateRequiredSelector,
} from '../workload-rules.ts';
import { setStatefulSetDefaults } from './defaults.ts';

type StatefulSet = appsv1.StatefulSet;
type Spec = appsv1.StatefulSetSpec;

const RETENTION = ['Retain', 'Delete'];
const sameSpec = fieldComparison(appsv1.statefulSets, 'spec');

function validatePodManagement({ podManagementPolicy: policy }: Spec): FieldError[] {
  const path = 'spec.podManagementPolicy';
  if (!policy) return [required(path, '')];
  return policy === 'OrderedReady' || policy === 'Parallel'
    ? []
    : [invalidValue(path, policy, "must be 'OrderedReady' or 'Parallel'")];
}

function validateUpdateStrategy({ updateStrategy = {} }: Spec): FieldError[] {
  const path = 'spec.updateStrategy';
  const { type = '', rollingUpdate } = updateStrategy;
  switch (type) {
    case '':
      return [required(path, '')];
    case 'OnDelete':
      return rollingUpdate === undefined
        ? []
        : [
            invalidValue(
              `${path}.rollingUpdate`,
              rollingUpdateValue(rollingUpdate),
              "only allowed for updateStrategy 'RollingUpdate'",
            ),
          ];
    case 'RollingUpdate':
      return rollingUpdate === undefined ? [] : validateRollingUpdate(rollingUpdate, `${path}.rollingUpdate`);
    default:
      return [
        invalidValue(
          path,
          {
            Type: type,
            RollingUpdate: rollingUpdate === undefined ? null : rollingUpdateValue(rollingUpdate),
          },
          "must be 'RollingUpdate' or 'OnDelete'",
        ),
      ];
  }
}

/** Upstream's internal type has Go's names. */
function rollingUpdateValue({ partition, maxUnavailable }: appsv1.RollingUpdateStatefulSetStrategy): unknown {
  return { Partition: partition ?? 0, MaxUnavailable: maxUnavailable ?? null };
}

function validateRollingUpdate(
  { partition, maxUnavailable }: appsv1.RollingUpdateStatefulSetStrategy,
  path: string,
): FieldError[] {
  const errors = notNegative(partition, `${path}.partition`);
  if (maxUnavailable === undefined) return errors;
  const at = `${path}.maxUnavailable`;
  errors.push(...validateIntOrPercent(maxUnavailable, at));
  if (amountOf(maxUnavailable) === 0) errors.push(invalidValue(at, maxUnavailable, 'cannot be 0'));
  return [...errors, ...isNotMoreThan100Percent(maxUnavailable, at)];
}

function validateRetention({ persistentVolumeClaimRetentionPolicy: policy }: Spec): FieldError[] {
  if (policy === undefined) return [];
  return (['whenDeleted', 'whenScaled'] as const).flatMap((field) =>
    RETENTION.includes(policy[field] ?? '')
      ? []
      : [notSupported(`spec.persistentVolumeClaimRetentionPolicy.${field}`, policy[field] ?? '', RETENTION)],
  );
}

/** With the volumes that the claim templates will add; hostname and subdomain are the controller's. */
function templateToValidate({ template, volumeClaimTemplates = [] }: Spec): corev1.PodTemplateSpec {
  const { hostname: _hostname, subdomain: _subdomain, ...podSpec } = template.spec ?? ({} as corev1.PodSpec);
  if (volumeClaimTemplates.length === 0) return { ...template, spec: podSpec };
  const names = [...new Set(volumeClaimTemplates.map(({ metadata }) => metadata.name ?? ''))];
  const claims = names.map((name) => ({ name, persistentVolumeClaim: { claimName: name } }));
  const others = (podSpec.volumes ?? []).filter(({ name }) => !names.includes(name));
  return { ...template, spec: { ...podSpec, volumes: [...claims, ...others] } };
}

/** Upstream checks the metadata once more here. */
function validateTemplate(spec: Spec, { skipPodSpec }: { readonly skipPodSpec: boolean }): FieldError[] {
  const path = 'spec.template';
  const template = templateToValidate(spec);
  const { metadata = {}, spec: podSpec = {} as corev1.PodSpec } = template;
  return [
    ...validateTemplateLabels(template, spec.selector, path),
    ...(skipPodSpec ? [] : validatePodTemplateSpec(template, path)),
    ...validateLabels(metadata.labels ?? {}, `${path}.labels`),
    ...validateAnnotations(metadata.annotations ?? {}, `${path}.annotations`),
    ...validatePodAnnotations(metadata, podSpec, `${path}.annotations`),
  ];
}

function validateSpec(
  spec: Spec,
  { isUpdate, skipPodSpec }: { readonly isUpdate: boolean; readonly skipPodSpec: boolean },
): FieldError[] {
  const { selector, serviceName } = spec;
  return [
    ...validatePodManagement(spec),
    ...validateUpdateStrategy(spec),
    ...validateRetention(spec),
    ...(isUpdate
      ? []
      : each(spec.volumeClaimTemplates, 'spec.volumeClaimTemplates', (claim, at) =>
          validateClaimSpec(claim.spec, `${at}.spec`),
        )),
    ...notNegative(spec.replicas, 'spec.replicas'),
    ...notNegative(spec.minReadySeconds, 'spec.minReadySeconds'),
    ...notNegative(spec.ordinals?.start, 'spec.ordinals.start'),
    ...(serviceName && !isUpdate ? dnsLabel(serviceName, 'spec.serviceName') : []),
    ...validateRequiredSelector(selector, 'spec.selector', 'statefulset', ''),
    ...(selector === undefined || isReadable(selector) ? validateTemplate(spec, { skipPodSpec }) : []),
    ...validateRunsForGood(spec.template, 'StatefulSet', 'spec.template'),
  ];
}

function validateUpdate({ spec }: StatefulSet, old: StatefulSet): FieldError[] {
  const wasWrong = validateSpec(old.spec, { isUpdate: true, skipPodSpec: false }).length > 0;
  const errors = validateSpec(spec, { isUpdate: true, skipPodSpec: wasWrong });
  const changeable: Partial<Spec> = {
    replicas: old.spec.replicas,
    template: old.spec.template,
    updateStrategy: old.spec.updateStrategy,
    minReadySeconds: old.spec.minReadySeconds,
    ordinals: old.spec.ordinals,
    revisionHistoryLimit: old.spec.revisionHistoryLimit,
    persistentVolumeClaimRetentionPolicy: old.spec.persistentVolumeClaimRetentionPolicy,
  } as Partial<Spec>;
  if (!sameSpec({ ...spec, ...changeable }, old.spec))
    errors.push(
      forbiddenField(
        'spec',
        "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
      ),
    );
  return errors;
}

function validateStatus({ status = { replicas: 0 } }: StatefulSet, old: StatefulSet): FieldError[] {
  return [
    ...validateCounts(status, [
      'replicas',
      'readyReplicas',
      'currentReplicas',
      'updatedReplicas',
      'availableReplicas',
      'observedGeneration',
      'collisionCount',
    ]),
    ...validateAtMost(
      status,
      ['readyReplicas', 'currentReplicas', 'updatedReplicas', 'availableReplicas'],
      'replicas',
      'status.replicas',
    ),
    ...validateAtMost(status, ['availableReplicas'], 'readyReplicas', 'status.readyReplicas'),
    ...validateCollisions(status, old.status),
  ];
}

export const statefulSetStrategy: Strategy<StatefulSet> = {
  type: appsv1.statefulSets,
  validateName: nameIsDNSLabel,
  setDefaults: setStatefulSetDefaults,
  ...generationRules(appsv1.statefulSets),
  validate: ({ spec }) => validateSpec(spec, { isUpdate: false, skipPodSpec: false }),
  validateUpdate,
  warnings({ spec, metadata }, old) {
    const changed = old === undefined || metadata.generation !== old.metadata.generation;
    const claimField = old === undefined ? '' : '.Spec';
    return [
      ...(changed ? templateWarnings(spec.template) : []),
      ...(spec.volumeClaimTemplates ?? []).flatMap((claim, i) =>
        fractionalStorageWarnings(claim.spec, `spec.volumeClaimTemplates[${i}]${claimField}`),
      ),
      ...((spec.revisionHistoryLimit ?? 0) < 0
        ? [
            'spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended',
          ]
        : []),
    ];
  },
  subresources: { status: statusStrategy({ validateUpdate: validateStatus }) },
  scale: {
    replicas: ({ spec }) => spec.replicas ?? 0,
    statusReplicas: ({ status }) => status?.replicas ?? 0,
    selector: ({ spec }) => selectorText(spec.selector),
    setReplicas(statefulSet, replicas) {
      statefulSet.spec.replicas = replicas;
    },
  },
  columns: statefulSetColumns,
};
