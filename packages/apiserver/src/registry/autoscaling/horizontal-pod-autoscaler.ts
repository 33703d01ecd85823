import { autoscalingv2, type Draft } from '@k8ts/api';
import { invalidValue, notSupported, required, type FieldError } from '@k8ts/apimachinery';
import { horizontalPodAutoscalerColumns } from '../../printing/columns/workloads.ts';
import type { Strategy } from '../contract.ts';
import { NOT_POSITIVE } from '../field-rules.ts';
import { validateNonnegativeQuantity } from '../resource-names.ts';
import { dropStatus, keepField, statusStrategy } from '../strategy-parts.ts';
import { validateCounts } from '../workload-rules.ts';
import { horizontalPodAutoscalerV1 } from './horizontal-pod-autoscaler-v1.ts';
import {
  apiVersionProblem,
  validateMetrics,
  validateReference,
  type ReferenceOptions,
} from './metric-validation.ts';

type Autoscaler = autoscalingv2.HorizontalPodAutoscaler;
type Rules = autoscalingv2.HPAScalingRules;

const DEFAULT_CPU_UTILIZATION = 80;
const MAX_PERIOD = 1800;
const MAX_STABILIZATION_WINDOW = 3600;

const SCALE_UP: Rules = {
  stabilizationWindowSeconds: 0,
  selectPolicy: 'Max',
  policies: [
    { type: 'Pods', value: 4, periodSeconds: 15 },
    { type: 'Percent', value: 100, periodSeconds: 15 },
  ],
};
/** The window is the controller's flag. */
const SCALE_DOWN: Rules = {
  selectPolicy: 'Max',
  policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }],
};

function setDefaults(autoscaler: Draft<Autoscaler>): void {
  const spec = (autoscaler.spec ??= {} as Draft<autoscalingv2.HorizontalPodAutoscalerSpec>);
  spec.minReplicas ??= 1;
  if ((spec.metrics ?? []).length === 0)
    spec.metrics = [
      {
        type: 'Resource',
        resource: {
          name: 'cpu',
          target: { type: 'Utilization', averageUtilization: DEFAULT_CPU_UTILIZATION },
        },
      },
    ];
  if (spec.behavior === undefined) return;
  spec.behavior.scaleUp = withDefaults(spec.behavior.scaleUp, SCALE_UP);
  spec.behavior.scaleDown = withDefaults(spec.behavior.scaleDown, SCALE_DOWN);
}

function withDefaults(rules: Draft<Rules> | undefined, defaults: Rules): Draft<Rules> {
  return { ...structuredClone(defaults as Draft<Rules>), ...rules };
}

const SELECT_POLICIES = ['Disabled', 'Max', 'Min'];
const POLICY_TYPES = ['Percent', 'Pods'];

function validateRules(rules: Rules | undefined, path: string): FieldError[] {
  if (rules === undefined) return [];
  const { stabilizationWindowSeconds: window = 0, selectPolicy, policies = [], tolerance } = rules;
  const errors: FieldError[] = [];
  const windowPath = `${path}.stabilizationWindowSeconds`;
  if (window < 0) errors.push(invalidValue(windowPath, window, 'must be greater than or equal to zero'));
  if (window > MAX_STABILIZATION_WINDOW)
    errors.push(
      invalidValue(windowPath, window, `must be less than or equal to ${MAX_STABILIZATION_WINDOW}`),
    );
  if (selectPolicy !== undefined && !SELECT_POLICIES.includes(selectPolicy))
    errors.push(notSupported(`${path}.selectPolicy`, selectPolicy, SELECT_POLICIES));
  if (policies.length === 0) errors.push(required(`${path}.policies`, 'must specify at least one Policy'));
  errors.push(...policies.flatMap((policy, i) => validatePolicy(policy, `${path}.policies[${i}]`)));
  if (tolerance !== undefined) errors.push(...validateNonnegativeQuantity(tolerance, `${path}.tolerance`));
  return errors;
}

