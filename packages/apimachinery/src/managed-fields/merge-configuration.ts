/**
 * Merges a configuration into an object without regard to owners, as mutating admission policies do
 * (k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch/smd.go). Throws an Error where it does not fit the schema, or
 * would replace what is owned as a whole.
 */
import type { Schema } from '@k8ts/api';
import { isJsonArray, isJsonObject } from '../json.ts';
import type { JsonObject, JsonValue } from '../json.ts';
import { fieldSchemaOf, relationOf } from './relation.ts';
import { mergeObjects } from './typed-merge.ts';
import { typedFaults, typedFaultsText } from './validate-typed.ts';

export function mergeConfiguration(live: JsonObject, configuration: JsonObject, schema: Schema): JsonObject {
  const faults = typedFaults(configuration, schema);
  if (faults.length > 0)
    throw new Error(`failed to convert patch object to typed object: ${typedFaultsText(faults)}`);
  const atomics: string[] = [];
  findAtomics(configuration, schema, '', atomics);
  if (atomics.length > 0)
    throw new Error(
      `invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: ${atomics.join(', ')}`,
    );
  return mergeObjects(live, configuration, schema);
}

function findAtomics(value: JsonValue, schema: Schema, path: string, found: string[]): void {
  if (!isJsonArray(value) && !isJsonObject(value)) return;
  // Maps of undescribed fields are leaves too, but no atomic ones.
  if (relationOf(schema, value) === 'leaf' && (isJsonArray(value) || schema.mapType === 'atomic'))
    found.push(path);
  if (isJsonArray(value)) {
    const { items } = schema;
    if (items !== undefined) value.forEach((item, i) => findAtomics(item, items, `${path}[${i}]`, found));
    return;
  }
  for (const [name, field] of Object.entries(value)) {
    const fieldSchema = fieldSchemaOf(schema, name);
    if (field !== undefined && fieldSchema !== undefined)
      findAtomics(field, fieldSchema, `${path}.${name}`, found);
  }
}
