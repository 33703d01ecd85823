/**
 * Which volume a claim may have (k8s.io/component-helpers/storage/volume). The binder and the scheduler agree by this.
 */
import type { corev1, storagev1 } from '@k8ts/api';

import { labelSelectorFromObject, matchesLabels } from './labels.ts';
import { matchesNodeSelectorTerm } from './node-selector.ts';
import { compareQuantities, parseQuantity } from './quantity.ts';
import type { ParsedQuantity } from './quantity.ts';

type Volume = corev1.PersistentVolume;
type Claim = corev1.PersistentVolumeClaim;

/** The binder is through with the claim: from now on a volume that is missing is lost. */
export const BIND_COMPLETED = 'pv.kubernetes.io/bind-completed';
/** Not the user but a controller chose the other side, and may take it back. */
export const BOUND_BY_CONTROLLER = 'pv.kubernetes.io/bound-by-controller';
/** The provisioner that made the volume. */
export const PROVISIONED_BY = 'pv.kubernetes.io/provisioned-by';
/** The node for whose pod a volume is to be made. */
export const SELECTED_NODE = 'volume.kubernetes.io/selected-node';
/** The provisioner that is to make a volume for the claim. */
export const STORAGE_PROVISIONER = 'volume.kubernetes.io/storage-provisioner';
export const BETA_STORAGE_PROVISIONER = 'volume.beta.kubernetes.io/storage-provisioner';
/** A class's provisioner that makes nothing: its volumes are made by hand. */
export const NO_PROVISIONER = 'kubernetes.io/no-provisioner';
/** Keeps a volume until what is behind it is deleted. */
export const PROVISIONER_FINALIZER = 'external-provisioner.volume.kubernetes.io/finalizer';

const BETA_CLASS = 'volume.beta.kubernetes.io/storage-class';

/** `''`: none. */
export function storageClassOf({ metadata, spec }: Claim | Volume): string {
  return metadata.annotations?.[BETA_CLASS] ?? spec?.storageClassName ?? '';
}

/** Whether the claim says which class it wants; the empty class is an answer, too. */
export function saysStorageClass({ metadata, spec }: Claim): boolean {
  return metadata.annotations?.[BETA_CLASS] !== undefined || spec.storageClassName !== undefined;
}

/** Claims of the class wait for a pod that uses them, and the scheduler finds their volume. */
export function waitsForConsumer(storageClass: storagev1.StorageClass | undefined): boolean {
  return storageClass?.volumeBindingMode === 'WaitForFirstConsumer';
}

export function isFullyBound({ metadata, spec }: Claim): boolean {
  return (spec.volumeName ?? '') !== '' && metadata.annotations?.[BIND_COMPLETED] !== undefined;
}

/** Whether the volume is promised to this claim; a reference without uid is meant for whoever has the name. */
export function isPromisedTo({ spec }: Volume, { metadata }: Claim): boolean {
  const reference = spec?.claimRef;
  if (reference === undefined) return false;
  if (reference.name !== metadata.name || reference.namespace !== metadata.namespace) return false;
  return (reference.uid ?? '') === '' || reference.uid === metadata.uid;
}

/** The volume with the claim written into it; the same object when it is already there. */
export function promisedTo(volume: Volume, claim: Claim): Volume {
  const wasPromised = isPromisedTo(volume, claim);
  const { uid, namespace, name, resourceVersion } = claim.metadata;
  const annotations = volume.metadata.annotations ?? {};
  const isMarked = wasPromised || annotations[BOUND_BY_CONTROLLER] !== undefined;
  if (wasPromised && volume.spec?.claimRef?.uid === uid) return volume;
  return {
    ...volume,
    metadata: isMarked
      ? volume.metadata
      : { ...volume.metadata, annotations: { ...annotations, [BOUND_BY_CONTROLLER]: 'yes' } },
    spec: {
      ...volume.spec,
      claimRef: {
        kind: 'PersistentVolumeClaim',
        apiVersion: 'v1',
        name,
        ...(namespace === undefined ? {} : { namespace }),
        ...(uid === undefined ? {} : { uid }),
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      },
    },
  };
}

