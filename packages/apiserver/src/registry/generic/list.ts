/**
 * LIST with Kubernetes' semantics of resource versions and pages
 * (kubernetes.io/docs/reference/using-api/api-concepts#semantics-for-get-and-list).
 */
import {
  badRequest,
  expired,
  parseFieldSelector,
  parseLabelSelector,
  SelectorError,
  StatusError,
  unknownFieldMessage,
  unsupportedFieldMessage,
  zeroObjectOf,
  type FieldSelector,
  type LabelSelector,
} from '@k8ts/apimachinery';
import type { Clock } from '@k8ts/base';
import { CompactedError, FutureRevisionError, type KeyValue, type Store } from '@k8ts/store';
import type { ListResult } from '../../request/result.ts';
import type { ObjectRecord } from '../../storage/object-record.ts';
import { storeError } from '../../storage/resource-storage.ts';
import type { Stretch } from '../../watch-cache/ordered-records.ts';
import { createSelection, selectedName, selects, type Selection } from '../../watch-cache/selection.ts';
import { tooLargeResourceVersion, type WatchCache } from '../../watch-cache/watch-cache.ts';
import type { ServedResource } from '../served-resource.ts';
import { decodeContinue, encodeContinue } from './continue-token.ts';
import { parseResourceVersion, type ListParameters } from './options.ts';

export interface ListScope {
  readonly served: ServedResource;
  readonly store: Store;
  readonly clock: Clock;
  /** Empty: all namespaces. */
  readonly namespace: string;
  /** A single name, from the path of a watch or from the selector. */
  readonly name: string;
}

/** The selection that the parameters describe. Throws 400 for selectors that cannot be read or are not supported. */
export function selectionOf(scope: ListScope, parameters: ListParameters): Selection {
  const labels = parsed(() => parseLabelSelector(parameters.labelSelector));
  let fields = parsed(() => parseFieldSelector(parameters.fieldSelector));
  for (const { field } of fields) checkField(scope.served, field);
  if (scope.name !== '' && !fields.some(({ field }) => field === 'metadata.name'))
    fields = [...fields, { field: 'metadata.name', operator: '=', value: scope.name }];
  let namespace = scope.namespace === '' ? undefined : scope.namespace;
  // A selector may narrow a list over all namespaces to one.
  namespace ??= scope.served.info.namespaced
    ? fields.find(({ field, operator }) => field === 'metadata.namespace' && operator === '=')?.value
    : undefined;
  return createSelection(namespace === '' ? undefined : namespace, labels, fields);
}

function parsed<T extends FieldSelector | LabelSelector>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof SelectorError) throw badRequest(error.message);
    throw error;
  }
}

/** A field label is supported when the kind offers it. Kinds offer the same ones whatever the object. */
function checkField(served: ServedResource, field: string): void {
  if (field === 'metadata.name') return;
  if (field === 'metadata.namespace') return;
  const { strategy } = served;
  if (strategy?.selectableFields !== undefined) {
    const empty = { ...zeroObjectOf(served.storageSchema()), metadata: { name: '' } };
    if (Object.hasOwn(strategy.selectableFields(empty), field)) return;
    throw badRequest(unsupportedFieldMessage(field));
  }
  throw badRequest(unknownFieldMessage(field));
}

export async function list(scope: ListScope, parameters: ListParameters): Promise<ListResult> {
  const { cache } = scope.served.storage;
  const selection = selectionOf(scope, parameters);
  const { limit, continueToken, resourceVersion, resourceVersionMatch: match } = parameters;
  // A part is read without the rest: what elsewhere cannot be converted does not matter here.
  const isPart = selection.namespace !== undefined || selectedName(selection) !== undefined;
  if (!cache.loaded) {
    if (cache.mayConvert && isPart) cache.warm();
    else await cache.load();
  }
  const { start, end } = cache.rangeOf(selection);

  if (continueToken !== '') {
    if (resourceVersion !== '' && resourceVersion !== '0')
      throw badRequest('specifying resource version is not allowed when using continue');
    const token = decodeContinue(continueToken, start);
    if (token.revision > 0) return listAt(scope, selection, token.revision, token.startKey, end, limit, true);
    // An inconsistent continuation goes on with what is there now.
    await catchUp(scope);
    return listNow(scope, selection, token.startKey, end, limit);
  }
  const wanted = parseResourceVersion(resourceVersion);
  const exact = match === 'Exact' || (match === '' && limit > 0 && wanted > 0);
  if (exact && wanted > 0) return listAt(scope, selection, wanted, start, end, limit, false);
  if (resourceVersion === '') await catchUp(scope);
  else if (wanted > cache.revision) await cache.waitFor(wanted);
  // "Any" and "not older than" are answered whole (upstream ignores the limit for rv=0 as well).
  const pages = resourceVersion === '0' ? 0 : limit;
  return listNow(scope, selection, start, end, pages);
}

