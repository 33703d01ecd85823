import { isDeepStrictEqual } from 'node:util';

import { appsv1, corev1 } from '@k8ts/api';
import { SelectorError, isNotFound, labelSelectorFromObject, matchesLabels } from '@k8ts/apimachinery';
import type { LabelSelector } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import { controllerOf, exponentialRateLimiter, objectKey } from '@k8ts/client';

import type { Controller, ControllerContext, ControllerDefinition } from '../contract.ts';
import { hashOf, syncHistory, trimHistory, REVISION_HASH } from '../controller-revisions.ts';
import { Expectations } from '../expectations.ts';
import { isNamespaceTerminating } from '../namespace-terminating.ts';
import { eventsRule, rule } from '../permissions.ts';
import { BY_CONTROLLER, orphansOf, podsInformer } from '../pod-indexes.ts';
import { isPodReady, isPodTerminating } from '../pod-state.ts';
import { claimObjects } from '../ref-manager.ts';
import { identityOf } from '../object-identity.ts';
import { createPodFor, deletePod } from '../owned-pods.ts';
import { nextAvailability } from '../replicaset/plan.ts';
import { slowStart } from '../slow-start.ts';
import { daemonTemplate, judgeNode } from './daemon-pods.ts';
import { daemonStatus, groupByNode, isRolling, planPlacement, planRollingUpdate } from './plan.ts';
import type { DaemonPlan, DaemonState, FinishedPods } from './plan.ts';

const BURST = 250;
/** A pod that fails again and again is replaced after 1 s, 2 s … 15 min. */
const FAILED_POD_BACKOFF = { initial: 1000, max: 15 * 60_000 };

export const daemonSetController: ControllerDefinition = {
  name: 'daemonset-controller',
  account: 'daemon-set-controller',
  permissions: [
    rule(['get', 'list', 'watch'], ['extensions', 'apps'], ['daemonsets']),
    rule(['update'], ['extensions', 'apps'], ['daemonsets/status']),
    rule(['update'], ['extensions', 'apps'], ['daemonsets/finalizers']),
    rule(['list', 'watch'], [''], ['nodes']),
    rule(['list', 'watch', 'create', 'delete', 'patch'], [''], ['pods']),
    rule(['create'], [''], ['pods/binding']),
    rule(['get', 'list', 'watch', 'create', 'delete', 'update', 'patch'], ['apps'], ['controllerrevisions']),
    eventsRule,
  ],
  queue: 'daemonset',
  workers: 2,
  maxRetries: undefined,
  eventSource: 'daemonset-controller',
  create: (context) => new DaemonSetController(context),
};

class DaemonSetController implements Controller {
  readonly #context: ControllerContext;
  readonly #daemonSets;
  readonly #revisions;
  readonly #nodes;
  readonly #pods;
  readonly #expectations: Expectations;
  readonly #failedPods = exponentialRateLimiter(FAILED_POD_BACKOFF.initial, FAILED_POD_BACKOFF.max);
  /** When a node's failed pod may be replaced next. */
  readonly #notBefore = new Map<string, number>();

