import type { corev1 } from '@k8ts/api';

/** What plugins may ask about the volumes of pods. */
export interface VolumeLookup {
  /**
   * All that volumes say about where the pod can go, as a part of its class's identity. Undefined: it has no claims.
   */
  keyOf(pod: corev1.Pod): unknown;
  /** `namespace/name` of those of its claims that one pod at a time may use (ReadWriteOncePod). */
  onePodClaims(pod: corev1.Pod): readonly string[];
  /** Only for a pod that has claims. */
  judge(pod: corev1.Pod): VolumeJudgement;
}

/** Why the pod can go nowhere; or what each node has for it. */
export type VolumeJudgement =
  | { readonly refusal: string }
  | { readonly refusal?: undefined; readonly filter: (node: corev1.Node) => NodeRefusal | undefined };

/** Why a node is not for the pod; no pod that leaves would help. */
export interface NodeRefusal {
  readonly unresolvable: readonly string[];
}

/** A cluster without claims. */
export const NO_VOLUMES: VolumeLookup = {
  keyOf: () => undefined,
  onePodClaims: () => [],
  judge: () => ({ filter: () => undefined }),
};
