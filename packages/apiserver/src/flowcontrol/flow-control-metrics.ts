import type { Metrics } from '@k8ts/base';
import type { PriorityLevel } from './priority-level.ts';
import type { Refusal } from './queue-set.ts';

/** Upstream's names (k8s.io/apiserver/pkg/util/flowcontrol/metrics), without its per-nanosecond histograms. */
export interface FlowControlMetrics {
  setLimits(level: PriorityLevel): void;
  setCurrent(level: PriorityLevel, target: number): void;
  setFairFraction(fraction: number): void;
  of(priorityLevel: string, flowSchema: string): FlowMetrics;
}

/** Of the requests of one flow schema on one priority level. */
export interface FlowMetrics {
  refused(reason: Refusal): void;
  queued(seats: number, queueLength: number): void;
  /** Whether to run or not; `waited` in milliseconds. */
  unqueued(seats: number, waited: number, runs: boolean): void;
  started(seats: number): void;
  /** `duration` in milliseconds. */
  ended(seats: number, duration: number, isWatch: boolean): void;
}

const DURATION_BUCKETS = [0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30];
const LENGTH_BUCKETS = [0, 10, 25, 50, 100, 250, 500, 1000];
const SEAT_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 100];

export function createFlowControlMetrics(metrics: Metrics): FlowControlMetrics {
  const name = (suffix: string): string => `apiserver_flowcontrol_${suffix}`;
  const both = ['priority_level', 'flow_schema'];
  const perLevel = (suffix: string, help: string) =>
    metrics.gauge({ name: name(suffix), help, labels: ['priority_level'] });
  const perFlow = (suffix: string, help: string) => metrics.gauge({ name: name(suffix), help, labels: both });

  const nominal = perLevel(
    'nominal_limit_seats',
    'Nominal number of execution seats configured for each priority level',
  );
  const lower = perLevel(
    'lower_limit_seats',
    'Configured lower bound on number of execution seats available to each priority level',
  );
  const upper = perLevel(
    'upper_limit_seats',
    'Configured upper bound on number of execution seats available to each priority level',
  );
  const current = perLevel(
    'current_limit_seats',
    'current derived number of execution seats available to each priority level',
  );
  const target = perLevel('target_seats', 'Seat allocation targets');
  const highest = perLevel(
    'demand_seats_high_watermark',
    'High watermark, over last adjustment period, of demand_seats',
  );
  const average = perLevel(
    'demand_seats_average',
    'Time-weighted average, over last adjustment period, of demand_seats',
  );
  const deviation = perLevel(
    'demand_seats_stdev',
    'Time-weighted standard deviation, over last adjustment period, of demand_seats',
  );
  const smoothed = perLevel('demand_seats_smoothed', 'Smoothed seat demands');
  const fair = metrics.gauge({
    name: name('seat_fair_frac'),
    help: "Fair fraction of server's concurrency to allocate to each priority level that can use it",
  });
  const rejected = metrics.counter({
    name: name('rejected_requests_total'),
    help: 'Number of requests rejected by API Priority and Fairness subsystem',
    labels: [...both, 'reason'],
  });
  const dispatched = metrics.counter({
    name: name('dispatched_requests_total'),
    help: 'Number of requests executed by API Priority and Fairness subsystem',
    labels: both,
  });
  const inQueue = perFlow(
    'current_inqueue_requests',
    'Number of requests currently pending in queues of the API Priority and Fairness subsystem',
  );
  const inQueueSeats = perFlow(
    'current_inqueue_seats',
    'Number of seats currently pending in queues of the API Priority and Fairness subsystem',
  );
  const queueLength = metrics.histogram({
    name: name('request_queue_length_after_enqueue'),
    help: 'Length of queue in the API Priority and Fairness subsystem, as seen by each request after it is enqueued',
    labels: both,
    buckets: LENGTH_BUCKETS,
  });
  const executing = perFlow(
    'current_executing_requests',
    'Number of requests in initial (for a WATCH) or any (for a non-WATCH) execution stage in the API Priority and Fairness subsystem',
  );
  const executingSeats = perFlow(
    'current_executing_seats',
    'Concurrency (number of seats) occupied by the currently executing (initial stage for a WATCH, any stage otherwise) requests in the API Priority and Fairness subsystem',
  );
  const waitDuration = metrics.histogram({
    name: name('request_wait_duration_seconds'),
    help: 'Length of time a request spent waiting in its queue',
    labels: [...both, 'execute'],
    buckets: DURATION_BUCKETS,
  });
  const executionDuration = metrics.histogram({
    name: name('request_execution_seconds'),
    help: 'Duration of initial stage (for a WATCH) or any (for a non-WATCH) stage of request execution in the API Priority and Fairness subsystem',
    labels: [...both, 'type'],
    buckets: DURATION_BUCKETS,
  });
  const estimatedSeats = metrics.histogram({
    name: name('work_estimated_seats'),
    help: 'Number of estimated seats (maximum of initial and final seats) associated with requests in API Priority and Fairness',
    labels: both,
    buckets: SEAT_BUCKETS,
  });

  return {
    setLimits(level) {
      const labels = [level.name];
      nominal.set(level.nominal, labels);
      lower.set(level.lower, labels);
      upper.set(level.upper, labels);
    },
    setCurrent(level, seats) {
      const labels = [level.name];
      current.set(level.current, labels);
      target.set(seats, labels);
      highest.set(level.demand.highWatermark, labels);
      average.set(level.demand.average, labels);
      deviation.set(level.demand.deviation, labels);
      smoothed.set(level.demand.smoothed, labels);
    },
    setFairFraction: (fraction) => fair.set(fraction),
    of(level, schema) {
      const labels = [level, schema];
      const dispatches = dispatched.child(labels);
      const running = executing.child(labels);
      const runningSeats = executingSeats.child(labels);
      const seatSamples = estimatedSeats.child(labels);
      const regular = executionDuration.child([...labels, 'regular']);
      const watch = executionDuration.child([...labels, 'watch']);
      return {
        refused: (reason) => rejected.increment([...labels, reason]),
        queued(seats, length) {
          inQueue.add(1, labels);
          inQueueSeats.add(seats, labels);
          queueLength.observe(length, labels);
        },
        unqueued(seats, waited, runs) {
          inQueue.add(-1, labels);
          inQueueSeats.add(-seats, labels);
          waitDuration.observe(waited / 1000, [...labels, String(runs)]);
        },
        started(seats) {
          dispatches.increment();
          running.add(1);
          runningSeats.add(seats);
          seatSamples.observe(seats);
        },
        ended(seats, duration, isWatch) {
          running.add(-1);
          runningSeats.add(-seats);
          (isWatch ? watch : regular).observe(duration / 1000);
        },
      };
    },
  };
}
