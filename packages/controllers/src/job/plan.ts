import type { batchv1, corev1 } from '@k8ts/api';

import { isPodActive, isPodReady, isPodTerminal, isPodTerminating, milliseconds } from '../pod-state.ts';
import { rankForDeletion } from '../replicaset/pod-ranking.ts';
import { finishedAt, remainingBackoff } from './backoff.ts';
import type { BackoffRecord } from './backoff.ts';
import { Indexes, completionIndexOf } from './completion-indexes.ts';
import { failureVerdict } from './failure-policy.ts';
import { successMessage } from './success-policy.ts';

type Job = batchv1.Job;
type Pod = corev1.Pod;

/** Keeps a pod until its end is counted (KEP-2307). */
export const TRACKING_FINALIZER = 'batch.kubernetes.io/job-tracking';
const INDEX_FAILURES = 'batch.kubernetes.io/job-index-failure-count';
const IGNORED_INDEX_FAILURES = 'batch.kubernetes.io/job-index-ignored-failure-count';
const UNLIMITED = 2 ** 31 - 1;

/** At most so many pods are made or deleted at a time. */
const BURST = 500;

/** What is known when a job is looked at. */
export interface JobView {
  readonly job: Job;
  readonly pods: readonly Pod[];
  /** UIDs of pods whose finalizer was removed, which the cache does not show yet. */
  readonly released: ReadonlySet<string>;
  /** Milliseconds. */
  readonly now: number;
}

/** The pods, counted. */
export interface Tally {
  readonly active: readonly Pod[];
  readonly ready: number;
  readonly terminating: number;
  /** Those that ended and that the status does not know of. */
  readonly newSucceeded: readonly Pod[];
  readonly newFailed: readonly Pod[];
  readonly succeeded: number;
  readonly failed: number;
  /** Of an Indexed job. */
  readonly indexes: IndexTally | undefined;
}

export interface IndexTally {
  /** Succeeded, as the status has it. */
  readonly before: Indexes;
  readonly succeeded: Indexes;
  /** Undefined without a limit per index. */
  readonly failed: Indexes | undefined;
  /** The failed pod by whose annotations its index's next pod counts failures; it is kept until that one exists. */
  readonly lastFailed: ReadonlyMap<number, Pod>;
}

/** How the job ends, or why; `success` ends with Complete, otherwise with Failed. */
export interface JobEnd {
  readonly success: boolean;
  readonly reason: string;
  readonly message: string;
}

function isIndexed({ spec }: Job): boolean {
  return spec.completionMode === 'Indexed';
}

export function isSuspended({ spec }: Job): boolean {
  return spec.suspend === true;
}

export function hasFinalizer({ metadata }: Pod): boolean {
  return metadata.finalizers?.includes(TRACKING_FINALIZER) === true;
}

function condition(job: Job, type: string): batchv1.JobCondition | undefined {
  return job.status?.conditions?.find((one) => one.type === type && one.status === 'True');
}

/** The condition that says that the job has ended. */
export function finishedCondition(job: Job): batchv1.JobCondition | undefined {
  return job.status?.conditions?.find(
    ({ type, status }) => (type === 'Complete' || type === 'Failed') && status === 'True',
  );
}

/** A pod on its way out is replaced only once it has ended; with a failure policy always, since only then it can be judged. */
function replacesOnlyFailed({ spec }: Job): boolean {
  return spec.podReplacementPolicy === 'Failed' || spec.podFailurePolicy !== undefined;
}

export function isFailed(pod: Pod, job: Job): boolean {
  if (pod.status?.phase === 'Failed') return true;
  return !replacesOnlyFailed(job) && isPodTerminating(pod) && pod.status?.phase !== 'Succeeded';
}

/** The pod's index where the job has such a one. */
export function validIndexOf(pod: Pod, { spec }: Job): number | undefined {
  const index = completionIndexOf(pod);
  return index !== undefined && index < (spec.completions ?? 0) ? index : undefined;
}

