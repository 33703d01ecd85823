import type { corev1 } from '@k8ts/api';
import { toleratesTaint } from '@k8ts/apimachinery';

/**
 * How long a pod may stay on a node with these NoExecute taints, in seconds: 0 when one of them is not tolerated, Infinity
 * when all are for ever, otherwise the shortest time that a toleration grants.
 */
export function tolerationSeconds(
  taints: readonly corev1.Taint[],
  tolerations: readonly corev1.Toleration[],
): number {
  let shortest = Infinity;
  for (const taint of taints) {
    const toleration = tolerations.find((candidate) => toleratesTaint(candidate, taint));
    if (toleration === undefined) return 0;
    if (toleration.tolerationSeconds !== undefined)
      shortest = Math.min(shortest, Math.max(0, toleration.tolerationSeconds));
  }
  return shortest;
}
