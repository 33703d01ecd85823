/**
 * How the values of a schema are owned and merged: as a whole, by field, by key, or by value. Follows the translation of
 * OpenAPI to the schemas of structured-merge-diff (k8s.io/kube-openapi/pkg/schemaconv).
 */
import { createSchema } from '@k8ts/api';
import type { Schema } from '@k8ts/api';
import { isJsonArray, isJsonObject } from '../json.ts';
import type { JsonValue } from '../json.ts';
import { goJson } from '../validation/field-errors.ts';
import { valueElement } from './field-set.ts';

export type Relation =
  /** One owner for the whole value. */
  | 'leaf'
  /** Objects and maps: every field on its own. */
  | 'fields'
  /** Lists of objects told apart by key fields. */
  | 'keyed'
  /** Lists of distinct scalars. */
  | 'set';

/** The relation of a present value. Values of the wrong type are leaves; empty containers are dealt with by the walkers. */
export function relationOf(schema: Schema, value: JsonValue): Relation {
  switch (schema.type) {
    case 'object':
      if (!isJsonObject(value) || schema.mapType === 'atomic') return 'leaf';
      return schema.fields.size > 0 || schema.items !== undefined || schema.preserveUnknownFields
        ? 'fields'
        : 'leaf';
    case 'map':
      return isJsonObject(value) && schema.mapType !== 'atomic' ? 'fields' : 'leaf';
    case 'array':
      return isJsonArray(value) ? listRelation(schema) : 'leaf';
    case 'json':
      return schema.preserveUnknownFields && isJsonObject(value) ? 'fields' : 'leaf';
    default:
      return 'leaf';
  }
}

function listRelation(schema: Schema): Relation {
  switch (schema.listType) {
    case 'map':
      return 'keyed';
    case 'set':
      return 'set';
    case 'atomic':
      return 'leaf';
    case undefined:
      if (!schema.patchStrategy.includes('merge')) return 'leaf';
      return schema.patchMergeKey === undefined ? 'set' : 'keyed';
  }
}

/** What is known of fields that no schema describes: objects by field, everything else whole. */
const UNDESCRIBED: Schema = createSchema({ type: 'json', preserveUnknownFields: true });

/** The schema of a field; undefined where the schema does not allow it. */
export function fieldSchemaOf(schema: Schema, name: string): Schema | undefined {
  const field = schema.fields.get(name);
  if (field !== undefined) return field.schema;
  if (schema.items !== undefined) return schema.items;
  return schema.preserveUnknownFields ? UNDESCRIBED : undefined;
}

/** A declared field with its path element, `f:replicas`; made once, for strings used as keys are dear to make. */
export interface OwnableField {
  readonly element: string;
  readonly schema: Schema;
}

// By object schema. Schemas are shared and never change.
const ownableFields = new WeakMap<Schema, ReadonlyMap<string, OwnableField>>();

export function ownableFieldsOf(schema: Schema): ReadonlyMap<string, OwnableField> {
  let known = ownableFields.get(schema);
  if (known === undefined) {
    const fields = new Map<string, OwnableField>();
    for (const { name, schema: fieldSchema } of schema.fields.values())
      fields.set(name, { element: `f:${name}`, schema: fieldSchema });
    ownableFields.set(schema, fields);
    known = fields;
  }
  return known;
}

/** Fields that are not declared one by one: entries of maps. */
export function isNamedField(schema: Schema, name: string): boolean {
  return schema.fields.has(name);
}

interface KeyField {
  /** `"protocol":` */
  readonly prefix: string;
  readonly name: string;
  /** The element's text where the field is absent: `"TCP"`; undefined without a default. */
  readonly defaultText: string | undefined;
}

// By list schema. Schemas are shared and never change.
const keyFieldsOfLists = new WeakMap<Schema, readonly KeyField[]>();

function keyFieldsOf(schema: Schema): readonly KeyField[] {
  let known = keyFieldsOfLists.get(schema);
  if (known === undefined) {
    const names = schema.listType === 'map' ? schema.listMapKeys : [schema.patchMergeKey as string];
    known = [...names].sort().map((name) => {
      const fallback = schema.items?.fields.get(name)?.schema.default;
      return {
        name,
        prefix: `${goJson(name)}:`,
        defaultText: fallback === undefined ? undefined : goJson(fallback),
      };
    });
    keyFieldsOfLists.set(schema, known);
  }
  return known;
}

const PLAIN_TEXT = /^[ !#-%'-;=?-[\]-~]*$/;

/**
 * The path element of a list's item: `k:{"name":"a"}` or `v:"a"`. Undefined where the item has none (see
 * `listItemFault`).
 */
export function listItemElement(schema: Schema, relation: Relation, item: JsonValue): string | undefined {
  if (relation === 'set') return typeof item === 'object' ? undefined : valueElement(item);
  if (!isJsonObject(item)) return undefined;
  let text = '';
  for (const { name, prefix, defaultText } of keyFieldsOf(schema)) {
    const value = item[name];
    let part: string | undefined;
    if (value === undefined || !Object.hasOwn(item, name)) part = defaultText;
    else if (typeof value === 'string' && PLAIN_TEXT.test(value)) part = `"${value}"`;
    else part = goJson(value);
    if (part === undefined) continue;
    text += text === '' ? prefix + part : `,${prefix}${part}`;
  }
  return text === '' ? undefined : `k:{${text}}`;
}

/** Why an item has no path element, in upstream's words. */
export function listItemFault(schema: Schema, relation: Relation, item: JsonValue): string {
  if (relation === 'set') {
    if (item === null) return "associative list without keys has an element that's an explicit null";
    return isJsonArray(item)
      ? 'not supported: associative list with lists as elements'
      : "associative list without keys has an element that's a map type";
  }
  if (item === null) return 'associative list with keys may not have a null element';
  if (!isJsonObject(item)) return 'associative list with keys may not have non-map elements';
  const names = keyFieldsOf(schema)
    .map(({ name }) => goJson(name))
    .join(' ');
  return `associative list with keys has an element that omits all key fields [${names}] (and doesn't have default values for any key fields)`;
}

export function isEmptyContainer(value: JsonValue): boolean {
  if (isJsonArray(value)) return value.length === 0;
  if (!isJsonObject(value)) return false;
  for (const key in value) if (value[key] !== undefined) return false;
  return true;
}
