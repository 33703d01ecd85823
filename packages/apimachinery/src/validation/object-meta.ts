/**
 * The rules every object's `metadata` is held to (k8s.io/apimachinery/pkg/api/validation/objectmeta.go and
 * apis/meta/v1/validation). All functions return what is wrong; nothing is thrown.
 */
import { parseGroupVersion } from '../group-version.ts';
import { goQuote, isPrintable } from '../go-quote.ts';
import type { FieldError } from '../status-error.ts';
import { child, forbiddenField, index, invalidValue, required, tooLong } from './field-errors.ts';
import { exceedsBytes, isQualifiedName, isValidLabelValue, nameIsDNSLabel } from './names.ts';
import type { NameRule } from './names.ts';

export const FIELD_IMMUTABLE: string = 'field is immutable';
export const TOTAL_ANNOTATION_SIZE_LIMIT: number = 256 * 1024;
const FIELD_MANAGER_MAX_LENGTH = 128;
const SUBRESOURCE_MAX_LENGTH = 256;

/** What these rules read of meta/v1's ObjectMeta. */
export interface ObjectMetaFields {
  readonly name?: string;
  readonly generateName?: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly deletionGracePeriodSeconds?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReferenceFields[];
  readonly finalizers?: readonly string[];
  readonly managedFields?: readonly ManagedFieldsEntryFields[];
}

export interface OwnerReferenceFields {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

export interface ManagedFieldsEntryFields {
  readonly manager?: string;
  readonly operation?: string;
  readonly fieldsType?: string;
  readonly subresource?: string;
}

/** For creates. The name was generated already where one was to be generated. */
export function validateObjectMeta(
  meta: ObjectMetaFields,
  namespaced: boolean,
  nameRule: NameRule,
  path = 'metadata',
): FieldError[] {
  const errors: FieldError[] = [];
  const { generateName = '', name = '', namespace = '' } = meta;
  if (generateName !== '') {
    for (const message of nameRule(generateName, true))
      errors.push(invalidValue(child(path, 'generateName'), generateName, message));
  }
  if (name === '') {
    errors.push(required(child(path, 'name'), 'name or generateName is required'));
  } else {
    for (const message of nameRule(name, false))
      errors.push(invalidValue(child(path, 'name'), name, message));
  }
  if (!namespaced) {
    if (namespace !== '') errors.push(forbiddenField(child(path, 'namespace'), 'not allowed on this type'));
  } else if (namespace === '') {
    errors.push(required(child(path, 'namespace'), ''));
  } else {
    for (const message of nameIsDNSLabel(namespace, false))
      errors.push(invalidValue(child(path, 'namespace'), namespace, message));
  }
  if ((meta.generation ?? 0) < 0)
    errors.push(
      invalidValue(child(path, 'generation'), meta.generation, 'must be greater than or equal to 0'),
    );
  if (meta.labels !== undefined) errors.push(...validateLabels(meta.labels, child(path, 'labels')));
  if (meta.annotations !== undefined)
    errors.push(...validateAnnotations(meta.annotations, child(path, 'annotations')));
  if (meta.ownerReferences !== undefined)
    errors.push(...validateOwnerReferences(meta.ownerReferences, child(path, 'ownerReferences')));
  if (meta.finalizers !== undefined)
    errors.push(...validateFinalizers(meta.finalizers, child(path, 'finalizers')));
  if (meta.managedFields !== undefined)
    errors.push(...validateManagedFields(meta.managedFields, child(path, 'managedFields')));
  return errors;
}

/** For updates: what may not change, and the rest of the rules once more. */
export function validateObjectMetaUpdate(
  next: ObjectMetaFields,
  previous: ObjectMetaFields,
  path = 'metadata',
): FieldError[] {
  const errors: FieldError[] = [];
  if (previous.deletionTimestamp !== undefined)
    errors.push(
      ...validateNoNewFinalizers(next.finalizers ?? [], previous.finalizers ?? [], child(path, 'finalizers')),
    );
  if ((next.resourceVersion ?? '') === '')
    errors.push(
      invalidValue(
        child(path, 'resourceVersion'),
        next.resourceVersion ?? '',
        'must be specified for an update',
      ),
    );
  if ((next.generation ?? 0) < (previous.generation ?? 0))
    errors.push(invalidValue(child(path, 'generation'), next.generation ?? 0, 'must not be decremented'));
  for (const name of ['name', 'namespace', 'uid'] as const) {
    if ((next[name] ?? '') !== (previous[name] ?? ''))
      errors.push(invalidValue(child(path, name), next[name] ?? '', FIELD_IMMUTABLE));
  }
  for (const name of ['creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds'] as const) {
    if (next[name] !== previous[name])
      errors.push(invalidValue(child(path, name), next[name], FIELD_IMMUTABLE));
  }
  if (next.labels !== undefined) errors.push(...validateLabels(next.labels, child(path, 'labels')));
  if (next.annotations !== undefined)
    errors.push(...validateAnnotations(next.annotations, child(path, 'annotations')));
  if (next.ownerReferences !== undefined)
    errors.push(...validateOwnerReferences(next.ownerReferences, child(path, 'ownerReferences')));
  if (next.managedFields !== undefined)
    errors.push(...validateManagedFields(next.managedFields, child(path, 'managedFields')));
  return errors;
}

export function validateLabels(labels: Readonly<Record<string, string>>, path: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const [name, value] of Object.entries(labels)) {
    for (const message of isQualifiedName(name)) errors.push(invalidValue(path, name, message));
    for (const message of isValidLabelValue(value)) errors.push(invalidValue(path, value, message));
  }
  return errors;
}

