import type { coordinationv1, corev1 } from '@k8ts/api';
import { VirtualClock } from '@k8ts/base';
import { describe, expect, it } from 'vitest';

import { assessNode } from './health.ts';
import type { NodeHealth } from './health.ts';
import { planNoScheduleTaints } from './node-state.ts';
import { tolerationSeconds } from './tolerations.ts';
import { ZoneQueue, zoneRate, zoneState } from './zones.ts';

const T0 = Date.UTC(2026, 0, 1);
const at = (seconds: number): string => new Date(T0 + seconds * 1000).toISOString().replace('.000', '');
const GRACE = { startup: 60_000, monitor: 50_000 };

function node(ready: [status: 'True' | 'False' | 'Unknown', heartbeat: number] | undefined): corev1.Node {
  return {
    metadata: { name: 'n', creationTimestamp: at(0) },
    spec: {},
    status:
      ready === undefined
        ? {}
        : {
            conditions: [
              {
                type: 'Ready',
                status: ready[0],
                lastHeartbeatTime: at(ready[1]),
                reason: 'Kubelet',
                message: '',
              },
              { type: 'NetworkUnavailable', status: 'False' },
            ],
          },
  };
}

const lease = (renewed: number): coordinationv1.Lease => ({
  metadata: { name: 'n' },
  spec: { renewTime: `2026-01-01T00:${String(renewed).padStart(2, '0')}:00.000000Z` },
});

/** Looks every five seconds at what `state` gives; returns when the node is first marked, in seconds. */
function markedAt(
  state: (seconds: number) => [corev1.Node, coordinationv1.Lease?],
  limit = 300,
): number | undefined {
  let health: NodeHealth | undefined;
  for (let seconds = 0; seconds <= limit; seconds += 5) {
    const [one, its] = state(seconds);
    const assessment = assessNode(one, its, health, T0 + seconds * 1000, GRACE);
    if (assessment.conditions !== undefined) return seconds;
    ({ health } = assessment);
  }
  return undefined;
}

describe('the health of a node', () => {
  it.each<[string, (seconds: number) => [corev1.Node, coordinationv1.Lease?], number | undefined]>([
    ['that posts its status', (seconds) => [node(['True', seconds])], undefined],
    ['that only renews its lease', (seconds) => [node(['True', 0]), lease(seconds)], undefined],
    ['that falls silent after 100 s', (seconds) => [node(['True', Math.min(seconds, 100)])], 155],
    ['whose lease is no longer renewed', (seconds) => [node(['True', 0]), lease(Math.min(seconds, 20))], 75],
    ['that never said anything', () => [node(undefined)], 65],
    ['that says it is not ready', (seconds) => [node(['False', seconds])], undefined],
    ['that is marked already', () => [node(['Unknown', 0])], undefined],
  ])('%s', (_, state, expected) => {
    expect(markedAt(state)).toBe(expected);
  });

  it('does not trust the clocks of nodes', () => {
    expect(markedAt((seconds) => [node(['True', seconds - 9999])])).toBeUndefined();
  });

  it("marks in upstream's words, and leaves conditions alone that are not the kubelet's", () => {
    const health = { probed: T0, ready: undefined, leaseRenewed: undefined };
    const silent = node(['True', 0]);
    const before = { ...health, ready: silent.status?.conditions?.[0] };
    const { conditions, observed, current } = assessNode(silent, undefined, before, T0 + 51_000, GRACE);
    expect([observed, current]).toEqual(['True', 'Unknown']);
    expect(conditions).toEqual([
      {
        type: 'Ready',
        status: 'Unknown',
        lastHeartbeatTime: at(0),
        lastTransitionTime: at(51),
        reason: 'NodeStatusUnknown',
        message: 'Kubelet stopped posting node status.',
      },
      { type: 'NetworkUnavailable', status: 'False' },
      ...['MemoryPressure', 'DiskPressure', 'PIDPressure'].map((type) => ({
        type,
        status: 'Unknown',
        reason: 'NodeStatusNeverUpdated',
        message: 'Kubelet never posted node status.',
        lastHeartbeatTime: at(0),
        lastTransitionTime: at(51),
      })),
    ]);
  });
});

