import type { corev1 } from '@k8ts/api';
import { podRequests } from '../cluster-state/pod-resources.ts';
import type { Plugin } from '../contract.ts';

/**
 * A pod must fit beside those on the node, and nodes with more left are better (LeastAllocated).
 * (PodFitsResources and LeastRequestedPriority in the scheduler policies of old.)
 */
export const nodeResourcesFit: Plugin = {
  name: 'NodeResourcesFit',
  weight: 1,
  retryOn: ['NodeAdded', 'NodeChanged', 'AssignedPodChanged', 'AssignedPodDeleted'],
  classKey: ({ spec }) => resourceKey(spec),
  forClass({ spec }, { nodes }) {
    const requests = podRequests(spec);
    const nonZero = podRequests(spec, true);
    const others = [...(requests.others ?? [])].filter(([, amount]) => amount > 0);

    return {
      filter(node) {
        const reasons: string[] = [];
        let hopeless = false; // it asks for more than the node has at all
        const check = (
          name: string,
          asked: number,
          allocatable?: Float64Array,
          used?: Float64Array,
        ): void => {
          const has = allocatable?.[node] ?? 0;
          if (asked <= has - (used?.[node] ?? 0)) return;
          reasons.push(`Insufficient ${name}`);
          hopeless ||= asked > has;
        };
        if ((nodes.podCount[node] as number) + 1 > (nodes.allocatablePods[node] as number))
          reasons.push('Too many pods');
        if (requests.cpu > 0) check('cpu', requests.cpu, nodes.allocatableCpu, nodes.requestedCpu);
        if (requests.memory > 0)
          check('memory', requests.memory, nodes.allocatableMemory, nodes.requestedMemory);
        if (requests.ephemeralStorage > 0)
          check(
            'ephemeral-storage',
            requests.ephemeralStorage,
            nodes.allocatableStorage,
            nodes.requestedStorage,
          );
        for (const [name, amount] of others)
          check(name, amount, nodes.allocatableOthers.get(name), nodes.requestedOthers.get(name));
        if (reasons.length === 0) return undefined;
        return hopeless ? { unresolvable: reasons } : reasons;
      },

      score(node) {
        const cpu = leastAllocated(
          nodes.allocatableCpu[node],
          (nodes.nonZeroCpu[node] as number) + nonZero.cpu,
        );
        const memory = leastAllocated(
          nodes.allocatableMemory[node],
          (nodes.nonZeroMemory[node] as number) + nonZero.memory,
        );
        return Math.floor((cpu + memory) / 2);
      },
    };
  },
};

/** Everything of a pod that its requests are computed from. */
export function resourceKey(spec: corev1.PodSpec): unknown {
  return [
    spec.containers.map(({ resources }) => resources?.requests),
    (spec.initContainers ?? []).map(({ resources, restartPolicy }) => [resources?.requests, restartPolicy]),
    spec.resources?.requests,
    spec.overhead,
  ];
}

function leastAllocated(allocatable = 0, requested: number): number {
  return allocatable === 0 || requested > allocatable
    ? 0
    : Math.floor(((allocatable - requested) * 100) / allocatable);
}
