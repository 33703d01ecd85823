export type {
  AcrossNodes,
  ClassPlugin,
  ClusterEvent,
  Plugin as SchedulerPlugin,
  Reasons,
  Verdict,
} from './contract.ts';
export { ClusterState } from './cluster-state/cluster-state.ts';
export type { WorkloadLookup } from './cluster-state/workloads.ts';
export { SchedulingCycle } from './cycle.ts';
export { defaultPlugins } from './plugin-registry.ts';
export { Preemption } from './preemption/preemption.ts';
export { startScheduler } from './scheduler.ts';
export type { SchedulerOptions } from './scheduler.ts';
