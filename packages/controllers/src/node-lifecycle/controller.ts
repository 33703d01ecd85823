import { coordinationv1, corev1 } from '@k8ts/api';
import { isConflict, isNotFound } from '@k8ts/apimachinery';
import { abortable, errorMessage, sleep } from '@k8ts/base';
import { objectKey } from '@k8ts/client';

import type { Controller, ControllerContext, ControllerDefinition } from '../contract.ts';
import { eventsRule, rule } from '../permissions.ts';
import { patchPodStatus } from '../pod-conditions.ts';
import { BY_NODE, podsInformer } from '../pod-indexes.ts';
import { isPodReady } from '../pod-state.ts';
import { identityOf } from '../object-identity.ts';
import { assessNode } from './health.ts';
import type { NodeHealth } from './health.ts';
import {
  NOT_READY,
  UNREACHABLE,
  changeTaints,
  hasTaint,
  nodeCondition,
  planNoScheduleTaints,
  zoneOf,
} from './node-state.ts';
import type { TaintRef } from './node-state.ts';
import { ZoneQueue, zoneRate, zoneState } from './zones.ts';
import type { ZoneOptions, ZoneState } from './zones.ts';

const LEASE_NAMESPACE = 'kube-node-lease';
const EXCLUDE_DISRUPTION = 'node.kubernetes.io/exclude-disruption';
/** How often waiting nodes are looked at while there are any. */
const TAINT_PERIOD = 100;
const NODES_PER_TURN = 200;

const NOT_READY_TAINT: TaintRef = { key: NOT_READY, effect: 'NoExecute' };
const UNREACHABLE_TAINT: TaintRef = { key: UNREACHABLE, effect: 'NoExecute' };

export const nodeLifecycleController: ControllerDefinition = {
  name: 'node-lifecycle-controller',
  account: 'node-controller',
  permissions: [
    rule(['get', 'list', 'watch', 'update', 'delete', 'patch'], [''], ['nodes']),
    rule(['patch', 'update'], [''], ['nodes/status']),
    rule(['patch', 'update'], [''], ['pods/status']),
    rule(['list', 'watch', 'get', 'delete'], [''], ['pods']),
    eventsRule,
  ],
  queue: 'node_lifecycle_controller',
  workers: 8,
  maxRetries: undefined,
  eventSource: 'node-controller',
  create: (context) => new NodeLifecycle(context),
};

/**
 * Notices nodes that fall silent or say they are not ready: marks them Unknown, taints them so that nothing new comes to them
 * and what is there may be evicted, and takes their pods out of service. Keys of the queue are `node/<name>` (NoSchedule
 * taints follow conditions) and `pod/<namespace>/<name>` (a pod that was bound to a node that is not ready).
 */
class NodeLifecycle implements Controller {
  readonly #context: ControllerContext;
  readonly #nodes;
  readonly #leases;
  readonly #pods;
  readonly #zoneOptions: ZoneOptions;
  readonly #known = new Map<string, corev1.Node>();
  readonly #health = new Map<string, NodeHealth>();
  readonly #zones = new Map<string, ZoneQueue>();
  readonly #states = new Map<string, ZoneState>();
  /** Nodes whose pods could not all be marked. */
  readonly #retry = new Set<string>();
  #wake: () => void = () => undefined;

