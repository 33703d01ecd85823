/**
 * Strategic merge patch: merges by the schema's patch strategies and merge keys, with directives in the patch. Behaves as
 * k8s.io/apimachinery/pkg/util/strategicpatch does on the server, order of merged lists included.
 *
 *     { spec: { template: { spec: {
 *       "$setElementOrder/containers": [{ name: "a" }, { name: "b" }],   the order wished for
 *       containers: [{ name: "a", image: "new" },                        merged by name
 *                    { name: "c", $patch: "delete" }],                   removed
 *       volumes: [{ $patch: "replace" }, { name: "v" }],                 replaced whole
 *     } } } },
 *     "$deleteFromPrimitiveList/finalizers": ["x"],
 *     strategy: { $retainKeys: ["type"], type: "Recreate" } }            all other keys go
 *
 * The document is not changed; what the patch does not touch is shared with the result.
 */
import type { Schema } from '@k8ts/api';
import { goQuote } from '../go-quote.ts';
import { getOwn, goValueText, isJsonArray, isJsonObject, isWithinDepth, setOwn } from '../json.ts';
import type { JsonArray, JsonObject, JsonValue, MutableJsonObject } from '../json.ts';
import { badRequest } from '../status-error.ts';
import type { StatusError } from '../status-error.ts';
import { inServerOrder } from './element-order.ts';

const DIRECTIVE = '$patch';
const RETAIN_KEYS = '$retainKeys';
const DELETE_FROM_LIST = '$deleteFromPrimitiveList';
const SET_ELEMENT_ORDER = '$setElementOrder';

/** Throws StatusError 400 for a patch that cannot be understood. */
export function applyStrategicMergePatch(document: JsonObject, patch: unknown, schema: Schema): JsonObject {
  if (!isJsonObject(patch)) throw badRequest('invalid JSON document');
  if (!isWithinDepth(patch)) throw badRequest('exceeded max depth');
  return mergeMap(document, patch, schema);
}

function mergeMap(original: JsonObject, patch: JsonObject, schema: Schema): JsonObject {
  if (Object.hasOwn(patch, DIRECTIVE)) return applyDirective(patch);
  const merged: MutableJsonObject = { ...original };
  const pending = new Map(Object.entries(patch));
  applyRetainKeys(merged, pending);
  for (const [key, order] of pending) {
    if (!key.startsWith(SET_ELEMENT_ORDER)) continue;
    pending.delete(key);
    applyElementOrder(merged, pending, key, order as JsonValue, schema);
  }
  for (const [key, value] of pending) mergeField(merged, key, value as JsonValue, schema);
  return merged;
}

function applyDirective(patch: JsonObject): JsonObject {
  const directive = patch[DIRECTIVE];
  if (directive === 'delete') return {};
  if (directive !== 'replace') throw unknownDirective(directive, patch);
  const { [DIRECTIVE]: _directive, ...replacement } = patch;
  return replacement;
}

function unknownDirective(directive: JsonValue | undefined, patch: JsonObject): StatusError {
  return badRequest(`unknown patch type: ${goValueText(directive)} in map: ${goValueText(patch)}`);
}

/** Keeps only the listed keys. Everything the patch sets must be listed. */
function applyRetainKeys(merged: MutableJsonObject, pending: Map<string, JsonValue | undefined>): void {
  if (!pending.has(RETAIN_KEYS)) return;
  const list = pending.get(RETAIN_KEYS);
  pending.delete(RETAIN_KEYS);
  if (!isJsonArray(list)) throw badRequest('invalid patch format of retainKeys');
  const retained = new Set<unknown>(list);
  for (const [key, value] of pending) {
    if (value === null || key.startsWith(DELETE_FROM_LIST) || key.startsWith(SET_ELEMENT_ORDER)) continue;
    if (!retained.has(key)) throw badRequest('invalid patch format of retainKeys');
  }
  for (const key of Object.keys(merged)) if (!retained.has(key)) delete merged[key];
}

function mergeField(merged: MutableJsonObject, patchKey: string, value: JsonValue, schema: Schema): void {
  const deletes = patchKey.startsWith(DELETE_FROM_LIST);
  const key = deletes
    ? afterPrefix(patchKey, DELETE_FROM_LIST, 'invalid patch format of primitive list')
    : patchKey;
  if (value === null) {
    delete merged[key];
    return;
  }
  const current = getOwn(merged, key);
  if (isJsonObject(current) && isJsonObject(value)) {
    const { fieldSchema, strategy } = lookUp(schema, key);
    setOwn(merged, key, strategy === 'replace' ? value : mergeMap(current, value, fieldSchema));
  } else if (isJsonArray(current) && isJsonArray(value)) {
    const { elementSchema, mergeKey, strategy } = lookUpList(schema, key);
    if (deletes) setOwn(merged, key, deleteScalars(current, value));
    else
      setOwn(
        merged,
        key,
        strategy === 'merge' ? mergeLists(current, value, elementSchema, mergeKey).list : value,
      );
  } else if (!deletes) {
    const added = cleaned(value);
    if (added === undefined) delete merged[key];
    else setOwn(merged, key, added);
  }
}

