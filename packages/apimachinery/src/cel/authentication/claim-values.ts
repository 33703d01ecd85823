/**
 * The claims of a token as expressions see them: JSON as Go decodes it without a type, so all numbers are double; a key that
 * is no identifier may be written with escapes, `claims.example__dot__com` (k8s.io/apiserver/pkg/cel/escaping.go).
 */
import { isJsonArray, isJsonObject } from '../../json.ts';
import type { JsonArray, JsonObject, JsonValue } from '../../json.ts';
import { unescapeName } from '../schema/escaping.ts';
import { JoinedList } from '../value/list.ts';
import { CelList, CelMap } from '../value/value.ts';
import type { CelResult, CelValue } from '../value/value.ts';

export function claimValueOf(json: JsonValue): CelValue {
  if (isJsonArray(json)) return new ClaimList(json);
  return isJsonObject(json) ? new ClaimMap(json) : json;
}

class ClaimList extends CelList {
  readonly #json: JsonArray;

  constructor(json: JsonArray) {
    super();
    this.#json = json;
  }

  override get size(): number {
    return this.#json.length;
  }

  override get(position: number): CelValue {
    return claimValueOf(this.#json[position] as JsonValue);
  }

  override add(other: CelList): CelList {
    return other.size === 0 ? this : new JoinedList(this, other);
  }
}

class ClaimMap extends CelMap {
  readonly #json: JsonObject;

  constructor(json: JsonObject) {
    super();
    this.#json = json;
  }

  override get size(): number {
    return Object.keys(this.#json).length;
  }

  override find(key: CelValue): CelResult | undefined {
    if (typeof key !== 'string') return undefined;
    const name = unescapeName(key) ?? key;
    const value = Object.hasOwn(this.#json, name) ? this.#json[name] : undefined;
    return value === undefined ? undefined : claimValueOf(value);
  }

  override keys(): Iterable<CelValue> {
    return Object.keys(this.#json);
  }
}
