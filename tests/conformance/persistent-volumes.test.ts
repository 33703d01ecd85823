import { appsv1, corev1, storagev1 } from '@k8ts/api';
import type { Client } from '@k8ts/client';
import { startOnVirtualTime } from '@k8ts/cluster/testing';
import type { VirtualCluster } from '@k8ts/cluster/testing';
import { describe, expect, it } from 'vitest';

type Claim = corev1.PersistentVolumeClaim;

/** What the documentation of persistent volumes promises (kubernetes.io/docs/concepts/storage/persistent-volumes). */
describe('persistent volumes', () => {
  const start = (nodes = 2): Promise<VirtualCluster> => startOnVirtualTime({ nodes });

  const claims = (client: Client) => client.resource(corev1.persistentVolumeClaims, 'default');
  const volumes = (client: Client) => client.resource(corev1.persistentVolumes);
  const pods = (client: Client) => client.resource(corev1.pods, 'default');
  const claim = (name: string, spec: Partial<Claim['spec']> = {}): Claim => ({
    metadata: { name },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, ...spec },
  });
  const pod = (name: string, claimName: string, spec: Partial<corev1.PodSpec> = {}): corev1.Pod => ({
    metadata: { name },
    spec: {
      containers: [{ name: 'c', image: 'registry.example/app:1' }],
      volumes: [{ name: 'data', persistentVolumeClaim: { claimName } }],
      ...spec,
    },
  });
  const scheduled = async (client: Client, name: string): Promise<string | undefined> =>
    (await pods(client).get(name)).status?.conditions?.find(({ type }) => type === 'PodScheduled')?.message;

  it('a claim of the default class waits for a pod, gets a volume on its node, and both go with the claim', async () => {
    await using world = await start();
    const { cluster, clock } = world;
    const { client } = cluster;
    await claims(client).create(claim('data'));
    await clock.advance(60_000);
    const waiting = await claims(client).get('data');
    expect(waiting.spec.storageClassName).toBe('standard');
    expect(waiting.status?.phase).toBe('Pending');
    await pods(client).create(pod('web', 'data'));
    await clock.advance(30_000);
    const web = await pods(client).get('web');
    expect(web.status?.phase).toBe('Running');
    const bound = await claims(client).get('data');
    expect(bound.status).toMatchObject({ phase: 'Bound', capacity: { storage: '1Gi' } });
    expect(bound.metadata.annotations).toMatchObject({
      'volume.kubernetes.io/selected-node': web.spec.nodeName,
      'volume.kubernetes.io/storage-provisioner': 'k8ts.io/local-path',
    });
    const name = bound.spec.volumeName ?? '';
    expect(name).toBe(`pvc-${bound.metadata.uid ?? ''}`);
    const volume = await volumes(client).get(name);
    expect(volume.status?.phase).toBe('Bound');
    expect(volume.metadata.finalizers?.toSorted()).toEqual([
      'external-provisioner.volume.kubernetes.io/finalizer',
      'kubernetes.io/pv-protection',
    ]);

    // In use: the claim stays until the pod is gone.
    await claims(client).delete('data');
    await clock.advance(30_000);
    expect((await claims(client).get('data')).status?.phase).toBe('Bound');
    await pods(client).delete('web');
    await clock.advance(90_000);
    expect((await claims(client).list()).items).toEqual([]);
    expect((await volumes(client).list()).items).toEqual([]);
  });

  it('pods of a StatefulSet come back to the node that has their data, and claims outlive the set', async () => {
    await using world = await start(3);
    const { cluster, clock } = world;
    const { client } = cluster;
    const sets = client.resource(appsv1.statefulSets, 'default');
    const { containers } = pod('x', 'x').spec;
    await sets.create({
      metadata: { name: 'db' },
      spec: {
        serviceName: 'db',
        replicas: 3,
        selector: { matchLabels: { app: 'db' } },
        template: { metadata: { labels: { app: 'db' } }, spec: { containers } },
        volumeClaimTemplates: [claim('data')],
      },
    });
    await clock.advance(120_000);
    expect((await sets.get('db')).status?.readyReplicas).toBe(3);
    const before = await pods(client).get('db-1');
    await pods(client).delete('db-1');
    await clock.advance(120_000);
    const after = await pods(client).get('db-1');
    expect(after.metadata.uid).not.toBe(before.metadata.uid);
    expect(after.status?.phase).toBe('Running');
    expect(after.spec.nodeName).toBe(before.spec.nodeName);
    await sets.delete('db');
    await clock.advance(120_000);
    expect((await pods(client).list()).items).toEqual([]);
    expect((await claims(client).list()).items.map(({ status }) => status?.phase)).toEqual([
      'Bound',
      'Bound',
      'Bound',
    ]);
  });

  it('a pod says why its claims keep it from being scheduled, and goes on when they do not', async () => {
    await using world = await start(1);
    const { cluster, clock } = world;
    const { client } = cluster;
    await pods(client).create(pod('web', 'data'));
    await clock.advance(5000);
    const nobody = 'preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.';
    expect(await scheduled(client, 'web')).toBe(
      `0/1 nodes are available: persistentvolumeclaim "data" not found. ${nobody}`,
    );
    await claims(client).create(claim('data', { storageClassName: '' }));
    await clock.advance(15_000);
    expect(await scheduled(client, 'web')).toBe(
      `0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. ${nobody}`,
    );
    await volumes(client).create({
      metadata: { name: 'pv' },
      spec: {
        capacity: { storage: '1Gi' },
        accessModes: ['ReadWriteOnce'],
        hostPath: { path: '/data' },
      },
    });
    await clock.advance(60_000);
    expect((await pods(client).get('web')).status?.phase).toBe('Running');
  });

  const localVolume = (name: string, node: string, storage: string): corev1.PersistentVolume => ({
    metadata: { name },
    spec: {
      capacity: { storage },
      accessModes: ['ReadWriteOnce'],
      storageClassName: 'local',
      local: { path: `/disks/${name}` },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [node] }] },
          ],
        },
      },
    },
  });
  const localClass = {
    metadata: { name: 'local' },
    provisioner: 'kubernetes.io/no-provisioner',
    volumeBindingMode: 'WaitForFirstConsumer',
  } as const;

  it('pods and local volumes find each other, each volume for one claim', async () => {
    await using world = await start(2);
    const { cluster, clock } = world;
    const { client } = cluster;
    const [first = '', second = ''] = cluster.nodes.names;
    await client.resource(storagev1.storageClasses).create(localClass);
    await volumes(client).create(localVolume('one', first, '1Gi'));
    await volumes(client).create(localVolume('two', second, '2Gi'));
    await clock.advance(5000);
    for (const name of ['a', 'b', 'c']) {
      await claims(client).create(claim(name, { storageClassName: 'local' }));
      await pods(client).create(pod(name, name));
    }
    await clock.advance(60_000);
    const all = (await pods(client).list()).items;
    expect(all.map(({ spec }) => spec.nodeName ?? '-').toSorted()).toEqual(['-', first, second].toSorted());
    const left = all.find(({ spec }) => spec.nodeName === undefined)?.metadata.name ?? '';
    expect(await scheduled(client, left)).toContain(
      "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.",
    );
    await volumes(client).create(localVolume('three', second, '1Gi'));
    await clock.advance(60_000);
    expect((await pods(client).get(left)).spec.nodeName).toBe(second);
    const bound = (await claims(client).list()).items.map(({ spec }) => spec.volumeName);
    expect(bound.toSorted()).toEqual(['one', 'three', 'two']);
  });

  it('a pod that must not go to the node of its volume says so', async () => {
    await using world = await start(2);
    const { cluster, clock } = world;
    const { client } = cluster;
    const [first = '', second = ''] = cluster.nodes.names;
    await client.resource(storagev1.storageClasses).create(localClass);
    await volumes(client).create(localVolume('one', first, '1Gi'));
    await claims(client).create(claim('data', { storageClassName: 'local', volumeName: 'one' }));
    await clock.advance(5000);
    await pods(client).create(pod('web', 'data', { nodeSelector: { 'kubernetes.io/hostname': second } }));
    await clock.advance(5000);
    expect(await scheduled(client, 'web')).toContain(
      "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had volume node affinity conflict.",
    );
  });

  it('a claim that is made larger has the capacity that it asks for', async () => {
    await using world = await start(1);
    const { cluster, clock } = world;
    const { client } = cluster;
    await claims(client).create(claim('data'));
    await pods(client).create(pod('web', 'data'));
    await clock.advance(30_000);
    await claims(client).patch(
      'data',
      { spec: { resources: { requests: { storage: '5Gi' } } } },
      { type: 'merge' },
    );
    await clock.advance(5000);
    const grown = await claims(client).get('data');
    expect(grown.status?.capacity).toEqual({ storage: '5Gi' });
    const volume = await volumes(client).get(grown.spec.volumeName ?? '');
    expect(volume.spec?.capacity).toEqual({ storage: '5Gi' });
  });

  it('who waits for a volume that never comes keeps nobody else from being scheduled', async () => {
    await using world = await start(1);
    const { cluster, clock } = world;
    const { client } = cluster;
    await client
      .resource(storagev1.storageClasses)
      .create({ ...localClass, metadata: { name: 'slow' }, provisioner: 'example.com/slow' });
    await claims(client).create(claim('data', { storageClassName: 'slow' }));
    await pods(client).create(pod('web', 'data'));
    await clock.advance(5000);
    expect((await claims(client).get('data')).metadata.annotations).toMatchObject({
      'volume.kubernetes.io/selected-node': cluster.nodes.names[0],
      'volume.kubernetes.io/storage-provisioner': 'example.com/slow',
    });
    await pods(client).create({ ...pod('other', ''), spec: { containers: pod('x', '').spec.containers } });
    await clock.advance(30_000);
    expect((await pods(client).get('other')).status?.phase).toBe('Running');
    expect((await pods(client).get('web')).spec.nodeName).toBeUndefined();
    await pods(client).delete('web');
    await clock.advance(30_000);
    expect((await pods(client).list()).items.map(({ metadata }) => metadata.name)).toEqual(['other']);
  });

  it('an ephemeral volume has a claim that comes and goes with its pod', async () => {
    await using world = await start(1);
    const { cluster, clock } = world;
    const { client } = cluster;
    const { spec } = claim('x');
    const volume = { name: 'scratch', ephemeral: { volumeClaimTemplate: { spec } } };
    await pods(client).create(pod('web', '', { volumes: [volume] }));
    await clock.advance(30_000);
    expect((await pods(client).get('web')).status?.phase).toBe('Running');
    expect((await claims(client).get('web-scratch')).status?.phase).toBe('Bound');
    await pods(client).delete('web');
    await clock.advance(120_000);
    expect((await claims(client).list()).items).toEqual([]);
    expect((await volumes(client).list()).items).toEqual([]);
  });

  it('a claim for one pod at a time keeps a second pod waiting, unless that one may make the first leave', async () => {
    await using world = await start(2);
    const { cluster, clock } = world;
    const { client } = cluster;
    await claims(client).create(claim('data', { accessModes: ['ReadWriteOncePod'] }));
    await pods(client).create(pod('first', 'data'));
    await clock.advance(30_000);
    await pods(client).create(pod('second', 'data'));
    await clock.advance(5000);
    expect(await scheduled(client, 'second')).toContain(
      'node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod',
    );
    await pods(client).create(pod('urgent', 'data', { priorityClassName: 'system-cluster-critical' }));
    await clock.advance(120_000);
    const left = (await pods(client).list()).items;
    expect(left.map(({ metadata, spec }) => [metadata.name, spec.nodeName !== undefined]).toSorted()).toEqual(
      [
        ['second', false],
        ['urgent', true],
      ],
    );
  });
});
