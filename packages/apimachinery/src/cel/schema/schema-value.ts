/**
 * JSON as expressions see it through its schema (k8s.io/apiserver/pkg/cel/common/valuesunstructured.go). Values are
 * converted where they are read, no earlier.
 */
import type { apiextensionsv1 } from '@k8ts/api';
import { isJsonArray, isJsonObject, jsonEqual } from '../../json.ts';
import type { JsonArray, JsonObject, JsonValue } from '../../json.ts';
import { UNKNOWN } from '../language/type.ts';
import type { CelType } from '../language/type.ts';
import { valuesEqual } from '../value/equality.ts';
import { JoinedList } from '../value/list.ts';
import { spend } from '../value/meter.ts';
import { parseDate, parseTimestamp } from '../value/time.ts';
import { CelDuration, CelError, CelList, CelMap, CelOpaque, NO_SUCH_OVERLOAD } from '../value/value.ts';
import type { CelResult, CelValue } from '../value/value.ts';
import { isEmbedded, itemsOf, valuesOf, withObjectMeta } from './declared-type.ts';
import { escapeName, unescapeName } from './escaping.ts';
import { parseSchemaDuration } from './schema-duration.ts';

type JSONSchemaProps = apiextensionsv1.JSONSchemaProps;

export function schemaValue(value: JsonValue, schema: JSONSchemaProps): CelResult {
  if (value === null)
    return schema.nullable === true
      ? null
      : new CelError('invalid data, got null for schema with nullable=false');
  if (schema['x-kubernetes-int-or-string'] === true) {
    if (typeof value === 'string') return value;
    if (Number.isInteger(value)) return BigInt(value as number);
    return new CelError('invalid data, expected XIntOrString value to be either a string or integer');
  }
  switch (schema.type) {
    case 'object':
      if (!isJsonObject(value))
        return new CelError('invalid data, expected a map for the provided schema with type=object');
      return new SchemaMap(value, isEmbedded(schema) ? withObjectMeta(schema) : schema);
    case 'array':
      return listValue(value, schema);
    case 'string':
      return stringValue(value, schema.format);
    case 'number':
      return typeof value === 'number' ? value : unexpected('float', value);
    case 'integer':
      return Number.isInteger(value) ? BigInt(value as number) : unexpected('int', value);
    case 'boolean':
      return typeof value === 'boolean' ? value : unexpected('bool', value);
    default:
      if (schema['x-kubernetes-preserve-unknown-fields'] === true) return new UnknownValue(value);
      return new CelError(
        `invalid type, expected object, array, number, integer, boolean or string, or no type with x-kubernetes-int-or-string or x-kubernetes-preserve-unknown-fields is true, got ${schema.type ?? ''}`,
      );
  }
}

/** Go's names of what JSON holds. */
function unexpected(expected: string, value: JsonValue): CelError {
  return new CelError(`invalid data, expected ${expected}, got ${goType(value)}`);
}

function goType(value: JsonValue): string {
  switch (typeof value) {
    case 'string':
      return 'string';
    case 'boolean':
      return 'bool';
    case 'number':
      return Number.isInteger(value) ? 'int64' : 'float64';
    default:
      return Array.isArray(value) ? '[]interface {}' : 'map[string]interface {}';
  }
}

function listValue(value: JsonValue, schema: JSONSchemaProps): CelResult {
  if (!isJsonArray(value))
    return new CelError('invalid data, expected an array for the provided schema with type=array');
  const items = itemsOf(schema);
  if (items === undefined) return new CelError('invalid array type, expected Items with a non-empty Schema');
  switch (schema['x-kubernetes-list-type'] ?? 'atomic') {
    case 'map':
      return new MapList(value, items, schema['x-kubernetes-list-map-keys'] ?? []);
    case 'set':
      return new SetList(value, items);
    default:
      return new SchemaList(value, items);
  }
}

