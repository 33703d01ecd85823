/**
 * Time is passed in. Components never call `Date.now`, `setTimeout` or `setImmediate` themselves (lint forbids it), so a
 * whole cluster can run on virtual time.
 */
export interface Clock {
  /** Wall-clock time in milliseconds since the Unix epoch. */
  now(): number;
  /** Milliseconds since an arbitrary origin; never goes back. For measuring and for deadlines. */
  monotonic(): number;
  /** Calls `callback` once, `delay` milliseconds from now. Returns what cancels it; cancelling twice is harmless. */
  setTimeout(callback: () => void, delay: number): CancelTimer;
  /** Ends this turn of the event loop, so that other work runs; resolves in a later turn. Costs no (virtual) time. */
  yield(): Promise<void>;
}

export type CancelTimer = () => void;

export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimeout(callback, delay) {
    const timer = setTimeout(callback, delay);
    return () => clearTimeout(timer);
  },
  yield: () => new Promise((resolve) => setImmediate(resolve)),
};

/** Resolves after `delay` milliseconds; rejects with `signal.reason` as soon as the signal aborts. */
export function sleep(clock: Clock, delay: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.reject(signal.reason as Error);
  return new Promise((resolve, reject) => {
    const cancel = clock.setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, delay);
    const onAbort = (): void => {
      cancel();
      reject(signal?.reason as Error);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/**
 * Calls `task` every `interval` milliseconds until the signal aborts, first after one interval. A run that is still
 * going when its next turn comes is not started twice: the interval counts from its end.
 */
export async function every(
  clock: Clock,
  interval: number,
  signal: AbortSignal,
  task: () => Promise<void> | void,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await sleep(clock, interval, signal);
    } catch {
      return; // aborted while waiting: the normal end
    }
    await task();
  }
}
