import type { appsv1 } from '@k8ts/api';
import { scaledIntOrPercent } from '@k8ts/apimachinery';

import { DESIRED_REPLICAS, MAX_REPLICAS, desiredReplicasOf, maxReplicasOf } from './revisions.ts';
import type { Annotations } from './revisions.ts';

type Deployment = appsv1.Deployment;
type ReplicaSet = appsv1.ReplicaSet;

/** A ReplicaSet and the size it should have. */
export interface Scale {
  readonly replicaSet: ReplicaSet;
  readonly replicas: number;
}

export function wantedReplicas({ spec }: Deployment | ReplicaSet): number {
  return spec.replicas ?? 1;
}

export function isRollingUpdate({ spec }: Deployment): boolean {
  return spec.strategy?.type !== 'Recreate';
}

/** How many pods may be there beyond what is wanted, and how many may be missing, as absolute numbers; not both zero. */
export function fenceposts({ spec }: Deployment): { readonly surge: number; readonly unavailable: number } {
  const replicas = spec.replicas ?? 1;
  const { maxSurge = 0, maxUnavailable = 0 } = spec.strategy?.rollingUpdate ?? {};
  const surge = scaledIntOrPercent(maxSurge, replicas, true);
  const unavailable = scaledIntOrPercent(maxUnavailable, replicas, false);
  // Percentages may round to nothing on both sides, and then nothing could ever move.
  return surge === 0 && unavailable === 0 ? { surge: 0, unavailable: 1 } : { surge, unavailable };
}

function maxSurge(deployment: Deployment): number {
  return isRollingUpdate(deployment) ? fenceposts(deployment).surge : 0;
}

export function maxUnavailable(deployment: Deployment): number {
  const replicas = wantedReplicas(deployment);
  if (!isRollingUpdate(deployment) || replicas === 0) return 0;
  return Math.min(fenceposts(deployment).unavailable, replicas);
}

/** The size the Deployment wants, noted on each of its ReplicaSets: how scaling is told from rolling out. */
export function replicaAnnotations(deployment: appsv1.Deployment): Annotations {
  const desired = wantedReplicas(deployment);
  return {
    [DESIRED_REPLICAS]: String(desired),
    [MAX_REPLICAS]: String(desired + maxSurge(deployment)),
  };
}

export function totalReplicas(replicaSets: readonly ReplicaSet[]): number {
  return replicaSets.reduce((sum, replicaSet) => sum + wantedReplicas(replicaSet), 0);
}

export function availableReplicas(replicaSets: readonly ReplicaSet[]): number {
  return replicaSets.reduce((sum, { status }) => sum + (status?.availableReplicas ?? 0), 0);
}

export function activeOnly(replicaSets: readonly ReplicaSet[]): ReplicaSet[] {
  return replicaSets.filter((replicaSet) => wantedReplicas(replicaSet) > 0);
}

export function byCreation(replicaSets: readonly ReplicaSet[]): ReplicaSet[] {
  return [...replicaSets].sort(compareCreation);
}

function compareCreation(a: ReplicaSet, b: ReplicaSet): number {
  const [aTime = '', bTime = ''] = [a.metadata.creationTimestamp, b.metadata.creationTimestamp];
  if (aTime !== bTime) return aTime < bTime ? -1 : 1;
  return a.metadata.name < b.metadata.name ? -1 : 1;
}

/** The size of the newest ReplicaSet: as large as the surge allows, never larger than wanted. */
export function newestSize(deployment: Deployment, all: readonly ReplicaSet[], newest: number): number {
  const wanted = wantedReplicas(deployment);
  if (!isRollingUpdate(deployment)) return wanted;
  const surge = scaledIntOrPercent(deployment.spec.strategy?.rollingUpdate?.maxSurge ?? 0, wanted, true);
  const room = wanted + surge - totalReplicas(all);
  return room <= 0 ? newest : newest + Math.min(room, wanted - newest);
}

/** The next step of the newest ReplicaSet in a rolling update; undefined when it stays as it is. */
export function planNewest(
  deployment: Deployment,
  all: readonly ReplicaSet[],
  newest: ReplicaSet,
): Scale | undefined {
  const wanted = wantedReplicas(deployment);
  const size = wantedReplicas(newest);
  const replicas = size > wanted ? wanted : size === wanted ? size : newestSize(deployment, all, size);
  return replicas === size ? undefined : { replicaSet: newest, replicas };
}

/**
 * The next step of the old ReplicaSets in a rolling update. First goes what is not available anyway, then as many available
 * pods as may be missing; the oldest first. Pods of the newest that are not available yet count as missing, so a new
 * version that never gets ready stops the roll-out.
 */
