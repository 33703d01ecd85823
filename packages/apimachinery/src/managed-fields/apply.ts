/**
 * Server-side apply: merges an applied configuration into the object, removes what its manager applied before and no
 * longer does, and keeps account of who owns what. After structured-merge-diff (merge/update.go) and
 * k8s.io/apimachinery/pkg/util/managedfields.
 */
import type { Schema } from '@k8ts/api';
import { formatGroupVersionKind, groupVersionKindOf } from '../group-version.ts';
import { isJsonObject, isWithinDepth, jsonEqual } from '../json.ts';
import type { JsonObject } from '../json.ts';
import { badRequest } from '../status-error.ts';
import { formatTime } from '../time.ts';
import { appliedSet, withNamedFields } from './applied-set.ts';
import { compareObjects } from './compare.ts';
import { applyConflictError } from './conflict.ts';
import type { ManagerConflict } from './conflict.ts';
import {
  difference,
  intersection,
  isEmptySet,
  LEAF,
  recursiveDifference,
  union,
  unionOptional,
} from './field-set.ts';
import type { FieldSet } from './field-set.ts';
import { fieldsOfLastApplied, withLastApplied } from './last-applied.ts';
import { createEntry, isSameManager, sortEntries, withFields } from './managers.ts';
import type { ManagedFieldsEntry } from './managers.ts';
import { reconcileWithSchema } from './reconcile.ts';
import { mergeObjects, removeFields } from './typed-merge.ts';
import { entriesOf, updateEntries, withEntries } from './update.ts';
import type { ManagedObject, UpdateRequest } from './update.ts';
import { typedFaults, typedFaultsText } from './validate-typed.ts';

export interface ApplyRequest {
  /** As stored; undefined when the apply creates the object. */
  readonly liveObject: ManagedObject | undefined;
  /** The applied configuration, decoded. */
  readonly patch: unknown;
  readonly schema: Schema;
  /** The request's `fieldManager`. */
  readonly manager: string;
  /** Take over fields that others own. */
  readonly force: boolean;
  /** The version and kind the endpoint serves; the patch must have the same. */
  readonly apiVersion: string;
  readonly kind: string;
  readonly subresource?: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly resetFields?: FieldSet;
  readonly convert?: UpdateRequest['convert'];
}

export interface ApplyResult {
  /** With `metadata.managedFields`; to be brought into normal form (nulls stand for what was removed), defaulted and validated. */
  readonly object: ManagedObject;
  /** The configuration changed nothing but, perhaps, who owns what. */
  readonly unchanged: boolean;
}

/** Fields of the metadata, and the envelope, that nobody owns (upstream's stripmeta). */
const UNOWNED: FieldSet = {
  'f:apiVersion': LEAF,
  'f:kind': LEAF,
  'f:metadata': {
    '.': LEAF,
    'f:clusterName': LEAF,
    'f:creationTimestamp': LEAF,
    'f:generation': LEAF,
    'f:managedFields': LEAF,
    'f:name': LEAF,
    'f:namespace': LEAF,
    'f:resourceVersion': LEAF,
    'f:selfLink': LEAF,
    'f:uid': LEAF,
  },
};

/** Throws StatusError: 400 for a configuration that does not fit, 409 for conflicts. Changes none of its arguments. */
export function applyPatch(request: ApplyRequest): ApplyResult {
  const patch = checkedPatch(request);
  const attempt = tryApply(request, patch, request.force);
  const { conflicts } = attempt;
  if (conflicts.length === 0) return attempt.result;
  if (request.manager !== 'kubectl') throw applyConflictError(conflicts);
  // What client-side apply wrote, and nobody changed since, kubectl may take over.
  const own = fieldsOfLastApplied(request.liveObject, request.apiVersion, request.schema);
  const others =
    own === undefined
      ? conflicts
      : conflicts
          .map(({ entry, fields }) => ({ entry, fields: difference(fields, own) }))
          .filter(({ fields }) => !isEmptySet(fields));
  if (others.length > 0) throw applyConflictError(others);
  return tryApply(request, patch, true).result;
}

