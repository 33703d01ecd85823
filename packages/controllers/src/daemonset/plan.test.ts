import type { appsv1, corev1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { daemonTemplate, judgeNode, targetNode } from './daemon-pods.ts';
import { daemonStatus, groupByNode, planPlacement, planRollingUpdate } from './plan.ts';
import type { DaemonState } from './plan.ts';

const NOW = Date.UTC(2026, 0, 1, 12);

function daemonSet(
  rollingUpdate: appsv1.RollingUpdateDaemonSet = { maxUnavailable: 1 },
  spec: Partial<corev1.PodSpec> = {},
): appsv1.DaemonSet {
  return {
    metadata: { name: 'agent', uid: 'd', generation: 2 },
    spec: {
      selector: {},
      template: { metadata: { labels: { app: 'agent' } }, spec: { containers: [], ...spec } },
      updateStrategy: { type: 'RollingUpdate', rollingUpdate },
    },
  };
}

const node = (name: string, taints: corev1.Taint[] = []): corev1.Node => ({
  metadata: { name },
  spec: { taints },
});

/** `n1 old ready`: a pod on n1 with the old template that is ready. */
function pod(text: string, index = 0): corev1.Pod {
  const [nodeName = '', ...facts] = text.split(' ');
  const has = (fact: string): boolean => facts.includes(fact);
  return {
    metadata: {
      name: `${nodeName}-${facts.join('-')}-${index}`,
      labels: { 'controller-revision-hash': has('new') ? 'h2' : 'h1' },
      creationTimestamp: `2026-01-01T00:00:${String(index).padStart(2, '0')}Z`,
      ...(has('deleting') ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    },
    spec: { containers: [], nodeName },
    status: {
      phase: has('failed') ? 'Failed' : has('succeeded') ? 'Succeeded' : 'Running',
      conditions: [
        {
          type: 'Ready',
          status: has('ready') ? 'True' : 'False',
          lastTransitionTime: '2026-01-01T00:00:00Z',
        },
      ],
    },
  };
}

function state(set: appsv1.DaemonSet, nodes: corev1.Node[], pods: readonly string[]): DaemonState {
  return { daemonSet: set, nodes, podsByNode: groupByNode(pods.map(pod)), hash: 'h2', now: NOW };
}

const names = (pods: readonly corev1.Pod[]): string[] => pods.map(({ metadata }) => metadata.name);

describe('where daemons belong', () => {
  const taint = (key: string, effect: corev1.TaintEffect): corev1.Taint => ({ key, effect });
  it.each<[string, corev1.Taint[], Partial<corev1.PodSpec>, [shouldRun: boolean, shouldContinue: boolean]]>([
    ['an ordinary node', [], {}, [true, true]],
    [
      'a node in trouble',
      [
        taint('node.kubernetes.io/not-ready', 'NoExecute'),
        taint('node.kubernetes.io/disk-pressure', 'NoSchedule'),
      ],
      {},
      [true, true],
    ],
    ['a cordoned node', [taint('node.kubernetes.io/unschedulable', 'NoSchedule')], {}, [true, true]],
    ['a reserved node', [taint('gpu', 'NoSchedule')], {}, [false, true]],
    ['a node to be emptied', [taint('gpu', 'NoExecute')], {}, [false, false]],
    ['a node that is only disliked', [taint('gpu', 'PreferNoSchedule')], {}, [true, true]],
    [
      'a reserved node that is tolerated',
      [taint('gpu', 'NoSchedule')],
      { tolerations: [{ operator: 'Exists' }] },
      [true, true],
    ],
    ['without network', [taint('node.kubernetes.io/network-unavailable', 'NoSchedule')], {}, [false, true]],
    [
      'without network, on the host network',
      [taint('node.kubernetes.io/network-unavailable', 'NoSchedule')],
      { hostNetwork: true },
      [true, true],
    ],
    ['not selected', [], { nodeSelector: { a: 'b' } }, [false, false]],
    ['another one that is named', [], { nodeName: 'n2' }, [false, false]],
  ])('%s', (_, taints, spec, [shouldRun, shouldContinue]) => {
    expect(judgeNode(daemonSet({}, spec), node('n1', taints))).toEqual({ shouldRun, shouldContinue });
  });

  it('binds each pod to its node, and keeps preferences', () => {
    const preferredDuringSchedulingIgnoredDuringExecution = [{ weight: 1, preference: {} }];
    const template = daemonTemplate(
      daemonSet({}, { affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution } } }),
      'n1',
      'h2',
    );
    expect(template.metadata?.labels).toEqual({ app: 'agent', 'controller-revision-hash': 'h2' });
    expect(template.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution).toBe(
      preferredDuringSchedulingIgnoredDuringExecution,
    );
    expect(targetNode({ metadata: { name: 'p' }, spec: template.spec })).toBe('n1');
    expect(template.spec.tolerations).toHaveLength(6);
  });
});

