/** pkg/apis/batch/v1/defaults.go */
import type { batchv1, corev1, Draft } from '@k8ts/api';
import { setPodTemplateDefaults } from '../core/pod-template/defaults.ts';

const UNLIMITED = 2 ** 31 - 1;
const BACKOFF_LIMIT = 6;

export function setJobDefaults(job: Draft<batchv1.Job>): void {
  const spec = (job.spec ??= {} as Draft<batchv1.JobSpec>);
  setJobSpecDefaults(spec);
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1;
  spec.parallelism ??= 1;
  spec.backoffLimit ??= spec.backoffLimitPerIndex === undefined ? BACKOFF_LIMIT : UNLIMITED;
  const { labels } = spec.template.metadata ?? {};
  if (labels !== undefined && isEmpty(job.metadata.labels)) job.metadata.labels = { ...labels };
  spec.completionMode ??= 'NonIndexed';
  spec.suspend ??= false;
  spec.podReplacementPolicy ??= spec.podFailurePolicy === undefined ? 'TerminatingOrFailed' : 'Failed';
  spec.manualSelector ??= false;
}

export function isEmpty(map: Readonly<Record<string, string>> | undefined): boolean {
  return map === undefined || Object.keys(map).length === 0;
}

/** What is set in jobs and in the templates of cron jobs alike. */
function setJobSpecDefaults(spec: Draft<batchv1.JobSpec>): void {
  spec.template ??= {} as Draft<corev1.PodTemplateSpec>;
  setPodTemplateDefaults(spec.template);
  for (const rule of spec.podFailurePolicy?.rules ?? [])
    for (const pattern of rule.onPodConditions ?? []) if (!pattern.status) pattern.status = 'True';
}

export function setCronJobDefaults(cronJob: Draft<batchv1.CronJob>): void {
  const spec = (cronJob.spec ??= {} as Draft<batchv1.CronJobSpec>);
  if (!spec.concurrencyPolicy) spec.concurrencyPolicy = 'Allow';
  spec.suspend ??= false;
  spec.successfulJobsHistoryLimit ??= 3;
  spec.failedJobsHistoryLimit ??= 1;
  spec.jobTemplate ??= {} as Draft<batchv1.JobTemplateSpec>;
  setJobSpecDefaults((spec.jobTemplate.spec ??= {} as Draft<batchv1.JobSpec>));
}
