import type { corev1 } from '@k8ts/api';
import { hasSameVolumeMode, PROVISIONED_BY } from '@k8ts/apimachinery';

import { isPodTerminal } from '../pod-state.ts';
import { claimKey } from './binder.ts';
import type { Binder, Claim, Volume } from './binder.ts';
import { BY_CLAIM } from './claims-of-pods.ts';

const MIGRATED_TO = 'pv.kubernetes.io/migrated-to';

/** Brings a volume one step further (syncVolume in pkg/controller/volume/persistentvolume/pv_controller.go). */
export async function syncVolume(binder: Binder, volume: Volume): Promise<void> {
  const reference = volume.spec?.claimRef;
  if (reference === undefined || (reference.uid ?? '') === '') {
    await binder.setVolumePhase(volume, 'Available');
    return;
  }
  const claim = await claimOf(binder, volume, reference);
  if (claim === undefined) return release(binder, volume);
  const { volumeName = '' } = claim.spec;
  if (volumeName === '') {
    if (hasSameVolumeMode(claim, volume)) binder.context.queue.add(claimKey(keyOf(reference)));
    else sayVolumeModeMismatch(binder, claim, volume);
  } else if (volumeName === volume.metadata.name) {
    await binder.setVolumePhase(volume, 'Bound');
  } else if (
    volume.metadata.annotations?.[PROVISIONED_BY] !== undefined &&
    volume.spec?.persistentVolumeReclaimPolicy === 'Delete'
  ) {
    await release(binder, volume); // made for a claim that found another one meanwhile
  } else {
    await binder.unbind(volume);
  }
}

const keyOf = ({ namespace = '', name = '' }: corev1.ObjectReference): string => `${namespace}/${name}`;

/**
 * The claim that the volume belongs to. Before data is given up the API is asked: the volume may be known here sooner than
 * its claim, and a claim of the same name may be another one.
 */
async function claimOf(
  binder: Binder,
  { status }: Volume,
  reference: corev1.ObjectReference,
): Promise<Claim | undefined> {
  const known = binder.claims.byKey(keyOf(reference));
  if (known !== undefined && known.metadata.uid === reference.uid) return known;
  if (known === undefined && (status?.phase === 'Released' || status?.phase === 'Failed')) return undefined;
  const read = await binder.readClaim(reference.namespace ?? '', reference.name ?? '');
  return read?.metadata.uid === reference.uid ? read : undefined;
}

function sayVolumeModeMismatch(binder: Binder, claim: Claim, volume: Volume): void {
  const because = 'due to incompatible volumeMode.';
  binder.say(
    volume,
    'Warning',
    'VolumeMismatch',
    `Cannot bind PersistentVolume to requested PersistentVolumeClaim "${claim.metadata.name}" ${because}`,
  );
  binder.say(
    claim,
    'Warning',
    'VolumeMismatch',
    `Cannot bind PersistentVolume "${volume.metadata.name}" to requested PersistentVolumeClaim ${because}`,
  );
}

async function release(binder: Binder, volume: Volume): Promise<void> {
  const { phase } = volume.status ?? {};
  const released =
    phase === 'Released' || phase === 'Failed' ? volume : await binder.setVolumePhase(volume, 'Released');
  if ((released.metadata.annotations?.[MIGRATED_TO] ?? '') !== '') return;
  switch (released.spec?.persistentVolumeReclaimPolicy) {
    case 'Retain':
      return;
    case 'Recycle':
      return recycle(binder, released);
    case 'Delete':
      return remove(binder, released);
    default:
      return binder.failVolume(
        released,
        'VolumeUnknownReclaimPolicy',
        'Volume has unrecognized PersistentVolumeReclaimPolicy',
      );
  }
}

async function recycle(binder: Binder, volume: Volume): Promise<void> {
  const reference = volume.spec?.claimRef ?? {};
  const users = binder.pods
    .byIndex(BY_CLAIM, keyOf(reference))
    .filter((pod) => !isPodTerminal(pod))
    .map(({ metadata }) => `${metadata.namespace ?? ''}/${metadata.name}`)
    .sort();
  if (users.length > 0 && binder.claims.byKey(keyOf(reference)) === undefined)
    return binder.say(volume, 'Normal', 'VolumeFailedRecycle', `Volume is used by pods: ${users.join(',')}`);
  return binder.failVolume(volume, 'VolumeFailedRecycle', 'No recycler plugin found for the volume!');
}

/** Whoever made a volume deletes what is behind it. What nobody made cannot be deleted by anybody. */
async function remove(binder: Binder, volume: Volume): Promise<void> {
  const provisioner = volume.metadata.annotations?.[PROVISIONED_BY] ?? '';
  const isForeign = provisioner !== '' && !provisioner.startsWith('kubernetes.io/');
  if (isForeign || volume.spec?.csi !== undefined) return;
  const problem = provisioner === '' ? 'no deletable volume plugin matched' : 'no volume plugin matched';
  await binder.failVolume(
    volume,
    'VolumeFailedDelete',
    `error getting deleter volume plugin for volume "${volume.metadata.name}": ${problem}`,
  );
}
