import type { PodCondition } from './types.ts';

/** Why the kubelet ends a pod or does not admit it, as the pod's status will say. */
export interface PodEnding {
  readonly reason: string;
  readonly message: string;
  /** Set beside the others, as DisruptionTarget is by an eviction. */
  readonly condition?: PodCondition;
}
