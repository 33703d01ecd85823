import { batchv1, corev1 } from '@k8ts/api';
import { formatTime } from '@k8ts/apimachinery';
import { describe, expect, it } from 'vitest';

import { ControllerHarness } from '../testing/controller-harness.ts';
import { ttlAfterFinishedController } from '../ttl-after-finished-controller.ts';
import { jobController } from './controller.ts';
import { COMPLETION_INDEX } from './completion-indexes.ts';
import { TRACKING_FINALIZER } from './plan.ts';

const start = (): Promise<ControllerHarness> =>
  ControllerHarness.start([jobController, ttlAfterFinishedController]);

const jobs = ({ api }: ControllerHarness) => api.client.resource(batchv1.jobs, 'ns');
const pods = ({ api }: ControllerHarness): readonly corev1.Pod[] => api.all(corev1.pods);
const status = ({ api }: ControllerHarness) => api.peek(batchv1.jobs, 'ns/j')?.status;
const events = ({ api }: ControllerHarness) =>
  new Set(api.all(corev1.events).map(({ reason, message }) => `${reason ?? ''}: ${message ?? ''}`));
const conditions = (harness: ControllerHarness) =>
  status(harness)?.conditions?.map(({ type, status: value, reason }) => [type, value, reason]);

const create = (harness: ControllerHarness, spec: Partial<batchv1.JobSpec> = {}) =>
  jobs(harness).create({
    metadata: { name: 'j', labels: {} },
    spec: {
      parallelism: 1,
      backoffLimit: 6,
      selector: { matchLabels: { job: 'j' } },
      template: {
        metadata: { labels: { job: 'j' } },
        spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'i' }] },
      },
      ...spec,
    },
  });

const isOver = ({ status: podStatus }: corev1.Pod): boolean =>
  podStatus?.phase === 'Succeeded' || podStatus?.phase === 'Failed';
const active = (harness: ControllerHarness): readonly corev1.Pod[] =>
  pods(harness).filter((pod) => !isOver(pod) && pod.metadata.deletionTimestamp === undefined);
const indexOf = ({ metadata }: corev1.Pod): string | undefined => metadata.annotations?.[COMPLETION_INDEX];

async function end(harness: ControllerHarness, pod: corev1.Pod, exitCode = 0): Promise<void> {
  const api = harness.api.client.resource(corev1.pods, 'ns');
  const fresh = await api.get(pod.metadata.name);
  const finishedAt = formatTime(harness.clock.now());
  await api.updateStatus({
    ...fresh,
    status: {
      phase: exitCode === 0 ? 'Succeeded' : 'Failed',
      containerStatuses: [
        {
          name: 'c',
          ready: false,
          restartCount: 0,
          image: 'i',
          imageID: '',
          state: { terminated: { exitCode, finishedAt } },
        },
      ],
    },
  });
}

async function endAll(harness: ControllerHarness, exitCode = 0): Promise<void> {
  for (const pod of active(harness)) await end(harness, pod, exitCode);
  await harness.clock.advance(3000);
}

