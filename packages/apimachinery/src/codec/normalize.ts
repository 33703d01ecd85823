/**
 * Brings a JSON value into the form its schema says, as Go does by decoding into a struct and encoding again: unknown
 * fields go (and are reported), null is absent, zero values with `omitempty` go, structs and required fields are always
 * there, quantities and times are canonical, numbers are in range.
 *
 * Hot: one pass, no allocation where nothing is to change. Values that are shared are copied before they change. Guarded by
 * bench/codec.bench.ts.
 */
import type { FieldSchema, Schema } from '@k8ts/api';
import { isJsonArray, isJsonObject, MAX_JSON_DEPTH, setOwn } from '../json.ts';
import type { JsonArray, JsonObject, JsonValue, MutableJsonObject } from '../json.ts';
import { goQuote } from '../go-quote.ts';
import { QuantityError } from '../quantity.ts';
import { ownZero, zeroFieldsOf, zeroObjectOf } from '../schema/zero-value.ts';
import { TimeError } from '../time.ts';
import { countMembers } from './json-scan.ts';
import { Base64Error, goTypeName, isScalarType, normalizeScalar, ScalarFault } from './scalars.ts';

/** A value does not fit its type. The message is Go's: `json: cannot unmarshal string into Go struct field …`. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
}

export interface NormalizeOptions {
  /** Nobody else holds the value, so it may be changed in place. */
  readonly owned?: boolean;
  /** An object in normal form that the value may share parts with; those are not looked at again. */
  readonly live?: JsonObject | undefined;
}

export interface Normalized {
  readonly object: JsonObject;
  /** `unknown field "spec.foo"`, at most 100. */
  readonly strictErrors: readonly string[];
  /** Members of all objects that were looked at (see json-scan.ts). */
  readonly members: number;
}

interface Context {
  readonly owned: boolean;
  /** Where we are: field names, map keys and list positions. */
  readonly path: (string | number)[];
  /** For each of them, whether it is the name of a struct's field; Go names only those in its errors. */
  readonly isField: boolean[];
  depth: number;
  members: number;
  readonly strictErrors: string[];
}

const MAX_STRICT_ERRORS = 100;

/** Throws DecodeError. The schema's type is `object`. */
export function normalizeObject(value: unknown, schema: Schema, options: NormalizeOptions = {}): Normalized {
  const context: Context = {
    owned: options.owned ?? false,
    path: [],
    isField: [],
    depth: 0,
    members: 0,
    strictErrors: [],
  };
  if (!isJsonObject(value)) throw typeError(context, value as JsonValue, schema, undefined);
  const object = normalizeFields(value, schema, options.live, context);
  return { object, strictErrors: context.strictErrors, members: context.members };
}

/** Undefined stands for absent. `owner` is the struct whose field this is, or is inside of. */
function normalizeValue(
  value: JsonValue,
  schema: Schema,
  live: JsonValue | undefined,
  owner: Schema,
  context: Context,
): JsonValue | undefined {
  if (value === null) return schema.nullable ? null : undefined;
  if (value === live && typeof value === 'object') return value;
  switch (schema.type) {
    case 'object':
      if (!isJsonObject(value)) throw typeError(context, value, schema, owner);
      return normalizeFields(value, schema, live, context);
    case 'map':
      if (!isJsonObject(value)) throw typeError(context, value, schema, owner);
      return normalizeMap(value, schema, live, owner, context);
    case 'array':
      if (!isJsonArray(value)) throw typeError(context, value, schema, owner);
      return normalizeList(value, schema, live, owner, context);
    case 'rawExtension':
    case 'fieldsV1':
    case 'json':
      context.members += countMembers(value);
      return value;
    case 'schemaOrArray':
      if (isJsonArray(value)) return normalizeList(value, schema, live, owner, context);
      return normalizeValue(value, schema.items as Schema, live, owner, context);
    case 'schemaOrStringArray':
      if (isJsonArray(value) && value.every((element) => typeof element === 'string')) return value;
      return normalizeValue(value, schema.items as Schema, live, owner, context);
    case 'schemaOrBool':
      if (typeof value === 'boolean') return value;
      if (!isJsonObject(value)) throw new DecodeError('boolean or JSON schema expected');
      return normalizeValue(value, schema.items as Schema, live, owner, context);
    default:
      return scalar(value, schema, owner, context);
  }
}

function scalar(value: JsonValue, schema: Schema, owner: Schema, context: Context): JsonValue | undefined {
  try {
    const normal = normalizeScalar(value, schema.type);
    if (normal === ScalarFault) throw typeError(context, value, schema, owner);
    return normal;
  } catch (error) {
    if (error instanceof QuantityError || error instanceof TimeError || error instanceof Base64Error)
      throw new DecodeError(error.message);
    throw error;
  }
}

function normalizeFields(
  value: JsonObject,
  schema: Schema,
  live: JsonValue | undefined,
  context: Context,
): JsonObject {
  enter(context);
  const liveFields = isJsonObject(live) ? live : undefined;
  const { fields } = schema;
  const at = context.path.length;
  const keys = Object.keys(value);
  context.members += keys.length;
  let out = value;
  let dropped: Set<string> | undefined;
  for (const key of keys) {
    const field = fields.get(key);
    context.path[at] = key;
    context.isField[at] = true;
    const child = value[key];
    if (field === undefined || child === undefined) {
      if (child !== undefined) unknownField(child, context);
      (dropped ??= new Set()).add(key);
      continue;
    }
    const normal = normalizeValue(child, field.schema, liveFields?.[key], schema, context);
    if (normal === undefined || (field.omitEmpty && isOmitted(normal, field))) {
      (dropped ??= new Set()).add(key);
    } else if (normal !== child) {
      if (out === value && !context.owned) out = { ...value };
      setOwn(out, key, normal);
    }
  }
  context.path.length = at;
  context.isField.length = at;
  context.depth--;
  if (dropped !== undefined) out = without(out, dropped);
  for (const { name, zero } of zeroFieldsOf(schema)) {
    if (out[name] !== undefined) continue;
    if (out === value && !context.owned) out = { ...value };
    setOwn(out, name, context.owned ? ownZero(zero) : zero);
  }
  return out;
}

