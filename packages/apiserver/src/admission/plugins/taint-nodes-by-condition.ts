import { corev1 } from '@k8ts/api';
import type { Draft } from '@k8ts/api';
import type { AdmissionPlugin } from '../contract.ts';
import { isResource } from '../refuse.ts';

const NOT_READY = 'node.kubernetes.io/not-ready';

/** Nothing is scheduled onto a new node before the node lifecycle controller has seen it ready and taken the taint away. */
export function taintNodesByCondition(): AdmissionPlugin {
  return {
    name: 'TaintNodesByCondition',
    operations: ['CREATE'],
    handles: (resource, subresource) => subresource === '' && isResource(resource, corev1.nodes),

    admit({ object }) {
      const node = object as Draft<corev1.Node>;
      const spec = (node.spec ??= {});
      const taints = spec.taints ?? [];
      if (taints.some(({ key, effect }) => key === NOT_READY && effect === 'NoSchedule')) return;
      spec.taints = [...taints, { key: NOT_READY, effect: 'NoSchedule' }];
    },
  };
}
