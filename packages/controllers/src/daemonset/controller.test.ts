import { appsv1, corev1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { ControllerHarness } from '../testing/controller-harness.ts';
import { daemonSetController } from './controller.ts';
import { targetNode } from './daemon-pods.ts';

async function start(nodes: readonly string[]): Promise<ControllerHarness> {
  const harness = await ControllerHarness.start([daemonSetController], {}, (api) => {
    for (const name of nodes) api.seed(corev1.nodes, { metadata: { name }, spec: {} });
  });
  harness.runPods();
  return harness;
}

const daemonSet = (image: string, extra: Partial<appsv1.DaemonSetSpec> = {}): appsv1.DaemonSet => ({
  metadata: { name: 'agent', namespace: 'default' },
  spec: {
    selector: { matchLabels: { app: 'agent' } },
    template: { metadata: { labels: { app: 'agent' } }, spec: { containers: [{ name: 'c', image }] } },
    updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
    revisionHistoryLimit: 10,
    ...extra,
  },
});

const api = ({ api: fake }: ControllerHarness) => fake.client.resource(appsv1.daemonSets, 'default');
const status = ({ api: fake }: ControllerHarness) => fake.peek(appsv1.daemonSets, 'default/agent')?.status;
const pods = ({ api: fake }: ControllerHarness) =>
  fake
    .all(corev1.pods)
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map((pod) => `${targetNode(pod) ?? ''} ${pod.spec.containers[0]?.image ?? ''}`)
    .sort();
const revisions = ({ api: fake }: ControllerHarness) =>
  fake
    .all(appsv1.controllerRevisions)
    .map(({ revision }) => revision)
    .sort();

async function setImage(harness: ControllerHarness, image: string): Promise<void> {
  const current = await api(harness).get('agent');
  await api(harness).update({
    ...current,
    spec: { ...current.spec, template: daemonSet(image).spec.template },
  });
}

describe('DaemonSet controller', () => {
  it('has a pod on every node, as nodes come and go', async () => {
    await using harness = await start(['n1', 'n2']);
    await api(harness).create(daemonSet('v1'));
    await harness.clock.advance(5000);
    expect(pods(harness)).toEqual(['n1 v1', 'n2 v1']);
    expect(status(harness)).toEqual({
      desiredNumberScheduled: 2,
      currentNumberScheduled: 2,
      numberMisscheduled: 0,
      numberReady: 2,
      numberAvailable: 2,
      updatedNumberScheduled: 2,
      observedGeneration: 1,
    });
    harness.api.seed(corev1.nodes, { metadata: { name: 'n3' }, spec: {} });
    await harness.clock.advance(5000);
    expect(pods(harness)).toEqual(['n1 v1', 'n2 v1', 'n3 v1']);
    await harness.api.client
      .resource(corev1.nodes)
      .patch('n1', { spec: { taints: [{ key: 'k', effect: 'NoExecute' }] } }, { type: 'merge' });
    await harness.clock.advance(5000);
    expect(pods(harness)).toEqual(['n2 v1', 'n3 v1']);
  });

  it('runs only where its selector says', async () => {
    await using harness = await start(['n1', 'n2']);
    const { template } = daemonSet('v1').spec;
    await api(harness).create(
      daemonSet('v1', {
        template: { ...template, spec: { ...template.spec, nodeSelector: { disk: 'ssd' } } },
      }),
    );
    await harness.clock.advance(5000);
    expect(pods(harness)).toEqual([]);
    await harness.api.client
      .resource(corev1.nodes)
      .patch('n2', { metadata: { labels: { disk: 'ssd' } } }, { type: 'merge' });
    await harness.clock.advance(5000);
    expect(pods(harness)).toEqual(['n2 v1']);
  });

  it('rolls node by node, with a history to go back to', async () => {
    await using harness = await start(['n1', 'n2', 'n3']);
    await api(harness).create(daemonSet('v1'));
    await harness.clock.advance(5000);
    await setImage(harness, 'v2');
    let least = 3;
    for (let step = 0; step < 60; step++) {
      await harness.clock.advance(500);
      least = Math.min(least, status(harness)?.numberAvailable ?? 0);
    }
    expect(pods(harness)).toEqual(['n1 v2', 'n2 v2', 'n3 v2']);
    expect(least).toBe(2);
    expect(revisions(harness)).toEqual([1, 2]);
    await setImage(harness, 'v1');
    await harness.clock.advance(30_000);
    expect(pods(harness)).toEqual(['n1 v1', 'n2 v1', 'n3 v1']);
    expect(revisions(harness)).toEqual([2, 3]);
    expect(status(harness)).toMatchObject({ updatedNumberScheduled: 3, numberAvailable: 3 });
  });

  it('surges: no node is without a ready pod', async () => {
    await using harness = await start(['n1', 'n2', 'n3']);
    const updateStrategy = {
      type: 'RollingUpdate',
      rollingUpdate: { maxSurge: 1, maxUnavailable: 0 },
    } as const;
    await api(harness).create(daemonSet('v1', { updateStrategy }));
    await harness.clock.advance(5000);
    await setImage(harness, 'v2');
    for (let step = 0; step < 60; step++) {
      await harness.clock.advance(500);
      expect(new Set(pods(harness).map((text) => text.split(' ')[0])).size).toBe(3);
      expect(pods(harness).length).toBeLessThanOrEqual(4);
    }
    expect(pods(harness)).toEqual(['n1 v2', 'n2 v2', 'n3 v2']);
  });

  it('leaves old pods alone until they are deleted, when asked to', async () => {
    await using harness = await start(['n1', 'n2']);
    await api(harness).create(daemonSet('v1', { updateStrategy: { type: 'OnDelete' } }));
    await harness.clock.advance(5000);
    await setImage(harness, 'v2');
    await harness.clock.advance(10_000);
    expect(pods(harness)).toEqual(['n1 v1', 'n2 v1']);
    const [first] = harness.api.all(corev1.pods);
    await harness.api.client.resource(corev1.pods, 'default').delete(first?.metadata.name ?? '');
    await harness.clock.advance(10_000);
    expect(pods(harness).filter((text) => text.endsWith('v2'))).toHaveLength(1);
  });

  it('replaces failed pods, more and more slowly', async () => {
    await using harness = await start(['n1']);
    await api(harness).create(daemonSet('v1'));
    const fail = async (): Promise<void> => {
      for (const pod of harness.api.all(corev1.pods))
        if (pod.status?.phase !== 'Failed')
          await harness.api.client
            .resource(corev1.pods, 'default')
            .updateStatus({ ...pod, status: { ...pod.status, phase: 'Failed' } });
    };
    for (let step = 0; step < 600; step++) {
      await harness.clock.advance(100);
      await fail();
    }
    // In a minute with waits of 1, 2, 4, 8, 16 and 32 s, not once every tenth of a second.
    const killed = harness.api.all(corev1.events).find(({ reason }) => reason === 'FailedDaemonPod');
    expect(killed?.message).toMatch(
      /^Found failed daemon pod default\/agent-\w+ on node n1, will try to kill it$/,
    );
    const deletions = harness.api.requests.filter((request) =>
      request.startsWith('DELETE /api/v1/namespaces/default/pods'),
    );
    expect(deletions.length).toBeGreaterThan(3);
    expect(deletions.length).toBeLessThan(10);
  });

  it('keeps the conditions that others write while it writes its counts', async () => {
    await using harness = await start(['n1']);
    const conditions = [{ type: 'Checked', status: 'True' as const }];
    const others = harness.api.intercept(({ method, path }) => {
      const known = harness.api.peek(appsv1.daemonSets, 'default/agent');
      if (method !== 'PUT' || !path.endsWith('/daemonsets/agent/status') || known === undefined) return;
      others[Symbol.dispose]();
      const counts = { currentNumberScheduled: 0, desiredNumberScheduled: 0 };
      const nothing = { ...counts, numberMisscheduled: 0, numberReady: 0 };
      harness.api.seed(appsv1.daemonSets, { ...known, status: { ...nothing, conditions } });
    });
    await api(harness).create(daemonSet('v1'));
    await harness.clock.advance(5000);
    expect(status(harness)).toMatchObject({ numberAvailable: 1, observedGeneration: 1, conditions });
  });

  it('keeps as many revisions as its limit says', async () => {
    await using harness = await start(['n1']);
    await api(harness).create(daemonSet('v1', { revisionHistoryLimit: 1 }));
    for (const image of ['v2', 'v3', 'v4']) {
      await harness.clock.advance(10_000);
      await setImage(harness, image);
    }
    await harness.clock.advance(20_000);
    expect(revisions(harness)).toEqual([3, 4]);
  });

  it('comes to rest', async () => {
    await using harness = await start(['n1', 'n2']);
    await api(harness).create(daemonSet('v1'));
    await harness.clock.advance(60_000);
    const before = harness.api.requests.length;
    await harness.clock.advance(240_000);
    expect(harness.api.requests.slice(before).filter((request) => !request.startsWith('WATCH'))).toEqual([]);
  });
});
