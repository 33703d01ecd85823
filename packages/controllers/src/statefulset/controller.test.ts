import { appsv1, corev1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { garbageCollectorController } from '../garbage-collector/controller.ts';
import { ControllerHarness } from '../testing/controller-harness.ts';
import { statefulSetController } from './controller.ts';

async function start(): Promise<ControllerHarness> {
  const harness = await ControllerHarness.start([statefulSetController, garbageCollectorController]);
  harness.runPods();
  await harness.clock.advance(100);
  return harness;
}

const statefulSet = (
  replicas: number,
  image: string,
  extra: Partial<appsv1.StatefulSetSpec> = {},
): appsv1.StatefulSet => ({
  metadata: { name: 'db', namespace: 'default' },
  spec: {
    replicas,
    serviceName: 'db',
    selector: { matchLabels: { app: 'db' } },
    template: { metadata: { labels: { app: 'db' } }, spec: { containers: [{ name: 'c', image }] } },
    volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'] } }],
    updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
    ...extra,
  },
});

const api = ({ api: fake }: ControllerHarness) => fake.client.resource(appsv1.statefulSets, 'default');
const status = ({ api: fake }: ControllerHarness) => fake.peek(appsv1.statefulSets, 'default/db')?.status;
const pods = ({ api: fake }: ControllerHarness) =>
  fake.all(corev1.pods).map(({ metadata, spec }) => `${metadata.name} ${spec.containers[0]?.image ?? ''}`);
const claims = ({ api: fake }: ControllerHarness) =>
  fake.all(corev1.persistentVolumeClaims).map(({ metadata }) => metadata.name);
const events = ({ api: fake }: ControllerHarness) => fake.all(corev1.events).map(({ message }) => message);

async function change(harness: ControllerHarness, spec: Partial<appsv1.StatefulSetSpec>): Promise<void> {
  const current = await api(harness).get('db');
  await api(harness).update({ ...current, spec: { ...current.spec, ...spec } });
}

describe('StatefulSet controller', () => {
  it('makes its pods one after the other, each with its name, claim and host name', async () => {
    await using harness = await start();
    await api(harness).create(statefulSet(3, 'v1'));
    await harness.clock.advance(500);
    expect(pods(harness)).toEqual(['db-0 v1']);
    await harness.clock.advance(10_000);
    expect(pods(harness)).toEqual(['db-0 v1', 'db-1 v1', 'db-2 v1']);
    expect(claims(harness)).toEqual(['data-db-0', 'data-db-1', 'data-db-2']);
    const pod = harness.api.peek(corev1.pods, 'default/db-1');
    const revision = status(harness)?.updateRevision ?? '';
    expect(pod).toMatchObject({
      metadata: {
        labels: {
          app: 'db',
          'statefulset.kubernetes.io/pod-name': 'db-1',
          'apps.kubernetes.io/pod-index': '1',
          'controller-revision-hash': revision,
        },
        ownerReferences: [{ kind: 'StatefulSet', name: 'db', controller: true }],
      },
      spec: {
        hostname: 'db-1',
        subdomain: 'db',
        volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data-db-1' } }],
      },
    });
    expect(harness.api.peek(corev1.persistentVolumeClaims, 'default/data-db-1')?.metadata).toMatchObject({
      labels: { app: 'db' },
    });
    expect(status(harness)).toEqual({
      observedGeneration: 1,
      replicas: 3,
      readyReplicas: 3,
      currentReplicas: 3,
      updatedReplicas: 3,
      availableReplicas: 3,
      currentRevision: revision,
      updateRevision: revision,
    });
    expect(events(harness)).toContain('create Claim data-db-0 Pod db-0 in StatefulSet db success');
    expect(events(harness)).toContain('create Pod db-0 in StatefulSet db successful');
  });

  it('gives a pod that comes back its name and its claim', async () => {
    await using harness = await start();
    await api(harness).create(statefulSet(2, 'v1'));
    await harness.clock.advance(10_000);
    const before = harness.api.peek(corev1.pods, 'default/db-0')?.metadata.uid;
    const claim = harness.api.peek(corev1.persistentVolumeClaims, 'default/data-db-0');
    await harness.api.client.resource(corev1.pods, 'default').delete('db-0');
    await harness.clock.advance(10_000);
    expect(harness.api.peek(corev1.pods, 'default/db-0')?.metadata.uid).not.toBe(before);
    expect(harness.api.peek(corev1.persistentVolumeClaims, 'default/data-db-0')).toBe(claim);
  });

  it('scales down from the highest, and keeps the claims', async () => {
    await using harness = await start();
    await api(harness).create(statefulSet(3, 'v1'));
    await harness.clock.advance(10_000);
    await change(harness, { replicas: 1 });
    await harness.clock.advance(10_000);
    expect(pods(harness)).toEqual(['db-0 v1']);
    expect(claims(harness)).toHaveLength(3);
  });

  it('updates from the highest, stops at the partition, and goes back', async () => {
    await using harness = await start();
    await api(harness).create(
      statefulSet(3, 'v1', { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 2 } } }),
    );
    await harness.clock.advance(10_000);
    const first = status(harness)?.currentRevision;
    await change(harness, { template: statefulSet(1, 'v2').spec.template });
    await harness.clock.advance(20_000);
    expect(pods(harness)).toEqual(['db-0 v1', 'db-1 v1', 'db-2 v2']);
    expect(status(harness)).toMatchObject({ currentReplicas: 2, updatedReplicas: 1, currentRevision: first });
    // Deleted below the partition, it comes back as it was.
    await harness.api.client.resource(corev1.pods, 'default').delete('db-0');
    await harness.clock.advance(10_000);
    expect(pods(harness)[0]).toBe('db-0 v1');
    await change(harness, { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } } });
    await harness.clock.advance(20_000);
    expect(pods(harness)).toEqual(['db-0 v2', 'db-1 v2', 'db-2 v2']);
    expect(status(harness)?.currentRevision).toBe(status(harness)?.updateRevision);
    await change(harness, { template: statefulSet(1, 'v1').spec.template });
    await harness.clock.advance(30_000);
    expect(pods(harness)).toEqual(['db-0 v1', 'db-1 v1', 'db-2 v1']);
    expect(status(harness)?.updateRevision).toBe(first);
    expect(
      harness.api
        .all(appsv1.controllerRevisions)
        .map(({ revision }) => revision)
        .sort(),
    ).toEqual([2, 3]);
  });

  it('makes a failed pod anew', async () => {
    await using harness = await start();
    await api(harness).create(statefulSet(1, 'v1'));
    await harness.clock.advance(5000);
    const pod = harness.api.peek(corev1.pods, 'default/db-0') as corev1.Pod;
    await harness.api.client
      .resource(corev1.pods, 'default')
      .updateStatus({ ...pod, status: { ...pod.status, phase: 'Failed' } });
    await harness.clock.advance(5000);
    expect(harness.api.peek(corev1.pods, 'default/db-0')?.status?.phase).toBe('Running');
    expect(events(harness)).toContain('StatefulSet default/db is recreating failed Pod db-0');
  });

  it('lets claims go with scaled-down pods and with the set, where the policy says so', async () => {
    await using harness = await start();
    await api(harness).create(
      statefulSet(3, 'v1', {
        persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Delete', whenScaled: 'Delete' },
      }),
    );
    await harness.clock.advance(10_000);
    await change(harness, { replicas: 1 });
    await harness.clock.advance(20_000);
    expect(claims(harness)).toEqual(['data-db-0']);
    await change(harness, { replicas: 2 });
    await harness.clock.advance(20_000);
    expect(claims(harness)).toEqual(['data-db-0', 'data-db-1']);
    await api(harness).delete('db', { propagationPolicy: 'Background' });
    await harness.clock.advance(60_000);
    expect(pods(harness)).toEqual([]);
    expect(claims(harness)).toEqual([]);
  });

  it('puts back the labels of a pod, and adopts its own pods only', async () => {
    await using harness = await start();
    await api(harness).create(statefulSet(1, 'v1'));
    await harness.clock.advance(5000);
    const client = harness.api.client.resource(corev1.pods, 'default');
    await client.patch(
      'db-0',
      { metadata: { labels: { 'statefulset.kubernetes.io/pod-name': null } } },
      { type: 'merge' },
    );
    await client.create({ metadata: { name: 'stranger', labels: { app: 'db' } }, spec: { containers: [] } });
    await harness.clock.advance(5000);
    expect(harness.api.peek(corev1.pods, 'default/db-0')?.metadata.labels).toMatchObject({
      'statefulset.kubernetes.io/pod-name': 'db-0',
    });
    expect(harness.api.peek(corev1.pods, 'default/stranger')?.metadata.ownerReferences).toBeUndefined();
  });

  it('comes to rest', async () => {
    await using harness = await start();
    await api(harness).create(statefulSet(2, 'v1'));
    await harness.clock.advance(60_000);
    const before = harness.api.requests.length;
    await harness.clock.advance(240_000);
    expect(
      harness.api.requests.slice(before).filter((request) => !/^WATCH|^GET \/apis?(\/|$)/.test(request)),
    ).toEqual([]);
  });
});
