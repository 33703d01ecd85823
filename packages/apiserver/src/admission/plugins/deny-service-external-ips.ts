import { corev1 } from '@k8ts/api';
import type { Draft } from '@k8ts/api';
import type { AdmissionPlugin } from '../contract.ts';
import { isResource, refuse } from '../refuse.ts';

/** Nobody draws the traffic of addresses that are not theirs to a Service; what was there before may stay. */
export function denyServiceExternalIps(): AdmissionPlugin {
  return {
    name: 'DenyServiceExternalIPs',
    operations: ['CREATE', 'UPDATE'],
    handles: (resource, subresource) => subresource === '' && isResource(resource, corev1.services),

    validate(attributes) {
      const { externalIPs = [] } = (attributes.object as Draft<corev1.Service>).spec;
      const old = (attributes.oldObject as corev1.Service | undefined)?.spec.externalIPs ?? [];
      if (!externalIPs.every((address) => old.includes(address)))
        throw refuse(attributes, 'Use of external IPs is denied by admission control');
    },
  };
}