describe('the job controller', () => {
  it('runs pods until enough have succeeded, and counts each once', async () => {
    await using harness = await start();
    await create(harness, { parallelism: 2, completions: 3 });
    await harness.clock.advance(2000);
    expect(pods(harness).map(({ metadata }) => metadata.finalizers)).toEqual([
      [TRACKING_FINALIZER],
      [TRACKING_FINALIZER],
    ]);
    expect(status(harness)).toMatchObject({
      active: 2,
      ready: 0,
      terminating: 0,
      uncountedTerminatedPods: {},
    });
    await endAll(harness);
    expect(status(harness)).toMatchObject({ active: 1, succeeded: 2, uncountedTerminatedPods: {} });
    await endAll(harness);
    expect(status(harness)).toMatchObject({ succeeded: 3 });
    expect(status(harness)?.active).toBeUndefined();
    expect(conditions(harness)).toEqual([
      ['SuccessCriteriaMet', 'True', 'CompletionsReached'],
      ['Complete', 'True', 'CompletionsReached'],
    ]);
    expect(status(harness)?.completionTime).toBeDefined();
    expect(pods(harness).flatMap(({ metadata }) => metadata.finalizers ?? [])).toEqual([]);
    expect(pods(harness)).toHaveLength(3);
    expect(events(harness)).toContain('Completed: Job completed');
  });

  it('waits longer after every failure, and gives up at the limit', async () => {
    await using harness = await start();
    await create(harness, { completions: 1, backoffLimit: 2 });
    await harness.clock.advance(2000);
    for (const backoff of [10_000, 20_000]) {
      const [pod] = active(harness);
      await end(harness, pod as corev1.Pod, 1);
      await harness.clock.advance(backoff - 1000);
      expect(active(harness)).toHaveLength(0);
      await harness.clock.advance(3000);
      expect(active(harness)).toHaveLength(1);
    }
    await endAll(harness, 1);
    expect(status(harness)).toMatchObject({ failed: 3 });
    expect(conditions(harness)).toEqual([
      ['FailureTarget', 'True', 'BackoffLimitExceeded'],
      ['Failed', 'True', 'BackoffLimitExceeded'],
    ]);
    expect(events(harness)).toContain('BackoffLimitExceeded: Job has reached the specified backoff limit');
  });

  it('fails when it was active for too long, after its pods have gone', async () => {
    await using harness = await start();
    harness.runPods({ stopAfter: 5000 });
    await create(harness, { activeDeadlineSeconds: 10 });
    await harness.clock.advance(9000);
    expect(conditions(harness)).toBeUndefined();
    await harness.clock.advance(4000);
    expect(conditions(harness)).toEqual([['FailureTarget', 'True', 'DeadlineExceeded']]);
    expect(status(harness)).toMatchObject({ terminating: 1, ready: 0, failed: 1 });
    await harness.clock.advance(10_000);
    expect(conditions(harness)?.[1]).toEqual(['Failed', 'True', 'DeadlineExceeded']);
    expect(status(harness)).toMatchObject({ terminating: 0, failed: 1 });
    expect(pods(harness)).toEqual([]);
  });

  it('stops and goes on; its deadline counts from then', async () => {
    await using harness = await start();
    await create(harness, { activeDeadlineSeconds: 10, completions: 2 });
    await harness.clock.advance(5000);
    const suspend = (value: boolean) =>
      jobs(harness).patch('j', { spec: { suspend: value } }, { type: 'merge' });
    await suspend(true);
    await harness.clock.advance(60_000);
    expect(pods(harness)).toEqual([]);
    expect(conditions(harness)).toEqual([['Suspended', 'True', 'JobSuspended']]);
    await suspend(false);
    await harness.clock.advance(5000);
    expect(active(harness)).toHaveLength(1);
    expect(conditions(harness)).toEqual([['Suspended', 'False', 'JobResumed']]);
    expect(status(harness)?.failed).toBeUndefined();
    await harness.clock.advance(10_000);
    expect(conditions(harness)).toContainEqual(['Failed', 'True', 'DeadlineExceeded']);
    expect(events(harness)).toContain('Suspended: Job suspended');
    expect(events(harness)).toContain('Resumed: Job resumed');
  });

  it('does not wait for the deletion of a pod that is gone', async () => {
    await using harness = await start();
    await create(harness, { parallelism: 2, completions: 4 });
    await harness.clock.advance(2000);
    const [gone] = active(harness) as [corev1.Pod];
    harness.api.pauseWatches();
    const api = harness.api.client.resource(corev1.pods, 'ns');
    await api.patch(gone.metadata.name, { metadata: { finalizers: null } }, { type: 'merge' });
    await api.delete(gone.metadata.name, { gracePeriodSeconds: 0 });
    harness.api.resumeWatches();
    await jobs(harness).patch('j', { spec: { suspend: true } }, { type: 'merge' });
    await harness.clock.advance(5000);
    await jobs(harness).patch('j', { spec: { suspend: false } }, { type: 'merge' });
    await harness.clock.advance(5000);
    expect(active(harness)).toHaveLength(2);
  });

  it('gives each index a pod of its own', async () => {
    await using harness = await start();
    await create(harness, { completionMode: 'Indexed', parallelism: 3, completions: 5 });
    await harness.clock.advance(2000);
    expect(active(harness).map(indexOf)).toEqual(['0', '1', '2']);
    for (const { metadata, spec } of active(harness)) {
      const index = metadata.annotations?.[COMPLETION_INDEX] ?? '';
      expect(metadata.name).toMatch(new RegExp(`^j-${index}-`));
      expect(metadata.labels).toMatchObject({ [COMPLETION_INDEX]: index });
      expect(spec.hostname).toBe(`j-${index}`);
      expect(spec.containers[0]?.env).toMatchObject([{ name: 'JOB_COMPLETION_INDEX' }]);
    }
    await endAll(harness);
    expect(status(harness)).toMatchObject({ active: 2, succeeded: 3, completedIndexes: '0-2' });
    await endAll(harness);
    expect(status(harness)).toMatchObject({ succeeded: 5, completedIndexes: '0-4' });
    expect(conditions(harness)?.[1]).toEqual(['Complete', 'True', 'CompletionsReached']);
  });

  it('counts failures by index', async () => {
    await using harness = await start();
    await create(harness, {
      completionMode: 'Indexed',
      parallelism: 2,
      completions: 2,
      backoffLimitPerIndex: 1,
      backoffLimit: 2 ** 31 - 1,
    });
    await harness.clock.advance(2000);
    const failures = (pod: corev1.Pod) =>
      pod.metadata.annotations?.['batch.kubernetes.io/job-index-failure-count'];
    expect(active(harness).map(failures)).toEqual(['0', '0']);
    const [first, second] = active(harness) as [corev1.Pod, corev1.Pod];
    await end(harness, first);
    await end(harness, second, 1);
    await harness.clock.advance(5000);
    // Its successor needs its annotation.
    expect(harness.api.peek(corev1.pods, `ns/${second.metadata.name}`)?.metadata.finalizers).toBeDefined();
    await harness.clock.advance(7000);
    expect(active(harness).map((pod) => [indexOf(pod), failures(pod)])).toEqual([['1', '1']]);
    expect(harness.api.peek(corev1.pods, `ns/${second.metadata.name}`)?.metadata.finalizers).toBeUndefined();
    await endAll(harness, 1);
    expect(status(harness)).toMatchObject({
      succeeded: 1,
      failed: 2,
      completedIndexes: '0',
      failedIndexes: '1',
    });
    expect(conditions(harness)?.[1]).toEqual(['Failed', 'True', 'FailedIndexes']);
  });

  it('ends with the indexes that its success needs', async () => {
    await using harness = await start();
    await create(harness, {
      completionMode: 'Indexed',
      parallelism: 3,
      completions: 3,
      successPolicy: { rules: [{ succeededIndexes: '1-2', succeededCount: 1 }] },
    });
    await harness.clock.advance(2000);
    await end(harness, active(harness)[0] as corev1.Pod);
    await harness.clock.advance(2000);
    expect(conditions(harness)).toBeUndefined();
    await end(harness, active(harness)[0] as corev1.Pod);
    await harness.clock.advance(3000);
    expect(status(harness)?.conditions).toMatchObject([
      { type: 'SuccessCriteriaMet', reason: 'SuccessPolicy', message: 'Matched rules at index 0' },
      { type: 'Complete', reason: 'SuccessPolicy', message: 'Matched rules at index 0' },
    ]);
    expect(status(harness)?.failed).toBeUndefined(); // the one that was stopped did not fail
  });

  it('judges failures by their exit codes', async () => {
    await using harness = await start();
    await create(harness, {
      parallelism: 2,
      completions: 2,
      podFailurePolicy: {
        rules: [
          { action: 'Ignore', onExitCodes: { operator: 'In', values: [42] } },
          { action: 'FailJob', onExitCodes: { operator: 'NotIn', values: [1] } },
        ],
      },
    });
    await harness.clock.advance(2000);
    await end(harness, active(harness)[0] as corev1.Pod, 42);
    await harness.clock.advance(12_000);
    expect(active(harness)).toHaveLength(2);
    expect(status(harness)?.failed).toBeUndefined();
    const victim = active(harness)[0] as corev1.Pod;
    await end(harness, victim, 3);
    await harness.clock.advance(3000);
    expect(status(harness)?.conditions).toMatchObject([
      {
        type: 'FailureTarget',
        reason: 'PodFailurePolicy',
        message: `Container c for pod ns/${victim.metadata.name} failed with exit code 3 matching FailJob rule at index 1`,
      },
      { type: 'Failed', reason: 'PodFailurePolicy' },
    ]);
  });

  it('replaces a pod that leaves at once, or once it has ended', async () => {
    for (const [podReplacementPolicy, replaced] of [
      ['TerminatingOrFailed', 1],
      ['Failed', 0],
    ] as const) {
      await using harness = await start();
      harness.runPods({ stopAfter: 60_000 });
      await create(harness, { completions: 1, podReplacementPolicy });
      await harness.clock.advance(5000);
      const [pod] = active(harness) as [corev1.Pod];
      await harness.api.client.resource(corev1.pods, 'ns').delete(pod.metadata.name);
      await harness.clock.advance(15_000);
      expect(active(harness)).toHaveLength(replaced);
      expect(status(harness)).toMatchObject({ terminating: 1 });
    }
  });

  it('adopts orphans and releases what it does not select', async () => {
    await using harness = await start();
    await create(harness, { parallelism: 2, completions: 4 });
    await harness.clock.advance(2000);
    const [pod] = active(harness) as [corev1.Pod];
    const api = harness.api.client.resource(corev1.pods, 'ns');
    const read = () => api.get(pod.metadata.name);
    await api.patch(pod.metadata.name, { metadata: { ownerReferences: null } }, { type: 'merge' });
    await harness.clock.advance(3000);
    expect((await read()).metadata).toMatchObject({
      finalizers: [TRACKING_FINALIZER],
      ownerReferences: [{ kind: 'Job', name: 'j', controller: true }],
    });
    await api.patch(pod.metadata.name, { metadata: { labels: { job: 'other' } } }, { type: 'merge' });
    await harness.clock.advance(3000);
    const { metadata } = await read();
    expect([metadata.ownerReferences ?? [], metadata.finalizers ?? []]).toEqual([[], []]);
    expect(active(harness)).toHaveLength(3);
  });

  it('leaves jobs that somebody else manages alone', async () => {
    await using harness = await start();
    await create(harness, { managedBy: 'example.com/controller' });
    await harness.clock.advance(5000);
    expect(pods(harness)).toEqual([]);
    expect(status(harness)).toBeUndefined();
  });

  it('lets pods go when their job is gone', async () => {
    await using harness = await start();
    await create(harness, { parallelism: 2, completions: 2 });
    await harness.clock.advance(2000);
    expect(pods(harness)).toHaveLength(2);
    await jobs(harness).delete('j');
    await harness.clock.advance(2000);
    expect(pods(harness).flatMap(({ metadata }) => metadata.finalizers ?? [])).toEqual([]);
  });

  it('goes on where a status could not be written, without counting twice', async () => {
    await using harness = await start();
    await create(harness, { parallelism: 2, completions: 2 });
    await harness.clock.advance(2000);
    let refused = 0;
    using _ = harness.api.intercept(({ method, path }) => {
      if (!path.endsWith('/jobs/j/status') || method !== 'PUT' || refused >= 3) return undefined;
      refused++;
      throw new Error('not now');
    });
    await endAll(harness);
    await harness.clock.advance(5000);
    expect(refused).toBe(3);
    expect(status(harness)).toMatchObject({ succeeded: 2, uncountedTerminatedPods: {} });
    expect(conditions(harness)?.[1]).toEqual(['Complete', 'True', 'CompletionsReached']);
  });

  it('is deleted some time after it has finished', async () => {
    await using harness = await start();
    await create(harness, { completions: 1, ttlSecondsAfterFinished: 60 });
    await harness.clock.advance(2000);
    await endAll(harness);
    await jobs(harness).patch('j', { spec: { ttlSecondsAfterFinished: 120 } }, { type: 'merge' });
    await harness.clock.advance(110_000);
    expect((await jobs(harness).get('j')).metadata.deletionTimestamp).toBeUndefined();
    await harness.clock.advance(15_000);
    expect((await jobs(harness).get('j')).metadata).toMatchObject({
      finalizers: ['foregroundDeletion'],
      deletionTimestamp: expect.any(String) as string,
    });
  });
});
