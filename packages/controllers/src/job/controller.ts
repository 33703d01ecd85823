import { isDeepStrictEqual } from 'node:util';

import { batchv1, corev1 } from '@k8ts/api';
import {
  SelectorError,
  formatTime,
  isNotFound,
  labelSelectorFromObject,
  matchesLabels,
} from '@k8ts/apimachinery';
import type { LabelSelector } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import { controllerOf, objectKey } from '@k8ts/client';
import type { Informer } from '@k8ts/client';

import type { Controller, ControllerContext, ControllerDefinition } from '../contract.ts';
import { Expectations } from '../expectations.ts';
import { isNamespaceTerminating } from '../namespace-terminating.ts';
import { identityOf } from '../object-identity.ts';
import { createPodFor, deletePod } from '../owned-pods.ts';
import { eventsRule, rule } from '../permissions.ts';
import { BY_CONTROLLER, orphansOf, podsInformer } from '../pod-indexes.ts';
import { isPodReady, isPodTerminating } from '../pod-state.ts';
import { claimObjects } from '../ref-manager.ts';
import { slowStart } from '../slow-start.ts';
import { NO_FAILURES, nextBackoffRecord } from './backoff.ts';
import type { BackoffRecord } from './backoff.ts';
import { createJobMetrics } from './job-metrics.ts';
import { indexedPrefix, indexedTemplate, trackedTemplate } from './job-pods.ts';
import {
  COMPLETIONS_REACHED,
  TRACKING_FINALIZER,
  deadlineIn,
  endOf,
  finishedCondition,
  hasFinalizer,
  isComplete,
  isSuspended,
  planPods,
  tally,
} from './plan.ts';
import type { JobEnd, JobView, PodPlan, Tally } from './plan.ts';
import { countReleased, finished, track, wireStatus, withCondition } from './tracking.ts';

type Job = batchv1.Job;
type Pod = corev1.Pod;
type Status = batchv1.JobStatus;

/** What happens to a job's pods within so many milliseconds is looked at together. */
const BATCH_PERIOD = 1000;
const OWN_NAME = 'kubernetes.io/job-controller';
const COMPLETION_MODES: readonly (string | undefined)[] = [undefined, 'NonIndexed', 'Indexed'];
/** Keys of pods whose finalizer nobody needs any more, beside those of jobs. */
const POD = 'pod:';

/** Runs pods until enough of them have succeeded. */
export const jobController: ControllerDefinition = {
  name: 'job-controller',
  account: 'job-controller',
  permissions: [
    rule(['get', 'list', 'watch', 'update', 'patch'], ['batch'], ['jobs']),
    rule(['update'], ['batch'], ['jobs/status']),
    rule(['update'], ['batch'], ['jobs/finalizers']),
    rule(['list', 'watch', 'create', 'delete', 'patch'], [''], ['pods']),
    eventsRule,
  ],
  queue: 'job',
  workers: 5,
  maxRetries: undefined,
  eventSource: 'job-controller',
  create: (context) => new JobController(context),
};

/** What became of the pods in one turn. */
interface Changes {
  readonly active: number;
  readonly ready: number;
  readonly terminating: number;
  readonly error: unknown;
}

class JobController implements Controller {
  readonly #context: ControllerContext;
  readonly #jobs: Informer<Job>;
  readonly #pods: Informer<Pod>;
  readonly #expectations: Expectations;
  /** By job: UIDs of pods whose finalizer was removed, until the cache shows it. */
  readonly #released = new Map<string, Set<string>>();
  readonly #backoffs = new Map<string, BackoffRecord>();
  readonly #metrics;

