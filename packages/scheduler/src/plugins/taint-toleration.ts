import type { corev1 } from '@k8ts/api';
import type { Plugin } from '../contract.ts';

/** Taints keep pods away that do not tolerate them; of PreferNoSchedule taints, fewer are better. */
export const taintToleration: Plugin = {
  name: 'TaintToleration',
  weight: 3,
  retryOn: ['NodeAdded', 'NodeChanged'],
  classKey: (pod) => pod.spec.tolerations,
  forClass({ spec }, { nodes }) {
    const tolerations = spec.tolerations ?? [];
    const isTolerated = (taint: corev1.Taint): boolean =>
      tolerations.some((toleration) => toleratesTaint(toleration, taint));
    return {
      filter(node) {
        for (const taint of nodes.taints[node] ?? [])
          if ((taint.effect === 'NoSchedule' || taint.effect === 'NoExecute') && !isTolerated(taint))
            return 'node(s) had untolerated taint(s)';
        return undefined;
      },
      relativeScore: {
        reversed: true,
        raw(node) {
          let count = 0;
          for (const taint of nodes.taints[node] ?? [])
            if (taint.effect === 'PreferNoSchedule' && !isTolerated(taint)) count++;
          return count;
        },
      },
    };
  },
};

/** k8s.io/api/core/v1/toleration.go: an empty key with Exists tolerates all, an empty effect every effect. */
export function toleratesTaint(
  toleration: corev1.Toleration,
  taint: Pick<corev1.Taint, 'key' | 'value' | 'effect'>,
): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  switch (toleration.operator ?? '') {
    case '':
    case 'Equal':
      return (toleration.value ?? '') === (taint.value ?? '');
    case 'Exists':
      return true;
    case 'Lt':
      return compare(taint.value, toleration.value, (have, bound) => have < bound);
    case 'Gt':
      return compare(taint.value, toleration.value, (have, bound) => have > bound);
    default:
      return false;
  }
}

function compare(
  have: string | undefined,
  bound: string | undefined,
  holds: (have: bigint, bound: bigint) => boolean,
): boolean {
  const whole = /^-?(0|[1-9]\d{0,18})$/;
  return (
    have !== undefined &&
    bound !== undefined &&
    whole.test(have) &&
    whole.test(bound) &&
    holds(BigInt(have), BigInt(bound))
  );
}
