import type { CancelTimer, Clock } from '@k8ts/base';

import { defaultRateLimiter } from './rate-limiter.ts';
import type { RateLimiter } from './rate-limiter.ts';
import type { QueueMetrics } from './queue-metrics.ts';

/**
 * A queue of keys for workers (client-go's workqueue). A key that is added again while it waits is there once; one that is
 * added while a worker has it comes again after `done`, so no key is ever worked on twice at the same time.
 */
export interface WorkQueue {
  add(key: string): void;
  /** `add` in `delay` milliseconds; of several for one key the earliest counts. */
  addAfter(key: string, delay: number): void;
  /** `addAfter` with the wait that the key's failures so far ask for. */
  addRateLimited(key: string): void;
  /** The key succeeded, or is given up: its failures no longer count. */
  forget(key: string): void;
  retries(key: string): number;
  /** The next key, as soon as there is one; undefined once the queue is shut down and empty. Call `done` afterwards. */
  get(): Promise<string | undefined>;
  done(key: string): void;
  /** Keys that wait, without those that a worker has and those that are delayed. */
  readonly length: number;
  /** Takes no more keys; those that wait are still handed out. Delayed ones are dropped. */
  shutDown(): void;
  readonly shuttingDown: boolean;
}

export interface WorkQueueOptions {
  readonly clock: Clock;
  /** Default: `defaultRateLimiter`. */
  readonly rateLimiter?: RateLimiter;
  readonly metrics?: QueueMetrics;
}

export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { clock, metrics } = options;
  const rateLimiter = options.rateLimiter ?? defaultRateLimiter(clock);
  const waiting = new Set<string>(); // in order of arrival
  // Goes along the keys as they are taken: a new iterator would have to pass all that have been taken before.
  let arrivals = waiting.values();
  const processing = new Set<string>();
  const again = new Set<string>(); // added while processing
  const delayed = new Map<string, { readonly due: number; readonly cancel: CancelTimer }>();
  const idleWorkers: ((key: string | undefined) => void)[] = [];
  let shuttingDown = false;

  const hand = (key: string): void => {
    metrics?.got(key);
    processing.add(key);
  };
  const enqueue = (key: string): void => {
    const worker = idleWorkers.shift();
    if (worker === undefined) {
      waiting.add(key);
      return;
    }
    hand(key);
    worker(key);
  };
  const add = (key: string): void => {
    if (shuttingDown || waiting.has(key) || again.has(key)) return;
    metrics?.added(key);
    if (processing.has(key)) again.add(key);
    else enqueue(key);
  };
  const addAfter = (key: string, delay: number): void => {
    if (shuttingDown) return;
    if (delay <= 0) {
      add(key);
      return;
    }
    const due = clock.monotonic() + delay;
    const earlier = delayed.get(key);
    if (earlier !== undefined && earlier.due <= due) return;
    earlier?.cancel();
    const cancel = clock.setTimeout(() => {
      delayed.delete(key);
      add(key);
    }, delay);
    delayed.set(key, { due, cancel });
  };

  return {
    add,
    addAfter: (key, delay) => {
      metrics?.retried();
      addAfter(key, delay);
    },
    addRateLimited: (key) => {
      metrics?.retried();
      addAfter(key, rateLimiter.when(key));
    },
    forget: (key) => rateLimiter.forget(key),
    retries: (key) => rateLimiter.retries(key),
    get: () => {
      let next = arrivals.next();
      if (next.done === true) next = (arrivals = waiting.values()).next();
      if (next.done !== true) {
        waiting.delete(next.value);
        hand(next.value);
        return Promise.resolve(next.value);
      }
      if (shuttingDown) return Promise.resolve(undefined);
      return new Promise((resolve) => idleWorkers.push(resolve));
    },
    done: (key) => {
      if (!processing.delete(key)) return;
      metrics?.done(key);
      if (again.delete(key)) enqueue(key);
    },
    get length() {
      return waiting.size;
    },
    shutDown: () => {
      shuttingDown = true;
      for (const { cancel } of delayed.values()) cancel();
      delayed.clear();
      metrics?.stop();
      for (const worker of idleWorkers.splice(0)) worker(undefined);
    },
    get shuttingDown() {
      return shuttingDown;
    },
  };
}
