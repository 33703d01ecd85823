import { isDeepStrictEqual } from 'node:util';

import { corev1, policyv1 } from '@k8ts/api';
import type { KubeObject, ResourceType } from '@k8ts/api';
import {
  NOTHING,
  SelectorError,
  formatLabelSelector,
  isConflict,
  isNotFound,
  labelSelectorFromObject,
  matchesLabels,
} from '@k8ts/apimachinery';
import type { LabelSelector } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import { objectKey } from '@k8ts/client';
import type { Informer } from '@k8ts/client';

import type { Controller, ControllerContext, ControllerDefinition } from '../contract.ts';
import { identityOf } from '../object-identity.ts';
import { eventsRule, rule } from '../permissions.ts';
import { podsInformer } from '../pod-indexes.ts';
import { ScaleFinder } from './expected-scale.ts';
import {
  expectationOf,
  failedStatus,
  needsScale,
  planBudget,
  staleDisruptionIn,
  withoutDisruption,
} from './plan.ts';
import type { Expectation } from './plan.ts';

type Budget = policyv1.PodDisruptionBudget;

/** Keys of pods, beside those of budgets. */
const POD = 'pod:';

/** Says in every budget how many of its pods may be evicted, and takes back announcements of disruptions that never came. */
export const disruptionController: ControllerDefinition = {
  name: 'disruption-controller',
  account: 'disruption-controller',
  permissions: [
    rule(['get', 'list', 'watch'], ['apps', 'extensions'], ['deployments']),
    rule(['get', 'list', 'watch'], ['apps', 'extensions'], ['replicasets']),
    rule(['get', 'list', 'watch'], [''], ['replicationcontrollers']),
    rule(['get', 'list', 'watch'], ['policy'], ['poddisruptionbudgets']),
    rule(['get', 'list', 'watch'], ['apps'], ['statefulsets']),
    rule(['update'], ['policy'], ['poddisruptionbudgets/status']),
    rule(['patch', 'update'], [''], ['pods/status']),
    rule(['get'], ['*'], ['*/scale']),
    eventsRule,
  ],
  queue: 'disruption',
  workers: 1,
  maxRetries: undefined,
  eventSource: 'controllermanager',
  create: (context) => new DisruptionController(context),
};

class DisruptionController implements Controller {
  readonly #context: ControllerContext;
  readonly #scales: ScaleFinder;
  readonly #budgets: Informer<Budget>;
  readonly #pods: Informer<corev1.Pod>;
  readonly #selectors = new WeakMap<Budget, LabelSelector>();

  constructor(context: ControllerContext) {
    this.#context = context;
    const { informers, queue, clock } = context;
    this.#scales = new ScaleFinder(context);
    this.#budgets = informers.of(policyv1.podDisruptionBudgets);
    this.#pods = podsInformer(informers);
    const enqueue = (budget: Budget): void => queue.add(objectKey(budget));
    this.#budgets.addHandler({ added: enqueue, updated: enqueue, deleted: enqueue });
    const enqueueBudget = (pod: corev1.Pod): void => {
      const budget = this.#budgetOf(pod);
      if (budget !== undefined) enqueue(budget);
    };
    const changed = (pod: corev1.Pod): void => {
      enqueueBudget(pod);
      const stale = staleDisruptionIn(pod, clock.now());
      if (stale !== undefined) queue.addAfter(POD + objectKey(pod), stale);
    };
    this.#pods.addHandler({ added: changed, updated: changed, deleted: enqueueBudget });
  }

