import { batchv1, corev1 } from '@k8ts/api';
import { formatTime } from '@k8ts/apimachinery';
import { describe, expect, it } from 'vitest';

import { ControllerHarness } from '../testing/controller-harness.ts';
import { cronJobController } from './controller.ts';

const MINUTE = 60_000;

const start = (): Promise<ControllerHarness> =>
  ControllerHarness.start([cronJobController], { timeZone: 'UTC' });
const cronJobs = ({ api }: ControllerHarness) => api.client.resource(batchv1.cronJobs, 'ns');
const jobs = ({ api }: ControllerHarness) => api.client.resource(batchv1.jobs, 'ns');
const names = ({ api }: ControllerHarness) => api.all(batchv1.jobs).map(({ metadata }) => metadata.name);
const status = ({ api }: ControllerHarness) => api.peek(batchv1.cronJobs, 'ns/c')?.status;
const reasons = ({ api }: ControllerHarness) => api.all(corev1.events).map(({ reason }) => reason);
/** The job of so many minutes after the clock's beginning. */
const nameAt = (minutes: number): string => `c-${Date.UTC(2026, 0, 1) / MINUTE + minutes}`;

const create = (harness: ControllerHarness, spec: Partial<batchv1.CronJobSpec> = {}) =>
  cronJobs(harness).create({
    metadata: { name: 'c' },
    spec: {
      schedule: '* * * * *',
      concurrencyPolicy: 'Allow',
      suspend: false,
      successfulJobsHistoryLimit: 3,
      failedJobsHistoryLimit: 1,
      jobTemplate: { spec: { template: { spec: { containers: [] } } } },
      ...spec,
    },
  });

async function finish(harness: ControllerHarness, name: string, type = 'Complete'): Promise<void> {
  const job = await jobs(harness).get(name);
  const now = formatTime(harness.clock.now());
  await jobs(harness).updateStatus({
    ...job,
    status: {
      startTime: job.metadata.creationTimestamp as string,
      ...(type === 'Complete' ? { completionTime: now } : {}),
      conditions: [{ type, status: 'True', lastTransitionTime: now }],
    },
  });
  await harness.clock.settle();
}