  constructor(context: ControllerContext) {
    this.#context = context;
    const { informers, queue } = context;
    this.#expectations = new Expectations(context.clock);
    this.#daemonSets = informers.of(appsv1.daemonSets);
    this.#revisions = informers.of(appsv1.controllerRevisions);
    this.#revisions.addIndex(BY_CONTROLLER, (revision) => [
      controllerOf(revision)?.uid ?? orphansOf(revision.metadata.namespace ?? ''),
    ]);
    this.#nodes = informers.of(corev1.nodes);
    this.#pods = podsInformer(informers);

    const enqueue = (daemonSet: appsv1.DaemonSet): void => queue.add(objectKey(daemonSet));
    this.#daemonSets.addHandler({
      added: enqueue,
      updated: enqueue,
      deleted: (daemonSet) => {
        this.#expectations.forget(objectKey(daemonSet));
        this.#forgetFailures(daemonSet);
        enqueue(daemonSet);
      },
    });
    const enqueueOwner = (revision: appsv1.ControllerRevision): void => {
      const owner = this.#ownerOf(revision);
      if (owner !== undefined) enqueue(owner);
    };
    this.#revisions.addHandler({ updated: enqueueOwner, deleted: enqueueOwner });
    this.#watchPods();
    this.#watchNodes();
  }

  #ownerOf(object: corev1.Pod | appsv1.ControllerRevision): appsv1.DaemonSet | undefined {
    const reference = controllerOf(object);
    if (reference?.kind !== 'DaemonSet') return undefined;
    const owner = this.#daemonSets.lister.get(object.metadata.namespace ?? '', reference.name);
    return owner?.metadata.uid === reference.uid ? owner : undefined;
  }

  #watchPods(): void {
    const { queue } = this.#context;
    const deleted = (pod: corev1.Pod): void => {
      const owner = this.#ownerOf(pod);
      if (owner === undefined) return;
      this.#expectations.deletionObserved(objectKey(owner), objectKey(pod));
      queue.add(objectKey(owner));
    };
    const enqueueAdopters = (pod: corev1.Pod): void => {
      for (const daemonSet of this.#daemonSets.lister.list(pod.metadata.namespace ?? '')) {
        const selector = this.#selectorOf(daemonSet);
        if (selector !== undefined && matchesLabels(selector, pod.metadata.labels))
          queue.add(objectKey(daemonSet));
      }
    };
    this.#pods.addHandler({
      added: (pod) => {
        if (isPodTerminating(pod)) {
          deleted(pod);
          return;
        }
        const owner = this.#ownerOf(pod);
        if (owner !== undefined) {
          this.#expectations.creationObserved(objectKey(owner));
          queue.add(objectKey(owner));
        } else if (controllerOf(pod) === undefined) enqueueAdopters(pod);
      },
      updated: (pod, previous) => {
        if (isPodTerminating(pod)) {
          deleted(pod);
          return;
        }
        const before = this.#ownerOf(previous);
        const owner = this.#ownerOf(pod);
        if (before !== undefined && before !== owner) queue.add(objectKey(before));
        if (owner !== undefined) {
          queue.add(objectKey(owner));
          const { minReadySeconds = 0 } = owner.spec;
          if (minReadySeconds > 0 && isPodReady(pod) && !isPodReady(previous))
            queue.addAfter(objectKey(owner), (minReadySeconds + 1) * 1000);
        } else if (controllerOf(pod) === undefined) enqueueAdopters(pod);
      },
      deleted,
    });
  }

  #watchNodes(): void {
    const { queue } = this.#context;
    const enqueueWhere = (concerned: (daemonSet: appsv1.DaemonSet) => boolean): void => {
      for (const daemonSet of this.#daemonSets.lister.list())
        if (concerned(daemonSet)) queue.add(objectKey(daemonSet));
    };
    this.#nodes.addHandler({
      added: (node) => enqueueWhere((daemonSet) => judgeNode(daemonSet, node).shouldRun),
      updated: (node, previous) => {
        // Heartbeats change neither.
        if (
          isDeepStrictEqual(node.metadata.labels, previous.metadata.labels) &&
          isDeepStrictEqual(node.spec.taints, previous.spec.taints)
        )
          return;
        enqueueWhere(
          (daemonSet) => !isDeepStrictEqual(judgeNode(daemonSet, node), judgeNode(daemonSet, previous)),
        );
      },
      deleted: (node) => enqueueWhere((daemonSet) => judgeNode(daemonSet, node).shouldContinue),
    });
  }

  #selectorOf(daemonSet: appsv1.DaemonSet): LabelSelector | undefined {
    try {
      return labelSelectorFromObject(daemonSet.spec.selector);
    } catch (error) {
      if (!(error instanceof SelectorError)) throw error;
      this.#context.logger.warn('invalid selector', {
        key: objectKey(daemonSet),
        error: errorMessage(error),
      });
      return undefined;
    }
  }

  async reconcile(key: string): Promise<void> {
    const daemonSet = this.#daemonSets.lister.byKey(key);
    if (daemonSet === undefined) {
      this.#expectations.forget(key);
      return;
    }
    const selector = this.#selectorOf(daemonSet);
    if (selector === undefined) return;
    if (selector.requirements.length === 0) {
      this.#event(
        daemonSet,
        'Warning',
        'SelectingAll',
        'This daemon set is selecting all pods. A non-empty selector is required.',
      );
      return;
    }
    // While it goes away, history and pods go in an order that nobody knows: nothing could be said of its status.
    if (daemonSet.metadata.deletionTimestamp !== undefined) return;

    const { uid = '', namespace = '' } = daemonSet.metadata;
    const claim = { client: this.#context.client, owner: daemonSet, ownerType: appsv1.daemonSets, selector };
    const revisions = await claimObjects({
      ...claim,
      type: appsv1.controllerRevisions,
      objects: [
        ...this.#revisions.lister.byIndex(BY_CONTROLLER, uid),
        ...this.#revisions.lister.byIndex(BY_CONTROLLER, orphansOf(namespace)),
      ],
    });
    const history = await syncHistory(
      this.#context,
      daemonSet,
      appsv1.daemonSets,
      revisions,
      daemonSet.status?.collisionCount,
      () => this.#noteCollision(daemonSet),
    );
    if (history === undefined) return; // the change of the status comes back as an event
    const pods = await claimObjects({
      ...claim,
      type: corev1.pods,
      objects: [
        ...this.#pods.lister.byIndex(BY_CONTROLLER, uid),
        ...this.#pods.lister.byIndex(BY_CONTROLLER, orphansOf(namespace)),
      ],
    });
    const state: DaemonState = {
      daemonSet,
      nodes: this.#nodes.lister.list(),
      podsByNode: groupByNode(pods),
      hash: hashOf(history.current),
      now: this.#context.clock.now(),
    };
    if (!this.#expectations.satisfied(key)) {
      await this.#writeStatus(state, false);
      return;
    }
    let failure: unknown;
    try {
      await this.#place(state);
      if (this.#expectations.satisfied(key) && isRolling(daemonSet))
        await this.#execute(daemonSet, state.hash, planRollingUpdate(state));
      const live = new Set(pods.map(({ metadata }) => metadata.labels?.[REVISION_HASH] ?? ''));
      await trimHistory(this.#context, history.old, daemonSet.spec.revisionHistoryLimit ?? 10, (revision) =>
        live.has(hashOf(revision)),
      );
    } catch (error) {
      failure = error;
    }
    await this.#writeStatus(state, true);
    if (failure !== undefined) throw failure as Error;
    const next = nextAvailability(pods, daemonSet.spec.minReadySeconds ?? 0, state.now);
    if (next !== undefined) this.#context.queue.addAfter(key, next);
  }

  async #place(state: DaemonState): Promise<void> {
    const { finished, ...plan } = planPlacement(state);
    await this.#execute(state.daemonSet, state.hash, {
      create: plan.create,
      delete: [...plan.delete, ...this.#replaceable(state, finished)],
    });
  }

  /** A kubelet that refuses a daemon would otherwise fight with this controller as fast as both can. */
  #replaceable({ daemonSet, now }: DaemonState, { failed, succeeded }: FinishedPods): corev1.Pod[] {
    const chosen: corev1.Pod[] = [];
    for (const pod of failed) {
      const node = pod.spec.nodeName ?? '';
      const key = `${daemonSet.metadata.uid ?? ''}/${daemonSet.status?.observedGeneration ?? 0}/${node}`;
      const wait = (this.#notBefore.get(key) ?? now) - now;
      if (wait > 0) {
        this.#context.queue.addAfter(objectKey(daemonSet), wait);
        continue;
      }
      // A pod that has held for twice the longest wait starts over.
      if (-wait > 2 * FAILED_POD_BACKOFF.max) this.#failedPods.forget(key);
      this.#notBefore.set(key, now + this.#failedPods.when(key));
      this.#event(
        daemonSet,
        'Warning',
        'FailedDaemonPod',
        `Found failed daemon pod ${objectKey(pod)} on node ${node}, will try to kill it`,
      );
      chosen.push(pod);
    }
    for (const pod of succeeded) {
      this.#event(
        daemonSet,
        'Normal',
        'SucceededDaemonPod',
        `Found succeeded daemon pod ${objectKey(pod)} on node ${pod.spec.nodeName ?? ''}, will try to delete it`,
      );
      chosen.push(pod);
    }
    return chosen;
  }

  #forgetFailures({ metadata }: appsv1.DaemonSet): void {
    for (const key of this.#notBefore.keys()) {
      if (!key.startsWith(`${metadata.uid ?? ''}/`)) continue;
      this.#notBefore.delete(key);
      this.#failedPods.forget(key);
    }
  }

  async #execute(daemonSet: appsv1.DaemonSet, hash: string, plan: DaemonPlan): Promise<void> {
    const key = objectKey(daemonSet);
    const create = plan.create.slice(0, BURST);
    const remove = plan.delete.slice(0, BURST);
    if (create.length === 0 && remove.length === 0) return;
    this.#expectations.expect(key, create.length, remove.map(objectKey));
    const { successes, error } = await slowStart(create.length, (index) =>
      createPodFor(
        this.#context,
        daemonTemplate(daemonSet, create[index] ?? '', hash),
        daemonSet,
        appsv1.daemonSets,
      ),
    );
    for (let missing = create.length - successes; missing > 0; missing--)
      this.#expectations.creationObserved(key);
    const results = await Promise.allSettled(
      remove.map((pod) =>
        deletePod(this.#context, pod, daemonSet, appsv1.daemonSets).catch((failure: unknown) => {
          this.#expectations.deletionObserved(key, objectKey(pod));
          if (!isNotFound(failure)) throw failure;
        }),
      ),
    );
    if (error !== undefined && !isNamespaceTerminating(error)) throw error as Error;
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason as Error;
  }

  async #writeStatus(state: DaemonState, observed: boolean): Promise<void> {
    const { daemonSet } = state;
    const status = daemonStatus(state, observed);
    if (isDeepStrictEqual(daemonSet.status, status)) return;
    const api = this.#context.client.resource(appsv1.daemonSets, daemonSet.metadata.namespace);
    try {
      await api.updateStatus({ ...daemonSet, status });
    } catch (error) {
      if (isNotFound(error)) return;
      const fresh = await api.get(daemonSet.metadata.name);
      if (fresh.metadata.uid !== daemonSet.metadata.uid) return;
      // What others have written meanwhile stays; the counts are of the template that was acted on.
      const seen = { ...state, daemonSet: { ...daemonSet, status: fresh.status ?? daemonStatusOfNothing } };
      await api.updateStatus({ ...fresh, status: daemonStatus(seen, observed) });
    }
  }

  async #noteCollision(daemonSet: appsv1.DaemonSet): Promise<void> {
    const { namespace, name } = daemonSet.metadata;
    const api = this.#context.client.resource(appsv1.daemonSets, namespace);
    const fresh = await api.get(name);
    const status = fresh.status ?? daemonStatusOfNothing;
    await api.updateStatus({
      ...fresh,
      status: { ...status, collisionCount: (status.collisionCount ?? 0) + 1 },
    });
  }

  #event(daemonSet: appsv1.DaemonSet, type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#context.recorder.event(identityOf(daemonSet, appsv1.daemonSets), type, reason, message);
  }
}

const daemonStatusOfNothing: appsv1.DaemonSetStatus = {
  currentNumberScheduled: 0,
  numberMisscheduled: 0,
  desiredNumberScheduled: 0,
  numberReady: 0,
};
