import { corev1 } from '@k8ts/api';
import { type Clock, errorMessage, every, type Logger, type Random, sleep } from '@k8ts/base';
import type { Client, EventRecorder } from '@k8ts/client';
import type { Image } from '@k8ts/cri';

import type { Node, NodeStatus } from '../pod/types.ts';
import { LEASE_RENEWAL, NodeLease } from './node-lease.ts';
import { newNode, type NodeIdentity, nodeStatusPatch, registerNode } from './node-registration.ts';
import { type NodeFacts, type NodeHealth, nodeStatus, statusChanged } from './node-status.ts';

export interface NodeReporterOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly events: EventRecorder;
  readonly identity: NodeIdentity;
  readonly facts: () => NodeFacts;
  readonly health: () => Promise<NodeHealth>;
  readonly images: () => Promise<readonly Image[]>;
}

/** nodeStatusUpdateFrequency and nodeStatusReportFrequency. */
const CHECK_INTERVAL = 10_000;
const REPORT_INTERVAL = 300_000;
const REGISTER_FIRST_RETRY = 100;
const REGISTER_LAST_RETRY = 7_000;

/**
 * Registers the node (once: a node that is deleted from the API stays deleted until its kubelet is started again) and keeps its status and lease: the status is computed every 10 s and written when it changed or
 * 5 minutes have passed; the lease is renewed every 10 s.
 */
export class NodeReporter {
  readonly #options: NodeReporterOptions;
  readonly #lease: NodeLease;
  #node: Node | undefined;
  #status: NodeStatus | undefined;
  #reportedAt = 0;
  #reporting: Promise<void> = Promise.resolve();

  constructor(options: NodeReporterOptions) {
    this.#options = options;
    this.#lease = new NodeLease(options.client, options.clock, options.identity.name, () => this.#node);
  }

  /** As last read from or written to the API; undefined before the registration. */
  get node(): Node | undefined {
    return this.#node;
  }

  /** The informer's newer copy. */
  observe(node: Node): void {
    this.#node = node;
  }

  /** Resolves when the node is registered; tries until the signal aborts. */
  async register(signal: AbortSignal): Promise<void> {
    const { client, clock, logger, identity } = this.#options;
    for (let delay = REGISTER_FIRST_RETRY; ; delay = Math.min(delay * 2, REGISTER_LAST_RETRY)) {
      try {
        const status = await this.#compute();
        const wanted = newNode(identity, status);
        const node = await registerNode(client, wanted, signal);
        this.#node = node;
        this.#announce(undefined, status);
        // A node that was there before has an old status; a new one comes with ours.
        this.#status = node.status;
        this.#reportedAt = clock.monotonic();
        if (statusChanged(node.status, status)) await this.#write(status, signal);
        return;
      } catch (error) {
        if (signal.aborted) throw error;
        logger.warn('Unable to register node with API server', {
          node: identity.name,
          error: errorMessage(error),
        });
        await sleep(clock, delay, signal);
      }
    }
  }

  /** Keeps status and lease until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    // Many kubelets that start together do not stay in step.
    const jitter = (interval: number): number => interval * (1 + 0.04 * random());
    await Promise.all([
      this.#renew(signal).then(() => every(clock, jitter(LEASE_RENEWAL), signal, () => this.#renew(signal))),
      every(clock, jitter(CHECK_INTERVAL), signal, () => this.report(signal)),
    ]);
  }

  /** Computes the status now and writes it when it is due. Calls wait for one another. */
  report(signal: AbortSignal): Promise<void> {
    this.#reporting = this.#reporting.then(() => this.#report(signal));
    return this.#reporting;
  }

  async #report(signal: AbortSignal): Promise<void> {
    const { clock, logger, identity } = this.#options;
    if (signal.aborted) return;
    try {
      const status = await this.#compute();
      const due = clock.monotonic() - this.#reportedAt >= REPORT_INTERVAL;
      if (!due && !statusChanged(this.#status, status)) return;
      this.#announce(this.#status, status);
      await this.#write(status, signal);
    } catch (error) {
      if (signal.aborted) return;
      logger.warn('Unable to update node status', { node: identity.name, error: errorMessage(error) });
    }
  }

  async #compute(): Promise<NodeStatus> {
    const { facts, health, images, clock } = this.#options;
    return nodeStatus(
      facts(),
      await health(),
      await images(),
      this.#status ?? this.#node?.status,
      clock.now(),
    );
  }

  async #write(status: NodeStatus, signal: AbortSignal): Promise<void> {
    const { client, clock, identity } = this.#options;
    this.#node = await client
      .resource(corev1.nodes)
      .patch(identity.name, nodeStatusPatch(status), { type: 'strategic', subresource: 'status', signal });
    this.#status = status;
    this.#reportedAt = clock.monotonic();
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { logger, identity } = this.#options;
    try {
      await this.#lease.renew(signal);
    } catch (error) {
      if (!signal.aborted)
        logger.warn('Failed to update lease', { node: identity.name, error: errorMessage(error) });
    }
  }

  /** `NodeReady`, `NodeHasSufficientMemory` …: one event for each condition that changed. */
  #announce(before: NodeStatus | undefined, after: NodeStatus): void {
    const { events, identity } = this.#options;
    for (const { type, status } of after.conditions ?? []) {
      const reason = EVENT_REASONS[type]?.[status === 'True' ? 0 : 1];
      const old = before?.conditions?.find((condition) => condition.type === type)?.status;
      if (reason === undefined || old === status) continue;
      events.event(
        { apiVersion: 'v1', kind: 'Node', name: identity.name, uid: identity.name },
        'Normal',
        reason,
        `Node ${identity.name} status is now: ${reason}`,
      );
    }
  }
}

/** For True and for other values. */
const EVENT_REASONS: Readonly<Record<string, readonly [string, string]>> = {
  MemoryPressure: ['NodeHasInsufficientMemory', 'NodeHasSufficientMemory'],
  DiskPressure: ['NodeHasDiskPressure', 'NodeHasNoDiskPressure'],
  PIDPressure: ['NodeHasInsufficientPID', 'NodeHasSufficientPID'],
  Ready: ['NodeReady', 'NodeNotReady'],
};
