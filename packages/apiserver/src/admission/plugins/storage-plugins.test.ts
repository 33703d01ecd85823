import { corev1, networkingv1, storagev1 } from '@k8ts/api';
import type { KubeObject, ResourceType } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import { createObjectTable } from '../../testing/object-table.ts';
import { admit } from '../testing/admission-request.ts';
import { defaultIngressClass } from './default-ingress-class.ts';
import { defaultStorageClass } from './default-storage-class.ts';
import { persistentVolumeClaimResize } from './persistent-volume-claim-resize.ts';
import { storageObjectInUseProtection } from './storage-object-in-use-protection.ts';

const CLASS = 'storageclass.kubernetes.io/is-default-class';
const BETA = 'storageclass.beta.kubernetes.io/is-default-class';
const INGRESS_CLASS = 'ingressclass.kubernetes.io/is-default-class';
type Class = readonly [name: string, annotation: string, value: string, created?: string];

/** Classes of both kinds. */
function classes(...given: readonly Class[]): ReturnType<typeof createObjectTable> {
  const objects = createObjectTable();
  for (const [name, annotation, value, creationTimestamp = '2026-01-01T00:00:00Z'] of given) {
    const metadata = { name, annotations: { [annotation]: value }, creationTimestamp };
    objects.put(storagev1.storageClasses, { metadata, provisioner: 'p' });
    objects.put(networkingv1.ingressClasses, { metadata, spec: {} });
  }
  return objects;
}

const claim = (
  spec: Partial<corev1.PersistentVolumeClaimSpec> = {},
  annotations?: Readonly<Record<string, string>>,
  status?: corev1.PersistentVolumeClaim['status'],
): corev1.PersistentVolumeClaim => ({
  metadata: { name: 'c', namespace: 'ns', ...(annotations === undefined ? {} : { annotations }) },
  spec,
  ...(status === undefined ? {} : { status }),
});

describe('DefaultStorageClass', () => {
  test.each<[string, readonly Class[], string | undefined]>([
    ['none', [], undefined],
    ['one that is none', [['a', CLASS, 'false']], undefined],
    [
      'one',
      [
        ['a', 'x', 'true'],
        ['b', CLASS, 'true'],
      ],
      'b',
    ],
    ['one by the old name', [['a', BETA, 'true']], 'a'],
    [
      'the newest',
      [
        ['a', CLASS, 'true'],
        ['b', CLASS, 'true', '2026-01-01T00:00:01Z'],
        ['c', CLASS, 'true'],
      ],
      'b',
    ],
    [
      'the first of as old ones',
      [
        ['b', CLASS, 'true'],
        ['a', CLASS, 'true'],
      ],
      'a',
    ],
  ])('%s', async (_what, given, wanted) => {
    const { spec } = await admit(defaultStorageClass(classes(...given)), {
      operation: 'CREATE',
      resource: corev1.persistentVolumeClaims,
      object: claim(),
    });
    expect(spec.storageClassName).toBe(wanted);
  });

  test.each([
    ['a class', claim({ storageClassName: 'x' })],
    ['no class', claim({ storageClassName: '' })],
    ['a class by the annotation', claim({}, { 'volume.beta.kubernetes.io/storage-class': 'x' })],
  ])('who asks for %s gets it', async (_what, object) => {
    const plugin = defaultStorageClass(classes(['a', CLASS, 'true']));
    const resource = corev1.persistentVolumeClaims;
    expect(await admit(plugin, { operation: 'CREATE', resource, object })).toEqual(object);
  });

  test('only at its creation', async () => {
    const plugin = defaultStorageClass(classes(['a', CLASS, 'true']));
    const object = claim();
    expect(
      await admit(plugin, {
        operation: 'UPDATE',
        resource: corev1.persistentVolumeClaims,
        object,
        oldObject: object,
      }),
    ).toEqual(object);
  });
});

