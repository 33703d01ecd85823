/** JSON without a schema as expressions see it: whole numbers are int, others double. */
import { isJsonArray, isJsonObject } from '../../json.ts';
import type { JsonArray, JsonObject, JsonValue } from '../../json.ts';
import { JoinedList } from './list.ts';
import { CelList, CelMap } from './value.ts';
import type { CelResult, CelValue } from './value.ts';

export function celValueOf(json: JsonValue): CelValue {
  if (isJsonArray(json)) return new JsonList(json);
  if (isJsonObject(json)) return new JsonMap(json);
  return typeof json === 'number' && Number.isInteger(json) ? BigInt(json) : json;
}

class JsonList extends CelList {
  readonly #json: JsonArray;

  constructor(json: JsonArray) {
    super();
    this.#json = json;
  }

  override get size(): number {
    return this.#json.length;
  }

  override get(position: number): CelValue {
    return celValueOf(this.#json[position] as JsonValue);
  }

  override add(other: CelList): CelList {
    return other.size === 0 ? this : new JoinedList(this, other);
  }
}

class JsonMap extends CelMap {
  readonly #json: JsonObject;

  constructor(json: JsonObject) {
    super();
    this.#json = json;
  }

  override get size(): number {
    return [...this.keys()].length;
  }

  override find(key: CelValue): CelResult | undefined {
    const value = typeof key === 'string' && Object.hasOwn(this.#json, key) ? this.#json[key] : undefined;
    return value === undefined ? undefined : celValueOf(value);
  }

  override *keys(): Iterable<CelValue> {
    for (const name of Object.keys(this.#json)) if (this.#json[name] !== undefined) yield name;
  }
}
