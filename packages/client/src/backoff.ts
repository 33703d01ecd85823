import type { Clock, Random } from '@k8ts/base';

export interface BackoffOptions {
  /** Milliseconds of the first wait. */
  readonly initial: number;
  readonly max: number;
  readonly factor: number;
  /** Each wait is lengthened by a random part of this share of it: 1 means up to twice as long. */
  readonly jitter: number;
  /** After this many milliseconds without a call the waits start over. */
  readonly resetAfter?: number;
}

/** Waits that grow. */
export interface Backoff {
  /** The next wait in milliseconds. */
  next(): number;
  reset(): void;
}

export function createBackoff(clock: Clock, random: Random, options: BackoffOptions): Backoff {
  let base = options.initial;
  let calledAt = -Infinity;
  return {
    next: () => {
      const now = clock.monotonic();
      if (options.resetAfter !== undefined && now - calledAt > options.resetAfter) base = options.initial;
      calledAt = now;
      const wait = base * (1 + options.jitter * random());
      base = Math.min(base * options.factor, options.max);
      return wait;
    },
    reset: () => {
      base = options.initial;
    },
  };
}
