import { appsv1, corev1, type Draft } from '@k8ts/api';
import type { ResourceClient } from '@k8ts/client';
import { describe, expect, it } from 'vitest';

import { throughout, until } from '../support/waiting.ts';
import {
  deploymentOf,
  isGone,
  podOf,
  replicaSetOf,
  replicationControllerOf,
  useSuite,
  type PodParts,
} from './support.ts';

describe('the garbage collector', () => {
  const suite = useSuite();
  const replicaSetsOf = (namespace: string): ResourceClient<appsv1.ReplicaSet> =>
    suite.client.resource(appsv1.replicaSets, namespace);
  const podsOf = (namespace: string): ResourceClient<corev1.Pod> =>
    suite.client.resource(corev1.pods, namespace);
  const count = async (resource: {
    list(): Promise<{ readonly items: readonly unknown[] }>;
  }): Promise<number> => (await resource.list()).items.length;
  const owner = (object: corev1.Pod | appsv1.ReplicaSet, kind: string, apiVersion: string): object => ({
    apiVersion,
    kind,
    name: object.metadata.name,
    uid: object.metadata.uid,
    controller: false,
    blockOwnerDeletion: true,
  });

  it('[sig-api-machinery] Garbage collector should delete RS created by deployment when not orphaning [Conformance]', async () => {
    const namespace = await suite.namespace();
    const deployments = suite.client.resource(appsv1.deployments, namespace);
    await deployments.create(deploymentOf('simple', 2));
    await until(async () => (await count(replicaSetsOf(namespace))) === 1);
    await deployments.delete('simple', { propagationPolicy: 'Background' });
    await until(async () => (await count(replicaSetsOf(namespace))) === 0);
    await until(async () => (await count(podsOf(namespace))) === 0);
  });

  it('[sig-api-machinery] Garbage collector should orphan RS created by deployment when deleteOptions.PropagationPolicy is Orphan [Conformance]', async () => {
    const namespace = await suite.namespace();
    const deployments = suite.client.resource(appsv1.deployments, namespace);
    await deployments.create(deploymentOf('simple', 2));
    await until(async () => (await count(podsOf(namespace))) === 2);
    await deployments.delete('simple', { propagationPolicy: 'Orphan' });
    await until(() => isGone(deployments.get('simple')));
    const { items } = await replicaSetsOf(namespace).list();
    expect(items).toHaveLength(1);
    expect(items[0]?.metadata.ownerReferences ?? []).toEqual([]);
    expect(await count(podsOf(namespace))).toBe(2);
  });

  /** A replication controller that has begun, and its UID; deleted as the test says. */
  const controllerIn = async (
    namespace: string,
    replicas: number,
    parts: PodParts = {},
  ): Promise<{ readonly uid: string; readonly api: ResourceClient<corev1.ReplicationController> }> => {
    const api = suite.client.resource(corev1.replicationControllers, namespace);
    const { metadata } = await api.create(replicationControllerOf('simpletest.rc', replicas, parts));
    await until(async () => (await count(podsOf(namespace))) > 0);
    return { uid: metadata.uid ?? '', api };
  };
  const MANY = 100;

  it('[sig-api-machinery] Garbage collector should delete pods created by rc when not orphaning [Conformance]', async () => {
    const namespace = await suite.namespace();
    const { uid, api } = await controllerIn(namespace, 2);
    await api.delete('simpletest.rc', { propagationPolicy: 'Background', preconditions: { uid } });
    await until(async () => (await count(api)) === 0 && (await count(podsOf(namespace))) === 0);
  });

  it('[sig-api-machinery] Garbage collector should orphan pods created by rc if delete options say so [Serial] [Conformance]', async () => {
    const namespace = await suite.namespace();
    const { uid, api } = await controllerIn(namespace, MANY);
    await until(async () => (await api.get('simpletest.rc')).status?.replicas === MANY);
    await api.delete('simpletest.rc', { propagationPolicy: 'Orphan', preconditions: { uid } });
    await until(() => isGone(api.get('simpletest.rc')));
    await throughout(1000, async () => {
      const { items } = await podsOf(namespace).list();
      expect(items).toHaveLength(MANY);
      for (const { metadata } of items) {
        expect(metadata.ownerReferences ?? []).toEqual([]);
        expect(metadata.deletionTimestamp).toBeUndefined();
      }
    });
    await podsOf(namespace).deleteCollection({ gracePeriodSeconds: 0 });
  });

  it('[sig-api-machinery] Garbage collector should keep the rc around until all its pods are deleted if the deleteOptions says so [Serial] [Conformance]', async () => {
    const namespace = await suite.namespace();
    const { uid, api } = await controllerIn(namespace, MANY, { behaviour: { stopAfter: 0.3 } });
    await until(async () => (await api.get('simpletest.rc')).status?.readyReplicas === MANY);
    await api.delete('simpletest.rc', { propagationPolicy: 'Foreground', preconditions: { uid } });
    const waiting = await api.get('simpletest.rc');
    expect(waiting.metadata.deletionTimestamp).toBeDefined();
    expect(waiting.metadata.finalizers).toEqual(['foregroundDeletion']);
    let left = MANY;
    await until(async () => {
      const gone = await isGone(api.get('simpletest.rc'));
      left = await count(podsOf(namespace));
      return gone;
    });
    expect(left).toBe(0);
  });

  it('foreground deletion keeps the owner until its pods are gone', async () => {
    const namespace = await suite.namespace();
    const replicaSets = replicaSetsOf(namespace);
    const pods = podsOf(namespace);
    await replicaSets.create(replicaSetOf('slow', 2, { behaviour: { stopAfter: 0.3 } }));
    await until(
      async () => (await pods.list()).items.filter(({ status }) => status?.phase === 'Running').length === 2,
    );
    await replicaSets.delete('slow', { propagationPolicy: 'Foreground' });
    const waiting = await replicaSets.get('slow');
    expect(waiting.metadata.deletionTimestamp).toBeDefined();
    expect(waiting.metadata.finalizers).toEqual(['foregroundDeletion']);
    let left = 2;
    await until(async () => {
      const gone = await isGone(replicaSets.get('slow'));
      left = await count(pods);
      return gone;
    });
    expect(left).toBe(0);
  });

  it("[sig-api-machinery] Garbage collector should not delete dependents that have both valid owner and owner that's waiting for dependents to be deleted [Serial] [Conformance]", async () => {
    const namespace = await suite.namespace();
    const replicaSets = replicaSetsOf(namespace);
    const pods = podsOf(namespace);
    // Upstream's owners are replication controllers; any owner will do for the garbage collector.
    const goes = await replicaSets.create(replicaSetOf('to-be-deleted', 4));
    const stays = await replicaSets.create(replicaSetOf('to-stay', 0));
    await until(async () => (await count(pods)) === 4);
    const shared = (await pods.list()).items.slice(0, 2);
    for (const pod of shared) {
      await pods.patch(
        pod.metadata.name ?? '',
        { metadata: { ownerReferences: [owner(stays, 'ReplicaSet', 'apps/v1')] } },
        { type: 'strategic' },
      );
    }
    await replicaSets.delete(goes.metadata.name ?? '', {
      propagationPolicy: 'Foreground',
      preconditions: { uid: goes.metadata.uid ?? '' },
    });
    await until(() => isGone(replicaSets.get('to-be-deleted')));
    const left = (await pods.list()).items;
    expect(left.map(({ metadata }) => metadata.name).sort()).toEqual(
      shared.map(({ metadata }) => metadata.name).sort(),
    );
    for (const { metadata } of left) {
      expect(metadata.deletionTimestamp).toBeUndefined();
      expect(metadata.ownerReferences?.map(({ name }) => name)).toEqual(['to-stay']);
    }
  });

  it('[sig-api-machinery] Garbage collector should not be blocked by dependency circle [Conformance]', async () => {
    const namespace = await suite.namespace();
    const pods = podsOf(namespace);
    const names = ['pod1', 'pod2', 'pod3'];
    const created: corev1.Pod[] = [];
    for (const name of names) created.push(await pods.create(podOf(name)));
    // pod1 belongs to pod3, pod2 to pod1, pod3 to pod2.
    for (const [index, name] of names.entries()) {
      const above = created[(index + 2) % 3] as corev1.Pod;
      const references = [{ ...owner(above, 'Pod', 'v1'), controller: true }];
      const patched = await pods.patch(
        name,
        { metadata: { ownerReferences: references } },
        { type: 'strategic' },
      );
      expect((patched as Draft<corev1.Pod>).metadata.ownerReferences).toHaveLength(1);
    }
    await pods.delete('pod1', { propagationPolicy: 'Foreground' });
    await until(async () => (await count(pods)) === 0);
  });
});
