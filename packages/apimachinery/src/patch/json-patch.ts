/**
 * JSON Patch (RFC 6902) with the habits of the library upstream uses (evanphx/json-patch v4), which clients rely on:
 * `replace` of an absent member adds it, negative indices count from the end, `test` of an absent member against null holds.
 *
 * The document is never changed: containers are copied the first time an operation writes to them, the rest is shared
 * with the result. Copies are what can make a small patch huge, so their size is limited as in kube-apiserver.
 */
import {
  goJsonKind,
  isJsonArray,
  isJsonObject,
  isWithinDepth,
  jsonEqual,
  MAX_JSON_DEPTH,
  setOwn,
} from '../json.ts';
import type { JsonObject, JsonValue, MutableJsonObject } from '../json.ts';
import { goQuote } from '../go-quote.ts';
import { badRequest, requestEntityTooLarge } from '../status-error.ts';
import { PatchError, patchRejected } from './patch-error.ts';

export const MAX_JSON_PATCH_OPERATIONS = 10_000;
/** Bytes of JSON that all `copy` operations of a patch may add (kube-apiserver's JSONPatchMaxCopyBytes). */
const MAX_JSON_PATCH_COPY_BYTES = 3 * 1024 * 1024;

interface Operation {
  readonly [member: string]: JsonValue | undefined;
}

type MutableContainer = MutableJsonObject | (JsonValue | undefined)[];

interface State {
  root: JsonValue;
  /** The containers made by this patch, which may be written to. */
  readonly owned: Set<object>;
  copiedBytes: number;
}

/**
 * Applies a decoded patch. Throws StatusError: 400 for what is no patch, 413 for too many operations, 422 for operations
 * that do not apply (upstream keeps their reason to itself; it is the error's `cause`).
 */
export function applyJsonPatch(document: JsonValue, patch: unknown): JsonValue {
  const operations = decode(patch);
  const state: State = { root: document, owned: new Set(), copiedBytes: 0 };
  for (const operation of operations) {
    try {
      apply(state, operation);
    } catch (error) {
      if (error instanceof PatchError) throw patchRejected(error);
      throw error;
    }
  }
  return state.root;
}

const MEMBERS: ReadonlySet<string> = new Set(['op', 'path', 'from', 'value']);

/** What strict field validation says of the operations, `json patch unknown field "[0].foo"`. */
export function jsonPatchUnknownFields(patch: unknown): string[] {
  const messages: string[] = [];
  if (!isJsonArray(patch)) return messages;
  for (const [position, operation] of patch.entries()) {
    if (!isJsonObject(operation)) continue;
    for (const member of Object.keys(operation)) {
      if (!MEMBERS.has(member))
        messages.push(`json patch unknown field ${goQuote(`[${position}].${member}`)}`);
    }
  }
  return messages;
}

function decode(patch: unknown): readonly Operation[] {
  if (patch === null) return [];
  if (!isJsonArray(patch))
    throw badRequest(`json: cannot unmarshal ${goJsonKind(patch)} into Go value of type jsonpatch.Patch`);
  if (patch.length > MAX_JSON_PATCH_OPERATIONS)
    throw requestEntityTooLarge(
      `The allowed maximum operations in a JSON patch is ${MAX_JSON_PATCH_OPERATIONS}, got ${patch.length}`,
    );
  if (!isWithinDepth(patch)) throw badRequest('exceeded max depth');
  return patch.map((operation) => {
    if (!isJsonObject(operation) && operation !== null)
      throw badRequest(
        `json: cannot unmarshal ${goJsonKind(operation)} into Go value of type jsonpatch.Operation`,
      );
    return operation ?? {};
  });
}

function apply(state: State, operation: Operation): void {
  const { op } = operation;
  switch (op) {
    case 'add':
      return add(state, member(operation, 'path'), operation['value'] ?? null);
    case 'remove':
      return void remove(state, member(operation, 'path'));
    case 'replace':
      return replace(state, member(operation, 'path'), operation['value'] ?? null);
    case 'move':
      return add(state, member(operation, 'path'), remove(state, member(operation, 'from')) ?? null);
    case 'copy':
      return copy(state, member(operation, 'from'), member(operation, 'path'));
    case 'test':
      return test(state, member(operation, 'path'), operation['value'] ?? null);
    default:
      throw new PatchError(`Unexpected kind: ${typeof op === 'string' ? op : 'unknown'}`);
  }
}

function member(operation: Operation, name: 'path' | 'from'): string {
  const value = operation[name];
  if (typeof value !== 'string') throw new PatchError(`operation missing ${name} field: missing value`);
  return value;
}

