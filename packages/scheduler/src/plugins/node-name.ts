import type { Plugin, Unresolvable } from '../contract.ts';

const OTHER_NODE: Unresolvable = { unresolvable: "node(s) didn't match the requested node name" };

/** A pod that names its node goes there or nowhere. (HostName in the scheduler policies of old.) */
export const nodeName: Plugin = {
  name: 'NodeName',
  retryOn: ['NodeAdded'],
  classKey: (pod) => pod.spec.nodeName,
  forClass({ spec }, { nodes }) {
    if (spec.nodeName === undefined || spec.nodeName === '') return undefined;
    return {
      filter: (node) => (nodes.names[node] === spec.nodeName ? undefined : OTHER_NODE),
    };
  },
};
