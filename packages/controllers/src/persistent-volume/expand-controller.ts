import { corev1 } from '@k8ts/api';
import { objectKey } from '@k8ts/client';

import type { ControllerDefinition } from '../contract.ts';
import { identityOf } from '../object-identity.ts';
import { eventsRule, rule } from '../permissions.ts';
import { wantsMore } from './expansion.ts';

/**
 * Tells of claims that want more than they have (pkg/controller/volume/expand). Giving it to them is the business of the
 * provisioner's own resizer: no volume plugin here can.
 */
export const expandController: ControllerDefinition = {
  name: 'persistentvolume-expander-controller',
  account: 'expand-controller',
  permissions: [
    rule(['get', 'list', 'watch', 'update', 'patch'], [''], ['persistentvolumes']),
    rule(['update', 'patch'], [''], ['persistentvolumeclaims/status']),
    rule(['get', 'list', 'watch'], [''], ['persistentvolumeclaims']),
    eventsRule,
  ],
  queue: 'volume_expand',
  workers: 1,
  maxRetries: undefined,
  eventSource: 'volume_expand',
  create({ informers, queue, recorder }) {
    const claims = informers.of(corev1.persistentVolumeClaims);
    const volumes = informers.of(corev1.persistentVolumes);
    claims.addHandler({
      updated(claim, before) {
        if (wantsMore(claim) && claim.spec.resources !== before.spec.resources) queue.add(objectKey(claim));
      },
    });
    return {
      reconcile(key) {
        const claim = claims.lister.byKey(key);
        if (claim === undefined || !wantsMore(claim)) return Promise.resolve();
        const reference = volumes.lister.byKey(claim.spec.volumeName ?? '')?.spec?.claimRef;
        if (reference?.uid !== claim.metadata.uid)
          return Promise.reject(new Error(`persistent Volume is not bound to PVC being updated : ${key}`));
        recorder.event(
          identityOf(claim, corev1.persistentVolumeClaims),
          'Normal',
          'ExternalExpanding',
          'waiting for an external controller to expand this PVC',
        );
        return Promise.resolve();
      },
    };
  },
};
