export { startOnVirtualTime } from './virtual-cluster.ts';
export type { VirtualCluster } from './virtual-cluster.ts';
