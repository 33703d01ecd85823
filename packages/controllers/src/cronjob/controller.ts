import { isDeepStrictEqual } from 'node:util';

import { batchv1 } from '@k8ts/api';
import { goQuote, isAlreadyExists, isNotFound, isTimeZone, formatTime } from '@k8ts/apimachinery';
import type { CronSchedule } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import type { Histogram } from '@k8ts/base';
import { controllerOf, isControlledBy, objectKey } from '@k8ts/client';
import type { Informer, ResourceClient } from '@k8ts/client';

import type { Controller, ControllerContext, ControllerDefinition } from '../contract.ts';
import { finishedCondition } from '../job/plan.ts';
import { isNamespaceTerminating } from '../namespace-terminating.ts';
import { identityOf } from '../object-identity.ts';
import { eventsRule, rule } from '../permissions.ts';
import { BY_CONTROLLER } from '../pod-indexes.ts';
import { milliseconds } from '../pod-state.ts';
import { beyondLimit, jobFor, jobName, referenceTo } from './cron-jobs.ts';
import { dueTime, isTooLate, scheduleOf, untilNext } from './schedule.ts';

type CronJob = batchv1.CronJob;
type Job = batchv1.Job;

/** Starts jobs at the times of a schedule. */
export const cronJobController: ControllerDefinition = {
  name: 'cronjob-controller',
  account: 'cronjob-controller',
  permissions: [
    rule(['get', 'list', 'watch', 'update'], ['batch'], ['cronjobs']),
    rule(['get', 'list', 'watch', 'create', 'update', 'delete', 'patch'], ['batch'], ['jobs']),
    rule(['update'], ['batch'], ['cronjobs/status']),
    rule(['update'], ['batch'], ['cronjobs/finalizers']),
    rule(['list', 'delete'], [''], ['pods']),
    eventsRule,
  ],
  queue: 'cronjob',
  workers: 5,
  maxRetries: undefined,
  eventSource: 'cronjob-controller',
  create: (context) => new CronJobController(context),
};

/** A cron job while it is looked at. */
interface Turn {
  /** As it was read. */
  read: CronJob;
  /** With its status as it is to be written. */
  cronJob: CronJob;
  readonly now: number;
}

class CronJobController implements Controller {
  readonly #context: ControllerContext;
  readonly #cronJobs: Informer<CronJob>;
  readonly #jobs: Informer<Job>;
  readonly #localZone: string;
  readonly #skew: Histogram;

