import type { Clock } from '@k8ts/base';

/** A clock on which so many seconds pass in one: for what happens every minute, over real connections. */
export function hurriedClock(factor: number): Clock {
  const origin = Date.now();
  const start = performance.now();
  const monotonic = (): number => (performance.now() - start) * factor;
  return {
    now: () => origin + monotonic(),
    monotonic,
    setTimeout(callback, delay) {
      const timer = setTimeout(callback, delay / factor);
      return () => clearTimeout(timer);
    },
    yield: () => new Promise((resolve) => setImmediate(resolve)),
  };
}
