import { corev1, schemaOfType, type Draft, type Schema } from '@k8ts/api';
import {
  FIELD_IMMUTABLE,
  forbiddenField,
  formatTime,
  invalidValue,
  key,
  nameIsDNSSubdomain,
  notSupported,
  quantityOf,
  quantitySign,
  required,
  type FieldError,
} from '@k8ts/apimachinery';
import { persistentVolumeColumns } from '../../printing/columns/core.ts';
import type { Strategy } from '../contract.ts';
import { dnsLabel, dnsSubdomain, immutable, messages, NOT_POSITIVE } from '../field-rules.ts';
import { nodeLabelWarning } from '../node-label-warnings.ts';
import { roundUpToMilli } from '../quantities.ts';
import { fieldComparison, semanticEqual } from '../semantic-equal.ts';
import { keepField, statusStrategy } from '../strategy-parts.ts';
import { BETA_STORAGE_CLASS } from './persistent-volume-claim.ts';
import { validateAccessModes, validateCsiDriverName, VOLUME_MODES } from './pod-template/claim-spec.ts';
import { pathWithoutBacksteps } from './pod-template/paths.ts';
import { validateNodeSelector } from './pod-template/scheduling.ts';
import { validateVolumeSource } from './pod-template/volumes.ts';
import { specDiff } from './pod/spec-diff.ts';

type Volume = corev1.PersistentVolume;
type Spec = corev1.PersistentVolumeSpec;

const RECLAIM_POLICIES = ['Delete', 'Recycle', 'Retain'];
/** In upstream's order; a second one is forbidden. */
const SOURCES = [
  'hostPath',
  'gcePersistentDisk',
  'awsElasticBlockStore',
  'glusterfs',
  'flocker',
  'nfs',
  'rbd',
  'quobyte',
  'cephfs',
  'iscsi',
  'cinder',
  'fc',
  'flexVolume',
  'azureFile',
  'vsphereVolume',
  'photonPersistentDisk',
  'portworxVolume',
  'azureDisk',
  'scaleIO',
  'local',
  'storageos',
  'csi',
] as const;
const MOUNT_OPTIONS = 'volume.beta.kubernetes.io/mount-options';
const WITH_MOUNT_OPTIONS: readonly string[] = [
  'gcePersistentDisk',
  'awsElasticBlockStore',
  'glusterfs',
  'nfs',
  'rbd',
  'quobyte',
  'iscsi',
  'cinder',
  'cephfs',
  'azureFile',
  'vsphereVolume',
  'azureDisk',
  'photonPersistentDisk',
];

const specSchema = (): Schema => schemaOfType('corev1', 'PersistentVolumeSpec') as Schema;
const sameAffinity = fieldComparison(corev1.persistentVolumes, 'spec', 'nodeAffinity');

function setDefaults(volume: Draft<Volume>): void {
  const spec = (volume.spec ??= {});
  const status = (volume.status ??= {});
  if (!status.phase) status.phase = 'Pending';
  if (!spec.persistentVolumeReclaimPolicy) spec.persistentVolumeReclaimPolicy = 'Retain';
  spec.volumeMode ??= 'Filesystem';
  if (spec.hostPath !== undefined) spec.hostPath.type ??= '';
  roundUpToMilli(spec.capacity);
}

function validateCapacity(capacity: Readonly<Record<string, string>> = {}): FieldError[] {
  const path = 'spec.capacity';
  const names = Object.keys(capacity);
  const errors: FieldError[] = [];
  if (names.length === 0) errors.push(required(path, ''));
  if (capacity['storage'] === undefined || names.length > 1)
    errors.push(notSupported(path, names.length === 0 ? null : capacity, ['storage']));
  for (const [name, value] of Object.entries(capacity)) {
    const sign = quantitySign(quantityOf(value));
    if (sign < 0)
      errors.push(
        invalidValue(key(path, name), Number.parseFloat(value), 'must be a valid resource quantity'),
      );
    if (sign <= 0) errors.push(invalidValue(key(path, name), value, NOT_POSITIVE));
  }
  return errors;
}

function validateSecretReference(
  { name = '', namespace = '' }: corev1.SecretReference,
  path: string,
): FieldError[] {
  return [
    ...(name === '' ? [required(`${path}.name`, '')] : dnsSubdomain(name, `${path}.name`)),
    ...(namespace === '' ? [required(`${path}.namespace`, '')] : dnsLabel(namespace, `${path}.namespace`)),
  ];
}