function afterPrefix(key: string, prefix: string, message: string): string {
  if (!key.startsWith(`${prefix}/`)) throw badRequest(message);
  return key.slice(prefix.length + 1);
}

/** What is added to the document: without nulls, and without the objects that carry a directive. */
function cleaned(value: JsonValue): JsonValue | undefined {
  if (isJsonArray(value)) {
    const kept: JsonValue[] = [];
    for (const element of value) {
      const keptElement = cleaned(element);
      if (keptElement !== undefined) kept.push(keptElement);
    }
    return kept;
  }
  if (!isJsonObject(value)) return value;
  if (Object.hasOwn(value, DIRECTIVE)) return undefined;
  const kept: MutableJsonObject = {};
  for (const [key, member] of Object.entries(value)) {
    const keptMember = member === null || member === undefined ? undefined : cleaned(member);
    if (keptMember !== undefined) setOwn(kept, key, keptMember);
  }
  return kept;
}

interface FieldLookup {
  readonly fieldSchema: Schema;
  readonly mergeKey: string;
  readonly strategy: string;
}

function lookUp(schema: Schema, key: string): FieldLookup {
  let fieldSchema: Schema | undefined;
  if (schema.type === 'map') fieldSchema = schema.items;
  else if (schema.type === 'object') fieldSchema = schema.fields.get(key)?.schema;
  if (fieldSchema === undefined)
    throw badRequest(
      `unable to find api field in struct ${schema.goName} for the json field ${goQuote(key)}`,
    );
  const strategy = fieldSchema.patchStrategy.find((name) => name !== 'retainKeys') ?? '';
  return { fieldSchema, strategy, mergeKey: fieldSchema.patchMergeKey ?? '' };
}

function lookUpList(schema: Schema, key: string): FieldLookup & { readonly elementSchema: Schema } {
  const found = lookUp(schema, key);
  const elementSchema = found.fieldSchema.type === 'array' ? found.fieldSchema.items : undefined;
  if (elementSchema === undefined) throw badRequest('expected slice or array type, but got: struct');
  if (elementSchema.type === 'array') throw badRequest('unexpected slice of slice');
  return { ...found, elementSchema };
}

/** `$setElementOrder/containers`: merges the list of that name now, and puts the result into the order wished for. */
function applyElementOrder(
  merged: MutableJsonObject,
  pending: Map<string, JsonValue | undefined>,
  directive: string,
  order: JsonValue,
  schema: Schema,
): void {
  if (!isJsonArray(order)) throw listExpected(order);
  const key = afterPrefix(directive, SET_ELEMENT_ORDER, 'invalid patch format of setElementOrder list');
  const current = getOwn(merged, key);
  const patch = pending.get(key);
  if (current !== undefined && !isJsonArray(current)) throw listExpected(current);
  if (patch !== undefined && !isJsonArray(patch)) throw listExpected(patch);
  const { elementSchema, mergeKey, strategy } = lookUpList(schema, key);
  if (patch !== undefined) checkOrder(patch, order, mergeKey);
  if (patch === undefined && current === undefined) return;
  let list = current ?? (cleaned(patch as JsonArray) as JsonArray);
  let serverOrder = current ?? [];
  if (patch !== undefined && current !== undefined) {
    list = patch;
    if (strategy === 'merge') ({ list, serverOrder } = mergeLists(current, patch, elementSchema, mergeKey));
  }
  elementsAreMaps(current ?? [], patch ?? []);
  setOwn(merged, key, inServerOrder(list, order, serverOrder, mergeKey));
  pending.delete(key);
}

function listExpected(value: JsonValue): StatusError {
  return badRequest(`expected a []interface {}, but received a ${goTypeOf(value)}`);
}

function goTypeOf(value: JsonValue): string {
  if (value === null) return '%!s(<nil>)';
  if (isJsonArray(value)) return '[]interface {}';
  if (typeof value === 'object') return 'map[string]interface {}';
  if (typeof value === 'boolean') return 'bool';
  return typeof value === 'string' ? 'string' : Number.isInteger(value) ? 'int64' : 'float64';
}

