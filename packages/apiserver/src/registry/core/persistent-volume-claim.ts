import { corev1, schemaOfType, type Draft, type Schema } from '@k8ts/api';
import {
  forbiddenField,
  invalidValue,
  isQualifiedName,
  key,
  notSupported,
  quantityOf,
  quantitySign,
  required,
  type FieldError,
} from '@k8ts/apimachinery';
import { persistentVolumeClaimColumns } from '../../printing/columns/core.ts';
import type { Strategy } from '../contract.ts';
import { immutable, messages } from '../field-rules.ts';
import { compareAmounts, roundUpToMilli } from '../quantities.ts';
import { validateResourceQuantity } from '../resource-names.ts';
import { semanticEqual } from '../semantic-equal.ts';
import { keepField, statusStrategy } from '../strategy-parts.ts';
import { validateClaimSpec } from './pod-template/claim-spec.ts';
import { fractionalStorageWarnings } from './pod-template/claim-warnings.ts';
import { setClaimSpecDefaults } from './pod-template/defaults.ts';
import { specDiff } from './pod/spec-diff.ts';

type Claim = corev1.PersistentVolumeClaim;
type Spec = corev1.PersistentVolumeClaimSpec;

export const BETA_STORAGE_CLASS: string = 'volume.beta.kubernetes.io/storage-class';
const RESIZE_STATUSES = [
  'ControllerResizeInProgress',
  'ControllerResizeInfeasible',
  'NodeResizeInProgress',
  'NodeResizeInfeasible',
  'NodeResizePending',
];

const specSchema = (): Schema => schemaOfType('corev1', 'PersistentVolumeClaimSpec') as Schema;

function setDefaults(claim: Draft<Claim>): void {
  setClaimSpecDefaults((claim.spec ??= {} as Draft<Spec>));
  const status = (claim.status ??= {});
  if (!status.phase) status.phase = 'Pending';
  roundUpToMilli(status.capacity);
  roundUpToMilli(status.allocatedResources);
}

/** dataSource only ever named claims and snapshots; anything else was ignored, and still is. */
function dropForeignSource(spec: Draft<Spec>, old: Spec | undefined): void {
  if (old?.dataSource !== undefined || old?.dataSourceRef !== undefined) return;
  if (spec.dataSourceRef !== undefined || spec.dataSource === undefined) return;
  const { apiGroup = '', kind } = spec.dataSource;
  const isKnown =
    (kind === 'PersistentVolumeClaim' && apiGroup === '') ||
    (kind === 'VolumeSnapshot' && apiGroup === 'snapshot.storage.k8s.io');
  if (!isKnown) delete spec.dataSource;
}

/** The two fields say the same where both can. */
function pairSources(spec: Draft<Spec>): void {
  const { dataSource, dataSourceRef } = spec;
  if (dataSource !== undefined && dataSourceRef === undefined) {
    spec.dataSourceRef = { ...dataSource };
  } else if (dataSourceRef !== undefined && dataSource === undefined && !dataSourceRef.namespace) {
    const { namespace: _namespace, ...local } = dataSourceRef;
    spec.dataSource = local;
  }
}

function withPairedSources(spec: Spec): Spec {
  const copy = { ...spec } as Draft<Spec>;
  pairSources(copy);
  return copy;
}

/** What an update may change is as it was; what is left must be equal. */
function comparable(claim: Claim, old: Claim): readonly [Spec, Spec] {
  const next: Record<string, unknown> = { ...claim.spec };
  const before: Record<string, unknown> = { ...withPairedSources(old.spec) };
  if (!old.spec.volumeName) before['volumeName'] = claim.spec.volumeName;
  const betaClass = old.metadata.annotations?.[BETA_STORAGE_CLASS];
  const newClass = claim.spec.storageClassName;
  if (isClassFromAnnotation(claim, old)) delete next['storageClassName'];
  else if (
    newClass !== undefined &&
    old.spec.storageClassName === undefined &&
    (betaClass === undefined || newClass === betaClass)
  )
    delete next['storageClassName'];
  if (claim.status?.phase === 'Bound') {
    const requests = claim.spec.resources?.requests;
    if (requests !== undefined)
      next['resources'] = {
        ...claim.spec.resources,
        requests: { ...requests, storage: old.spec.resources?.requests?.['storage'] ?? '0' },
      };
    next['volumeAttributesClassName'] = before['volumeAttributesClassName'];
  }
  return [next, before];
}

function isClassFromAnnotation(claim: Claim, old: Claim): boolean {
  const before = old.metadata.annotations?.[BETA_STORAGE_CLASS];
  const after = claim.metadata.annotations?.[BETA_STORAGE_CLASS];
  return (
    before !== undefined &&
    old.spec.storageClassName === undefined &&
    claim.spec.storageClassName === before &&
    (after === undefined || after === before)
  );
}

