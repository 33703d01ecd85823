/**
 * A map of limited size. It holds the `limit` keys set last and up to as many older ones, of which all go at once: to drop
 * a Map's first key for each new one costs more and more, since iterating passes over what has been deleted.
 */
export class LruMap<K, V> {
  readonly #limit: number;
  #recent = new Map<K, V>();
  #older = new Map<K, V>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: K): V | undefined {
    return this.#recent.has(key) ? this.#recent.get(key) : this.#older.get(key);
  }

  set(key: K, value: V): void {
    if (this.#recent.size >= this.#limit && !this.#recent.has(key)) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(key, value);
  }
}
