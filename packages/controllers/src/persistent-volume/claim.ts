import type { storagev1 } from '@k8ts/api';
import {
  BETA_STORAGE_PROVISIONER,
  BIND_COMPLETED,
  BOUND_BY_CONTROLLER,
  compareQuantities,
  findMatchingVolume,
  hasSameVolumeMode,
  isPromisedTo,
  offersAccessModes,
  saysStorageClass,
  SELECTED_NODE,
  STORAGE_PROVISIONER,
  storageCapacity,
  storageClassOf,
  storageRequest,
  waitsForConsumer,
} from '@k8ts/apimachinery';
import { objectKey } from '@k8ts/client';

import { isPodTerminal } from '../pod-state.ts';

import type { Binder, Claim, Volume } from './binder.ts';
import { BY_CLAIM } from './claims-of-pods.ts';

/** Brings a claim one step further (syncClaim in pkg/controller/volume/persistentvolume/pv_controller.go). */
export async function syncClaim(binder: Binder, claim: Claim): Promise<void> {
  if (claim.metadata.annotations?.[BIND_COMPLETED] !== undefined) return syncBoundClaim(binder, claim);
  const { volumeName = '' } = claim.spec;
  return volumeName === '' ? findVolume(binder, claim) : bindToNamed(binder, claim, volumeName);
}

async function findVolume(binder: Binder, claim: Claim): Promise<void> {
  const className = storageClassOf(claim);
  const waits = waitsForConsumer(className === '' ? undefined : binder.classes.byKey(className));
  const volume = bestMatch(claim, binder.volumes.list(), waits);
  if (volume !== undefined) return binder.bind(claim, volume);
  if (await assignDefaultClass(binder, claim)) return; // its update brings the claim back
  if (waits && claim.metadata.annotations?.[SELECTED_NODE] === undefined) {
    sayWhomItWaitsFor(binder, claim);
  } else if (className !== '') {
    return askProvisioner(binder, claim, className);
  } else {
    binder.say(
      claim,
      'Normal',
      'FailedBinding',
      'no persistent volumes available for this claim and no storage class is set',
    );
  }
  await binder.setClaimStatus(claim, 'Pending', undefined);
}

