import { corev1, storagev1 } from '@k8ts/api';
import { every } from '@k8ts/base';
import { objectKey } from '@k8ts/client';

import type { Controller, ControllerContext, ControllerDefinition } from '../contract.ts';
import { eventsRule, rule } from '../permissions.ts';
import { Binder, claimKey, volumeKey } from './binder.ts';
import type { Claim, Volume } from './binder.ts';
import { BY_CLAIM, claimKeysOf } from './claims-of-pods.ts';
import { syncClaim } from './claim.ts';
import { syncVolume } from './volume.ts';

/** Milliseconds (`--pvclaimbinder-sync-period`): for claims that wait for what sends no event here. */
const RESYNC_PERIOD = 15_000;

/**
 * Binds claims and volumes to each other (pkg/controller/volume/persistentvolume). One worker: whom a volume goes to is
 * decided one claim after another.
 */
export const persistentVolumeBinderController: ControllerDefinition = {
  name: 'persistentvolume-binder-controller',
  account: 'persistent-volume-binder',
  permissions: [
    rule(['get', 'list', 'watch', 'update', 'create', 'delete'], [''], ['persistentvolumes']),
    rule(['update'], [''], ['persistentvolumes/status']),
    rule(['get', 'list', 'watch', 'update'], [''], ['persistentvolumeclaims']),
    rule(['update'], [''], ['persistentvolumeclaims/status']),
    rule(['list', 'watch', 'get', 'create', 'delete'], [''], ['pods']),
    rule(['get', 'list', 'watch'], ['storage.k8s.io'], ['storageclasses']),
    rule(['list', 'watch'], [''], ['nodes']),
    eventsRule,
    rule(['watch'], [''], ['events']),
  ],
  queue: 'claims',
  workers: 1,
  maxRetries: undefined,
  eventSource: 'persistentvolume-controller',
  create: createBinder,
};

function createBinder(context: ControllerContext): Controller {
  const { informers, queue, clock } = context;
  const claims = informers.of(corev1.persistentVolumeClaims);
  const volumes = informers.of(corev1.persistentVolumes);
  informers.of(storagev1.storageClasses);
  informers.of(corev1.pods).addIndex(BY_CLAIM, claimKeysOf);
  const binder = new Binder(context);

  const lookAtClaim = (claim: Claim): void => queue.add(claimKey(objectKey(claim)));
  const lookAtVolume = (volume: Volume): void => queue.add(volumeKey(volume.metadata.name));
  claims.addHandler({
    added: lookAtClaim,
    updated: lookAtClaim,
    deleted(claim) {
      binder.claims.forget(objectKey(claim));
      const { volumeName = '' } = claim.spec;
      if (volumeName !== '') queue.add(volumeKey(volumeName));
    },
  });
  volumes.addHandler({
    added: lookAtVolume,
    updated: lookAtVolume,
    deleted(volume) {
      binder.volumes.forget(volume.metadata.name);
      const { namespace = '', name = '' } = volume.spec?.claimRef ?? {};
      if (name !== '') queue.add(claimKey(`${namespace}/${name}`));
    },
  });
  return {
    async reconcile(key) {
      const colon = key.indexOf(':');
      const [kind, name] = [key.slice(0, colon), key.slice(colon + 1)];
      if (kind === 'claim') {
        const claim = binder.claims.byKey(name);
        if (claim !== undefined) await syncClaim(binder, claim);
      } else {
        const volume = binder.volumes.byKey(name);
        if (volume !== undefined) await syncVolume(binder, volume);
      }
    },
    run: (signal) =>
      every(clock, RESYNC_PERIOD, signal, () => {
        for (const claim of claims.lister.list()) lookAtClaim(claim);
        for (const volume of volumes.lister.list()) lookAtVolume(volume);
      }),
  };
}
