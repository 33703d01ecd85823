/** The volumes of a pod: each named once, each of exactly one type. */
import type { corev1 } from '@k8ts/api';
import {
  duplicate,
  forbiddenField,
  invalidValue,
  nameIsDNSSubdomain,
  notSupported,
  quantityOf,
  quantitySign,
  required,
  validateAnnotations,
  validateLabels,
  type FieldError,
} from '@k8ts/apimachinery';
import { dnsLabel, messages } from '../../field-rules.ts';
import { validateClaimSpec, validateCsiDriverName } from './claim-spec.ts';
import type { Volumes } from './mounts.ts';
import { localDescendingPath, pathWithoutBacksteps } from './paths.ts';
import { validateDownwardApi, validateKeysVolume, validateProjected } from './projected-volumes.ts';
import * as plugins from './volume-plugins.ts';

const HOST_PATH_TYPES = [
  '',
  'BlockDevice',
  'CharDevice',
  'Directory',
  'DirectoryOrCreate',
  'File',
  'FileOrCreate',
  'Socket',
];
const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never'];

export function validatePullPolicy(policy: string | undefined, path: string): FieldError[] {
  if (!policy) return [required(path, '')];
  return PULL_POLICIES.includes(policy) ? [] : [notSupported(path, policy, PULL_POLICIES)];
}

type Kind = keyof corev1.VolumeSource;
type Rule<K extends Kind> = (
  source: NonNullable<corev1.VolumeSource[K]>,
  path: string,
  isPod: boolean,
) => FieldError[];

const plain =
  (kind: Kind): ((source: object, path: string) => FieldError[]) =>
  (source, path) =>
    plugins.validateNeededFields(kind, source, path);

/** In upstream's order: the first type given counts, the others are named as too many. */
const RULES: { readonly [K in Kind]: Rule<K> } = {
  emptyDir: ({ sizeLimit }, path) =>
    sizeLimit !== undefined && quantitySign(quantityOf(sizeLimit)) < 0
      ? [forbiddenField(`${path}.sizeLimit`, 'SizeLimit field must be a valid resource quantity')]
      : [],
  hostPath: ({ path: target = '', type }, path) =>
    target === ''
      ? [required(`${path}.path`, '')]
      : [
          ...pathWithoutBacksteps(target, `${path}.path`),
          ...(type !== undefined && !HOST_PATH_TYPES.includes(type)
            ? [notSupported(`${path}.type`, type, HOST_PATH_TYPES)]
            : []),
        ],
  gitRepo: ({ repository = '', directory = '' }, path) => [
    ...(repository === '' ? [required(`${path}.repository`, '')] : []),
    ...localDescendingPath(directory, `${path}.directory`),
  ],
  gcePersistentDisk: (source, path) =>
    plugins.validateGcePersistentDisk(source, path.replace(/gcePersistentDisk$/, 'persistentDisk')),
  awsElasticBlockStore: plugins.validateAwsElasticBlockStore,
  secret: (source, path) => validateKeysVolume(source, 'secretName', path),
  nfs: plugins.validateNfs,
  iscsi: plugins.validateIscsi,
  glusterfs: plain('glusterfs'),
  flocker: plugins.validateFlocker,
  persistentVolumeClaim: plain('persistentVolumeClaim'),
  rbd: plain('rbd'),
  cinder: plugins.validateCinder,
  cephfs: plain('cephfs'),
  quobyte: plugins.validateQuobyte,
  downwardAPI: validateDownwardApi,
  fc: plugins.validateFc,
  flexVolume: plugins.validateFlexVolume,
  configMap: (source, path) => validateKeysVolume(source, 'name', path),
  azureFile: plain('azureFile'),
  vsphereVolume: plain('vsphereVolume'),
  photonPersistentDisk: plain('photonPersistentDisk'),
  portworxVolume: plain('portworxVolume'),
  azureDisk: plugins.validateAzureDisk,
  storageos: plugins.validateStorageOs,
  projected: validateProjected,
  scaleIO: plain('scaleIO'),
  csi: ({ driver = '', nodePublishSecretRef: secret }, path) => [
    ...validateCsiDriverName(driver, `${path}.driver`),
    ...(secret === undefined
      ? []
      : secret.name
        ? messages(nameIsDNSSubdomain(secret.name, false), secret.name, `${path}.name`)
        : [required(`${path}.nodePublishSecretRef.name`, '')]),
  ],
  ephemeral: ({ volumeClaimTemplate: template }, path) =>
    template === undefined
      ? [required(`${path}.volumeClaimTemplate`, '')]
      : validateClaimTemplate(template, `${path}.volumeClaimTemplate`),
  image: ({ reference = '', pullPolicy }, path, isPod) => [
    ...(isPod && reference === '' ? [required(`${path}.reference`, '')] : []),
    ...validatePullPolicy(pullPolicy, `${path}.pullPolicy`),
  ],
};

