import type { corev1 } from '@k8ts/api';
import { matchesNodeSelectorTerm, requiredNodeMatcher } from '@k8ts/apimachinery';
import type { ClusterState } from '../cluster-state/cluster-state.ts';
import type { Plugin, Unresolvable } from '../contract.ts';

const MISMATCH: Unresolvable = { unresolvable: "node(s) didn't match Pod's node affinity/selector" };

/** `nodeSelector` and `affinity.nodeAffinity`. (MatchNodeSelector in the scheduler policies of old.) */
export const nodeAffinity: Plugin = {
  name: 'NodeAffinity',
  weight: 2,
  retryOn: ['NodeAdded', 'NodeChanged'],
  classKey: ({ spec }) => [spec.nodeSelector, spec.affinity?.nodeAffinity],
  forClass(pod, { nodes }) {
    const matches = requiredNodeMatcher(pod.spec);
    const preferred = pod.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
    if (matches === undefined && preferred.length === 0) return undefined;
    const filter = (node: number): Unresolvable | undefined =>
      matches === undefined || matches(nodes.objects[node] as corev1.Node) ? undefined : MISMATCH;
    if (preferred.length === 0) return { filter };
    return {
      filter,
      relativeScore: {
        reversed: false,
        raw(node) {
          let sum = 0;
          for (const { weight, preference } of preferred)
            if (matchesNodeSelectorTerm(preference, nodes.objects[node] as corev1.Node)) sum += weight;
          return sum;
        },
      },
    };
  },
};

/** Whether rules that honour node affinity count a node for this pod. */
export function nodeMatcher(pod: corev1.Pod, { nodes }: ClusterState): (node: number) => boolean {
  const matches = requiredNodeMatcher(pod.spec);
  return (node) => matches === undefined || matches(nodes.objects[node] as corev1.Node);
}
