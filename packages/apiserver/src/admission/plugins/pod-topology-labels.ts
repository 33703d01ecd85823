import { corev1 } from '@k8ts/api';
import type { Draft, KubeObject } from '@k8ts/api';
import type { ObjectReader } from '../../object-reader.ts';
import type { AdmissionPlugin } from '../contract.ts';
import { isResource } from '../refuse.ts';

const LABELS = ['topology.kubernetes.io/zone', 'topology.kubernetes.io/region'];

/**
 * A pod carries the zone and the region of the node that it is bound to, for its containers to read through the downward
 * API (KEP-4742). The labels of a Binding become the pod's.
 */
export function podTopologyLabels(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'PodTopologyLabels',
    operations: ['CREATE'],
    handles: (resource, subresource) =>
      (subresource === '' || subresource === 'binding') && isResource(resource, corev1.pods),

    admit({ object, subresource }) {
      const { metadata } = object as Draft<KubeObject>;
      const nodeName = subresource === '' ? (object as Draft<corev1.Pod>).spec.nodeName : targetOf(object);
      if (nodeName === undefined || nodeName === '') return;
      const labels = objects.get(corev1.nodes, '', nodeName)?.metadata.labels;
      if (labels === undefined) return;
      for (const name of LABELS) {
        const value = labels[name];
        if (value !== undefined) metadata.labels = { ...metadata.labels, [name]: value };
      }
    },
  };
}

function targetOf(object: Draft<KubeObject> | undefined): string | undefined {
  const { target } = object as Draft<corev1.Binding>;
  return target.kind === 'Node' ? target.name : undefined;
}
