/**
 * What Go writes of a struct in which nothing is set: structs that are no pointers, and scalars and collections without
 * `omitempty`. Objects of the API always have these fields (`spec: {}`, `rules: []`), so code may rely on them. Custom
 * resources have none: their fields are compiled as pointers.
 *
 * Unlike Go, empty lists and maps are written as such and not as null, and zero times are left out.
 */
import type { FieldSchema, Schema } from '@k8ts/api';
import type { JsonObject, JsonValue, MutableJsonObject } from '../json.ts';

export interface ZeroField {
  readonly name: string;
  /** Frozen, shared. */
  readonly zero: JsonValue;
}

const EMPTY_LIST: JsonValue = Object.freeze([]);
const EMPTY_MAP: JsonValue = Object.freeze({});
// By schema. Schemas are shared and never change.
const zeroFields = new WeakMap<Schema, readonly ZeroField[]>();
const zeroObjects = new WeakMap<Schema, JsonObject>();

/** The fields that are always present, in the schema's order. */
export function zeroFieldsOf(schema: Schema): readonly ZeroField[] {
  const known = zeroFields.get(schema);
  if (known !== undefined) return known;
  const fields: ZeroField[] = [];
  for (const field of schema.fields.values()) {
    const zero = zeroOf(field);
    if (zero !== undefined) fields.push({ name: field.name, zero });
  }
  zeroFields.set(schema, fields);
  return fields;
}

/** The object with nothing but zero fields. */
export function zeroObjectOf(schema: Schema): JsonObject {
  const known = zeroObjects.get(schema);
  if (known !== undefined) return known;
  const object: MutableJsonObject = {};
  for (const { name, zero } of zeroFieldsOf(schema)) object[name] = zero;
  Object.freeze(object);
  zeroObjects.set(schema, object);
  return object;
}

/** A zero for an object that its holder goes on changing. */
export function ownZero(zero: JsonValue): JsonValue {
  if (typeof zero !== 'object' || zero === null) return zero;
  if (Array.isArray(zero)) return [];
  const own: MutableJsonObject = {};
  for (const [name, value] of Object.entries(zero)) own[name] = ownZero(value as JsonValue);
  return own;
}

function zeroOf({ name, schema, omitEmpty, pointer, protoNumber }: FieldSchema): JsonValue | undefined {
  if (pointer) return undefined;
  // Structs are written whether or not they say omitempty. (Go forbids structs that contain themselves.)
  if (schema.type === 'object') return zeroObjectOf(schema);
  if (schema.type === 'quantity') return '0';
  if (omitEmpty) return undefined;
  // apiVersion and kind live in the envelope; nobody writes them empty.
  if (protoNumber === 0 && (name === 'apiVersion' || name === 'kind')) return undefined;
  switch (schema.type) {
    case 'string':
    case 'bytes':
      return '';
    case 'boolean':
      return false;
    case 'int32':
    case 'int64':
    case 'uint64':
    case 'float64':
    case 'intOrString':
      return 0;
    case 'array':
      return EMPTY_LIST;
    case 'map':
      return EMPTY_MAP;
    default:
      return undefined;
  }
}