  constructor(context: ControllerContext) {
    this.#context = context;
    const { informers, queue, clock, metrics } = context;
    this.#expectations = new Expectations(clock);
    this.#metrics = createJobMetrics(metrics);
    this.#jobs = informers.of(batchv1.jobs);
    this.#pods = podsInformer(informers);
    this.#jobs.addHandler({
      added: (job) => {
        queue.add(objectKey(job));
        const manager = otherManager(job);
        if (manager !== undefined) this.#metrics.managedByOthers.increment([manager]);
      },
      updated: (job, previous) => this.#jobUpdated(job, previous),
      deleted: (job) => {
        queue.add(objectKey(job));
        this.#releasePodsOf(job);
      },
    });
    this.#pods.addHandler({
      added: (pod) => this.#podAdded(pod),
      updated: (pod, previous) => this.#podUpdated(pod, previous),
      deleted: (pod) => this.#podDeleted(pod, true),
    });
  }

  #enqueue(job: Job): void {
    this.#context.queue.addAfter(objectKey(job), BATCH_PERIOD);
  }

  #jobUpdated(job: Job, previous: Job): void {
    const { queue, clock } = this.#context;
    if (job.metadata.generation === previous.metadata.generation) this.#enqueue(job);
    else queue.add(objectKey(job));
    // It should have released them all before; if not, nobody else will.
    if (finishedCondition(job) !== undefined) this.#releasePodsOf(job);
    const deadline = deadlineIn(job, job.status?.startTime, clock.now());
    if (deadline !== undefined && job.spec.activeDeadlineSeconds !== previous.spec.activeDeadlineSeconds)
      queue.addAfter(objectKey(job), deadline);
  }

  #podAdded(pod: Pod): void {
    if (isPodTerminating(pod)) {
      this.#podDeleted(pod, false);
      return;
    }
    if (controllerOf(pod) === undefined) {
      this.#orphanSeen(pod);
      this.#enqueueAdopters(pod);
      return;
    }
    const job = this.#jobOf(pod);
    if (job === undefined) return;
    this.#expectations.creationObserved(objectKey(job));
    this.#enqueue(job);
  }

  #podUpdated(pod: Pod, previous: Pod): void {
    if (pod.metadata.resourceVersion === previous.metadata.resourceVersion) return;
    if (isPodTerminating(pod)) {
      this.#podDeleted(pod, false);
      return;
    }
    const [now, before] = [controllerOf(pod), controllerOf(previous)];
    const moved = now?.uid !== before?.uid;
    if (moved) this.#ownPodChanged(pod, this.#jobOf(previous));
    if (now !== undefined) {
      this.#ownPodChanged(pod, this.#jobOf(pod));
      return;
    }
    this.#orphanSeen(pod);
    if (moved || !isDeepStrictEqual(pod.metadata.labels, previous.metadata.labels))
      this.#enqueueAdopters(pod);
  }

  #ownPodChanged(pod: Pod, job: Job | undefined): void {
    if (job === undefined) return;
    if (!hasFinalizer(pod)) this.#released.get(objectKey(job))?.delete(pod.metadata.uid ?? '');
    this.#enqueue(job);
  }

  /** It is gone, or (`final` false) on its way out. */
  #podDeleted(pod: Pod, final: boolean): void {
    const job = this.#jobOf(pod);
    if (job === undefined || finishedCondition(job) !== undefined) {
      // The job will not remove the finalizer. Pods of other owners are told apart when it comes to it.
      if (!final && hasFinalizer(pod)) this.#context.queue.add(POD + objectKey(pod));
      return;
    }
    const key = objectKey(job);
    this.#expectations.deletionObserved(key, objectKey(pod));
    if (final || !hasFinalizer(pod)) this.#released.get(key)?.delete(pod.metadata.uid ?? '');
    this.#enqueue(job);
  }

  #orphanSeen(pod: Pod): void {
    if (hasFinalizer(pod)) this.#context.queue.add(POD + objectKey(pod));
  }

  #enqueueAdopters(pod: Pod): void {
    for (const job of this.#jobs.lister.list(pod.metadata.namespace ?? '')) {
      const selector = this.#selectorOf(job);
      if (selector !== undefined && matchesLabels(selector, pod.metadata.labels)) this.#enqueue(job);
    }
  }

  #releasePodsOf(job: Job): void {
    for (const pod of this.#pods.lister.byIndex(BY_CONTROLLER, job.metadata.uid ?? '')) this.#orphanSeen(pod);
  }

  #jobOf(pod: Pod): Job | undefined {
    const reference = controllerOf(pod);
    if (reference?.kind !== batchv1.jobs.kind) return undefined;
    const job = this.#jobs.lister.get(pod.metadata.namespace ?? '', reference.name);
    return job?.metadata.uid === reference.uid ? job : undefined;
  }

  #selectorOf(job: Job): LabelSelector | undefined {
    try {
      return labelSelectorFromObject(job.spec.selector);
    } catch (error) {
      if (!(error instanceof SelectorError)) throw error;
      this.#context.logger.warn('invalid selector', { key: objectKey(job), error: errorMessage(error) });
      return undefined;
    }
  }

  async reconcile(key: string): Promise<void> {
    if (key.startsWith(POD)) return this.#releaseOrphan(key.slice(POD.length));
    const job = this.#jobs.lister.byKey(key);
    if (job === undefined) {
      this.#expectations.forget(key);
      this.#released.delete(key);
      this.#backoffs.delete(key);
      return;
    }
    if (otherManager(job) !== undefined) return;
    if (finishedCondition(job) !== undefined) {
      this.#released.delete(key);
      this.#backoffs.delete(key);
      return;
    }
    if (!COMPLETION_MODES.includes(job.spec.completionMode)) {
      this.#event(
        job,
        'Warning',
        'UnknownCompletionMode',
        'Skipped Job sync because completion mode is unknown',
      );
      return;
    }
    await this.#sync(key, job);
  }

  async #sync(key: string, cached: Job): Promise<void> {
    const { clock, queue } = this.#context;
    // Before the pods are read: what is made in between must not count as seen.
    const satisfied = this.#expectations.satisfied(key);
    const pods = await this.#claim(cached);
    if (pods === undefined) return;
    const now = clock.now();
    const job = started(cached, now);
    const view: JobView = { job, pods, released: new Set(this.#released.get(key)), now };
    const counts = tally(view);
    const backoff = nextBackoffRecord(
      this.#backoffs.get(key) ?? NO_FAILURES,
      counts.newSucceeded,
      counts.newFailed,
    );
    let end = endOf(view, counts);
    let { status = {} } = job;
    let changes = unchanged(counts);
    if (end !== undefined) {
      changes = await this.#stop(job, counts);
      // Pods that are still there, or not in the cache yet, have to be counted first.
      if (changes.active > 0 || !satisfied) end = undefined;
    } else {
      const deadline = deadlineIn(job, status.startTime, now);
      if (deadline !== undefined) queue.addAfter(key, deadline);
      const manages = satisfied && job.metadata.deletionTimestamp === undefined;
      if (manages) changes = await this.#manage(job, key, counts, planPods(view, counts, backoff));
      if (isComplete(job, counts.succeeded, changes.active)) end = COMPLETIONS_REACHED;
      else if (manages) status = this.#suspended(job, status, now);
    }
    const { active, ready, terminating, error } = changes;
    await this.#count(cached, view, counts, { ...status, active, ready, terminating }, end, backoff);
    if (error !== undefined) throw error as Error;
  }

  async #claim(job: Job): Promise<Pod[] | undefined> {
    const selector = this.#selectorOf(job);
    if (selector === undefined) return undefined;
    const { namespace = '', uid = '' } = job.metadata;
    const claimed = await claimObjects({
      client: this.#context.client,
      owner: job,
      ownerType: batchv1.jobs,
      type: corev1.pods,
      selector,
      objects: [
        ...this.#pods.lister.byIndex(BY_CONTROLLER, uid),
        ...this.#pods.lister.byIndex(BY_CONTROLLER, orphansOf(namespace)),
      ],
      finalizer: TRACKING_FINALIZER,
    });
    // What was adopted just now has the finalizer, though the cache does not show it.
    return claimed.map((pod) =>
      controllerOf(pod) !== undefined || hasFinalizer(pod)
        ? pod
        : {
            ...pod,
            metadata: {
              ...pod.metadata,
              finalizers: [...(pod.metadata.finalizers ?? []), TRACKING_FINALIZER],
            },
          },
    );
  }

  /** Deletes what runs, and leaves the finalizers, so that it is counted. */
  async #stop(job: Job, counts: Tally): Promise<Changes> {
    const removed = await this.#deleteAll(counts.active, (pod) => this.#deletePod(job, pod));
    return withoutPods(counts, removed.pods, removed.error);
  }

  async #manage(job: Job, key: string, counts: Tally, plan: PodPlan): Promise<Changes> {
    if (plan.action === 'wait') this.#context.queue.addAfter(key, Math.max(plan.delay, BATCH_PERIOD));
    if (plan.action === 'delete') {
      this.#expectations.expectDeletions(key, plan.pods.map(objectKey));
      // Not wanted any more: their end is nothing to be counted.
      const removed = await this.#deleteAll(plan.pods, async (pod) => {
        try {
          await this.#removeFinalizer(pod);
          // Gone already: no event will tell.
          if (!(await this.#deletePod(job, pod))) this.#expectations.deletionObserved(key, objectKey(pod));
        } catch (error) {
          this.#expectations.deletionObserved(key, objectKey(pod));
          throw error;
        }
      });
      return withoutPods(counts, removed.pods, removed.error);
    }
    if (plan.action !== 'create') return unchanged(counts);
    this.#expectations.expectCreations(key, plan.count);
    const template = trackedTemplate(job);
    const { successes, error } = await slowStart(plan.count, (position) => {
      const index = plan.indexes?.[position];
      if (index === undefined) return createPodFor(this.#context, template, job, batchv1.jobs);
      const indexed = indexedTemplate(job, index, counts.indexes?.lastFailed.get(index));
      const prefix = indexedPrefix(job.metadata.name, index);
      return createPodFor(this.#context, indexed, job, batchv1.jobs, prefix);
    });
    for (let skipped = plan.count - successes; skipped > 0; skipped--)
      this.#expectations.creationObserved(key);
    return {
      ...unchanged(counts),
      active: counts.active.length + successes,
      error: isNamespaceTerminating(error) ? undefined : error,
    };
  }

  /** Says that the job is suspended, or that it goes on; its deadline counts from then. */
  #suspended(job: Job, status: Status, now: number): Status {
    const before = status.conditions ?? [];
    const suspended = isSuspended(job);
    const conditions = suspended
      ? withCondition(before, 'Suspended', 'True', { reason: 'JobSuspended', message: 'Job suspended' }, now)
      : withCondition(before, 'Suspended', 'False', { reason: 'JobResumed', message: 'Job resumed' }, now);
    if (conditions === before) return status;
    if (suspended) this.#event(job, 'Normal', 'Suspended', 'Job suspended');
    else this.#event(job, 'Normal', 'Resumed', 'Job resumed');
    return { ...status, conditions, ...(suspended ? {} : { startTime: formatTime(now) }) };
  }

  /** Counts the pods that ended; see `track`. Then says that the job has finished, once that is so. */
  async #count(
    cached: Job,
    view: JobView,
    counts: Tally,
    before: Status,
    end: JobEnd | undefined,
    backoff: BackoffRecord,
  ): Promise<void> {
    const key = objectKey(cached);
    const { status, release, withFinalizer, partial, policyActions } = track(view, counts, before, end);
    const listed = await this.#writeStatus(cached, status);
    if (listed === undefined) return;
    if (listed !== cached) this.#backoffs.set(key, backoff);
    for (const [action, count] of policyActions) this.#metrics.policyActions.increment([action], count);

    const left = new Set(withFinalizer);
    const failure = await this.#releaseAll(key, release, (uid) => left.delete(uid));
    let next = countReleased(status, left);
    if (failure !== undefined) {
      await this.#writeStatus(listed, next);
      throw failure as Error;
    }
    const ended = end === undefined || partial ? undefined : finished(next, end, view.now);
    next = ended ?? next;
    const written = await this.#writeStatus(listed, next);
    if (written === undefined) return;
    if (ended !== undefined && end !== undefined) this.#recordEnd(written, end);
  }

  #recordEnd(job: Job, { success, reason, message }: JobEnd): void {
    const mode = job.spec.completionMode ?? 'NonIndexed';
    const { completions } = job.spec;
    if (success) {
      if (completions !== undefined && (job.status?.succeeded ?? 0) > completions)
        this.#event(
          job,
          'Warning',
          'TooManySucceededPods',
          'Too many succeeded pods running after completion count reached',
        );
      this.#event(job, 'Normal', 'Completed', 'Job completed');
    } else this.#event(job, 'Warning', reason, message);
    this.#metrics.jobsFinished.increment([mode, success ? 'succeeded' : 'failed', success ? '' : reason]);
  }

  /** The job with the status written; the same one when there was nothing to write, undefined when it is gone. */
  async #writeStatus(job: Job, wanted: Status): Promise<Job | undefined> {
    const status = wireStatus(wanted);
    if (isDeepStrictEqual(job.status, status)) return job;
    const mode = job.spec.completionMode ?? 'NonIndexed';
    try {
      const written = await this.#context.client
        .resource(batchv1.jobs, job.metadata.namespace)
        .updateStatus({ ...job, status });
      for (const result of ['succeeded', 'failed'] as const) {
        const more = (status[result] ?? 0) - (job.status?.[result] ?? 0);
        if (more > 0) this.#metrics.podsFinished.increment([mode, result], more);
      }
      return { ...written, status };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** Calls `done` with the UID of each pod that has no finalizer any more; returns the first error. */
  async #releaseAll(key: string, pods: readonly Pod[], done: (uid: string) => void): Promise<unknown> {
    if (pods.length === 0) return undefined;
    const released = this.#released.get(key) ?? new Set();
    this.#released.set(key, released);
    const results = await Promise.allSettled(
      pods.map(async (pod) => {
        const { uid = '' } = pod.metadata;
        released.add(uid);
        try {
          if (!(await this.#removeFinalizer(pod))) released.delete(uid); // gone: no event will tell
        } catch (error) {
          released.delete(uid);
          throw error;
        }
        done(uid);
      }),
    );
    return results.find((result) => result.status === 'rejected')?.reason;
  }

  /** False when the pod is gone. */
  async #removeFinalizer(pod: Pod): Promise<boolean> {
    const { namespace, name, uid } = pod.metadata;
    if (!hasFinalizer(pod)) return true;
    const metadata = { uid, '$deleteFromPrimitiveList/finalizers': [TRACKING_FINALIZER] };
    try {
      await this.#context.client
        .resource(corev1.pods, namespace)
        .patch(name, { metadata }, { type: 'strategic' });
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  /** False when the pod is gone already. */
  async #deletePod(job: Job, pod: Pod): Promise<boolean> {
    try {
      await deletePod(this.#context, pod, job, batchv1.jobs);
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  async #deleteAll(
    pods: readonly Pod[],
    remove: (pod: Pod) => Promise<unknown>,
  ): Promise<{ readonly pods: readonly Pod[]; readonly error: unknown }> {
    const results = await Promise.allSettled(pods.map(remove));
    return {
      pods: pods.filter((_, position) => results[position]?.status === 'fulfilled'),
      error: results.find((result) => result.status === 'rejected')?.reason,
    };
  }

  async #releaseOrphan(key: string): Promise<void> {
    const pod = this.#pods.lister.byKey(key);
    if (pod === undefined || !hasFinalizer(pod)) return;
    const reference = controllerOf(pod);
    if (reference !== undefined) {
      if (reference.kind !== batchv1.jobs.kind || reference.apiVersion !== 'batch/v1') return;
      const job = this.#jobOf(pod);
      if (job !== undefined && otherManager(job) !== undefined) return;
      if (job !== undefined && finishedCondition(job) === undefined) return; // adopted meanwhile
    }
    await this.#removeFinalizer(pod);
  }

  #event(job: Job, type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#context.recorder.event(identityOf(job, batchv1.jobs), type, reason, message);
  }
}

/** Who looks after the job, when it is not this controller (KEP-4368). */
function otherManager({ spec }: Job): string | undefined {
  return spec.managedBy === OWN_NAME ? undefined : spec.managedBy;
}

/** The job with what its status has from its first turn on. */
function started(job: Job, now: number): Job {
  const { status = {} } = job;
  const startTime = status.startTime ?? (isSuspended(job) ? undefined : formatTime(now));
  return {
    ...job,
    status: {
      ...status,
      ...(startTime === undefined ? {} : { startTime }),
      uncountedTerminatedPods: status.uncountedTerminatedPods ?? {},
    },
  };
}

function unchanged({ active, ready, terminating }: Tally): Changes {
  return { active: active.length, ready, terminating, error: undefined };
}

/** What is left when these active pods are told to end. */
function withoutPods(
  { active, ready, terminating }: Tally,
  removed: readonly Pod[],
  error: unknown,
): Changes {
  return {
    active: active.length - removed.length,
    ready: ready - removed.filter(isPodReady).length,
    terminating: terminating + removed.length,
    error,
  };
}
