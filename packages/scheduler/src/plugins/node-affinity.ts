import type { corev1 } from '@k8ts/api';
import type { ClusterState } from '../cluster-state/cluster-state.ts';
import type { Plugin } from '../contract.ts';

/** `nodeSelector` and `affinity.nodeAffinity`. (MatchNodeSelector in the scheduler policies of old.) */
export const nodeAffinity: Plugin = {
  name: 'NodeAffinity',
  weight: 2,
  retryOn: ['NodeAdded', 'NodeChanged'],
  classKey: ({ spec }) => [spec.nodeSelector, spec.affinity?.nodeAffinity],
  forClass(pod, { nodes }) {
    const matches = requiredNodeMatcher(pod);
    const preferred = pod.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
    if (matches === undefined && preferred.length === 0) return undefined;
    const filter = (node: number): string | undefined =>
      matches === undefined || matches(nodes.objects[node] as corev1.Node)
        ? undefined
        : "node(s) didn't match Pod's node affinity/selector";
    if (preferred.length === 0) return { filter };
    return {
      filter,
      relativeScore: {
        reversed: false,
        raw(node) {
          let sum = 0;
          for (const { weight, preference } of preferred)
            if (matchesTerm(preference, nodes.objects[node] as corev1.Node)) sum += weight;
          return sum;
        },
      },
    };
  },
};

/** What the pod requires of a node's labels and name; undefined when nothing. */
function requiredNodeMatcher({ spec }: corev1.Pod): ((node: corev1.Node) => boolean) | undefined {
  const selector = Object.entries(spec.nodeSelector ?? {});
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (selector.length === 0 && required === undefined) return undefined;
  return (node) => {
    const labels = node.metadata.labels;
    for (const [key, value] of selector) if (labels?.[key] !== value) return false;
    // Terms are alternatives; an empty one matches nothing.
    return (
      required === undefined || (required.nodeSelectorTerms ?? []).some((term) => matchesTerm(term, node))
    );
  };
}

function matchesTerm(term: corev1.NodeSelectorTerm, node: corev1.Node): boolean {
  const expressions = term.matchExpressions ?? [];
  const fields = term.matchFields ?? [];
  if (expressions.length === 0 && fields.length === 0) return false;
  return (
    expressions.every((requirement) =>
      matchesRequirement(requirement, node.metadata.labels?.[requirement.key]),
    ) &&
    fields.every(
      (requirement) =>
        requirement.key === 'metadata.name' && matchesRequirement(requirement, node.metadata.name),
    )
  );
}

function matchesRequirement(
  { operator, values = [] }: corev1.NodeSelectorRequirement,
  value: string | undefined,
): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return value !== undefined && Number.parseInt(value, 10) > Number.parseInt(values[0] ?? '', 10);
    case 'Lt':
      return value !== undefined && Number.parseInt(value, 10) < Number.parseInt(values[0] ?? '', 10);
    default:
      return false;
  }
}

/** Whether rules that honour node affinity count a node for this pod. */
export function nodeMatcher(pod: corev1.Pod, { nodes }: ClusterState): (node: number) => boolean {
  const matches = requiredNodeMatcher(pod);
  return (node) => matches === undefined || matches(nodes.objects[node] as corev1.Node);
}
