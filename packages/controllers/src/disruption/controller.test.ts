import { appsv1, corev1, policyv1 } from '@k8ts/api';
import type { KubeObject, metav1 } from '@k8ts/api';
import { formatTime, notFound } from '@k8ts/apimachinery';
import { controllerRef } from '@k8ts/client';
import type { FakeApi } from '@k8ts/client/testing';
import { describe, expect, it } from 'vitest';

import { ControllerHarness } from '../testing/controller-harness.ts';
import { disruptionController } from './controller.ts';

const start = (
  prepare: (api: FakeApi, now: () => number) => void = () => undefined,
): Promise<ControllerHarness> =>
  ControllerHarness.start([disruptionController], {}, (api, clock) => prepare(api, () => clock.now()));

const statusOf = ({ api }: ControllerHarness) => api.peek(policyv1.podDisruptionBudgets, 'ns/b')?.status;
const eventsOf = ({ api }: ControllerHarness) => api.all(corev1.events).map(({ reason }) => reason);

const createBudget = (
  { api }: ControllerHarness,
  spec: policyv1.PodDisruptionBudgetSpec,
  selector: metav1.LabelSelector = { matchLabels: { app: 'a' } },
) =>
  api.client
    .resource(policyv1.podDisruptionBudgets, 'ns')
    .create({ metadata: { name: 'b' }, spec: { selector, ...spec } });

const seedPod = (api: FakeApi, name: string, owner?: metav1.OwnerReference): corev1.Pod =>
  api.seed(corev1.pods, {
    metadata: {
      name,
      namespace: 'ns',
      labels: { app: 'a' },
      ...(owner === undefined ? {} : { ownerReferences: [owner] }),
    },
    spec: { containers: [], nodeName: 'node-1' },
    status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
  });

function seedDeployment(api: FakeApi, replicas: number): void {
  const selector = { matchLabels: { app: 'a' } };
  const template = { metadata: { labels: { app: 'a' } }, spec: { containers: [] } };
  const metadata = { name: 'web', namespace: 'ns' };
  const deployment = api.seed(appsv1.deployments, { metadata, spec: { replicas, selector, template } });
  const ownerReferences = [controllerRef(deployment, appsv1.deployments)];
  // Of two sets of one Deployment neither's own number counts.
  for (const [name, count] of Object.entries({ old: 1, new: 2 })) {
    const set = api.seed(appsv1.replicaSets, {
      metadata: { name, namespace: 'ns', ownerReferences },
      spec: { replicas: count, selector, template },
    });
    for (let i = 0; i < count; i++) seedPod(api, `${name}-${i}`, controllerRef(set, appsv1.replicaSets));
  }
}

