import type { Counter, Metrics } from '@k8ts/base';

export interface JobMetrics {
  readonly jobsFinished: Counter;
  readonly podsFinished: Counter;
  readonly policyActions: Counter;
  readonly managedByOthers: Counter;
}

export function createJobMetrics(metrics: Metrics): JobMetrics {
  return {
    jobsFinished: metrics.counter({
      name: 'job_controller_jobs_finished_total',
      help: 'The number of finished jobs',
      labels: ['completion_mode', 'result', 'reason'],
    }),
    podsFinished: metrics.counter({
      name: 'job_controller_job_pods_finished_total',
      help: 'The number of finished Pods that are fully tracked',
      labels: ['completion_mode', 'result'],
    }),
    policyActions: metrics.counter({
      name: 'job_controller_pod_failures_handled_by_failure_policy_total',
      help: 'The number of failed Pods handled by failure policy, by action',
      labels: ['action'],
    }),
    managedByOthers: metrics.counter({
      name: 'job_controller_jobs_by_external_controller_total',
      help: 'The number of Jobs managed by an external controller',
      labels: ['controller_name'],
    }),
  };
}
