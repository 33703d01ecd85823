import type { corev1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { planReplicas, nextAvailability, replicaStatus } from './plan.ts';
import type { ReplicaOwner } from './plan.ts';
import { rankForDeletion } from './pod-ranking.ts';

const NOW = Date.UTC(2026, 0, 1, 12);

interface PodFacts {
  readonly node?: string;
  readonly phase?: corev1.PodPhase;
  /** Seconds since it became ready. */
  readonly ready?: number;
  readonly cost?: string;
  readonly restarts?: number;
  /** Seconds. */
  readonly age?: number;
  readonly labels?: Record<string, string>;
}

const ago = (seconds: number): string => new Date(NOW - seconds * 1000).toISOString().replace('.000', '');

function pod(name: string, facts: PodFacts = {}): corev1.Pod {
  const { node = 'n1', phase = 'Running', ready, cost, restarts = 0, age = 1000, labels = {} } = facts;
  return {
    metadata: {
      name,
      uid: name,
      namespace: 'default',
      creationTimestamp: ago(age),
      labels,
      ...(cost === undefined ? {} : { annotations: { 'controller.kubernetes.io/pod-deletion-cost': cost } }),
    },
    spec: { containers: [], ...(node === '' ? {} : { nodeName: node }) },
    status: {
      phase,
      conditions:
        ready === undefined ? [] : [{ type: 'Ready', status: 'True', lastTransitionTime: ago(ready) }],
      containerStatuses: [
        { name: 'c', image: '', imageID: '', ready: ready !== undefined, restartCount: restarts },
      ],
    },
  };
}

function owner(
  replicas: number,
  extra: Partial<ReplicaOwner['spec']> = {},
  status?: ReplicaOwner['status'],
): ReplicaOwner {
  return {
    metadata: { name: 'web', namespace: 'default', generation: 3 },
    spec: {
      replicas,
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [] } },
      ...extra,
    },
    ...(status === undefined ? {} : { status }),
  };
}

describe('the order in which pods are deleted', () => {
  it.each<[string, corev1.Pod, corev1.Pod]>([
    ['not assigned before assigned', pod('b', { node: '' }), pod('a')],
    ['pending before running', pod('b', { phase: 'Pending', ready: 5 }), pod('a')],
    ['unknown before running', pod('b', { phase: 'Unknown' }), pod('a')],
    ['pending before unknown', pod('b', { phase: 'Pending' }), pod('a', { phase: 'Unknown' })],
    ['not ready before ready', pod('b'), pod('a', { ready: 5 })],
    ['cheap before dear', pod('b', { ready: 9999, cost: '-5' }), pod('a', { ready: 5 })],
    [
      'an invalid cost counts as nothing',
      pod('b', { ready: 5, cost: '+9' }),
      pod('a', { ready: 5, cost: '1' }),
    ],
    ['ready for minutes before ready for hours', pod('b', { ready: 60 }), pod('a', { ready: 7200 })],
    [
      'restarted before never restarted',
      pod('b', { restarts: 3, ready: 5 }),
      pod('a', { restarts: 1, ready: 5 }),
    ],
    ['young before old', pod('b', { age: 10 }), pod('a', { age: 9999 })],
    ['of one age, by UID', pod('a', { age: 1000 }), pod('b', { age: 1001 })],
  ])('%s', (_, first, second) => {
    for (const pods of [
      [first, second],
      [second, first],
    ])
      expect(rankForDeletion(pods, [], NOW).map(({ metadata }) => metadata.name)).toEqual([
        first.metadata.name,
        second.metadata.name,
      ]);
  });

  it('crowded nodes before empty ones, pods of sibling sets included', () => {
    const [a, b] = [pod('a', { node: 'n1', ready: 5 }), pod('b', { node: 'n2', ready: 5 })];
    const siblings = [pod('s1', { node: 'n2' }), pod('s2', { node: 'n2', phase: 'Failed' })];
    expect(rankForDeletion([a, b], [a, b, ...siblings], NOW)[0]).toBe(b);
    // The failed one alone does not count.
    expect(rankForDeletion([a, b], [a, b, siblings[1] as corev1.Pod], NOW)[0]).toBe(a);
  });
});

describe('the plan', () => {
  const pods = (count: number): corev1.Pod[] => Array.from({ length: count }, (_, index) => pod(`p${index}`));
  it.each<[wanted: number, active: number, expected: string]>([
    [3, 3, 'none'],
    [3, 1, 'create 2'],
    [0, 2, 'delete 2'],
    [2, 5, 'delete 3'],
    [2000, 0, 'create 500'],
    [0, 900, 'delete 500'],
  ])('for %i wanted and %i there: %s', (wanted, active, expected) => {
    const all = pods(active);
    const plan = planReplicas(owner(wanted), all, () => all, NOW);
    const amount = plan.action === 'create' ? plan.count : plan.action === 'delete' ? plan.pods.length : '';
    expect(`${plan.action} ${amount}`.trim()).toBe(expected);
  });
});

describe('the status', () => {
  const labels = { app: 'web' };
  it('counts labeled, ready, available and terminating pods', () => {
    const active = [
      pod('a', { labels, ready: 100 }),
      pod('b', { labels, ready: 5 }),
      pod('c', { labels: { app: 'web', extra: 'x' } }),
      pod('d', { labels: { other: 'x' } }),
    ];
    expect(replicaStatus(owner(4, { minReadySeconds: 10 }), active, [pod('t')], undefined, NOW)).toEqual({
      replicas: 4,
      fullyLabeledReplicas: 3,
      readyReplicas: 2,
      availableReplicas: 1,
      terminatingReplicas: 1,
      observedGeneration: 3,
    });
    expect(nextAvailability(active, 10, NOW)).toBe(5000);
    expect(nextAvailability(active, 0, NOW)).toBeUndefined();
  });

  it('reports a failure, keeps its first reason, and takes it back', () => {
    const failed = replicaStatus(owner(3), [], [], 'pods "x" is forbidden: exceeded quota', NOW);
    expect(failed.conditions).toEqual([
      {
        type: 'ReplicaFailure',
        status: 'True',
        lastTransitionTime: '2026-01-01T12:00:00Z',
        reason: 'FailedCreate',
        message: 'pods "x" is forbidden: exceeded quota',
      },
    ]);
    const later = replicaStatus(owner(3, {}, failed), [], [], 'another', NOW + 60_000);
    expect(later.conditions).toEqual(failed.conditions);
    expect(replicaStatus(owner(0, {}, failed), [], [], undefined, NOW).conditions).toBeUndefined();
    expect(replicaStatus(owner(0), [pod('a')], [], 'x', NOW).conditions?.[0]?.reason).toBe('FailedDelete');
  });
});
