import type { Clock } from '@k8ts/base';

import type { LeaseStatus } from '../contract.ts';

interface LeaseEntry {
  readonly id: bigint;
  readonly ttl: number;
  /** On the monotonic clock, milliseconds. */
  deadline: number;
  readonly keys: Set<string>;
}

/** Longest time a timer is set for; real timers overflow after 24.8 days. */
const LONGEST_TIMER = 24 * 3_600_000;

/**
 * Which leases exist, which keys hang on them, and when they expire. One timer stands for the earliest deadline; a
 * renewal leaves it alone, the timer looks again when it fires.
 */
export class LeaseTable implements Disposable {
  readonly #clock: Clock;
  readonly #onExpired: (id: bigint) => void;
  readonly #leases = new Map<bigint, LeaseEntry>();
  #cancelTimer: (() => void) | undefined;
  #timerDue = Infinity;
  #lastId: bigint;
  #disposed = false;

  constructor(clock: Clock, onExpired: (id: bigint) => void) {
    this.#clock = clock;
    this.#onExpired = onExpired;
    this.#lastId = BigInt(Math.floor(clock.now())) << 20n; // unique across restarts, positive as int64
  }

  has(id: bigint): boolean {
    return this.#leases.has(id);
  }

  ttl(id: bigint): number | undefined {
    return this.#leases.get(id)?.ttl;
  }

  newId(): bigint {
    do this.#lastId++;
    while (this.#leases.has(this.#lastId));
    return this.#lastId;
  }

  add(id: bigint, ttl: number): void {
    this.restore({ id, ttl, deadline: this.#clock.monotonic() + ttl * 1000, keys: new Set() });
  }

  /** Puts back what `remove` returned. */
  restore(lease: LeaseEntry): void {
    this.#leases.set(lease.id, lease);
    this.#arm(lease.deadline);
  }

  remove(id: bigint): LeaseEntry | undefined {
    const lease = this.#leases.get(id);
    this.#leases.delete(id);
    return lease;
  }

  renew(id: bigint): void {
    const lease = this.#leases.get(id);
    if (lease !== undefined) lease.deadline = this.#clock.monotonic() + lease.ttl * 1000;
  }

  attach(id: bigint, key: string): void {
    this.#leases.get(id)?.keys.add(key);
  }

  detach(id: bigint, key: string): void {
    this.#leases.get(id)?.keys.delete(key);
  }

  keys(id: bigint): string[] {
    return [...(this.#leases.get(id)?.keys ?? [])].sort();
  }

  /** An expired lease whose removal failed: asked for again after `delay` milliseconds. */
  retry(id: bigint, delay: number): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    lease.deadline = Math.max(lease.deadline, this.#clock.monotonic() + delay);
    this.#arm(lease.deadline);
  }

  list(): LeaseStatus[] {
    const now = this.#clock.monotonic();
    return [...this.#leases.values()]
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .map(({ id, ttl, deadline, keys }) => ({
        id,
        ttl,
        remaining: Math.max(0, Math.ceil((deadline - now) / 1000)),
        keys: [...keys].sort(),
      }));
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#cancelTimer?.();
  }

  #arm(deadline: number): void {
    if (this.#disposed || deadline >= this.#timerDue) return;
    this.#cancelTimer?.();
    this.#timerDue = deadline;
    const delay = Math.min(Math.max(0, deadline - this.#clock.monotonic()), LONGEST_TIMER);
    this.#cancelTimer = this.#clock.setTimeout(() => this.#fire(), delay);
  }

  #fire(): void {
    this.#timerDue = Infinity;
    this.#cancelTimer = undefined;
    const now = this.#clock.monotonic();
    const expired: bigint[] = [];
    let next = Infinity;
    for (const lease of this.#leases.values()) {
      if (lease.deadline <= now) expired.push(lease.id);
      else next = Math.min(next, lease.deadline);
    }
    if (next < Infinity) this.#arm(next);
    for (const id of expired) this.#onExpired(id);
  }
}
