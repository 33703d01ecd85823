import { corev1 } from '@k8ts/api';
import { notFound } from '@k8ts/apimachinery';
import type { ObjectReader } from '../../object-reader.ts';
import type { AdmissionPlugin } from '../contract.ts';
import { isResource } from '../refuse.ts';

/** Nothing happens in a namespace that does not exist, deletions neither. */
export function namespaceExists(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'NamespaceExists',
    operations: ['CREATE', 'UPDATE', 'DELETE'],
    handles: (resource) => resource.namespaced && !isResource(resource, corev1.namespaces),

    validate({ namespace }) {
      if (namespace !== '' && objects.get(corev1.namespaces, '', namespace) === undefined)
        throw notFound(corev1.namespaces, namespace);
    },
  };
}
