/**
 * Exponential back-off by key, with the rules of client-go's flowcontrol.Backoff: the first wait is `initial`, each
 * further one doubles up to `maximum`, and a key that was left alone for `expiry` starts anew.
 *
 *     container crashes at t=0 → starts at once (wait for next time: 10 s)
 *     crashes at t=1           → waits until t=11 (next: 20 s) …
 */
export interface BackOff {
  /** How long to wait after the failure at `since`, or undefined when the wait is over. Times in milliseconds. */
  remaining(key: string, since: number, now: number): number | undefined;
  /** The wait in force for the key, 0 for none. */
  delay(key: string): number;
  /** What failed at `since` is tried again now: doubles the wait that a further failure brings. */
  next(key: string, since: number, now: number): void;
  /** Like `remaining`, counted from the last `next`. */
  remainingSinceUpdate(key: string, now: number): number | undefined;
  /** Forgets the keys that begin with `prefix`. */
  forget(prefix: string): void;
}

interface Entry {
  delay: number;
  updated: number;
}

/** All in milliseconds. */
export function createBackOff(initial: number, maximum: number, expiry: number = 2 * maximum): BackOff {
  const entries = new Map<string, Entry>();
  const current = (key: string, since: number): Entry | undefined => {
    const entry = entries.get(key);
    return entry === undefined || since - entry.updated > expiry ? undefined : entry;
  };
  const wait = (entry: Entry | undefined, since: number, now: number): number | undefined => {
    if (entry === undefined) return undefined;
    const left = since + entry.delay - now;
    return left > 0 ? left : undefined;
  };
  return {
    remaining: (key, since, now) => wait(current(key, since), since, now),
    remainingSinceUpdate: (key, now) => {
      const entry = current(key, now);
      return wait(entry, entry?.updated ?? 0, now);
    },
    delay: (key) => entries.get(key)?.delay ?? 0,
    next(key, since, now) {
      const entry = current(key, since);
      entries.set(key, {
        delay: entry === undefined ? initial : Math.min(entry.delay * 2, maximum),
        updated: now,
      });
    },
    forget(prefix) {
      for (const key of entries.keys()) if (key.startsWith(prefix)) entries.delete(key);
    },
  };
}

const FIRST_RESTART_PERIOD = 10_000;
const MAX_RESTART_PERIOD = 300_000;

/**
 * The waits of containers that crash. A shorter maximum than the first wait shortens that too, but how long a container
 * must have stayed up to be forgiven does not depend on it (newCrashLoopBackOff in pkg/kubelet/kubelet.go).
 */
export function createCrashLoopBackOff(maxRestartPeriod: number = MAX_RESTART_PERIOD): BackOff {
  return createBackOff(
    Math.min(FIRST_RESTART_PERIOD, maxRestartPeriod),
    maxRestartPeriod,
    2 * MAX_RESTART_PERIOD,
  );
}
