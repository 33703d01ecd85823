import { appsv1, corev1 } from '@k8ts/api';
import { forbidden } from '@k8ts/apimachinery';
import { describe, expect, it } from 'vitest';

import { ControllerHarness } from '../testing/controller-harness.ts';
import { replicaSetController, replicationController } from './controller.ts';

const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'i' }] } };

function replicaSet(replicas: number, extra: Partial<appsv1.ReplicaSetSpec> = {}): appsv1.ReplicaSet {
  return {
    metadata: { name: 'web', namespace: 'default' },
    spec: { replicas, selector: { matchLabels: { app: 'web' } }, template, ...extra },
  };
}

const start = () => ControllerHarness.start([replicaSetController, replicationController]);
const sets = ({ api }: ControllerHarness) => api.client.resource(appsv1.replicaSets, 'default');
const status = ({ api }: ControllerHarness) => api.peek(appsv1.replicaSets, 'default/web')?.status;
const events = ({ api }: ControllerHarness) =>
  api.all(corev1.events).map(({ type, reason, message }) => `${type} ${reason} ${message}`);

async function makeReady(harness: ControllerHarness): Promise<void> {
  for (const pod of harness.api.all(corev1.pods)) {
    const lastTransitionTime = new Date(harness.clock.now()).toISOString().replace(/\.\d+/, '');
    await harness.api.client.resource(corev1.pods, 'default').updateStatus({
      ...pod,
      status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True', lastTransitionTime }] },
    });
  }
  await harness.clock.settle();
}