function checkedPatch({ patch, apiVersion, kind, schema }: ApplyRequest): JsonObject {
  if (!isJsonObject(patch))
    throw badRequest('error decoding YAML: the applied configuration must be an object');
  if (!isWithinDepth(patch)) throw badRequest('error decoding YAML: exceeded max depth');
  if (patch['apiVersion'] !== apiVersion || patch['kind'] !== kind) {
    const found = groupVersionKindOf({ apiVersion: text(patch['apiVersion']), kind: text(patch['kind']) });
    throw badRequest(`invalid object type: ${formatGroupVersionKind(found)}`);
  }
  const metadata = patch['metadata'];
  if (isJsonObject(metadata) && metadata['managedFields'] !== undefined && metadata['managedFields'] !== null)
    throw badRequest('metadata.managedFields must be nil');
  const faults = typedFaults(patch, schema);
  if (faults.length > 0) {
    const { name, namespace } = isJsonObject(metadata) ? metadata : {};
    const identity = `${text(namespace)}/${text(name)}; ${formatGroupVersionKind(groupVersionKindOf({ apiVersion, kind }))}`;
    throw badRequest(`failed to create typed patch object (${identity}): ${typedFaultsText(faults)}`);
  }
  return patch;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

interface Attempt {
  readonly conflicts: readonly ManagerConflict[];
  readonly result: ApplyResult;
}

function tryApply(request: ApplyRequest, patch: JsonObject, force: boolean): Attempt {
  const { schema, manager, apiVersion, subresource, now, resetFields } = request;
  const live = request.liveObject ?? {};
  const current = trackedEntries(request).map((entry) =>
    withFields(entry, reconcileWithSchema(entry.fieldsV1, schema)),
  );
  let fields = appliedSet(patch, schema);
  if (resetFields !== undefined) fields = recursiveDifference(fields, resetFields);
  const mine = createEntry({
    manager: manager === '' ? 'unknown' : manager,
    operation: 'Apply',
    apiVersion,
    time: undefined,
    fieldsV1: fields,
    ...(subresource === undefined ? {} : { subresource }),
  });
  const previous = current.find((entry) => isSameManager(entry, mine));
  const others = current.filter((entry) => entry !== previous);
  const bare = withEntries(live, undefined);
  const merged = mergeObjects(bare, patch, schema);
  const next = prune(request, merged, previous?.fieldsV1, [...others, mine]);

  const { kept, conflicts } = settle(request, bare, next, others, force);
  if (conflicts.length > 0) return { conflicts, result: { object: bare, unchanged: true } };
  const unchanged = jsonEqual(bare, next);
  // As upstream: a configuration that changes nothing does not touch the time.
  const time = unchanged ? previous?.time : formatTime(now);
  const stripped = createEntry({ ...mine, time, fieldsV1: difference(fields, UNOWNED) });
  const object = withLastApplied(unchanged ? bare : next, patch, manager);
  return { conflicts, result: { object: withEntries(object, sortEntries([...kept, stripped])), unchanged } };
}

/** The live object's entries. An object nobody tracked yet belongs to `before-first-apply`. */
function trackedEntries(request: ApplyRequest): readonly ManagedFieldsEntry[] {
  const { liveObject } = request;
  if (liveObject === undefined) return [];
  const entries = entriesOf(liveObject) ?? [];
  if (entries.length > 0) return entries;
  const { schema, apiVersion, subresource, now } = request;
  return updateEntries(
    {
      liveObject: undefined,
      newObject: liveObject,
      schema,
      manager: 'before-first-apply',
      apiVersion,
      now,
      ...(subresource === undefined ? {} : { subresource }),
      ...(request.resetFields === undefined ? {} : { resetFields: request.resetFields }),
    },
    [],
  );
}

/** What the other managers keep; with `force` they lose what changed, without it that is a conflict. */
function settle(
  request: ApplyRequest,
  live: ManagedObject,
  next: ManagedObject,
  others: readonly ManagedFieldsEntry[],
  force: boolean,
): { readonly kept: readonly ManagedFieldsEntry[]; readonly conflicts: readonly ManagerConflict[] } {
  const { schema, apiVersion, convert, resetFields } = request;
  const kept: ManagedFieldsEntry[] = [];
  const conflicts: ManagerConflict[] = [];
  for (const entry of others) {
    let changes;
    if (entry.apiVersion === apiVersion || convert === undefined) {
      changes = compareObjects(live, next, schema);
    } else {
      const before = convert(live, entry.apiVersion);
      const after = convert(next, entry.apiVersion);
      if (before === undefined || after === undefined) continue; // the version is gone, and its managers with it
      changes = compareObjects(before.object, after.object, after.schema);
    }
    const changed = withoutReset(unionOptional(changes.modified, changes.added), resetFields);
    const removed = withoutReset(changes.removed, resetFields);
    const conflict = intersection(entry.fieldsV1, changed);
    if (!force && !isEmptySet(conflict)) conflicts.push({ entry, fields: conflict });
    kept.push(withFields(entry, difference(difference(entry.fieldsV1, changed), removed)));
  }
  return { kept, conflicts };
}

function withoutReset(set: FieldSet | undefined, resetFields: FieldSet | undefined): FieldSet {
  if (set === undefined) return LEAF;
  return resetFields === undefined ? set : recursiveDifference(set, resetFields);
}

/**
 * Removes what the manager applied last time and not this time, unless somebody else owns it, or it was never the
 * manager's: items and fields come back when another manager has them, or something below them.
 */
function prune(
  { schema, convert, apiVersion }: ApplyRequest,
  merged: ManagedObject,
  last: FieldSet | undefined,
  entries: readonly ManagedFieldsEntry[],
): ManagedObject {
  if (last === undefined || isEmptySet(last)) return merged;
  const lastNamed = withNamedFields(last, schema);
  const mergedNamed = withNamedFields(appliedSet(merged, schema), schema);
  let managed: FieldSet = LEAF;
  for (const entry of entries) {
    // Sets of other versions name fields in their own way; what cannot be told apart stays.
    const sameNames = entry.apiVersion === apiVersion || convert === undefined;
    managed = union(managed, sameNames ? entry.fieldsV1 : translated(entry, merged, convert, mergedNamed));
  }
  const managedNamed = withNamedFields(managed, schema);

  const stripped = removeFields(merged, lastNamed, schema);
  const strippedNamed = withNamedFields(appliedSet(stripped, schema), schema);
  const withOwned = removeFields(merged, difference(mergedNamed, union(strippedNamed, managedNamed)), schema);
  const withOwnedNamed = withNamedFields(appliedSet(withOwned, schema), schema);
  return removeFields(merged, intersection(difference(mergedNamed, withOwnedNamed), lastNamed), schema);
}

/** The fields of this version that a manager of another version is taken to own: all, where it owns anything that exists. */
function translated(
  entry: ManagedFieldsEntry,
  merged: ManagedObject,
  convert: NonNullable<ApplyRequest['convert']>,
  mergedNamed: FieldSet,
): FieldSet {
  const converted = convert(merged, entry.apiVersion);
  if (converted === undefined) return LEAF;
  const present = withNamedFields(appliedSet(converted.object, converted.schema), converted.schema);
  const owned = intersection(withNamedFields(entry.fieldsV1, converted.schema), present);
  if (isEmptySet(owned)) return LEAF;
  // Names that both versions share are exact; where they differ, keep everything rather than lose somebody's field.
  const shared = intersection(owned, mergedNamed);
  return isEmptySet(difference(owned, shared)) ? shared : mergedNamed;
}