export function tally(view: JobView): Tally {
  const { job, pods, released } = view;
  const active = pods.filter(isPodActive);
  const { succeeded = [], failed = [] } = job.status?.uncountedTerminatedPods ?? {};
  const unknown = (known: readonly string[], ended: (pod: Pod) => boolean): readonly Pod[] => {
    const uids = new Set(known);
    return pods.filter((pod) => {
      const { uid = '' } = pod.metadata;
      if (!hasFinalizer(pod) || released.has(uid) || uids.has(uid)) return false;
      return (!isIndexed(job) || validIndexOf(pod, job) !== undefined) && ended(pod);
    });
  };
  const newSucceeded = unknown(succeeded, ({ status }) => status?.phase === 'Succeeded');
  const newFailed = unknown(failed, (pod) => isFailed(pod, job));
  const counting = newFailed.filter((pod) => failureVerdict(job.spec.podFailurePolicy, pod).counts);
  const indexes = isIndexed(job) ? tallyIndexes(view, active) : undefined;
  return {
    active,
    ready: active.filter(isPodReady).length,
    terminating: pods.filter((pod) => isPodTerminating(pod) && !isPodTerminal(pod)).length,
    newSucceeded,
    newFailed,
    succeeded:
      indexes?.succeeded.total ?? (job.status?.succeeded ?? 0) + newSucceeded.length + succeeded.length,
    failed: (job.status?.failed ?? 0) + counting.length + failed.length,
    indexes,
  };
}

function tallyIndexes({ job, pods, released }: JobView, active: readonly Pod[]): IndexTally {
  const { completions = 0, backoffLimitPerIndex } = job.spec;
  const uncounted = (matches: (pod: Pod) => boolean): Indexes =>
    Indexes.of(
      pods.flatMap((pod) => {
        const index = hasFinalizer(pod) ? validIndexOf(pod, job) : undefined;
        return index !== undefined && matches(pod) ? [index] : [];
      }),
    );
  const before = Indexes.parse(job.status?.completedIndexes, completions);
  const succeeded = before.union(uncounted(({ status }) => status?.phase === 'Succeeded'));
  if (backoffLimitPerIndex === undefined)
    return { before, succeeded, failed: undefined, lastFailed: new Map() };
  const failed = Indexes.parse(job.status?.failedIndexes, completions).union(
    uncounted((pod) => failsItsIndex(pod, job, backoffLimitPerIndex)),
  );
  // A running pod carries its index's failures on; those before it are not needed.
  const running = Indexes.of(active.flatMap((pod) => completionIndexOf(pod) ?? []));
  const lastFailed = new Map<number, Pod>();
  for (const pod of pods) {
    const index = validIndexOf(pod, job);
    if (index === undefined || !hasFinalizer(pod) || released.has(pod.metadata.uid ?? '')) continue;
    if (!isFailed(pod, job) || running.has(index) || succeeded.has(index) || failed.has(index)) continue;
    const other = lastFailed.get(index);
    if (other === undefined || isLater(pod, other)) lastFailed.set(index, pod);
  }
  return { before, succeeded, failed, lastFailed };
}

function isLater(pod: Pod, other: Pod): boolean {
  return allFailures(other) <= allFailures(pod) && finishedAt(pod) >= finishedAt(other);
}

function failsItsIndex(pod: Pod, job: Job, limit: number): boolean {
  if (!isFailed(pod, job)) return false;
  const { action, counts } = failureVerdict(job.spec.podFailurePolicy, pod);
  return action === 'FailIndex' || (counts && failuresIn(pod, INDEX_FAILURES) >= limit);
}

function failuresIn(pod: Pod, annotation: string): number {
  const text = pod.metadata.annotations?.[annotation] ?? '';
  return /^\d{1,10}$/.test(text) ? Number(text) : 0;
}

function allFailures(pod: Pod): number {
  return failuresIn(pod, INDEX_FAILURES) + failuresIn(pod, IGNORED_INDEX_FAILURES);
}

