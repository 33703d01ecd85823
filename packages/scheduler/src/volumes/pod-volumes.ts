import type { corev1, storagev1 } from '@k8ts/api';
import {
  allowsTopologyOf,
  claimNameOf,
  compareQuantities,
  findMatchingVolume,
  isFullyBound,
  isReachableFrom,
  NO_PROVISIONER,
  SELECTED_NODE,
  storageClassOf,
  storageRequest,
  waitsForConsumer,
} from '@k8ts/apimachinery';
import type { NodeRefusal } from '../cluster-state/volumes.ts';

type Claim = corev1.PersistentVolumeClaim;
type Volume = corev1.PersistentVolume;

const NODE_CONFLICT = 'node(s) had volume node affinity conflict';
const BIND_CONFLICT = "node(s) didn't find available persistent volumes to bind";
const VOLUME_MISSING = 'node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)';

/** Where claims, volumes and classes are looked up. Claims by `namespace/name`. */
export interface VolumeSource {
  claim(key: string): Claim | undefined;
  volume(name: string): Volume | undefined;
  volumes(): readonly Volume[];
  storageClass(name: string): storagev1.StorageClass | undefined;
}

/** A pod's claims by what is to be done for them. */
export interface PodClaims {
  readonly bound: readonly Claim[];
  /** To be bound, smallest first, once the pod has a node. */
  readonly waiting: readonly Claim[];
}

/** What a node has for a pod's claims. */
export interface PodVolumes {
  readonly matches: readonly { readonly claim: Claim; readonly volume: Volume }[];
  readonly provisions: readonly Claim[];
}

/** Or why the pod can go nowhere for now (podHasPVCs, GetPodVolumeClaims). */
export function claimsOf(pod: corev1.Pod, source: VolumeSource): PodClaims | string {
  const namespace = pod.metadata.namespace ?? '';
  const claims: Claim[] = [];
  for (const volume of pod.spec.volumes ?? []) {
    const name = claimNameOf(pod, volume);
    if (name === undefined) continue;
    const claim = source.claim(`${namespace}/${name}`);
    if (claim === undefined)
      return volume.ephemeral === undefined
        ? `persistentvolumeclaim "${name}" not found`
        : `waiting for ephemeral volume controller to create the persistentvolumeclaim "${name}"`;
    if (claim.status?.phase === 'Lost')
      return `persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${claim.spec.volumeName ?? ''}"`;
    if (claim.metadata.deletionTimestamp !== undefined)
      return `persistentvolumeclaim "${name}" is being deleted`;
    const isOwned = (claim.metadata.ownerReferences ?? []).some(
      ({ controller, uid }) => controller === true && uid === pod.metadata.uid,
    );
    if (volume.ephemeral !== undefined && !isOwned)
      return `PVC ${namespace}/${name} was not created for pod ${namespace}/${pod.metadata.name} (pod is not owner)`;
    if (!claims.includes(claim)) claims.push(claim);
  }
  const bound = claims.filter(isFullyBound);
  const others = claims.filter((claim) => !isFullyBound(claim));
  const isWaiting = (claim: Claim): boolean =>
    (claim.spec.volumeName ?? '') === '' && waitsForConsumer(source.storageClass(storageClassOf(claim)));
  if (!others.every(isWaiting)) return 'pod has unbound immediate PersistentVolumeClaims';
  const waiting = others.sort((a, b) => compareQuantities(storageRequest(a), storageRequest(b)));
  return { bound, waiting };
}

/** What the node has for the claims, or why it has not (FindPodVolumes). */
export function volumesOn(
  node: corev1.Node,
  { bound, waiting }: PodClaims,
  source: VolumeSource,
): PodVolumes | NodeRefusal {
  const reasons: string[] = [];
  for (const claim of bound) {
    const volume = source.volume(claim.spec.volumeName ?? '');
    if (volume !== undefined && isReachableFrom(volume, node)) continue;
    reasons.push(volume === undefined ? VOLUME_MISSING : NODE_CONFLICT);
    break;
  }
  const found = findVolumes(node, waiting, source);
  if (found === undefined) reasons.push(BIND_CONFLICT);
  return found === undefined || reasons.length > 0 ? { unresolvable: reasons } : found;
}

function findVolumes(
  node: corev1.Node,
  claims: readonly Claim[],
  source: VolumeSource,
): PodVolumes | undefined {
  const matches: { claim: Claim; volume: Volume }[] = [];
  const provisions: Claim[] = [];
  const excluded = new Set<string>();
  for (const claim of claims) {
    const selected = claim.metadata.annotations?.[SELECTED_NODE];
    if (selected !== undefined && selected !== node.metadata.name) return undefined;
    const volume =
      selected === undefined
        ? findMatchingVolume(claim, source.volumes(), { node, excluded, waits: true })
        : undefined;
    if (volume === undefined) {
      if (!canProvision(source.storageClass(storageClassOf(claim)), node)) return undefined;
      provisions.push(claim);
    } else {
      excluded.add(volume.metadata.name);
      matches.push({ claim, volume });
    }
  }
  return { matches, provisions };
}

function canProvision(storageClass: storagev1.StorageClass | undefined, node: corev1.Node): boolean {
  const provisioner = storageClass?.provisioner ?? '';
  if (storageClass === undefined || provisioner === '' || provisioner === NO_PROVISIONER) return false;
  return allowsTopologyOf(storageClass, node);
}

export function isPodVolumes(result: PodVolumes | NodeRefusal): result is PodVolumes {
  return 'matches' in result;
}
