import { coordinationv1, corev1 } from '@k8ts/api';
import { seededRandom, silentLogger, VirtualClock } from '@k8ts/base';
import { FakeApi } from '@k8ts/client/testing';
import { describe, expect, it } from 'vitest';

import { testPod } from '../testing/pods.ts';
import { startSimulatedNodes, type SimulatedNodes } from './simulated-nodes.ts';

async function start(count: number): Promise<{ api: FakeApi; clock: VirtualClock; nodes: SimulatedNodes }> {
  const clock = new VirtualClock();
  const api = new FakeApi({ clock });
  const nodes = await startSimulatedNodes({
    client: api.client,
    clock,
    random: seededRandom(1),
    logger: silentLogger,
    count,
  });
  await clock.settle();
  await nodes.ready();
  return { api, clock, nodes };
}

describe('simulated nodes', () => {
  it('register, are Ready, and renew their leases every 10 s', async () => {
    const { api, clock, nodes } = await start(25);
    await using _nodes = nodes;
    expect(api.all(corev1.nodes)).toHaveLength(25);
    expect(api.peek(corev1.nodes, 'node-7')).toMatchObject({
      metadata: { labels: { 'kubernetes.io/hostname': 'node-7', 'kubernetes.io/os': 'linux' } },
      status: {
        capacity: { cpu: '8', pods: '110' },
        addresses: [
          { type: 'InternalIP', address: '10.0.0.8' },
          { type: 'Hostname', address: 'node-7' },
        ],
      },
    });
    expect(
      api
        .peek(corev1.nodes, 'node-7')
        ?.status?.conditions?.map(({ type, status, reason }) => [type, status, reason]),
    ).toEqual([
      ['MemoryPressure', 'False', 'KubeletHasSufficientMemory'],
      ['DiskPressure', 'False', 'KubeletHasNoDiskPressure'],
      ['PIDPressure', 'False', 'KubeletHasSufficientPID'],
      ['Ready', 'True', 'KubeletReady'],
    ]);
    api.requests.length = 0;
    await clock.advance(10_500);
    const renewals = api.requests.filter((request) => request.includes('/leases/'));
    expect(renewals).toHaveLength(25);
    expect(new Set(renewals).size).toBe(25);
  });

  it('report their status every five minutes', async () => {
    const { api, clock, nodes } = await start(3);
    await using _nodes = nodes;
    await clock.advance(599_000);
    const reports = api.requests.filter(
      (request) => request.startsWith('PATCH') && request.endsWith('/status'),
    );
    expect(reports).toHaveLength(3);
  });

  it('run the pods that are bound to them', async () => {
    const { api, clock, nodes } = await start(4);
    await using _nodes = nodes;
    const pods = api.client.resource(corev1.pods, 'default');
    for (let i = 0; i < 40; i++)
      await pods.create(testPod({ nodeName: `node-${i % 4}` }, { name: `web-${i}` }));
    await pods.create(testPod({ nodeName: 'elsewhere' }, { name: 'other' }));
    await clock.settle();
    const phases = api.all(corev1.pods).map(({ status }) => status?.phase);
    expect(phases.filter((phase) => phase === 'Running')).toHaveLength(40);
    expect(new Set(api.all(corev1.pods).flatMap(({ status }) => status?.podIP ?? [])).size).toBe(40);
    for (let i = 0; i < 40; i++) await pods.delete(`web-${i}`);
    await clock.advance(2_000);
    expect(api.all(corev1.pods).map(({ metadata }) => metadata.name)).toEqual(['other']);
  });

  it('can fail and come back without running pods twice', async () => {
    const { api, clock, nodes } = await start(2);
    await using _nodes = nodes;
    const pods = api.client.resource(corev1.pods, 'default');
    await pods.create(testPod({ nodeName: 'node-1' }));
    await clock.settle();
    const id = api.peek(corev1.pods, 'default/web')?.status?.containerStatuses?.[0]?.containerID;
    expect(id).toBeDefined();
    await nodes.fail('node-1');
    const renewed = (): string | undefined =>
      api.peek(coordinationv1.leases, 'kube-node-lease/node-1')?.spec?.renewTime;
    const before = renewed();
    await clock.advance(60_000);
    expect(renewed()).toBe(before);
    await nodes.recover('node-1');
    await clock.advance(60_000);
    expect(renewed()).not.toBe(before);
    expect(api.peek(corev1.pods, 'default/web')?.status?.containerStatuses?.[0]?.containerID).toBe(id);
  });

  it('refuse what does not fit', async () => {
    const { api, clock, nodes } = await start(1);
    await using _nodes = nodes;
    const pods = api.client.resource(corev1.pods, 'default');
    await pods.create(
      testPod({
        nodeName: 'node-0',
        containers: [{ name: 'app', image: 'app', resources: { requests: { cpu: '9' } } }],
      }),
    );
    await clock.settle();
    expect(api.peek(corev1.pods, 'default/web')?.status).toMatchObject({
      phase: 'Failed',
      reason: 'OutOfcpu',
      message:
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 9000, used: 0, capacity: 8000",
    });
  });
});
