import { isConflict } from '@k8ts/apimachinery';
import { sleep } from '@k8ts/base';
import type { Clock, Random } from '@k8ts/base';

export interface RetryOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly signal?: AbortSignal;
  /** Attempts in all. Default 5. */
  readonly steps?: number;
  /** Milliseconds of the first wait. Default 10. */
  readonly initial?: number;
  /** Default 1. */
  readonly factor?: number;
  /** Default 0.1. */
  readonly jitter?: number;
}

/** Calls `attempt` again after a short wait as long as its error is one that `retriable` accepts; at most `steps` times. */
export async function retryOnError<T>(
  options: RetryOptions,
  retriable: (error: unknown) => boolean,
  attempt: () => Promise<T>,
): Promise<T> {
  const { clock, random, signal, steps = 5, initial = 10, factor = 1, jitter = 0.1 } = options;
  for (let step = 1, wait = initial; ; step++, wait *= factor) {
    try {
      return await attempt();
    } catch (error) {
      if (step >= steps || !retriable(error)) throw error;
    }
    await sleep(clock, wait * (1 + jitter * random()), signal);
  }
}

/**
 * For a read, change and update that others may cross. `attempt` must read anew each time: after a conflict what it had
 * is out of date. client-go's DefaultRetry.
 */
export function retryOnConflict<T>(options: RetryOptions, attempt: () => Promise<T>): Promise<T> {
  return retryOnError(options, isConflict, attempt);
}
