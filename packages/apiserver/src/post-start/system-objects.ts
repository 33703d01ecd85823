import { corev1, schedulingv1, type KubeObject, type ResourceType } from '@k8ts/api';
import { isAlreadyExists } from '@k8ts/apimachinery';
import type { RegistryAccess } from '../registry/special-subresources.ts';
import type { PostStartHook } from './contract.ts';

const SYSTEM_NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

/** The namespaces that every cluster has. */
export const systemNamespacesHook: PostStartHook = {
  name: 'start-system-namespaces-controller',
  async run({ registry }) {
    await Promise.all(
      SYSTEM_NAMESPACES.map((name) =>
        createMissing(registry, corev1.namespaces, '', { metadata: { name } } as corev1.Namespace),
      ),
    );
  },
};

const SYSTEM_PRIORITY_CLASSES: readonly schedulingv1.PriorityClass[] = [
  {
    metadata: { name: 'system-node-critical' },
    value: 2_000_001_000,
    description: 'Used for system critical pods that must not be moved from their current node.',
  },
  {
    metadata: { name: 'system-cluster-critical' },
    value: 2_000_000_000,
    description:
      'Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.',
  },
];

export const systemPriorityClassesHook: PostStartHook = {
  name: 'scheduling/bootstrap-system-priority-classes',
  async run({ registry }) {
    await Promise.all(
      SYSTEM_PRIORITY_CLASSES.map((priorityClass) =>
        createMissing(registry, schedulingv1.priorityClasses, '', priorityClass),
      ),
    );
  },
};

/** Another API server of the same cluster may be faster. */
export async function createMissing<T extends KubeObject>(
  registry: RegistryAccess,
  type: ResourceType<T>,
  namespace: string,
  object: T,
): Promise<void> {
  if ((await registry.find(type, namespace, object.metadata.name)) !== undefined) return;
  try {
    await registry.create(type, object);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
}
