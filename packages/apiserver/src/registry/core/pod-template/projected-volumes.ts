/** Volumes made of secrets, config maps, the pod's own fields and tokens. */
import type { corev1 } from '@k8ts/api';
import {
  forbiddenField,
  invalidValue,
  notSupported,
  required,
  validateLabelSelector,
  type FieldError,
} from '@k8ts/apimachinery';
import { each } from '../../field-rules.ts';
import { validateFieldRef, validateResourceFieldRef } from './env.ts';
import { fileMode, localNonReservedPath } from './paths.ts';

const VOLUME_FIELDS = [
  'metadata.annotations',
  'metadata.labels',
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
];
const KEY_TYPES = ['RSA3072', 'RSA4096', 'ECDSAP256', 'ECDSAP384', 'ECDSAP521', 'ED25519'];
const MIN_TOKEN_SECONDS = 600;
const MAX_TOKEN_SECONDS = 2 ** 32;
const MIN_CERTIFICATE_SECONDS = 3600;
const MAX_CERTIFICATE_SECONDS = 7_862_400;
const MAX_KUBERNETES_CERTIFICATE_SECONDS = 86_400;

function validateKeyToPath(
  { key = '', path: file = '', mode }: corev1.KeyToPath,
  path: string,
): FieldError[] {
  return [
    ...(key === '' ? [required(`${path}.key`, '')] : []),
    ...(file === '' ? [required(`${path}.path`, '')] : []),
    ...localNonReservedPath(file, `${path}.path`),
    ...fileMode(mode, `${path}.mode`),
  ];
}

/** A secret or a config map as a volume. */
export function validateKeysVolume(
  source: { readonly defaultMode?: number; readonly items?: readonly corev1.KeyToPath[] },
  nameField: 'secretName' | 'name',
  path: string,
): FieldError[] {
  const name = (source as Readonly<Record<string, unknown>>)[nameField];
  return [
    ...(name ? [] : [required(`${path}.${nameField}`, '')]),
    ...fileMode(source.defaultMode, `${path}.defaultMode`),
    ...each(source.items, `${path}.items`, validateKeyToPath),
  ];
}

function validateDownwardFile(file: corev1.DownwardAPIVolumeFile, path: string): FieldError[] {
  const { path: target = '', fieldRef, resourceFieldRef } = file;
  const errors = target === '' ? [required(`${path}.path`, '')] : [];
  errors.push(...localNonReservedPath(target, `${path}.path`));
  if (fieldRef !== undefined) {
    errors.push(...validateFieldRef(fieldRef, VOLUME_FIELDS, `${path}.fieldRef`));
    if (resourceFieldRef !== undefined)
      errors.push(
        invalidValue(path, 'resource', 'fieldRef and resourceFieldRef can not be specified simultaneously'),
      );
  } else if (resourceFieldRef !== undefined) {
    errors.push(...validateResourceFieldRef(resourceFieldRef, true, `${path}.resourceFieldRef`));
  } else {
    errors.push(required(path, 'one of fieldRef and resourceFieldRef is required'));
  }
  return [...errors, ...fileMode(file.mode, `${path}.mode`)];
}

export function validateDownwardApi(source: corev1.DownwardAPIVolumeSource, path: string): FieldError[] {
  return [
    ...fileMode(source.defaultMode, `${path}.defaultMode`),
    // Upstream names the items without their positions.
    ...(source.items ?? []).flatMap((file) => validateDownwardFile(file, path)),
  ];
}

