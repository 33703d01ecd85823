import type { Plugin } from '../contract.ts';

/** A pod that names its node goes there or nowhere. (HostName in the scheduler policies of old.) */
export const nodeName: Plugin = {
  name: 'NodeName',
  retryOn: ['NodeAdded'],
  classKey: (pod) => pod.spec.nodeName,
  forClass({ spec }, { nodes }) {
    if (spec.nodeName === undefined || spec.nodeName === '') return undefined;
    return {
      filter: (node) =>
        nodes.names[node] === spec.nodeName ? undefined : "node(s) didn't match the requested node name",
    };
  },
};
