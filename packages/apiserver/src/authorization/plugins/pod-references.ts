import type { corev1 } from '@k8ts/api';

/** What a pod refers to in its namespace. */
export interface PodReferences {
  readonly secrets: ReadonlySet<string>;
  readonly configMaps: ReadonlySet<string>;
  readonly claims: ReadonlySet<string>;
  readonly serviceAccount: string;
}

/** Pods are immutable objects, so what was found of one stays true. */
const known = new WeakMap<corev1.Pod, PodReferences>();

export function referencesOf(pod: corev1.Pod): PodReferences {
  let references = known.get(pod);
  if (references === undefined) known.set(pod, (references = find(pod)));
  return references;
}

function find({ metadata, spec }: corev1.Pod): PodReferences {
  const secrets = new Set<string>();
  const configMaps = new Set<string>();
  const claims = new Set<string>();
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
  return { secrets, configMaps, claims, serviceAccount: spec.serviceAccountName ?? '' };
}
