import { corev1, storagev1 } from '@k8ts/api';
import type { Draft } from '@k8ts/api';
import type { ObjectReader } from '../../object-reader.ts';
import type { AdmissionPlugin } from '../contract.ts';
import { isResource } from '../refuse.ts';
import { defaultClass } from './default-class.ts';

const BETA_CLASS = 'volume.beta.kubernetes.io/storage-class';

/** A claim that says nothing of its class gets the default one. An empty class is a word: no class. */
export function defaultStorageClass(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'DefaultStorageClass',
    operations: ['CREATE'],
    handles: (resource, subresource) =>
      subresource === '' && isResource(resource, corev1.persistentVolumeClaims),

    admit({ object }) {
      const { spec, metadata } = object as Draft<corev1.PersistentVolumeClaim>;
      if (spec.storageClassName !== undefined || metadata.annotations?.[BETA_CLASS] !== undefined) return;
      const found = defaultClass(
        objects.list(storagev1.storageClasses),
        'storageclass.kubernetes.io/is-default-class',
        'storageclass.beta.kubernetes.io/is-default-class',
      );
      if (found?.metadata.name !== undefined) spec.storageClassName = found.metadata.name;
    },
  };
}
