import type { appsv1, corev1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { planStatefulSet, statefulStatus } from './plan.ts';
import type { StatefulState } from './plan.ts';

const NOW = Date.UTC(2026, 0, 1, 12);

function statefulSet(replicas: number, spec: Partial<appsv1.StatefulSetSpec> = {}): appsv1.StatefulSet {
  return {
    metadata: { name: 'db', generation: 4 },
    spec: {
      replicas,
      selector: {},
      template: { spec: { containers: [] } },
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
      ...spec,
    },
  };
}

/** `2 old ready`: db-2, of the current revision, running and ready. */
function pod(text: string): corev1.Pod {
  const [ordinal = '', ...facts] = text.split(' ');
  const has = (fact: string): boolean => facts.includes(fact);
  const phase = has('failed') ? 'Failed' : has('pending') ? 'Pending' : 'Running';
  return {
    metadata: {
      name: `db-${ordinal}`,
      labels: { 'controller-revision-hash': has('old') ? 'current' : 'update' },
      ...(has('deleting') ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    },
    spec: { containers: [] },
    status: {
      phase,
      conditions: [
        {
          type: 'Ready',
          status: has('ready') ? 'True' : 'False',
          lastTransitionTime: has('fresh') ? '2026-01-01T11:59:58Z' : '2026-01-01T00:00:00Z',
        },
      ],
    },
  };
}

const state = (set: appsv1.StatefulSet, pods: readonly string[]): StatefulState => ({
  set,
  pods: pods.map(pod),
  current: 'current',
  update: 'update',
  now: NOW,
});

/** `+1` is a creation, `+1c` of the current revision, `-2` a deletion, `!2` one of a finished pod. */
const plan = (set: appsv1.StatefulSet, pods: readonly string[]): string =>
  planStatefulSet(state(set, pods))
    .flatMap((action) => {
      if (action.action === 'repair') return [];
      if (action.action === 'create')
        return [`+${action.ordinal}${action.revision === 'current' ? 'c' : ''}`];
      return [`${action.finished ? '!' : '-'}${action.ordinal}`];
    })
    .join(' ');

const parallel: Partial<appsv1.StatefulSetSpec> = { podManagementPolicy: 'Parallel' };

describe('the plan of a StatefulSet', () => {
  it.each<[string, number, Partial<appsv1.StatefulSetSpec>, string[], string]>([
    ['starts with the first', 3, {}, [], '+0'],
    ['waits until the first is ready', 3, {}, ['0'], ''],
    ['goes on with the second', 3, {}, ['0 ready'], '+1'],
    ['fills a gap first', 3, {}, ['0 ready', '2 ready'], '+1'],
    ['waits for minReadySeconds', 2, { minReadySeconds: 10 }, ['0 ready fresh'], ''],
    ['waits for a terminating one', 3, {}, ['0 ready', '1 ready deleting'], ''],
    ['makes a failed one anew', 3, {}, ['0 ready', '1 failed', '2 ready'], '!1'],
    ['is complete', 2, {}, ['0 ready', '1 ready'], ''],
    ['goes down from the highest', 1, {}, ['0 ready', '1 ready', '2 ready'], '-2'],
    ['goes down one at a time', 1, {}, ['0 ready', '1 ready', '2 ready deleting'], ''],
    ['does not go down past an ill one', 1, {}, ['0 ready', '1', '2'], ''],
    ['lets the ill one go', 1, {}, ['0 ready', '1 ready', '2'], '-2'],
    ['all at once where order does not matter', 3, parallel, [], '+0 +1 +2'],
    ['down at once as well', 1, parallel, ['0', '1', '2'], '-2 -1'],
    ['counts from its first ordinal', 2, { ordinals: { start: 5 } }, ['5 ready'], '+6'],
    ['removes what is below its first ordinal', 1, { ordinals: { start: 1 } }, ['0 ready', '1 ready'], '-0'],
    ['updates from the highest', 3, {}, ['0 old ready', '1 old ready', '2 old ready'], '-2'],
    ['waits for the updated one', 3, {}, ['0 old ready', '1 old ready', '2'], ''],
    ['goes on below it', 3, {}, ['0 old ready', '1 old ready', '2 ready'], '-1'],
    ['updates in order even in parallel', 3, parallel, ['0 old ready', '1 old ready', '2'], ''],
    [
      'leaves what is below the partition',
      3,
      { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 2 } } },
      ['0 old ready', '1 old ready', '2 ready'],
      '',
    ],
    [
      'makes old ones below the partition',
      3,
      { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 2 } } },
      ['0 old ready', '2 ready'],
      '+1c',
    ],
    [
      'several at a time where allowed',
      4,
      { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 2 } } },
      ['0 old ready', '1 old ready', '2 old ready', '3 old ready'],
      '-3 -2',
    ],
    ['never by itself', 2, { updateStrategy: { type: 'OnDelete' } }, ['0 old ready', '1 old ready'], ''],
    [
      'of the new version when deleted by hand',
      2,
      { updateStrategy: { type: 'OnDelete' } },
      ['0 old ready'],
      '+1',
    ],
  ])('%s', (_, replicas, spec, pods, expected) => {
    expect(plan(statefulSet(replicas, spec), pods)).toBe(expected);
  });

  it('ignores pods that are not its own by name', () => {
    const stranger = { ...pod('0 ready'), metadata: { name: 'db-x' } };
    expect(
      planStatefulSet({ ...state(statefulSet(1), ['0 ready']), pods: [pod('0 ready'), stranger] }),
    ).toMatchObject([{ action: 'repair' }]);
  });
});

describe('the status of a StatefulSet', () => {
  it('counts per revision, and finishes an update', () => {
    expect(statefulStatus(state(statefulSet(3), ['0 old ready', '1', '2 ready']))).toEqual({
      observedGeneration: 4,
      replicas: 3,
      readyReplicas: 2,
      currentReplicas: 1,
      updatedReplicas: 2,
      availableReplicas: 2,
      currentRevision: 'current',
      updateRevision: 'update',
    });
    expect(statefulStatus(state(statefulSet(2), ['0 ready', '1 ready']))).toMatchObject({
      currentRevision: 'update',
      currentReplicas: 2,
    });
    expect(
      statefulStatus(state(statefulSet(2, { updateStrategy: { type: 'OnDelete' } }), ['0 ready', '1 ready'])),
    ).toMatchObject({
      currentRevision: 'current',
    });
  });
});
