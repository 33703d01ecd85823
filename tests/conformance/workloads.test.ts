import type { autoscalingv1 } from '@k8ts/api';
import { appsv1, corev1 } from '@k8ts/api';
import type { ResourceClient } from '@k8ts/client';
import { describe, expect, it } from 'vitest';

import { until } from '../support/waiting.ts';
import { deploymentOf, isGone, podOf, replicaSetOf, useSuite, watch } from './support.ts';

const REVISION = 'deployment.kubernetes.io/revision';

describe('deployments', () => {
  const suite = useSuite();
  const deploymentsOf = (namespace: string): ResourceClient<appsv1.Deployment> =>
    suite.client.resource(appsv1.deployments, namespace);
  const replicaSets = async (namespace: string): Promise<readonly appsv1.ReplicaSet[]> =>
    (await suite.client.resource(appsv1.replicaSets, namespace).list()).items;
  const pods = async (namespace: string): Promise<readonly corev1.Pod[]> =>
    (await suite.client.resource(corev1.pods, namespace).list()).items;
  /** As `kubectl rollout status` sees it. */
  const complete = (namespace: string, name: string): Promise<void> =>
    until(async () => {
      const { metadata, spec, status } = await deploymentsOf(namespace).get(name);
      const wanted = spec?.replicas ?? 1;
      return (
        (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0) &&
        (status?.updatedReplicas ?? 0) === wanted &&
        (status?.replicas ?? 0) === wanted &&
        (status?.availableReplicas ?? 0) === wanted
      );
    });
  const setImage = (namespace: string, name: string, image: string): Promise<unknown> =>
    deploymentsOf(namespace).patch(
      name,
      { spec: { template: { spec: { containers: [{ name: 'main', image }] } } } },
      { type: 'strategic' },
    );

  it('[sig-apps] Deployment RollingUpdateDeployment should delete old pods and create new ones [Conformance]', async () => {
    const namespace = await suite.namespace();
    const labels = { name: 'sample-pod', pod: 'httpd' };
    const old = replicaSetOf('test-rolling-update-controller', 1, { labels });
    await suite.client.resource(appsv1.replicaSets, namespace).create({
      ...old,
      metadata: { ...old.metadata, annotations: { [REVISION]: '3546343826724305832' } },
    });
    await until(async () => (await pods(namespace)).some(({ status }) => status?.phase === 'Running'));
    const first = (await pods(namespace))[0]?.metadata.name;
    const wanted = deploymentOf('test-rolling-update-deployment', 1, {
      labels,
      spec: { containers: [{ name: 'main', image: 'registry.example/other:2' }] },
    });
    await deploymentsOf(namespace).create(wanted);
    await complete(namespace, 'test-rolling-update-deployment');
    const all = await replicaSets(namespace);
    expect(all).toHaveLength(2);
    const newest = all.find(({ metadata }) => metadata.annotations?.[REVISION] === '3546343826724305833');
    expect(newest?.spec?.replicas).toBe(1);
    expect(
      all.find(({ metadata }) => metadata.name === 'test-rolling-update-controller')?.spec?.replicas,
    ).toBe(0);
    await until(async () => (await pods(namespace)).every(({ metadata }) => metadata.name !== first));
  });

  it('[sig-apps] Deployment RecreateDeployment should delete old pods and create new ones [Conformance]', async () => {
    const namespace = await suite.namespace();
    const deployments = deploymentsOf(namespace);
    await deployments.create(deploymentOf('recreate', 1, {}, { strategy: { type: 'Recreate' } }));
    await complete(namespace, 'recreate');
    const hash = (pod: corev1.Pod): string | undefined => pod.metadata.labels?.['pod-template-hash'];
    const oldHash = hash((await pods(namespace))[0] as corev1.Pod);
    await using watcher = await watch(suite.client.resource(corev1.pods, namespace), {
      resourceVersion: '0',
    });
    await setImage(namespace, 'recreate', 'registry.example/other:2');
    await complete(namespace, 'recreate');
    // Never do pods of both templates run at once.
    const running = new Map<string, string | undefined>();
    for (;;) {
      const { type, object } = await watcher.next();
      const name = object.metadata.name ?? '';
      if (type === 'DELETED' || object.status?.phase !== 'Running') running.delete(name);
      else running.set(name, hash(object));
      expect(new Set(running.values()).size).toBeLessThanOrEqual(1);
      if (type !== 'DELETED' && object.status?.phase === 'Running' && hash(object) !== oldHash) break;
    }
  });

  it('[sig-apps] Deployment deployment should delete old replica sets [Conformance]', async () => {
    const namespace = await suite.namespace();
    await deploymentsOf(namespace).create(deploymentOf('cleanup', 1, {}, { revisionHistoryLimit: 0 }));
    await complete(namespace, 'cleanup');
    await setImage(namespace, 'cleanup', 'registry.example/other:2');
    await complete(namespace, 'cleanup');
    await until(async () => (await replicaSets(namespace)).length === 1);
  });

  it('[sig-apps] Deployment deployment should support rollover [Conformance]', async () => {
    const namespace = await suite.namespace();
    const strategy = {
      type: 'RollingUpdate',
      rollingUpdate: { maxUnavailable: 0, maxSurge: 1 },
    } as const;
    // The first template never becomes ready, so its replica set is rolled over before it is through.
    await deploymentsOf(namespace).create(
      deploymentOf(
        'rollover',
        1,
        { behaviour: { readyAfter: 3600 }, spec: { containers: [unready] } },
        {
          strategy,
          minReadySeconds: 0,
        },
      ),
    );
    await until(async () => (await pods(namespace)).length === 1);
    await deploymentsOf(namespace).patch(
      'rollover',
      {
        spec: {
          template: {
            metadata: { annotations: { 'k8ts.io/simulate': '{}' } },
            spec: { containers: [{ name: 'main', image: 'registry.example/other:2', readinessProbe: null }] },
          },
        },
      },
      { type: 'strategic' },
    );
    await complete(namespace, 'rollover');
    const all = await replicaSets(namespace);
    expect(all.map(({ spec }) => spec?.replicas).sort()).toEqual([0, 1]);
  });

  it('[sig-apps] Deployment deployment should support proportional scaling [Conformance]', async () => {
    const namespace = await suite.namespace();
    const deployments = deploymentsOf(namespace);
    const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } } as const;
    await deployments.create(deploymentOf('proportional', 10, {}, { strategy }));
    await complete(namespace, 'proportional');
    // An image whose pods never become ready: the rollout stops at 8 old ones and 5 new ones.
    await deployments.patch(
      'proportional',
      {
        spec: {
          template: {
            metadata: { annotations: { 'k8ts.io/simulate': '{"readyAfter":3600}' } },
            spec: { containers: [unready] },
          },
        },
      },
      { type: 'strategic' },
    );
    const sizes = async (): Promise<readonly (number | undefined)[]> =>
      (await replicaSets(namespace)).map(({ spec }) => spec?.replicas).sort((a = 0, b = 0) => b - a);
    await until(async () => (await sizes()).join() === '8,5');
    await until(async () => ((await deployments.get('proportional')).status?.observedGeneration ?? 0) >= 2);
    // From 10 + 3 to 30 + 3: twenty more, shared as 8 is to 5.
    await deployments.patch('proportional', { spec: { replicas: 30 } }, { type: 'merge' });
    await until(async () => (await sizes()).join() === '20,13');
  });

  it('[sig-apps] Deployment Deployment should have a working scale subresource [Conformance]', async () => {
    const namespace = await suite.namespace();
    const deployments = deploymentsOf(namespace);
    await deployments.create(deploymentOf('scaled', 1));
    await complete(namespace, 'scaled');
    const scale = await deployments.getSubresource<autoscalingv1.Scale>('scaled', 'scale');
    expect(scale).toMatchObject({
      kind: 'Scale',
      apiVersion: 'autoscaling/v1',
      spec: { replicas: 1 },
      status: { replicas: 1, selector: 'name=scaled' },
    });
    const updated = await deployments.updateSubresource<autoscalingv1.Scale>('scaled', 'scale', {
      ...scale,
      metadata: { ...scale.metadata, resourceVersion: undefined },
      spec: { replicas: 2 },
    });
    expect(updated.spec?.replicas).toBe(2);
    expect((await deployments.get('scaled')).spec?.replicas).toBe(2);
    await deployments.patch('scaled', { spec: { replicas: 4 } }, { type: 'merge', subresource: 'scale' });
    expect((await deployments.get('scaled')).spec?.replicas).toBe(4);
    await complete(namespace, 'scaled');
  });

  it('[sig-apps] Deployment should run the lifecycle of a Deployment [Conformance]', async () => {
    const namespace = await suite.namespace();
    const deployments = deploymentsOf(namespace);
    const labelSelector = 'test-deployment-static=true';
    await using watcher = await watch(deployments, { labelSelector });
    const example = deploymentOf('test-deployment', 2, { labels: { 'test-deployment-static': 'true' } });
    await deployments.create(example);
    await watcher.until('ADDED');
    await watcher.until('MODIFIED', ({ status }) => status?.availableReplicas === 2);

    await deployments.patch(
      'test-deployment',
      {
        metadata: { labels: { 'test-deployment': 'patched' } },
        spec: {
          replicas: 1,
          template: { spec: { containers: [{ name: 'main', image: 'registry.example/app:2' }] } },
        },
      },
      { type: 'strategic' },
    );
    await watcher.until('MODIFIED', ({ metadata }) => metadata.labels?.['test-deployment'] === 'patched');
    await complete(namespace, 'test-deployment');
    const everywhere = await suite.client.resource(appsv1.deployments).list({ labelSelector });
    expect(everywhere.items.map(({ metadata }) => metadata.labels?.['test-deployment'])).toEqual(['patched']);

    await deployments.patch(
      'test-deployment',
      {
        metadata: { labels: { 'test-deployment': 'updated' } },
        status: { readyReplicas: 0, availableReplicas: 0 },
      },
      { type: 'merge', subresource: 'status' },
    );
    await watcher.until('MODIFIED', ({ status }) => (status?.readyReplicas ?? 0) === 0);
    // The controller corrects what is not so.
    await watcher.until('MODIFIED', ({ status }) => status?.readyReplicas === 1);
    await deployments.deleteCollection({ labelSelector });
    await watcher.until('DELETED');
    expect((await deployments.list({ labelSelector })).items).toEqual([]);
  });

  it('[sig-apps] Deployment should validate Deployment Status endpoints [Conformance]', async () => {
    const namespace = await suite.namespace();
    const deployments = deploymentsOf(namespace);
    await deployments.create(deploymentOf('status', 1));
    await complete(namespace, 'status');
    const condition = { type: 'StatusUpdate', status: 'True', reason: 'E2E', message: 'Set by a test' };
    let updated: appsv1.Deployment | undefined;
    await until(async () => {
      const read = await deployments.getSubresource<appsv1.Deployment>('status', 'status');
      const conditions = [...(read.status?.conditions ?? []), condition];
      updated = await deployments
        .updateStatus({ ...read, status: { ...read.status, conditions } })
        .catch(() => undefined);
      return updated !== undefined;
    });
    expect(updated?.status?.conditions).toContainEqual(expect.objectContaining({ type: 'StatusUpdate' }));
    const patched = await deployments.patch(
      'status',
      { status: { conditions: [{ ...condition, type: 'StatusPatched' }] } },
      { type: 'merge', subresource: 'status' },
    );
    expect(patched.status?.conditions).toMatchObject([{ type: 'StatusPatched' }]);
    expect(patched.spec?.replicas).toBe(1);
  });
});