describe('placement', () => {
  it.each<[string, string[], string[], string[]]>([
    ['makes what is missing', [], ['n1', 'n2'], []],
    ['leaves what is there', ['n1 new ready', 'n2 old'], [], []],
    ['waits for what is terminating', ['n1 new deleting', 'n2 new'], [], []],
    ['keeps the oldest of several', ['n1 new', 'n1 new', 'n2 new'], [], ['n1-new-1']],
    ['takes away what is on the wrong node', ['n1 new', 'n2 new', 'n3 new'], [], ['n3-new-2']],
  ])('%s', (_, pods, create, remove) => {
    const nodes = [node('n1'), node('n2'), node('n3', [{ key: 'k', effect: 'NoExecute' }])];
    const plan = planPlacement(state(daemonSet(), nodes, pods));
    expect([plan.create, names(plan.delete)]).toEqual([create, remove]);
  });

  it('hands over finished pods, and removes unbound ones of nodes that are gone', () => {
    const plan = planPlacement(state(daemonSet(), [node('n1')], ['n1 new failed', 'n1 new succeeded']));
    expect([names(plan.finished.failed), names(plan.finished.succeeded)]).toEqual([
      ['n1-new-failed-0'],
      ['n1-new-succeeded-1'],
    ]);
    const template = daemonTemplate(daemonSet(), 'gone', 'h2');
    const unbound: corev1.Pod = { metadata: { name: 'unbound' }, spec: template.spec };
    const lost = planPlacement({ ...state(daemonSet(), [], []), podsByNode: groupByNode([unbound]) });
    expect(names(lost.delete)).toEqual(['unbound']);
  });
});

describe('a rolling update', () => {
  const nodes = ['n1', 'n2', 'n3', 'n4'].map((name) => node(name));
  it.each<[string, appsv1.RollingUpdateDaemonSet, string[], string[], number]>([
    [
      'deletes as many as may be missing',
      { maxUnavailable: 2 },
      ['n1 old ready', 'n2 old ready', 'n3 old ready', 'n4 old ready'],
      [],
      2,
    ],
    [
      'counts what is missing already',
      { maxUnavailable: 2 },
      ['n1 new', 'n2 old ready', 'n3 old ready', 'n4 old ready'],
      [],
      1,
    ],
    [
      'counts nodes without a pod',
      { maxUnavailable: 1 },
      ['n2 old ready', 'n3 old ready', 'n4 old ready'],
      [],
      0,
    ],
    [
      'replaces unavailable ones at once',
      { maxUnavailable: 1 },
      ['n1 old', 'n2 old', 'n3 old ready', 'n4 old ready'],
      [],
      2,
    ],
    [
      'rounds percentages up',
      { maxUnavailable: '30%' },
      ['n1 old ready', 'n2 old ready', 'n3 old ready', 'n4 old ready'],
      [],
      2,
    ],
    [
      'is complete',
      { maxUnavailable: 1 },
      ['n1 new ready', 'n2 new ready', 'n3 new ready', 'n4 new ready'],
      [],
      0,
    ],
    [
      'surges as many as allowed',
      { maxSurge: 2 },
      ['n1 old ready', 'n2 old ready', 'n3 old ready', 'n4 old ready'],
      ['n1', 'n2'],
      0,
    ],
    [
      'counts surging nodes',
      { maxSurge: 1 },
      ['n1 old ready', 'n1 new', 'n2 old ready', 'n3 old ready', 'n4 old ready'],
      [],
      0,
    ],
    [
      'surges where the old one is gone anyway',
      { maxSurge: 1 },
      ['n1 old ready', 'n1 new', 'n2 old', 'n3 old ready', 'n4 old ready'],
      ['n2'],
      0,
    ],
    [
      'lets the old one go once the new one is there',
      { maxSurge: 1 },
      ['n1 old ready', 'n1 new ready', 'n2 old ready', 'n3 new ready', 'n4 new ready'],
      ['n2'],
      1,
    ],
  ])('%s', (_, rollingUpdate, pods, create, deleted) => {
    const plan = planRollingUpdate(state(daemonSet(rollingUpdate), nodes, pods));
    expect([plan.create, plan.delete.length]).toEqual([create, deleted]);
  });
});

describe('the status', () => {
  it('counts nodes, not pods', () => {
    const nodes = [node('n1'), node('n2'), node('n3'), node('n4', [{ key: 'k', effect: 'NoSchedule' }])];
    const pods = ['n1 new ready', 'n1 new', 'n2 old ready', 'n4 old ready'];
    expect(daemonStatus(state(daemonSet(), nodes, pods), true)).toEqual({
      desiredNumberScheduled: 3,
      currentNumberScheduled: 2,
      numberMisscheduled: 1,
      numberReady: 2,
      updatedNumberScheduled: 1,
      numberAvailable: 2,
      numberUnavailable: 1,
      observedGeneration: 2,
    });
    expect(daemonStatus(state(daemonSet(), [], []), false).observedGeneration).toBeUndefined();
  });
});
