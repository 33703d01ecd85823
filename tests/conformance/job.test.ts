import { batchv1, corev1, type New } from '@k8ts/api';
import type { ResourceClient } from '@k8ts/client';
import { describe, expect, it } from 'vitest';

import { throughout, until } from '../support/waiting.ts';
import { changing, isGone, podTemplate, useSuite, watch, type Behaviour } from './support.ts';

const INDEX = 'batch.kubernetes.io/job-completion-index';
/** What upstream's programs do, as the simulated runtime plays them. */
const SUCCEED: Behaviour = { exitAfter: 0.2 };
const FAIL: Behaviour = { exitAfter: 0.2, exitCode: 1 };
const NOT_TERMINATE: Behaviour = {};
/** By the variable that only the pods of Indexed jobs have. */
const FAIL_ODD_SUCCEED_EVEN: Behaviour = {
  exitAfter: 0.2,
  cases: ['1', '3', '5'].map((index) => ({ env: { JOB_COMPLETION_INDEX: index }, exitCode: 1 })),
};

const jobOf = (
  name: string,
  behaviour: Behaviour,
  spec: Partial<batchv1.JobSpec> = {},
  restartPolicy: corev1.RestartPolicy = 'Never',
): New<batchv1.Job> => ({
  metadata: { name },
  spec: {
    parallelism: 2,
    completions: 4,
    template: podTemplate({ labels: { job: name }, behaviour, spec: { restartPolicy } }),
    ...spec,
  },
});

const reasonOf = ({ status }: batchv1.Job, type: string): string | undefined =>
  status?.conditions?.find((condition) => condition.type === type && condition.status === 'True')?.reason;