/** The annotations by which the pod that replaces `last` counts its index's failures. */
export function failureAnnotations(job: Job, last: Pod | undefined): Readonly<Record<string, string>> {
  if (last === undefined) return { [INDEX_FAILURES]: '0' };
  const { counts } = failureVerdict(job.spec.podFailurePolicy, last);
  const failures = failuresIn(last, INDEX_FAILURES) + (counts ? 1 : 0);
  const ignored = failuresIn(last, IGNORED_INDEX_FAILURES) + (counts ? 0 : 1);
  return {
    [INDEX_FAILURES]: String(failures),
    ...(ignored > 0 ? { [IGNORED_INDEX_FAILURES]: String(ignored) } : {}),
  };
}

/** How the job has to end, when it has to before all its completions are there. */
export function endOf({ job, pods, now }: JobView, counts: Tally): JobEnd | undefined {
  const { spec, status } = job;
  for (const type of ['SuccessCriteriaMet', 'FailureTarget']) {
    const target = condition(job, type);
    if (target === undefined) continue;
    const { reason = '', message = '' } = target;
    return { success: type === 'SuccessCriteriaMet', reason, message };
  }
  const failure = (reason: string, message: string): JobEnd => ({ success: false, reason, message });
  for (const pod of pods) {
    if (!isFailed(pod, job)) continue;
    const { message } = failureVerdict(spec.podFailurePolicy, pod);
    if (message !== undefined) return failure('PodFailurePolicy', message);
  }
  const limit = spec.backoffLimit ?? (spec.backoffLimitPerIndex === undefined ? 6 : UNLIMITED);
  if (counts.failed > limit || restartsExceed(job, pods, limit))
    return failure('BackoffLimitExceeded', 'Job has reached the specified backoff limit');
  if ((deadlineIn(job, status?.startTime, now) ?? 1) <= 0)
    return failure('DeadlineExceeded', 'Job was active longer than specified deadline');
  const { indexes } = counts;
  if (indexes === undefined) return undefined;
  const { completions = 0, maxFailedIndexes, successPolicy } = spec;
  const failed = indexes.failed?.total ?? 0;
  if (maxFailedIndexes !== undefined && failed > maxFailedIndexes)
    return failure(
      'MaxFailedIndexesExceeded',
      'Job has exceeded the specified maximal number of failed indexes',
    );
  if (failed > 0 && failed + indexes.succeeded.total >= completions)
    return failure('FailedIndexes', 'Job has failed indexes');
  const message = successMessage(successPolicy, completions, indexes.succeeded);
  return message === undefined ? undefined : { success: true, reason: 'SuccessPolicy', message };
}

/** Of pods that are restarted where they are, the restarts count as failures. */
function restartsExceed({ spec }: Job, pods: readonly Pod[], limit: number): boolean {
  if (spec.template.spec?.restartPolicy !== 'OnFailure') return false;
  let restarts = 0;
  for (const { status } of pods) {
    if (status?.phase !== 'Running' && status?.phase !== 'Pending') continue;
    const { initContainerStatuses = [], containerStatuses = [] } = status;
    for (const { restartCount } of [...initContainerStatuses, ...containerStatuses]) restarts += restartCount;
  }
  return limit === 0 ? restarts > 0 : restarts >= limit;
}

/** Milliseconds until the job has run for too long, negative afterwards; undefined without such a limit. */
export function deadlineIn(job: Job, startTime: string | undefined, now: number): number | undefined {
  const { activeDeadlineSeconds } = job.spec;
  const since = milliseconds(startTime);
  if (activeDeadlineSeconds === undefined || since === undefined || isSuspended(job)) return undefined;
  // Just resumed: its start is about to be set anew.
  if (condition(job, 'Suspended') !== undefined) return undefined;
  return since + activeDeadlineSeconds * 1000 - now;
}

export const COMPLETIONS_REACHED: JobEnd = {
  success: true,
  reason: 'CompletionsReached',
  message: 'Reached expected number of succeeded pods',
};

/** Whether there is nothing left to do: enough have succeeded, and none runs. Without a number one success is enough. */
export function isComplete({ spec }: Job, succeeded: number, active: number): boolean {
  return active === 0 && (spec.completions === undefined ? succeeded > 0 : succeeded >= spec.completions);
}