function validateCsi(csi: corev1.CSIPersistentVolumeSource, path: string): FieldError[] {
  const errors = validateCsiDriverName(csi.driver ?? '', `${path}.driver`);
  if (!csi.volumeHandle) errors.push(required(`${path}.volumeHandle`, ''));
  for (const field of [
    'controllerPublishSecretRef',
    'controllerExpandSecretRef',
    'nodePublishSecretRef',
    'nodeExpandSecretRef',
  ] as const) {
    const secret = csi[field];
    if (secret !== undefined) errors.push(...validateSecretReference(secret, `${path}.${field}`));
  }
  return errors;
}

function validateSource(kind: (typeof SOURCES)[number], spec: Spec): FieldError[] {
  const path = `spec.${kind}`;
  if (kind === 'csi') return validateCsi(spec.csi as corev1.CSIPersistentVolumeSource, path);
  if (kind === 'local') {
    const target = spec.local?.path ?? '';
    return [
      ...(target === '' ? [required(`${path}.path`, '')] : pathWithoutBacksteps(target, `${path}.path`)),
      ...(spec.nodeAffinity === undefined
        ? [required('spec.nodeAffinity', 'Local volume requires node affinity')]
        : []),
    ];
  }
  return validateVolumeSource(kind, spec[kind], path);
}

function validateSources(spec: Spec): FieldError[] {
  const present = SOURCES.filter((kind) => spec[kind] !== undefined);
  const [first, ...others] = present;
  if (first === undefined) return [required('spec', 'must specify a volume type')];
  return [
    ...validateSource(first, spec),
    ...others.map((kind) =>
      forbiddenField(
        `spec.${kind === 'cephfs' ? 'cephFS' : kind}`,
        'may not specify more than 1 volume type',
      ),
    ),
  ];
}

function validateClassName(name: string, path: string): FieldError[] {
  return messages(nameIsDNSSubdomain(name, false), name, path);
}

function validate({ metadata, spec = {} }: Volume): FieldError[] {
  const { accessModes = [], persistentVolumeReclaimPolicy: reclaim = '', nodeAffinity } = spec;
  const errors: FieldError[] = [];
  if (accessModes.length === 0) errors.push(required('spec.accessModes', ''));
  errors.push(...validateAccessModes(accessModes, 'spec.accessModes'), ...validateCapacity(spec.capacity));
  const reclaimPath = 'spec.persistentVolumeReclaimPolicy';
  if (reclaim !== '' && !RECLAIM_POLICIES.includes(reclaim))
    errors.push(notSupported(reclaimPath, reclaim, RECLAIM_POLICIES));
  if (nodeAffinity !== undefined)
    errors.push(
      ...(nodeAffinity.required === undefined
        ? [required('spec.nodeAffinity.required', 'must specify required node constraints')]
        : validateNodeSelector(nodeAffinity.required, 'spec.nodeAffinity.required')),
    );
  errors.push(...validateSources(spec));
  if (/^\/+$/.test(spec.hostPath?.path ?? '') && reclaim === 'Recycle')
    errors.push(forbiddenField(reclaimPath, "may not be 'recycle' for a hostPath mount of '/'"));
  if (spec.storageClassName)
    errors.push(...validateClassName(spec.storageClassName, 'spec.storageClassName'));
  if (spec.volumeMode !== undefined && !VOLUME_MODES.includes(spec.volumeMode))
    errors.push(notSupported('spec.volumeMode', spec.volumeMode, VOLUME_MODES));
  errors.push(...validateAttributesClass(spec));
  if (
    metadata.annotations?.[MOUNT_OPTIONS] !== undefined &&
    !SOURCES.some((kind) => spec[kind] !== undefined && WITH_MOUNT_OPTIONS.includes(kind))
  )
    errors.push(
      forbiddenField(
        `metadata.annotations.${MOUNT_OPTIONS}`,
        'may not specify mount options for this volume type',
      ),
    );
  return errors;
}

function validateAttributesClass({ volumeAttributesClassName: name, csi }: Spec): FieldError[] {
  if (name === undefined) return [];
  const path = 'spec.volumeAttributesClassName';
  return [
    ...(name === '' ? [required(path, 'an empty string is disallowed')] : validateClassName(name, path)),
    ...(csi === undefined
      ? [required('spec.csi', 'has to be specified when using volumeAttributesClassName')]
      : []),
  ];
}

/** Where the data is; a secret for expansion may be added. */
function sourcesOf(spec: Spec, old: Spec): Record<string, unknown> {
  const sources: Record<string, unknown> = {};
  for (const kind of SOURCES) if (spec[kind] !== undefined) sources[kind] = spec[kind];
  if (old.csi !== undefined && old.csi.controllerExpandSecretRef === undefined && spec.csi !== undefined) {
    const { controllerExpandSecretRef: _secret, ...csi } = spec.csi;
    sources['csi'] = csi;
  }
  return sources;
}