describe('jobs', () => {
  const suite = useSuite();
  const of = (namespace: string): ResourceClient<batchv1.Job> =>
    suite.client.resource(batchv1.jobs, namespace);
  const podsOf = (namespace: string): ResourceClient<corev1.Pod> =>
    suite.client.resource(corev1.pods, namespace);
  const pods = async (namespace: string, job: string): Promise<readonly corev1.Pod[]> =>
    (await podsOf(namespace).list({ labelSelector: `batch.kubernetes.io/job-name=${job}` })).items;
  const running = (namespace: string, job: string, count: number): Promise<void> =>
    until(
      async () =>
        (await pods(namespace, job)).filter(({ status }) => status?.phase === 'Running').length === count,
    );
  /** The job once it says so; all of its pods have been counted then. */
  const ended = async (
    namespace: string,
    name: string,
    type: 'Complete' | 'Failed',
    reason: string,
  ): Promise<batchv1.Job> => {
    await until(async () => reasonOf(await of(namespace).get(name), type) !== undefined, 60_000);
    const job = await of(namespace).get(name);
    expect(reasonOf(job, type)).toBe(reason);
    expect(reasonOf(job, type === 'Complete' ? 'SuccessCriteriaMet' : 'FailureTarget')).toBe(reason);
    expect(job.status).toMatchObject({ ready: 0, terminating: 0, uncountedTerminatedPods: {} });
    expect(job.status?.active).toBeUndefined();
    for (const { metadata } of await pods(namespace, name)) expect(metadata.finalizers).toBeUndefined();
    return job;
  };
  const run = async (job: New<batchv1.Job>): Promise<string> => {
    const namespace = await suite.namespace();
    await of(namespace).create(job);
    return namespace;
  };

  it('[sig-apps] Job should create pods for an Indexed job with completion indexes and specified hostname [Conformance]', async () => {
    const namespace = await run(jobOf('indexed', SUCCEED, { completionMode: 'Indexed' }));
    const { status } = await ended(namespace, 'indexed', 'Complete', 'CompletionsReached');
    expect(status).toMatchObject({ succeeded: 4, completedIndexes: '0-3' });
    const all = await pods(namespace, 'indexed');
    expect(all.map(({ metadata }) => metadata.annotations?.[INDEX]).sort()).toEqual(['0', '1', '2', '3']);
    for (const { metadata, spec, status: podStatus } of all) {
      const index = metadata.annotations?.[INDEX] ?? '';
      expect(metadata.labels).toMatchObject({ [INDEX]: index });
      expect([spec.hostname, podStatus?.phase]).toEqual([`indexed-${index}`, 'Succeeded']);
    }
  });

  it('[sig-apps] Job should run a job to completion when tasks sometimes fail and are locally restarted [Conformance]', async () => {
    const failOnce = { exitAfter: 0.2, cases: [{ attempt: 0, exitCode: 1 }] };
    const namespace = await run(jobOf('fail-once', failOnce, {}, 'OnFailure'));
    const { status } = await ended(namespace, 'fail-once', 'Complete', 'CompletionsReached');
    expect(status?.succeeded).toBe(4);
    for (const pod of await pods(namespace, 'fail-once'))
      expect(pod.status?.containerStatuses?.[0]?.restartCount).toBe(1);
  });

  it('[sig-apps] Job should delete a job [Conformance]', async () => {
    const namespace = await run(jobOf('foo', NOT_TERMINATE));
    await running(namespace, 'foo', 2);
    await of(namespace).delete('foo', { propagationPolicy: 'Foreground' });
    await until(() => isGone(of(namespace).get('foo')));
    expect(await pods(namespace, 'foo')).toEqual([]);
  });

  it('[sig-apps] Job should adopt matching orphans and release non-matching pods [Conformance]', async () => {
    const namespace = await run(jobOf('adopt-release', NOT_TERMINATE));
    const job = await of(namespace).get('adopt-release');
    await running(namespace, 'adopt-release', 2);
    const [{ metadata }] = (await pods(namespace, 'adopt-release')) as [corev1.Pod];
    const api = podsOf(namespace);
    const owners = async () => (await api.get(metadata.name)).metadata.ownerReferences ?? [];
    await changing(api, metadata.name, (pod) => ({
      ...pod,
      metadata: { ...pod.metadata, ownerReferences: [] },
    }));
    await until(async () => (await owners()).length === 1);
    expect(await owners()).toMatchObject([
      { kind: 'Job', name: 'adopt-release', uid: job.metadata.uid, controller: true },
    ]);
    await until(async () => (await api.get(metadata.name)).metadata.finalizers !== undefined);
    await changing(api, metadata.name, (pod) => ({ ...pod, metadata: { ...pod.metadata, labels: {} } }));
    await until(async () => (await owners()).length === 0);
    await running(namespace, 'adopt-release', 2);
  });

  it('[sig-apps] Job should apply changes to a job status [Conformance]', async () => {
    const namespace = await run(jobOf('status', NOT_TERMINATE));
    await running(namespace, 'status', 2);
    const lastTransitionTime = '2026-01-01T00:00:00Z';
    const condition = { type: 'CustomConditionType', status: 'True', lastTransitionTime };
    const patched = await of(namespace).patch(
      'status',
      { metadata: { annotations: { patchedstatus: 'true' } }, status: { conditions: [condition] } },
      { type: 'merge', subresource: 'status' },
    );
    expect(patched.status?.conditions).toMatchObject([condition]);
    expect(patched.metadata.annotations).toMatchObject({ patchedstatus: 'true' });
    const later = '2026-01-02T00:00:00Z';
    const updated = await changing(
      of(namespace),
      'status',
      (job) => ({
        ...job,
        status: {
          ...job.status,
          conditions: (job.status?.conditions ?? []).map((one) => ({ ...one, lastTransitionTime: later })),
        },
      }),
      'updateStatus',
    );
    expect(updated.status?.conditions).toMatchObject([{ ...condition, lastTransitionTime: later }]);
    const read = await of(namespace).getSubresource<batchv1.Job>('status', 'status');
    expect(read.metadata.uid).toBe(patched.metadata.uid);
    // The controller goes on with its own part.
    await until(async () => (await of(namespace).get('status')).status?.ready === 2);
    expect((await of(namespace).get('status')).status?.conditions).toMatchObject(
      [condition.type].map((type) => ({ type })),
    );
  });

  it('[sig-apps] Job should manage the lifecycle of a job [Conformance]', async () => {
    const namespace = await suite.namespace();
    const labels = { 'e2e-job-label': 'lifecycle' };
    const options = { labelSelector: 'e2e-job-label=lifecycle' };
    const { metadata } = await of(namespace).list(options);
    await using watcher = await watch(of(namespace), {
      ...options,
      resourceVersion: metadata.resourceVersion,
    });
    const wanted = jobOf('lifecycle', SUCCEED, { suspend: true });
    const made = await of(namespace).create({ ...wanted, metadata: { ...wanted.metadata, labels } });
    const patched = await of(namespace).patch(
      'lifecycle',
      { metadata: { labels: { lifecycle: 'patched' } } },
      { type: 'strategic' },
    );
    expect(BigInt(patched.metadata.resourceVersion ?? '')).toBeGreaterThan(
      BigInt(made.metadata.resourceVersion ?? ''),
    );
    await watcher.until('MODIFIED', (job) => job.metadata.labels?.['lifecycle'] === 'patched');
    await until(async () => reasonOf(await of(namespace).get('lifecycle'), 'Suspended') === 'JobSuspended');
    expect(await pods(namespace, 'lifecycle')).toEqual([]);
    await changing(of(namespace), 'lifecycle', (job) => ({
      ...job,
      metadata: { ...job.metadata, annotations: { ...job.metadata.annotations, updated: 'true' } },
      spec: { ...job.spec, suspend: false },
    }));
    await watcher.until('MODIFIED', (job) => job.metadata.annotations?.['updated'] === 'true');
    expect((await suite.client.resource(batchv1.jobs).list(options)).items).toHaveLength(1);
    await ended(namespace, 'lifecycle', 'Complete', 'CompletionsReached');
    await of(namespace).deleteCollection({ ...options, propagationPolicy: 'Background' });
    await watcher.until('DELETED', (job) => job.metadata.name === 'lifecycle');
    expect((await suite.client.resource(batchv1.jobs).list(options)).items).toEqual([]);
    await until(async () => (await pods(namespace, 'lifecycle')).length === 0);
  });

  it('[sig-apps] Job should allow to use the pod failure policy on exit code to fail the job early [Conformance]', async () => {
    const namespace = await run(
      jobOf('fail-job', FAIL, {
        podFailurePolicy: {
          rules: [{ action: 'FailJob', onExitCodes: { operator: 'In', values: [1] } }],
        },
      }),
    );
    const { status } = await ended(namespace, 'fail-job', 'Failed', 'PodFailurePolicy');
    // Those that ran, and none in their place.
    expect(status?.failed).toBe(2);
    expect(status?.conditions?.[0]?.message).toMatch(
      /^Container main for pod .+ failed with exit code 1 matching FailJob rule at index 0$/,
    );
  });

  it('[sig-apps] Job should allow to use a pod failure policy to ignore failure matching on DisruptionTarget condition [Conformance]', async () => {
    // Evicted, a container ends with a code of its own; left alone, with 0. The fourth pod is left alone: its success ends
    // the back-off of the others.
    const behaviour = { exitAfter: 5, stopExitCode: 143 };
    const namespace = await run(
      jobOf('evicted', behaviour, {
        completionMode: 'Indexed',
        parallelism: 4,
        backoffLimit: 2,
        podFailurePolicy: {
          rules: [
            { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
            { action: 'FailJob', onExitCodes: { operator: 'In', values: [143] } },
          ],
        },
      }),
    );
    await running(namespace, 'evicted', 4);
    const evicted = (await pods(namespace, 'evicted')).slice(0, 3);
    for (const { metadata } of evicted)
      await podsOf(namespace).createSubresource(metadata.name, 'eviction', {
        apiVersion: 'policy/v1',
        kind: 'Eviction',
        metadata: { name: metadata.name, namespace },
      });
    for (const { metadata } of evicted) await until(() => isGone(podsOf(namespace).get(metadata.name)));
    const { status } = await ended(namespace, 'evicted', 'Complete', 'CompletionsReached');
    expect(status).toMatchObject({ succeeded: 4 });
    expect(status?.failed).toBeUndefined();
  });

  it('[sig-apps] Job should execute all indexes despite some failing when using backoffLimitPerIndex [Conformance]', async () => {
    const namespace = await run(
      jobOf('per-index', FAIL_ODD_SUCCEED_EVEN, { completionMode: 'Indexed', backoffLimitPerIndex: 1 }),
    );
    const { status } = await ended(namespace, 'per-index', 'Failed', 'FailedIndexes');
    expect(status).toMatchObject({
      failedIndexes: '1,3',
      completedIndexes: '0,2',
      failed: 4,
      succeeded: 2,
    });
  });

  it('[sig-apps] Job should mark indexes as failed when the FailIndex action is matched in podFailurePolicy [Conformance]', async () => {
    const namespace = await run(
      jobOf('fail-index', FAIL_ODD_SUCCEED_EVEN, {
        completionMode: 'Indexed',
        completions: 2,
        backoffLimitPerIndex: 1,
        podFailurePolicy: {
          rules: [{ action: 'FailIndex', onExitCodes: { operator: 'In', values: [1] } }],
        },
      }),
    );
    const { status } = await ended(namespace, 'fail-index', 'Failed', 'FailedIndexes');
    expect(status).toMatchObject({ failedIndexes: '1', completedIndexes: '0', failed: 1, succeeded: 1 });
  });

  it('[sig-apps] Job should terminate job execution when the number of failed indexes exceeds maxFailedIndexes [Conformance]', async () => {
    const namespace = await run(
      jobOf('max-failed', FAIL, {
        completionMode: 'Indexed',
        parallelism: 1,
        backoffLimitPerIndex: 0,
        maxFailedIndexes: 0,
      }),
    );
    const { status } = await ended(namespace, 'max-failed', 'Failed', 'MaxFailedIndexesExceeded');
    expect(status).toMatchObject({ failedIndexes: '0', failed: 1 });
  });

  it('[sig-apps] Job with successPolicy should succeeded when all indexes succeeded [Conformance]', async () => {
    const namespace = await run(
      jobOf('all-indexes', SUCCEED, {
        completionMode: 'Indexed',
        completions: 2,
        successPolicy: { rules: [{ succeededCount: 2 }] },
      }),
    );
    const { status } = await ended(namespace, 'all-indexes', 'Complete', 'SuccessPolicy');
    expect(status).toMatchObject({ succeeded: 2, completedIndexes: '0,1' });
    expect(status?.failed).toBeUndefined();
  });

  it('[sig-apps] Job with successPolicy succeededIndexes rule should succeeded even when some indexes remain pending [Conformance]', async () => {
    const namespace = await run(
      jobOf('some-indexes', FAIL_ODD_SUCCEED_EVEN, {
        completionMode: 'Indexed',
        completions: 5,
        successPolicy: { rules: [{ succeededIndexes: '0' }] },
      }),
    );
    const { status } = await ended(namespace, 'some-indexes', 'Complete', 'SuccessPolicy');
    expect(status).toMatchObject({ succeeded: 1, completedIndexes: '0' });
  });

  it('[sig-apps] Job with successPolicy succeededCount rule should succeeded even when some indexes remain pending [Conformance]', async () => {
    const namespace = await run(
      jobOf('some-count', FAIL_ODD_SUCCEED_EVEN, {
        completionMode: 'Indexed',
        completions: 5,
        backoffLimit: 2 ** 31 - 1,
        successPolicy: { rules: [{ succeededCount: 1 }] },
      }),
    );
    const { status } = await ended(namespace, 'some-count', 'Complete', 'SuccessPolicy');
    expect(status).toMatchObject({ succeeded: 1, completedIndexes: '0' });
  });

  it('a job that is suspended loses its pods, and one that somebody else manages never gets any', async () => {
    const namespace = await run(jobOf('suspended', NOT_TERMINATE));
    await of(namespace).create(jobOf('managed', SUCCEED, { managedBy: 'example.com/controller' }));
    await running(namespace, 'suspended', 2);
    await of(namespace).patch('suspended', { spec: { suspend: true } }, { type: 'merge' });
    await until(async () => (await pods(namespace, 'suspended')).length === 0);
    await until(async () => reasonOf(await of(namespace).get('suspended'), 'Suspended') === 'JobSuspended');
    expect((await of(namespace).get('suspended')).status?.failed).toBeUndefined();
    await throughout(500, async () => {
      expect((await of(namespace).get('managed')).status ?? {}).toEqual({});
      expect(await pods(namespace, 'managed')).toEqual([]);
    });
  });
});
