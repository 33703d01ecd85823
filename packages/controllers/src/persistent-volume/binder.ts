import { corev1, storagev1 } from '@k8ts/api';
import type { KubeObject } from '@k8ts/api';
import {
  BIND_COMPLETED,
  BOUND_BY_CONTROLLER,
  isNotFound,
  parseQuantity,
  compareQuantities,
  promisedTo,
} from '@k8ts/apimachinery';
import type { Lister } from '@k8ts/client';

import type { ControllerContext } from '../contract.ts';
import { identityOf } from '../object-identity.ts';
import { WrittenObjects } from './written-objects.ts';

export type Volume = corev1.PersistentVolume;
export type Claim = corev1.PersistentVolumeClaim;

/** The binder's queue holds both. */
export const claimKey = (key: string): string => `claim:${key}`;
export const volumeKey = (name: string): string => `volume:${name}`;

/** What both sides of the binder read and write. */
export class Binder {
  readonly context: ControllerContext;
  readonly claims: WrittenObjects<Claim>;
  readonly volumes: WrittenObjects<Volume>;
  readonly classes: Lister<storagev1.StorageClass>;
  readonly pods: Lister<corev1.Pod>;

  constructor(context: ControllerContext) {
    this.context = context;
    const { informers } = context;
    this.claims = new WrittenObjects(informers.of(corev1.persistentVolumeClaims).lister);
    this.volumes = new WrittenObjects(informers.of(corev1.persistentVolumes).lister);
    this.classes = informers.of(storagev1.storageClasses).lister;
    this.pods = informers.of(corev1.pods).lister;
  }

  /** An event about a claim or a volume. */
  say(about: KubeObject, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const kind =
      about.metadata.namespace === undefined ? corev1.persistentVolumes : corev1.persistentVolumeClaims;
    this.context.recorder.event(identityOf(about, kind), type, reason, message);
  }

  async writeClaim(claim: Claim): Promise<Claim> {
    const api = this.context.client.resource(corev1.persistentVolumeClaims, claim.metadata.namespace);
    return this.claims.put(await api.update(claim));
  }

  async writeVolume(volume: Volume): Promise<Volume> {
    return this.volumes.put(await this.context.client.resource(corev1.persistentVolumes).update(volume));
  }

  /** The claim as the API has it now. */
  async readClaim(namespace: string, name: string): Promise<Claim | undefined> {
    try {
      return await this.context.client.resource(corev1.persistentVolumeClaims, namespace).get(name);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async setVolumePhase(volume: Volume, phase: corev1.PersistentVolumePhase, message = ''): Promise<Volume> {
    if (volume.status?.phase === phase) return volume;
    const { message: _before, ...status } = volume.status ?? {};
    return this.volumes.put(
      await this.context.client.resource(corev1.persistentVolumes).updateStatus({
        ...volume,
        status: { ...status, phase, ...(message === '' ? {} : { message }) },
      }),
    );
  }

  /** A volume that failed says so once. */
  async failVolume(volume: Volume, reason: string, message: string): Promise<void> {
    if (volume.status?.phase === 'Failed') return;
    this.say(await this.setVolumePhase(volume, 'Failed', message), 'Warning', reason, message);
  }

  /** What the claim has: of a volume, or nothing. */
  async setClaimStatus(
    claim: Claim,
    phase: corev1.PersistentVolumeClaimPhase,
    volume: Volume | undefined,
  ): Promise<Claim> {
    const status = claimStatus(claim, phase, volume);
    if (JSON.stringify(status) === JSON.stringify(claim.status ?? {})) return claim;
    const api = this.context.client.resource(corev1.persistentVolumeClaims, claim.metadata.namespace);
    return this.claims.put(await api.updateStatus({ ...claim, status }));
  }

  /** Both sides, in an order that can be taken up again wherever it stops: the volume, then the claim; spec before status. */
  async bind(claim: Claim, volume: Volume): Promise<void> {
    const promised = promisedTo(volume, claim);
    let bound = promised === volume ? volume : await this.writeVolume(promised);
    bound = await this.setVolumePhase(bound, 'Bound');
    const { annotations = {} } = claim.metadata;
    const isNamed = claim.spec.volumeName === bound.metadata.name;
    let other = claim;
    if (!isNamed || annotations[BIND_COMPLETED] === undefined)
      other = await this.writeClaim({
        ...claim,
        metadata: {
          ...claim.metadata,
          annotations: {
            ...(isNamed ? {} : { [BOUND_BY_CONTROLLER]: 'yes' }),
            [BIND_COMPLETED]: 'yes',
            ...annotations,
          },
        },
        spec: { ...claim.spec, volumeName: bound.metadata.name },
      });
    await this.setClaimStatus(other, 'Bound', bound);
  }

  /** The volume is free again, unless the user promised it to a claim by name. */
  async unbind(volume: Volume): Promise<void> {
    const { annotations = {} } = volume.metadata;
    const { claimRef, ...spec } = volume.spec ?? {};
    let free: Volume;
    if (annotations[BOUND_BY_CONTROLLER] === undefined) {
      const { uid: _uid, ...reference } = claimRef ?? {};
      free = { ...volume, spec: { ...spec, claimRef: reference } };
    } else {
      const { [BOUND_BY_CONTROLLER]: _mark, ...rest } = annotations;
      free = { ...volume, metadata: { ...volume.metadata, annotations: rest }, spec };
    }
    await this.setVolumePhase(await this.writeVolume(free), 'Available');
  }
}

/** Capacity is taken over when the claim gets bound; afterwards it is the business of who resizes. */
function claimStatus(
  { metadata: _metadata, status = {} }: Claim,
  phase: corev1.PersistentVolumeClaimPhase,
  volume: Volume | undefined,
): corev1.PersistentVolumeClaimStatus {
  const { accessModes: _modes, capacity, currentVolumeAttributesClassName, ...rest } = status;
  if (volume === undefined) return { ...rest, phase };
  const { spec = {} } = volume;
  const has = capacity?.['storage'];
  const offers = spec.capacity?.['storage'];
  const becomesBound = status.phase !== phase;
  if (becomesBound && offers === undefined)
    throw new Error(`PersistentVolume "${volume.metadata.name}" is without a storage capacity`);
  const isSame =
    has !== undefined &&
    offers !== undefined &&
    compareQuantities(parseQuantity(has), parseQuantity(offers)) === 0;
  const taken = becomesBound && !isSame ? spec.capacity : capacity;
  const attributesClass =
    status.phase === 'Pending' && phase === 'Bound'
      ? spec.volumeAttributesClassName
      : currentVolumeAttributesClassName;
  return {
    ...status,
    phase,
    ...(spec.accessModes === undefined ? {} : { accessModes: spec.accessModes }),
    ...(taken === undefined ? {} : { capacity: taken }),
    ...(attributesClass === undefined ? {} : { currentVolumeAttributesClassName: attributesClass }),
  };
}
