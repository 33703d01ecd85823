import type { Clock } from '@k8ts/base';

import type { ForeignAnswer } from './message.ts';

interface Entry {
  readonly message: Buffer;
  readonly ttlOffsets: readonly number[];
  readonly storedAt: number;
  readonly expiresAt: number;
}

const NXDOMAIN = 3;
const MAX_ENTRIES = 10_000;
const MAX_BYTES = 16 * 1024 * 1024;

/** Answers of other servers, kept for as long as they may be, at most `maxTtl` seconds; the least recently used go first. */
export class ResponseCache {
  readonly #clock: Clock;
  readonly #maxTtl: number;
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(clock: Clock, maxTtl: number) {
    this.#clock = clock;
    this.#maxTtl = maxTtl;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** A copy with its TTLs counted down, for the caller to address. */
  get(key: string): Buffer | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const now = this.#clock.monotonic();
    this.#delete(key, entry);
    if (now >= entry.expiresAt) return undefined;
    this.#set(key, entry);
    const message = Buffer.from(entry.message);
    const age = Math.floor((now - entry.storedAt) / 1000);
    for (const offset of entry.ttlOffsets) {
      message.writeUInt32BE(Math.max(0, message.readUInt32BE(offset) - age), offset);
    }
    return message;
  }

  /** Keeps names that are there and names that are not; what went wrong is asked for anew. */
  put(key: string, message: Buffer, { code, truncated, ttl, ttlOffsets }: ForeignAnswer): void {
    const seconds = Math.min(ttl, this.#maxTtl);
    if (truncated || seconds <= 0 || (code !== 0 && code !== NXDOMAIN)) return;
    const known = this.#entries.get(key);
    if (known !== undefined) this.#delete(key, known);
    const now = this.#clock.monotonic();
    this.#set(key, { message, ttlOffsets, storedAt: now, expiresAt: now + 1000 * seconds });
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size <= MAX_ENTRIES && this.#bytes <= MAX_BYTES) return;
      this.#delete(oldest, entry);
    }
  }

  #set(key: string, entry: Entry): void {
    this.#entries.set(key, entry);
    this.#bytes += entry.message.length;
  }

  #delete(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#bytes -= entry.message.length;
  }
}
