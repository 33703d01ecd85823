import type { corev1 } from '@k8ts/api';

import { milliseconds, podCondition } from '../pod-state.ts';

const INITIAL_BACKOFF = 10_000;
const MAX_BACKOFF = 10 * 60_000;

/** The failures of a job's pods since the last one that succeeded. Kept in memory only, as upstream. */
export interface BackoffRecord {
  readonly failures: number;
  /** Milliseconds since the epoch. */
  readonly lastFailure: number | undefined;
}

export const NO_FAILURES: BackoffRecord = { failures: 0, lastFailure: undefined };

export function nextBackoffRecord(
  before: BackoffRecord,
  succeeded: readonly corev1.Pod[],
  failed: readonly corev1.Pod[],
): BackoffRecord {
  if (succeeded.length === 0 && failed.length === 0) return before;
  const failures = failed.map(finishedAt);
  if (succeeded.length === 0)
    return { failures: before.failures + failures.length, lastFailure: Math.max(...failures) };
  const lastSuccess = Math.max(...succeeded.map(finishedAt));
  const since = failures.filter((time) => time > lastSuccess);
  return since.length === 0 ? NO_FAILURES : { failures: since.length, lastFailure: Math.max(...since) };
}

/** Milliseconds until the next pod may be made: 10 s after the first failure, 20 s after the second, up to 10 minutes. */
export function remainingBackoff({ failures, lastFailure }: BackoffRecord, now: number): number {
  if (failures === 0 || lastFailure === undefined) return 0;
  const backoff = Math.min(INITIAL_BACKOFF * 2 ** (failures - 1), MAX_BACKOFF);
  return Math.max(0, lastFailure + backoff - now);
}

/**
 * When the pod ended, as well as can be said: with its last container; when it ceased to be ready; when it was deleted;
 * when it was made.
 */
export function finishedAt(pod: corev1.Pod): number {
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, creationTimestamp } = pod.metadata;
  const ready = podCondition(pod, 'Ready');
  const deleted = milliseconds(deletionTimestamp);
  return (
    containersFinishedAt(pod) ??
    (ready?.status === 'False' ? milliseconds(ready.lastTransitionTime) : undefined) ??
    (deleted === undefined ? undefined : deleted - deletionGracePeriodSeconds * 1000) ??
    milliseconds(creationTimestamp) ??
    0
  );
}

function containersFinishedAt({ spec, status }: corev1.Pod): number | undefined {
  const sidecars = new Set(
    (spec.initContainers ?? [])
      .filter(({ restartPolicy }) => restartPolicy === 'Always')
      .map(({ name }) => name),
  );
  const { containerStatuses = [], initContainerStatuses = [] } = status ?? {};
  const counted = [...containerStatuses, ...initContainerStatuses.filter(({ name }) => sidecars.has(name))];
  let latest: number | undefined;
  for (const { state } of counted) {
    const time = milliseconds(state?.terminated?.finishedAt);
    if (time === undefined) return undefined;
    latest = Math.max(latest ?? -Infinity, time);
  }
  return latest;
}