function stringValue(value: JsonValue, format: string | undefined): CelResult {
  if (typeof value !== 'string') return unexpected('string', value);
  switch (format) {
    case 'duration': {
      const duration = parseSchemaDuration(value);
      return duration === undefined
        ? new CelError(`Invalid duration ${value}: unable to parse ${value} as duration`)
        : new CelDuration(duration);
    }
    case 'date':
      return parseDate(value) ?? new CelError(`Invalid date formatted string ${value}`);
    case 'date-time':
      return (
        (value === '' ? parseTimestamp('1970-01-01T00:00:00Z') : parseTimestamp(value, false)) ??
        new CelError(`Invalid date-time formatted string ${value}`)
      );
    case 'byte':
      return /^[A-Za-z0-9+/_-]*={0,2}$/.test(value)
        ? new Uint8Array(Buffer.from(value, 'base64'))
        : new CelError(`Invalid byte formatted string ${value}`);
    default:
      return value;
  }
}

/** Data without a schema: it can be compared, and nothing else. */
class UnknownValue extends CelOpaque {
  readonly json: JsonValue;

  constructor(json: JsonValue) {
    super();
    this.json = json;
  }

  override get type(): CelType {
    return UNKNOWN;
  }

  override equals(other: CelValue): boolean {
    return other instanceof UnknownValue && jsonEqual(this.json, other.json);
  }

  override toText(): string {
    return 'unknown';
  }
}

/** An object by its fields, or a map by its keys. */
class SchemaMap extends CelMap {
  readonly json: JsonObject;
  readonly #schema: JSONSchemaProps;

  constructor(json: JsonObject, schema: JSONSchemaProps) {
    super();
    this.json = json;
    this.#schema = schema;
  }

  override get size(): number {
    return definedNames(this.json).length;
  }

