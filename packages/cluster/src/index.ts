export { Cluster } from './cluster.ts';
export type { ClusterOptions } from './cluster.ts';