export function validateProjected(projected: corev1.ProjectedVolumeSource, path: string): FieldError[] {
  const errors = fileMode(projected.defaultMode, `${path}.defaultMode`);
  const paths = new Set<string>();
  const once = (target: string, named: string): void => {
    if (paths.has(target)) errors.push(invalidValue(path, named, 'conflicting duplicate paths'));
    paths.add(target);
  };
  for (const [i, source] of (projected.sources ?? []).entries()) {
    const at = `${path}.sources[${i}]`;
    for (const kind of ['secret', 'configMap'] as const) {
      const keys = source[kind];
      if (keys === undefined) continue;
      if (!keys.name) errors.push(required(`${at}.${kind}.name`, ''));
      for (const [j, item] of (keys.items ?? []).entries()) {
        errors.push(...validateKeyToPath(item, `${at}.${kind}.items[${j}]`));
        if (item.path) once(item.path, keys.name ?? '');
      }
    }
    for (const file of source.downwardAPI?.items ?? []) {
      errors.push(...validateDownwardFile(file, `${at}.downwardAPI`));
      if (file.path) once(file.path, file.path);
    }
    if (source.serviceAccountToken !== undefined)
      errors.push(...validateToken(source.serviceAccountToken, path, `${at}.serviceAccountToken`));
    if (source.clusterTrustBundle !== undefined) {
      errors.push(...validateTrustBundle(source.clusterTrustBundle, `${at}.clusterTrustBundle`));
      const { path: target = '' } = source.clusterTrustBundle;
      once(target, target);
    }
    if (source.podCertificate !== undefined)
      errors.push(...validatePodCertificate(source.podCertificate, `${at}.podCertificate`, once));
    if (Object.values(source).filter((part) => part !== undefined).length > 1)
      errors.push(forbiddenField(at, 'may not specify more than 1 volume type per source'));
  }
  return errors;
}

// The token's path is named without the source, as upstream does.
function validateToken(
  token: corev1.ServiceAccountTokenProjection,
  volumePath: string,
  path: string,
): FieldError[] {
  const seconds = token.expirationSeconds ?? 0;
  const errors: FieldError[] = [];
  if (seconds < MIN_TOKEN_SECONDS)
    errors.push(
      invalidValue(`${path}.expirationSeconds`, seconds, 'may not specify a duration less than 10 minutes'),
    );
  if (seconds > MAX_TOKEN_SECONDS)
    errors.push(
      invalidValue(
        `${path}.expirationSeconds`,
        seconds,
        'may not specify a duration larger than 2^32 seconds',
      ),
    );
  return token.path
    ? [...errors, ...localNonReservedPath(token.path, `${volumePath}.path`)]
    : [...errors, required(`${volumePath}.path`, '')];
}

function validateTrustBundle(bundle: corev1.ClusterTrustBundleProjection, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { name, signerName, labelSelector, path: target = '' } = bundle;
  if (name !== undefined && signerName !== undefined) {
    errors.push(invalidValue(path, bundle, 'only one of name and signerName may be used'));
  } else if (name !== undefined) {
    if (name === '') errors.push(required(`${path}.name`, 'must be a valid object name'));
    if (labelSelector !== undefined)
      errors.push(
        invalidValue(
          `${path}.labelSelector`,
          labelSelector,
          'labelSelector must be unset if name is specified',
        ),
      );
  } else if (signerName !== undefined) {
    if (signerName === '') errors.push(required(`${path}.signerName`, 'must be a valid signer name'));
    errors.push(...validateLabelSelector(labelSelector, `${path}.labelSelector`));
  } else {
    errors.push(required(path, 'either name or signerName must be specified'));
  }
  if (target === '') errors.push(required(`${path}.path`, ''));
  return [...errors, ...localNonReservedPath(target, `${path}.path`)];
}

function validatePodCertificate(
  certificate: corev1.PodCertificateProjection,
  path: string,
  once: (target: string, named: string) => void,
): FieldError[] {
  const errors: FieldError[] = [];
  const { keyType = '', maxExpirationSeconds: seconds, signerName = '' } = certificate;
  if (!KEY_TYPES.includes(keyType)) errors.push(notSupported(`${path}.keyType`, keyType, KEY_TYPES));
  if (seconds !== undefined) {
    const most = signerName.startsWith('kubernetes.io/')
      ? MAX_KUBERNETES_CERTIFICATE_SECONDS
      : MAX_CERTIFICATE_SECONDS;
    const at = `${path}.maxExpirationSeconds`;
    if (seconds < MIN_CERTIFICATE_SECONDS)
      errors.push(invalidValue(at, seconds, 'if provided, maxExpirationSeconds must be >= 3600'));
    if (seconds > most)
      errors.push(invalidValue(at, seconds, `if provided, maxExpirationSeconds must be <= ${most}`));
  }
  let count = 0;
  for (const field of ['credentialBundlePath', 'keyPath', 'certificateChainPath'] as const) {
    const target = certificate[field];
    if (!target) continue;
    count++;
    errors.push(...localNonReservedPath(target, `${path}.${field}`));
    once(target, target);
  }
  if (count === 0)
    errors.push(
      required(path, 'specify at least one of credentialBundlePath, keyPath, and certificateChainPath'),
    );
  return errors;
}