function validateUpdate(volume: Volume, { spec: old = {} }: Volume): FieldError[] {
  const { spec = {} } = volume;
  const errors = validate(volume);
  const [next, before] = [sourcesOf(spec, old), sourcesOf(old, old)];
  if (!semanticEqual(specSchema(), next, before)) {
    const schema: Schema = { ...specSchema(), goName: 'PersistentVolumeSource' };
    errors.push(
      forbiddenField(
        'spec.persistentvolumesource',
        `spec.persistentvolumesource is immutable after creation\n${specDiff(schema, before, next)}`,
      ),
    );
  }
  errors.push(...immutable(spec.volumeMode, spec.volumeMode === old.volumeMode, 'volumeMode'));
  if (old.nodeAffinity !== undefined && !sameAffinity(spec.nodeAffinity, old.nodeAffinity))
    errors.push(
      invalidValue(
        'nodeAffinity',
        spec.nodeAffinity ?? null,
        `${FIELD_IMMUTABLE}, except for updating from beta label to GA`,
      ),
    );
  if (old.volumeAttributesClassName !== undefined && spec.volumeAttributesClassName === undefined)
    errors.push(
      forbiddenField('spec.volumeAttributesClassName', 'update from non-nil value to nil is forbidden'),
    );
  return errors;
}

const ANNOTATIONS: readonly (readonly [string, string])[] = [
  [BETA_STORAGE_CLASS, 'deprecated since v1.8; use "storageClassName" attribute instead'],
  [MOUNT_OPTIONS, 'deprecated since v1.31; use "mountOptions" attribute instead'],
];
const OLD_SOURCES: readonly (readonly [(typeof SOURCES)[number], string, string])[] = [
  ['cephfs', 'cephfs', 'deprecated in v1.28, non-functional in v1.31+'],
  ['photonPersistentDisk', 'photonPersistentDisk', 'deprecated in v1.11, non-functional in v1.16+'],
  ['scaleIO', 'scaleIO', 'deprecated in v1.16, non-functional in v1.22+'],
  ['storageos', 'storageOS', 'deprecated in v1.22, non-functional in v1.25+'],
  ['glusterfs', 'glusterfs', 'deprecated in v1.25, non-functional in v1.26+'],
  ['rbd', 'rbd', 'deprecated in v1.28, non-functional in v1.31+'],
];

function warnings({ metadata, spec = {} }: Volume): string[] {
  const terms = spec.nodeAffinity?.required?.nodeSelectorTerms ?? [];
  return [
    ...ANNOTATIONS.filter(([name]) => metadata.annotations?.[name] !== undefined).map(
      ([name, message]) => `metadata.annotations[${name}]: ${message}`,
    ),
    ...(spec.persistentVolumeReclaimPolicy === 'Recycle'
      ? [
          'spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.',
        ]
      : []),
    ...terms.flatMap(({ matchExpressions = [] }, i) =>
      matchExpressions.flatMap((expression, j) => {
        const message = nodeLabelWarning(expression.key);
        const path = `spec.nodeAffinity.required.nodeSelectorTerms[${i}].matchExpressions[${j}].key`;
        return message === undefined ? [] : [`${path}: ${expression.key} is ${message}`];
      }),
    ),
    ...OLD_SOURCES.filter(([kind]) => spec[kind] !== undefined).map(
      ([, name, message]) => `spec.${name}: ${message}`,
    ),
  ];
}

export const persistentVolumeStrategy: Strategy<Volume> = {
  type: corev1.persistentVolumes,
  setDefaults,
  prepareForCreate(volume, { clock }) {
    volume.status = { phase: 'Pending', lastPhaseTransitionTime: formatTime(clock.now()) };
  },
  prepareForUpdate: (volume, old) => keepField(volume, old, 'status'),
  validate,
  validateUpdate,
  warnings,
  subresources: {
    status: statusStrategy({
      prepare(volume, old, { clock }) {
        const status = (volume.status ??= {});
        const before = old.status ?? {};
        const time = status.lastPhaseTransitionTime;
        if (status.phase === before.phase) {
          if (time === undefined && before.lastPhaseTransitionTime !== undefined)
            status.lastPhaseTransitionTime = before.lastPhaseTransitionTime;
        } else if (time === undefined || time === before.lastPhaseTransitionTime) {
          status.lastPhaseTransitionTime = formatTime(clock.now());
        }
      },
    }),
  },
  selectableFields: ({ metadata }) => ({ name: metadata.name }),
  columns: persistentVolumeColumns,
};