describe('DefaultIngressClass', () => {
  const create = async (
    object: networkingv1.Ingress,
    ...given: readonly Class[]
  ): Promise<string | undefined> => {
    const request = { operation: 'CREATE', resource: networkingv1.ingresses, object } as const;
    return (await admit(defaultIngressClass(classes(...given)), request)).spec?.ingressClassName;
  };
  const ingress = (
    spec: networkingv1.IngressSpec = {},
    annotations: Readonly<Record<string, string>> = {},
  ): networkingv1.Ingress => ({
    metadata: { name: 'i', namespace: 'ns', annotations },
    spec,
  });

  test.each<[string, networkingv1.Ingress, readonly Class[], string | undefined]>([
    ['none', ingress({}), [['a', CLASS, 'true']], undefined],
    ['one', ingress(), [['a', INGRESS_CLASS, 'true']], 'a'],
    [
      'the newest',
      ingress({}),
      [
        ['a', INGRESS_CLASS, 'true'],
        ['b', INGRESS_CLASS, 'true', '2026-02-01T00:00:00Z'],
      ],
      'b',
    ],
    ['its own', ingress({ ingressClassName: 'x' }), [['a', INGRESS_CLASS, 'true']], 'x'],
    [
      'its own by the annotation',
      ingress({}, { 'kubernetes.io/ingress.class': 'x' }),
      [['a', INGRESS_CLASS, 'true']],
      undefined,
    ],
  ])('%s', async (_what, object, given, wanted) => {
    expect(await create(object, ...given)).toBe(wanted);
  });
});

describe('StorageObjectInUseProtection', () => {
  test.each<[ResourceType<KubeObject>, string]>([
    [corev1.persistentVolumes, 'kubernetes.io/pv-protection'],
    [corev1.persistentVolumeClaims, 'kubernetes.io/pvc-protection'],
    [storagev1.volumeAttributesClasses, 'kubernetes.io/vac-protection'],
  ])('$resource', async (resource, finalizer) => {
    const finalizersOf = async (finalizers?: readonly string[]): Promise<string[] | undefined> => {
      const object: KubeObject = {
        metadata: { name: 'o', ...(finalizers === undefined ? {} : { finalizers }) },
      };
      const request = { operation: 'CREATE', resource, object } as const;
      return (await admit(storageObjectInUseProtection(), request)).metadata.finalizers;
    };
    expect(await finalizersOf()).toEqual([finalizer]);
    expect(await finalizersOf(['a/b'])).toEqual(['a/b', finalizer]);
    expect(await finalizersOf([finalizer, 'a/b'])).toEqual([finalizer, 'a/b']);
  });

  test('others are not its', () => {
    expect(storageObjectInUseProtection().handles(storagev1.storageClasses, '')).toBe(false);
    expect(storageObjectInUseProtection().handles(corev1.persistentVolumes, 'status')).toBe(false);
  });
});

describe('PersistentVolumeClaimResize', () => {
  const sized = (storage: string, storageClassName: string, phase: 'Bound' | 'Pending' = 'Bound') =>
    claim({ storageClassName, resources: { requests: { storage } } }, undefined, { phase });
  const ONLY_BOUND =
    'persistentvolumeclaims "c" is forbidden: Only bound persistent volume claims can be expanded';
  const CANNOT =
    'persistentvolumeclaims "c" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize';

  test.each<[string, corev1.PersistentVolumeClaim, corev1.PersistentVolumeClaim, string | undefined]>([
    ['the same size', sized('1Gi', 'fixed'), sized('1024Mi', 'fixed'), undefined],
    ['a smaller one', sized('2Gi', 'fixed'), sized('1Gi', 'fixed'), undefined],
    ['a greater one', sized('1Gi', 'grows'), sized('2Gi', 'grows'), undefined],
    ['of what is not bound', sized('1Gi', 'grows', 'Pending'), sized('2Gi', 'grows', 'Pending'), ONLY_BOUND],
    ['of a class that says nothing', sized('1Gi', 'silent'), sized('2Gi', 'silent'), CANNOT],
    ['of a class that cannot', sized('1Gi', 'fixed'), sized('2Gi', 'fixed'), CANNOT],
    ['of a class that is gone', sized('1Gi', 'gone'), sized('2Gi', 'gone'), CANNOT],
    ['of no class', sized('1Gi', ''), sized('2Gi', ''), CANNOT],
    ['with another class', sized('1Gi', 'fixed'), sized('2Gi', 'grows'), CANNOT],
  ])('%s', async (_what, oldObject, object, message) => {
    const objects = createObjectTable();
    const add = (name: string, allowVolumeExpansion?: boolean): void => {
      const can = allowVolumeExpansion === undefined ? {} : { allowVolumeExpansion };
      objects.put(storagev1.storageClasses, { metadata: { name }, provisioner: 'p', ...can });
    };
    add('silent');
    add('fixed', false);
    add('grows', true);
    const outcome = admit(persistentVolumeClaimResize(objects), {
      operation: 'UPDATE',
      resource: corev1.persistentVolumeClaims,
      object,
      oldObject,
    });
    await (message === undefined ? outcome : expect(outcome).rejects.toThrow(message));
  });
});
