/**
 * Which old value stands for which part of a new one, so that errors of unchanged parts can be let pass (ratcheting;
 * k8s.io/apiserver/pkg/cel/common). Fields correlate by name where the schema has them, items of lists by their keys where
 * the list is of type `map`. Nothing else does: not items of sets, not fields that no schema describes.
 */
import { getOwn, isJsonArray, isJsonObject, jsonEqual } from '../json.ts';
import type { JsonArray, JsonObject, JsonValue } from '../json.ts';
import type { ValueSchema } from './value-schema.ts';

export class Correlation {
  readonly #value: JsonValue;
  readonly #old: JsonValue;
  readonly #schema: ValueSchema;
  readonly #fields: Map<string, Correlation> = new Map();
  readonly #items: Map<number, Correlation> = new Map();
  #oldByKey: ReadonlyMap<string, JsonValue> | undefined;
  #equal: boolean | undefined;

  constructor(value: JsonValue, old: JsonValue, schema: ValueSchema) {
    this.#value = value;
    this.#old = old;
    this.#schema = schema;
  }

  field(name: string): Correlation | undefined {
    const known = this.#fields.get(name);
    if (known !== undefined) return known;
    if (!isJsonObject(this.#old) || !isJsonObject(this.#value)) return undefined;
    const old = getOwn(this.#old, name);
    const value = getOwn(this.#value, name);
    const { properties, additional } = this.#schema;
    const schema = properties.get(name) ?? additional;
    if (old === undefined || value === undefined || schema === undefined || schema === false)
      return undefined;
    const made = new Correlation(value, old, schema);
    this.#fields.set(name, made);
    return made;
  }

  item(position: number): Correlation | undefined {
    const known = this.#items.get(position);
    if (known !== undefined) return known;
    const { items, listType } = this.#schema;
    if (listType !== 'map' || !isJsonArray(this.#old) || !isJsonArray(this.#value)) return undefined;
    this.#oldByKey ??= byKey(this.#old, this.#schema);
    const value = this.#value[position];
    const key = value === undefined ? undefined : keyOf(value, this.#schema.listMapKeys);
    const old = key === undefined ? undefined : this.#oldByKey.get(key);
    if (value === undefined || old === undefined || items === undefined) return undefined;
    const made = new Correlation(value, old, items);
    this.#items.set(position, made);
    return made;
  }

  /** Whether nothing changed. Objects with a field that correlates to nothing did. */
  get equal(): boolean {
    return (this.#equal ??= this.#compare(this.#value, this.#old));
  }

  #compare(value: JsonValue, old: JsonValue): boolean {
    if (isJsonArray(value)) return isJsonArray(old) && this.#compareItems(value, old);
    if (isJsonObject(value)) return isJsonObject(old) && this.#compareFields(value, old);
    return value === old;
  }

  #compareItems(value: JsonArray, old: JsonArray): boolean {
    if (value.length !== old.length) return false;
    for (let i = 0; i < value.length; i++) {
      const item = this.item(i);
      if (item === undefined) return this.#oldByKey === undefined && jsonEqual(value, old);
      if (!item.equal) return false;
    }
    return true;
  }

  #compareFields(value: JsonObject, old: JsonObject): boolean {
    const names = Object.keys(value).filter((name) => value[name] !== undefined);
    if (names.length !== Object.keys(old).filter((name) => old[name] !== undefined).length) return false;
    return names.every((name) => this.field(name)?.equal ?? false);
  }
}

/** The first item of each key. */
function byKey(list: JsonArray, { types, listMapKeys }: ValueSchema): ReadonlyMap<string, JsonValue> {
  const items = new Map<string, JsonValue>();
  if (types[0] !== 'array' || listMapKeys.length === 0) return items;
  for (const item of list) {
    const key = keyOf(item, listMapKeys);
    if (key !== undefined && !items.has(key)) items.set(key, item);
  }
  return items;
}

function keyOf(item: JsonValue, names: readonly string[]): string | undefined {
  if (!isJsonObject(item)) return undefined;
  let key = '';
  for (const name of names) {
    const value = getOwn(item, name);
    if (value === undefined || typeof value === 'object') return undefined;
    key += `${JSON.stringify(value)},`;
  }
  return key;
}
