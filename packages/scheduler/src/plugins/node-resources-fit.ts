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
        let lack: Lack | undefined;
        if ((nodes.podCount[node] as number) + 1 > (nodes.allocatablePods[node] as number))
          lack = { reasons: ['Too many pods'], isHopeless: false };
        if (requests.cpu > 0)
          lack = check(lack, 'cpu', requests.cpu, nodes.allocatableCpu[node], nodes.requestedCpu[node]);
        if (requests.memory > 0)
          lack = check(
            lack,
            'memory',
            requests.memory,
            nodes.allocatableMemory[node],
            nodes.requestedMemory[node],
          );
        if (requests.ephemeralStorage > 0)
          lack = check(
            lack,
            'ephemeral-storage',
            requests.ephemeralStorage,
            nodes.allocatableStorage[node],
            nodes.requestedStorage[node],
          );
        for (const [name, amount] of others)
          lack = check(
            lack,
            name,
            amount,
            nodes.allocatableOthers.get(name)?.[node],
            nodes.requestedOthers.get(name)?.[node],
          );
        if (lack === undefined) return undefined;
        return lack.isHopeless ? { unresolvable: lack.reasons } : lack.reasons;
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

interface Lack {
  readonly reasons: string[];
  /** More is asked for than there is at all. */
  isHopeless: boolean;
}

function check(
  lack: Lack | undefined,
  name: string,
  asked: number,
  allocatable = 0,
  requested = 0,
): Lack | undefined {
  if (asked <= allocatable - requested) return lack;
  lack ??= { reasons: [], isHopeless: false };
  lack.reasons.push(`Insufficient ${name}`);
  if (asked > allocatable) lack.isHopeless = true;
  return lack;
}

function leastAllocated(allocatable = 0, requested: number): number {
  return allocatable === 0 || requested > allocatable
    ? 0
    : Math.floor(((allocatable - requested) * 100) / allocatable);
}
