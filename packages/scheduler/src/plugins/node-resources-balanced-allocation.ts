import { podRequests } from '../cluster-state/pod-resources.ts';
import type { Plugin } from '../contract.ts';
import { resourceKey } from './node-resources-fit.ts';

/**
 * Nodes whose processor and memory would be used to the same degree are better.
 * (BalancedResourceAllocation in the scheduler policies of old.)
 */
export const nodeResourcesBalancedAllocation: Plugin = {
  name: 'NodeResourcesBalancedAllocation',
  weight: 1,
  retryOn: [],
  classKey: ({ spec }) => resourceKey(spec),
  forClass({ spec }, { nodes }) {
    const { cpu, memory } = podRequests(spec);
    // A pod that asks for nothing changes no balance (upstream skips it).
    if (cpu === 0 && memory === 0) return undefined;
    return {
      score(node) {
        const cpuFraction = fraction(nodes.allocatableCpu[node], (nodes.requestedCpu[node] as number) + cpu);
        const memoryFraction = fraction(
          nodes.allocatableMemory[node],
          (nodes.requestedMemory[node] as number) + memory,
        );
        // Of two numbers the standard deviation is half their distance.
        return Math.floor((1 - Math.abs(cpuFraction - memoryFraction) / 2) * 100);
      },
    };
  },
};

function fraction(allocatable = 0, requested: number): number {
  return allocatable === 0 ? 1 : Math.min(1, requested / allocatable);
}
