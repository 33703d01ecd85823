/**
 * Lets requests go on and hands events to another back end later, many together (k8s.io/apiserver/plugin/pkg/audit/buffered).
 * What finds the buffer full is lost, and counted.
 */
import type { Clock } from '@k8ts/base';
import { TokenBucket } from '@k8ts/client';
import type { AuditEvent } from './audit-event.ts';
import type { ReportLoss } from './audit-metrics.ts';
import type { AuditBackend } from './contract.ts';

/** Batches on their way at once: what a slow server at the other end holds up stays in the buffer, which is bounded. */
const MAX_UNDER_WAY = 100;
/** Batches handed over before others get their turn. */
const ROUNDS_PER_TURN = 100;

export interface AuditBatching {
  /** Events that wait at most. */
  readonly bufferSize: number;
  /** Events handed over together at most. */
  readonly maxBatchSize: number;
  /** Milliseconds that an event waits at most for more to come. */
  readonly maxBatchWait: number;
  readonly throttleEnable: boolean;
  /** Batches per second on average. */
  readonly throttleQps: number;
  /** Batches at once, after a quiet time. */
  readonly throttleBurst: number;
}

export interface BufferedBackendOptions {
  readonly delegate: AuditBackend;
  readonly batching: AuditBatching;
  /** Whether a batch is handed over while others are still on their way. */
  readonly concurrent: boolean;
  readonly clock: Clock;
  readonly reportLoss: ReportLoss;
}

export function bufferedBackend(options: BufferedBackendOptions): AuditBackend {
  const { delegate, batching, concurrent, clock, reportLoss } = options;
  const { bufferSize, maxBatchSize, maxBatchWait } = batching;
  const wholeBatch = Math.min(maxBatchSize, bufferSize);
  const bucket = batching.throttleEnable
    ? new TokenBucket(clock, batching.throttleQps, batching.throttleBurst)
    : undefined;
  /** From `first` on; those before have been handed over. */
  let waiting: AuditEvent[] = [];
  let first = 0;
  let isStopping = false;
  /** Looks whether there is still something to wait for. */
  let wake: (() => void) | undefined;
  const underWay = new Set<Promise<unknown>>();

  const count = (): number => waiting.length - first;

  /** Until the time is over, or the server stops. */
  const pause = (milliseconds: number): Promise<void> =>
    new Promise((resolve) => {
      const cancel = clock.setTimeout(resolve, milliseconds);
      wake = () => {
        if (!isStopping) return;
        cancel();
        resolve();
      };
    });

  /** Until there is a whole batch, or there are some events and none more has come in time. */
  const batchReady = (): Promise<void> =>
    new Promise((resolve) => {
      let cancelTimer: (() => void) | undefined;
      const done = (): void => {
        cancelTimer?.();
        wake = undefined;
        resolve();
      };
      wake = () => {
        if (isStopping || count() >= wholeBatch) done();
        else if (count() > 0) cancelTimer ??= clock.setTimeout(done, maxBatchWait);
      };
      wake();
    });

  const handOver = async (): Promise<void> => {
    const delay = bucket?.reserve() ?? 0;
    if (delay > 0 && !isStopping) await pause(delay);
    if (underWay.size >= MAX_UNDER_WAY) await Promise.race(underWay);
    const batch = waiting.slice(first, first + maxBatchSize);
    first += batch.length;
    if (first * 2 > waiting.length) {
      waiting = waiting.slice(first);
      first = 0;
    }
    const outcome = delegate.process(batch);
    if (typeof outcome === 'boolean') return;
    const tracked: Promise<unknown> = outcome.finally(() => underWay.delete(tracked));
    underWay.add(tracked);
    if (!concurrent) await tracked;
  };

  const run = async (): Promise<void> => {
    for (let round = 1; !isStopping || count() > 0; round++) {
      await batchReady();
      if (count() > 0) await handOver();
      if (round % ROUNDS_PER_TURN === 0) await clock.yield();
    }
  };
  const running = run();

  return {
    process(events) {
      const room = isStopping ? 0 : Math.max(0, bufferSize - count());
      waiting.push(...events.slice(0, room));
      const lost = events.slice(room);
      if (lost.length > 0)
        reportLoss(
          'buffered',
          new Error(isStopping ? 'audit backend shut down' : 'audit buffer queue blocked'),
          lost,
        );
      wake?.();
      return true;
    },
    async stop() {
      isStopping = true;
      delegate.stopping?.();
      wake?.();
      await running;
      await delegate.stop();
      await Promise.all(underWay);
    },
  };
}
