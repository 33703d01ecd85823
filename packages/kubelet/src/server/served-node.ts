import type { Runtime } from '@k8ts/cri';

import type { PodRuntimeState } from '../pod/runtime-state.ts';
import type { Node, Pod } from '../pod/types.ts';

/** What the kubelet's API serves of one node. Many simulated nodes share one server. */
export interface ServedNode {
  readonly nodeName: string;
  readonly runtime: Runtime;
  node(): Node | undefined;
  /** All pods of the node, with the newest status. */
  pods(): readonly Pod[];
  /** Also with the newest status. */
  findPod(namespace: string, name: string): Pod | undefined;
  state(podUid: string): Promise<PodRuntimeState>;
  /** Brings the node's metrics up to date before they are read. */
  collectMetrics?(): void;
  /** Of the whole machine; absent: the sum of its containers. */
  machineUsage?(): MachineUsage;
}

export interface MachineUsage {
  readonly cpuNanoSeconds: number;
  readonly memoryUsedBytes: number;
  readonly memoryAvailableBytes: number;
}
