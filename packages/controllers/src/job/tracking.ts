import type { batchv1, corev1 } from '@k8ts/api';
import { formatTime } from '@k8ts/apimachinery';

import { completionIndexOf } from './completion-indexes.ts';
import { failureVerdict } from './failure-policy.ts';
import { hasFinalizer, isFailed, validIndexOf } from './plan.ts';
import type { IndexTally, JobEnd, JobView, Tally } from './plan.ts';

type Status = batchv1.JobStatus;
type Pod = corev1.Pod;

/** So many UIDs fit the status without making it too large. */
const MAX_UNCOUNTED = 500;

/**
 * Counts every pod exactly once, whatever fails in between (KEP-2307):
 *
 * 1. the UIDs of pods that ended go into status.uncountedTerminatedPods
 * 2. these pods' finalizers are removed
 * 3. UIDs whose pods have no finalizer any more leave the list, and the counters grow by them
 *
 * Of Indexed jobs the succeeded are told by their indexes, and need no list.
 */
export interface Tracking {
  /** The status to write before the finalizers go (1, and 3 of earlier turns). */
  readonly status: Status;
  /** Whose finalizers go then. */
  readonly release: readonly Pod[];
  /** UIDs of all pods that have the finalizer now. */
  readonly withFinalizer: ReadonlySet<string>;
  /** Not all that ended could be listed; the rest is for the next turn. */
  readonly partial: boolean;
  /** How often each action of the failure policy was applied. */
  readonly policyActions: ReadonlyMap<string, number>;
}

export function track(
  { job, pods, released, now }: JobView,
  counts: Tally,
  before: Status,
  end: JobEnd | undefined,
): Tracking {
  const { spec } = job;
  const { indexes } = counts;
  const tracked = pods.filter((pod) => hasFinalizer(pod) && !released.has(pod.metadata.uid ?? ''));
  const withFinalizer = new Set(tracked.map(({ metadata }) => metadata.uid ?? ''));
  const status = countReleased(before, withFinalizer);
  const succeeded = [...(status.uncountedTerminatedPods?.succeeded ?? [])];
  const failed = [...(status.uncountedTerminatedPods?.failed ?? [])];
  const known = new Set([...succeeded, ...failed]);
  let newIndexes = 0;
  const release: Pod[] = [];
  const policyActions = new Map<string, number>();
  let partial = false;
  const inOrder = indexes === undefined ? tracked : [...tracked].sort(byIndex);
  for (const pod of inOrder) {
    const hasFailed = isFailed(pod, job);
    if (!mayBeReleased(pod, hasFailed, end, job, indexes?.lastFailed)) continue;
    release.push(pod);
    const { uid = '' } = pod.metadata;
    const index = validIndexOf(pod, job);
    if (pod.status?.phase === 'Succeeded' && !failed.includes(uid)) {
      if (indexes === undefined) {
        if (!known.has(uid)) succeeded.push(uid);
      } else if (index !== undefined && !indexes.before.has(index)) newIndexes++;
    } else if (hasFailed || end?.success === false) {
      // Of a job that has failed all pods that did not succeed have.
      if (!known.has(uid) && (indexes === undefined || index !== undefined)) {
        const { action, counts: doesCount } = failureVerdict(spec.podFailurePolicy, pod);
        if (action !== undefined) policyActions.set(action, (policyActions.get(action) ?? 0) + 1);
        if (doesCount) failed.push(uid);
      }
    }
    if (newIndexes + succeeded.length + failed.length >= MAX_UNCOUNTED) {
      partial = true;
      break;
    }
  }
  return {
    status: {
      ...status,
      uncountedTerminatedPods: uncounted(succeeded, failed),
      ...(indexes === undefined ? {} : indexStatus(indexes)),
      conditions: withTarget(status.conditions ?? [], end, now),
    },
    release,
    withFinalizer,
    partial,
    policyActions,
  };
}

function byIndex(a: Pod, b: Pod): number {
  return (completionIndexOf(a) ?? -1) - (completionIndexOf(b) ?? -1);
}

function indexStatus({ succeeded, failed }: IndexTally): Status {
  return {
    succeeded: succeeded.total,
    completedIndexes: succeeded.toString(),
    ...(failed === undefined ? {} : { failedIndexes: failed.toString() }),
  };
}

