/**
 * Removes what a schema does not describe, as custom resources are pruned (apiextensions-apiserver, structural schemas).
 * Built-in kinds are pruned while they are decoded, see codec/normalize.ts.
 */
import type { Schema } from '@k8ts/api';
import { isJsonArray, setOwn } from '../json.ts';
import type { JsonArray, JsonObject, JsonValue, MutableJsonObject } from '../json.ts';
import { goQuote } from '../go-quote.ts';

export interface Pruned {
  /** The object itself where nothing had to go. */
  readonly object: JsonObject;
  /** `unknown field "spec.foo"`, sorted, at most 100. */
  readonly strictErrors: readonly string[];
}

const MAX_REPORTED = 100;
const ENVELOPE: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata']);

/**
 * Prunes a complete object: its apiVersion, kind and metadata stay whatever the schema says of them. Depth must be limited
 * already.
 */
export function pruneObject(object: JsonObject, schema: Schema): Pruned {
  const unknown: string[] = [];
  const pruned = pruneFields(object, schema, schema.preserveUnknownFields, '', unknown, true);
  const strictErrors = unknown.sort().map((path) => `unknown field ${goQuote(path)}`);
  return { object: pruned, strictErrors };
}

/** Prunes a part of an object, which may be an embedded object. */
export function prunePart(value: JsonValue, schema: Schema): JsonValue {
  return pruneValue(value, schema, '', []);
}

/**
 * Values of the wrong type are pruned too, as far as the schema says something of their parts; validation will name them.
 * Where the schema says nothing at all, all fields of all objects go, those in lists also.
 */
function pruneValue(
  value: JsonValue,
  schema: Schema | undefined,
  path: string,
  unknown: string[],
): JsonValue {
  if (typeof value !== 'object' || value === null) return value;
  const preserves = schema?.preserveUnknownFields ?? false;
  return isJsonArray(value)
    ? pruneItems(value, schema, preserves, path, unknown)
    : pruneFields(value, schema, preserves, path, unknown, schema?.embeddedResource ?? false);
}

function pruneFields(
  object: JsonObject,
  schema: Schema | undefined,
  preserves: boolean,
  path: string,
  unknown: string[],
  isResource: boolean,
): JsonObject {
  const additional = schema?.type === 'array' ? undefined : schema?.items;
  const kept: MutableJsonObject = {};
  let changed = false;
  for (const name of Object.keys(object)) {
    const value = object[name];
    if (value === undefined) continue;
    const at = path === '' ? name : `${path}.${name}`;
    const fieldSchema = schema?.fields.get(name)?.schema ?? additional;
    if (isResource && ENVELOPE.has(name)) {
      setOwn(kept, name, value);
    } else if (fieldSchema !== undefined) {
      const pruned = pruneValue(value, fieldSchema, at, unknown);
      if (pruned !== value) changed = true;
      setOwn(kept, name, pruned);
    } else if (preserves) {
      setOwn(kept, name, value);
    } else {
      changed = true;
      if (unknown.length < MAX_REPORTED) unknown.push(at);
    }
  }
  return changed ? kept : object;
}

/** A list that preserves what is unknown does so for its items too. */
function pruneItems(
  list: JsonArray,
  schema: Schema | undefined,
  preserves: boolean,
  path: string,
  unknown: string[],
): JsonArray {
  const items = schema?.type === 'array' ? schema.items : undefined;
  if (preserves && items === undefined) return list;
  let out = list;
  for (let i = 0; i < list.length; i++) {
    const value = list[i] as JsonValue;
    const pruned = preserves
      ? pruneKnown(value, items as Schema, `${path}[${i}]`, unknown)
      : pruneValue(value, items, `${path}[${i}]`, unknown);
    if (pruned === value) continue;
    if (out === list) out = [...list];
    (out as JsonValue[])[i] = pruned;
  }
  return out;
}

/** As though the schema itself preserved unknown fields. */
function pruneKnown(value: JsonValue, schema: Schema, path: string, unknown: string[]): JsonValue {
  if (typeof value !== 'object' || value === null) return value;
  return isJsonArray(value)
    ? pruneItems(value, schema, true, path, unknown)
    : pruneFields(value, schema, true, path, unknown, schema.embeddedResource);
}
