import type { ContainerStatus, Runtime } from '@k8ts/cri';

import type { PodRuntimeState } from '../pod/runtime-state.ts';
import type { Node, Pod } from '../pod/types.ts';

/** What the kubelet's API serves of one node. Many simulated nodes share one server. */
export interface ServedNode {
  readonly nodeName: string;
  readonly runtime: Runtime;
  node(): Node | undefined;
  /** All pods of the node, with the newest status. */
  pods(): readonly Pod[];
  findPod(namespace: string, name: string): Pod | undefined;
  state(podUid: string): Promise<PodRuntimeState>;
}

export interface FoundContainer {
  readonly node: ServedNode;
  readonly pod: Pod;
  readonly status: ContainerStatus;
}
