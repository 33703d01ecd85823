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
  /** `unknown field "spec.foo"`, at most 100. */
  readonly strictErrors: readonly string[];
}

const MAX_REPORTED = 100;
const ENVELOPE: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata']);

/**
 * Prunes a complete object: its apiVersion, kind and metadata stay whatever the schema says of them. Depth must be limited
 * already.
 */
export function pruneObject(object: JsonObject, schema: Schema): Pruned {
  const strictErrors: string[] = [];
  return { object: pruneFields(object, schema, '', strictErrors, true), strictErrors };
}

function pruneValue(value: JsonValue, schema: Schema, path: string, errors: string[]): JsonValue {
  if (typeof value !== 'object' || value === null) return value;
  if (isJsonArray(value)) return schema.type === 'array' ? pruneItems(value, schema, path, errors) : value;
  switch (schema.type) {
    case 'object':
      return pruneFields(value, schema, path, errors, schema.embeddedResource);
    case 'map':
      return pruneEntries(value, schema, path, errors);
    default:
      return value; // any JSON, or a value of the wrong type, which validation will name
  }
}

function pruneFields(
  object: JsonObject,
  schema: Schema,
  path: string,
  errors: string[],
  isResource: boolean,
): JsonObject {
  const kept: MutableJsonObject = {};
  let changed = false;
  for (const name of Object.keys(object)) {
    const value = object[name];
    if (value === undefined) continue;
    const at = path === '' ? name : `${path}.${name}`;
    const fieldSchema = schema.fields.get(name)?.schema ?? schema.items;
    if (fieldSchema !== undefined && !(isResource && ENVELOPE.has(name))) {
      const pruned = pruneValue(value, fieldSchema, at, errors);
      if (pruned !== value) changed = true;
      setOwn(kept, name, pruned);
    } else if (
      fieldSchema !== undefined ||
      schema.preserveUnknownFields ||
      (isResource && ENVELOPE.has(name))
    ) {
      setOwn(kept, name, value);
    } else {
      changed = true;
      if (errors.length < MAX_REPORTED) errors.push(`unknown field ${goQuote(at)}`);
    }
  }
  return changed ? kept : object;
}

function pruneEntries(map: JsonObject, schema: Schema, path: string, errors: string[]): JsonObject {
  const items = schema.items as Schema;
  let out = map;
  for (const [name, value] of Object.entries(map)) {
    if (value === undefined) continue;
    const pruned = pruneValue(value, items, `${path}.${name}`, errors);
    if (pruned === value) continue;
    if (out === map) out = { ...map };
    setOwn(out, name, pruned);
  }
  return out;
}

function pruneItems(list: JsonArray, schema: Schema, path: string, errors: string[]): JsonArray {
  const items = schema.items as Schema;
  let out = list;
  for (let i = 0; i < list.length; i++) {
    const value = list[i] as JsonValue;
    const pruned = pruneValue(value, items, `${path}[${i}]`, errors);
    if (pruned === value) continue;
    if (out === list) out = [...list];
    (out as JsonValue[])[i] = pruned;
  }
  return out;
}