  async reconcile(key: string): Promise<void> {
    if (key.startsWith(POD)) return this.#clearStaleDisruption(key.slice(POD.length));
    const budget = this.#budgets.lister.byKey(key);
    if (budget === undefined) return;
    try {
      await this.#sync(key, budget);
    } catch (error) {
      // Somebody else wrote: what is cached is old, and says nothing about the pods.
      if (isConflict(error)) throw error;
      this.#context.logger.warn('a disruption budget could not be computed', {
        key,
        error: errorMessage(error),
      });
      const now = this.#context.clock.now();
      await this.#writeStatus(budget, failedStatus(budget, errorMessage(error), now));
    }
  }

  async #sync(key: string, budget: Budget): Promise<void> {
    const pods = this.#podsOf(budget);
    if (pods.length === 0) this.#event(budget, 'Normal', 'NoPods', 'No matching pods found');
    const expectation = await this.#expectationOf(budget, pods);
    const plan = planBudget(budget, pods, expectation, this.#context.clock.now());
    for (const pod of plan.notDeleted)
      this.#eventAbout(
        pod,
        corev1.pods,
        'NotDeleted',
        `Pod was expected by PDB ${objectKey(budget)} to be deleted but it wasn't`,
      );
    await this.#writeStatus(budget, plan.status);
    if (plan.recheckAfter !== undefined) this.#context.queue.addAfter(key, plan.recheckAfter);
  }

  async #expectationOf(budget: Budget, pods: readonly corev1.Pod[]): Promise<Expectation> {
    const { spec } = budget;
    if (!needsScale(spec)) return expectationOf(spec, pods.length, 0);
    try {
      const { replicas, unmanaged } = await this.#scales.scaleOf(pods);
      if (unmanaged.length > 0)
        this.#event(
          budget,
          'Warning',
          'UnmanagedPods',
          `Pods selected by this PodDisruptionBudget (selector: ${formatLabelSelector(this.#selectorOf(budget))}) were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.`,
        );
      return expectationOf(spec, pods.length, replicas);
    } catch (error) {
      const message = `Failed to calculate the number of expected pods: ${errorMessage(error)}`;
      this.#event(budget, 'Warning', 'CalculateExpectedPodCountFailed', message);
      throw error;
    }
  }

  async #writeStatus(budget: Budget, status: policyv1.PodDisruptionBudgetStatus): Promise<void> {
    if (isDeepStrictEqual(budget.status, status)) return;
    try {
      await this.#context.client
        .resource(policyv1.podDisruptionBudgets, budget.metadata.namespace)
        .updateStatus({ ...budget, status });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async #clearStaleDisruption(key: string): Promise<void> {
    const { client, clock, queue } = this.#context;
    const pod = this.#pods.lister.byKey(key);
    const stale = pod && staleDisruptionIn(pod, clock.now());
    if (pod === undefined || stale === undefined) return;
    if (stale > 0) {
      queue.addAfter(POD + key, stale);
      return;
    }
    await client
      .resource(corev1.pods, pod.metadata.namespace)
      .updateStatus(withoutDisruption(pod, clock.now()));
  }

  /** Throws SelectorError. */
  #selectorOf(budget: Budget): LabelSelector {
    let selector = this.#selectors.get(budget);
    if (selector === undefined) {
      selector = labelSelectorFromObject(budget.spec.selector);
      this.#selectors.set(budget, selector);
    }
    return selector;
  }

  #podsOf(budget: Budget): readonly corev1.Pod[] {
    try {
      const selector = this.#selectorOf(budget);
      return this.#pods.lister
        .list(budget.metadata.namespace)
        .filter(({ metadata }) => matchesLabels(selector, metadata.labels));
    } catch (error) {
      this.#event(budget, 'Warning', 'NoPods', `Failed to get pods: ${errorMessage(error)}`);
      throw error;
    }
  }

  /** One budget of the pod; of several, which eviction does not support, any. */
  #budgetOf(pod: corev1.Pod): Budget | undefined {
    const { namespace = '', name, labels } = pod.metadata;
    const [first, second] = this.#budgets.lister
      .list(namespace)
      .filter((budget) => matchesLabels(this.#readable(budget), labels));
    if (first !== undefined && second !== undefined)
      this.#eventAbout(
        pod,
        corev1.pods,
        'MultiplePodDisruptionBudgets',
        `Pod "${namespace}"/"${name}" matches multiple PodDisruptionBudgets.  Chose "${first.metadata.name}" arbitrarily.`,
      );
    return first;
  }

  #readable(budget: Budget): LabelSelector {
    try {
      return this.#selectorOf(budget);
    } catch (error) {
      if (error instanceof SelectorError) return NOTHING;
      throw error;
    }
  }

  #event(budget: Budget, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const about = identityOf(budget, policyv1.podDisruptionBudgets);
    this.#context.recorder.event(about, type, reason, message);
  }

  #eventAbout<T extends KubeObject>(
    object: T,
    type: ResourceType<KubeObject>,
    reason: string,
    message: string,
  ): void {
    this.#context.recorder.event(identityOf(object, type), 'Warning', reason, message);
  }
}