/** Among the volumes with the fewest access modes first (findBestMatchForClaim in index.go). */
function bestMatch(claim: Claim, volumes: readonly Volume[], waits: boolean): Volume | undefined {
  const byModes = new Map<string, Volume[]>();
  for (const volume of volumes) {
    if (!offersAccessModes(claim, volume)) continue;
    const key = [...new Set(volume.spec?.accessModes ?? [])].sort().join();
    const group = byModes.get(key);
    if (group === undefined) byModes.set(key, [volume]);
    else group.push(volume);
  }
  const keys = [...byModes.keys()].sort((a, b) => a.split(',').length - b.split(',').length);
  for (const key of keys) {
    const found = findMatchingVolume(claim, byModes.get(key) ?? [], { waits });
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A claim from before there was a default class gets it now. */
async function assignDefaultClass(binder: Binder, claim: Claim): Promise<boolean> {
  if (saysStorageClass(claim)) return false;
  const storageClassName = defaultClassName(binder.classes.list());
  if (storageClassName === undefined) return false;
  await binder.writeClaim({ ...claim, spec: { ...claim.spec, storageClassName } });
  return true;
}

/** Of several the newest, then the first by name (pkg/volume/util/storageclass.go). */
function defaultClassName(classes: readonly storagev1.StorageClass[]): string | undefined {
  const isDefault = ({ metadata: { annotations = {} } }: storagev1.StorageClass): boolean =>
    annotations['storageclass.kubernetes.io/is-default-class'] === 'true' ||
    annotations['storageclass.beta.kubernetes.io/is-default-class'] === 'true';
  const created = ({ metadata }: storagev1.StorageClass): string => metadata.creationTimestamp ?? '';
  const [first] = classes
    .filter(isDefault)
    .sort((a, b) =>
      created(a) === created(b)
        ? a.metadata.name < b.metadata.name
          ? -1
          : 1
        : created(a) > created(b)
          ? -1
          : 1,
    );
  return first?.metadata.name;
}

function sayWhomItWaitsFor(binder: Binder, claim: Claim): void {
  const waiting = binder.pods
    .byIndex(BY_CLAIM, objectKey(claim))
    .filter((pod) => !isPodTerminal(pod) && (pod.spec.nodeName ?? '') === '')
    .map(({ metadata }) => metadata.name);
  if (waiting.length === 0)
    binder.say(
      claim,
      'Normal',
      'WaitForFirstConsumer',
      'waiting for first consumer to be created before binding',
    );
  else
    binder.say(
      claim,
      'Normal',
      'WaitForPodScheduled',
      waiting.length === 1
        ? `waiting for pod ${waiting.join(',')} to be scheduled`
        : `waiting for pods ${waiting.join(',')} to be scheduled`,
    );
}

/** No provisioner is built in here: whoever the class names sees the annotation and makes a volume. */
async function askProvisioner(binder: Binder, claim: Claim, className: string): Promise<void> {
  const storageClass = binder.classes.byKey(className);
  if (storageClass === undefined) {
    const message = `storageclass.storage.k8s.io "${className}" not found`;
    return binder.say(claim, 'Warning', 'ProvisioningFailed', message);
  }
  const { provisioner } = storageClass;
  if (provisioner.startsWith('kubernetes.io/'))
    return binder.say(claim, 'Warning', 'ProvisioningFailed', 'no volume plugin matched');
  const { annotations = {} } = claim.metadata;
  let asked = claim;
  if (annotations[STORAGE_PROVISIONER] !== provisioner)
    asked = await binder.writeClaim({
      ...claim,
      metadata: {
        ...claim.metadata,
        annotations: {
          ...annotations,
          [BETA_STORAGE_PROVISIONER]: provisioner,
          [STORAGE_PROVISIONER]: provisioner,
        },
      },
    });
  binder.say(
    asked,
    'Normal',
    'ExternalProvisioning',
    `Waiting for a volume to be created either by the external provisioner '${provisioner}' ` +
      'or manually by the system administrator. If volume creation is delayed, please verify that ' +
      'the provisioner is running and correctly registered.',
  );
}

async function bindToNamed(binder: Binder, claim: Claim, volumeName: string): Promise<void> {
  const volume = binder.volumes.byKey(volumeName);
  if (volume === undefined) {
    await binder.setClaimStatus(claim, 'Pending', undefined);
    return;
  }
  if (volume.spec?.claimRef === undefined) {
    const problem = mismatch(claim, volume);
    if (problem === undefined) return binder.bind(claim, volume);
    const message = `Cannot bind to requested volume "${volumeName}": ${problem}`;
    binder.say(claim, 'Warning', 'VolumeMismatch', message);
    await binder.setClaimStatus(claim, 'Pending', undefined);
    return;
  }
  if (isPromisedTo(volume, claim)) return binder.bind(claim, volume);
  const message = `volume "${volumeName}" already bound to a different claim.`;
  binder.say(claim, 'Warning', 'FailedBinding', message);
  if (claim.metadata.annotations?.[BOUND_BY_CONTROLLER] === undefined) {
    await binder.setClaimStatus(claim, 'Pending', undefined);
    return;
  }
  const { namespace = '', name = '' } = volume.spec.claimRef;
  throw new Error(
    `invalid binding of claim "${objectKey(claim)}" to volume "${volumeName}": ` +
      `volume already claimed by "${namespace}/${name}"`,
  );
}

/** Why a volume that the claim names is not for it (checkVolumeSatisfyClaim). */
function mismatch(claim: Claim, volume: Volume): string | undefined {
  if (volume.metadata.deletionTimestamp !== undefined)
    return `the volume is marked for deletion "${volume.metadata.name}"`;
  if (compareQuantities(storageCapacity(volume), storageRequest(claim)) < 0)
    return 'requested PV is too small';
  if (storageClassOf(volume) !== storageClassOf(claim)) return 'storageClassName does not match';
  const [wanted = '', has = ''] = [
    claim.spec.volumeAttributesClassName,
    volume.spec?.volumeAttributesClassName,
  ];
  if (wanted !== has) return 'volumeAttributesClassName does not match';
  if (!hasSameVolumeMode(claim, volume)) return 'incompatible volumeMode';
  if (!offersAccessModes(claim, volume)) return 'incompatible accessMode';
  return undefined;
}

async function syncBoundClaim(binder: Binder, claim: Claim): Promise<void> {
  const { volumeName = '' } = claim.spec;
  if (volumeName === '')
    return lose(
      binder,
      claim,
      'ClaimLost',
      'Bound claim has lost reference to PersistentVolume. Data on the volume is lost!',
    );
  const volume = binder.volumes.byKey(volumeName);
  if (volume === undefined)
    return lose(
      binder,
      claim,
      'ClaimLost',
      'Bound claim has lost its PersistentVolume. Data on the volume is lost!',
    );
  const reference = volume.spec?.claimRef;
  if (reference === undefined || reference.uid === claim.metadata.uid) return binder.bind(claim, volume);
  return lose(
    binder,
    claim,
    'ClaimMisbound',
    'Two claims are bound to the same volume, this one is bound incorrectly',
  );
}

async function lose(binder: Binder, claim: Claim, reason: string, message: string): Promise<void> {
  if (claim.status?.phase === 'Lost') return;
  binder.say(await binder.setClaimStatus(claim, 'Lost', undefined), 'Warning', reason, message);
}
