import { isDeepStrictEqual } from 'node:util';

import { appsv1, corev1 } from '@k8ts/api';
import type { KubeObject, ResourceType } from '@k8ts/api';
import {
  SelectorError,
  isNotFound,
  labelSelectorFromObject,
  matchesLabels,
  selectorFromLabels,
} from '@k8ts/apimachinery';
import type { LabelSelector } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import { controllerOf, objectKey } from '@k8ts/client';
import type { Informer } from '@k8ts/client';

import type { Controller, ControllerContext, ControllerDefinition } from '../contract.ts';
import { Expectations } from '../expectations.ts';
import { isNamespaceTerminating } from '../namespace-terminating.ts';
import { eventsRule, rule } from '../permissions.ts';
import { BY_CONTROLLER, orphansOf, podsInformer } from '../pod-indexes.ts';
import { isPodActive, isPodReady, isPodTerminating } from '../pod-state.ts';
import { claimObjects } from '../ref-manager.ts';
import { slowStart } from '../slow-start.ts';
import { nextAvailability, planReplicas, replicaStatus } from './plan.ts';
import type { ReplicaOwner } from './plan.ts';
import { createPod, deletePod } from '../owned-pods.ts';

export const replicaSetController: ControllerDefinition = {
  name: 'replicaset-controller',
  account: 'replicaset-controller',
  permissions: [
    rule(['get', 'list', 'watch', 'update'], ['apps', 'extensions'], ['replicasets']),
    rule(['update'], ['apps', 'extensions'], ['replicasets/status']),
    rule(['update'], ['apps', 'extensions'], ['replicasets/finalizers']),
    rule(['list', 'watch', 'patch', 'create', 'delete'], [''], ['pods']),
    eventsRule,
  ],
  queue: 'replicaset',
  workers: 5,
  maxRetries: undefined,
  eventSource: 'replicaset-controller',
  create: (context) =>
    createReplicaController(context, appsv1.replicaSets, ({ spec }) =>
      labelSelectorFromObject(spec.selector),
    ),
};

export const replicationController: ControllerDefinition = {
  name: 'replicationcontroller-controller',
  account: 'replication-controller',
  permissions: [
    rule(['get', 'list', 'watch', 'update'], [''], ['replicationcontrollers']),
    rule(['update'], [''], ['replicationcontrollers/status']),
    rule(['update'], [''], ['replicationcontrollers/finalizers']),
    rule(['list', 'watch', 'patch', 'create', 'delete'], [''], ['pods']),
    eventsRule,
  ],
  queue: 'replicationmanager',
  workers: 5,
  maxRetries: undefined,
  eventSource: 'replication-controller',
  create: (context) =>
    createReplicaController(context, corev1.replicationControllers, ({ spec }) =>
      selectorFromLabels(spec.selector ?? {}),
    ),
};

function createReplicaController<T extends ReplicaOwner & KubeObject>(
  context: ControllerContext,
  type: ResourceType<T>,
  parseSelector: (owner: T) => LabelSelector,
): Controller {
  const { client, informers, queue, clock, logger } = context;
  const expectations = new Expectations(clock);
  const owners = informers.of(type);
  const pods = podsInformer(informers);
  owners.addIndex(BY_CONTROLLER, (owner) => {
    const uid = controllerOf(owner)?.uid;
    return uid === undefined ? [] : [uid];
  });

  const enqueue = (owner: T): void => queue.add(objectKey(owner));
  /** Undefined for a selector that cannot be understood, or that is empty: such an owner has no pods. */
  const selectorOf = (owner: T): LabelSelector | undefined => {
    try {
      const selector = parseSelector(owner);
      return selector.requirements.length === 0 ? undefined : selector;
    } catch (error) {
      if (!(error instanceof SelectorError)) throw error;
      logger.warn('invalid selector', { key: objectKey(owner), error: errorMessage(error) });
      return undefined;
    }
  };

  owners.addHandler({
    added: enqueue,
    updated: enqueue,
    deleted: (owner) => {
      expectations.forget(objectKey(owner));
      enqueue(owner);
    },
  });
  handlePods(context, pods, owners, type, selectorOf, expectations);

  /** Pods of the other ReplicaSets of the same Deployment count when the fullest node is looked for. */
  const relatedPods = (owner: T): readonly corev1.Pod[] => {
    const parent = controllerOf(owner)?.uid;
    const siblings = parent === undefined ? [owner] : owners.lister.byIndex(BY_CONTROLLER, parent);
    return siblings.flatMap(({ metadata }) => pods.lister.byIndex(BY_CONTROLLER, metadata.uid ?? ''));
  };

  /** Returns what went wrong, for the status. */
  const manage = async (owner: T, active: readonly corev1.Pod[]): Promise<unknown> => {
    const key = objectKey(owner);
    const plan = planReplicas(owner, active, () => relatedPods(owner), clock.now());
    if (plan.action === 'create') {
      expectations.expectCreations(key, plan.count);
      const { successes, error } = await slowStart(plan.count, () => createPod(context, owner, type));
      for (let skipped = plan.count - successes; skipped > 0; skipped--) expectations.creationObserved(key);
      return isNamespaceTerminating(error) ? undefined : error;
    }
    if (plan.action === 'delete') {
      expectations.expectDeletions(key, plan.pods.map(objectKey));
      const results = await Promise.allSettled(
        plan.pods.map((pod) =>
          deletePod(context, pod, owner, type).catch((error: unknown) => {
            expectations.deletionObserved(key, objectKey(pod));
            if (!isNotFound(error)) throw error;
          }),
        ),
      );
      return results.find((result) => result.status === 'rejected')?.reason;
    }
    return undefined;
  };

  return {
    reconcile: async (key) => {
      const owner = owners.lister.byKey(key);
      if (owner === undefined) {
        expectations.forget(key);
        return;
      }
      const satisfied = expectations.satisfied(key);
      const selector = selectorOf(owner);
      if (selector === undefined) return;
      const { namespace = '', uid = '', deletionTimestamp } = owner.metadata;
      const candidates = [
        ...pods.lister.byIndex(BY_CONTROLLER, uid),
        ...pods.lister.byIndex(BY_CONTROLLER, orphansOf(namespace)),
      ];
      const active = await claimObjects({
        client,
        owner,
        ownerType: type,
        type: corev1.pods,
        selector,
        objects: candidates.filter(isPodActive),
        adoptable: isPodActive,
      });
      const terminating = pods.lister.byIndex(BY_CONTROLLER, uid).filter(isPodTerminating);
      const failure = satisfied && deletionTimestamp === undefined ? await manage(owner, active) : undefined;
      const now = clock.now();
      const status = replicaStatus(
        owner,
        active,
        terminating,
        failure === undefined ? undefined : errorMessage(failure),
        now,
      );
      await writeStatus(owner, status);
      if (failure !== undefined) throw failure as Error;
      const next = nextAvailability(active, owner.spec.minReadySeconds ?? 0, now);
      if (next !== undefined) queue.addAfter(key, next);
    },
  };

  async function writeStatus(owner: T, status: appsv1.ReplicaSetStatus): Promise<void> {
    if (isDeepStrictEqual(owner.status, status)) return;
    const api = client.resource(type, owner.metadata.namespace);
    try {
      await api.updateStatus({ ...owner, status });
    } catch (error) {
      if (isNotFound(error)) return;
      // One more try on the newest version; the generation that was acted on stays the one observed.
      const fresh = await api.get(owner.metadata.name);
      if (fresh.metadata.uid === owner.metadata.uid) await api.updateStatus({ ...fresh, status });
    }
  }
}