  get #isObject(): boolean {
    return this.#schema.properties !== undefined;
  }

  #schemaOf(name: string): JSONSchemaProps | undefined {
    const { properties } = this.#schema;
    if (properties === undefined) return valuesOf(this.#schema);
    return Object.hasOwn(properties, name) ? properties[name] : undefined;
  }

  override find(key: CelValue): CelResult | undefined {
    if (typeof key !== 'string') return NO_SUCH_OVERLOAD;
    const name = this.#isObject ? unescapeName(key) : key;
    if (name === undefined || !Object.hasOwn(this.json, name)) return undefined;
    const value = this.json[name];
    // In objects, null means that an optional field is not there.
    if (value === undefined || (this.#isObject && value === null)) return undefined;
    const schema = this.#schemaOf(name);
    return schema === undefined ? undefined : schemaValue(value, schema);
  }

  override *keys(): Iterable<CelValue> {
    for (const name of definedNames(this.json)) {
      if (this.#schemaOf(name) === undefined) continue;
      yield this.#isObject ? (escapeName(name) ?? name) : name;
    }
  }

  override equals(other: CelValue): boolean | CelError {
    if (!(other instanceof CelMap)) return NO_SUCH_OVERLOAD;
    const names = definedNames(this.json);
    if (names.length !== other.size) return false;
    spend(names.length);
    for (const name of names) {
      if (this.#schemaOf(name) === undefined) {
        if (!(other instanceof SchemaMap)) return NO_SUCH_OVERLOAD;
        const unknown = this.json[name];
        if (
          Object.hasOwn(other.json, name) &&
          unknown !== undefined &&
          !jsonEqual(unknown, other.json[name] ?? null)
        )
          return false;
        continue;
      }
      const key = this.#isObject ? (escapeName(name) ?? name) : name;
      const mine = this.find(key);
      const theirs = other.find(key);
      if (mine === undefined || theirs === undefined) {
        if (mine !== theirs) return false;
        continue;
      }
      if (mine instanceof CelError) return mine;
      if (theirs instanceof CelError) return theirs;
      const equal = valuesEqual(mine, theirs);
      if (equal !== true) return equal;
    }
    return true;
  }
}

/** Fields that are undefined are not there. */
function definedNames(json: JsonObject): readonly string[] {
  return Object.keys(json).filter((name) => json[name] !== undefined);
}

class SchemaList extends CelList {
  readonly json: JsonArray;
  protected readonly items: JSONSchemaProps;

  constructor(json: JsonArray, items: JSONSchemaProps) {
    super();
    this.json = json;
    this.items = items;
  }

  override get size(): number {
    return this.json.length;
  }

  override get(position: number): CelResult {
    return schemaValue(this.json[position] as JsonValue, this.items);
  }

  override add(other: CelList): CelList {
    return other.size === 0 ? this : new JoinedList(this, other);
  }

  override equals(other: CelValue): boolean | CelError | undefined {
    return other instanceof CelList ? undefined : NO_SUCH_OVERLOAD;
  }
}

/** A list whose elements have keys: order does not matter, and adding replaces elements of the same key. */
class MapList extends SchemaList {
  readonly #keys: readonly string[];

  constructor(json: JsonArray, items: JSONSchemaProps, keys: readonly string[]) {
    super(json, items);
    this.#keys = keys;
  }

  #keyOf(element: JsonValue | undefined): string {
    if (element === undefined || !isJsonObject(element)) return '';
    return JSON.stringify(this.#keys.map((key) => (Object.hasOwn(element, key) ? element[key] : null)));
  }

  override equals(other: CelValue): boolean | CelError {
    if (!(other instanceof CelList)) return NO_SUCH_OVERLOAD;
    if (other.size !== this.size) return false;
    spend(this.size * 2);
    const positions = new Map(this.json.map((element, i) => [this.#keyOf(element), i]));
    for (let i = 0; i < other.size; i++) {
      const theirs = other.get(i);
      if (theirs instanceof CelError) return theirs;
      const position = positions.get(this.#keyOf(jsonOf(theirs)));
      if (position === undefined) return false;
      const mine = this.get(position);
      if (mine instanceof CelError) return mine;
      const equal = valuesEqual(mine, theirs);
      if (equal !== true) return equal;
    }
    return true;
  }

  override add(other: CelList): CelList {
    const elements = [...this.json];
    const positions = new Map(elements.map((element, i) => [this.#keyOf(element), i]));
    for (const element of elementsOf(other)) {
      const position = positions.get(this.#keyOf(element));
      if (position === undefined) elements.push(element);
      else elements[position] = element;
    }
    spend(elements.length * 2);
    return new MapList(elements, this.items, this.#keys);
  }
}

/** A list whose elements are all different: order does not matter, and adding unites. */
class SetList extends SchemaList {
  override equals(other: CelValue): boolean | CelError {
    if (!(other instanceof CelList)) return NO_SUCH_OVERLOAD;
    if (other.size !== this.size) return false;
    spend(this.size * 2);
    const members = new Set(this.json.map(memberKey));
    for (const element of elementsOf(other)) if (!members.has(memberKey(element))) return false;
    return true;
  }

  override add(other: CelList): CelList {
    const elements = [...this.json];
    const members = new Set(elements.map(memberKey));
    for (const element of elementsOf(other)) {
      const key = memberKey(element);
      if (members.has(key)) continue;
      members.add(key);
      elements.push(element);
    }
    spend(elements.length * 2);
    return new SetList(elements, this.items);
  }
}

function memberKey(element: JsonValue): string {
  return JSON.stringify(element);
}

/** The JSON behind the elements; what has none is left out of comparisons. */
function elementsOf(list: CelList): readonly JsonValue[] {
  if (list instanceof SchemaList) return list.json;
  const elements: JsonValue[] = [];
  spend(list.size);
  for (let i = 0; i < list.size; i++) {
    const value = list.get(i);
    elements.push((value instanceof CelError ? undefined : jsonOf(value)) ?? null);
  }
  return elements;
}

function jsonOf(value: CelValue): JsonValue | undefined {
  if (value instanceof SchemaMap || value instanceof SchemaList || value instanceof UnknownValue)
    return value.json;
  if (typeof value === 'bigint') return Number(value);
  return value === null ||
    typeof value === 'string' ||
    typeof value === 'number' ||
    typeof value === 'boolean'
    ? value
    : undefined;
}
