import { corev1 } from '@k8ts/api';
import type { Draft } from '@k8ts/api';
import type { AdmissionPlugin } from '../contract.ts';
import { isResource, refuse } from '../refuse.ts';

const HOSTNAME = 'kubernetes.io/hostname';

/** No pod keeps others out of more than a node. */
export function limitPodHardAntiAffinityTopology(): AdmissionPlugin {
  return {
    name: 'LimitPodHardAntiAffinityTopology',
    operations: ['CREATE', 'UPDATE'],
    handles: (resource, subresource) => subresource === '' && isResource(resource, corev1.pods),

    validate(attributes) {
      const { affinity } = (attributes.object as Draft<corev1.Pod>).spec;
      for (const { topologyKey } of affinity?.podAntiAffinity
        ?.requiredDuringSchedulingIgnoredDuringExecution ?? [])
        if (topologyKey !== HOSTNAME)
          throw refuse(
            attributes,
            `affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey ${topologyKey} but only key ${HOSTNAME} is allowed`,
          );
    },
  };
}