export type PodPlan =
  | { readonly action: 'none' }
  | { readonly action: 'delete'; readonly pods: readonly Pod[] }
  /** `indexes` of an Indexed job, as many as `count`. */
  | { readonly action: 'create'; readonly count: number; readonly indexes: readonly number[] | undefined }
  /** Nothing before the back-off is over. */
  | { readonly action: 'wait'; readonly delay: number };

/** What to do so that as many pods run as should. */
export function planPods(view: JobView, counts: Tally, backoff: BackoffRecord): PodPlan {
  const { job, now } = view;
  const { active, terminating, indexes } = counts;
  const wanted = isSuspended(job) ? 0 : wantedPods(job, counts);
  const surplus = isSuspended(job)
    ? [...active]
    : surplusPods(view, active, Math.max(0, active.length - wanted)).slice(0, BURST);
  if (surplus.length > 0) return { action: 'delete', pods: surplus };
  const missing = wanted - active.length - (replacesOnlyFailed(job) ? terminating : 0);
  if (missing <= 0 || isSuspended(job)) return { action: 'none' };
  const perIndex = job.spec.backoffLimitPerIndex !== undefined;
  const delay = perIndex ? 0 : remainingBackoff(backoff, now);
  if (delay > 0) return { action: 'wait', delay };
  const count = Math.min(missing, BURST);
  if (indexes === undefined) return { action: 'create', count, indexes: undefined };
  return planIndexes(view, active, indexes, count);
}

function wantedPods({ spec }: Job, { active, succeeded }: Tally): number {
  const { completions, parallelism = 1 } = spec;
  // Without a number of completions the first success means that no more are needed; those that run may end.
  if (completions === undefined) return succeeded > 0 ? active.length : parallelism;
  return Math.max(0, Math.min(completions - succeeded, parallelism));
}

function planIndexes(
  { job, pods, now }: JobView,
  active: readonly Pod[],
  { succeeded, failed = Indexes.NONE, lastFailed }: IndexTally,
  count: number,
): PodPlan {
  const occupied = [...active, ...(replacesOnlyFailed(job) ? pods.filter(isLeaving) : [])];
  const missing = succeeded
    .union(failed)
    .union(Indexes.of(occupied.flatMap((pod) => completionIndexOf(pod) ?? [])))
    .firstMissing(count, job.spec.completions ?? 0);
  const delays = missing.map((index) => {
    const last = lastFailed.get(index);
    if (last === undefined) return 0;
    return remainingBackoff({ failures: allFailures(last) + 1, lastFailure: finishedAt(last) }, now);
  });
  const due = missing.filter((_, position) => delays[position] === 0);
  if (due.length > 0) return { action: 'create', count: due.length, indexes: due };
  return missing.length > 0 ? { action: 'wait', delay: Math.min(...delays) } : { action: 'none' };
}

function isLeaving(pod: Pod): boolean {
  return isPodTerminating(pod) && !isPodTerminal(pod);
}

/** At least `count` pods to delete; of an Indexed job all without a valid index, and all but one of each index. */
function surplusPods({ job, now }: JobView, active: readonly Pod[], count: number): Pod[] {
  if (!isIndexed(job)) return rankForDeletion(active, [], now).slice(0, count);
  const surplus: Pod[] = [];
  const byIndex = new Map<number, Pod[]>();
  for (const pod of active) {
    const index = validIndexOf(pod, job);
    if (index === undefined) surplus.push(pod);
    else byIndex.set(index, [...(byIndex.get(index) ?? []), pod]);
  }
  const left: Pod[] = [];
  for (const same of byIndex.values()) {
    const ranked = same.length === 1 ? same : rankForDeletion(same, [], now);
    surplus.push(...ranked.slice(0, -1));
    left.push(...ranked.slice(-1));
  }
  const further = count - surplus.length;
  return further > 0 ? [...surplus, ...rankForDeletion(left, [], now).slice(0, further)] : surplus;
}
