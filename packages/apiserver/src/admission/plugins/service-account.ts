import { randomNameSuffix } from '@k8ts/base';
import type { Random } from '@k8ts/base';
import { corev1 } from '@k8ts/api';
import type { Draft } from '@k8ts/api';
import type { ObjectReader } from '../../object-reader.ts';
import { isResource, refuse } from '../refuse.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../contract.ts';

const DEFAULT_ACCOUNT = 'default';
const MOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount';
const VOLUME_PREFIX = 'kube-api-access-';
const MIRROR_POD = 'kubernetes.io/config.mirror';
const ENFORCE_MOUNTABLE_SECRETS = 'kubernetes.io/enforce-mountable-secrets';
/** An hour and seven seconds: upstream's mark of tokens that nobody asked for by name. */
export const WARN_ONLY_BOUND_TOKEN_EXPIRATION: number = 60 * 60 + 7;

/** Gives a pod its service account: the name, the account's pull secrets, and the token in every container. */
export function serviceAccount(objects: ObjectReader, random: Random): AdmissionPlugin {
  return {
    name: 'ServiceAccount',
    operations: ['CREATE', 'UPDATE'],
    handles: (resource, subresource) =>
      isResource(resource, corev1.pods) && (subresource === '' || subresource === 'ephemeralcontainers'),

    admit(attributes) {
      if (attributes.operation !== 'CREATE' || attributes.subresource !== '') return;
      const pod = attributes.object as Draft<corev1.Pod>;
      if (isMirrorPod(pod)) return;
      const { spec } = pod;
      if (!spec.serviceAccountName) spec.serviceAccountName = DEFAULT_ACCOUNT;
      spec.serviceAccount = spec.serviceAccountName;
      const account = accountOf(attributes, pod, objects);
      if (wantsToken(account, pod)) mountToken(spec, random);
      if ((spec.imagePullSecrets ?? []).length === 0 && account.imagePullSecrets !== undefined)
        spec.imagePullSecrets = account.imagePullSecrets.map((secret) => ({ ...secret }));
    },

    validate(attributes) {
      const pod = attributes.object as Draft<corev1.Pod>;
      if (attributes.operation === 'CREATE' && attributes.subresource === '') {
        if (isMirrorPod(pod)) return validateMirrorPod(attributes, pod);
        const account = accountOf(attributes, pod, objects);
        if (enforcesMountableSecrets(account)) limitSecrets(attributes, account, pod);
      } else if (attributes.subresource === 'ephemeralcontainers') {
        const account = accountOf(attributes, pod, objects);
        if (enforcesMountableSecrets(account))
          limitEnvironment(attributes, account, pod.spec.ephemeralContainers ?? []);
      }
    },
  };
}

function isMirrorPod(pod: Draft<corev1.Pod>): boolean {
  return pod.metadata.annotations?.[MIRROR_POD] !== undefined;
}

/** A mirror pod's containers run already; it must not bring a node to secrets. */
function validateMirrorPod(attributes: AdmissionAttributes, { spec }: Draft<corev1.Pod>): void {
  if (spec.serviceAccountName) throw refuse(attributes, 'a mirror pod may not reference service accounts');
  for (const volume of spec.volumes ?? []) {
    if (volume.secret !== undefined) throw refuse(attributes, 'a mirror pod may not reference secrets');
    if (volume.projected?.sources?.some((source) => source.serviceAccountToken !== undefined))
      throw refuse(attributes, 'a mirror pod may not use ServiceAccountToken volume projections');
  }
}

function accountOf(
  attributes: AdmissionAttributes,
  pod: Draft<corev1.Pod>,
  objects: ObjectReader,
): corev1.ServiceAccount {
  const name = pod.spec.serviceAccountName ?? DEFAULT_ACCOUNT;
  const account = objects.get(corev1.serviceAccounts, attributes.namespace, name);
  if (account === undefined)
    throw refuse(
      attributes,
      `error looking up service account ${attributes.namespace}/${name}: serviceaccount ${JSON.stringify(name)} not found`,
    );
  return account;
}

