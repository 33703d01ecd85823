import { hostPortsOf } from '../cluster-state/pod-info.ts';
import type { Plugin } from '../contract.ts';

const ANY_ADDRESS = '0.0.0.0';

/** Two pods cannot have the same port of one node. (PodFitsHostPorts in the scheduler policies of old.) */
export const nodePorts: Plugin = {
  name: 'NodePorts',
  retryOn: ['NodeAdded', 'AssignedPodDeleted'],
  classKey: (pod) => hostPortsOf(pod),
  forClass(pod, { nodes }) {
    const wanted = hostPortsOf(pod);
    if (wanted.length === 0) return undefined;
    return {
      filter(node) {
        const used = nodes.hostPorts[node];
        return used !== undefined && wanted.some((port) => conflicts(port, used))
          ? "node(s) didn't have free ports for the requested pod ports"
          : undefined;
      },
    };
  },
};

/** A port on all addresses collides with the same port on any of them. */
function conflicts(port: string, used: ReadonlyMap<string, number>): boolean {
  if (used.has(port)) return true;
  const [protocol, address, number] = port.split('/');
  if (address !== ANY_ADDRESS) return used.has(`${protocol ?? ''}/${ANY_ADDRESS}/${number ?? ''}`);
  for (const other of used.keys()) {
    const [otherProtocol, , otherNumber] = other.split('/');
    if (otherProtocol === protocol && otherNumber === number) return true;
  }
  return false;
}
