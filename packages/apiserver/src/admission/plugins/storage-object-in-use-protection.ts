import { corev1, storagev1 } from '@k8ts/api';
import type { Draft, KubeObject, ResourceType } from '@k8ts/api';
import type { AdmissionPlugin } from '../contract.ts';
import { isResource } from '../refuse.ts';

const FINALIZERS: readonly { readonly type: ResourceType<KubeObject>; readonly finalizer: string }[] = [
  { type: corev1.persistentVolumes, finalizer: 'kubernetes.io/pv-protection' },
  { type: corev1.persistentVolumeClaims, finalizer: 'kubernetes.io/pvc-protection' },
  { type: storagev1.volumeAttributesClasses, finalizer: 'kubernetes.io/vac-protection' },
];

/** Volumes, claims and attribute classes stay as long as they are used: the protection controllers let them go. */
export function storageObjectInUseProtection(): AdmissionPlugin {
  return {
    name: 'StorageObjectInUseProtection',
    operations: ['CREATE'],
    handles: (resource, subresource) =>
      subresource === '' && isResource(resource, ...FINALIZERS.map(({ type }) => type)),

    admit({ resource, object }) {
      const { metadata } = object as Draft<KubeObject>;
      const protection = FINALIZERS.find(({ type }) => isResource(resource, type));
      const finalizers = metadata.finalizers ?? [];
      if (protection === undefined || finalizers.includes(protection.finalizer)) return;
      metadata.finalizers = [...finalizers, protection.finalizer];
    },
  };
}
