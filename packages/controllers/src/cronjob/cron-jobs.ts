import { batchv1 } from '@k8ts/api';
import type { New, corev1 } from '@k8ts/api';
import { formatTime, zoneOffset } from '@k8ts/apimachinery';
import { apiVersionOf, controllerRef } from '@k8ts/client';

type CronJob = batchv1.CronJob;
type Job = batchv1.Job;

const SCHEDULED_TIMESTAMP = 'batch.kubernetes.io/cronjob-scheduled-timestamp';

/** One name for one time, so that no time gets two jobs. */
export function jobName({ metadata }: CronJob, time: number): string {
  return `${metadata.name}-${Math.floor(time / 60_000)}`;
}

export function jobFor(cronJob: CronJob, time: number): New<Job> {
  const { metadata = {}, spec } = cronJob.spec.jobTemplate;
  const { namespace } = cronJob.metadata;
  return {
    metadata: {
      name: jobName(cronJob, time),
      ...(namespace === undefined ? {} : { namespace }),
      ...(metadata.labels === undefined ? {} : { labels: metadata.labels }),
      annotations: {
        ...metadata.annotations,
        [SCHEDULED_TIMESTAMP]: zonedTime(time, cronJob.spec.timeZone ?? 'UTC'),
      },
      ownerReferences: [controllerRef(cronJob, batchv1.cronJobs)],
    },
    spec,
  };
}

/** RFC 3339 with the zone's offset: `2026-07-01T09:00:00+02:00`. */
function zonedTime(time: number, zone: string): string {
  const minutes = Math.round(zoneOffset(zone, time) / 60_000);
  const shown = formatTime(time + minutes * 60_000);
  if (minutes === 0) return shown;
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  const size = Math.abs(minutes);
  return `${shown.slice(0, -1)}${minutes < 0 ? '-' : '+'}${two(size / 60)}:${two(size % 60)}`;
}

/** How the status names a job that runs. */
export function referenceTo({ metadata }: Job): corev1.ObjectReference {
  const { namespace, name, uid, resourceVersion } = metadata;
  return {
    apiVersion: apiVersionOf(batchv1.jobs),
    kind: batchv1.jobs.kind,
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
}

/** Those beyond the limit, the ones that started first before the others. */
export function beyondLimit(jobs: readonly Job[], limit: number | undefined): readonly Job[] {
  if (limit === undefined || jobs.length <= limit) return [];
  return [...jobs].sort(byStart).slice(0, jobs.length - limit);
}

function byStart(a: Job, b: Job): number {
  const [aStart, bStart] = [a.status?.startTime, b.status?.startTime];
  if (aStart === bStart) return a.metadata.name < b.metadata.name ? -1 : 1;
  if (aStart === undefined || bStart === undefined) return aStart === undefined ? 1 : -1;
  return aStart < bStart ? -1 : 1;
}