/** `/a~1b/0` → `['a/b', '0']`; the empty path names no member. */
function parsePointer(path: string): readonly string[] | undefined {
  const parts = path.split('/');
  if (parts.length < 2) return undefined;
  if (parts.length > MAX_JSON_DEPTH + 1)
    throw new PatchError(`path is too deep: ${goQuote(path.slice(0, 100))}`);
  return parts.slice(1).map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** The container that holds the path's last part, for reading. */
function containerAt(state: State, path: string): { container: JsonValue; key: string } | undefined {
  const parts = parsePointer(path);
  if (parts === undefined) return undefined;
  let container: JsonValue | undefined = state.root;
  for (const part of parts.slice(0, -1)) {
    if (isJsonArray(container))
      container = container[arrayIndex(part, container.length, container.length) ?? -1];
    else if (isJsonObject(container))
      container = Object.hasOwn(container, part) ? container[part] : undefined;
    else return undefined;
  }
  if (!isJsonArray(container) && !isJsonObject(container)) return undefined;
  return { container, key: parts.at(-1) as string };
}

/** The same, for writing: every container on the way becomes this patch's own. */
function writableContainerAt(state: State, path: string): { container: MutableContainer; key: string } {
  const parts = parsePointer(path);
  // Looked up first, so that nothing is copied for an operation that does not apply.
  if (parts === undefined || containerAt(state, path) === undefined)
    throw new PatchError(`operation does not apply: doc is missing path: "${path}": missing value`);
  let container = own(state, state.root);
  state.root = container as JsonValue;
  for (const part of parts.slice(0, -1)) {
    let child: MutableContainer;
    if (Array.isArray(container)) {
      const position = arrayIndex(part, container.length, container.length) as number;
      child = own(state, container[position] as JsonValue);
      container[position] = child as JsonValue;
    } else {
      child = own(state, container[part] as JsonValue);
      setOwn(container, part, child as JsonValue);
    }
    container = child;
  }
  return { container, key: parts.at(-1) as string };
}

function own(state: State, container: JsonValue): MutableContainer {
  if (state.owned.has(container as object)) return container as MutableContainer;
  const copied = isJsonArray(container) ? [...container] : { ...(container as JsonObject) };
  state.owned.add(copied);
  return copied;
}

/** Indices may count from the end; `size` is what -1 counts from. Undefined when there is no such place. */
function arrayIndex(part: string, size: number, limit: number): number | undefined {
  if (!/^[+-]?[0-9]{1,9}$/.test(part)) return undefined;
  const position = Number(part);
  if (position < 0) return position < -size ? undefined : position + size;
  return position < limit ? position : undefined;
}

function invalidIndex(part: string): PatchError {
  return new PatchError(
    /^[+-]?[0-9]+$/.test(part)
      ? `Unable to access invalid index: ${part}: invalid index referenced`
      : `value was not a proper array index: '${part}': strconv.Atoi: parsing ${goQuote(part)}: invalid syntax`,
  );
}

function add(state: State, path: string, value: JsonValue): void {
  const { container, key } = writableContainerAt(state, path);
  if (!Array.isArray(container)) return setOwn(container, key, value);
  if (key === '-') return void container.push(value);
  const size = container.length + 1;
  const position = arrayIndex(key, size, size);
  if (position === undefined) throw invalidIndex(key);
  container.splice(position, 0, value);
}

function remove(state: State, path: string): JsonValue | undefined {
  const { container, key } = writableContainerAt(state, path);
  if (Array.isArray(container)) {
    const position = arrayIndex(key, container.length, container.length);
    if (position === undefined) throw invalidIndex(key);
    return container.splice(position, 1)[0];
  }
  if (!Object.hasOwn(container, key))
    throw new PatchError(`Unable to remove nonexistent key: ${key}: missing value`);
  const value = container[key];
  delete container[key];
  return value;
}

function replace(state: State, path: string, value: JsonValue): void {
  if (path === '') {
    if (!isJsonObject(value) && !isJsonArray(value))
      throw new PatchError('replace operation value must be object or array');
    state.root = value;
    return;
  }
  const { container, key } = writableContainerAt(state, path);
  if (!Array.isArray(container)) return setOwn(container, key, value);
  const position = arrayIndex(key, container.length, container.length);
  if (position === undefined)
    throw new PatchError(`replace operation does not apply: doc is missing key: ${path}: missing value`);
  container[position] = value;
}

function read(state: State, path: string): JsonValue {
  const found = containerAt(state, path);
  if (found === undefined)
    throw new PatchError(`operation does not apply: doc is missing path: "${path}": missing value`);
  const { container, key } = found;
  if (!isJsonArray(container))
    return Object.hasOwn(container as JsonObject, key) ? ((container as JsonObject)[key] ?? null) : null;
  const position = arrayIndex(key, container.length, container.length);
  if (position === undefined) throw invalidIndex(key);
  return container[position] as JsonValue;
}

function copy(state: State, from: string, path: string): void {
  const value = read(state, from);
  if (typeof value === 'object' && value !== null) {
    if (!isWithinDepth(value)) throw new PatchError('exceeded max depth');
    const text = JSON.stringify(value);
    state.copiedBytes += text.length;
    if (state.copiedBytes > MAX_JSON_PATCH_COPY_BYTES)
      throw new PatchError(
        `Unable to complete the copy, the accumulated size increase of copy is ${state.copiedBytes}, exceeding the limit ${MAX_JSON_PATCH_COPY_BYTES}`,
      );
    // A copy of its own: what this patch owns may still be written to in one of the two places.
    return add(state, path, JSON.parse(text) as JsonValue);
  }
  add(state, path, value);
}

function test(state: State, path: string, value: JsonValue): void {
  const found = path === '' ? state.root : read(state, path);
  if (!jsonEqual(value, found)) throw new PatchError(`testing value ${path} failed: test failed`);
}
