import { appsv1, corev1 } from '@k8ts/api';
import type { New } from '@k8ts/api';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Cluster } from './cluster.ts';
import { startOnVirtualTime } from './testing/index.ts';
import type { VirtualCluster } from './testing/index.ts';

function deployment(name: string, replicas: number, image = 'app:1'): New<appsv1.Deployment> {
  const labels = { app: name };
  return {
    metadata: { name, namespace: 'default' },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'app', image }] } },
    },
  };
}

describe('on virtual time', () => {
  let virtual: VirtualCluster;
  beforeEach(async () => {
    virtual = await startOnVirtualTime({ nodes: 3 });
  });
  afterEach(() => virtual[Symbol.asyncDispose]());

  const deployments = () => virtual.cluster.client.resource(appsv1.deployments, 'default');
  const pods = () => virtual.cluster.client.resource(corev1.pods, 'default');
  const readyPods = async (): Promise<corev1.Pod[]> =>
    (await pods().list()).items.filter(
      ({ status, metadata }) =>
        metadata.deletionTimestamp === undefined &&
        status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true,
    );

  test('a Deployment becomes ready pods on different nodes', async () => {
    await deployments().create(deployment('web', 3));
    await virtual.clock.advanceUntil(async () => (await readyPods()).length === 3, 60_000);
    const nodes = (await readyPods()).map(({ spec }) => spec.nodeName);
    expect(new Set(nodes).size).toBe(3);
    await virtual.clock.advance(1000);
    expect((await deployments().get('web')).status).toMatchObject({ readyReplicas: 3, availableReplicas: 3 });
  });

  test('a rolling update replaces all pods and never has too few', async () => {
    await deployments().create(deployment('web', 4));
    await virtual.clock.advanceUntil(async () => (await readyPods()).length === 4, 60_000);
    await deployments().patch(
      'web',
      { spec: { template: { spec: { containers: [{ name: 'app', image: 'app:2' }] } } } },
      { type: 'strategic' },
    );
    let fewest = Infinity;
    await virtual.clock.advanceUntil(async () => {
      const ready = await readyPods();
      fewest = Math.min(fewest, ready.length);
      return ready.length === 4 && ready.every(({ spec }) => spec.containers[0]?.image === 'app:2');
    }, 600_000);
    expect(fewest).toBeGreaterThanOrEqual(3); // maxUnavailable 25 %
  });

  test('five minutes after a node has failed, its pods run elsewhere', async () => {
    await deployments().create(deployment('web', 3));
    await virtual.clock.advanceUntil(async () => (await readyPods()).length === 3, 60_000);
    const [victim] = virtual.cluster.nodes.names as [string];
    await virtual.cluster.nodes.fail(victim);
    await virtual.clock.advance(90_000);
    const node = await virtual.cluster.client.resource(corev1.nodes).get(victim);
    expect(node.status?.conditions?.find(({ type }) => type === 'Ready')?.status).toBe('Unknown');
    expect(node.spec.taints?.map(({ key, effect }) => [key, effect])).toContainEqual([
      'node.kubernetes.io/unreachable',
      'NoExecute',
    ]);
    await virtual.clock.advanceUntil(async () => {
      const ready = await readyPods();
      return ready.length === 3 && ready.every(({ spec }) => spec.nodeName !== victim);
    }, 600_000);
  });

  test('deleting a Deployment takes its ReplicaSet and pods along', async () => {
    await deployments().create(deployment('web', 3));
    await virtual.clock.advanceUntil(async () => (await readyPods()).length === 3, 60_000);
    await deployments().delete('web');
    await virtual.clock.advanceUntil(async () => (await pods().list()).items.length === 0, 120_000);
    const sets = await virtual.cluster.client.resource(appsv1.replicaSets, 'default').list();
    expect(sets.items).toEqual([]);
  });

  test('a deleted namespace goes with everything in it', async () => {
    const namespaces = virtual.cluster.client.resource(corev1.namespaces);
    await namespaces.create({ metadata: { name: 'shop' } } as corev1.Namespace);
    await virtual.clock.advance(1000);
    const inShop = virtual.cluster.client.resource(appsv1.deployments, 'shop');
    await inShop.create({
      ...deployment('web', 2),
      metadata: { name: 'web', namespace: 'shop' },
    });
    await virtual.clock.advance(10_000);
    await namespaces.delete('shop');
    await virtual.clock.advanceUntil(
      async () => !(await namespaces.list()).items.some(({ metadata }) => metadata.name === 'shop'),
      300_000,
    );
    expect((await virtual.cluster.client.resource(corev1.pods, 'shop').list()).items).toEqual([]);
  });
});

test('twenty clusters live side by side in one process, and nothing is left of them', async () => {
  const clusters = await Promise.all(Array.from({ length: 20 }, () => Cluster.start()));
  const servers = new Set(clusters.map(({ server }) => server));
  expect(servers.size).toBe(20);
  for (const [index, cluster] of clusters.entries())
    await cluster.client
      .resource(corev1.configMaps, 'default')
      .create({ metadata: { name: 'mine', namespace: 'default' }, data: { index: String(index) } });
  for (const [index, cluster] of clusters.entries()) {
    const mine = await cluster.client.resource(corev1.configMaps, 'default').get('mine');
    expect(mine.data).toEqual({ index: String(index) });
  }
  await Promise.all(clusters.map((cluster) => cluster[Symbol.asyncDispose]()));
  await new Promise((resolve) => setTimeout(resolve, 10)); // handles close in a later turn
  const sockets = process.getActiveResourcesInfo().filter((name) => /TCP|HTTP|TLS/.test(name));
  expect(sockets).toEqual([]);
});