function mayBeReleased(
  pod: Pod,
  hasFailed: boolean,
  end: JobEnd | undefined,
  job: batchv1.Job,
  lastFailed: ReadonlyMap<number, Pod> | undefined,
): boolean {
  if (job.metadata.deletionTimestamp !== undefined || end !== undefined) return true;
  if (pod.status?.phase === 'Succeeded') return true;
  if (!hasFailed) return false;
  const index = completionIndexOf(pod);
  // Its annotations are still needed for the pod that replaces it.
  return index === undefined || lastFailed?.get(index) !== pod;
}

function uncounted(succeeded: readonly string[], failed: readonly string[]): batchv1.UncountedTerminatedPods {
  return {
    ...(succeeded.length > 0 ? { succeeded } : {}),
    ...(failed.length > 0 ? { failed } : {}),
  };
}

/** Step 3. */
export function countReleased(status: Status, withFinalizer: ReadonlySet<string>): Status {
  const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {};
  const left = {
    succeeded: succeeded.filter((uid) => withFinalizer.has(uid)),
    failed: failed.filter((uid) => withFinalizer.has(uid)),
  };
  return {
    ...status,
    succeeded: (status.succeeded ?? 0) + succeeded.length - left.succeeded.length,
    failed: (status.failed ?? 0) + failed.length - left.failed.length,
    uncountedTerminatedPods: uncounted(left.succeeded, left.failed),
  };
}

/** How the job is going to end is said before its pods are released, and stands whatever happens then (KEP-3329). */
function withTarget(
  conditions: readonly batchv1.JobCondition[],
  end: JobEnd | undefined,
  now: number,
): readonly batchv1.JobCondition[] {
  if (end === undefined) return conditions;
  const type = end.success ? 'SuccessCriteriaMet' : 'FailureTarget';
  return conditions.some((condition) => condition.type === type && condition.status === 'True')
    ? conditions
    : [...conditions, newCondition(type, 'True', end, now)];
}

/** Complete or Failed, once nothing is left to count and no pod is on its way out; undefined before. */
export function finished(status: Status, end: JobEnd, now: number): Status | undefined {
  const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {};
  if (succeeded.length + failed.length > 0 || (status.terminating ?? 0) > 0) return undefined;
  const type = end.success ? 'Complete' : 'Failed';
  return {
    ...status,
    conditions: withCondition(status.conditions ?? [], type, 'True', end, now),
    ...(end.success ? { completionTime: formatTime(now) } : {}),
  };
}

/** The list with the condition as it is to be; the same list when it says so already. Nothing becomes False that never was True. */
export function withCondition(
  conditions: readonly batchv1.JobCondition[],
  type: string,
  status: corev1.ConditionStatus,
  { reason, message }: { readonly reason: string; readonly message: string },
  now: number,
): readonly batchv1.JobCondition[] {
  const before = conditions.find((condition) => condition.type === type);
  if (before === undefined)
    return status === 'False'
      ? conditions
      : [...conditions, newCondition(type, status, { reason, message }, now)];
  if (before.status === status && (before.reason ?? '') === reason && (before.message ?? '') === message)
    return conditions;
  return conditions.map((condition) =>
    condition === before ? newCondition(type, status, { reason, message }, now) : condition,
  );
}

function newCondition(
  type: string,
  status: corev1.ConditionStatus,
  { reason, message }: { readonly reason: string; readonly message: string },
  now: number,
): batchv1.JobCondition {
  const time = formatTime(now);
  return {
    type,
    status,
    lastProbeTime: time,
    lastTransitionTime: time,
    ...(reason === '' ? {} : { reason }),
    ...(message === '' ? {} : { message }),
  };
}

/** As it is on the wire: counters that are zero are left out. */
export function wireStatus(status: Status): Status {
  const { conditions = [], active = 0, succeeded = 0, failed = 0, completedIndexes = '', ...rest } = status;
  return {
    ...rest,
    ...(conditions.length > 0 ? { conditions } : {}),
    ...(active > 0 ? { active } : {}),
    ...(succeeded > 0 ? { succeeded } : {}),
    ...(failed > 0 ? { failed } : {}),
    ...(completedIndexes === '' ? {} : { completedIndexes }),
  };
}
