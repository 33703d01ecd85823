import { corev1 } from '@k8ts/api';
import { notFound, StatusError } from '@k8ts/apimachinery';
import type { ObjectReader } from '../../object-reader.ts';
import { isResource, refuse } from '../refuse.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../contract.ts';

const IMMORTAL = ['default', 'kube-system', 'kube-public'];

/**
 * Nothing is made in a namespace that does not exist or is going away, and the namespaces that the cluster itself needs
 * are not deleted.
 */
export function namespaceLifecycle(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'NamespaceLifecycle',
    operations: ['CREATE', 'UPDATE', 'DELETE'],
    // Telling who reviews access which namespaces exist would say too much.
    handles: (resource) =>
      (resource.namespaced || isResource(resource, corev1.namespaces)) &&
      !(resource.group === 'authorization.k8s.io' && resource.resource === 'localsubjectaccessreviews'),

    admit(attributes) {
      const { operation, resource, namespace, name } = attributes;
      if (isResource(resource, corev1.namespaces)) {
        if (operation === 'DELETE' && attributes.subresource === '' && IMMORTAL.includes(name))
          throw refuse(attributes, 'this namespace may not be deleted');
        return;
      }
      if (operation === 'DELETE' || namespace === '') return;
      const found = objects.get(corev1.namespaces, '', namespace);
      if (found === undefined) throw notFound(corev1.namespaces, namespace);
      if (operation === 'CREATE' && found.status?.phase === 'Terminating')
        throw terminating(attributes, namespace);
    },
  };
}

function terminating(attributes: AdmissionAttributes, namespace: string): StatusError {
  const { status } = refuse(
    attributes,
    `unable to create new content in namespace ${namespace} because it is being terminated`,
  );
  const cause = {
    reason: 'NamespaceTerminating',
    message: `namespace ${namespace} is being terminated`,
    field: 'metadata.namespace',
  };
  return new StatusError({ ...status, details: { ...status.details, causes: [cause] } });
}
