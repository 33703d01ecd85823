/** Maps made by expressions. */
import { CelError, CelMap, CelUint } from './value.ts';
import type { CelResult, CelValue } from './value.ts';

interface Entry {
  readonly key: CelValue;
  readonly value: CelValue;
  /** How many entries were there before. */
  readonly position: number;
}

/** int, uint and double are the same key where they are the same number. */
type Key = bigint | string | boolean;

/**
 * The first `size` entries of a table that grows: as with ArrayList, the map that sees all of it may insert in place.
 */
export class EntryMap extends CelMap {
  readonly size: number;
  readonly #entries: Map<Key, Entry>;

  private constructor(entries: Map<Key, Entry>) {
    super();
    this.#entries = entries;
    this.size = entries.size;
  }

  /** Later entries replace earlier ones of the same key. */
  static of(entries: Iterable<readonly [key: CelValue, value: CelValue]>): EntryMap | CelError {
    const table = new Map<Key, Entry>();
    for (const [key, value] of entries) {
      const normal = normalKey(key);
      if (normal === undefined) return new CelError('unsupported key type');
      table.set(normal, { key, value, position: table.get(normal)?.position ?? table.size });
    }
    return new EntryMap(table);
  }

  override find(key: CelValue): CelResult | undefined {
    const normal = normalKey(key);
    if (normal === undefined) return undefined;
    const entry = this.#entries.get(normal);
    return entry === undefined || entry.position >= this.size ? undefined : entry.value;
  }

  override *keys(): Iterable<CelValue> {
    for (const entry of this.#entries.values()) {
      if (entry.position >= this.size) return;
      yield entry.key;
    }
  }

  insert(key: CelValue, value: CelValue): EntryMap | CelError {
    const normal = normalKey(key);
    if (normal === undefined) return new CelError('unsupported key type');
    if (this.find(key) !== undefined) return new CelError(`insert failed: key ${normal} already exists`);
    // An empty map may be a constant of the program, which must stay empty.
    const own = this.size > 0 && this.#entries.size === this.size;
    const table = own ? this.#entries : new Map([...this.#entries].slice(0, this.size));
    table.set(normal, { key, value, position: table.size });
    return new EntryMap(table);
  }
}

function normalKey(key: CelValue): Key | undefined {
  switch (typeof key) {
    case 'string':
    case 'boolean':
    case 'bigint':
      return key;
    case 'number':
      return Number.isInteger(key) ? BigInt(key) : undefined;
    default:
      return key instanceof CelUint ? key.value : undefined;
  }
}
