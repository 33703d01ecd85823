import { corev1 } from '@k8ts/api';
import { invalidValue, required, type FieldError } from '@k8ts/apimachinery';
import { resourceQuotaColumns } from '../../printing/columns/core.ts';
import type { Strategy } from '../contract.ts';
import { compareAmounts, roundUpToMilli } from '../quantities.ts';
import {
  isStandardQuotaResource,
  validateQuotaResourceName,
  validateResourceQuantity,
} from '../resource-names.ts';
import { dropStatus, keepField, statusStrategy } from '../strategy-parts.ts';

type ResourceQuota = corev1.ResourceQuota;

const POD_COMPUTE = ['cpu', 'memory', 'limits.cpu', 'limits.memory', 'requests.cpu', 'requests.memory'];
const EXISTS_ONLY = [
  'BestEffort',
  'NotBestEffort',
  'Terminating',
  'NotTerminating',
  'CrossNamespacePodAffinity',
];
const SCOPES = [...EXISTS_ONLY, 'PriorityClass', 'VolumeAttributesClass'];
const CONFLICTS = [
  ['BestEffort', 'NotBestEffort'],
  ['NotTerminating', 'Terminating'],
];

function scopeFitsResource(scope: string, resource: string): boolean {
  switch (scope) {
    case 'BestEffort':
      return resource === 'pods';
    case 'VolumeAttributesClass':
      return resource === 'persistentvolumeclaims' || resource === 'requests.storage';
    default:
      return !SCOPES.includes(scope) || resource === 'pods' || POD_COMPUTE.includes(resource);
  }
}

function validateList(list: Readonly<Record<string, string>> | undefined, path: string): FieldError[] {
  return Object.entries(list ?? {}).flatMap(([name, value]) => [
    ...validateQuotaResourceName(name, `${path}[${name}]`),
    ...validateResourceQuantity(name, value, `${path}[${name}]`),
  ]);
}

function validateScope(scope: string, hard: readonly string[], wrong: () => FieldError): FieldError[] {
  return hard
    .filter((resource) => isStandardQuotaResource(resource) && !scopeFitsResource(scope, resource))
    .map(() => wrong());
}

function validateSpec(spec: corev1.ResourceQuotaSpec = {}): FieldError[] {
  const errors = validateList(spec.hard, 'spec.hard');
  const hard = Object.keys(spec.hard ?? {}).sort();
  const conflicting = (scopes: readonly string[], path: string): FieldError[] =>
    CONFLICTS.filter((pair) => pair.every((scope) => scopes.includes(scope))).map(() =>
      invalidValue(path, spec.scopes ?? null, 'conflicting scopes'),
    );
  for (const scope of spec.scopes ?? []) {
    if (!SCOPES.includes(scope)) errors.push(invalidValue('spec.scopes', spec.scopes, 'unsupported scope'));
    errors.push(
      ...validateScope(scope, hard, () =>
        invalidValue('spec.scopes', spec.scopes, 'unsupported scope applied to resource'),
      ),
    );
  }
  errors.push(...conflicting(spec.scopes ?? [], 'spec.scopes'));
  if (spec.scopeSelector === undefined) return errors;

  const path = 'spec.scopeSelector.matchExpressions';
  const expressions = spec.scopeSelector.matchExpressions ?? [];
  for (const { scopeName, operator, values = [] } of expressions) {
    if (!SCOPES.includes(scopeName))
      errors.push(invalidValue(`${path}.scopeName`, scopeName, 'unsupported scope'));
    errors.push(
      ...validateScope(scopeName, hard, () =>
        invalidValue(path, spec.scopeSelector, 'unsupported scope applied to resource'),
      ),
    );
    if (EXISTS_ONLY.includes(scopeName) && operator !== 'Exists')
      errors.push(
        invalidValue(
          `${path}.operator`,
          operator,
          "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity",
        ),
      );
    if (operator === 'In' || operator === 'NotIn') {
      if (values.length === 0)
        errors.push(
          required(
            `${path}.values`,
            "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
          ),
        );
    } else if (operator === 'Exists' || operator === 'DoesNotExist') {
      if (values.length > 0)
        errors.push(
          invalidValue(
            `${path}.values`,
            values,
            "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
          ),
        );
    } else {
      errors.push(invalidValue(`${path}.operator`, operator, 'not a valid selector operator'));
    }
  }
  errors.push(
    ...conflicting(
      expressions.map((expression) => expression.scopeName),
      path,
    ),
  );
  return errors;
}

const validateStatus = ({ status }: ResourceQuota): FieldError[] => [
  ...validateList(status?.hard, 'status.hard'),
  ...validateList(status?.used, 'status.used'),
];

export const resourceQuotaStrategy: Strategy<ResourceQuota> = {
  type: corev1.resourceQuotas,
  setDefaults(quota) {
    roundUpToMilli(quota.spec?.hard);
    roundUpToMilli(quota.status?.hard);
    roundUpToMilli(quota.status?.used);
  },
  prepareForCreate: (quota) => dropStatus(quota),
  prepareForUpdate: (quota, old) => keepField(quota, old, 'status'),
  validate: (quota) => [...validateSpec(quota.spec), ...validateStatus(quota)],
  validateUpdate(quota, old) {
    const scopes = new Set(quota.spec?.scopes ?? []);
    const before = new Set(old.spec?.scopes ?? []);
    const same = scopes.size === before.size && [...scopes].every((scope) => before.has(scope));
    return [
      ...validateSpec(quota.spec),
      ...(same ? [] : [invalidValue('spec.scopes', quota.spec?.scopes ?? null, 'field is immutable')]),
    ];
  },
  warnings({ spec }, old) {
    if (old !== undefined) return [];
    const hard = spec?.hard ?? {};
    return ['cpu', 'memory', 'ephemeral-storage'].flatMap((name) => {
      const plain = name !== 'ephemeral-storage' && hard[`requests.${name}`] === undefined;
      const requestName = plain ? name : `requests.${name}`;
      const request = hard[requestName];
      const limit = hard[`limits.${name}`];
      return request !== undefined && limit !== undefined && compareAmounts(request, limit) > 0
        ? [`ResourceQuota ${requestName} (${request}) should be less than limits.${name} (${limit})`]
        : [];
    });
  },
  subresources: { status: statusStrategy<ResourceQuota>({ validateUpdate: validateStatus }) },
  columns: resourceQuotaColumns,
};
