import { corev1, storagev1 } from '@k8ts/api';
import type { Draft } from '@k8ts/api';
import { compareQuantities, parseQuantity } from '@k8ts/apimachinery';
import type { ObjectReader } from '../../object-reader.ts';
import type { AdmissionPlugin } from '../contract.ts';
import { isResource, refuse } from '../refuse.ts';

const BETA_CLASS = 'volume.beta.kubernetes.io/storage-class';

type Claim = corev1.PersistentVolumeClaim | Draft<corev1.PersistentVolumeClaim>;

/** A claim grows only where its storage class says that volumes can. */
export function persistentVolumeClaimResize(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'PersistentVolumeClaimResize',
    operations: ['UPDATE'],
    handles: (resource, subresource) =>
      subresource === '' && isResource(resource, corev1.persistentVolumeClaims),

    validate(attributes) {
      const claim = attributes.object as Draft<corev1.PersistentVolumeClaim>;
      const old = attributes.oldObject as corev1.PersistentVolumeClaim;
      const [size, oldSize] = [sizeOf(claim), sizeOf(old)];
      if (size === oldSize || compareQuantities(parseQuantity(size), parseQuantity(oldSize)) <= 0) return;
      if (old.status?.phase !== 'Bound')
        throw refuse(attributes, 'Only bound persistent volume claims can be expanded');
      if (!canGrow(classOf(claim), classOf(old), objects))
        throw refuse(
          attributes,
          'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize',
        );
    },
  };
}

function sizeOf({ spec }: Claim): string {
  return spec.resources?.requests?.['storage'] ?? '0';
}

function classOf({ metadata, spec }: Claim): string {
  return metadata.annotations?.[BETA_CLASS] ?? spec.storageClassName ?? '';
}

function canGrow(name: string, oldName: string, objects: ObjectReader): boolean {
  if (name === '' || name !== oldName) return false;
  return objects.get(storagev1.storageClasses, '', name)?.allowVolumeExpansion === true;
}