const unready = {
  name: 'main',
  image: 'registry.example/broken:404',
  readinessProbe: { exec: { command: ['false'] }, periodSeconds: 1 },
};

describe('replica sets', () => {
  const suite = useSuite();
  const of = (namespace: string): ResourceClient<appsv1.ReplicaSet> =>
    suite.client.resource(appsv1.replicaSets, namespace);
  const ready = (namespace: string, name: string, replicas: number): Promise<void> =>
    until(async () => ((await of(namespace).get(name)).status?.readyReplicas ?? 0) === replicas);

  it('[sig-apps] ReplicaSet should serve a basic image on each replica with a public image [Conformance]', async () => {
    const namespace = await suite.namespace();
    await of(namespace).create(
      replicaSetOf('basic', 2, { behaviour: { exec: { 'serve-hostname': { stdout: 'me' } } } }),
    );
    await ready(namespace, 'basic', 2);
    const { items } = await suite.client.resource(corev1.pods, namespace).list();
    // Each replica answers for itself: an address of its own, by which it is reached.
    expect(new Set(items.map(({ status }) => status?.podIP)).size).toBe(2);
    for (const { metadata } of items)
      expect(metadata.ownerReferences).toMatchObject([
        { kind: 'ReplicaSet', name: 'basic', controller: true },
      ]);
  });

  it('[sig-apps] ReplicaSet should adopt matching pods on creation and release no longer matching pods [Conformance]', async () => {
    const namespace = await suite.namespace();
    const pods = suite.client.resource(corev1.pods, namespace);
    const name = 'pod-adoption-release';
    await pods.create(podOf(name, { labels: { name } }));
    await until(async () => (await pods.get(name)).status?.phase === 'Running');
    const { metadata } = await of(namespace).create(replicaSetOf(name, 1));
    await until(async () => (await pods.get(name)).metadata.ownerReferences?.[0]?.uid === metadata.uid);
    await pods.patch(name, { metadata: { labels: { name: 'not-matching-name' } } }, { type: 'strategic' });
    await until(async () => ((await pods.get(name)).metadata.ownerReferences ?? []).length === 0);
    await until(async () => (await pods.list({ labelSelector: `name=${name}` })).items.length === 1);
  });

  it('[sig-apps] ReplicaSet Replicaset should have a working scale subresource [Conformance]', async () => {
    const namespace = await suite.namespace();
    const replicaSets = of(namespace);
    await replicaSets.create(replicaSetOf('scaled', 1));
    await ready(namespace, 'scaled', 1);
    const scale = await replicaSets.getSubresource<autoscalingv1.Scale>('scaled', 'scale');
    expect(scale.spec?.replicas).toBe(1);
    const { resourceVersion: _, ...metadata } = scale.metadata;
    await replicaSets.updateSubresource('scaled', 'scale', { ...scale, metadata, spec: { replicas: 2 } });
    expect((await replicaSets.get('scaled')).spec?.replicas).toBe(2);
    await replicaSets.patch('scaled', { spec: { replicas: 4 } }, { type: 'merge', subresource: 'scale' });
    expect((await replicaSets.get('scaled')).spec?.replicas).toBe(4);
    await ready(namespace, 'scaled', 4);
  });

  it('[sig-apps] ReplicaSet Replace and Patch tests [Conformance]', async () => {
    const namespace = await suite.namespace();
    const replicaSets = of(namespace);
    await replicaSets.create(replicaSetOf('test-rs', 1));
    await ready(namespace, 'test-rs', 1);
    await until(async () => {
      const read = await replicaSets.get('test-rs');
      const change = { ...read, spec: { ...read.spec, replicas: 2 } } as appsv1.ReplicaSet;
      return replicaSets.update(change).then(
        () => true,
        () => false,
      );
    });
    await ready(namespace, 'test-rs', 2);
    await replicaSets.patch(
      'test-rs',
      {
        metadata: { labels: { 'test-rs': 'patched' } },
        spec: {
          replicas: 3,
          template: { spec: { containers: [{ name: 'main', image: 'registry.example/app:9' }] } },
        },
      },
      { type: 'strategic' },
    );
    await ready(namespace, 'test-rs', 3);
    const { metadata, spec } = await replicaSets.get('test-rs');
    expect(metadata.labels).toMatchObject({ 'test-rs': 'patched' });
    expect(spec?.template?.spec?.containers[0]?.image).toBe('registry.example/app:9');
  });

  it('[sig-apps] ReplicaSet should list and delete a collection of ReplicaSets [Conformance]', async () => {
    const namespace = await suite.namespace();
    const replicaSets = of(namespace);
    await replicaSets.create(replicaSetOf('test-collected', 3));
    await ready(namespace, 'test-collected', 3);
    const labelSelector = 'name=test-collected';
    expect((await suite.client.resource(appsv1.replicaSets).list({ labelSelector })).items).toHaveLength(1);
    await replicaSets.deleteCollection({ labelSelector });
    await until(() => isGone(replicaSets.get('test-collected')));
  });

  it('[sig-apps] ReplicaSet should validate Replicaset Status endpoints [Conformance]', async () => {
    const namespace = await suite.namespace();
    const replicaSets = of(namespace);
    await replicaSets.create(replicaSetOf('status', 1));
    await ready(namespace, 'status', 1);
    const condition = { type: 'StatusUpdate', status: 'True', reason: 'E2E', message: 'Set by a test' };
    await until(async () => {
      const read = await replicaSets.getSubresource<appsv1.ReplicaSet>('status', 'status');
      const status = { ...read.status, conditions: [condition] };
      return replicaSets.updateStatus({ ...read, status } as appsv1.ReplicaSet).then(
        () => true,
        () => false,
      );
    });
    expect((await replicaSets.get('status')).status?.conditions).toMatchObject([{ type: 'StatusUpdate' }]);
    const patched = await replicaSets.patch(
      'status',
      { status: { conditions: [{ ...condition, type: 'StatusPatched' }] } },
      { type: 'merge', subresource: 'status' },
    );
    expect(patched.status?.conditions).toMatchObject([{ type: 'StatusPatched' }]);
  });
});
