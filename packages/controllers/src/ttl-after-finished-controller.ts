import { batchv1 } from '@k8ts/api';
import { isNotFound } from '@k8ts/apimachinery';
import { objectKey } from '@k8ts/client';

import type { Controller, ControllerContext, ControllerDefinition } from './contract.ts';
import { finishedCondition } from './job/plan.ts';
import { eventsRule, rule } from './permissions.ts';
import { milliseconds } from './pod-state.ts';

/** Deletes jobs, with their pods, so many seconds after they finished (`spec.ttlSecondsAfterFinished`). */
export const ttlAfterFinishedController: ControllerDefinition = {
  name: 'ttl-after-finished-controller',
  account: 'ttl-after-finished-controller',
  permissions: [rule(['get', 'list', 'watch', 'delete'], ['batch'], ['jobs']), eventsRule],
  queue: 'ttl_jobs_to_delete',
  workers: 5,
  maxRetries: undefined,
  eventSource: 'ttl-after-finished-controller',
  create: createTTLAfterFinished,
};

function createTTLAfterFinished({ client, informers, queue, clock, logger }: ControllerContext): Controller {
  const jobs = informers.of(batchv1.jobs);
  const enqueue = (job: batchv1.Job): void => {
    if (expiry(job) !== undefined) queue.add(objectKey(job));
  };
  jobs.addHandler({ added: enqueue, updated: enqueue });

  /** Whether its time has come; otherwise it is looked at again when it has. */
  const isExpired = (job: batchv1.Job): boolean => {
    const expires = expiry(job);
    if (expires === undefined) return false;
    const left = expires - clock.now();
    if (left > 0) queue.addAfter(objectKey(job), left);
    return left <= 0;
  };

  return {
    reconcile: async (key) => {
      const known = jobs.lister.byKey(key);
      if (known === undefined || !isExpired(known)) return;
      const { namespace, name } = known.metadata;
      const api = client.resource(batchv1.jobs, namespace);
      try {
        // Its time may have been prolonged, and the cache not know it yet.
        const job = await api.get(name);
        if (!isExpired(job)) return;
        const { uid } = job.metadata;
        await api.delete(name, {
          propagationPolicy: 'Foreground',
          ...(uid === undefined ? {} : { preconditions: { uid } }),
        });
        logger.debug('deleted a finished job', { key });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    },
  };
}

/** When it is to be deleted, in milliseconds; undefined for one that has not finished, or that stays. */
function expiry(job: batchv1.Job): number | undefined {
  const { ttlSecondsAfterFinished } = job.spec;
  if (ttlSecondsAfterFinished === undefined || job.metadata.deletionTimestamp !== undefined) return undefined;
  const since = milliseconds(finishedCondition(job)?.lastTransitionTime);
  return since === undefined ? undefined : since + ttlSecondsAfterFinished * 1000;
}