function validatePolicy(policy: autoscalingv2.HPAScalingPolicy, path: string): FieldError[] {
  const { type = '', value = 0, periodSeconds = 0 } = policy as Partial<autoscalingv2.HPAScalingPolicy>;
  const errors: FieldError[] = [];
  if (!POLICY_TYPES.includes(type)) errors.push(notSupported(`${path}.type`, type, POLICY_TYPES));
  if (value <= 0) errors.push(invalidValue(`${path}.value`, value, NOT_POSITIVE));
  if (periodSeconds <= 0) errors.push(invalidValue(`${path}.periodSeconds`, periodSeconds, NOT_POSITIVE));
  if (periodSeconds > MAX_PERIOD)
    errors.push(
      invalidValue(`${path}.periodSeconds`, periodSeconds, `must be less than or equal to ${MAX_PERIOD}`),
    );
  return errors;
}

function validateReplicas(
  { minReplicas, maxReplicas = 0 }: Partial<autoscalingv2.HorizontalPodAutoscalerSpec>,
  lowest: number,
): FieldError[] {
  const errors: FieldError[] = [];
  if (minReplicas !== undefined && minReplicas < lowest)
    errors.push(invalidValue('spec.minReplicas', minReplicas, `must be greater than or equal to ${lowest}`));
  const path = 'spec.maxReplicas';
  if (maxReplicas === 0) errors.push(required(path, 'must be set and greater than 0'));
  else if (maxReplicas < 0)
    errors.push(invalidValue(path, maxReplicas, 'must be greater than or equal to 1'));
  if (minReplicas !== undefined && maxReplicas < minReplicas)
    errors.push(invalidValue(path, maxReplicas, 'must be greater than or equal to `minReplicas`'));
  return errors;
}

/** What was stored before apiVersions were checked may stay. */
function targetOptions({ spec }: Autoscaler, old: Autoscaler | undefined): ReferenceOptions {
  const target = spec?.scaleTargetRef;
  const before = old?.spec?.scaleTargetRef;
  if (
    old !== undefined &&
    (before?.apiVersion ?? '') === (target?.apiVersion ?? '') &&
    before?.kind === target?.kind
  )
    return { allowInvalidVersion: true };
  return { allowEmptyGroup: target?.kind === 'ReplicationController' };
}

function metricOptions(old: Autoscaler | undefined): ReferenceOptions {
  const options = { allowEmptyGroup: true };
  const wasInvalid = (old?.spec?.metrics ?? []).some(
    ({ type, object }) =>
      type === 'Object' &&
      object !== undefined &&
      apiVersionProblem(object.describedObject?.apiVersion ?? '', options) !== undefined,
  );
  return { ...options, allowInvalidVersion: wasInvalid };
}

function validate(autoscaler: Autoscaler, old?: Autoscaler): FieldError[] {
  const spec: Partial<autoscalingv2.HorizontalPodAutoscalerSpec> = autoscaler.spec ?? {};
  return [
    ...validateReplicas(spec, old?.spec?.minReplicas === 0 ? 0 : 1),
    ...validateReference(spec.scaleTargetRef, 'spec.scaleTargetRef', targetOptions(autoscaler, old)),
    ...validateMetrics(spec.metrics ?? [], spec.minReplicas, metricOptions(old)),
    ...validateRules(spec.behavior?.scaleUp, 'spec.behavior.scaleUp'),
    ...validateRules(spec.behavior?.scaleDown, 'spec.behavior.scaleDown'),
  ];
}

export const horizontalPodAutoscalerStrategy: Strategy<Autoscaler> = {
  type: autoscalingv2.horizontalPodAutoscalers,
  setDefaults,
  prepareForCreate: dropStatus,
  prepareForUpdate: (autoscaler, old) => keepField(autoscaler, old, 'status'),
  validate: (autoscaler) => validate(autoscaler),
  validateUpdate: validate,
  subresources: {
    status: statusStrategy({
      validateUpdate: ({ status }) => validateCounts(status ?? {}, ['currentReplicas', 'desiredReplicas']),
    }),
  },
  columns: horizontalPodAutoscalerColumns,
  conversions: { v1: horizontalPodAutoscalerV1 },
};