function enter(context: Context): void {
  if (++context.depth > MAX_JSON_DEPTH) throw new DecodeError('exceeded max depth');
}

function without(object: JsonObject, dropped: ReadonlySet<string>): JsonObject {
  const kept: MutableJsonObject = {};
  for (const key of Object.keys(object)) if (!dropped.has(key)) setOwn(kept, key, object[key]);
  return kept;
}

/** What Go leaves out with `omitempty`. Pointers to zero values stay, and so do structs. */
function isOmitted(value: JsonValue, { schema, pointer }: FieldSchema): boolean {
  if (pointer) return false;
  switch (schema.type) {
    case 'string':
    case 'bytes':
      return value === '';
    case 'boolean':
      return value === false;
    case 'int32':
    case 'int64':
    case 'uint64':
    case 'float64':
      return value === 0;
    case 'array':
      return (value as JsonArray).length === 0;
    case 'map':
      for (const _key in value as JsonObject) return false;
      return true;
    default:
      return false;
  }
}

function unknownField(value: JsonValue, context: Context): void {
  context.members += countMembers(value);
  strictError(context, `unknown field ${goQuote(pathText(context))}`);
}

function strictError(context: Context, message: string): void {
  const { strictErrors } = context;
  if (strictErrors.length < MAX_STRICT_ERRORS && !strictErrors.includes(message)) strictErrors.push(message);
}

/** `spec.containers[0].foo` */
function pathText({ path }: Context): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += text === '' ? part : `.${part}`;
  }
  return text;
}

function normalizeMap(
  value: JsonObject,
  schema: Schema,
  live: JsonValue | undefined,
  owner: Schema,
  context: Context,
): JsonObject {
  enter(context);
  const liveEntries = isJsonObject(live) ? live : undefined;
  const items = schema.items as Schema;
  const keys = Object.keys(value);
  context.members += keys.length;
  const at = context.path.length;
  let out = value;
  for (const key of keys) {
    const child = value[key] as JsonValue;
    if (typeof child === 'string' && items.type === 'string') continue; // labels, data, annotations
    context.path[at] = key;
    context.isField[at] = false;
    const liveChild =
      liveEntries !== undefined && Object.hasOwn(liveEntries, key) ? liveEntries[key] : undefined;
    const normal = normalizeValue(child, items, liveChild, owner, context) ?? zeroElement(items, context);
    if (normal === child) continue;
    if (out === value && !context.owned) out = { ...value };
    setOwn(out, key, normal);
  }
  context.path.length = at;
  context.isField.length = at;
  context.depth--;
  return out;
}

function normalizeList(
  value: JsonArray,
  schema: Schema,
  live: JsonValue | undefined,
  owner: Schema,
  context: Context,
): JsonArray {
  enter(context);
  const liveItems = isJsonArray(live) ? live : undefined;
  const items = schema.items as Schema;
  const at = context.path.length;
  let out = value;
  for (let i = 0; i < value.length; i++) {
    const child = value[i] as JsonValue;
    context.path[at] = i;
    context.isField[at] = false;
    const normal =
      normalizeValue(child, items, liveItems?.[i], owner, context) ?? zeroElement(items, context);
    if (normal === child) continue;
    if (out === value && !context.owned) out = [...value];
    (out as JsonValue[])[i] = normal;
  }
  context.path.length = at;
  context.isField.length = at;
  context.depth--;
  return out;
}

/** What null is among the elements of a list or map: Go's zero value. */
function zeroElement(schema: Schema, { owned }: Context): JsonValue {
  switch (schema.type) {
    case 'object':
      return owned ? ownZero(zeroObjectOf(schema)) : zeroObjectOf(schema);
    case 'string':
    case 'bytes':
      return '';
    case 'boolean':
      return false;
    case 'quantity':
      return '0';
    case 'int32':
    case 'int64':
    case 'uint64':
    case 'float64':
    case 'intOrString':
      return 0;
    default:
      return null;
  }
}

function typeError(
  context: Context,
  value: JsonValue,
  schema: Schema,
  owner: Schema | undefined,
): DecodeError {
  const found = kindOf(value, schema);
  const type = goTypeName(schema);
  // Types that decode themselves do not know where they are.
  if (owner === undefined || isScalarType(schema.type))
    return new DecodeError(`json: cannot unmarshal ${found} into Go value of type ${type}`);
  const fields = context.path.filter((_part, i) => context.isField[i] === true);
  return new DecodeError(
    `json: cannot unmarshal ${found} into Go struct field ${owner.goName}.${fields.join('.')} of type ${type}`,
  );
}

function kindOf(value: JsonValue, schema: Schema): string {
  if (isJsonArray(value)) return 'array';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value !== 'number') return typeof value;
  // Numbers that are out of range, or no integers, are repeated.
  if (!schema.type.startsWith('int') && schema.type !== 'uint64') return 'number';
  return `number ${Number.isInteger(value) ? BigInt(value) : value}`;
}
