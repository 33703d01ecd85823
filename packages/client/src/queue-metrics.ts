import type { CancelTimer, Clock, Metrics } from '@k8ts/base';

/** What a work queue reports about itself; names and buckets are upstream's (component-base/metrics/prometheus/workqueue). */
export interface QueueMetrics {
  added(key: string): void;
  retried(): void;
  got(key: string): void;
  done(key: string): void;
  stop(): void;
}

/** 10 ns … 1000 s: powers of ten. */
const BUCKETS: readonly number[] = Array.from({ length: 10 }, (_, power) => 1e-8 * 10 ** power);
/** How often the figures of work under way are brought up to date. */
const UNFINISHED_PERIOD = 500;

export function createQueueMetrics(metrics: Metrics, clock: Clock, name: string): QueueMetrics {
  const labels = ['name'];
  const of = [name];
  const depth = metrics.gauge({ name: 'workqueue_depth', help: 'Current depth of workqueue', labels });
  const adds = metrics.counter({
    name: 'workqueue_adds_total',
    help: 'Total number of adds handled by workqueue',
    labels,
  });
  const latency = metrics.histogram({
    name: 'workqueue_queue_duration_seconds',
    help: 'How long in seconds an item stays in workqueue before being requested.',
    labels,
    buckets: BUCKETS,
  });
  const work = metrics.histogram({
    name: 'workqueue_work_duration_seconds',
    help: 'How long in seconds processing an item from workqueue takes.',
    labels,
    buckets: BUCKETS,
  });
  const unfinished = metrics.gauge({
    name: 'workqueue_unfinished_work_seconds',
    help: 'How many seconds of work has been done that is in progress and has not been observed by work_duration.',
    labels,
  });
  const longest = metrics.gauge({
    name: 'workqueue_longest_running_processor_seconds',
    help: 'How many seconds has the longest running processor for workqueue been running.',
    labels,
  });
  const retries = metrics.counter({
    name: 'workqueue_retries_total',
    help: 'Total number of retries handled by workqueue',
    labels,
  });
  depth.set(0, of);
  adds.increment(of, 0);
  retries.increment(of, 0);
  unfinished.set(0, of);
  longest.set(0, of);

  const addedAt = new Map<string, number>();
  const startedAt = new Map<string, number>();
  let cancel: CancelTimer | undefined;
  let stopped = false;

  // The timer ends when nothing is worked on, so that an idle process sleeps; most work is done before it fires at all.
  const refresh = (): void => {
    let total = 0;
    let oldest = 0;
    const now = clock.monotonic();
    for (const start of startedAt.values()) {
      const age = (now - start) / 1000;
      total += age;
      oldest = Math.max(oldest, age);
    }
    unfinished.set(total, of);
    longest.set(oldest, of);
    cancel = startedAt.size === 0 ? undefined : clock.setTimeout(refresh, UNFINISHED_PERIOD);
  };
  return {
    added: (key) => {
      adds.increment(of);
      depth.add(1, of);
      if (!addedAt.has(key)) addedAt.set(key, clock.monotonic());
    },
    retried: () => retries.increment(of),
    got: (key) => {
      depth.add(-1, of);
      const now = clock.monotonic();
      startedAt.set(key, now);
      if (!stopped) cancel ??= clock.setTimeout(refresh, UNFINISHED_PERIOD);
      const added = addedAt.get(key);
      if (added !== undefined) latency.observe((now - added) / 1000, of);
      addedAt.delete(key);
    },
    done: (key) => {
      const start = startedAt.get(key);
      if (start === undefined) return;
      startedAt.delete(key);
      work.observe((clock.monotonic() - start) / 1000, of);
    },
    stop: () => {
      stopped = true;
      cancel?.();
      cancel = undefined;
    },
  };
}
