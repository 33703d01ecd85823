import type { batchv1, corev1 } from '@k8ts/api';

import { COMPLETION_INDEX } from './completion-indexes.ts';
import { TRACKING_FINALIZER, failureAnnotations } from './plan.ts';

const INDEX_VARIABLE = 'JOB_COMPLETION_INDEX';
/** Longer names leave no room for the five characters that are added. */
const MAX_PREFIX_LENGTH = 58;

/** The template of a pod of the job, with the finalizer by which it is counted. */
export function trackedTemplate({ spec }: batchv1.Job): corev1.PodTemplateSpec {
  const { metadata = {} } = spec.template;
  const finalizers = metadata.finalizers ?? [];
  return {
    ...spec.template,
    metadata: {
      ...metadata,
      finalizers: finalizers.includes(TRACKING_FINALIZER) ? finalizers : [...finalizers, TRACKING_FINALIZER],
    },
  };
}

/** The template of the pod of one index. `last` is the pod that it replaces, where the job counts failures by index. */
export function indexedTemplate(
  job: batchv1.Job,
  index: number,
  last: corev1.Pod | undefined,
): corev1.PodTemplateSpec {
  const template = trackedTemplate(job);
  const { metadata = {}, spec } = template;
  const mark = { [COMPLETION_INDEX]: String(index) };
  const failures = job.spec.backoffLimitPerIndex === undefined ? {} : failureAnnotations(job, last);
  return {
    ...template,
    metadata: {
      ...metadata,
      labels: { ...metadata.labels, ...mark },
      annotations: { ...metadata.annotations, ...mark, ...failures },
    },
    spec: {
      ...spec,
      hostname: `${job.metadata.name}-${index}`,
      containers: (spec?.containers ?? []).map(withIndexVariable),
      ...(spec?.initContainers === undefined
        ? {}
        : { initContainers: spec.initContainers.map(withIndexVariable) }),
    },
  };
}

function withIndexVariable(container: corev1.Container): corev1.Container {
  const env = container.env ?? [];
  if (env.some(({ name }) => name === INDEX_VARIABLE)) return container;
  const fieldRef = { fieldPath: `metadata.labels['${COMPLETION_INDEX}']` };
  return { ...container, env: [...env, { name: INDEX_VARIABLE, valueFrom: { fieldRef } }] };
}

/** `job-3-`: what the name of the pod of an index begins with. */
export function indexedPrefix(jobName: string, index: number): string {
  const suffix = `-${index}-`;
  return jobName.slice(0, MAX_PREFIX_LENGTH - suffix.length) + suffix;
}
