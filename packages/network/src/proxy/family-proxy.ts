import type { corev1, discoveryv1 } from '@k8ts/api';
import type { Clock, Logger, RunCommand } from '@k8ts/base';

import type { IpFamily } from '../address.ts';
import { deleteStaleUdpFlows } from './conntrack.ts';
import type { ProxyMode, ProxyNode, ServicePlan } from './contract.ts';
import type { ProxyMetrics } from './proxy-metrics.ts';
import { planService } from './service-plan.ts';

/** The cluster as the proxy reads it. Keys are `namespace/name` of Services. */
export interface ServiceSource {
  keys(): Iterable<string>;
  service(key: string): corev1.Service | undefined;
  slices(key: string): readonly discoveryv1.EndpointSlice[];
  node(): ProxyNode;
}

export interface FamilyProxyOptions {
  readonly family: IpFamily;
  readonly mode: ProxyMode;
  readonly source: ServiceSource;
  readonly metrics: ProxyMetrics;
  /** Runs the program `conntrack`; undefined where it is not installed. */
  readonly conntrack: RunCommand | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called when a sync has succeeded. */
  readonly onSynced: () => Promise<void>;
}

/** Planning a great many Services pauses after this many, so that other work gets its turn. */
const PLANS_PER_TURN = 200;

/** The proxy of one address family: remembers which Services changed, plans those, and has the mode follow. */
export class FamilyProxy {
  readonly #options: FamilyProxyOptions;
  readonly #changed = new Set<string>();
  readonly #plans = new Map<string, ServicePlan>();
  /** When pods and Services changed whose rules are not written yet. */
  #triggers: number[] = [];

  constructor(options: FamilyProxyOptions) {
    this.#options = options;
  }

  /** What is in force. */
  get plans(): ReadonlyMap<string, ServicePlan> {
    return this.#plans;
  }

  /** `trigger`: when the cause of the change came to be, in wall-clock milliseconds. */
  changed(key: string, trigger?: number): void {
    this.#changed.add(key);
    if (trigger !== undefined) this.#triggers.push(trigger);
  }

  /** Throws when the mode could not follow; then the next sync must be a full one. */
  async sync(full: boolean): Promise<void> {
    const { source, mode, metrics, clock, logger, family, conntrack } = this.#options;
    const start = clock.monotonic();
    const triggers = this.#triggers;
    this.#triggers = [];
    const keys = full ? new Set([...source.keys(), ...this.#plans.keys()]) : new Set(this.#changed);
    this.#changed.clear();
    const changes = new Map<string, ServicePlan>();
    const node = source.node();
    let count = 0;
    for (const key of keys) {
      const plan = planService(source.service(key), source.slices(key), node, family);
      if (plan !== undefined) changes.set(key, plan);
      else if (this.#plans.has(key)) changes.set(key, nothingFor(key));
      if (++count % PLANS_PER_TURN === 0) await clock.yield();
    }
    try {
      await mode.sync(changes, full);
    } catch (error) {
      metrics.failed();
      this.#triggers.push(...triggers);
      throw error;
    }
    for (const [key, plan] of changes) {
      if (plan.ports.length === 0) this.#plans.delete(key);
      else this.#plans.set(key, plan);
    }
    const now = clock.now();
    metrics.synced(full, clock.monotonic() - start, now);
    for (const trigger of triggers) metrics.programmed(Math.max(0, now - trigger));
    this.#countMissingLocalEndpoints();
    await this.#options.onSynced();
    if (conntrack !== undefined) await deleteStaleUdpFlows(conntrack, family, changes.values(), logger);
  }

  #countMissingLocalEndpoints(): void {
    let internal = 0;
    let external = 0;
    for (const { ports } of this.#plans.values()) {
      for (const { endpoints, internalPolicyLocal, externalPolicyLocal } of ports) {
        if (!endpoints.any || endpoints.local.length > 0) continue;
        if (internalPolicyLocal) internal++;
        if (externalPolicyLocal) external++;
      }
    }
    this.#options.metrics.noLocalEndpoints(internal, external);
  }
}

function nothingFor(key: string): ServicePlan {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1), ports: [], healthCheck: undefined };
}
