import type { corev1, KubeObject } from '@k8ts/api';

import type { QuotaEvaluator, ScopeRequirement } from './contract.ts';

/** The scopes of both fields; `spec.scopes` demands that each exists. */
function scopeRequirementsOf({ spec }: corev1.ResourceQuota): readonly ScopeRequirement[] {
  const { scopes, scopeSelector } = spec;
  const expressions = scopeSelector?.matchExpressions ?? [];
  if (scopes === undefined || scopes.length === 0) return expressions;
  return [...scopes.map((scopeName) => ({ scopeName, operator: 'Exists' as const })), ...expressions];
}

/** Whether the object is in all scopes of the quota. */
export function isInScope(
  evaluator: QuotaEvaluator,
  quota: corev1.ResourceQuota,
  object: KubeObject,
): boolean {
  return scopeRequirementsOf(quota).every(
    (requirement) => evaluator.matchesScope?.(requirement, object) === true,
  );
}

/** Of several values one has to fit; having none is what NotIn and DoesNotExist want. */
export function matchesValues(
  { operator, values = [] }: ScopeRequirement,
  present: readonly string[],
): boolean {
  switch (operator) {
    case 'In':
      return present.some((value) => values.includes(value));
    case 'NotIn':
      return present.length === 0 || present.some((value) => !values.includes(value));
    case 'Exists':
      return present.length > 0;
    case 'DoesNotExist':
      return present.length === 0;
  }
}