describe('DisruptionController', () => {
  it('counts pods, and follows them', async () => {
    await using harness = await start((api) => {
      for (const name of ['x', 'y', 'z']) seedPod(api, name);
    });
    await createBudget(harness, { minAvailable: 2 });
    await harness.clock.advance(1000);
    expect(statusOf(harness)).toMatchObject({
      observedGeneration: 1,
      currentHealthy: 3,
      desiredHealthy: 2,
      expectedPods: 3,
      disruptionsAllowed: 1,
      conditions: [{ type: 'DisruptionAllowed', status: 'True', reason: 'SufficientPods' }],
    });
    const pods = harness.api.client.resource(corev1.pods, 'ns');
    await pods.delete('x');
    await harness.clock.advance(1000);
    expect(statusOf(harness)).toMatchObject({ currentHealthy: 2, expectedPods: 3, disruptionsAllowed: 0 });
    await pods.delete('x', { gracePeriodSeconds: 0 });
    await harness.clock.advance(1000);
    expect(statusOf(harness)).toMatchObject({ currentHealthy: 2, expectedPods: 2, disruptionsAllowed: 0 });
  });

  it('asks the Deployment, not its sets', async () => {
    await using harness = await start((api) => seedDeployment(api, 10));
    await createBudget(harness, { minAvailable: '20%' });
    await harness.clock.advance(1000);
    expect(statusOf(harness)).toMatchObject({
      expectedPods: 10,
      desiredHealthy: 2,
      currentHealthy: 3,
      disruptionsAllowed: 1,
    });
  });

  it('asks other controllers for their scale', async () => {
    const owner = {
      apiVersion: 'example.com/v1',
      kind: 'Fleet',
      name: 'f',
      uid: 'u1',
      controller: true,
    };
    await using harness = await start((api) => {
      api.addResource({
        group: 'example.com',
        version: 'v1',
        resource: 'fleets',
        kind: 'Fleet',
        namespaced: true,
        verbs: ['get'],
        subresources: ['scale'],
      });
      api.intercept(({ path }) =>
        path.endsWith('/fleets/f/scale')
          ? { metadata: { name: 'f', uid: 'u1' }, spec: { replicas: 4 } }
          : undefined,
      );
      seedPod(api, 'x', owner);
    });
    await createBudget(harness, { maxUnavailable: '75%' });
    await harness.clock.advance(1000);
    expect(statusOf(harness)).toMatchObject({ expectedPods: 4, desiredHealthy: 1, currentHealthy: 1 });
  });

  it('allows nothing when a controller has no scale', async () => {
    const job = { apiVersion: 'batch/v1', kind: 'Job', name: 'j', uid: 'u1', controller: true };
    await using harness = await start((api) => {
      api.intercept(({ path }) => {
        if (path.endsWith('/jobs/j/scale')) throw notFound({ group: 'batch', resource: 'jobs' }, 'j');
        return undefined;
      });
      seedPod(api, 'x', job);
    });
    await createBudget(harness, { maxUnavailable: 1 });
    await harness.clock.advance(1000);
    expect(statusOf(harness)).toMatchObject({
      disruptionsAllowed: 0,
      conditions: [
        {
          status: 'False',
          reason: 'SyncFailed',
          message: 'jobs.batch does not implement the scale subresource',
        },
      ],
    });
    expect(eventsOf(harness)).toContain('CalculateExpectedPodCountFailed');
  });

  it('forgets an allowed eviction that did not happen', async () => {
    await using harness = await start((api) => {
      for (const name of ['x', 'y']) seedPod(api, name);
    });
    await createBudget(harness, { minAvailable: 1 });
    await harness.clock.advance(1000);
    const budgets = harness.api.client.resource(policyv1.podDisruptionBudgets, 'ns');
    const current = await budgets.get('b');
    const x = formatTime(harness.clock.now());
    await budgets.updateStatus({ ...current, status: { ...current.status, disruptedPods: { x } } });
    await harness.clock.advance(60_000);
    expect(statusOf(harness)).toMatchObject({ disruptionsAllowed: 0, disruptedPods: { x } });
    await harness.clock.advance(62_000);
    expect(statusOf(harness)).toMatchObject({ disruptionsAllowed: 1, currentHealthy: 2 });
    expect(statusOf(harness)?.disruptedPods).toBeUndefined();
    expect(eventsOf(harness)).toContain('NotDeleted');
  });

  it('takes back announcements that nothing followed', async () => {
    await using harness = await start((api, now) => {
      const pod = seedPod(api, 'x');
      api.seed<KubeObject>(corev1.pods, {
        ...pod,
        status: {
          phase: 'Running',
          conditions: [
            {
              type: 'DisruptionTarget',
              status: 'True',
              reason: 'EvictionByEvictionAPI',
              lastTransitionTime: formatTime(now()),
            },
          ],
        },
      } as KubeObject);
    });
    const condition = () => harness.api.peek(corev1.pods, 'ns/x')?.status?.conditions?.[0];
    await harness.clock.advance(119_000);
    expect(condition()).toMatchObject({ status: 'True' });
    await harness.clock.advance(2000);
    expect(condition()).toMatchObject({ type: 'DisruptionTarget', status: 'False' });
    expect(condition()?.reason).toBeUndefined();
  });
});