describe('ReplicaSet controller', () => {
  it('makes its pods, and says so', async () => {
    await using harness = await start();
    const created = await sets(harness).create(replicaSet(3));
    await harness.clock.settle();
    const pods = harness.api.all(corev1.pods);
    expect(pods).toHaveLength(3);
    for (const pod of pods) {
      expect(pod.metadata.name).toMatch(/^web-[a-z0-9]{5}$/);
      expect(pod.metadata.labels).toEqual({ app: 'web' });
      expect(pod.metadata.ownerReferences).toEqual([
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: 'web',
          uid: created.metadata.uid,
          controller: true,
          blockOwnerDeletion: true,
        },
      ]);
      expect(events(harness)).toContain(`Normal SuccessfulCreate Created pod: ${pod.metadata.name}`);
    }
    expect(status(harness)).toMatchObject({ replicas: 3, fullyLabeledReplicas: 3, observedGeneration: 1 });
    await makeReady(harness);
    expect(status(harness)).toMatchObject({ readyReplicas: 3, availableReplicas: 3 });
  });

  it('counts pods as available only after minReadySeconds', async () => {
    await using harness = await start();
    await sets(harness).create(replicaSet(1, { minReadySeconds: 30 }));
    await harness.clock.settle();
    await makeReady(harness);
    expect(status(harness)).toMatchObject({ readyReplicas: 1 });
    expect(status(harness)?.availableReplicas).toBeUndefined();
    await harness.clock.advance(31_000);
    expect(status(harness)).toMatchObject({ availableReplicas: 1 });
  });

  it('replaces what is deleted, and what has failed', async () => {
    await using harness = await start();
    await sets(harness).create(replicaSet(2));
    await harness.clock.settle();
    const [first, second] = harness.api.all(corev1.pods) as [corev1.Pod, corev1.Pod];
    const pods = harness.api.client.resource(corev1.pods, 'default');
    await pods.delete(first.metadata.name);
    await pods.updateStatus({ ...second, status: { phase: 'Failed' } });
    await harness.clock.settle();
    const active = harness.api.all(corev1.pods).filter((pod) => pod.status?.phase !== 'Failed');
    expect(active).toHaveLength(2);
    expect(active).not.toContainEqual(expect.objectContaining({ metadata: first.metadata }));
  });

  it('scales down to the wanted number, and to none', async () => {
    await using harness = await start();
    let set = await sets(harness).create(replicaSet(5));
    await harness.clock.settle();
    set = await sets(harness).get('web');
    await sets(harness).update({ ...set, spec: { ...set.spec, replicas: 2 } });
    await harness.clock.settle();
    expect(harness.api.all(corev1.pods)).toHaveLength(2);
    expect(events(harness).filter((text) => text.startsWith('Normal SuccessfulDelete'))).toHaveLength(3);
    set = await sets(harness).get('web');
    await sets(harness).update({ ...set, spec: { ...set.spec, replicas: 0 } });
    await harness.clock.settle();
    expect(harness.api.all(corev1.pods)).toHaveLength(0);
    expect(status(harness)).toMatchObject({ replicas: 0 });
  });

  it('does not make pods twice while its cache is behind', async () => {
    await using harness = await start();
    await sets(harness).create(replicaSet(3));
    harness.api.pauseWatches();
    harness.api.resumeWatches();
    await harness.clock.settle();
    harness.api.pauseWatches();
    const set = await sets(harness).get('web');
    await sets(harness).update({ ...set, spec: { ...set.spec, replicas: 4 } });
    harness.api.resumeWatches();
    await harness.clock.settle();
    expect(harness.api.all(corev1.pods)).toHaveLength(4);
    // Only the ReplicaSet's own changes arrive for a while, not those of its pods.
    harness.api.pauseWatches();
    for (let round = 0; round < 3; round++) {
      const current = await sets(harness).get('web');
      await sets(harness).update({
        ...current,
        metadata: { ...current.metadata, labels: { round: String(round) } },
      });
      await harness.clock.advance(1000);
    }
    harness.api.resumeWatches();
    await harness.clock.advance(1000);
    expect(harness.api.all(corev1.pods)).toHaveLength(4);
  });

  it('starts slowly against a quota, reports the failure, and goes on when there is room', async () => {
    await using harness = await start();
    let room = 5;
    const quota = harness.api.intercept(({ method, path }) => {
      if (method !== 'POST' || !path.endsWith('/pods')) return undefined;
      if (room === 0) throw forbidden({ group: '', resource: 'pods' }, 'web-x', 'exceeded quota');
      room--;
      return undefined;
    });
    await sets(harness).create(replicaSet(100));
    await harness.clock.settle();
    expect(harness.api.all(corev1.pods)).toHaveLength(5);
    // Batches of 1, 2 and 4: seven attempts before it gives up for now, not a hundred.
    const attempts = harness.api.requests.filter(
      (request) => request === 'POST /api/v1/namespaces/default/pods',
    );
    expect(attempts.length).toBeLessThan(12);
    expect(status(harness)?.conditions).toMatchObject([
      {
        type: 'ReplicaFailure',
        status: 'True',
        reason: 'FailedCreate',
        message: expect.stringContaining('exceeded quota') as string,
      },
    ]);
    expect(events(harness)).toContain(
      'Warning FailedCreate Error creating: pods "web-x" is forbidden: exceeded quota',
    );
    quota[Symbol.dispose]();
    await harness.clock.advance(60_000);
    expect(harness.api.all(corev1.pods)).toHaveLength(100);
    expect(status(harness)?.conditions).toBeUndefined();
  });

  it('adopts orphans that match, and releases pods that no longer do', async () => {
    await using harness = await start();
    const pods = harness.api.client.resource(corev1.pods, 'default');
    await pods.create({ metadata: { name: 'orphan', labels: { app: 'web' } }, spec: template.spec });
    await pods.create({ metadata: { name: 'other', labels: { app: 'db' } }, spec: template.spec });
    const set = await sets(harness).create(replicaSet(2));
    await harness.clock.settle();
    expect(harness.api.all(corev1.pods)).toHaveLength(3);
    expect((await pods.get('orphan')).metadata.ownerReferences?.[0]?.uid).toBe(set.metadata.uid);
    expect((await pods.get('other')).metadata.ownerReferences).toBeUndefined();
    await pods.patch('orphan', { metadata: { labels: { app: 'free' } } }, { type: 'merge' });
    await harness.clock.settle();
    expect((await pods.get('orphan')).metadata.ownerReferences ?? []).toEqual([]);
    expect(harness.api.all(corev1.pods)).toHaveLength(4);
  });

  it('leaves alone what it is being deleted with, and finished pods', async () => {
    await using harness = await start();
    await sets(harness).create({ ...replicaSet(2), metadata: { name: 'web', finalizers: ['x/y'] } });
    await harness.clock.settle();
    await sets(harness).delete('web');
    await harness.clock.settle();
    for (const pod of harness.api.all(corev1.pods))
      await harness.api.client.resource(corev1.pods, 'default').delete(pod.metadata.name);
    await harness.clock.advance(10_000);
    expect(harness.api.all(corev1.pods)).toHaveLength(0);
  });

  it('does the same for ReplicationControllers', async () => {
    await using harness = await start();
    const controllers = harness.api.client.resource(corev1.replicationControllers, 'default');
    await controllers.create({
      metadata: { name: 'old' },
      spec: { replicas: 2, selector: { app: 'web' }, template },
    });
    await harness.clock.settle();
    expect(harness.api.all(corev1.pods)).toHaveLength(2);
    expect(harness.api.all(corev1.pods)[0]?.metadata.ownerReferences?.[0]).toMatchObject({
      apiVersion: 'v1',
      kind: 'ReplicationController',
    });
    expect((await controllers.get('old')).status).toEqual({
      replicas: 2,
      fullyLabeledReplicas: 2,
      observedGeneration: 1,
    });
  });
});
