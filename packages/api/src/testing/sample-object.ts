import type { Schema } from '../schema.ts';

/**
 * An object in which every field of the schema is set to a small, legal and normalised value: what codecs must keep.
 * `depth` bounds recursive types: below it only scalars are filled in.
 */
export function sampleObject(schema: Schema, depth = 6): unknown {
  switch (schema.type) {
    case 'object': {
      const object: Record<string, unknown> = {};
      for (const field of schema.fields.values()) {
        const value = sampleField(field.schema, field.name, depth);
        if (value !== undefined) object[field.name] = value;
      }
      return object;
    }
    case 'array':
      return schema.items === undefined ? [] : [sampleField(schema.items, 'item', depth)].filter(isPresent);
    case 'map': {
      const value = schema.items === undefined ? undefined : sampleField(schema.items, 'value', depth);
      return value === undefined ? {} : { key: value };
    }
    default:
      return sampleScalar(schema, 'value', depth);
  }
}

function isPresent(value: unknown): boolean {
  return value !== undefined;
}

function sampleField(schema: Schema, name: string, depth: number): unknown {
  const nested = schema.type === 'object' || schema.type === 'array' || schema.type === 'map';
  if (!nested) return sampleScalar(schema, name, depth);
  return depth === 0 ? undefined : sampleObject(schema, depth - 1);
}

function sampleScalar(schema: Schema, name: string, depth: number): unknown {
  switch (schema.type) {
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
    case 'schemaOrArray':
    case 'schemaOrBool':
    case 'schemaOrStringArray':
      return schema.items === undefined || depth === 0 ? undefined : sampleObject(schema.items, depth - 1);
    default:
      return undefined;
  }
}
