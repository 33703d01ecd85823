import { corev1 } from '@k8ts/api';
import type { KubeObject, ResourceType } from '@k8ts/api';
import {
  amountsOf,
  compareQuantities,
  isInScope,
  quotaEvaluatorOf,
  resourceListOf,
  sameAmounts,
  type Amounts,
  type QuotaEvaluator,
} from '@k8ts/apimachinery';
import { errorMessage, every, sleep } from '@k8ts/base';
import { discoverResources, objectKey } from '@k8ts/client';
import type { Lister } from '@k8ts/client';

import type { Controller, ControllerContext, ControllerDefinition } from '../contract.ts';
import { eventsRule, rule } from '../permissions.ts';
import { ResourceMonitors } from '../resource-monitors.ts';
import { RecentCharges } from './recent-charges.ts';
import { calculateUsage, type Counted } from './usage.ts';

type ResourceQuota = corev1.ResourceQuota;

/** How often the resource types are looked at, unless told otherwise. */
const DISCOVERY_PERIOD = 30_000;
/** How often everything is counted anew, unless told otherwise. */
const SYNC_PERIOD = 300_000;

export const resourceQuotaController: ControllerDefinition = {
  name: 'resourcequota-controller',
  account: 'resourcequota-controller',
  permissions: [
    rule(['list', 'watch'], ['*'], ['*']),
    rule(['update'], [''], ['resourcequotas/status']),
    eventsRule,
  ],
  queue: 'resourcequota_primary',
  workers: 5,
  maxRetries: undefined,
  eventSource: 'resourcequota-controller',
  create: (context) => new ResourceQuotaController(context),
};

/**
 * Keeps the status of ResourceQuotas: what they limit, and how much of it is used. Admission charges what is created; this
 * gives back what is deleted, counts what was there before, and corrects what went wrong.
 */
class ResourceQuotaController implements Controller {
  readonly #context: ControllerContext;
  readonly #quotas: Lister<ResourceQuota>;
  readonly #monitors: ResourceMonitors;
  readonly #charges = new RecentCharges();
  /** One for each resource that is watched. */
  readonly #evaluators = new Map<string, QuotaEvaluator>();