function listNow(
  scope: ListScope,
  selection: Selection,
  start: string,
  end: string,
  limit: number,
): Promise<ListResult> {
  const { cache } = scope.served.storage;
  return cache.loaded
    ? fromCache(scope, selection, start, end, limit)
    : fromStore(scope, selection, cache.revision, start, end, limit, false);
}

/** The newest state is wanted: with a store that others write too, the cache must first have seen it. */
export async function catchUp({ store, served }: ListScope): Promise<void> {
  const { cache } = served.storage;
  if (!store.exclusive) await cache.waitFor(await guarded(served, () => store.revision()));
  else if (!cache.isCurrent) await cache.waitFor(cache.seen);
}

async function fromCache(
  scope: ListScope,
  selection: Selection,
  start: string,
  end: string,
  limit: number,
  revision: number = scope.served.storage.cache.revision,
): Promise<ListResult> {
  const { served, clock } = scope;
  const { cache } = served.storage;
  const name = selectedName(selection);
  if (name !== undefined && (selection.namespace !== undefined || !served.info.namespaced)) {
    const record = cache.records.get(served.storage.key(selection.namespace ?? '', name));
    const found = record !== undefined && selects(selection, record) ? [record] : [];
    return result(served, revision, stretchOf(found), '', undefined);
  }
  if (selection.unfiltered) {
    const stretches = cache.snapshot(start, end, limit > 0 ? limit : undefined);
    if (limit === 0) return result(served, revision, stretches, '', undefined);
    const last = lastOf(stretches);
    const total = cache.records.count(start, end);
    const shown = stretches.reduce((sum, { from, to }) => sum + to - from, 0);
    if (last === undefined || shown >= total) return result(served, revision, stretches, '', undefined);
    return result(
      served,
      revision,
      stretches,
      continueAfter(last, served, selection, revision),
      total - shown,
    );
  }
  const { records, more } = await filtered(cache.snapshot(start, end), selection, limit, clock);
  const last = records.at(-1);
  return result(
    served,
    revision,
    stretchOf(records),
    more && last !== undefined ? continueAfter(last, served, selection, revision) : '',
    undefined,
  );
}

/** What was there at `revision`: from the cache if nothing of the resource has changed since, else from the store. */
async function listAt(
  scope: ListScope,
  selection: Selection,
  revision: number,
  start: string,
  end: string,
  limit: number,
  isContinuation: boolean,
): Promise<ListResult> {
  const { cache } = scope.served.storage;
  if (revision > cache.revision) await cache.waitFor(revision);
  if (cache.isUnchangedSince(revision)) return fromCache(scope, selection, start, end, limit, revision);
  return fromStore(scope, selection, revision, start, end, limit, isContinuation);
}

/** So many keys are read from the store at once. */
const STORE_PAGE = 500;

