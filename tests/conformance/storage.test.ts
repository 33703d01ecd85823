import { corev1, type KubeObject } from '@k8ts/api';
import type { ResourceClient } from '@k8ts/client';
import { describe, expect, it } from 'vitest';

import { changing, isGone, podOf, refusal, useSuite } from './support.ts';

describe('storage', () => {
  const suite = useSuite({ nodes: 1 });

  it('[sig-storage] CSIInlineVolumes should support CSIVolumeSource in Pod API [Conformance]', async () => {
    const namespace = await suite.namespace();
    const pods = suite.client.resource(corev1.pods, namespace);
    const name = 'pod-csi-inline-volumes';
    const driver = 'e2e.example.com';
    const volumes = [
      { name: 'vol1', csi: { driver } },
      { name: 'vol2', csi: { driver, fsType: 'ext4', readOnly: true } },
    ];
    const container = {
      name,
      image: 'registry.example/busybox:1',
      command: ['sh', '-c', 'ls /mnt/*'],
      volumeMounts: volumes.map((volume) => ({ name: volume.name, mountPath: `/mnt/${volume.name}` })),
    };
    const pod = podOf(name, { spec: { volumes, containers: [container] } });
    const created = await pods.create(pod);
    expect(await refusal(pods.create(pod))).toMatchObject({ code: 409, reason: 'AlreadyExists' });
    const read = await pods.get(name);
    expect(read.metadata.uid).toBe(created.metadata.uid);
    expect(read.spec.volumes?.slice(0, 2)).toEqual(volumes);
    expect((await pods.list()).items).toHaveLength(1);
    const patched = await pods.patch(
      name,
      { metadata: { annotations: { patched: 'true' } } },
      { type: 'merge' },
    );
    expect(patched.metadata.annotations).toMatchObject({ patched: 'true' });
    await pods.delete(name);
    if (!(await isGone(pods.get(name))))
      expect((await pods.get(name)).metadata.deletionTimestamp).toBeDefined();
  });

  it('[sig-storage] PersistentVolumes CSI Conformance should apply changes to a pv/pvc status [Conformance]', async () => {
    const namespace = await suite.namespace();
    const volumes = suite.client.resource(corev1.persistentVolumes);
    const claims = suite.client.resource(corev1.persistentVolumeClaims, namespace);
    const labels = { 'e2e-pv-pool': namespace };
    const accessModes = ['ReadWriteOnce'] as const;
    await volumes.create({
      metadata: { generateName: `${namespace}-`, labels },
      spec: {
        capacity: { storage: '2Gi' },
        accessModes,
        storageClassName: namespace,
        csi: { driver: 'e2e-driver.example.com', volumeHandle: 'e2e-status-conformance' },
      },
      status: {},
    });
    await claims.create({
      metadata: { generateName: 'pvc-' },
      spec: { accessModes, storageClassName: namespace, resources: { requests: { storage: '2Gi' } } },
      status: {},
    });
    const only = async <T extends KubeObject>(
      resource: ResourceClient<T>,
      labelSelector = '',
    ): Promise<string> => {
      const { items } = await resource.list({ labelSelector });
      expect(items).toHaveLength(1);
      return items[0]?.metadata.name ?? '';
    };
    const volume = await only(volumes, `e2e-pv-pool=${namespace}`);
    const claim = await only(claims);
    const claimStatus = await claims.getSubresource<corev1.PersistentVolumeClaim>(claim, 'status');
    expect(['Pending', 'Bound']).toContain(claimStatus.status?.phase);
    const volumeStatus = await volumes.getSubresource<corev1.PersistentVolume>(volume, 'status');
    expect(['Available', 'Bound', 'Pending']).toContain(volumeStatus.status?.phase);

    const condition = (type: string): corev1.PersistentVolumeClaimCondition => ({
      type,
      status: 'True',
      reason: `E2E ${type}`,
      message: 'Set by a test',
    });
    const patchedClaim = await claims.patch(
      claim,
      { status: { conditions: [condition('StatusPatched')] } },
      { type: 'merge', subresource: 'status' },
    );
    expect(patchedClaim.status).toMatchObject({ conditions: [condition('StatusPatched')] });
    const message = { message: 'StatusPatched', reason: 'E2E patchStatus' };
    const patchedVolume = await volumes.patch(
      volume,
      { status: message },
      { type: 'merge', subresource: 'status' },
    );
    expect(patchedVolume.status).toMatchObject(message);

    const updatedClaim = await changing(
      claims,
      claim,
      ({ status, ...rest }) => ({
        ...rest,
        status: { ...status, conditions: [...(status?.conditions ?? []), condition('StatusUpdated')] },
      }),
      'updateStatus',
    );
    expect(updatedClaim.status?.conditions).toMatchObject([
      condition('StatusPatched'),
      condition('StatusUpdated'),
    ]);
    const next = { message: 'StatusUpdated', reason: 'E2E updateStatus' };
    const updatedVolume = await changing(
      volumes,
      volume,
      ({ status, ...rest }) => ({ ...rest, status: { ...status, ...next } }),
      'updateStatus',
    );
    expect(updatedVolume.status).toMatchObject(next);
    await claims.delete(claim);
    await volumes.delete(volume);
  });
});