describe('the cron job controller', () => {
  it('starts a job at each time, and lists those that run', async () => {
    await using harness = await start();
    await create(harness);
    await harness.clock.advance(MINUTE - 1);
    expect(names(harness)).toEqual([]);
    await harness.clock.advance(1000);
    expect(names(harness)).toEqual([nameAt(1)]);
    await harness.clock.advance(MINUTE);
    expect(names(harness)).toEqual([nameAt(1), nameAt(2)]);
    expect(status(harness)).toMatchObject({
      active: [
        { apiVersion: 'batch/v1', kind: 'Job', namespace: 'ns', name: nameAt(1) },
        { name: nameAt(2) },
      ],
      lastScheduleTime: '2026-01-01T00:02:00Z',
    });
    await finish(harness, nameAt(1));
    await harness.clock.advance(100);
    expect(status(harness)?.active).toMatchObject([{ name: nameAt(2) }]);
    expect(status(harness)?.lastSuccessfulTime).toBe('2026-01-01T00:02:00Z');
    expect(reasons(harness)).not.toContain('UnexpectedJob');
    expect(reasons(harness)).not.toContain('MissingJob');
    expect(reasons(harness)).toContain('SawCompletedJob');
  });

  it('starts none while one runs (Forbid)', async () => {
    await using harness = await start();
    await create(harness, { concurrencyPolicy: 'Forbid' });
    await harness.clock.advance(3.5 * MINUTE);
    expect(names(harness)).toEqual([nameAt(1)]);
    expect(reasons(harness)).toContain('JobAlreadyActive');
    await finish(harness, nameAt(1));
    await harness.clock.advance(1000);
    // The last time that was missed is made up for.
    expect(names(harness)).toEqual([nameAt(1), nameAt(3)]);
  });

  it('starts one in place of that which runs (Replace)', async () => {
    await using harness = await start();
    await create(harness, { concurrencyPolicy: 'Replace' });
    await harness.clock.advance(2.5 * MINUTE);
    const kept = harness.api
      .all(batchv1.jobs)
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    expect(kept.map(({ metadata }) => metadata.name)).toEqual([nameAt(2)]);
    expect(status(harness)?.active).toMatchObject([{ name: nameAt(2) }]);
    expect(reasons(harness)).toContain('SuccessfulDelete');
  });

  it('starts none while suspended; afterwards the last one missed, unless that is too late', async () => {
    for (const [spec, expected] of [
      [{}, [nameAt(10)]],
      [{ startingDeadlineSeconds: 20 }, []],
    ] as const) {
      await using harness = await start();
      await create(harness, { suspend: true, ...spec });
      await harness.clock.advance(10.5 * MINUTE);
      expect(names(harness)).toEqual([]);
      await cronJobs(harness).patch('c', { spec: { suspend: false } }, { type: 'merge' });
      await harness.clock.advance(1000);
      expect(names(harness)).toEqual(expected);
    }
  });

  it('follows a new schedule', async () => {
    await using harness = await start();
    await create(harness, { schedule: '0 0 1 * *' });
    await harness.clock.advance(MINUTE);
    await cronJobs(harness).patch('c', { spec: { schedule: '*/5 * * * *' } }, { type: 'merge' });
    await harness.clock.advance(5 * MINUTE);
    expect(names(harness)).toEqual([nameAt(5)]);
  });

  it('keeps as many finished jobs as it is told', async () => {
    await using harness = await start();
    await create(harness, { successfulJobsHistoryLimit: 1, failedJobsHistoryLimit: 1 });
    for (const [minute, type] of [
      [1, 'Complete'],
      [2, 'Failed'],
      [3, 'Complete'],
      [4, 'Failed'],
    ] as const) {
      await harness.clock.advance(MINUTE + (minute === 1 ? 1000 : 0));
      await finish(harness, nameAt(minute), type);
    }
    await harness.clock.advance(1000);
    expect(names(harness)).toEqual([nameAt(3), nameAt(4)]);
    expect(status(harness)?.active).toBeUndefined();
    expect(status(harness)?.lastSuccessfulTime).toBe('2026-01-01T00:03:01Z');
  });

  it('misses a job that somebody else deleted', async () => {
    await using harness = await start();
    await create(harness, { concurrencyPolicy: 'Forbid' });
    await harness.clock.advance(MINUTE + 1000);
    await jobs(harness).delete(nameAt(1));
    await harness.clock.advance(1000);
    expect(status(harness)?.active).toBeUndefined();
    expect(reasons(harness)).toContain('MissingJob');
  });

  it('remembers a job whose status it could not write', async () => {
    await using harness = await start();
    await create(harness);
    let refused = false;
    using _ = harness.api.intercept(({ method, path }) => {
      if (refused || method !== 'PUT' || !path.endsWith('/cronjobs/c/status')) return undefined;
      refused = true;
      throw new Error('not now');
    });
    await harness.clock.advance(MINUTE + 5000);
    expect(refused).toBe(true);
    expect(names(harness)).toEqual([nameAt(1)]);
    expect(status(harness)?.active).toMatchObject([{ name: nameAt(1) }]);
  });

  it('says what is wrong with a schedule or zone', async () => {
    for (const [spec, reason] of [
      [{ schedule: 'x' }, 'UnparseableSchedule'],
      [{ schedule: '0 0 31 2 *' }, 'InvalidSchedule'],
      [{ timeZone: 'Nowhere/Else' }, 'UnknownTimeZone'],
      [{ schedule: 'TZ=UTC * * * * *' }, 'UnsupportedSchedule'],
    ] as const) {
      await using harness = await start();
      await create(harness, spec);
      await harness.clock.advance(5000);
      expect(reasons(harness)).toEqual([reason]);
    }
  });

  it('is at home in its zone', async () => {
    await using harness = await start();
    await create(harness, { schedule: '0 9 * * *', timeZone: 'Asia/Kolkata' });
    await harness.clock.advance(210 * MINUTE + 1000); // 09:00 is 03:30 UTC
    expect(names(harness)).toEqual([nameAt(210)]);
  });
});