async function fromStore(
  { served, store, clock }: ListScope,
  selection: Selection,
  revision: number,
  start: string,
  end: string,
  limit: number,
  isContinuation: boolean,
): Promise<ListResult> {
  const { cache } = served.storage;
  const records: ObjectRecord[] = [];
  let from = start;
  let total: number | undefined;
  for (;;) {
    // Without selectors every key counts; with them it is not known how many must be looked at.
    const wanted =
      limit > 0 && selection.unfiltered ? Math.min(STORE_PAGE, limit - records.length) : STORE_PAGE;
    const page = await guarded(served, () =>
      store.range({ start: from, end, revision, limit: wanted }),
    ).catch((error: unknown) => {
      throw readError(error, revision, cache.revision, isContinuation, () =>
        encodeContinue(from, cache.rangeOf(selection).start, -1),
      );
    });
    total ??= page.count;
    const isFull = takeSelected(await found(page.items, cache), selection, limit, records);
    const last = page.items.at(-1);
    const hasMore = isFull || page.more;
    if (!hasMore || last === undefined) return result(served, revision, stretchOf(records), '', undefined);
    if (isFull || records.length === limit)
      return result(
        served,
        revision,
        stretchOf(records),
        continueAfter(records.at(-1) as ObjectRecord, served, selection, revision),
        selection.unfiltered ? total - records.length : undefined,
      );
    from = `${last.key}\u0000`;
    await clock.yield();
  }
}

/** The records that the cache has, or those of the store. What is no object is left out. */
async function found(items: readonly KeyValue[], cache: WatchCache): Promise<readonly ObjectRecord[]> {
  const known = items.map(({ key, modRevision }) => {
    const record = cache.records.get(key);
    return record?.revision === modRevision ? record : undefined;
  });
  const read = await cache.recordsOf(items.filter((_, at) => known[at] === undefined));
  let next = 0;
  return known.map((record) => record ?? read[next++]).filter((record) => record !== undefined);
}

/** Adds what is selected, up to the limit; true when something selected was left over. */
function takeSelected(
  items: readonly ObjectRecord[],
  selection: Selection,
  limit: number,
  records: ObjectRecord[],
): boolean {
  for (const record of items) {
    if (!selects(selection, record)) continue;
    if (limit > 0 && records.length === limit) return true;
    records.push(record);
  }
  return false;
}

function continueAfter(
  last: ObjectRecord,
  served: ServedResource,
  selection: Selection,
  revision: number,
): string {
  return encodeContinue(`${last.key}\u0000`, served.storage.cache.rangeOf(selection).start, revision);
}

function readError(
  error: unknown,
  revision: number,
  current: number,
  isContinuation: boolean,
  nextToken: () => string,
): unknown {
  if (error instanceof FutureRevisionError) return tooLargeResourceVersion(revision, current);
  if (!(error instanceof CompactedError)) return error;
  if (!isContinuation) return expired('The resourceVersion for the provided list is too old.');
  const gone = expired(
    'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.',
  );
  return new StatusError({ ...gone.status, metadata: { continue: nextToken() } });
}

async function guarded<T>(served: ServedResource, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw storeError(served.groupResource, 'list', error);
  }
}

/** So many records are looked at before other work gets its turn. */
const FILTER_TURN = 1_000;

async function filtered(
  stretches: readonly Stretch[],
  selection: Selection,
  limit: number,
  clock: Clock,
): Promise<{ readonly records: ObjectRecord[]; readonly more: boolean }> {
  const records: ObjectRecord[] = [];
  let looked = 0;
  for (const { records: leaf, from, to } of stretches) {
    for (let at = from; at < to; at++) {
      const record = leaf[at] as ObjectRecord;
      if (!selects(selection, record)) continue;
      if (limit > 0 && records.length === limit) return { records, more: true };
      records.push(record);
    }
    looked += to - from;
    if (looked < FILTER_TURN) continue;
    looked = 0;
    await clock.yield();
  }
  return { records, more: false };
}

function stretchOf(records: readonly ObjectRecord[]): Stretch[] {
  return records.length === 0 ? [] : [{ records, from: 0, to: records.length, leaf: undefined }];
}

function lastOf(stretches: readonly Stretch[]): ObjectRecord | undefined {
  const last = stretches.at(-1);
  return last?.records[last.to - 1];
}

function result(
  served: ServedResource,
  revision: number,
  stretches: readonly Stretch[],
  continueToken: string,
  remainingItemCount: number | undefined,
): ListResult {
  return {
    kind: 'list',
    served,
    revision: String(revision),
    continueToken,
    remainingItemCount,
    stretches,
  };
}

/** All records of a result, in order. */
export function* recordsOf(list: ListResult): Generator<ObjectRecord> {
  for (const { records, from, to } of list.stretches)
    for (let at = from; at < to; at++) yield records[at] as ObjectRecord;
}
