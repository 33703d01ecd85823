import { appsv1, corev1, policyv1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { until } from '../support/waiting.ts';
import { changing, isGone, podOf, refusal, replicaSetOf, useSuite } from './support.ts';

const LABELS = { pdb: 'true' };
const NAME = 'foo';

const isReady = ({ status, metadata }: corev1.Pod): boolean =>
  metadata.deletionTimestamp === undefined &&
  status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true;

describe('disruption budgets', () => {
  const suite = useSuite();
  const budgets = (namespace: string) => suite.client.resource(policyv1.podDisruptionBudgets, namespace);
  const created = (namespace: string, spec: policyv1.PodDisruptionBudgetSpec) =>
    budgets(namespace).create({
      metadata: { name: NAME },
      spec: { selector: { matchLabels: LABELS }, ...spec },
    });
  const pods = (namespace: string) => suite.client.resource(corev1.pods, namespace);
  const readyPods = async (namespace: string): Promise<readonly corev1.Pod[]> =>
    (await pods(namespace).list()).items.filter(isReady);
  const evict = (namespace: string, name: string): Promise<unknown> =>
    pods(namespace).createSubresource(name, 'eviction', {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name, namespace },
    });
  const isRefused = async (namespace: string, name: string): Promise<void> => {
    const { code, reason, details } = await refusal(evict(namespace, name));
    expect({ code, reason }).toEqual({ code: 429, reason: 'TooManyRequests' });
    expect(details?.causes).toMatchObject([{ reason: 'DisruptionBudget' }]);
  };
  const observed = (namespace: string, counts: policyv1.PodDisruptionBudgetStatus): Promise<void> =>
    until(async () => {
      const { metadata, status } = await budgets(namespace).get(NAME);
      return (
        status?.observedGeneration === metadata.generation &&
        Object.entries(counts).every(([field, count]) => status?.[field as keyof typeof status] === count)
      );
    });

  it('[sig-apps] DisruptionController should create a PodDisruptionBudget [Conformance]', async () => {
    const namespace = await suite.namespace();
    await created(namespace, { minAvailable: '1%' });
    await observed(namespace, { expectedPods: 0, disruptionsAllowed: 0 });
    const updated = await changing(budgets(namespace), NAME, (budget) => ({
      ...budget,
      spec: { ...budget.spec, minAvailable: '2%' },
    }));
    expect(updated.spec.minAvailable).toBe('2%');
    const patched = await budgets(namespace).patch(NAME, { spec: { minAvailable: '3%' } }, { type: 'merge' });
    expect(patched.spec.minAvailable).toBe('3%');
    await observed(namespace, { expectedPods: 0 });
    await budgets(namespace).delete(NAME);
    expect(await isGone(budgets(namespace).get(NAME))).toBe(true);
  });

  it('[sig-apps] DisruptionController should observe PodDisruptionBudget status updated [Conformance]', async () => {
    const namespace = await suite.namespace();
    await created(namespace, { minAvailable: 1 });
    await observed(namespace, { disruptionsAllowed: 0 });
    for (const name of ['pod-0', 'pod-1', 'pod-2'])
      await pods(namespace).create(podOf(name, { labels: LABELS }));
    await observed(namespace, {
      currentHealthy: 3,
      desiredHealthy: 1,
      expectedPods: 3,
      disruptionsAllowed: 2,
    });
    const { status } = await budgets(namespace).get(NAME);
    expect(status?.conditions).toMatchObject([
      { type: 'DisruptionAllowed', status: 'True', reason: 'SufficientPods' },
    ]);
  });

  it('[sig-apps] DisruptionController should update/patch PodDisruptionBudget status [Conformance]', async () => {
    const namespace = await suite.namespace();
    await created(namespace, { minAvailable: 1 });
    await pods(namespace).create(podOf('pod-0', { labels: LABELS }));
    await observed(namespace, { currentHealthy: 1 });
    const since = new Date().toISOString().replace(/\.\d+Z/, 'Z');
    await changing(
      budgets(namespace),
      NAME,
      (budget) => ({ ...budget, status: { ...budget.status, disruptedPods: { 'pod-0': since } } }),
      'updateStatus',
    );
    // The pod exists and might yet be deleted: it does not count, and the controller keeps it in mind.
    await observed(namespace, { currentHealthy: 0 });
    const read = await budgets(namespace).getSubresource<policyv1.PodDisruptionBudget>(NAME, 'status');
    expect(read.status?.disruptedPods).toEqual({ 'pod-0': since });
    const patched = await budgets(namespace).patch(
      NAME,
      { status: { disruptedPods: { 'pod-0': null } } },
      { type: 'merge', subresource: 'status' },
    );
    expect(patched.status?.disruptedPods ?? {}).toEqual({});
    await observed(namespace, { currentHealthy: 1 });
  });

  it('[sig-apps] DisruptionController should block an eviction until the PDB is updated to allow it [Conformance]', async () => {
    const namespace = await suite.namespace();
    const three = async (): Promise<string> => {
      await until(async () => (await readyPods(namespace)).length === 3);
      return (await readyPods(namespace))[0]?.metadata.name as string;
    };
    await created(namespace, { minAvailable: 3 });
    await suite.client
      .resource(appsv1.replicaSets, namespace)
      .create(replicaSetOf('rs', 3, { labels: LABELS }));
    const first = await three();
    await isRefused(namespace, first);
    await changing(budgets(namespace), NAME, (budget) => ({
      ...budget,
      spec: { ...budget.spec, minAvailable: 2 },
    }));
    await observed(namespace, { currentHealthy: 3, desiredHealthy: 2, disruptionsAllowed: 1 });
    await evict(namespace, first);
    await until(() => isGone(pods(namespace).get(first)));
    await budgets(namespace).patch(
      NAME,
      { spec: { minAvailable: null, maxUnavailable: 0 } },
      { type: 'merge' },
    );
    const second = await three();
    await isRefused(namespace, second);
    await observed(namespace, { currentHealthy: 3, desiredHealthy: 3, disruptionsAllowed: 0 });
    await isRefused(namespace, second);
    await budgets(namespace).delete(NAME);
    await evict(namespace, second);
    await until(() => isGone(pods(namespace).get(second)));
  });

  it('pods that are not ready are evicted as their budget says', async () => {
    const namespace = await suite.namespace();
    await created(namespace, { maxUnavailable: 1 });
    await suite.client
      .resource(appsv1.replicaSets, namespace)
      .create(replicaSetOf('rs', 3, { labels: LABELS, behaviour: { readyAfter: 3600 }, spec: probed() }));
    await until(
      async () =>
        (await pods(namespace).list()).items.filter(({ status }) => status?.phase === 'Running').length === 3,
    );
    await observed(namespace, { currentHealthy: 0, desiredHealthy: 2, expectedPods: 3 });
    const { items } = await pods(namespace).list();
    for (const { metadata } of items) await isRefused(namespace, metadata.name);
    await budgets(namespace).patch(
      NAME,
      { spec: { unhealthyPodEvictionPolicy: 'AlwaysAllow' } },
      { type: 'merge' },
    );
    for (const { metadata } of items) await evict(namespace, metadata.name);
  });
});

function probed(): Partial<corev1.PodSpec> {
  const readinessProbe = { exec: { command: ['true'] }, periodSeconds: 1 };
  return { containers: [{ name: 'main', image: 'registry.example/app:1', readinessProbe }] };
}
