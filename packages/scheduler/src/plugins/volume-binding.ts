import type { corev1 } from '@k8ts/api';
import type { Plugin } from '../contract.ts';

/**
 * A pod goes where its claims' volumes are, or where there are some for those that are not bound
 * (pkg/scheduler/framework/plugins/volumebinding). What is decided is written by the VolumeBinder before the pod is bound.
 */
export const volumeBinding: Plugin = {
  name: 'VolumeBinding',
  retryOn: ['VolumeChanged', 'NodeAdded', 'NodeChanged'],
  classKey: (pod, { volumes }) => volumes.keyOf(pod),
  forClass(pod, { nodes, volumes }) {
    if (volumes.keyOf(pod) === undefined) return undefined;
    const judgement = volumes.judge(pod);
    if (judgement.refusal !== undefined) return { refusal: judgement.refusal };
    return { filter: (node) => judgement.filter(nodes.objects[node] as corev1.Node) };
  },
};