export function validateLabelName(name: string, path: string): FieldError[] {
  return isQualifiedName(name).map((message) => invalidValue(path, name, message));
}

export function validateAnnotations(
  annotations: Readonly<Record<string, string>>,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  let size = 0;
  for (const [name, value] of Object.entries(annotations)) {
    // Case does not matter in annotations, though it does in labels.
    for (const message of isQualifiedName(name.toLowerCase())) errors.push(invalidValue(path, name, message));
    size += Buffer.byteLength(name) + Buffer.byteLength(value);
  }
  if (size > TOTAL_ANNOTATION_SIZE_LIMIT) errors.push(tooLong(path, TOTAL_ANNOTATION_SIZE_LIMIT));
  return errors;
}

export function validateOwnerReferences(
  references: readonly OwnerReferenceFields[],
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  let controller = '';
  for (const reference of references) {
    errors.push(...validateOwnerReference(reference, path));
    if (reference.controller !== true) continue;
    const current = `${reference.kind}/${reference.name}`;
    if (controller === '') controller = current;
    else
      errors.push(
        invalidValue(
          path,
          references,
          `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${current}`,
        ),
      );
  }
  return errors;
}

function validateOwnerReference(reference: OwnerReferenceFields, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { apiVersion = '', kind = '', name = '', uid = '' } = reference;
  const version = parseGroupVersion(apiVersion)?.version ?? '';
  if (version === '')
    errors.push(invalidValue(child(path, 'apiVersion'), apiVersion, 'version must not be empty'));
  if (kind === '') errors.push(invalidValue(child(path, 'kind'), kind, 'must not be empty'));
  if (name === '') errors.push(invalidValue(child(path, 'name'), name, 'must not be empty'));
  if (uid === '') errors.push(invalidValue(child(path, 'uid'), uid, 'must not be empty'));
  if (apiVersion === 'v1' && kind === 'Event')
    errors.push(invalidValue(path, reference, '/v1, Kind=Event is disallowed from being an owner'));
  return errors;
}

export function validateFinalizers(finalizers: readonly string[], path: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const finalizer of finalizers) {
    for (const message of isQualifiedName(finalizer)) errors.push(invalidValue(path, finalizer, message));
  }
  if (finalizers.includes('orphan') && finalizers.includes('foregroundDeletion'))
    errors.push(invalidValue(path, finalizers, 'finalizer orphan and foregroundDeletion cannot be both set'));
  return errors;
}

function validateNoNewFinalizers(
  next: readonly string[],
  previous: readonly string[],
  path: string,
): FieldError[] {
  const known = new Set(previous);
  const extra = [...new Set(next)].filter((finalizer) => !known.has(finalizer)).sort();
  if (extra.length === 0) return [];
  const list = `[]string{${extra.map(goQuote).join(', ')}}`;
  return [
    forbiddenField(
      path,
      `no new finalizers can be added if the object is being deleted, found new finalizers ${list}`,
    ),
  ];
}

export function validateManagedFields(
  entries: readonly ManagedFieldsEntryFields[],
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  for (const [position, entry] of entries.entries()) {
    const { operation = '', fieldsType = '', manager = '', subresource = '' } = entry;
    if (operation !== 'Apply' && operation !== 'Update')
      errors.push(
        invalidValue(child(index(path, position), 'operation'), operation, 'must be `Apply` or `Update`'),
      );
    if (fieldsType !== '' && fieldsType !== 'FieldsV1')
      errors.push(invalidValue(child(index(path, position), 'fieldsType'), fieldsType, 'must be `FieldsV1`'));
    if (!PLAIN_MANAGER.test(manager))
      errors.push(...validateFieldManager(manager, child(index(path, position), 'manager')));
    if (exceedsBytes(subresource, SUBRESOURCE_MAX_LENGTH))
      errors.push(tooLong(child(index(path, position), 'subresource'), SUBRESOURCE_MAX_LENGTH));
  }
  return errors;
}

const PLAIN_MANAGER = /^[ -~]{0,128}$/;

/** At most 128 bytes, all printable. Empty means that the server chooses the name. */
export function validateFieldManager(manager: string, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (exceedsBytes(manager, FIELD_MANAGER_MAX_LENGTH)) errors.push(tooLong(path, FIELD_MANAGER_MAX_LENGTH));
  let position = 0;
  for (const char of manager) {
    if (!isPrintable(char))
      errors.push(
        invalidValue(path, manager, `invalid character ${unicodeName(char)} (at position ${position})`),
      );
    position += Buffer.byteLength(char);
  }
  return errors;
}

// Go's %#U of a character that cannot be printed: no quoted form follows.
function unicodeName(char: string): string {
  return `U+${(char.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0')}`;
}