export function planOld(deployment: Deployment, old: readonly ReplicaSet[], newest: ReplicaSet): Scale[] {
  const active = byCreation(activeOnly(old));
  if (active.length === 0) return [];
  const minAvailable = wantedReplicas(deployment) - maxUnavailable(deployment);
  const newestUnavailable = wantedReplicas(newest) - (newest.status?.availableReplicas ?? 0);
  const maxScaledDown = totalReplicas([...active, newest]) - minAvailable - newestUnavailable;
  if (maxScaledDown <= 0) return [];

  const sizes = new Map(active.map((replicaSet) => [replicaSet, wantedReplicas(replicaSet)]));
  let unhealthy = 0;
  for (const replicaSet of active) {
    const size = wantedReplicas(replicaSet);
    const missing = Math.max(0, size - (replicaSet.status?.availableReplicas ?? 0));
    const cut = Math.min(maxScaledDown - unhealthy, missing);
    sizes.set(replicaSet, size - cut);
    unhealthy += cut;
  }
  let spare = availableReplicas([...active, newest]) - minAvailable;
  for (const replicaSet of active) {
    if (spare <= 0) break;
    const size = sizes.get(replicaSet) ?? 0;
    const cut = Math.min(size, spare);
    sizes.set(replicaSet, size - cut);
    spare -= cut;
  }
  return [...sizes]
    .filter(([replicaSet, replicas]) => replicas !== wantedReplicas(replicaSet))
    .map(([replicaSet, replicas]) => ({ replicaSet, replicas }));
}

/** The Deployment was scaled: some active ReplicaSet remembers another size. */
export function wasScaled(deployment: Deployment, all: readonly ReplicaSet[]): boolean {
  return activeOnly(all).some((replicaSet) => {
    const desired = desiredReplicasOf(replicaSet);
    return desired !== undefined && desired !== wantedReplicas(deployment);
  });
}

/**
 * Brings the ReplicaSets to the Deployment's size without rolling: the only active one gets it all; with several, in the
 * middle of a roll-out, each grows or shrinks in proportion to its size, and what rounding leaves goes to the largest.
 * Sizes that do not change are in the result too, since their annotations may.
 */
export function planScaling(
  deployment: Deployment,
  newest: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
): Scale[] {
  const wanted = wantedReplicas(deployment);
  const all = newest === undefined ? [...old] : [...old, newest];
  const active = activeOnly(all);
  const only =
    active.length === 1 ? active[0] : active.length === 0 ? (newest ?? byCreation(old).at(-1)) : undefined;
  if (only !== undefined) return [{ replicaSet: only, replicas: wanted }];
  if (newest !== undefined && isSaturated(deployment, newest))
    return activeOnly(old).map((replicaSet) => ({ replicaSet, replicas: 0 }));
  if (!isRollingUpdate(deployment) || active.length === 0) return [];

  const allowed = wanted > 0 ? wanted + maxSurge(deployment) : 0;
  const toAdd = allowed - totalReplicas(active);
  const sorted = [...active].sort(toAdd > 0 ? bySizeNewer : bySizeOlder);
  let added = 0;
  const scales = sorted.map((replicaSet) => {
    const share = toAdd === 0 ? 0 : proportion(replicaSet, deployment, toAdd, added);
    added += share;
    return { replicaSet, replicas: wantedReplicas(replicaSet) + share };
  });
  const largest = scales[0];
  if (largest !== undefined && toAdd !== 0)
    scales[0] = { ...largest, replicas: Math.max(0, largest.replicas + toAdd - added) };
  return scales;
}

function isSaturated(deployment: Deployment, newest: ReplicaSet): boolean {
  const wanted = wantedReplicas(deployment);
  return (
    desiredReplicasOf(newest) === wanted &&
    wantedReplicas(newest) === wanted &&
    newest.status?.availableReplicas === wanted
  );
}

function bySizeNewer(a: ReplicaSet, b: ReplicaSet): number {
  return wantedReplicas(b) - wantedReplicas(a) || compareCreation(b, a);
}

function bySizeOlder(a: ReplicaSet, b: ReplicaSet): number {
  return wantedReplicas(b) - wantedReplicas(a) || compareCreation(a, b);
}

/** This ReplicaSet's share of what is to be added (or, when negative, taken away), within what is left of it. */
function proportion(replicaSet: ReplicaSet, deployment: Deployment, toAdd: number, added: number): number {
  const size = wantedReplicas(replicaSet);
  if (size === 0 || toAdd === added) return 0;
  const fraction = shareOf(replicaSet, deployment);
  const left = toAdd - added;
  return toAdd > 0 ? Math.min(fraction, left) : Math.max(fraction, left);
}

function shareOf(replicaSet: ReplicaSet, deployment: Deployment): number {
  const size = wantedReplicas(replicaSet);
  const wanted = wantedReplicas(deployment);
  if (wanted === 0) return -size;
  // The annotation says how large all were together before; older objects have none.
  const before = maxReplicasOf(replicaSet) || (deployment.status?.replicas ?? 0);
  if (before === 0) return 0;
  return Math.round((size * (wanted + maxSurge(deployment))) / before) - size;
}
