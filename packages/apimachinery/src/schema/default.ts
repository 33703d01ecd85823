/**
 * Fills in the defaults that a schema declares (`+default=` markers of built-in types, `default` of custom resources). What
 * needs code to decide (a default that depends on another field) is the registry's business.
 */
import type { FieldSchema, Schema } from '@k8ts/api';
import { getOwn, isJsonArray, setOwn } from '../json.ts';
import type { JsonArray, JsonObject, JsonValue } from '../json.ts';
import { zeroFieldsOf } from './zero-value.ts';

/**
 * Returns the object itself where nothing is missing; changed parts are copies. Null counts as missing unless the schema
 * is nullable. Depth must be limited already.
 */
export function applyDefaults(object: JsonObject, schema: Schema): JsonObject {
  return holdsDefaults(schema) ? defaultFields(object, schema) : object;
}

function defaultValue(value: JsonValue, schema: Schema): JsonValue {
  if (typeof value !== 'object' || value === null || !holdsDefaults(schema)) return value;
  if (isJsonArray(value)) return schema.type === 'array' ? defaultItems(value, schema) : value;
  if (schema.type === 'object') return defaultFields(value, schema);
  return schema.type === 'map' ? defaultEntries(value, schema) : value;
}

function defaultFields(object: JsonObject, schema: Schema): JsonObject {
  let out = object;
  const set = (name: string, value: JsonValue): void => {
    if (out === object) out = { ...object };
    setOwn(out, name, value);
  };
  for (const field of schema.fields.values()) {
    const { name, schema: fieldSchema } = field;
    let value = getOwn(object, name);
    if (isMissing(value, field, schema) && fieldSchema.default !== undefined && !isLeftOut(field))
      value = fieldSchema.default as JsonValue;
    if (value === undefined) continue;
    const defaulted = defaultValue(value, fieldSchema);
    if (defaulted !== object[name]) set(name, defaulted);
  }
  if (schema.items === undefined) return out;
  for (const [name, value] of Object.entries(object)) {
    if (schema.fields.has(name) || value === undefined) continue;
    const defaulted = defaultElement(value, schema.items);
    if (defaulted !== value) set(name, defaulted);
  }
  return out;
}

/** Go cannot tell an unset field from its zero value, unless it is a pointer. */
function isMissing(value: JsonValue | undefined, field: FieldSchema, owner: Schema): boolean {
  if (value === undefined) return true;
  if (value === null) return !field.schema.nullable;
  if (field.pointer || typeof value === 'object') return false;
  return zeroFieldsOf(owner).some(({ name, zero }) => name === field.name && zero === value);
}

/** A default that is Go's zero value of a field with `omitempty` is never written: `replicas` 0, `name` "". */
function isLeftOut({ pointer, omitEmpty, schema }: FieldSchema): boolean {
  return !pointer && omitEmpty && (schema.default === 0 || schema.default === '' || schema.default === false);
}

function defaultItems(list: JsonArray, schema: Schema): JsonArray {
  const items = schema.items as Schema;
  let out = list;
  for (let i = 0; i < list.length; i++) {
    const value = list[i] as JsonValue;
    const defaulted = defaultElement(value, items);
    if (defaulted === value) continue;
    if (out === list) out = [...list];
    (out as JsonValue[])[i] = defaulted;
  }
  return out;
}

function defaultEntries(map: JsonObject, schema: Schema): JsonObject {
  const items = schema.items as Schema;
  let out = map;
  for (const [name, value] of Object.entries(map)) {
    if (value === undefined) continue;
    const defaulted = defaultElement(value, items);
    if (defaulted === value) continue;
    if (out === map) out = { ...map };
    setOwn(out, name, defaulted);
  }
  return out;
}

function defaultElement(value: JsonValue, schema: Schema): JsonValue {
  const missing = value === null && !schema.nullable && schema.default !== undefined;
  return defaultValue(missing ? (schema.default as JsonValue) : value, schema);
}

// By schema. Schemas are shared and never change.
const known = new WeakMap<Schema, boolean>();

/** Whether anything at or below a schema has a default; what has none need not be walked. */
function holdsDefaults(schema: Schema): boolean {
  const answer = known.get(schema);
  if (answer !== undefined) return answer;
  const found = searchDefaults(schema);
  known.set(schema, found);
  return found;
}

/** Schemas may contain themselves, so the search keeps a list instead of recursing. */
function searchDefaults(root: Schema): boolean {
  const seen = new Set<Schema>([root]);
  const pending: Schema[] = [root];
  for (let schema = pending.pop(); schema !== undefined; schema = pending.pop()) {
    for (const { schema: below } of schema.fields.values()) {
      if (below.default !== undefined) return true;
      if (!seen.has(below)) pending.push(below);
      seen.add(below);
    }
    const { items } = schema;
    if (items === undefined) continue;
    if (items.default !== undefined) return true;
    if (!seen.has(items)) pending.push(items);
    seen.add(items);
  }
  return false;
}
