import { errorMessage, sleep } from '@k8ts/base';
import type { Clock, Logger } from '@k8ts/base';

export interface SyncRunnerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Does what is due. With `full`, everything; a failure asks for that. */
  readonly sync: (full: boolean) => Promise<void>;
  /** Tells whether what was synced still stands. */
  readonly intact: () => Promise<boolean>;
  /** Milliseconds from the end of one sync to the next, so that changes that come together are synced together. */
  readonly minSyncPeriod: number;
  /** Milliseconds from one look whether everything stands to the next. */
  readonly syncPeriod: number;
  /** Milliseconds from one full sync to the next. */
  readonly fullSyncPeriod: number;
}

export interface SyncRunner {
  /** Something changed. */
  request(): void;
  run(signal: AbortSignal): Promise<void>;
}

const FIRST_RETRY = 200;

/**
 * Runs syncs one at a time. The first change after a quiet time is synced at once, those that follow together after
 * `minSyncPeriod`. A failed sync is retried as a full one, later and later, at most `syncPeriod` apart.
 */
export function createSyncRunner(options: SyncRunnerOptions): SyncRunner {
  const { clock, logger } = options;
  let requested = true; // the first sync needs no change
  let wake: (() => void) | undefined;

  /** Until something is requested or the time is over. */
  const waitForRequest = async (milliseconds: number, signal: AbortSignal): Promise<void> => {
    if (requested || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        cancel();
        signal.removeEventListener('abort', done);
        wake = undefined;
        resolve();
      };
      const cancel = clock.setTimeout(done, milliseconds);
      signal.addEventListener('abort', done, { once: true });
      wake = done;
    });
  };

  const isIntact = async (): Promise<boolean> => {
    try {
      return await options.intact();
    } catch (error) {
      logger.warn('cannot see whether the proxy rules still stand', { error: errorMessage(error) });
      return true;
    }
  };

  return {
    request: () => {
      requested = true;
      wake?.();
    },
    run: async (signal) => {
      let needsFull = true;
      let lastFull = clock.monotonic();
      let retryDelay = FIRST_RETRY;
      while (!signal.aborted) {
        await waitForRequest(options.syncPeriod, signal);
        if (signal.aborted) return;
        if (clock.monotonic() - lastFull >= options.fullSyncPeriod) needsFull = true;
        if (!requested && !needsFull) {
          if (await isIntact()) continue;
          logger.warn('the proxy rules were removed by somebody else');
          needsFull = true;
        }
        requested = false;
        let delay = options.minSyncPeriod;
        try {
          await options.sync(needsFull);
          if (needsFull) lastFull = clock.monotonic();
          needsFull = false;
          retryDelay = FIRST_RETRY;
        } catch (error) {
          logger.error('Sync failed', { error: errorMessage(error), retryingTime: retryDelay });
          needsFull = true;
          requested = true;
          delay = retryDelay;
          retryDelay = Math.min(retryDelay * 2, options.syncPeriod);
        }
        await sleep(clock, delay, signal).catch(() => undefined);
      }
    },
  };
}