/** Whether the volume can be used on the node; of the node its labels count only. */
export function isReachableFrom({ spec }: Volume, { metadata: { labels } }: corev1.Node): boolean {
  const required = spec?.nodeAffinity?.required;
  if (required === undefined) return true;
  const node = { metadata: { name: '', ...(labels === undefined ? {} : { labels }) } } as corev1.Node;
  return (required.nodeSelectorTerms ?? []).some((term) => matchesNodeSelectorTerm(term, node));
}

export function hasSameVolumeMode(claim: Claim, volume: Volume): boolean {
  return (claim.spec.volumeMode ?? 'Filesystem') === (volume.spec?.volumeMode ?? 'Filesystem');
}

export function offersAccessModes(claim: Claim, volume: Volume): boolean {
  return (claim.spec.accessModes ?? []).every((mode) => volume.spec?.accessModes?.includes(mode) === true);
}

export function storageRequest({ spec }: Claim): ParsedQuantity {
  return parseQuantity(spec.resources?.requests?.['storage'] ?? '0');
}

export function storageCapacity({ spec }: Volume): ParsedQuantity {
  return parseQuantity(spec?.capacity?.['storage'] ?? '0');
}

export interface VolumeSearch {
  /** For a pod on this node. Undefined: for the claim alone. */
  readonly node?: corev1.Node;
  /** Names of volumes that others are about to get. */
  readonly excluded?: ReadonlySet<string>;
  /** The claim waits for a consumer: without a node it gets only what is promised to it. */
  readonly waits: boolean;
}

/**
 * The smallest volume that has what the claim asks for (FindMatchingVolume); before all others the one that is promised to
 * it. Access modes count only for pods on nodes, as upstream has it: the binder looks among those that offer them anyway.
 */
export function findMatchingVolume(
  claim: Claim,
  volumes: readonly Volume[],
  { node, excluded, waits }: VolumeSearch,
): Volume | undefined {
  const request = storageRequest(claim);
  const storageClass = storageClassOf(claim);
  const selector =
    claim.spec.selector === undefined ? undefined : labelSelectorFromObject(claim.spec.selector);
  let smallest: Volume | undefined;
  let smallestCapacity = request;
  for (const volume of volumes) {
    if (excluded?.has(volume.metadata.name) === true) continue;
    const isPromised = isPromisedTo(volume, claim);
    if (volume.spec?.claimRef !== undefined && !isPromised) continue;
    const capacity = storageCapacity(volume);
    if (compareQuantities(capacity, request) < 0) continue;
    if (!hasSameVolumeMode(claim, volume)) continue;
    if ((claim.spec.volumeAttributesClassName ?? '') !== (volume.spec?.volumeAttributesClassName ?? ''))
      continue;
    if (volume.metadata.deletionTimestamp !== undefined) continue;
    const isReachable = node === undefined || isReachableFrom(volume, node);
    if (isPromised) return isReachable ? volume : undefined;
    if (node === undefined && waits) continue;
    if (volume.status?.phase !== 'Available') continue;
    if (selector !== undefined && !matchesLabels(selector, volume.metadata.labels)) continue;
    if (storageClassOf(volume) !== storageClass || !isReachable) continue;
    if (node !== undefined && !offersAccessModes(claim, volume)) continue;
    if (smallest === undefined || compareQuantities(smallestCapacity, capacity) > 0)
      [smallest, smallestCapacity] = [volume, capacity];
  }
  return smallest;
}

/** Whether a class may make volumes for the node (`allowedTopologies`); without terms, for every node. */
export function allowsTopologyOf(
  { allowedTopologies = [] }: storagev1.StorageClass,
  { metadata: { labels = {} } }: corev1.Node,
): boolean {
  return (
    allowedTopologies.length === 0 ||
    allowedTopologies.some(({ matchLabelExpressions = [] }) =>
      // A term without expressions matches nothing.
      matchLabelExpressions.length > 0
        ? matchLabelExpressions.every(({ key, values }) => {
            const value: unknown = labels[key];
            return typeof value === 'string' && values.includes(value);
          })
        : false,
    )
  );
}

/** The name of the claim that a volume of a pod stands for; an ephemeral one's is named after the pod and the volume. */
export function claimNameOf(pod: corev1.Pod, volume: corev1.Volume): string | undefined {
  if (volume.ephemeral !== undefined) return `${pod.metadata.name}-${volume.name}`;
  return volume.persistentVolumeClaim?.claimName;
}
