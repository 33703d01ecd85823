import type { appsv1 } from '@k8ts/api';

export const REVISION = 'deployment.kubernetes.io/revision';
const REVISION_HISTORY = 'deployment.kubernetes.io/revision-history';
export const DESIRED_REPLICAS = 'deployment.kubernetes.io/desired-replicas';
export const MAX_REPLICAS = 'deployment.kubernetes.io/max-replicas';

/** A history longer than this is cut at its old end. */
const MAX_HISTORY_LENGTH = 2000;

/** These describe the object they are on; all others of a Deployment are copied to its ReplicaSets. */
const NOT_COPIED: ReadonlySet<string> = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  REVISION,
  REVISION_HISTORY,
  DESIRED_REPLICAS,
  MAX_REPLICAS,
  'deprecated.deployment.rollback.to',
]);

const MAX_INT64 = 2n ** 63n - 1n;

export type Annotations = Readonly<Record<string, string>>;

/** An int64, which may be more than a number can hold. 0 where there is none that can be read. */
export function revisionOf(replicaSet: appsv1.ReplicaSet): bigint {
  return parseRevision(replicaSet.metadata.annotations?.[REVISION]);
}

export function maxRevision(replicaSets: readonly appsv1.ReplicaSet[]): bigint {
  return replicaSets.map(revisionOf).reduce((a, b) => (a > b ? a : b), 0n);
}

function parseRevision(text: string | undefined): bigint {
  if (text === undefined || !/^\d{1,19}$/.test(text)) return 0n;
  const revision = BigInt(text);
  return revision <= MAX_INT64 ? revision : 0n;
}

export function desiredReplicasOf(replicaSet: appsv1.ReplicaSet): number | undefined {
  return numberOf(replicaSet.metadata.annotations?.[DESIRED_REPLICAS]);
}

export function maxReplicasOf(replicaSet: appsv1.ReplicaSet): number | undefined {
  return numberOf(replicaSet.metadata.annotations?.[MAX_REPLICAS]);
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/**
 * The annotations of the newest ReplicaSet: the Deployment's own, and its revision. A ReplicaSet that becomes the newest
 * again (a rollback) gets a new revision, and the old one goes to its history. Returns `current` itself when nothing changes.
 */
export function newestAnnotations(
  deployment: appsv1.Deployment,
  current: Annotations,
  revision: bigint,
): Annotations {
  const next: Record<string, string> = { ...current };
  let changed = false;
  for (const [name, value] of Object.entries(deployment.metadata.annotations ?? {})) {
    if (NOT_COPIED.has(name) || next[name] === value) continue;
    next[name] = value;
    changed = true;
  }
  const old = current[REVISION];
  // Old ReplicaSets may have been deleted meanwhile; the number never goes down.
  if (parseRevision(old) < revision) {
    next[REVISION] = String(revision);
    changed = true;
    if (old !== undefined) next[REVISION_HISTORY] = appendHistory(current[REVISION_HISTORY], old);
  }
  return changed ? next : current;
}

function appendHistory(history: string | undefined, revision: string): string {
  const revisions = history === undefined || history === '' ? [] : history.split(',');
  revisions.push(revision);
  while (revisions.length > 1 && revisions.join(',').length > MAX_HISTORY_LENGTH) revisions.shift();
  return revisions.join(',');
}