const KINDS = Object.keys(RULES) as Kind[];
/** Where upstream's name of the surplus type is not the field's. */
const SURPLUS_NAMES: Readonly<Partial<Record<Kind, string>>> = {
  cephfs: 'cephFS',
  downwardAPI: 'downwarAPI',
};

function validateClaimTemplate(template: corev1.PersistentVolumeClaimTemplate, path: string): FieldError[] {
  const { annotations, labels, ...others } = template.metadata ?? {};
  return [
    ...validateAnnotations(annotations ?? {}, `${path}.metadata.annotations`),
    ...validateLabels(labels ?? {}, `${path}.metadata.labels`),
    ...Object.entries(others)
      .filter(([, value]) => value !== undefined && value !== null && value !== '')
      .map(([field]) => forbiddenField(`${path}.metadata.${field}`, 'cannot be set')),
    ...validateClaimSpec(template.spec, `${path}.spec`),
  ];
}

function validateSource(volume: corev1.Volume, path: string, podName: string, isPod: boolean): FieldError[] {
  const errors: FieldError[] = [];
  let count = 0;
  for (const kind of KINDS) {
    const source = volume[kind];
    if (source === undefined) continue;
    if (count++ > 0) {
      errors.push(
        forbiddenField(`${path}.${SURPLUS_NAMES[kind] ?? kind}`, 'may not specify more than 1 volume type'),
      );
      continue;
    }
    errors.push(...(RULES[kind] as Rule<Kind>)(source, `${path}.${kind}`, isPod));
    if (kind === 'ephemeral' && podName !== '' && volume.name) {
      const claim = `${podName}-${volume.name}`;
      for (const message of nameIsDNSSubdomain(claim, false))
        errors.push(invalidValue(`${path}.name`, volume.name, `PVC name "${claim}": ${message}`));
    }
  }
  const { iscsi } = volume;
  if (iscsi?.initiatorName !== undefined && `${volume.name}:${iscsi.targetPortal}`.length > 64)
    errors.push(
      invalidValue(
        `${path}.name`,
        volume.name,
        'Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.',
      ),
    );
  if (count === 0) errors.push(required(path, 'must specify a volume type'));
  return errors;
}

/** What is wrong, and the volumes without faults, which containers may mount. */
export function validateVolumes(
  volumes: readonly corev1.Volume[] | undefined,
  path: string,
  podName: string,
  isPod: boolean,
): { readonly errors: FieldError[]; readonly valid: Volumes } {
  const errors: FieldError[] = [];
  const valid = new Map<string, corev1.Volume>();
  if (volumes === undefined) return { errors, valid };
  const created = new Set(
    podName === ''
      ? []
      : volumes.flatMap((volume) => (volume.ephemeral ? [`${podName}-${volume.name}`] : [])),
  );
  for (const [i, volume] of volumes.entries()) {
    const at = `${path}[${i}]`;
    const wrong = validateSource(volume, at, podName, isPod);
    wrong.push(...(volume.name ? dnsLabel(volume.name, `${at}.name`) : [required(`${at}.name`, '')]));
    if (valid.has(volume.name)) wrong.push(duplicate(`${at}.name`, volume.name));
    if (wrong.length === 0) valid.set(volume.name, volume);
    else errors.push(...wrong);
    const claim = volume.persistentVolumeClaim?.claimName;
    if (claim !== undefined && created.has(claim))
      errors.push(
        invalidValue(
          `${at}.persistentVolumeClaim.claimName`,
          claim,
          'must not reference a PVC that gets created for an ephemeral volume',
        ),
      );
  }
  return { errors, valid };
}

/** A source of a kind that persistent volumes and pods have in common. */
export function validateVolumeSource(kind: string, source: unknown, path: string): FieldError[] {
  const rule = Object.hasOwn(RULES, kind)
    ? (RULES[kind as Kind] as (...args: unknown[]) => FieldError[])
    : undefined;
  return rule?.(source, path, false) ?? [];
}