  constructor(context: ControllerContext) {
    this.#context = context;
    const { informers, queue, metrics, options } = context;
    this.#localZone = options.timeZone ?? 'Local';
    this.#skew = metrics.histogram({
      name: 'cronjob_controller_job_creation_skew_duration_seconds',
      help: 'Time between when a cronjob is scheduled to be run, and when the corresponding job is created',
      buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
    });
    this.#cronJobs = informers.of(batchv1.cronJobs);
    this.#jobs = informers.of(batchv1.jobs);
    this.#jobs.addIndex(BY_CONTROLLER, (job) => {
      const uid = controllerOf(job)?.uid;
      return uid === undefined ? [] : [uid];
    });
    const enqueue = (cronJob: CronJob): void => queue.add(objectKey(cronJob));
    this.#cronJobs.addHandler({
      added: enqueue,
      updated: (cronJob, previous) => this.#updated(cronJob, previous),
      deleted: enqueue,
    });
    const enqueueOwner = (job: Job): void => {
      const owner = this.#ownerOf(job);
      if (owner !== undefined) enqueue(owner);
    };
    this.#jobs.addHandler({
      added: enqueueOwner,
      updated: (job, previous) => {
        if (controllerOf(job)?.uid !== controllerOf(previous)?.uid) enqueueOwner(previous);
        enqueueOwner(job);
      },
      deleted: enqueueOwner,
    });
  }

  #ownerOf(job: Job): CronJob | undefined {
    const reference = controllerOf(job);
    if (reference?.kind !== batchv1.cronJobs.kind) return undefined;
    const owner = this.#cronJobs.lister.get(job.metadata.namespace ?? '', reference.name);
    return owner?.metadata.uid === reference.uid ? owner : undefined;
  }

  /** A new schedule counts from its next time on. */
  #updated(cronJob: CronJob, previous: CronJob): void {
    const { queue, clock } = this.#context;
    const [now, before] = [cronJob.spec, previous.spec];
    if (now.schedule === before.schedule && now.timeZone === before.timeZone) {
      queue.add(objectKey(cronJob));
      return;
    }
    try {
      const next = untilNext(cronJob, scheduleOf(cronJob, this.#localZone), clock.now());
      if (next !== undefined) queue.addAfter(objectKey(cronJob), next);
    } catch {
      this.#warn(
        cronJob,
        'UnParseableCronJobSchedule',
        `unparseable schedule for cronjob: ${cronJob.spec.schedule}`,
      );
    }
  }

  async reconcile(key: string): Promise<void> {
    const { clock, queue } = this.#context;
    const cached = this.#cronJobs.lister.byKey(key);
    if (cached === undefined) return;
    const jobs = this.#jobs.lister.byIndex(BY_CONTROLLER, cached.metadata.uid ?? '');
    const turn: Turn = { read: cached, cronJob: cached, now: clock.now() };
    await this.#removeFinished(turn, jobs);
    let next: number | undefined;
    let failure: unknown;
    try {
      await this.#followJobs(turn, jobs);
      next = await this.#start(turn);
    } catch (error) {
      failure = error;
    }
    await this.#writeStatus(turn);
    if (failure !== undefined) throw failure as Error;
    if (next !== undefined) queue.addAfter(key, next);
  }

  /** Deletes jobs that finished, but for the last so many. */
  async #removeFinished(turn: Turn, jobs: readonly Job[]): Promise<void> {
    const { successfulJobsHistoryLimit, failedJobsHistoryLimit } = turn.cronJob.spec;
    const ended = (type: string): readonly Job[] =>
      jobs.filter((job) => finishedCondition(job)?.type === type);
    const surplus = [
      ...beyondLimit(ended('Complete'), successfulJobsHistoryLimit),
      ...beyondLimit(ended('Failed'), failedJobsHistoryLimit),
    ];
    for (const job of surplus) await this.#deleteJob(turn, job);
  }

  async #deleteJob(turn: Turn, job: Job): Promise<boolean> {
    const { name, uid } = job.metadata;
    try {
      await this.#jobsOf(turn).delete(name, { propagationPolicy: 'Background' });
    } catch (error) {
      this.#warn(turn.cronJob, 'FailedDelete', `Deleted job: ${errorMessage(error)}`);
      return false;
    }
    forgetActive(turn, uid);
    this.#tell(turn.cronJob, 'SuccessfulDelete', `Deleted job ${name}`);
    return true;
  }

  /** Brings the list of active jobs, and when the last one succeeded, up to date. */
  async #followJobs(turn: Turn, jobs: readonly Job[]): Promise<void> {
    const { namespace, name } = turn.cronJob.metadata;
    for (const job of jobs) {
      const condition = finishedCondition(job);
      const listed = isActive(turn.cronJob, job);
      if (condition === undefined) {
        if (listed) continue;
        // The cache may be older than the job.
        const fresh = await this.#context.client.resource(batchv1.cronJobs, namespace).get(name);
        if (isActive(fresh, job)) turn.read = turn.cronJob = fresh;
        else
          this.#warn(
            turn.cronJob,
            'UnexpectedJob',
            `Saw a job that the controller did not create or forgot: ${job.metadata.name}`,
          );
        continue;
      }
      if (listed) {
        forgetActive(turn, job.metadata.uid);
        this.#tell(
          turn.cronJob,
          'SawCompletedJob',
          `Saw completed job: ${job.metadata.name}, condition: ${condition.type}`,
        );
      }
      if (condition.type === 'Complete') noteSuccess(turn, job);
    }
    const known = new Set(jobs.map(({ metadata }) => metadata.uid));
    for (const { uid, name: job = '' } of turn.cronJob.status?.active ?? []) {
      if (known.has(uid)) continue;
      try {
        await this.#jobsOf(turn).get(job);
      } catch (error) {
        if (!isNotFound(error)) throw error;
        this.#tell(turn.cronJob, 'MissingJob', `Active job went missing: ${job}`);
        forgetActive(turn, uid);
      }
    }
  }

  /** Starts a job if it is time to; returns the milliseconds until the next time. */
  async #start(turn: Turn): Promise<number | undefined> {
    const { cronJob, now } = turn;
    const { spec, metadata, status } = cronJob;
    if (metadata.deletionTimestamp !== undefined) return undefined;
    if (spec.timeZone !== undefined && !isTimeZone(spec.timeZone)) {
      const zone = spec.timeZone;
      this.#warn(cronJob, 'UnknownTimeZone', `invalid timeZone: ${goQuote(zone)}: unknown time zone ${zone}`);
      return undefined;
    }
    if (spec.suspend === true) return undefined;
    const schedule = this.#readSchedule(cronJob);
    if (schedule === undefined) return undefined;
    let time: number | undefined;
    try {
      const due = dueTime(cronJob, schedule, now);
      time = due.time;
      if (due.tooMany)
        this.#warn(
          cronJob,
          'TooManyMissedTimes',
          'too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew',
        );
    } catch (error) {
      this.#warn(cronJob, 'InvalidSchedule', `invalid schedule: ${spec.schedule} : ${errorMessage(error)}`);
      return undefined;
    }
    if (time === undefined) return untilNext(cronJob, schedule, now);
    if (isTooLate(cronJob, time, now)) {
      this.#warn(cronJob, 'MissSchedule', `Missed scheduled time to start a job: ${rfc1123(time)}`);
      return untilNext(cronJob, schedule, now);
    }
    const active = status?.active ?? [];
    const isStarted = active.some(({ name }) => name === jobName(cronJob, time));
    if (isStarted || milliseconds(status?.lastScheduleTime) === time)
      return untilNext(cronJob, schedule, now);
    if (spec.concurrencyPolicy === 'Forbid' && active.length > 0) {
      this.#tell(
        cronJob,
        'JobAlreadyActive',
        'Not starting job because prior execution is running and concurrency policy is Forbid',
      );
      return untilNext(cronJob, schedule, now);
    }
    if (spec.concurrencyPolicy === 'Replace') await this.#removeActive(turn);
    const job = await this.#createJob(turn, time);
    if (job === undefined) return undefined;
    const { status: current = {} } = turn.cronJob;
    turn.cronJob = {
      ...turn.cronJob,
      status: {
        ...current,
        active: [...(current.active ?? []), referenceTo(job)],
        lastScheduleTime: formatTime(time),
      },
    };
    return untilNext(turn.cronJob, schedule, now);
  }

  #readSchedule(cronJob: CronJob): CronSchedule | undefined {
    const { schedule } = cronJob.spec;
    if (schedule.includes('TZ'))
      this.#warn(
        cronJob,
        'UnsupportedSchedule',
        `CRON_TZ or TZ used in schedule ${goQuote(schedule)} is not officially supported, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details`,
      );
    try {
      return scheduleOf(cronJob, this.#localZone);
    } catch (error) {
      this.#warn(
        cronJob,
        'UnparseableSchedule',
        `unparseable schedule: ${goQuote(schedule)} : ${errorMessage(error)}`,
      );
      return undefined;
    }
  }

  async #removeActive(turn: Turn): Promise<void> {
    for (const { name = '', namespace = '' } of turn.cronJob.status?.active ?? []) {
      let job: Job;
      try {
        job = await this.#jobsOf(turn).get(name);
      } catch (error) {
        this.#warn(turn.cronJob, 'FailedGet', `Get job: ${errorMessage(error)}`);
        throw error;
      }
      if (!(await this.#deleteJob(turn, job))) throw new Error(`could not replace job ${namespace}/${name}`);
    }
  }

  /** Undefined when the job is there already and in the list, or is not this cron job's. */
  async #createJob(turn: Turn, time: number): Promise<Job | undefined> {
    const { cronJob } = turn;
    try {
      const job = await this.#jobsOf(turn).create(jobFor(cronJob, time));
      const created = milliseconds(job.metadata.creationTimestamp) ?? turn.now;
      this.#skew.observe((created - time) / 1000);
      this.#tell(cronJob, 'SuccessfulCreate', `Created job ${job.metadata.name}`);
      return job;
    } catch (error) {
      if (!isAlreadyExists(error)) {
        if (!isNamespaceTerminating(error))
          this.#warn(cronJob, 'FailedCreate', `Error creating job: ${errorMessage(error)}`);
        throw error;
      }
    }
    // Made before, and the status could not be written then; or made by somebody else.
    const job = await this.#jobsOf(turn).get(jobName(cronJob, time));
    return isControlledBy(job, cronJob) && !isActive(cronJob, job) ? job : undefined;
  }

  async #writeStatus({ cronJob, read }: Turn): Promise<void> {
    const { active = [], ...others } = cronJob.status ?? {};
    const status = { ...others, ...(active.length > 0 ? { active } : {}) };
    if (isDeepStrictEqual(read.status ?? {}, status)) return;
    try {
      await this.#context.client
        .resource(batchv1.cronJobs, cronJob.metadata.namespace)
        .updateStatus({ ...cronJob, status });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  #jobsOf({ cronJob }: Turn): ResourceClient<Job> {
    return this.#context.client.resource(batchv1.jobs, cronJob.metadata.namespace);
  }

  #tell(cronJob: CronJob, reason: string, message: string): void {
    this.#context.recorder.event(identityOf(cronJob, batchv1.cronJobs), 'Normal', reason, message);
  }

  #warn(cronJob: CronJob, reason: string, message: string): void {
    this.#context.recorder.event(identityOf(cronJob, batchv1.cronJobs), 'Warning', reason, message);
  }
}

function isActive({ status }: CronJob, { metadata }: Job): boolean {
  return status?.active?.some(({ uid }) => uid === metadata.uid) === true;
}

function forgetActive(turn: Turn, uid: string | undefined): void {
  const { cronJob } = turn;
  const active = (cronJob.status?.active ?? []).filter((reference) => reference.uid !== uid);
  turn.cronJob = { ...cronJob, status: { ...cronJob.status, active } };
}

function noteSuccess(turn: Turn, { status }: Job): void {
  const { cronJob } = turn;
  const time = milliseconds(status?.completionTime);
  if (time === undefined || time <= (milliseconds(cronJob.status?.lastSuccessfulTime) ?? -Infinity)) return;
  turn.cronJob = { ...cronJob, status: { ...cronJob.status, lastSuccessfulTime: formatTime(time) } };
}

/** `Thu, 01 Jan 2026 00:00:00 +0000` */
function rfc1123(time: number): string {
  return new Date(time).toUTCString().replace('GMT', '+0000');
}
