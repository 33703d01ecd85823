/**
 * Field management on create, update and patch: the writer comes to own what it changed, and others lose it.
 *
 * Hot: runs on every write, see compare.ts.
 */
import type { Schema } from '@k8ts/api';
import { jsonEqual } from '../json.ts';
import type { JsonObject, JsonValue } from '../json.ts';
import { zeroObjectOf } from '../schema/zero-value.ts';
import { formatTime } from '../time.ts';
import { compareObjects } from './compare.ts';
import { difference, isEmptySet, recursiveDifference, union, unionOptional } from './field-set.ts';
import type { FieldSet } from './field-set.ts';
import {
  capUpdateManagers,
  createEntry,
  isReset,
  isSameManager,
  parseEntries,
  sortEntries,
  withFields,
} from './managers.ts';
import type { ManagedFieldsEntry } from './managers.ts';
import { reconcileWithSchema } from './reconcile.ts';

/** What field management needs of every object; `metadata` may be missing in what clients send. */
export type ManagedObject = JsonObject;

/** An object as another version of its kind shows it. */
export interface ConvertedObject {
  readonly object: ManagedObject;
  readonly schema: Schema;
}

export interface UpdateRequest {
  /** As stored; undefined on create. Versions of one kind only: `newObject` and `liveObject` are of `apiVersion`. */
  readonly liveObject: ManagedObject | undefined;
  readonly newObject: ManagedObject;
  readonly schema: Schema;
  /** The `fieldManager` of the request, or what is left of the user agent. Empty becomes `unknown`. */
  readonly manager: string;
  /** The version the request speaks. */
  readonly apiVersion: string;
  /** `status`, `scale` …; empty or absent for the object itself. */
  readonly subresource?: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Fields this endpoint ignores, such as `status` on the main resource: never owned through it. */
  readonly resetFields?: FieldSet;
  /**
   * Shows an object in another version, for managers that wrote in that version. Undefined when there is no such version
   * (any more); those managers are dropped. Without this function all versions are taken to look alike.
   */
  readonly convert?: (object: ManagedObject, apiVersion: string) => ConvertedObject | undefined;
}

/** Returns the new object with `metadata.managedFields` brought up to date. Never fails, never changes its arguments. */
export function updateManagedFields(request: UpdateRequest): ManagedObject {
  const { liveObject, newObject } = request;
  const live = liveObject === undefined ? undefined : entriesOf(liveObject);
  const current = currentEntries(request, live);
  // Objects that were written before anybody tracked them stay untracked until they are applied.
  if (liveObject !== undefined && current.length === 0) return withEntries(newObject, undefined);
  return withEntries(newObject, updateEntries(request, current));
}

/** The entries after an update. Unchanged ones keep their identity. */
export function updateEntries(
  request: UpdateRequest,
  current: readonly ManagedFieldsEntry[],
): readonly ManagedFieldsEntry[] {
  const { liveObject, newObject, schema, apiVersion, resetFields } = request;
  const changes = compareObjects(liveObject ?? zeroObjectOf(schema), newObject, schema);
  let owned = unionOptional(changes.modified, changes.added);
  let lost = unionOptional(owned, changes.removed);
  if (resetFields !== undefined) {
    if (owned !== undefined) owned = recursiveDifference(owned, resetFields);
    if (lost !== undefined) lost = recursiveDifference(lost, resetFields);
  }
  if (lost === undefined || isEmptySet(lost)) return current;

  let entries: ManagedFieldsEntry[] = [];
  for (const entry of current) {
    const lostHere = entry.apiVersion === apiVersion ? lost : lostInVersion(request, entry.apiVersion, lost);
    if (lostHere === undefined) continue;
    const fields = reconcileWithSchema(entry.fieldsV1, schema);
    entries.push(withFields(entry, difference(fields, lostHere)));
  }
  if (owned !== undefined && !isEmptySet(owned)) entries = addOwned(request, entries, owned);
  return sortEntries(capUpdateManagers(entries));
}

function addOwned(
  { manager, apiVersion, subresource, now }: UpdateRequest,
  entries: readonly ManagedFieldsEntry[],
  owned: FieldSet,
): ManagedFieldsEntry[] {
  const mine = createEntry({
    manager: manager === '' ? 'unknown' : manager,
    operation: 'Update',
    apiVersion,
    time: formatTime(now),
    fieldsV1: owned,
    ...(subresource === undefined ? {} : { subresource }),
  });
  const previous = entries.find((entry) => isSameManager(entry, mine));
  if (previous === undefined) return [...entries, mine];
  const merged = withFields(mine, union(previous.fieldsV1, owned));
  return entries.map((entry) => (entry === previous ? merged : entry));
}

/** What a manager of another version loses; undefined when that version is gone. */
function lostInVersion(
  { convert, liveObject, newObject, schema }: UpdateRequest,
  apiVersion: string,
  lost: FieldSet,
): FieldSet | undefined {
  if (convert === undefined) return lost;
  const before = convert(liveObject ?? zeroObjectOf(schema), apiVersion);
  const after = convert(newObject, apiVersion);
  if (before === undefined || after === undefined) return undefined;
  const { removed, modified, added } = compareObjects(before.object, after.object, after.schema);
  return unionOptional(unionOptional(modified, added), removed) ?? {};
}

export function entriesOf(object: ManagedObject): readonly ManagedFieldsEntry[] | undefined {
  const { metadata } = object as {
    readonly metadata?: { readonly managedFields?: readonly ManagedFieldsEntry[] };
  };
  return metadata?.managedFields;
}

/** The entries to start from: the client's own where it may and did send them, otherwise those of the live object. */
function currentEntries(
  { newObject, subresource }: UpdateRequest,
  live: readonly ManagedFieldsEntry[] | undefined,
): readonly ManagedFieldsEntry[] {
  const kept = live ?? [];
  if (subresource !== undefined && subresource !== '') return kept;
  const sent = entriesOf(newObject);
  if (sent === live || sent === undefined) return kept;
  if (isReset(sent)) return [];
  if (jsonEqual(sent, live)) return kept;
  return parseEntries(sent) ?? kept;
}

/** The same object with these entries; with none, the field goes. */
export function withEntries(
  object: ManagedObject,
  entries: readonly ManagedFieldsEntry[] | undefined,
): ManagedObject {
  const metadata = (object['metadata'] ?? {}) as JsonObject;
  if (entries === undefined || entries.length === 0) {
    if (metadata['managedFields'] === undefined) return object;
    const { managedFields: _managedFields, ...rest } = metadata;
    return { ...object, metadata: rest };
  }
  if ((metadata['managedFields'] as unknown) === entries) return object;
  return { ...object, metadata: { ...metadata, managedFields: entries as unknown as JsonValue } };
}
