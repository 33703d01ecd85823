/** Plain JSON without a schema, as `dyn`: whole numbers are ints, others doubles. Converted where it is read. */
import { isJsonArray, isJsonObject } from '../../json.ts';
import type { JsonArray, JsonObject, JsonValue } from '../../json.ts';
import { JoinedList } from './list.ts';
import { CelList, CelMap } from './value.ts';
import type { CelResult, CelValue } from './value.ts';

export function dynamicValue(value: JsonValue): CelValue {
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value;
  if (isJsonArray(value)) return new DynamicList(value);
  if (isJsonObject(value)) return new DynamicMap(value);
  return value;
}

class DynamicMap extends CelMap {
  readonly #json: JsonObject;

  constructor(json: JsonObject) {
    super();
    this.#json = json;
  }

  override get size(): number {
    let size = 0;
    for (const name of Object.keys(this.#json)) if (this.#json[name] !== undefined) size++;
    return size;
  }

  override find(key: CelValue): CelResult | undefined {
    if (typeof key !== 'string' || !Object.hasOwn(this.#json, key)) return undefined;
    const value = this.#json[key];
    return value === undefined ? undefined : dynamicValue(value);
  }

  override *keys(): Iterable<CelValue> {
    for (const name of Object.keys(this.#json)) if (this.#json[name] !== undefined) yield name;
  }
}

class DynamicList extends CelList {
  readonly #json: JsonArray;

  constructor(json: JsonArray) {
    super();
    this.#json = json;
  }

  override get size(): number {
    return this.#json.length;
  }

  override get(position: number): CelResult {
    return dynamicValue(this.#json[position] as JsonValue);
  }

  override add(other: CelList): CelList {
    return other.size === 0 ? this : new JoinedList(this, other);
  }
}

/** Values that are computed when they are first asked for, and once. */
export class LazyMap extends CelMap {
  readonly #known = new Map<string, CelResult>();
  readonly #names: readonly string[];
  readonly #compute: (name: string) => CelResult;

  constructor(names: readonly string[], compute: (name: string) => CelResult) {
    super();
    this.#names = names;
    this.#compute = compute;
  }

  override get size(): number {
    return this.#names.length;
  }

  override find(key: CelValue): CelResult | undefined {
    if (typeof key !== 'string' || !this.#names.includes(key)) return undefined;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const value = this.#compute(key);
    this.#known.set(key, value);
    return value;
  }

  override *keys(): Iterable<CelValue> {
    yield* this.#names;
  }
}
