import { corev1 } from '@k8ts/api';
import { isAlreadyExists } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import type { ObjectReader } from '../../object-reader.ts';
import type { RegistryAccess } from '../../registry/special-subresources.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../contract.ts';
import { isResource, refuse } from '../refuse.ts';

export interface NamespaceAutoProvisionOptions {
  readonly objects: ObjectReader;
  /** The server's own, once it is there. */
  readonly registry: () => Promise<Pick<RegistryAccess, 'create'>>;
}

/** Whoever creates something in a namespace that does not exist creates the namespace. */
export function namespaceAutoProvision({
  objects,
  registry,
}: NamespaceAutoProvisionOptions): AdmissionPlugin {
  return {
    name: 'NamespaceAutoProvision',
    operations: ['CREATE'],
    handles: (resource) => resource.namespaced && !isResource(resource, corev1.namespaces),

    admit(attributes) {
      const { namespace, dryRun } = attributes;
      if (dryRun || namespace === '' || objects.get(corev1.namespaces, '', namespace) !== undefined) return;
      return provide(attributes);
    },
  };

  async function provide(attributes: AdmissionAttributes): Promise<void> {
    const namespace: corev1.Namespace = { metadata: { name: attributes.namespace }, spec: {}, status: {} };
    try {
      await (await registry()).create(corev1.namespaces, namespace);
    } catch (error) {
      if (!isAlreadyExists(error)) throw refuse(attributes, errorMessage(error));
    }
  }
}
