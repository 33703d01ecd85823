import type { corev1 } from '@k8ts/api';

/** An empty key with Exists tolerates everything; an empty effect tolerates all effects. */
export function tolerates(toleration: corev1.Toleration, taint: corev1.Taint): boolean {
  const { key = '', effect = '', operator = 'Equal', value = '' } = toleration;
  if (effect !== '' && effect !== taint.effect) return false;
  if (key !== '' && key !== taint.key) return false;
  if (key === '' && operator !== 'Exists') return false;
  return operator === 'Exists' || (operator === 'Equal' && value === (taint.value ?? ''));
}

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
    const toleration = tolerations.find((candidate) => tolerates(candidate, taint));
    if (toleration === undefined) return 0;
    if (toleration.tolerationSeconds !== undefined)
      shortest = Math.min(shortest, Math.max(0, toleration.tolerationSeconds));
  }
  return shortest;
}
