import type { Schema } from '../schema.ts';

/**
 * An object in which every field of the schema is set to a small, legal and normalised value: what codecs must keep.
 * A type inside itself (JSONSchemaProps) is filled in once and left out below.
 */
export function sampleObject(schema: Schema): Record<string, unknown> {
  return sampleFields(schema, [schema]);
}

function sampleFields(schema: Schema, ancestors: readonly Schema[]): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (const field of schema.fields.values()) {
    const value = sample(field.schema, field.name, ancestors);
    if (value !== undefined) object[field.name] = value;
  }
  return object;
}

function sample(schema: Schema, name: string, ancestors: readonly Schema[]): unknown {
  switch (schema.type) {
    case 'object':
      // Variants of a type share the map of fields.
      if (ancestors.some((ancestor) => ancestor.fields === schema.fields)) return undefined;
      return sampleFields(schema, [...ancestors, schema]);
    case 'array': {
      const item = schema.items === undefined ? undefined : sample(schema.items, 'item', ancestors);
      return item === undefined ? undefined : [item];
    }
    case 'map': {
      const value = schema.items === undefined ? undefined : sample(schema.items, 'value', ancestors);
      return value === undefined ? undefined : { key: value };
    }
    case 'schemaOrArray':
    case 'schemaOrBool':
    case 'schemaOrStringArray':
      return schema.items === undefined ? undefined : sample(schema.items, name, ancestors);
    case 'string':
      return schema.enum[0] ?? `${name}Value`;
    case 'boolean':
      return true;
    case 'int32':
    case 'int64':
    case 'uint64':
      return 7;
    case 'float64':
      return 1.5;
    case 'bytes':
      return 'AQID';
    case 'quantity':
      return '250m';
    case 'intOrString':
      return 'http';
    case 'time':
      return '2026-01-31T12:30:45Z';
    case 'microTime':
      return '2026-01-31T12:30:45.123456Z';
    case 'duration':
      return '1m30s';
    case 'rawExtension':
      return { apiVersion: 'example.com/v1', kind: 'Example' };
    case 'fieldsV1':
      return { 'f:metadata': { 'f:labels': { '.': {} } } };
    case 'json':
      return { answer: 42 };
  }
}
