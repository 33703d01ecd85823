import { corev1 } from '@k8ts/api';
import { isAlreadyExists } from '@k8ts/apimachinery';
import type { Client } from '@k8ts/client';

import type { Node, NodeStatus } from '../pod/types.ts';

export interface NodeIdentity {
  readonly name: string;
  readonly os: string;
  readonly arch: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Only put on a node that is new. */
  readonly taints?: readonly corev1.Taint[];
  readonly unschedulable?: boolean;
}

/** The node object that a kubelet creates of itself. */
export function newNode(identity: NodeIdentity, status: NodeStatus): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: identity.name,
      labels: nodeLabels(identity),
      annotations: {
        'volumes.kubernetes.io/controller-managed-attach-detach': 'true',
        ...identity.annotations,
      },
    },
    spec: {
      ...(identity.taints === undefined || identity.taints.length === 0 ? {} : { taints: identity.taints }),
      ...(identity.unschedulable === true ? { unschedulable: true } : {}),
    },
    status,
  };
}

function nodeLabels(identity: NodeIdentity): Record<string, string> {
  return {
    'kubernetes.io/hostname': identity.name,
    'kubernetes.io/os': identity.os,
    'kubernetes.io/arch': identity.arch,
    'beta.kubernetes.io/os': identity.os,
    'beta.kubernetes.io/arch': identity.arch,
    ...identity.labels,
  };
}

/** Creates the node, or finds the one there is and brings its labels up to date; those of others stay. */
export async function registerNode(client: Client, node: Node, signal: AbortSignal): Promise<Node> {
  const nodes = client.resource(corev1.nodes);
  try {
    return await nodes.create(node, { signal });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
  const existing = await nodes.get(node.metadata.name, { signal });
  const missing = Object.entries(node.metadata.labels ?? {}).filter(
    ([name, value]) => existing.metadata.labels?.[name] !== value,
  );
  if (missing.length === 0) return existing;
  return nodes.patch(
    node.metadata.name,
    { metadata: { labels: Object.fromEntries(missing) } },
    { type: 'strategic', signal },
  );
}

/** The strategic merge patch of a node's status; addresses and the like are replaced whole, conditions merged by type. */
export function nodeStatusPatch(status: NodeStatus): object {
  const { addresses, ...rest } = status;
  return {
    status: {
      ...rest,
      ...(addresses === undefined ? {} : { addresses: [...addresses, { $patch: 'replace' }] }),
    },
  };
}