/** The patch's elements must come in the order of the directive, which must name them all. */
function checkOrder(patch: JsonArray, order: JsonArray, mergeKey: string): void {
  if (patch.length === 0 || order.length === 0) return;
  let position = 0;
  for (const element of patch) {
    if (isJsonObject(element) && Object.hasOwn(element, DIRECTIVE)) continue;
    const wanted = identity(element, mergeKey);
    while (position < order.length && identity(order[position] as JsonValue, mergeKey) !== wanted) position++;
    if (position === order.length)
      throw badRequest(
        `The order in patch list:\n${goValueText(patch)}\n doesn't match $setElementOrder list:\n${goValueText(order)}\n`,
      );
    position++;
  }
}

/** What tells the elements of a list apart: the merge key's value, or the scalar itself. */
function identity(element: JsonValue, mergeKey: string): JsonValue {
  if (mergeKey === '') return element;
  if (!isJsonObject(element))
    throw badRequest(`expected a map[string]interface {}, but received a ${goTypeOf(element)}`);
  const value = getOwn(element, mergeKey);
  if (value === undefined)
    throw badRequest(`map: ${goValueText(element)} does not contain declared merge key: ${mergeKey}`);
  return value;
}

/** Whether the lists hold maps rather than scalars. All elements must be alike. */
function elementsAreMaps(original: JsonArray, patch: JsonArray): boolean {
  let type: string | undefined;
  for (const element of [...original, ...patch]) {
    if (isJsonArray(element)) throw badRequest('lists of lists are not supported');
    const elementType = element === null ? 'null' : typeof element;
    type ??= elementType;
    if (elementType !== type)
      throw badRequest(`list element types are not identical: ${goValueText([original, patch])}`);
  }
  if (type === undefined) throw badRequest('no elements in any of the given slices');
  return type === 'object';
}

function deleteScalars(current: JsonArray, deletions: JsonArray): JsonArray {
  if (current.length === 0 && deletions.length === 0) return current;
  if (elementsAreMaps(current, deletions)) throw badRequest('invalid patch format of primitive list');
  const gone = new Set<unknown>(deletions);
  return current.filter((element) => !gone.has(element));
}

interface MergedList {
  readonly list: JsonArray;
  /**
   * What `$setElementOrder` takes for the order before the patch. Upstream merges in place, so where elements were deleted
   * the first new ones have moved up into their places.
   */
  readonly serverOrder: JsonArray;
}

function mergeLists(original: JsonArray, patch: JsonArray, schema: Schema, mergeKey: string): MergedList {
  if (original.length === 0 && patch.length === 0) return { list: original, serverOrder: original };
  if (!elementsAreMaps(original, patch)) {
    const list = inServerOrder([...new Set([...original, ...patch])], patch, original, '');
    return { list, serverOrder: original };
  }
  if (mergeKey === '')
    throw badRequest(
      `cannot merge lists without merge key for ${schema.type === 'object' ? 'struct' : schema.type}`,
    );
  const { remaining, additions, replaced } = applyListDirectives(
    original as readonly JsonObject[],
    patch,
    mergeKey,
  );
  const merged = [...remaining];
  const positions = new Map<unknown, number>();
  // The first of several elements with one key is the one that is merged.
  for (let i = merged.length - 1; i >= 0; i--) {
    const value = getOwn(merged[i] as JsonObject, mergeKey);
    if (value !== undefined) positions.set(value, i);
  }
  for (const element of additions) {
    const value = identity(element, mergeKey);
    const position = positions.get(value);
    if (position === undefined) {
      positions.set(value, merged.length);
      merged.push(element);
    } else {
      merged[position] = mergeMap(merged[position] as JsonObject, element, schema);
    }
  }
  return {
    list: inServerOrder(merged, additions, remaining, mergeKey),
    serverOrder: replaced ? original : merged.slice(0, original.length),
  };
}

/** `$patch: delete` removes what has the same key, `$patch: replace` anywhere in the list removes everything. */
function applyListDirectives(
  original: readonly JsonObject[],
  patch: JsonArray,
  mergeKey: string,
): {
  readonly remaining: readonly JsonObject[];
  readonly additions: readonly JsonObject[];
  readonly replaced: boolean;
} {
  const plain: JsonObject[] = [];
  const gone = new Set<unknown>();
  let replaced = false;
  for (const element of patch as readonly JsonObject[]) {
    if (!Object.hasOwn(element, DIRECTIVE)) plain.push(element);
    else if (element[DIRECTIVE] === 'delete') gone.add(identity(element, mergeKey));
    else if (element[DIRECTIVE] === 'replace') replaced = true;
    else if (element[DIRECTIVE] === 'merge')
      throw badRequest('merging lists cannot yet be specified in the patch');
    else throw unknownDirective(element[DIRECTIVE], element);
  }
  if (replaced) return { remaining: plain, additions: [], replaced };
  if (gone.size === 0) return { remaining: original, additions: plain, replaced };
  return {
    remaining: original.filter((element) => !gone.has(getOwn(element, mergeKey))),
    additions: plain,
    replaced,
  };
}
