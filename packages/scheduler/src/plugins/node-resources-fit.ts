import type { corev1 } from '@k8ts/api';
import type { NodeTable } from '../cluster-state/node-table.ts';
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
        if ((nodes.podCount[node] as number) + 1 > (nodes.allocatablePods[node] as number))
          reasons.push('Too many pods');
        if (requests.cpu > 0 && lacks(nodes.allocatableCpu, nodes.requestedCpu, node, requests.cpu))
          reasons.push('Insufficient cpu');
        if (
          requests.memory > 0 &&
          lacks(nodes.allocatableMemory, nodes.requestedMemory, node, requests.memory)
        )
          reasons.push('Insufficient memory');
        if (
          requests.ephemeralStorage > 0 &&
          lacks(nodes.allocatableStorage, nodes.requestedStorage, node, requests.ephemeralStorage)
        )
          reasons.push('Insufficient ephemeral-storage');
        for (const [name, amount] of others)
          if (free(nodes, name, node) < amount) reasons.push(`Insufficient ${name}`);
        return reasons.length === 0 ? undefined : reasons;
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

function lacks(allocatable: Float64Array, requested: Float64Array, node: number, amount: number): boolean {
  return amount > (allocatable[node] as number) - (requested[node] as number);
}

function free(nodes: NodeTable, resource: string, node: number): number {
  return (
    (nodes.allocatableOthers.get(resource)?.[node] ?? 0) - (nodes.requestedOthers.get(resource)?.[node] ?? 0)
  );
}

function leastAllocated(allocatable = 0, requested: number): number {
  return allocatable === 0 || requested > allocatable
    ? 0
    : Math.floor(((allocatable - requested) * 100) / allocatable);
}
