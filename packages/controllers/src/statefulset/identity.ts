import { appsv1, corev1 } from '@k8ts/api';
import type { New, metav1 } from '@k8ts/api';
import { controllerRef } from '@k8ts/client';

import { REVISION_HASH } from '../controller-revisions.ts';

type StatefulSet = appsv1.StatefulSet;
type Pod = corev1.Pod;

const POD_NAME = 'statefulset.kubernetes.io/pod-name';
const POD_INDEX = 'apps.kubernetes.io/pod-index';

export function podName(set: StatefulSet, ordinal: number): string {
  return `${set.metadata.name}-${ordinal}`;
}

/** The number in a pod's name; undefined for a pod that no ordinal of the set has made. */
export function ordinalOf(set: StatefulSet, pod: Pod): number | undefined {
  const { name } = pod.metadata;
  const prefix = `${set.metadata.name}-`;
  if (!name.startsWith(prefix)) return undefined;
  const digits = name.slice(prefix.length);
  return /^(0|[1-9]\d{0,9})$/.test(digits) ? Number(digits) : undefined;
}

export function firstOrdinal({ spec }: StatefulSet): number {
  return spec.ordinals?.start ?? 0;
}

export function revisionOf({ metadata }: Pod): string {
  return metadata.labels?.[REVISION_HASH] ?? '';
}

function identityLabels(set: StatefulSet, ordinal: number): Record<string, string> {
  return { [POD_NAME]: podName(set, ordinal), [POD_INDEX]: String(ordinal) };
}

/** The volumes of a pod: each claim template becomes the claim of this ordinal, before a volume of the same name. */
function volumesOf(set: StatefulSet, spec: corev1.PodSpec, ordinal: number): corev1.Volume[] {
  const claims = (set.spec.volumeClaimTemplates ?? []).map(({ metadata }) => ({
    name: metadata.name,
    persistentVolumeClaim: { claimName: claimName(set, metadata.name, ordinal) },
  }));
  const own = (spec.volumes ?? []).filter(({ name }) => !claims.some((claim) => claim.name === name));
  return [...claims, ...own];
}

/** The pod of an ordinal from a template of this set, present or past. */
export function podOf(
  set: StatefulSet,
  template: corev1.PodTemplateSpec,
  ordinal: number,
  revision: string,
): New<Pod> {
  const { labels, annotations, finalizers } = template.metadata ?? {};
  const { namespace } = set.metadata;
  const volumes = volumesOf(set, template.spec, ordinal);
  return {
    metadata: {
      name: podName(set, ordinal),
      ...(namespace === undefined ? {} : { namespace }),
      labels: { ...labels, ...identityLabels(set, ordinal), [REVISION_HASH]: revision },
      ...(annotations === undefined ? {} : { annotations }),
      ...(finalizers === undefined ? {} : { finalizers }),
      ownerReferences: [controllerRef(set, appsv1.statefulSets)],
    },
    spec: {
      ...template.spec,
      hostname: podName(set, ordinal),
      ...(set.spec.serviceName === undefined ? {} : { subdomain: set.spec.serviceName }),
      ...(volumes.length > 0 ? { volumes } : {}),
    },
  };
}

/** Whether a pod still has the labels of its ordinal. (Hostname and volumes of a pod cannot change.) */
export function hasIdentity(set: StatefulSet, pod: Pod, ordinal: number): boolean {
  const { labels = {} } = pod.metadata;
  return Object.entries(identityLabels(set, ordinal)).every(([name, value]) => labels[name] === value);
}

export function withIdentity(set: StatefulSet, pod: Pod, ordinal: number): Pod {
  const labels = { ...pod.metadata.labels, ...identityLabels(set, ordinal) };
  return { ...pod, metadata: { ...pod.metadata, labels } };
}

function claimName(set: StatefulSet, template: string, ordinal: number): string {
  return `${template}-${podName(set, ordinal)}`;
}

/** The claims of an ordinal; they outlive its pods, which is what makes the set stateful. */
export function claimsOf(set: StatefulSet, ordinal: number): New<corev1.PersistentVolumeClaim>[] {
  const { namespace } = set.metadata;
  return (set.spec.volumeClaimTemplates ?? []).map(({ metadata, spec }) => ({
    metadata: {
      name: claimName(set, metadata.name, ordinal),
      ...(namespace === undefined ? {} : { namespace }),
      labels: { ...metadata.labels, ...set.spec.selector.matchLabels },
      ...(metadata.annotations === undefined ? {} : { annotations: metadata.annotations }),
    },
    spec,
  }));
}

/**
 * Who a claim belongs to under `persistentVolumeClaimRetentionPolicy` (KEP-1847): the set when it is to go with the set, the
 * pod when the pod is being scaled away and its claim is to go with it, nobody when it is to stay. Foreign owners are kept.
 */
export function claimOwners(
  set: StatefulSet,
  claim: corev1.PersistentVolumeClaim,
  ordinal: number,
  pod: Pod | undefined,
): readonly metav1.OwnerReference[] {
  const { whenDeleted = 'Retain', whenScaled = 'Retain' } =
    set.spec.persistentVolumeClaimRetentionPolicy ?? {};
  const foreign = (claim.metadata.ownerReferences ?? []).filter(
    ({ uid, kind, name }) => uid !== set.metadata.uid && !(kind === 'Pod' && name === podName(set, ordinal)),
  );
  const scaledAway = !isWanted(set, ordinal);
  if (scaledAway && whenScaled === 'Delete')
    return pod === undefined ? foreign : [...foreign, controllerRef(pod, corev1.pods)];
  return whenDeleted === 'Delete' ? [...foreign, controllerRef(set, appsv1.statefulSets)] : foreign;
}

export function isWanted(set: StatefulSet, ordinal: number): boolean {
  const start = firstOrdinal(set);
  return ordinal >= start && ordinal < start + (set.spec.replicas ?? 1);
}

/** The claim still belongs to an earlier pod of this name, and goes with it: a new pod must not take it over. */
export function isStaleClaim(
  set: StatefulSet,
  claim: corev1.PersistentVolumeClaim,
  ordinal: number,
  pod: Pod | undefined,
): boolean {
  return (claim.metadata.ownerReferences ?? []).some(
    ({ kind, name, uid }) => kind === 'Pod' && name === podName(set, ordinal) && uid !== pod?.metadata.uid,
  );
}
