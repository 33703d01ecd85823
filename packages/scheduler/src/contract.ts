import type { corev1 } from '@k8ts/api';
import type { ClusterState } from './cluster-state/cluster-state.ts';

/**
 * A scheduling plugin. Pods are scheduled by classes: pods that all plugins look at in the same way (`classKey`) share one
 * evaluation of the nodes, of which a binding makes only the bound node anew. So a plugin is asked once for each class
 * what it does (`forClass`), and the answer is called for each node.
 */
export interface Plugin {
  readonly name: string;
  /** Multiplies its scores; 0 or absent for plugins that only filter. */
  readonly weight?: number;
  /** After which of these is a pod worth another try, when this plugin refused it? */
  readonly retryOn: readonly ClusterEvent[];
  /** All that the plugin looks at in a pod; part of the class's identity. Undefined: nothing. */
  classKey(pod: corev1.Pod, state: ClusterState): unknown;
  /** Undefined: for this class the plugin refuses no node and prefers none. */
  forClass(pod: corev1.Pod, state: ClusterState): ClassPlugin | undefined;
}

/** What a plugin does for one class of pods. Nodes are given as their index in the `NodeTable`. */
export interface ClassPlugin {
  /** Why the class can run nowhere, whatever the nodes are like (upstream's PreFilter). Goes before all filters. */
  readonly refusal?: string;
  /**
   * Why the class cannot run on the node, in upstream's words; undefined: it can. Looks at this node only: the answer is
   * kept until the node changes.
   */
  filter?(node: number): Reasons | undefined;
  /** From 0 to 100; looks at this node only, and is kept like `filter`. */
  score?(node: number): number;
  /** A number of any size that is brought to 0–100 among the nodes that fit: the highest (or, reversed, lowest) is best. */
  readonly relativeScore?: { readonly reversed: boolean; raw(node: number): number };
  /** Rules that look beyond one node. Done anew in every cycle, for the nodes that the filters above left. */
  readonly acrossNodes?: AcrossNodes;
  /** The class is forgotten. */
  release?(): void;
}

export interface AcrossNodes {
  /** Before the others, in each cycle. */
  begin(): void;
  /**
   * Pods of this one node were taken away or added for a question, or put back (`ClusterState.suppose`), which the change
   * log does not tell. Needed by a `filter` that counts pods.
   */
  recount?(node: number): void;
  /** Asked after `begin`: in this cycle `filter` refuses no node, whatever is supposed, and need not be called. */
  refusesNone?(): boolean;
  filter?(node: number): Reasons | undefined;
  /** Writes scores from 0 to 100: `scores[i]` for `nodes[i]`, i < count. */
  score?(nodes: Int32Array, count: number, scores: Float64Array): void;
}

/** One reason, or several that each count. */
export type Reasons = string | readonly string[] | Unresolvable;

/** Reasons that would hold on an empty node as well (upstream's UnschedulableAndUnresolvable): nobody is preempted there. */
export interface Unresolvable {
  readonly unresolvable: string | readonly string[];
}

/** What happens in a cluster that can make room for a pod. */
export type ClusterEvent =
  | 'NodeAdded'
  | 'NodeChanged'
  | 'AssignedPodAdded'
  | 'AssignedPodChanged'
  | 'AssignedPodDeleted'
  | 'WorkloadChanged'
  /** A claim, a volume or a storage class came, changed or went. */
  | 'VolumeChanged';

/** Where a pod goes, or why each node lost. */
export type Verdict =
  | { readonly kind: 'assigned'; readonly node: string; readonly feasible: number; readonly score: number }
  | {
      readonly kind: 'unschedulable';
      /** `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.` */
      readonly message: string;
      /** The plugins that refused nodes. */
      readonly refusedBy: ReadonlySet<string>;
    };
