import type { autoscalingv1 } from '@k8ts/api';
import { corev1, type New } from '@k8ts/api';
import type { ResourceClient } from '@k8ts/client';
import { describe, expect, it } from 'vitest';

import { until } from '../support/waiting.ts';
import { changing, podOf, podTemplate, replicationControllerOf, useSuite, watch } from './support.ts';

describe('replication controllers', () => {
  const suite = useSuite();
  const of = (namespace: string): ResourceClient<corev1.ReplicationController> =>
    suite.client.resource(corev1.replicationControllers, namespace);
  const podsOf = (namespace: string): ResourceClient<corev1.Pod> =>
    suite.client.resource(corev1.pods, namespace);
  const isControlledBy = ({ metadata }: corev1.Pod, uid: string | undefined): boolean =>
    (metadata.ownerReferences ?? []).some((owner) => owner.controller === true && owner.uid === uid);
  /** Without a selector of its own: that of its template's labels. */
  const unselective = (name: string, replicas: number): New<corev1.ReplicationController> => ({
    metadata: { name },
    spec: { replicas, template: podTemplate({ labels: { name } }) },
    status: { replicas: 0 },
  });

  it('[sig-apps] ReplicationController should serve a basic image on each replica with a public image [Conformance]', async () => {
    const namespace = await suite.namespace();
    const { metadata, spec } = await of(namespace).create(unselective('my-hostname-basic', 1));
    expect(spec?.selector).toEqual({ name: 'my-hostname-basic' });
    await until(
      async () => ((await of(namespace).get('my-hostname-basic')).status?.readyReplicas ?? 0) === 1,
    );
    const { items } = await podsOf(namespace).list({ labelSelector: 'name=my-hostname-basic' });
    expect(items).toHaveLength(1);
    const [pod] = items as [corev1.Pod];
    expect(pod.metadata.name).toMatch(/^my-hostname-basic-/);
    expect(pod.metadata.ownerReferences).toMatchObject([
      { apiVersion: 'v1', kind: 'ReplicationController', uid: metadata.uid, controller: true },
    ]);
    // It can be reached under an address of its own; that it answers is shown where there is a network.
    expect(pod.status?.podIP).toMatch(/^\d+(\.\d+){3}$/);
  });

  it('[sig-apps] ReplicationController should adopt matching pods on creation [Conformance]', async () => {
    const namespace = await suite.namespace();
    const pods = podsOf(namespace);
    const name = 'pod-adoption';
    await pods.create(podOf(name, { labels: { name } }));
    await until(async () => (await pods.get(name)).status?.phase === 'Running');
    const { metadata } = await of(namespace).create(replicationControllerOf(name, 1));
    await until(async () => isControlledBy(await pods.get(name), metadata.uid));
    await until(async () => ((await of(namespace).get(name)).status?.readyReplicas ?? 0) === 1);
    expect((await pods.list()).items).toHaveLength(1);
  });

  it('[sig-apps] ReplicationController should release no longer matching pods [Conformance]', async () => {
    const namespace = await suite.namespace();
    const pods = podsOf(namespace);
    const name = 'pod-release';
    const labelSelector = `name=${name}`;
    const { metadata } = await of(namespace).create(replicationControllerOf(name, 1));
    await until(async () => (await pods.list({ labelSelector })).items.length === 1);
    const [pod] = (await pods.list({ labelSelector })).items as [corev1.Pod];
    await changing(pods, pod.metadata.name, (found) => ({
      ...found,
      metadata: { ...found.metadata, labels: { name: 'not-matching-name' } },
    }));
    await until(async () => !isControlledBy(await pods.get(pod.metadata.name), metadata.uid));
    await until(async () => (await pods.list({ labelSelector })).items.length === 1);
  });

  it('[sig-apps] ReplicationController should get and update a ReplicationController scale [Conformance]', async () => {
    const namespace = await suite.namespace();
    const controllers = of(namespace);
    await controllers.create(unselective('e2e-rc', 1));
    await until(async () => (await controllers.get('e2e-rc')).status?.replicas === 1);
    const scale = await controllers.getSubresource<autoscalingv1.Scale>('e2e-rc', 'scale');
    expect(scale).toMatchObject({
      apiVersion: 'autoscaling/v1',
      kind: 'Scale',
      spec: { replicas: 1 },
      status: { replicas: 1, selector: 'name=e2e-rc' },
    });
    const { resourceVersion: _, ...metadata } = scale.metadata;
    const written = { ...scale, metadata, spec: { replicas: 2 } };
    const updated = await controllers.updateSubresource<autoscalingv1.Scale>('e2e-rc', 'scale', written);
    expect(updated.spec?.replicas).toBe(2);
    await until(async () => (await controllers.get('e2e-rc')).status?.replicas === 2);
  });

  it('[sig-apps] ReplicationController should surface a failure condition on a common issue like exceeded quota [Conformance]', async () => {
    const namespace = await suite.namespace();
    const controllers = of(namespace);
    const name = 'condition-test';
    const quotas = suite.client.resource(corev1.resourceQuotas, namespace);
    await quotas.create({ metadata: { name }, spec: { hard: { pods: '2' } } });
    await until(async () => (await quotas.get(name)).status?.used?.['pods'] === '0');

    await controllers.create(replicationControllerOf(name, 3));
    const failure = async (): Promise<corev1.ReplicationControllerCondition | undefined> =>
      (await controllers.get(name)).status?.conditions?.find(({ type }) => type === 'ReplicaFailure');
    await until(async () => (await failure()) !== undefined);
    const condition = await failure();
    expect(condition).toMatchObject({ status: 'True', reason: 'FailedCreate' });
    expect(condition?.message).toMatch(
      /^pods "condition-test-\w{5}" is forbidden: exceeded quota: condition-test, requested: pods=1, used: pods=2, limited: pods=2$/,
    );
    expect((await podsOf(namespace).list()).items).toHaveLength(2);

    await changing(controllers, name, (object) => ({
      ...object,
      spec: { ...object.spec, replicas: 2 },
    }));
    await until(async () => (await failure()) === undefined);
  });

  it('[sig-apps] ReplicationController should test the lifecycle of a ReplicationController [Conformance]', async () => {
    const namespace = await suite.namespace();
    const controllers = of(namespace);
    const name = 'rc-test';
    const labels = { 'test-rc-static': 'true' };
    const labelSelector = 'test-rc-static=true';
    await using watcher = await watch(controllers, { labelSelector });
    const example = replicationControllerOf(name, 1, { labels });
    await controllers.create({ ...example, metadata: { name, labels } });
    await watcher.until('ADDED');
    const runs =
      (replicas: number) =>
      ({ status }: corev1.ReplicationController) =>
        status?.replicas === replicas && status.readyReplicas === replicas;
    await watcher.until('MODIFIED', runs(1));

    const patched = await controllers.patch(
      name,
      { metadata: { labels: { 'test-rc': 'patched' } } },
      { type: 'strategic' },
    );
    expect(patched.metadata.labels).toEqual({ ...labels, 'test-rc': 'patched' });
    await watcher.until('MODIFIED', ({ metadata }) => metadata.labels?.['test-rc'] === 'patched');

    const { status } = await controllers.patch(
      name,
      { status: { readyReplicas: 0, availableReplicas: 0 } },
      { type: 'strategic', subresource: 'status' },
    );
    expect(status?.readyReplicas ?? 0).toBe(0);
    await watcher.until('MODIFIED', (object) => (object.status?.readyReplicas ?? 0) === 0);
    // The controller corrects what is not so.
    await watcher.until('MODIFIED', runs(1));
    const read = await controllers.getSubresource<corev1.ReplicationController>(name, 'status');
    expect(read.status?.replicas).toBe(1);

    // Go writes a Scale whole, zeros and all.
    const scale = { metadata: {}, spec: { replicas: 2 }, status: { replicas: 0 } };
    await controllers.patch(name, scale, { type: 'strategic', subresource: 'scale' });
    await watcher.until('MODIFIED', ({ spec }) => spec?.replicas === 2);
    await watcher.until('MODIFIED', runs(2));

    await changing(
      controllers,
      name,
      (object) => ({
        ...object,
        status: { replicas: 0, ...object.status, readyReplicas: 1, availableReplicas: 1 },
      }),
      'updateStatus',
    );
    await watcher.until('MODIFIED', (object) => object.status?.availableReplicas === 1);
    const { items } = await suite.client.resource(corev1.replicationControllers).list({ labelSelector });
    expect(items.map(({ metadata }) => [metadata.namespace, metadata.name, metadata.labels])).toEqual([
      [namespace, name, { ...labels, 'test-rc': 'patched' }],
    ]);
    await controllers.deleteCollection({ labelSelector });
    await watcher.until('DELETED');
    expect((await controllers.list({ labelSelector })).items).toEqual([]);
  });
});
