import type { corev1 } from '@k8ts/api';

type Requirement = corev1.NodeSelectorRequirement;

/**
 * Whether a pod's node selector and required node affinity let it run on a node: all of the selector, and one of the terms
 * (k8s.io/component-helpers/scheduling/corev1/nodeaffinity). A term without requirements matches nothing.
 */
export function matchesNode(spec: corev1.PodSpec, node: corev1.Node): boolean {
  const { labels = {}, name } = node.metadata;
  for (const [key, value] of Object.entries(spec.nodeSelector ?? {})) if (labels[key] !== value) return false;
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (required === undefined) return true;
  return required.nodeSelectorTerms.some(({ matchExpressions = [], matchFields = [] }) => {
    if (matchExpressions.length === 0 && matchFields.length === 0) return false;
    return (
      matchExpressions.every((requirement) => matches(requirement, labels[requirement.key])) &&
      matchFields.every((requirement) => requirement.key === 'metadata.name' && matches(requirement, name))
    );
  });
}

function matches({ operator, values = [] }: Requirement, value: string | undefined): boolean {
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
      const [wanted = ''] = values;
      if (value === undefined || !INTEGER.test(value) || !INTEGER.test(wanted)) return false;
      return operator === 'Gt' ? BigInt(value) > BigInt(wanted) : BigInt(value) < BigInt(wanted);
    }
    default:
      return false;
  }
}

const INTEGER = /^-?\d{1,19}$/;