describe('zones', () => {
  it.each<[ready: number, notReady: number, expected: string]>([
    [3, 0, 'normal'],
    [1, 2, 'normal'], // two may fail by themselves
    [2, 3, 'partial'],
    [10, 3, 'normal'],
    [0, 1, 'full'],
    [0, 0, 'normal'],
  ])('with %i ready and %i not are %s', (ready, notReady, expected) => {
    expect(zoneState(ready, notReady, 0.55)).toBe(expected);
  });

  it('are emptied at a rate that fits', () => {
    const options = {
      evictionRate: 0.1,
      secondaryEvictionRate: 0.01,
      largeClusterSizeThreshold: 50,
      unhealthyZoneThreshold: 0.55,
    };
    expect(zoneRate('normal', 5, options)).toBe(0.1);
    expect(zoneRate('full', 5, options)).toBe(0.1);
    expect(zoneRate('partial', 51, options)).toBe(0.01);
    expect(zoneRate('partial', 50, options)).toBe(0);
  });

  it('let a node go every ten seconds, the first at once', async () => {
    const clock = new VirtualClock();
    const queue = new ZoneQueue(clock, 0.1);
    for (const name of ['a', 'b', 'c', 'a']) queue.add(name);
    queue.remove('b');
    expect([queue.take(), queue.take()]).toEqual(['a', undefined]);
    await clock.advance(9999);
    expect(queue.take()).toBeUndefined();
    await clock.advance(1);
    expect(queue.take()).toBe('c');
    queue.setRate(0);
    queue.add('d');
    await clock.advance(100_000);
    expect(queue.take()).toBeUndefined();
  });
});

describe('NoSchedule taints', () => {
  const taint = (key: string, effect: corev1.TaintEffect = 'NoSchedule'): corev1.Taint => ({
    key: `node.kubernetes.io/${key}`,
    effect,
  });
  it.each<[string, corev1.NodeCondition[], Partial<corev1.NodeSpec>, object | undefined]>([
    ['of a node that is well', [{ type: 'Ready', status: 'True' }], {}, undefined],
    ['not ready', [{ type: 'Ready', status: 'False' }], {}, { add: [taint('not-ready')], remove: [] }],
    [
      'back from being unreachable',
      [{ type: 'Ready', status: 'True' }],
      {
        taints: [
          taint('unreachable'),
          taint('unreachable', 'NoExecute'),
          { key: 'mine', effect: 'NoSchedule' },
        ],
      },
      { add: [], remove: [taint('unreachable')] },
    ],
    [
      'under pressure and cordoned',
      [
        { type: 'Ready', status: 'True' },
        { type: 'MemoryPressure', status: 'True' },
      ],
      { unschedulable: true },
      { add: [taint('memory-pressure'), taint('unschedulable')], remove: [] },
    ],
    [
      'tainted as it should be',
      [{ type: 'DiskPressure', status: 'True' }],
      { taints: [taint('disk-pressure')] },
      undefined,
    ],
  ])('%s', (_, conditions, spec, expected) => {
    expect(planNoScheduleTaints({ metadata: { name: 'n' }, spec, status: { conditions } })).toEqual(expected);
  });
});

describe('tolerations', () => {
  const taint: corev1.Taint = { key: 'k', value: 'v', effect: 'NoExecute' };
  it('grant the shortest of their times', () => {
    const other: corev1.Taint = { key: 'o', effect: 'NoExecute' };
    const k: corev1.Toleration = { key: 'k', operator: 'Exists', tolerationSeconds: 300 };
    expect(tolerationSeconds([taint, other], [k])).toBe(0);
    expect(tolerationSeconds([taint, other], [k, { key: 'o', operator: 'Exists' }])).toBe(300);
    expect(
      tolerationSeconds([taint, other], [k, { key: 'o', operator: 'Exists', tolerationSeconds: 5 }]),
    ).toBe(5);
    expect(tolerationSeconds([taint], [{ operator: 'Exists' }])).toBe(Infinity);
    expect(tolerationSeconds([taint], [{ ...k, tolerationSeconds: -1 }])).toBe(0);
  });
});
