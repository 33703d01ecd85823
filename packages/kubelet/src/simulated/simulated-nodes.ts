import { type corev1 as core, corev1 } from '@k8ts/api';
import { type Clock, errorMessage, every, type Logger, type Random, Scope } from '@k8ts/base';
import { type Client, createEventBroadcaster, createInformerFactory } from '@k8ts/client';
import { createSimulation, type Simulation, type SimulatedImageOptions } from '@k8ts/cri';

import { DEFAULT_KUBELET_PORT, DEFAULT_MAX_PODS, KUBELET_VERSION } from '../kubelet-options.ts';
import { LEASE_RENEWAL, NodeLease } from '../node/node-lease.ts';
import { newNode, nodeStatusPatch, registerNode } from '../node/node-registration.ts';
import { HEALTHY, type NodeFacts, nodeStatus } from '../node/node-status.ts';
import { createCrashLoopBackOff } from '../pod/back-off.ts';
import { podKey } from '../pod/pod-spec.ts';
import type { Pod, ResourceList } from '../pod/types.ts';
import type { ServedNode } from '../server/served-node.ts';
import { StatusManager } from '../status-manager.ts';
import { SimulatedNode, type SimulatedNodeContext } from './simulated-node.ts';

export interface SimulatedNodesOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** How many; names are `PREFIX-0`, `PREFIX-1` … */
  readonly count: number;
  /** Default `node`. */
  readonly namePrefix?: string;
  /** Differences from the usual node (8 cores, 32 GiB, 110 pods), by number. */
  readonly node?: (index: number) => SimulatedNodeSpec;
  readonly images?: SimulatedImageOptions;
  /** Default: one of its own. Give one to share it with a real runtime's tests. */
  readonly simulation?: Simulation;
  /** Pods leave events; default true. For large simulations they may be switched off. */
  readonly events?: boolean;
  /** Where the API server reaches the logs and commands of all these nodes. */
  readonly kubeletPort?: number;
  /** The nodes' address there. Default: each node has one of its own in 10.0.0.0/8, which nobody can reach. */
  readonly kubeletAddress?: string;
  readonly kubeletVersion?: string;
}

export interface SimulatedNodeSpec {
  readonly name?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly taints?: readonly core.Taint[];
  readonly capacity?: ResourceList;
}

/** Nodes without machines. Disposing them leaves their objects in the API, as machines that are switched off. */
export interface SimulatedNodes extends AsyncDisposable {
  readonly names: readonly string[];
  /** For `createKubeletServer`: one server answers for all of them. */
  readonly served: readonly ServedNode[];
  /** The nodes are registered and their pods are known. */
  ready(): Promise<void>;
  /** The node goes silent; its containers run on and nobody looks after them. */
  fail(name: string): Promise<void>;
  recover(name: string): Promise<void>;
  node(name: string): SimulatedNode;
}

const USUAL_CAPACITY: ResourceList = {
  cpu: '8',
  memory: `${32 * 1024 * 1024}Ki`,
  'ephemeral-storage': `${100 * 1024 * 1024}Ki`,
  pods: String(DEFAULT_MAX_PODS),
};
const TICK = 1_000;
const REPORT_INTERVAL = 300_000;
const REGISTRATIONS_AT_ONCE = 32;

/**
 * Starts many kubelets that share one watch, one status writer, one event queue and one timer: each second a tenth of the
 * leases is renewed, and a 300th of the statuses. A node costs some maps, a pod costs work only when something happens.
 */
