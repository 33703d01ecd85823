import { corev1, storagev1 } from '@k8ts/api';
import type { KubeObject, New, ResourceType } from '@k8ts/api';
import { isNotFound } from '@k8ts/apimachinery';
import { describe, expect, test } from 'vitest';

import { ControllerHarness } from '../testing/controller-harness.ts';
import { pvProtectionController } from './pv-protection-controller.ts';
import { pvcProtectionController } from './pvc-protection-controller.ts';
import { vacProtectionController } from './vac-protection-controller.ts';

const start = (): Promise<ControllerHarness> =>
  ControllerHarness.start([pvcProtectionController, pvProtectionController, vacProtectionController]);

async function isThere(
  harness: ControllerHarness,
  type: ResourceType<KubeObject>,
  name: string,
): Promise<boolean> {
  await harness.clock.advance(1000);
  const namespace = type.namespaced ? 'default' : '';
  return harness.api.client
    .resource(type, namespace)
    .get(name)
    .then(
      () => true,
      (error: unknown) => {
        if (!isNotFound(error)) throw error;
        return false;
      },
    );
}

const claim = (
  metadata: Partial<corev1.PersistentVolumeClaim['metadata']> = {},
): New<corev1.PersistentVolumeClaim> => ({
  metadata: { name: 'data', namespace: 'default', finalizers: ['kubernetes.io/pvc-protection'], ...metadata },
  spec: {},
});
const pod = (spec: Partial<corev1.PodSpec>, name = 'web'): New<corev1.Pod> => ({
  metadata: { name, namespace: 'default' },
  spec: { containers: [{ name: 'c' }], ...spec },
});
const mounted: Partial<corev1.PodSpec> = {
  nodeName: 'n1',
  volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }],
};

describe('claims', () => {
  test('get the finalizer, and go when nobody uses them', async () => {
    await using harness = await start();
    const claims = harness.api.client.resource(corev1.persistentVolumeClaims, 'default');
    await claims.create(claim({ finalizers: ['example.com/other'] }));
    await harness.clock.advance(1000);
    expect((await claims.get('data')).metadata.finalizers).toEqual([
      'example.com/other',
      'kubernetes.io/pvc-protection',
    ]);
    await claims.delete('data');
    await harness.clock.advance(1000);
    const left = await claims.get('data');
    expect(left.metadata.finalizers).toEqual(['example.com/other']);
    await claims.update({ ...left, metadata: { ...left.metadata, finalizers: [] } });
    expect(await isThere(harness, corev1.persistentVolumeClaims, 'data')).toBe(false);
  });

  test('stay until the last pod that mounts them is gone', async () => {
    await using harness = await start();
    const pods = harness.api.client.resource(corev1.pods, 'default');
    await harness.api.client.resource(corev1.persistentVolumeClaims, 'default').create(claim());
    await pods.create(pod(mounted, 'a'));
    await pods.create(pod(mounted, 'b'));
    await harness.api.client.resource(corev1.persistentVolumeClaims, 'default').delete('data');
    expect(await isThere(harness, corev1.persistentVolumeClaims, 'data')).toBe(true);
    await pods.delete('a', { gracePeriodSeconds: 0 });
    expect(await isThere(harness, corev1.persistentVolumeClaims, 'data')).toBe(true);
    await pods.delete('b', { gracePeriodSeconds: 0 });
    expect(await isThere(harness, corev1.persistentVolumeClaims, 'data')).toBe(false);
  });

  test.each<[string, Partial<corev1.PodSpec>, boolean]>([
    ['on a node', mounted, true],
    ['that waits for a node', { ...mounted, nodeName: '' }, false],
    [
      'with another claim',
      { ...mounted, volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'x' } }] },
      false,
    ],
    ['whose own claim has that name', { nodeName: 'n1', volumes: [{ name: 'v', ephemeral: {} }] }, false],
  ])('a pod %s', async (_what, spec, used) => {
    await using harness = await start();
    await harness.api.client.resource(corev1.pods, 'default').create(pod(spec));
    const claims = harness.api.client.resource(corev1.persistentVolumeClaims, 'default');
    await claims.create(claim());
    await claims.delete('data');
    expect(await isThere(harness, corev1.persistentVolumeClaims, 'data')).toBe(used);
  });

  test('of ephemeral volumes stay as long as their pod', async () => {
    await using harness = await start();
    const pods = harness.api.client.resource(corev1.pods, 'default');
    const { metadata } = await pods.create(pod({ nodeName: 'n1', volumes: [{ name: 'v', ephemeral: {} }] }));
    const owner = { apiVersion: 'v1', kind: 'Pod', name: 'web', uid: metadata.uid ?? '', controller: true };
    const claims = harness.api.client.resource(corev1.persistentVolumeClaims, 'default');
    await claims.create(claim({ name: 'web-v', ownerReferences: [owner] }));
    await claims.delete('web-v');
    expect(await isThere(harness, corev1.persistentVolumeClaims, 'web-v')).toBe(true);
    await pods.delete('web', { gracePeriodSeconds: 0 });
    expect(await isThere(harness, corev1.persistentVolumeClaims, 'web-v')).toBe(false);
  });
});

test('volumes stay as long as they are bound', async () => {
  await using harness = await start();
  const volumes = harness.api.client.resource(corev1.persistentVolumes);
  for (const name of ['free', 'bound']) await volumes.create({ metadata: { name }, spec: {} });
  await harness.clock.advance(1000);
  const bound = await volumes.get('bound');
  expect(bound.metadata.finalizers).toEqual(['kubernetes.io/pv-protection']);
  await volumes.updateStatus({ ...bound, status: { phase: 'Bound' } });
  for (const name of ['free', 'bound']) await volumes.delete(name);
  expect(await isThere(harness, corev1.persistentVolumes, 'free')).toBe(false);
  expect(await isThere(harness, corev1.persistentVolumes, 'bound')).toBe(true);
  await volumes.updateStatus({ ...(await volumes.get('bound')), status: { phase: 'Released' } });
  expect(await isThere(harness, corev1.persistentVolumes, 'bound')).toBe(false);
});

test('attribute classes stay as long as a volume or a claim names them', async () => {
  await using harness = await start();
  const classes = harness.api.client.resource(storagev1.volumeAttributesClasses);
  const claims = harness.api.client.resource(corev1.persistentVolumeClaims, 'default');
  const volumes = harness.api.client.resource(corev1.persistentVolumes);
  for (const name of ['none', 'claimed', 'used'])
    await classes.create({ metadata: { name }, driverName: 'd' });
  await claims.create({ ...claim(), spec: { volumeAttributesClassName: 'claimed' } });
  await volumes.create({ metadata: { name: 'v' }, spec: { volumeAttributesClassName: 'used' } });
  await harness.clock.advance(1000);
  for (const name of ['none', 'claimed', 'used']) await classes.delete(name);
  expect(await isThere(harness, storagev1.volumeAttributesClasses, 'none')).toBe(false);
  expect(await isThere(harness, storagev1.volumeAttributesClasses, 'claimed')).toBe(true);
  expect(await isThere(harness, storagev1.volumeAttributesClasses, 'used')).toBe(true);
  const { spec, ...rest } = await claims.get('data');
  await claims.update({ ...rest, spec: { ...spec, volumeAttributesClassName: 'other' } });
  expect(await isThere(harness, storagev1.volumeAttributesClasses, 'claimed')).toBe(false);
  await volumes.delete('v');
  expect(await isThere(harness, storagev1.volumeAttributesClasses, 'used')).toBe(false);
});
