/** Lists of type `set` and `map` hold nothing twice (apiextensions-apiserver, pkg/apiserver/schema/listtype). */
import type { Schema } from '@k8ts/api';
import { isJsonArray, isJsonObject, setOwn } from '../json.ts';
import type { JsonArray, JsonObject, JsonValue, MutableJsonObject } from '../json.ts';
import type { FieldError } from '../status-error.ts';
import { child, duplicate, index, invalidValue, key } from '../validation/field-errors.ts';

/** The schema is a compiled one; depth must be limited already. */
export function validateListTypes(value: JsonValue, schema: Schema, path = ''): readonly FieldError[] {
  if (!holdsKeyedLists(schema)) return NONE;
  const errors: FieldError[] = [];
  validate(value, schema, path, errors);
  return errors;
}

const NONE: readonly never[] = [];
const MAX_ERRORS = 1000;

function validate(value: JsonValue, schema: Schema, path: string, errors: FieldError[]): void {
  if (isJsonArray(value)) {
    if (schema.type === 'array') validateList(value, schema, path, errors);
  } else if (isJsonObject(value)) validateFields(value, schema, path, errors);
}

function validateFields(object: JsonObject, schema: Schema, path: string, errors: FieldError[]): void {
  const { fields, items } = schema;
  if (fields.size === 0 && (schema.type === 'array' || items === undefined)) return;
  for (const [name, value] of Object.entries(object)) {
    if (value === undefined || (schema.embeddedResource && name === 'metadata')) continue;
    const field = fields.get(name);
    if (field !== undefined) validate(value, field.schema, child(path, name), errors);
    else if (items !== undefined) validate(value, items, key(path, name), errors);
  }
}

function validateList(list: JsonArray, schema: Schema, path: string, errors: FieldError[]): void {
  if (schema.listType === 'set') repeated(list).forEach((i) => report(path, i, list[i] as JsonValue, errors));
  else if (schema.listType === 'map') validateKeys(list, schema, path, errors);
  const items = schema.items;
  if (items !== undefined && holdsKeyedLists(items))
    list.forEach((item, i) => validate(item, items, index(path, i), errors));
}

function validateKeys(list: JsonArray, schema: Schema, path: string, errors: FieldError[]): void {
  const wrong = list.findIndex((item) => item !== null && !isJsonObject(item));
  if (wrong >= 0) {
    const message = 'must be an object for an array of list-type map';
    errors.push(invalidValue(index(path, wrong), list[wrong], message));
    return;
  }
  const keys = list.map((item) => keyOf(item as JsonObject | null, schema.listMapKeys));
  for (const i of repeated(keys)) report(path, i, keys[i] as JsonValue, errors);
}

function keyOf(item: JsonObject | null, names: readonly string[]): JsonObject {
  const found: MutableJsonObject = {};
  for (const name of names)
    if (item !== null && Object.hasOwn(item, name) && item[name] !== undefined)
      setOwn(found, name, item[name]);
  return found;
}

function report(path: string, position: number, value: JsonValue, errors: FieldError[]): void {
  if (errors.length < MAX_ERRORS) errors.push(duplicate(index(path, position), value));
}

/** Where a value stands for the second time; its further appearances are not named. */
function repeated(list: JsonArray): number[] {
  if (list.length < 2) return [];
  const times = new Map<string, number>();
  const found: number[] = [];
  list.forEach((value, i) => {
    const text = canonical(value);
    const before = times.get(text) ?? 0;
    times.set(text, before + 1);
    if (before === 1) found.push(i);
  });
  return found;
}

/** JSON with sorted keys, as Go writes it. */
function canonical(value: JsonValue): string {
  if (isJsonArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (!isJsonObject(value)) return JSON.stringify(value);
  const parts = Object.keys(value)
    .filter((name) => value[name] !== undefined)
    .sort()
    .map((name) => `${JSON.stringify(name)}:${canonical(value[name] as JsonValue)}`);
  return `{${parts.join(',')}}`;
}

// By schema. Schemas are shared and never change.
const known = new WeakMap<Schema, boolean>();

function holdsKeyedLists(schema: Schema): boolean {
  let answer = known.get(schema);
  if (answer === undefined) {
    answer =
      schema.listType === 'set' ||
      schema.listType === 'map' ||
      (schema.items !== undefined && holdsKeyedLists(schema.items)) ||
      [...schema.fields].some(
        ([name, field]) => !(schema.embeddedResource && name === 'metadata') && holdsKeyedLists(field.schema),
      );
    known.set(schema, answer);
  }
  return answer;
}
