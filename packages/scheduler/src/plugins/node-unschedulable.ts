import { toleratesTaint } from '@k8ts/apimachinery';
import type { Plugin, Unresolvable } from '../contract.ts';

const CORDONED: Unresolvable = { unresolvable: 'node(s) were unschedulable' };
const TAINT = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' } as const;

/** Cordoned nodes take no pods, but those that tolerate it (DaemonSets'). */
export const nodeUnschedulable: Plugin = {
  name: 'NodeUnschedulable',
  retryOn: ['NodeAdded', 'NodeChanged'],
  classKey: (pod) => pod.spec.tolerations,
  forClass(pod, { nodes }) {
    if (pod.spec.tolerations?.some((toleration) => toleratesTaint(toleration, TAINT))) return undefined;
    return { filter: (node) => (nodes.unschedulable[node] === 1 ? CORDONED : undefined) };
  },
};
