import type { Clock } from '@k8ts/base';

interface Entry<T> {
  readonly value: T;
  /** On the monotonic clock. */
  readonly until: number;
}

/**
 * Keeps values for a time: the `limit` set last, and up to as many older ones, of which all go at once. To drop a Map's
 * first key for each new one costs more and more, since iterating passes over what has been deleted.
 */
export class TtlCache<T> {
  readonly #clock: Clock;
  readonly #limit: number;
  #recent = new Map<string, Entry<T>>();
  #older = new Map<string, Entry<T>>();

  constructor(clock: Clock, limit: number) {
    this.#clock = clock;
    this.#limit = limit;
  }

  get(key: string): T | undefined {
    const entry = this.#recent.get(key) ?? this.#older.get(key);
    return entry !== undefined && entry.until > this.#clock.monotonic() ? entry.value : undefined;
  }

  /** `ttl` in milliseconds; 0: the value is not kept. */
  set(key: string, value: T, ttl: number): void {
    if (ttl <= 0) return;
    if (this.#recent.size >= this.#limit && !this.#recent.has(key)) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(key, { value, until: this.#clock.monotonic() + ttl });
  }
}