  constructor(context: ControllerContext) {
    this.#context = context;
    const { informers, queue, options } = context;
    this.#zoneOptions = {
      evictionRate: options.nodeEvictionRate ?? 0.1,
      secondaryEvictionRate: options.secondaryNodeEvictionRate ?? 0.01,
      largeClusterSizeThreshold: options.largeClusterSizeThreshold ?? 50,
      unhealthyZoneThreshold: options.unhealthyZoneThreshold ?? 0.55,
    };
    this.#nodes = informers.of(corev1.nodes);
    this.#leases = informers.of(coordinationv1.leases, { namespace: LEASE_NAMESPACE });
    this.#pods = podsInformer(informers);
    const enqueueNode = ({ metadata }: corev1.Node): void => queue.add(`node/${metadata.name}`);
    this.#nodes.addHandler({
      added: enqueueNode,
      updated: (node, previous) => {
        // Most changes are heartbeats.
        if (planNoScheduleTaints(node) !== undefined || zoneOf(node) !== zoneOf(previous)) enqueueNode(node);
      },
    });
    const enqueuePod = (pod: corev1.Pod): void => {
      if (pod.spec.nodeName) queue.add(`pod/${objectKey(pod)}`);
    };
    this.#pods.addHandler({
      added: enqueuePod,
      updated: (pod, previous) => {
        if (pod.spec.nodeName !== previous.spec.nodeName) enqueuePod(pod);
      },
    });
  }

  async reconcile(key: string): Promise<void> {
    const slash = key.indexOf('/');
    const name = key.slice(slash + 1);
    if (key.startsWith('node/')) {
      const node = this.#nodes.lister.byKey(name);
      const change = node && planNoScheduleTaints(node);
      if (change !== undefined) await changeTaints(this.#context, name, change).catch(ignoreNotFound);
      return;
    }
    const pod = this.#pods.lister.byKey(name);
    const node = this.#nodes.lister.byKey(pod?.spec.nodeName ?? '');
    if (pod === undefined || node === undefined || !this.#health.has(node.metadata.name)) return;
    const ready = nodeCondition(node, 'Ready');
    if (ready !== undefined && ready.status !== 'True') await this.#markPodNotReady(pod);
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#monitor(signal), this.#taint(signal)]);
  }

  async #monitor(signal: AbortSignal): Promise<void> {
    const { clock, logger, options } = this.#context;
    while (!signal.aborted) {
      try {
        await this.#lookAtNodes();
      } catch (error) {
        if (!signal.aborted) logger.error('error monitoring node health', { error: errorMessage(error) });
      }
      await sleep(clock, options.nodeMonitorPeriod ?? 5000, signal).catch(() => undefined);
    }
  }

  async #lookAtNodes(): Promise<void> {
    const nodes = this.#nodes.lister.list();
    await this.#noteComingAndGoing(nodes);
    const zones = new Map<string, { ready: number; notReady: number }>();
    let count = 0;
    for (const node of nodes) {
      const current = await this.#lookAtNode(node);
      if (++count % NODES_PER_TURN === 0) await this.#context.clock.yield();
      if (current === 'skipped' || node.metadata.labels?.[EXCLUDE_DISRUPTION] !== undefined) continue;
      const zone = zoneOf(node);
      const counts = zones.get(zone) ?? { ready: 0, notReady: 0 };
      zones.set(zone, counts);
      if (current === 'True') counts.ready++;
      else counts.notReady++;
    }
    await this.#handleDisruption(zones, nodes);
  }

  async #noteComingAndGoing(nodes: readonly corev1.Node[]): Promise<void> {
    const present = new Set<string>();
    for (const node of nodes) {
      const { name } = node.metadata;
      present.add(name);
      this.#queueOf(node);
      if (this.#known.has(name)) continue;
      this.#known.set(name, node);
      this.#nodeEvent(node, 'RegisteredNode', `Registered Node ${name} in Controller`);
      await this.#markReachable(node);
    }
    for (const [name, node] of this.#known) {
      if (present.has(name)) continue;
      this.#known.delete(name);
      this.#health.delete(name);
      this.#retry.delete(name);
      for (const queue of this.#zones.values()) queue.remove(name);
      this.#nodeEvent(node, 'RemovingNode', `Removing Node ${name} from Controller`);
    }
  }

  /** Returns the node's readiness, as the zone counts it. */
  async #lookAtNode(listed: corev1.Node): Promise<corev1.NodeCondition['status'] | undefined | 'skipped'> {
    const { client, clock, logger, options } = this.#context;
    const { name } = listed.metadata;
    const gracePeriod = {
      startup: options.nodeStartupGracePeriod ?? 60_000,
      monitor: options.nodeMonitorGracePeriod ?? 50_000,
    };
    const lease = this.#leases.lister.get(LEASE_NAMESPACE, name);
    let node = listed;
    let assessment = assessNode(node, lease, this.#health.get(name), clock.now(), gracePeriod);
    for (let attempt = 1; assessment.conditions !== undefined; attempt++) {
      const { conditions } = assessment;
      try {
        const api = client.resource(corev1.nodes);
        node = await api.updateStatus({ ...node, status: { ...node.status, conditions } });
        assessment = {
          ...assessment,
          health: { ...assessment.health, ready: nodeCondition(node, 'Ready') },
          conditions: undefined,
        };
      } catch (error) {
        // A conflict: it changed, and perhaps that is the sign of life that was missing.
        const fresh = isConflict(error) && attempt < 5 ? await this.#fresh(name) : undefined;
        if (fresh === undefined) {
          logger.warn('a node could not be marked, nothing is evicted', {
            node: name,
            error: errorMessage(error),
          });
          return 'skipped';
        }
        node = fresh;
        assessment = assessNode(node, lease, this.#health.get(name), clock.now(), gracePeriod);
      }
    }
    this.#health.set(name, assessment.health);
    const { observed, current } = assessment;
    if (current === undefined) return current;
    await this.#evict(node, observed);
    await this.#takeOutOfService(node, observed, current);
    return current;
  }

  async #fresh(name: string): Promise<corev1.Node | undefined> {
    try {
      return await this.#context.client.resource(corev1.nodes).get(name);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async #takeOutOfService(node: corev1.Node, observed: string, current: string): Promise<void> {
    const { name } = node.metadata;
    const justLost = current !== 'True' && observed === 'True';
    if (justLost) this.#nodeEvent(node, 'NodeNotReady', `Node ${name} status is now: NodeNotReady`);
    if (justLost || (this.#retry.has(name) && observed !== 'True')) {
      try {
        for (const pod of this.#pods.lister.byIndex(BY_NODE, name)) await this.#markPodNotReady(pod);
      } catch (error) {
        this.#retry.add(name);
        this.#context.logger.warn('not all pods could be marked, will try again', {
          node: name,
          error: errorMessage(error),
        });
        return;
      }
    }
    this.#retry.delete(name);
  }

  async #markPodNotReady(pod: corev1.Pod): Promise<void> {
    if (!isPodReady(pod)) return;
    const { client, clock, recorder } = this.#context;
    recorder.event(identityOf(pod, corev1.pods), 'Warning', 'NodeNotReady', 'Node is not ready');
    const { reason, message } = pod.status?.conditions?.find(({ type }) => type === 'Ready') ?? {};
    await patchPodStatus(
      client,
      pod,
      {
        condition: {
          type: 'Ready',
          status: 'False',
          ...(reason === undefined ? {} : { reason }),
          ...(message === undefined ? {} : { message }),
        },
      },
      clock.now(),
    ).catch(ignoreNotFound);
  }

  /** A node that is tainted already changes its taint at once; one that is not waits for its turn. */
  async #evict(node: corev1.Node, observed: string): Promise<void> {
    if (observed === 'True') {
      await this.#markReachable(node);
      return;
    }
    const [wanted, opposite] =
      observed === 'False' ? [NOT_READY_TAINT, UNREACHABLE_TAINT] : [UNREACHABLE_TAINT, NOT_READY_TAINT];
    if (hasTaint(node, opposite)) await this.#swap(node.metadata.name, wanted, opposite);
    else if (!hasTaint(node, wanted)) {
      this.#queueOf(node).add(node.metadata.name);
      this.#wake();
    }
  }

  async #markReachable(node: corev1.Node): Promise<void> {
    const { name } = node.metadata;
    for (const queue of this.#zones.values()) queue.remove(name);
    const remove = [NOT_READY_TAINT, UNREACHABLE_TAINT].filter((taint) => hasTaint(node, taint));
    if (remove.length > 0) await changeTaints(this.#context, name, { add: [], remove }).catch(ignoreNotFound);
  }

  async #swap(name: string, add: TaintRef, remove: TaintRef): Promise<void> {
    await changeTaints(this.#context, name, { add: [add], remove: [remove] }).catch(ignoreNotFound);
  }

  #queueOf(node: corev1.Node): ZoneQueue {
    const zone = zoneOf(node);
    let queue = this.#zones.get(zone);
    if (queue === undefined) {
      queue = new ZoneQueue(this.#context.clock, this.#zoneOptions.evictionRate);
      this.#zones.set(zone, queue);
    }
    return queue;
  }

  /** Taints the nodes that wait, each zone at its own rate. Sleeps while none waits, or none may be tainted. */
  async #taint(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#context;
    while (!signal.aborted) {
      const active = [...this.#zones.values()].some(({ size, rate }) => size > 0 && rate > 0);
      if (!active) {
        const woken = new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        await abortable(woken, signal).catch(() => undefined); // aborted: the loop ends
        continue;
      }
      for (const queue of this.#zones.values()) {
        for (let name = queue.take(); name !== undefined; name = queue.take()) {
          try {
            await this.#taintNode(name);
          } catch (error) {
            if (signal.aborted) return;
            queue.add(name);
            logger.warn('a node could not be tainted, will try again', {
              node: name,
              error: errorMessage(error),
            });
            break;
          }
        }
      }
      await sleep(clock, TAINT_PERIOD, signal).catch(() => undefined);
    }
  }

  async #taintNode(name: string): Promise<void> {
    const node = this.#nodes.lister.byKey(name);
    const status = node && nodeCondition(node, 'Ready')?.status;
    if (status === undefined || status === 'True') return; // gone, or well again
    if (status === 'False') await this.#swap(name, NOT_READY_TAINT, UNREACHABLE_TAINT);
    else await this.#swap(name, UNREACHABLE_TAINT, NOT_READY_TAINT);
  }

  async #handleDisruption(
    zones: ReadonlyMap<string, { readonly ready: number; readonly notReady: number }>,
    nodes: readonly corev1.Node[],
  ): Promise<void> {
    const next = new Map<string, ZoneState>();
    for (const [zone, { ready, notReady }] of zones)
      next.set(zone, zoneState(ready, notReady, this.#zoneOptions.unhealthyZoneThreshold));
    for (const zone of this.#states.keys()) if (!next.has(zone)) this.#states.delete(zone);
    const fully = (states: ReadonlyMap<string, ZoneState>): boolean =>
      [...states.values()].every((state) => state === 'full');
    // Of zones seen for the first time nothing is known: they count as not disrupted before.
    const wasFully =
      this.#states.size > 0 &&
      fully(this.#states) &&
      [...next.keys()].every((zone) => this.#states.has(zone));
    const isFully = fully(next);
    if (isFully && wasFully) return;

    const { logger, clock } = this.#context;
    if (isFully && next.size > 0) {
      logger.warn('no node is ready any more: evictions are stopped');
      for (const node of nodes) await this.#markReachable(node);
      for (const queue of this.#zones.values()) queue.setRate(0);
    } else {
      if (wasFully) {
        logger.info('some nodes are ready again: evictions go on');
        // While we were cut off nobody could be heard: everybody gets the full grace period anew.
        for (const [name, health] of this.#health) this.#health.set(name, { ...health, probed: clock.now() });
      }
      for (const [zone, state] of next) {
        const counts = zones.get(zone);
        const size = (counts?.ready ?? 0) + (counts?.notReady ?? 0);
        this.#zones.get(zone)?.setRate(zoneRate(state, size, this.#zoneOptions));
      }
    }
    for (const [zone, state] of next) this.#states.set(zone, state);
    this.#wake();
  }

  #nodeEvent(node: corev1.Node, reason: string, message: string): void {
    this.#context.recorder.event(identityOf(node, corev1.nodes), 'Normal', reason, message);
  }
}

function ignoreNotFound(error: unknown): void {
  if (!isNotFound(error)) throw error;
}
