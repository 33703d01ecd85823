import type { appsv1 } from '@k8ts/api';
import { corev1, type KubeObject, type New } from '@k8ts/api';
import { StatusError, type Status } from '@k8ts/apimachinery';
import {
  createClient,
  createHttpTransport,
  kubeconfigTarget,
  parseKubeconfig,
  type Client,
  type ClientWatchEvent,
  type ResourceClient,
  type WatchOptions,
} from '@k8ts/client';
import { Cluster, type ClusterOptions } from '@k8ts/cluster';
import { afterAll, beforeAll } from 'vitest';

import { until } from '../support/waiting.ts';
import { createWire, type Wire } from '../support/wire.ts';

/**
 * A cluster for the tests of one file. Tests are named by the codename of the upstream conformance test whose demands they
 * check (tools/conformance-report.mjs lists what is covered); where upstream runs a program in a pod, the simulated
 * runtime plays it.
 */
export interface Suite {
  readonly cluster: Cluster;
  /** As administrator, over HTTPS: what is tested is what other programs see. */
  readonly client: Client;
  readonly wire: Wire;
  /** The name of a new namespace in which pods can be created. */
  namespace(): Promise<string>;
}

export function useSuite(options: ClusterOptions = {}): Suite {
  let cluster: Cluster;
  let transport: ReturnType<typeof createHttpTransport>;
  let client: Client;
  let wire: Wire;
  let namespaces = 0;
  beforeAll(async () => {
    cluster = await Cluster.start({ nodes: 2, ...options });
    const target = await kubeconfigTarget(parseKubeconfig(cluster.kubeconfig, 'kubeconfig'));
    transport = createHttpTransport(target.transport);
    client = createClient(transport);
    wire = await createWire(cluster);
  });
  afterAll(async () => {
    wire?.[Symbol.dispose]();
    await transport?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });
  return {
    get cluster() {
      return cluster;
    },
    get client() {
      return client;
    },
    get wire() {
      return wire;
    },
    async namespace() {
      const name = `test-${++namespaces}`;
      await client.resource(corev1.namespaces).create({ metadata: { name }, spec: {}, status: {} });
      const accounts = client.resource(corev1.serviceAccounts, name);
      await until(async () => (await accounts.list()).items.length > 0);
      return name;
    },
  };
}

/** The Status that a call is refused with. */
export async function refusal(call: Promise<unknown>): Promise<Status> {
  try {
    await call;
  } catch (error) {
    if (error instanceof StatusError) return error.status;
    throw error;
  }
  throw new Error('it was not refused');
}

/** Reads, changes and writes, again as long as somebody else was faster: `await changing(pods, 'a', (pod) => …)`. */
export async function changing<T extends KubeObject>(
  resource: ResourceClient<T>,
  name: string,
  change: (object: T) => T,
  write: 'update' | 'updateStatus' = 'update',
): Promise<T> {
  for (;;) {
    try {
      return await resource[write](change(await resource.get(name)));
    } catch (error) {
      if (!(error instanceof StatusError) || error.status.code !== 409) throw error;
    }
  }
}

/** Whether the object is gone. */
export async function isGone(call: Promise<unknown>): Promise<boolean> {
  try {
    await call;
    return false;
  } catch (error) {
    if (error instanceof StatusError && error.status.code === 404) return true;
    throw error;
  }
}

export interface Watcher<T> extends AsyncDisposable {
  /** The next event that was not taken yet. */
  next(): Promise<ClientWatchEvent<T>>;
  /** Takes events until one is of this type and its object fits. */
  until(type: ClientWatchEvent<T>['type'], fits?: (object: T) => boolean): Promise<T>;
}

export async function watch<T extends KubeObject>(
  resource: ResourceClient<T>,
  options: WatchOptions = {},
): Promise<Watcher<T>> {
  const stop = new AbortController();
  const batches = (await resource.watch({ ...options, signal: stop.signal }))[Symbol.asyncIterator]();
  const waiting: ClientWatchEvent<T>[] = [];
  const next = async (): Promise<ClientWatchEvent<T>> => {
    for (;;) {
      const event = waiting.shift();
      if (event !== undefined) return event;
      const batch = await batches.next();
      if (batch.done === true) throw new Error('the watch has ended');
      waiting.push(...batch.value);
    }
  };
  return {
    next,
    async until(type, fits = () => true) {
      for (;;) {
        const event = await next();
        if (event.type === type && fits(event.object)) return event.object;
      }
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await batches.return?.();
    },
  };
}

/** How the simulated containers of a pod behave (see the annotation in @k8ts/cri). */
export type Behaviour = Readonly<Record<string, unknown>>;

export interface PodParts {
  readonly labels?: Readonly<Record<string, string>>;
  readonly behaviour?: Behaviour;
  readonly spec?: Partial<corev1.PodSpec>;
}

export function podTemplate({ labels = {}, behaviour, spec = {} }: PodParts = {}): corev1.PodTemplateSpec {
  return {
    metadata: {
      labels,
      ...(behaviour === undefined ? {} : { annotations: { 'k8ts.io/simulate': JSON.stringify(behaviour) } }),
    },
    spec: { containers: [{ name: 'main', image: 'registry.example/app:1' }], ...spec },
  };
}

export function podOf(name: string, parts: PodParts = {}): New<corev1.Pod> {
  const { metadata, spec } = podTemplate(parts);
  return { metadata: { ...metadata, name }, spec, status: {} };
}

export function deploymentOf(
  name: string,
  replicas: number,
  parts: PodParts = {},
  spec: Partial<appsv1.DeploymentSpec> = {},
): New<appsv1.Deployment> {
  const labels = parts.labels ?? { name };
  return {
    metadata: { name, labels },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: podTemplate({ ...parts, labels }),
      ...spec,
    },
    status: {},
  };
}

export function replicaSetOf(name: string, replicas: number, parts: PodParts = {}): New<appsv1.ReplicaSet> {
  const labels = parts.labels ?? { name };
  return {
    metadata: { name, labels },
    spec: { replicas, selector: { matchLabels: labels }, template: podTemplate({ ...parts, labels }) },
    status: { replicas: 0 },
  };
}

export function replicationControllerOf(
  name: string,
  replicas: number,
  parts: PodParts = {},
): New<corev1.ReplicationController> {
  const labels = parts.labels ?? { name };
  return {
    metadata: { name },
    spec: { replicas, selector: labels, template: podTemplate({ ...parts, labels }) },
    status: { replicas: 0 },
  };
}
