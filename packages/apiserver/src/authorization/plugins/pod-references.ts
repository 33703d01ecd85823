import type { corev1 } from '@k8ts/api';

/** What a pod refers to in its namespace. */
export interface PodReferences {
  readonly secrets: ReadonlySet<string>;
  readonly configMaps: ReadonlySet<string>;
  readonly claims: ReadonlySet<string>;
  /** Of group resource.k8s.io. */
  readonly resourceClaims: ReadonlySet<string>;
  readonly serviceAccount: string;
}

const NONE: PodReferences = {
  secrets: new Set(),
  configMaps: new Set(),
  claims: new Set(),
  resourceClaims: new Set(),
  serviceAccount: '',
};

/** A mirror pod was created by a kubelet, which must not give itself permissions so. */
const MIRROR = 'kubernetes.io/config.mirror';

/** Pods are immutable objects, so what was found of one stays true. */
const known = new WeakMap<corev1.Pod, PodReferences>();

export function referencesOf(pod: corev1.Pod): PodReferences {
  let references = known.get(pod);
  if (references === undefined) known.set(pod, (references = find(pod)));
  return references;
}

function find({ metadata, spec, status }: corev1.Pod): PodReferences {
  if (metadata.annotations?.[MIRROR] !== undefined) return NONE;
  const secrets = new Set<string>();
  const configMaps = new Set<string>();
  const claims = new Set<string>();
  const resourceClaims = new Set<string>();
  const add = (to: Set<string>, name: string | undefined): void => {
    if (name !== undefined && name !== '') to.add(name);
  };

  for (const secret of spec.imagePullSecrets ?? []) add(secrets, secret.name);
  const containers = [
    ...(spec.initContainers ?? []),
    ...spec.containers,
    ...(spec.ephemeralContainers ?? []),
  ];
  for (const container of containers) {
    for (const { valueFrom } of container.env ?? []) {
      add(secrets, valueFrom?.secretKeyRef?.name);
      add(configMaps, valueFrom?.configMapKeyRef?.name);
    }
    for (const { secretRef, configMapRef } of container.envFrom ?? []) {
      add(secrets, secretRef?.name);
      add(configMaps, configMapRef?.name);
    }
  }
  for (const volume of spec.volumes ?? []) {
    add(secrets, volume.secret?.secretName);
    add(configMaps, volume.configMap?.name);
    add(claims, volume.persistentVolumeClaim?.claimName);
    if (volume.ephemeral !== undefined) add(claims, `${metadata.name ?? ''}-${volume.name}`);
    add(secrets, volume.csi?.nodePublishSecretRef?.name);
    for (const source of volume.projected?.sources ?? []) {
      add(secrets, source.secret?.name);
      add(configMaps, source.configMap?.name);
    }
    // The older volume kinds keep their credentials in a secret of the same namespace.
    for (const legacy of [
      volume.cephfs,
      volume.flexVolume,
      volume.rbd,
      volume.scaleIO,
      volume.iscsi,
      volume.storageos,
    ])
      add(secrets, legacy?.secretRef?.name);
    add(secrets, volume.azureFile?.secretName);
  }
  for (const { name, resourceClaimName } of spec.resourceClaims ?? [])
    add(
      resourceClaims,
      resourceClaimName ??
        status?.resourceClaimStatuses?.find((made) => made.name === name)?.resourceClaimName,
    );
  add(resourceClaims, status?.extendedResourceClaimStatus?.resourceClaimName);
  return { secrets, configMaps, claims, resourceClaims, serviceAccount: spec.serviceAccountName ?? '' };
}

/** The secrets that a kubelet needs to mount a volume. */
export function secretsOfVolume({
  spec,
}: corev1.PersistentVolume): readonly { readonly namespace: string; readonly name: string }[] {
  const claimNamespace = spec.claimRef?.namespace ?? '';
  const { azureFile, cephfs, cinder, flexVolume, rbd, scaleIO, iscsi, storageos, csi } = spec;
  const found = [cephfs, flexVolume, rbd, scaleIO, iscsi].map((source) => ({
    // Older objects leave out the namespace.
    namespace: source?.secretRef?.namespace || claimNamespace,
    name: source?.secretRef?.name ?? '',
  }));
  found.push({
    namespace: azureFile?.secretNamespace || claimNamespace,
    name: azureFile?.secretName ?? '',
  });
  for (const reference of [
    cinder?.secretRef,
    storageos?.secretRef,
    csi?.nodePublishSecretRef,
    csi?.nodeStageSecretRef,
    csi?.nodeExpandSecretRef,
  ])
    found.push({ namespace: reference?.namespace ?? '', name: reference?.name ?? '' });
  return found.filter(({ name }) => name !== '');
}
