/**
 * Which nodes a pod asks for: `nodeSelector` and node affinity
 * (k8s.io/component-helpers/scheduling/corev1/nodeaffinity). The scheduler, the kubelet and controllers agree by this.
 */
import type { corev1 } from '@k8ts/api';
import { parseInt64 } from './int64.ts';

/** What the pod requires of a node's labels and name; undefined when nothing. */
export function requiredNodeMatcher(spec: corev1.PodSpec): ((node: corev1.Node) => boolean) | undefined {
  const selector = Object.entries(spec.nodeSelector ?? {});
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (selector.length === 0 && required === undefined) return undefined;
  return (node) => {
    const labels = node.metadata.labels;
    for (const [key, value] of selector) if (labels?.[key] !== value) return false;
    // Terms are alternatives.
    return (
      required === undefined ||
      (required.nodeSelectorTerms ?? []).some((term) => matchesNodeSelectorTerm(term, node))
    );
  };
}

/** Whether a pod's node selector and required node affinity let it run on a node. */
export function matchesNode(spec: corev1.PodSpec, node: corev1.Node): boolean {
  return requiredNodeMatcher(spec)?.(node) ?? true;
}

/** All requirements must hold; a term without any matches nothing. The only field there is is `metadata.name`. */
export function matchesNodeSelectorTerm(term: corev1.NodeSelectorTerm, node: corev1.Node): boolean {
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
  found: string | undefined,
): boolean {
  // Labels come from JSON and inherit `constructor` and the like, hence the look at the type.
  const value = typeof found === 'string' ? found : undefined;
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
    case 'Lt': {
      const left = value === undefined ? undefined : parseInt64(value);
      const right = parseInt64(values[0] ?? '');
      if (left === undefined || right === undefined) return false;
      return operator === 'Gt' ? left > right : left < right;
    }
    default:
      return false;
  }
}
