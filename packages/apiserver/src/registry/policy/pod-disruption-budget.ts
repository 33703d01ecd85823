import { policyv1 } from '@k8ts/api';
import {
  invalidValue,
  notSupported,
  validateConditions,
  validateLabelSelector,
  type FieldError,
} from '@k8ts/apimachinery';
import { podDisruptionBudgetColumns } from '../../printing/columns/workloads.ts';
import type { Strategy } from '../contract.ts';
import { isNotMoreThan100Percent, validateIntOrPercent } from '../int-or-percent.ts';
import { generationRules, statusStrategy } from '../strategy-parts.ts';
import { validateCounts } from '../workload-rules.ts';

type Budget = policyv1.PodDisruptionBudget;

const EVICTION_POLICIES = ['AlwaysAllow', 'IfHealthyBudget'];

/** Upstream's internal type has Go's names. */
function specValue(spec: policyv1.PodDisruptionBudgetSpec): unknown {
  return {
    MinAvailable: spec.minAvailable ?? null,
    Selector: spec.selector ?? null,
    MaxUnavailable: spec.maxUnavailable ?? null,
    UnhealthyPodEvictionPolicy: spec.unhealthyPodEvictionPolicy ?? null,
  };
}

function validate({ spec = {} }: Budget, old?: Budget): FieldError[] {
  const errors: FieldError[] = [];
  if (spec.minAvailable !== undefined && spec.maxUnavailable !== undefined)
    errors.push(invalidValue('spec', specValue(spec), 'minAvailable and maxUnavailable cannot be both set'));
  for (const field of ['minAvailable', 'maxUnavailable'] as const) {
    const value = spec[field];
    if (value === undefined) continue;
    errors.push(
      ...validateIntOrPercent(value, `spec.${field}`),
      ...isNotMoreThan100Percent(value, `spec.${field}`),
    );
  }
  const allowInvalidValues = validateLabelSelector(old?.spec?.selector, '').length > 0;
  errors.push(...validateLabelSelector(spec.selector, 'spec.selector', { allowInvalidValues }));
  const { unhealthyPodEvictionPolicy: policy } = spec;
  if (policy !== undefined && !EVICTION_POLICIES.includes(policy))
    errors.push(notSupported('spec.unhealthyPodEvictionPolicy', policy, EVICTION_POLICIES));
  return errors;
}

export const podDisruptionBudgetStrategy: Strategy<Budget> = {
  type: policyv1.podDisruptionBudgets,
  ...generationRules(policyv1.podDisruptionBudgets),
  validate: (budget) => validate(budget),
  validateUpdate: validate,
  subresources: {
    status: statusStrategy({
      validateUpdate: ({ status }) => [
        ...validateConditions(status?.conditions ?? [], 'status.conditions'),
        ...validateCounts(status ?? {}, [
          'disruptionsAllowed',
          'currentHealthy',
          'desiredHealthy',
          'expectedPods',
        ]),
      ],
    }),
  },
  allowUnconditionalUpdate: false,
  columns: podDisruptionBudgetColumns,
};
