/** The entries of `metadata.managedFields`: who manages what, since when (k8s.io/apimachinery/pkg/util/managedfields). */
import { jsonEqual } from '../json.ts';
import { isEmptySet, parseFieldSet, union } from './field-set.ts';
import type { FieldSet } from './field-set.ts';

export type ManagerOperation = 'Apply' | 'Update';

/** An entry as it is on the wire. */
export interface ManagedFieldsEntry {
  readonly manager?: string;
  readonly operation: ManagerOperation;
  readonly apiVersion: string;
  /** RFC 3339, whole seconds. */
  readonly time?: string;
  readonly fieldsType: 'FieldsV1';
  readonly fieldsV1: FieldSet;
  readonly subresource?: string;
}

/** Updates are kept apart for this many managers; the oldest are merged into one called `ancient-changes`. */
const MAX_UPDATE_MANAGERS = 10;
const ANCIENT_MANAGER = 'ancient-changes';

/** The same manager: applying does not depend on the version, updating does. */
export function isSameManager(a: ManagedFieldsEntry, b: ManagedFieldsEntry): boolean {
  return (
    a.operation === b.operation &&
    (a.manager ?? '') === (b.manager ?? '') &&
    (a.subresource ?? '') === (b.subresource ?? '') &&
    (a.operation === 'Apply' || a.apiVersion === b.apiVersion)
  );
}

/** The members in Go's order; what is empty is left out. Written out, since every write of the API makes one. */
export function createEntry(
  entry: Omit<ManagedFieldsEntry, 'fieldsType' | 'time'> & { readonly time: string | undefined },
): ManagedFieldsEntry {
  const { manager, operation, apiVersion, time, fieldsV1, subresource } = entry;
  const created: { -readonly [K in keyof ManagedFieldsEntry]?: ManagedFieldsEntry[K] } = {};
  if (manager !== undefined && manager !== '') created.manager = manager;
  created.operation = operation;
  created.apiVersion = apiVersion;
  if (time !== undefined) created.time = time;
  created.fieldsType = 'FieldsV1';
  created.fieldsV1 = fieldsV1;
  if (subresource !== undefined && subresource !== '') created.subresource = subresource;
  return created as ManagedFieldsEntry;
}

export function withFields(entry: ManagedFieldsEntry, fieldsV1: FieldSet): ManagedFieldsEntry {
  return entry.fieldsV1 === fieldsV1 ? entry : { ...entry, fieldsV1 };
}

/** Clients reset the tracking by sending an empty list, or a list of one empty entry. */
export function isReset(entries: readonly object[] | undefined): boolean {
  if (entries === undefined) return false;
  return entries.length === 0 || (entries.length === 1 && jsonEqual(entries[0], {}));
}

/**
 * Entries that a client sent. Undefined when they are absent or cannot be understood: then the ones of the live object
 * stay, so that clients that know nothing of them cannot lose them.
 */
export function parseEntries(
  entries: readonly object[] | undefined,
): readonly ManagedFieldsEntry[] | undefined {
  if (entries === undefined || entries.length === 0) return undefined;
  try {
    return entries.map((entry) => parseEntry(entry as Partial<ManagedFieldsEntry>));
  } catch {
    return undefined;
  }
}

function parseEntry(entry: Partial<ManagedFieldsEntry>): ManagedFieldsEntry {
  const { manager, operation, apiVersion = '', time, fieldsType, fieldsV1 = {}, subresource } = entry;
  if (operation !== 'Apply' && operation !== 'Update')
    throw new Error('operation must be `Apply` or `Update`');
  if (apiVersion === '') throw new Error('apiVersion must not be empty');
  if (fieldsType !== 'FieldsV1') throw new Error(`invalid fieldsType ${String(fieldsType)}`);
  return createEntry({
    ...(manager === undefined ? {} : { manager }),
    operation,
    apiVersion,
    time,
    fieldsV1: parseFieldSet(fieldsV1),
    ...(subresource === undefined ? {} : { subresource }),
  });
}

/** Appliers first, then by time, name, version and subresource. Entries without fields go. */
export function sortEntries(entries: readonly ManagedFieldsEntry[]): readonly ManagedFieldsEntry[] {
  return entries.filter((entry) => !isEmptySet(entry.fieldsV1)).sort(compareEntries);
}

function compareEntries(a: ManagedFieldsEntry, b: ManagedFieldsEntry): number {
  return (
    compareText(a.operation, b.operation) ||
    compareText(a.time ?? '', b.time ?? '') || // canonical times sort as texts
    compareText(a.manager ?? '', b.manager ?? '') ||
    compareText(a.apiVersion, b.apiVersion) ||
    compareText(a.subresource ?? '', b.subresource ?? '')
  );
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Merges the oldest updates, by version, until there are few enough. The first of a version only moves into the bucket
 * when a second one comes.
 */
export function capUpdateManagers(entries: readonly ManagedFieldsEntry[]): readonly ManagedFieldsEntry[] {
  const updaters = entries.filter((entry) => entry.operation === 'Update');
  let count = updaters.length;
  if (count <= MAX_UPDATE_MANAGERS) return entries;
  updaters.sort(
    (a, b) => compareText(a.time ?? '', b.time ?? '') || compareText(a.manager ?? '', b.manager ?? ''),
  );
  const kept = new Set(entries);
  const buckets = new Map<string, { first: ManagedFieldsEntry; bucket: ManagedFieldsEntry | undefined }>();
  for (const entry of updaters) {
    if (count <= MAX_UPDATE_MANAGERS) break;
    const known = buckets.get(entry.apiVersion);
    if (known === undefined) {
      buckets.set(entry.apiVersion, { first: entry, bucket: undefined });
      continue;
    }
    const previous = known.bucket ?? known.first;
    kept.delete(previous);
    kept.delete(entry);
    known.bucket = createEntry({
      manager: ANCIENT_MANAGER,
      operation: 'Update',
      apiVersion: entry.apiVersion,
      time: entry.time,
      fieldsV1: union(entry.fieldsV1, previous.fieldsV1),
    });
    kept.add(known.bucket);
    count--;
  }
  return [...kept];
}
