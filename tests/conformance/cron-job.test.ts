import { batchv1, corev1, type New } from '@k8ts/api';
import type { ResourceClient } from '@k8ts/client';
import { describe, expect, it } from 'vitest';

import { hurriedClock } from '../support/hurried-clock.ts';
import { throughout, until } from '../support/waiting.ts';
import { isGone, podTemplate, useSuite, type Behaviour } from './support.ts';

/** A minute takes a second and a half. */
const FACTOR = 40;
const MINUTE = 60_000 / FACTOR;

const cronJobOf = (
  name: string,
  spec: Partial<batchv1.CronJobSpec> = {},
  behaviour: Behaviour = { exitAfter: 300 },
): New<batchv1.CronJob> => ({
  metadata: { name },
  spec: {
    schedule: '*/1 * * * ?',
    concurrencyPolicy: 'Allow',
    jobTemplate: {
      spec: {
        parallelism: 1,
        completions: 1,
        template: podTemplate({ behaviour, spec: { restartPolicy: 'OnFailure' } }),
      },
    },
    ...spec,
  },
});

describe('cron jobs', () => {
  const suite = useSuite({ clock: hurriedClock(FACTOR) });
  const of = (namespace: string): ResourceClient<batchv1.CronJob> =>
    suite.client.resource(batchv1.cronJobs, namespace);
  const jobsOf = (namespace: string): ResourceClient<batchv1.Job> =>
    suite.client.resource(batchv1.jobs, namespace);
  const created = async (cronJob: New<batchv1.CronJob>): Promise<string> => {
    const namespace = await suite.namespace();
    await of(namespace).create(cronJob);
    return namespace;
  };
  const active = async (namespace: string, name: string): Promise<readonly corev1.ObjectReference[]> =>
    (await of(namespace).get(name)).status?.active ?? [];
  /** Those that have not finished. */
  const runningJobs = async (namespace: string): Promise<readonly batchv1.Job[]> =>
    (await jobsOf(namespace).list()).items.filter(
      ({ metadata, status }) =>
        metadata.deletionTimestamp === undefined &&
        status?.conditions?.some(({ type }) => type === 'Complete' || type === 'Failed') !== true,
    );
  const reasons = async (namespace: string): Promise<readonly (string | undefined)[]> =>
    (await suite.client.resource(corev1.events, namespace).list()).items
      .filter(({ involvedObject }) => involvedObject?.kind === 'CronJob')
      .map(({ reason }) => reason);

  it('[sig-apps] CronJob should schedule multiple jobs concurrently [Conformance]', async () => {
    const namespace = await created(cronJobOf('concurrent'));
    await until(async () => (await active(namespace, 'concurrent')).length >= 2);
    expect((await runningJobs(namespace)).length).toBeGreaterThanOrEqual(2);
    await of(namespace).delete('concurrent');
    await until(async () => (await jobsOf(namespace).list()).items.length === 0);
  });

  it('[sig-apps] CronJob should not schedule jobs when suspended [Slow] [Conformance]', async () => {
    const namespace = await created(cronJobOf('suspended', { suspend: true }));
    await throughout(3 * MINUTE, async () => {
      expect(await active(namespace, 'suspended')).toEqual([]);
      expect((await jobsOf(namespace).list()).items).toEqual([]);
    });
    await of(namespace).patch('suspended', { spec: { suspend: false } }, { type: 'merge' });
    await until(async () => (await active(namespace, 'suspended')).length === 1);
    await of(namespace).delete('suspended');
  });

  it('[sig-apps] CronJob should not schedule new jobs when ForbidConcurrent [Slow] [Conformance]', async () => {
    const namespace = await created(cronJobOf('forbid', { concurrencyPolicy: 'Forbid' }));
    await until(async () => (await active(namespace, 'forbid')).length === 1);
    const [first] = await active(namespace, 'forbid');
    await throughout(3 * MINUTE, async () => {
      expect(await active(namespace, 'forbid')).toMatchObject([{ name: first?.name }]);
      expect((await jobsOf(namespace).list()).items.map(({ metadata }) => metadata.name)).toEqual([
        first?.name,
      ]);
    });
    expect(await reasons(namespace)).toContain('JobAlreadyActive');
    await of(namespace).delete('forbid');
  });

  it('[sig-apps] CronJob should replace jobs when ReplaceConcurrent [Conformance]', async () => {
    const namespace = await created(cronJobOf('replace', { concurrencyPolicy: 'Replace' }));
    await until(async () => (await active(namespace, 'replace')).length === 1);
    const [first] = (await runningJobs(namespace)) as [batchv1.Job];
    expect(await active(namespace, 'replace')).toMatchObject([{ name: first.metadata.name }]);
    await until(() => isGone(jobsOf(namespace).get(first.metadata.name)));
    await until(async () => (await runningJobs(namespace)).length === 1);
    const [next] = await active(namespace, 'replace');
    expect(next?.name).not.toBe(first.metadata.name);
    await of(namespace).delete('replace');
  });

  it('finished jobs are kept as far as the limit goes, and nothing unexpected is said', async () => {
    const namespace = await created(cronJobOf('limit', { successfulJobsHistoryLimit: 1 }, { exitAfter: 1 }));
    const finished = async (): Promise<readonly batchv1.Job[]> =>
      (await jobsOf(namespace).list()).items.filter(({ status }) => status?.completionTime !== undefined);
    await until(async () => (await finished()).length === 1);
    const [first] = (await finished()) as [batchv1.Job];
    await until(() => isGone(jobsOf(namespace).get(first.metadata.name)));
    await until(async () => (await finished()).length === 1);
    expect((await of(namespace).get('limit')).status?.lastSuccessfulTime).toBeDefined();
    const said = await reasons(namespace);
    expect(said).toContain('SawCompletedJob');
    for (const reason of ['MissingJob', 'UnexpectedJob']) expect(said).not.toContain(reason);
    await of(namespace).delete('limit');
  });
});
