import type { corev1, KubeObject } from '@k8ts/api';

import type { ReadonlyAmounts } from '../resource-amounts.ts';

export type ScopeRequirement = corev1.ScopedResourceSelectorRequirement;

/** A write that quota may have to do with, as admission sees it. */
export interface QuotaOperation {
  readonly operation: 'CREATE' | 'UPDATE';
  readonly subresource: string;
  readonly object: KubeObject;
  /** Undefined for CREATE. */
  readonly oldObject: KubeObject | undefined;
}

/**
 * How the objects of one resource use what a ResourceQuota limits (k8s.io/apiserver/pkg/quota/v1: Evaluator). Admission
 * charges by it and the controller counts by it, so that both come to the same result.
 */
export interface QuotaEvaluator {
  readonly group: string;
  readonly resource: string;
  /** Usage depends on more than an object's metadata. */
  readonly readsObjects: boolean;
  /** Whether a quota on `name` limits such objects: `pods`, `requests.cpu`, `count/deployments.apps`. */
  counts(name: string): boolean;
  /** Whether an operation can make more be used. */
  handles(operation: QuotaOperation): boolean;
  /** What the object uses. `now` in milliseconds since 1970. */
  usage(object: KubeObject, now: number): ReadonlyAmounts;
  /** Absent: the resource knows no scopes, and a quota with scopes does not concern it. */
  matchesScope?(requirement: ScopeRequirement, object: KubeObject): boolean;
  /** What the object lacks that quotas on these names demand: `must specify limits.cpu for: app`. */
  lacks?(names: readonly string[], object: KubeObject): string | undefined;
}
