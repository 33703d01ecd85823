import type { batchv1 } from '@k8ts/api';
import { isTimeZone, parseCronSchedule } from '@k8ts/apimachinery';
import type { CronSchedule } from '@k8ts/apimachinery';

import { milliseconds } from '../pod-state.ts';

type CronJob = batchv1.CronJob;

/** Later than the scheduled time by so much, for clocks that are set back a little. */
const PADDING = 100;
const MANY = 100;

/** The schedule in its zone; `localZone` is that of cron jobs that name none. Throws Error. */
export function scheduleOf({ spec }: CronJob, localZone: string): CronSchedule {
  const { schedule, timeZone } = spec;
  return parseCronSchedule(schedule, timeZone !== undefined && isTimeZone(timeZone) ? timeZone : localZone);
}

interface Recent {
  /** From when on times count: the last one that was kept, the creation, or the beginning of what is not too late. */
  readonly since: number;
  /** The last time that has come; undefined when none has since. */
  readonly time: number | undefined;
  readonly missed: 'none' | 'few' | 'many';
}

/**
 * The time that a job should have been started at. Of many missed times only the last is kept, and it is found without
 * going through all of them: two neighbours tell how far apart they are. Throws Error for a schedule without times.
 */
function recentTime(
  { metadata, spec, status }: CronJob,
  schedule: CronSchedule,
  now: number,
  withDeadline: boolean,
): Recent {
  let since = milliseconds(status?.lastScheduleTime) ?? milliseconds(metadata.creationTimestamp) ?? 0;
  if (withDeadline && spec.startingDeadlineSeconds !== undefined)
    since = Math.max(since, now - spec.startingDeadlineSeconds * 1000);
  const first = schedule.next(since);
  const second = first === undefined ? undefined : schedule.next(first);
  if (first !== undefined && now < first) return { since, time: undefined, missed: 'none' };
  if (first !== undefined && second !== undefined && now < second)
    return { since, time: first, missed: 'none' };
  if (first === undefined || second === undefined)
    throw new Error('time difference between two schedules is less than 1 second');
  const interval = second - first;
  const missed = Math.floor((now - first) / interval) + 1;
  let time: number | undefined;
  // One step back, for schedules that are not regular.
  let next = schedule.next(first + (missed - 2) * interval);
  while (next !== undefined && next <= now) {
    time = next;
    next = schedule.next(next);
  }
  return { since, time, missed: missed > MANY ? 'many' : 'few' };
}

/** The time to start a job for now, if there is one, and whether too many were missed. Throws Error. */
export function dueTime(
  cronJob: CronJob,
  schedule: CronSchedule,
  now: number,
): { readonly time: number | undefined; readonly tooMany: boolean } {
  const { time, missed } = recentTime(cronJob, schedule, now, true);
  return { time, tooMany: time !== undefined && missed === 'many' };
}

/** Milliseconds until the next time; undefined when there is none. */
export function untilNext(cronJob: CronJob, schedule: CronSchedule, now: number): number | undefined {
  let from = now;
  try {
    const { since, time, missed } = recentTime(cronJob, schedule, now, false);
    from = time ?? (missed === 'none' ? since : now);
  } catch {
    // No two times: the next one from now, if there is one.
  }
  const next = schedule.next(from);
  return next === undefined ? undefined : next + PADDING - now;
}

/** Whether the job for `time` is too late now. */
export function isTooLate({ spec }: CronJob, time: number, now: number): boolean {
  const { startingDeadlineSeconds } = spec;
  return startingDeadlineSeconds !== undefined && time + startingDeadlineSeconds * 1000 < now;
}