  constructor(context: ControllerContext) {
    this.#context = context;
    const { informers, queue, clock } = context;
    const quotas = informers.of(corev1.resourceQuotas);
    this.#quotas = quotas.lister;
    quotas.addHandler({
      added: (quota) => queue.add(objectKey(quota)),
      updated: (quota, previous) => {
        const key = objectKey(quota);
        this.#charges.observe(key, quota, previous, clock.monotonic());
        if (this.#isIncomplete(quota)) queue.add(key);
      },
      deleted: (quota) => this.#charges.forget(objectKey(quota)),
    });
    this.#monitors = new ResourceMonitors(context, {
      wants: (type) =>
        type.namespaced &&
        quotaEvaluatorOf(type.group, type.resource) !== undefined &&
        ['create', 'delete', 'list', 'watch'].every((verb) => type.verbs.includes(verb)),
      wholeObjects: (type) => this.#evaluatorOf(type).readsObjects,
      updated: (type, object, previous) => {
        const evaluator = this.#evaluatorOf(type);
        if (evaluator.readsObjects && object !== previous)
          this.#recount(evaluator, object, (quota) => this.#changes(evaluator, quota, object, previous));
      },
      deleted: (type, object) => this.#recount(this.#evaluatorOf(type), object, () => true),
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    const { queue, clock, options } = this.#context;
    await Promise.all([
      this.#followDiscovery(signal),
      every(clock, options.resourceQuotaSyncPeriod ?? SYNC_PERIOD, signal, () => {
        for (const quota of this.#quotas.list()) queue.add(objectKey(quota));
      }),
    ]);
  }

  async reconcile(key: string, signal: AbortSignal): Promise<void> {
    const { client, queue, clock } = this.#context;
    await this.#monitors.waitForSync(signal);
    const quota = this.#quotas.byKey(key);
    if (quota === undefined) return;
    const hard = quota.spec.hard ?? {};
    const { used: counted, unknown } = calculateUsage(quota, this.#counted(quota), clock.now());
    const before = amountsOf(quota.status?.used);
    const used: Amounts = new Map();
    for (const name in hard) {
      const known = before.get(name);
      const amount = counted.get(name) ?? known;
      if (amount === undefined) continue;
      const wait =
        known !== undefined && compareQuantities(amount, known) < 0
          ? this.#charges.wait(key, name, clock.monotonic())
          : 0;
      used.set(name, wait > 0 ? (known as typeof amount) : amount);
      if (wait > 0) queue.addAfter(key, wait);
    }
    const isCurrent =
      quota.status?.hard !== undefined &&
      quota.status.used !== undefined &&
      sameAmounts(amountsOf(hard), amountsOf(quota.status.hard)) &&
      sameAmounts(used, before);
    if (!isCurrent)
      await client
        .resource(corev1.resourceQuotas, quota.metadata.namespace)
        .updateStatus({ ...quota, status: { hard, used: resourceListOf(used) } });
    if (unknown.length > 0) throw new Error(`not yet synced: ${unknown.join(', ')}`);
  }

  /** Resource types come and go with their CustomResourceDefinitions. */
  async #followDiscovery(signal: AbortSignal): Promise<void> {
    const { client, clock, logger, options, queue } = this.#context;
    while (!signal.aborted) {
      try {
        await this.#monitors.follow(await discoverResources(client, signal));
        this.#evaluators.clear();
        for (const { type } of this.#monitors.all) this.#evaluatorOf(type);
        for (const quota of this.#quotas.list()) if (this.#isIncomplete(quota)) queue.add(objectKey(quota));
      } catch (error) {
        if (!signal.aborted) logger.warn('discovery failed', { error: errorMessage(error) });
      }
      await sleep(clock, options.discoveryPeriod ?? DISCOVERY_PERIOD, signal).catch(() => undefined);
    }
  }

  #evaluatorOf({ group, resource }: ResourceType<KubeObject>): QuotaEvaluator {
    const key = `${resource}.${group}`;
    let found = this.#evaluators.get(key);
    // Only what has an evaluator is watched.
    if (found === undefined)
      this.#evaluators.set(key, (found = quotaEvaluatorOf(group, resource) as QuotaEvaluator));
    return found;
  }

  *#counted({ metadata }: ResourceQuota): Iterable<Counted> {
    for (const { type, informer } of this.#monitors.all)
      yield {
        evaluator: this.#evaluatorOf(type),
        objects: () => (informer.synced ? informer.lister.list(metadata.namespace) : undefined),
      };
  }

  /** The status does not say what the spec does, or lacks a usage that can be counted. */
  #isIncomplete({ spec, status }: ResourceQuota): boolean {
    const hard = spec.hard ?? {};
    if (!sameAmounts(amountsOf(hard), amountsOf(status?.hard))) return true;
    const evaluators = [...this.#evaluators.values()];
    return Object.keys(hard).some(
      (name) => status?.used?.[name] === undefined && evaluators.some((evaluator) => evaluator.counts(name)),
    );
  }

  /** Queues the quotas of an object's namespace that limit such objects. */
  #recount(
    evaluator: QuotaEvaluator,
    { metadata }: KubeObject,
    isConcerned: (quota: ResourceQuota) => boolean,
  ): void {
    for (const quota of this.#quotas.list(metadata.namespace ?? ''))
      if (Object.keys(quota.spec.hard ?? {}).some((name) => evaluator.counts(name)) && isConcerned(quota))
        this.#context.queue.add(objectKey(quota));
  }

  #changes(
    evaluator: QuotaEvaluator,
    quota: ResourceQuota,
    object: KubeObject,
    previous: KubeObject,
  ): boolean {
    const now = this.#context.clock.now();
    const isIn = isInScope(evaluator, quota, object);
    if (isIn !== isInScope(evaluator, quota, previous)) return true;
    return isIn && !sameAmounts(evaluator.usage(object, now), evaluator.usage(previous, now));
  }
}
