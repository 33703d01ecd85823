import type { corev1 } from '@k8ts/api';
import { toleratesTaint } from '@k8ts/apimachinery';
import type { Plugin, Unresolvable } from '../contract.ts';

const TAINTED: Unresolvable = { unresolvable: 'node(s) had untolerated taint(s)' };

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
            return TAINTED;
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