/** The pod's word counts before the account's. */
function wantsToken(account: corev1.ServiceAccount, pod: Draft<corev1.Pod>): boolean {
  return pod.spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true;
}

function mountToken(spec: Draft<corev1.PodSpec>, random: Random): void {
  const volumes = spec.volumes ?? [];
  const present = volumes.find(({ name }) => name.startsWith(VOLUME_PREFIX));
  const name = present?.name ?? `${VOLUME_PREFIX}${randomNameSuffix(random)}`;
  let needed = false;
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
    // A mount of the pod's own at that place stays.
    if (container.volumeMounts?.some(({ mountPath }) => mountPath === MOUNT_PATH)) continue;
    container.volumeMounts = [
      ...(container.volumeMounts ?? []),
      { name, readOnly: true, mountPath: MOUNT_PATH },
    ];
    needed = true;
  }
  if (present === undefined && needed) spec.volumes = [...volumes, tokenVolume(name)];
}

function tokenVolume(name: string): Draft<corev1.Volume> {
  return {
    name,
    projected: {
      defaultMode: 0o644,
      sources: [
        { serviceAccountToken: { path: 'token', expirationSeconds: WARN_ONLY_BOUND_TOKEN_EXPIRATION } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        {
          downwardAPI: {
            items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
          },
        },
      ],
    },
  };
}

function enforcesMountableSecrets(account: corev1.ServiceAccount): boolean {
  return ['1', 't', 'true'].includes(
    (account.metadata.annotations?.[ENFORCE_MOUNTABLE_SECRETS] ?? '').toLowerCase(),
  );
}

function limitSecrets(
  attributes: AdmissionAttributes,
  account: corev1.ServiceAccount,
  pod: Draft<corev1.Pod>,
): void {
  const name = account.metadata.name ?? '';
  const mountable = mountableSecrets(account);
  for (const { secret } of pod.spec.volumes ?? []) {
    const secretName = secret?.secretName ?? '';
    if (secret !== undefined && !mountable.has(secretName))
      throw refuse(
        attributes,
        `volume with secret.secretName="${secretName}" is not allowed because service account ${name} does not reference that secret`,
      );
  }
  limitEnvironment(attributes, account, [...(pod.spec.initContainers ?? []), ...pod.spec.containers]);
  const pull = new Set((account.imagePullSecrets ?? []).map((secret) => secret.name));
  for (const [index, secret] of (pod.spec.imagePullSecrets ?? []).entries())
    if (!pull.has(secret.name))
      throw refuse(
        attributes,
        `imagePullSecrets[${String(index)}].name="${secret.name ?? ''}" is not allowed because service account ${name} does not reference that imagePullSecret`,
      );
}

function limitEnvironment(
  attributes: AdmissionAttributes,
  account: corev1.ServiceAccount,
  containers: readonly Draft<Pick<corev1.Container, 'name' | 'env' | 'envFrom'>>[],
): void {
  const mountable = mountableSecrets(account);
  const accountName = account.metadata.name ?? '';
  for (const container of containers) {
    for (const { name, valueFrom } of container.env ?? []) {
      const secret = valueFrom?.secretKeyRef?.name;
      if (valueFrom?.secretKeyRef !== undefined && !mountable.has(secret ?? ''))
        throw refuse(
          attributes,
          `container ${container.name} with envVar ${name} referencing secret.secretName="${secret ?? ''}" is not allowed because service account ${accountName} does not reference that secret`,
        );
    }
    for (const { secretRef } of container.envFrom ?? [])
      if (secretRef !== undefined && !mountable.has(secretRef.name ?? ''))
        throw refuse(
          attributes,
          `container ${container.name} with envFrom referencing secret.secretName="${secretRef.name ?? ''}" is not allowed because service account ${accountName} does not reference that secret`,
        );
  }
}

function mountableSecrets(account: corev1.ServiceAccount): ReadonlySet<string> {
  return new Set((account.secrets ?? []).map(({ name }) => name ?? ''));
}
