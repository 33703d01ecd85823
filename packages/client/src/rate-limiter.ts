import type { Clock } from '@k8ts/base';

/** Says how long to wait before a key is tried again, in milliseconds. */
export interface RateLimiter {
  when(key: string): number;
  /** The key succeeded: its failures no longer count. */
  forget(key: string): void;
  /** Failures since the last `forget`. */
  retries(key: string): number;
}

/** Each failure of a key doubles its wait: `base`, 2·`base`, 4·`base` … up to `max`. */
export function exponentialRateLimiter(base = 5, max = 1_000_000): RateLimiter {
  const failures = new Map<string, number>();
  return {
    when(key) {
      const count = failures.get(key) ?? 0;
      failures.set(key, count + 1);
      return Math.min(base * 2 ** Math.min(count, 64), max);
    },
    forget: (key) => void failures.delete(key),
    retries: (key) => failures.get(key) ?? 0,
  };
}

/**
 * A bucket of `burst` tokens that refills with `perSecond`. `reserve` takes a token that may be there only in the future
 * and says how long that is; `tryTake` takes one only when it is there.
 */
export class TokenBucket {
  readonly #clock: Clock;
  readonly #perMillisecond: number;
  readonly #burst: number;
  #tokens: number;
  #at: number;

  constructor(clock: Clock, perSecond: number, burst: number) {
    this.#clock = clock;
    this.#perMillisecond = perSecond / 1000;
    this.#burst = burst;
    this.#tokens = burst;
    this.#at = clock.monotonic();
  }

  reserve(): number {
    this.#refill();
    this.#tokens -= 1;
    if (this.#tokens >= 0) return 0;
    return this.#perMillisecond > 0 ? -this.#tokens / this.#perMillisecond : Infinity;
  }

  tryTake(): boolean {
    this.#refill();
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  #refill(): void {
    const now = this.#clock.monotonic();
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) * this.#perMillisecond);
    this.#at = now;
  }
}

/** Limits all keys together. */
export function bucketRateLimiter(clock: Clock, perSecond: number, burst: number): RateLimiter {
  const bucket = new TokenBucket(clock, perSecond, burst);
  return { when: () => bucket.reserve(), forget: () => undefined, retries: () => 0 };
}

/** The longest wait that any of them asks for. */
export function maxOfRateLimiters(...limiters: readonly RateLimiter[]): RateLimiter {
  return {
    when: (key) => Math.max(...limiters.map((limiter) => limiter.when(key))),
    forget: (key) => {
      for (const limiter of limiters) limiter.forget(key);
    },
    retries: (key) => Math.max(...limiters.map((limiter) => limiter.retries(key))),
  };
}

/** client-go's DefaultTypedControllerRateLimiter: 5 ms … 1000 s per key, and 10 per second after a burst of 100 for all. */
export function defaultRateLimiter(clock: Clock): RateLimiter {
  return maxOfRateLimiters(exponentialRateLimiter(), bucketRateLimiter(clock, 10, 100));
}