/** Pods put their owners into the queue, and tell the expectations what has been seen. */
function handlePods<T extends ReplicaOwner & KubeObject>(
  { queue }: ControllerContext,
  pods: Informer<corev1.Pod>,
  owners: Informer<T>,
  type: ResourceType<T>,
  selectorOf: (owner: T) => LabelSelector | undefined,
  expectations: Expectations,
): void {
  /** The owner that a pod names, if it is of this type and still the same one. */
  const ownerOf = (pod: corev1.Pod): T | undefined => {
    const reference = controllerOf(pod);
    if (reference === undefined || reference.kind !== type.kind) return undefined;
    const owner = owners.lister.get(pod.metadata.namespace ?? '', reference.name);
    return owner?.metadata.uid === reference.uid ? owner : undefined;
  };
  /** Whoever could adopt it. */
  const enqueueAdopters = (pod: corev1.Pod): void => {
    for (const owner of owners.lister.list(pod.metadata.namespace ?? '')) {
      const selector = selectorOf(owner);
      if (selector !== undefined && matchesLabels(selector, pod.metadata.labels)) queue.add(objectKey(owner));
    }
  };
  const deleted = (pod: corev1.Pod): void => {
    const owner = ownerOf(pod);
    if (owner === undefined) return;
    const key = objectKey(owner);
    expectations.deletionObserved(key, objectKey(pod));
    queue.add(key);
  };
  pods.addHandler({
    added: (pod) => {
      if (isPodTerminating(pod)) {
        deleted(pod); // a restarted controller meets pods that are on their way out
        return;
      }
      const owner = ownerOf(pod);
      if (owner !== undefined) {
        const key = objectKey(owner);
        expectations.creationObserved(key);
        queue.add(key);
      } else if (controllerOf(pod) === undefined) enqueueAdopters(pod);
    },
    updated: (pod, previous) => {
      if (pod.metadata.resourceVersion === previous.metadata.resourceVersion) return;
      if (isPodTerminating(pod)) {
        // Marked for deletion: to the set it is gone, even though it takes its grace to stop.
        deleted(pod);
        return;
      }
      const [now, before] = [controllerOf(pod), controllerOf(previous)];
      const moved = now?.uid !== before?.uid;
      if (moved) {
        const owner = ownerOf(previous);
        if (owner !== undefined) queue.add(objectKey(owner));
      }
      const owner = ownerOf(pod);
      if (owner !== undefined) {
        queue.add(objectKey(owner));
        const { minReadySeconds = 0 } = owner.spec;
        // A second more than needed, against clocks that disagree in the last digit.
        if (minReadySeconds > 0 && isPodReady(pod) && !isPodReady(previous))
          queue.addAfter(objectKey(owner), (minReadySeconds + 1) * 1000);
      } else if (
        now === undefined &&
        (moved || !isDeepStrictEqual(pod.metadata.labels, previous.metadata.labels))
      )
        enqueueAdopters(pod);
    },
    deleted,
  });
}
