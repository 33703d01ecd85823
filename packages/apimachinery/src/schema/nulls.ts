import type { Schema } from '@k8ts/api';
import { isJsonArray, setOwn } from '../json.ts';
import type { JsonArray, JsonObject, JsonValue, MutableJsonObject } from '../json.ts';

/**
 * Removes the fields of a custom resource that are null where null is no value and no default will replace it
 * (apiextensions-apiserver, pkg/apiserver/schema/defaulting). Items of lists stay, and so does what no schema describes.
 * The object itself where nothing had to go. Depth must be limited already.
 */
export function dropNulls(object: JsonObject, schema: Schema): JsonObject {
  return dropFields(object, schema);
}

function dropIn(value: JsonValue, schema: Schema): JsonValue {
  if (typeof value !== 'object' || value === null) return value;
  return isJsonArray(value) ? dropInItems(value, schema) : dropFields(value, schema);
}

function dropFields(object: JsonObject, schema: Schema): JsonObject {
  if (schema.type === 'array') return object;
  const kept: MutableJsonObject = {};
  let changed = false;
  for (const [name, value] of Object.entries(object)) {
    if (value === undefined) continue;
    const below = describedBy(schema.fields.get(name)?.schema ?? schema.items);
    if (value === null && below !== undefined && !below.nullable && below.default === undefined) {
      changed = true;
      continue;
    }
    const next = below === undefined ? value : dropIn(value, below);
    if (next !== value) changed = true;
    setOwn(kept, name, next);
  }
  return changed ? kept : object;
}

/** Below `additionalProperties: true` nothing is said. */
function describedBy(schema: Schema | undefined): Schema | undefined {
  return schema?.type === 'json' && !schema.preserveUnknownFields ? undefined : schema;
}

function dropInItems(list: JsonArray, schema: Schema): JsonArray {
  const { items } = schema;
  if (schema.type !== 'array' || items === undefined) return list;
  let out = list;
  for (let i = 0; i < list.length; i++) {
    const value = list[i] as JsonValue;
    const next = dropIn(value, items);
    if (next === value) continue;
    if (out === list) out = [...list];
    (out as JsonValue[])[i] = next;
  }
  return out;
}