function validateUpdate(claim: Claim, old: Claim): FieldError[] {
  const { spec } = claim;
  const errors = validateClaimSpec(spec, 'spec');
  if (!isClassFromAnnotation(claim, old)) {
    const [before, after] = [old, claim].map(
      ({ metadata }) => metadata.annotations?.[BETA_STORAGE_CLASS] ?? '',
    ) as [string, string];
    errors.push(...immutable(after, before === after, `metadata.annotations.${BETA_STORAGE_CLASS}`));
  }
  const [next, before] = comparable(claim, old);
  if (!semanticEqual(specSchema(), next, before))
    errors.push(
      forbiddenField(
        'spec',
        `spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n${specDiff(specSchema(), before, next)}`,
      ),
    );
  const newSize = spec.resources?.requests?.['storage'];
  if (
    compareAmounts(newSize, old.spec.resources?.requests?.['storage']) < 0 &&
    compareAmounts(newSize, old.status?.capacity?.['storage']) <= 0
  )
    errors.push(
      forbiddenField('spec.resources.requests.storage', 'field can not be less than status.capacity'),
    );
  errors.push(...immutable(spec.volumeMode, spec.volumeMode === old.spec.volumeMode, 'volumeMode'));
  const attributes = spec.volumeAttributesClassName;
  if (
    attributes !== old.spec.volumeAttributesClassName &&
    old.status?.currentVolumeAttributesClassName !== undefined &&
    !attributes
  )
    errors.push(
      forbiddenField(
        'spec.volumeAttributesClassName',
        `update to ${attributes === undefined ? 'nil' : 'empty string'} is forbidden when status.currentVolumeAttributesClassName is not nil`,
      ),
    );
  return errors;
}

function validateResourceKey(name: string, path: string): FieldError[] {
  const errors = messages(isQualifiedName(name), name, path);
  if (errors.length > 0) return errors;
  const isCustom = name.includes('/') && !/(^|\.)kubernetes\.io\//.test(name);
  return name === 'storage' || isCustom ? [] : [notSupported(path, name, ['storage'])];
}

function validateAmount(value: string, path: string): FieldError[] {
  return quantitySign(quantityOf(value)) < 0
    ? [invalidValue(path, Number.parseFloat(value), 'must be a valid resource quantity')]
    : [];
}

function validateStatus({ spec, status = {} }: Claim): FieldError[] {
  const errors: FieldError[] = [];
  if ((spec.accessModes ?? []).length === 0) errors.push(required('Spec.accessModes', ''));
  for (const [name, value] of Object.entries(status.capacity ?? {}))
    errors.push(...validateAmount(value, key('status.capacity', name)));
  const statuses = 'status.allocatedResourceStatuses';
  for (const [name, value] of Object.entries(status.allocatedResourceStatuses ?? {})) {
    errors.push(...validateResourceKey(name, statuses));
    if (!RESIZE_STATUSES.includes(value)) errors.push(notSupported(statuses, name, RESIZE_STATUSES));
  }
  for (const [name, value] of Object.entries(status.allocatedResources ?? {})) {
    const wrong = validateResourceKey(name, 'status.allocatedResources');
    const at = key('status.allocatedResources', name);
    if (wrong.length === 0) wrong.push(...validateAmount(value, at));
    if (wrong.length === 0) wrong.push(...validateResourceQuantity('storage', value, at));
    errors.push(...wrong);
  }
  return errors;
}

export const persistentVolumeClaimStrategy: Strategy<Claim> = {
  type: corev1.persistentVolumeClaims,
  setDefaults,
  prepareForCreate(claim) {
    claim.status = { phase: 'Pending' };
    dropForeignSource(claim.spec, undefined);
    pairSources(claim.spec);
  },
  prepareForUpdate(claim, old) {
    keepField(claim, old, 'status');
    dropForeignSource(claim.spec, old.spec);
    pairSources(claim.spec);
  },
  validate: ({ spec }) => validateClaimSpec(spec, 'spec'),
  validateUpdate,
  warnings: ({ metadata, spec }) => [
    ...(metadata.annotations?.[BETA_STORAGE_CLASS] === undefined
      ? []
      : [
          `metadata.annotations[${BETA_STORAGE_CLASS}]: deprecated since v1.8; use "storageClassName" attribute instead`,
        ]),
    ...fractionalStorageWarnings(spec, 'spec'),
  ],
  subresources: { status: statusStrategy({ validateUpdate: validateStatus }) },
  selectableFields: ({ metadata }) => ({ name: metadata.name }),
  columns: persistentVolumeClaimColumns,
};
