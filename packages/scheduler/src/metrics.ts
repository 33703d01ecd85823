import type { Metrics } from '@k8ts/base';

export interface SchedulerMetrics {
  /** One try, which took `milliseconds` of deciding. */
  attempted(result: 'scheduled' | 'unschedulable' | 'error', milliseconds: number): void;
  /** No node had a place for a pod: it was asked whether others may leave for it. */
  attemptedPreemption(): void;
  preempting(victims: number): void;
  /** The victims of one pod were deleted, in so many milliseconds. */
  preempted(result: 'success' | 'error', milliseconds: number): void;
  /** A pod is bound, `milliseconds` after it came. */
  scheduled(milliseconds: number): void;
}

const POWERS_OF_TWO = (start: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => start * 2 ** index);

/** Upstream's names (pkg/scheduler/metrics/metrics.go); durations in seconds. */
export function createSchedulerMetrics(metrics: Metrics, profile: string): SchedulerMetrics {
  const attempts = metrics.counter({
    name: 'scheduler_schedule_attempts_total',
    help: 'Number of attempts to schedule pods, by the result.',
    labels: ['result', 'profile'],
  });
  const attemptDuration = metrics.histogram({
    name: 'scheduler_scheduling_attempt_duration_seconds',
    help: 'Scheduling attempt latency in seconds.',
    labels: ['result', 'profile'],
    buckets: POWERS_OF_TWO(0.001, 15),
  });
  const podDuration = metrics.histogram({
    name: 'scheduler_pod_scheduling_sli_duration_seconds',
    help: 'Latency for a pod being scheduled, from the time it enters the queue.',
    buckets: POWERS_OF_TWO(0.01, 20),
  });
  const preemptionAttempts = metrics.counter({
    name: 'scheduler_preemption_attempts_total',
    help: 'Total preemption attempts in the cluster till now',
  });
  const preemptionVictims = metrics.histogram({
    name: 'scheduler_preemption_victims',
    help: 'Number of selected preemption victims',
    buckets: POWERS_OF_TWO(1, 7),
  });
  const preemptionDuration = metrics.histogram({
    name: 'scheduler_preemption_goroutines_duration_seconds',
    help: 'Duration in seconds for running goroutines for the preemption.',
    labels: ['result'],
    buckets: POWERS_OF_TWO(0.01, 20),
  });
  const preemptionExecutions = metrics.counter({
    name: 'scheduler_preemption_goroutines_execution_total',
    help: 'Number of preemption goroutines executed.',
    labels: ['result'],
  });
  return {
    attemptedPreemption: () => preemptionAttempts.increment(),
    preempting: (victims) => preemptionVictims.observe(victims),
    preempted(result, milliseconds) {
      preemptionDuration.observe(milliseconds / 1000, [result]);
      preemptionExecutions.increment([result]);
    },
    attempted(result, milliseconds) {
      attempts.increment([result, profile]);
      attemptDuration.observe(milliseconds / 1000, [result, profile]);
    },
    scheduled: (milliseconds) => podDuration.observe(milliseconds / 1000),
  };
}
