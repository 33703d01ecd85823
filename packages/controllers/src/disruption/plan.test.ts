import type { corev1, policyv1 } from '@k8ts/api';
import { formatTime } from '@k8ts/apimachinery';
import { describe, expect, it } from 'vitest';

import { expectationOf, failedStatus, needsScale, planBudget, staleDisruptionIn } from './plan.ts';

const NOW = Date.UTC(2030, 0, 1);
const at = (seconds: number): string => formatTime(NOW + seconds * 1000);

const pod = (name: string, ready = true, extra: Partial<corev1.Pod['metadata']> = {}): corev1.Pod => ({
  metadata: { name, namespace: 'ns', ...extra },
  spec: { containers: [] },
  status: { phase: 'Running', conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
});
const leaving = (name: string): corev1.Pod => pod(name, true, { deletionTimestamp: at(0) });
const budget = (status?: policyv1.PodDisruptionBudgetStatus): policyv1.PodDisruptionBudget => ({
  metadata: { name: 'b', namespace: 'ns', generation: 3 },
  spec: {},
  ...(status === undefined ? {} : { status }),
});

describe('what is expected', () => {
  it.each<[policyv1.PodDisruptionBudgetSpec, number, number, { expected: number; desired: number }]>([
    [{ minAvailable: 2 }, 5, 0, { expected: 5, desired: 2 }],
    [{ minAvailable: '30%' }, 5, 10, { expected: 10, desired: 3 }],
    [{ minAvailable: '34%' }, 5, 10, { expected: 10, desired: 4 }],
    [{ maxUnavailable: 1 }, 5, 10, { expected: 10, desired: 9 }],
    [{ maxUnavailable: '34%' }, 5, 10, { expected: 10, desired: 6 }],
    [{ maxUnavailable: 20 }, 5, 10, { expected: 10, desired: 0 }],
    [{}, 5, 10, { expected: 0, desired: 0 }],
  ])('%j of %d pods, scale %d: %j', (spec, pods, scale, expected) => {
    expect(expectationOf(spec, pods, scale)).toEqual(expected);
  });

  it('asks controllers only for shares', () => {
    expect(needsScale({ minAvailable: 1 })).toBe(false);
    expect(needsScale({ minAvailable: '1%' })).toBe(true);
    expect(needsScale({ maxUnavailable: 1 })).toBe(true);
  });
});

describe('the status', () => {
  const statusOf = (
    pods: readonly corev1.Pod[],
    desired: number,
    expected = pods.length,
    before?: policyv1.PodDisruptionBudgetStatus,
  ) => planBudget(budget(before), pods, { expected, desired }, NOW);

  it.each<[string, readonly corev1.Pod[], number, number]>([
    ['one to spare', [pod('a'), pod('b')], 1, 1],
    ['none to spare', [pod('a'), pod('b')], 2, 0],
    ['too few', [pod('a')], 2, 0],
    ['unready ones do not count', [pod('a'), pod('b', false)], 1, 0],
    ['nor those that leave', [pod('a'), leaving('b')], 1, 0],
  ])('%s', (_, pods, desired, allowed) => {
    const { status } = statusOf(pods, desired);
    expect(status.disruptionsAllowed).toBe(allowed);
    expect(status.conditions).toEqual([
      {
        type: 'DisruptionAllowed',
        status: allowed > 0 ? 'True' : 'False',
        reason: allowed > 0 ? 'SufficientPods' : 'InsufficientPods',
        message: '',
        observedGeneration: 3,
        lastTransitionTime: at(0),
      },
    ]);
  });

  it('allows nothing when no pods are expected', () => {
    expect(statusOf([pod('a')], 0, 0).status).toMatchObject({ currentHealthy: 1, disruptionsAllowed: 0 });
  });

  it('remembers allowed evictions until the pods go, or for two minutes', () => {
    const disruptedPods = { a: at(-120), b: at(-119), c: at(-121), gone: at(0), d: at(0) };
    const pods = [pod('a'), pod('b'), pod('c'), leaving('d')];
    const { status, recheckAfter, notDeleted } = statusOf(pods, 1, 4, { disruptedPods });
    expect(status.disruptedPods).toEqual({ a: at(-120), b: at(-119) });
    expect(status.currentHealthy).toBe(1); // only c is believed to stay
    expect(recheckAfter).toBe(1);
    expect(notDeleted.map(({ metadata }) => metadata.name)).toEqual(['c']);
  });

  it('keeps the time of a condition that stays', () => {
    const before = statusOf([pod('a')], 1).status;
    const later = planBudget(budget(before), [pod('a')], { expected: 1, desired: 1 }, NOW + 60_000);
    expect(later.status).toEqual(before);
  });

  it('allows nothing after a failure', () => {
    const before = statusOf([pod('a'), pod('b')], 1).status;
    expect(failedStatus(budget(before), 'why', NOW)).toMatchObject({
      currentHealthy: 2,
      disruptionsAllowed: 0,
      conditions: [{ status: 'False', reason: 'SyncFailed', message: 'why' }],
    });
  });
});

describe('a stale announcement', () => {
  const announced = (
    seconds: number,
    change: Partial<corev1.PodCondition> = {},
    phase: corev1.PodPhase = 'Running',
  ): corev1.Pod => ({
    ...pod('p'),
    status: {
      phase,
      conditions: [{ type: 'DisruptionTarget', status: 'True', lastTransitionTime: at(seconds), ...change }],
    },
  });
  it.each<[string, corev1.Pod, number | undefined]>([
    ['is believed for two minutes', announced(-30), 90_000],
    ['and no longer', announced(-500), 0],
    ['is not, when it was taken back', announced(-500, { status: 'False' }), undefined],
    ['is not, from a kubelet', announced(-500, { reason: 'TerminationByKubelet' }), undefined],
    ['is not, of a pod that has ended', announced(-500, {}, 'Failed'), undefined],
    ['is not there', pod('p'), undefined],
    ['is not, of a pod that leaves', leaving('p'), undefined],
  ])('%s', (_, target, expected) => {
    expect(staleDisruptionIn(target, NOW)).toBe(expected);
  });
});