export async function startSimulatedNodes(options: SimulatedNodesOptions): Promise<SimulatedNodes> {
  const { client, clock, random, logger } = options;
  const scope = new Scope();
  const { signal } = scope;
  const informers = scope.use(createInformerFactory({ client, clock, random, logger }));
  const pods = informers.of(corev1.pods);
  const nodeInformer = informers.of(corev1.nodes);
  const broadcaster = scope.use(createEventBroadcaster({ client, clock, random, logger }));
  const statuses = scope.use(
    new StatusManager({
      client,
      clock,
      logger,
      apiPod: (pod) => sameUid(pods.lister.byKey(podKey(pod)), pod),
    }),
  );
  const context: SimulatedNodeContext = {
    clock,
    logger,
    statuses,
    crashBackOff: createCrashLoopBackOff(),
    events: (name) => (options.events === false ? SILENT : broadcaster.recorder('kubelet', name)),
    node: (name) => nodeInformer.lister.byKey(name) ?? registered.get(name),
    pod: (namespace, name) => pods.lister.get(namespace, name),
  };
  const simulation =
    options.simulation ??
    createSimulation({ clock, ...(options.images === undefined ? {} : { images: options.images }) });
  const nodes = new Map<string, SimulatedNode>();
  const registered = new Map<string, core.Node>();
  const specs: SimulatedNodeSpec[] = [];
  for (let index = 0; index < options.count; index++) {
    const spec = options.node?.(index) ?? {};
    const name = spec.name ?? `${options.namePrefix ?? 'node'}-${index}`;
    if (nodes.has(name)) throw new Error(`two simulated nodes have the name ${name}`);
    specs.push(spec);
    nodes.set(name, new SimulatedNode(name, nodeAddress(options, index), simulation.addNode(), context));
  }
  scope.defer(async () => {
    await Promise.all([...nodes.values()].map((node) => node[Symbol.asyncDispose]()));
  });

  const list = [...nodes.values()];
  const leases = list.map((node) => new NodeLease(client, clock, node.name, () => context.node(node.name)));
  const factsOf = (index: number): NodeFacts =>
    nodeFacts(options, list[index] as SimulatedNode, specs[index] ?? {});
  const reportNode = async (index: number): Promise<void> => {
    const { name } = list[index] as SimulatedNode;
    const status = nodeStatus(factsOf(index), HEALTHY, [], context.node(name)?.status, clock.now());
    await client
      .resource(corev1.nodes)
      .patch(name, nodeStatusPatch(status), { type: 'strategic', subresource: 'status', signal });
  };
  const registerOne = async (index: number): Promise<void> => {
    const { name } = list[index] as SimulatedNode;
    const { labels, taints } = specs[index] ?? {};
    const status = nodeStatus(factsOf(index), HEALTHY, [], undefined, clock.now());
    const identity = {
      name,
      os: 'linux',
      arch: 'amd64',
      ...(labels === undefined ? {} : { labels }),
      ...(taints === undefined ? {} : { taints }),
      annotations: { 'k8ts.io/simulated': 'true' },
    };
    const node = await registerNode(client, newNode(identity, status), signal);
    registered.set(name, node);
    if (
      node.metadata.creationTimestamp !== undefined &&
      node.status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') !==
        true
    )
      await reportNode(index);
    await leases[index]?.renew(signal);
  };

  const started = (async () => {
    await inBatches(list.length, REGISTRATIONS_AT_ONCE, registerOne);
    const route = (pod: Pod): SimulatedNode | undefined =>
      pod.spec.nodeName === undefined ? undefined : nodes.get(pod.spec.nodeName);
    nodeInformer.addHandler({
      added: (node) => updateCidr(nodes.get(node.metadata.name), node, undefined),
      updated: (node, before) => updateCidr(nodes.get(node.metadata.name), node, before),
    });
    pods.addHandler({
      added: (pod) => route(pod)?.sync(pod),
      updated: (pod) => route(pod)?.sync(pod),
      deleted: (pod) => route(pod)?.removed(pod),
    });
    informers.start();
    await informers.waitForSync(signal);
  })();
  started.catch(() => undefined);
  scope.run(started, (error) => logger.error('Simulated nodes cannot start', { error: errorMessage(error) }));

  let ticks = 0;
  const heartbeat = async (): Promise<void> => {
    const tick = ticks++;
    const slots = LEASE_RENEWAL / TICK;
    const reports = REPORT_INTERVAL / TICK;
    const work: Promise<void>[] = [];
    for (let index = 0; index < list.length; index++) {
      const node = list[index] as SimulatedNode;
      if (node.down) continue;
      const failed = (what: string) => (error: unknown) => {
        if (!signal.aborted) logger.warn(what, { node: node.name, error: errorMessage(error) });
      };
      if (index % slots === tick % slots)
        work.push((leases[index] as NodeLease).renew(signal).catch(failed('Failed to update lease')));
      if (tick >= reports && index % reports === tick % reports)
        work.push(reportNode(index).catch(failed('Unable to update node status')));
    }
    await Promise.all(work);
  };
  scope.run(started.then(() => every(clock, TICK, signal, heartbeat)));

  const nodeOf = (name: string): SimulatedNode => {
    const node = nodes.get(name);
    if (node === undefined) throw new Error(`no simulated node ${name}`);
    return node;
  };
  return {
    names: [...nodes.keys()],
    served: list.map((node) => node.served),
    ready: () => started,
    fail: (name) => nodeOf(name).fail(),
    recover: async (name) => {
      const bound = pods.lister.list().filter(({ spec }) => spec.nodeName === name);
      await nodeOf(name).recover(bound);
      const index = list.indexOf(nodeOf(name));
      await leases[index]?.renew(signal);
      await reportNode(index);
    },
    node: nodeOf,
    [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
  };
}

const SILENT = { event: (): void => undefined };

function sameUid(found: Pod | undefined, pod: Pod): Pod | undefined {
  return found?.metadata.uid === pod.metadata.uid ? found : undefined;
}

function nodeAddress(options: SimulatedNodesOptions, index: number): string {
  if (options.kubeletAddress !== undefined) return options.kubeletAddress;
  const host = index + 1;
  return `10.${(host >> 16) & 0x7f}.${(host >> 8) & 0xff}.${host & 0xff}`;
}

function nodeFacts(options: SimulatedNodesOptions, node: SimulatedNode, spec: SimulatedNodeSpec): NodeFacts {
  const capacity = { ...USUAL_CAPACITY, ...spec.capacity };
  return {
    capacity,
    allocatable: capacity,
    addresses: [
      { type: 'InternalIP', address: node.address },
      { type: 'Hostname', address: node.name },
    ],
    kubeletPort: options.kubeletPort ?? DEFAULT_KUBELET_PORT,
    nodeInfo: {
      machineID: node.name,
      systemUUID: node.name,
      bootID: node.name,
      kernelVersion: '6.1.0',
      osImage: 'k8ts simulated',
      containerRuntimeVersion: 'simulated://0.1.0',
      kubeletVersion: options.kubeletVersion ?? KUBELET_VERSION,
      kubeProxyVersion: '',
      operatingSystem: 'linux',
      architecture: 'amd64',
    },
  };
}

function updateCidr(node: SimulatedNode | undefined, now: core.Node, before: core.Node | undefined): void {
  const podCidr = now.spec?.podCIDR ?? '';
  if (node === undefined || podCidr === '' || podCidr === before?.spec?.podCIDR) return;
  // The simulated runtime only notes it.
  void node.runtime.runtimeService.updateRuntimeConfig?.({ podCidr });
}

async function inBatches(
  count: number,
  atOnce: number,
  task: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await task(index);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
}
