import type { batchv1 } from '@k8ts/api';
import { parseCronSchedule } from '@k8ts/apimachinery';
import { describe, expect, it } from 'vitest';

import { beyondLimit, jobFor } from './cron-jobs.ts';
import { dueTime, isTooLate, untilNext } from './schedule.ts';

const cronJob = (
  spec: Partial<batchv1.CronJobSpec> = {},
  status: batchv1.CronJobStatus = {},
): batchv1.CronJob => ({
  metadata: { name: 'c', namespace: 'ns', uid: 'u', creationTimestamp: '2026-01-01T00:00:30Z' },
  spec: {
    schedule: '0 * * * *',
    jobTemplate: { spec: { template: { spec: { containers: [] } } } },
    ...spec,
  },
  status,
});
const at = (time: string): number => Date.parse(`2026-01-${time}Z`);
const shown = (time: number | undefined): string | undefined =>
  time === undefined ? undefined : new Date(time).toISOString().slice(8, 19);

type Case = readonly [
  about: string,
  schedule: string,
  spec: Partial<batchv1.CronJobSpec>,
  last: string | undefined,
  now: string,
  due: string | undefined,
];

describe('the time that is due', () => {
  const HOURLY = '0 * * * *';
  it.each<Case>([
    ['none yet', HOURLY, {}, undefined, '01T00:30:00', undefined],
    ['the first', HOURLY, {}, undefined, '01T01:00:00', '01T01:00:00'],
    ['the first, a little late', HOURLY, {}, undefined, '01T01:59:59', '01T01:00:00'],
    ['none since the last', HOURLY, {}, '2026-01-01T01:00:00Z', '01T01:30:00', undefined],
    ['the last of those missed', HOURLY, {}, undefined, '02T05:30:00', '02T05:00:00'],
    [
      'of an irregular schedule',
      '30 6-16/4 * * 1-5',
      {},
      '2026-01-02T06:30:00Z',
      '05T15:00:00',
      '05T14:30:00',
    ],
    ['of a steady one', '@every 7m', {}, '2026-01-01T01:00:00Z', '01T02:00:00', '01T01:56:00'],
    [
      'none within the deadline',
      HOURLY,
      { startingDeadlineSeconds: 60 },
      undefined,
      '01T05:30:00',
      undefined,
    ],
    [
      'one within the deadline',
      HOURLY,
      { startingDeadlineSeconds: 60 },
      undefined,
      '01T05:00:30',
      '01T05:00:00',
    ],
  ])('%s', (_, schedule, spec, last, now, expected) => {
    const status = last === undefined ? {} : { lastScheduleTime: last };
    const { time, tooMany } = dueTime(cronJob(spec, status), parseCronSchedule(schedule, 'UTC'), at(now));
    expect([shown(time), tooMany]).toEqual([expected, false]);
  });

  it('comes with a warning when more than a hundred were missed', () => {
    const minutely = parseCronSchedule('* * * * *', 'UTC');
    expect(dueTime(cronJob(), minutely, at('01T01:40:00')).tooMany).toBe(false);
    expect(dueTime(cronJob(), minutely, at('01T01:41:00'))).toEqual({
      time: at('01T01:41:00'),
      tooMany: true,
    });
    expect(dueTime(cronJob({ startingDeadlineSeconds: 90 }), minutely, at('20T00:00:00')).tooMany).toBe(
      false,
    );
  });

  it('is an error for a schedule without times', () => {
    const never = parseCronSchedule('0 0 31 2 *', 'UTC');
    expect(() => dueTime(cronJob(), never, at('01T01:00:00'))).toThrow(
      'time difference between two schedules is less than 1 second',
    );
    expect(untilNext(cronJob(), never, at('01T01:00:00'))).toBeUndefined();
  });
});

it.each([
  ['the first', undefined, '01T00:30:00', 30 * 60_000 + 100],
  ['the next after the last', '2026-01-01T01:00:00Z', '01T01:15:00', 45 * 60_000 + 100],
  ['the next after those missed', '2026-01-01T01:00:00Z', '01T09:15:00', 45 * 60_000 + 100],
])('waits for %s', (_, lastScheduleTime, now, expected) => {
  const status = lastScheduleTime === undefined ? {} : { lastScheduleTime };
  const hourly = parseCronSchedule('0 * * * *', 'UTC');
  expect(untilNext(cronJob({ startingDeadlineSeconds: 5 }, status), hourly, at(now))).toBe(expected);
});

it('may be too late', () => {
  const [time, now] = [at('01T01:00:00'), at('01T01:01:00')];
  expect(isTooLate(cronJob(), time, now)).toBe(false);
  expect(isTooLate(cronJob({ startingDeadlineSeconds: 60 }), time, now)).toBe(false);
  expect(isTooLate(cronJob({ startingDeadlineSeconds: 59 }), time, now)).toBe(true);
});

it.each([
  [undefined, '2026-01-01T00:05:00Z'],
  ['Europe/Berlin', '2026-01-01T01:05:00+01:00'],
  ['America/St_Johns', '2025-12-31T20:35:00-03:30'],
])('makes jobs that say their time in zone %s', (timeZone, expected) => {
  const { spec } = cronJob();
  const { metadata } = jobFor(
    cronJob({
      ...(timeZone === undefined ? {} : { timeZone }),
      jobTemplate: { ...spec.jobTemplate, metadata: { labels: { a: 'b' }, annotations: { c: 'd' } } },
    }),
    at('01T00:05:00'),
  );
  expect(metadata).toMatchObject({
    name: `c-${at('01T00:05:00') / 60_000}`,
    labels: { a: 'b' },
    annotations: { c: 'd', 'batch.kubernetes.io/cronjob-scheduled-timestamp': expected },
    ownerReferences: [{ kind: 'CronJob', name: 'c', controller: true }],
  });
});

it('keeps the last jobs', () => {
  const job = (name: string, startTime?: string): batchv1.Job => ({
    metadata: { name },
    spec: { template: { spec: { containers: [] } } },
    ...(startTime === undefined ? {} : { status: { startTime } }),
  });
  const jobs = [
    job('c', '2026-01-03T00:00:00Z'),
    job('b', '2026-01-01T00:00:00Z'),
    job('d'),
    job('a', '2026-01-01T00:00:00Z'),
  ];
  const names = (limit: number | undefined) => beyondLimit(jobs, limit).map(({ metadata }) => metadata.name);
  expect(names(undefined)).toEqual([]);
  expect(names(4)).toEqual([]);
  expect(names(2)).toEqual(['a', 'b']);
  expect(names(0)).toEqual(['a', 'b', 'c', 'd']);
});
