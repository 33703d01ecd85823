import type { Clock, Logger } from '@k8ts/base';
import type { EventRecorder } from '@k8ts/client';
import type { SimulatedRuntime } from '@k8ts/cri';

import { admitPod } from '../admission.ts';
import type { BackOff } from '../pod/back-off.ts';
import { NOTHING_RUNS } from '../pod/runtime-state.ts';
import type { PodHost } from '../pod/pod-host.ts';
import { podUid } from '../pod/pod-spec.ts';
import { PodWorkers } from '../pod/pod-workers.ts';
import type { Node, Pod } from '../pod/types.ts';
import type { ServedNode } from '../server/served-node.ts';
import type { StatusManager } from '../status-manager.ts';
import { createSimulatedHost } from './simulated-host.ts';

/** What all simulated nodes of a process have in common. */
export interface SimulatedNodeContext {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly statuses: StatusManager;
  readonly crashBackOff: BackOff;
  readonly events: (nodeName: string) => EventRecorder;
  readonly node: (name: string) => Node | undefined;
  readonly pod: (namespace: string, name: string) => Pod | undefined;
}

/** One simulated node. Until its first pod comes it is a name and an empty runtime. */
export class SimulatedNode {
  readonly name: string;
  readonly address: string;
  readonly runtime: SimulatedRuntime;
  readonly #context: SimulatedNodeContext;
  #host: (PodHost & Disposable) | undefined;
  #workers: PodWorkers | undefined;
  /** Its kubelet is down: no heartbeats, and nobody looks after its pods. */
  #down = false;

  constructor(name: string, address: string, runtime: SimulatedRuntime, context: SimulatedNodeContext) {
    this.name = name;
    this.address = address;
    this.runtime = runtime;
    this.#context = context;
  }

  get down(): boolean {
    return this.#down;
  }

  sync(pod: Pod): void {
    if (!this.#down) this.#start().sync(pod);
  }

  removed(pod: Pod): void {
    this.#workers?.removed(pod);
  }

  /** As if the machine had lost its network and power: the API hears nothing any more. */
  async fail(): Promise<void> {
    this.#down = true;
    const workers = this.#workers;
    const host = this.#host;
    this.#workers = undefined;
    this.#host = undefined;
    await workers?.stop();
    host?.[Symbol.dispose]();
  }

  /** Its kubelet comes back and finds what still runs; `pods` are those bound to it now. */
  async recover(pods: readonly Pod[]): Promise<void> {
    this.#down = false;
    const workers = this.#start();
    await this.#host?.runtimeCache.relist();
    for (const pod of pods) workers.sync(pod);
    await workers.endOrphans();
  }

  get served(): ServedNode {
    const { node, pod, statuses } = this.#context;
    const withStatus = (known: Pod): Pod => ({
      ...known,
      status: statuses.get(podUid(known)) ?? known.status ?? {},
    });
    return {
      nodeName: this.name,
      runtime: this.runtime,
      node: () => node(this.name),
      pods: () => (this.#workers?.pods() ?? []).map(withStatus),
      findPod: (namespace, name) => {
        const found = pod(namespace, name);
        return found?.spec.nodeName === this.name ? withStatus(found) : undefined;
      },
      state: async (uid) => this.#host?.runtimeCache.state(uid) ?? NOTHING_RUNS,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.fail();
    await this.runtime[Symbol.asyncDispose]();
  }

  #start(): PodWorkers {
    if (this.#workers !== undefined) return this.#workers;
    const { clock, logger, statuses, crashBackOff, events, node } = this.#context;
    const host = createSimulatedHost({
      clock,
      logger,
      events: events(this.name),
      runtime: this.runtime,
      statuses,
      crashBackOff,
      hostIps: [this.address],
      admit: (pod) => admitPod({ pod, node: node(this.name), activePods: workers.active(), os: 'linux' }),
      admitAlone: (pod) => admitPod({ pod, node: node(this.name), activePods: [], os: 'linux' }),
      wake: (uid) => workers.wake(uid),
    });
    const workers = new PodWorkers(host);
    this.#host = host;
    this.#workers = workers;
    return workers;
  }
}
