import { corev1 } from '@k8ts/api';
import { silentLogger, VirtualClock } from '@k8ts/base';
import type { ObjectIdentity } from '@k8ts/client';
import { FakeApi } from '@k8ts/client/testing';
import { createSimulation, type SimulatedImageOptions, type SimulatedRuntime } from '@k8ts/cri';

import { createBackOff } from '../pod/back-off.ts';
import type { PodHost } from '../pod/pod-host.ts';
import { podKey } from '../pod/pod-spec.ts';
import { PodWorkers } from '../pod/pod-workers.ts';
import type { PodEnding } from '../pod/pod-ending.ts';
import type { Pod, PodStatus } from '../pod/types.ts';
import { createSimulatedHost } from '../simulated/simulated-host.ts';
import { StatusManager } from '../status-manager.ts';

export interface TestNodeOptions {
  readonly images?: SimulatedImageOptions;
  readonly admit?: (pod: Pod) => PodEnding | undefined;
  readonly host?: Partial<PodHost>;
  /** Of a node that was stopped: the runtime and the API go on. */
  readonly from?: TestNode;
}

export interface TestNode extends AsyncDisposable {
  readonly api: FakeApi;
  readonly clock: VirtualClock;
  readonly runtime: SimulatedRuntime;
  readonly workers: PodWorkers;
  readonly host: PodHost;
  /** `Normal Pulled Container image …` with the field path before it, in order. */
  readonly events: string[];
  /** Creates the pod in the API and gives it to the node. */
  run(pod: Pod): Promise<Pod>;
  /** Changes the pod in the API and tells the node. */
  change(name: string, change: (pod: Pod) => Pod): Promise<void>;
  /** Deletes as `kubectl delete` does. */
  delete(name: string, gracePeriodSeconds?: number): Promise<void>;
  pod(name: string): Pod | undefined;
  status(name: string): PodStatus;
}

/** Pod workers over the simulated runtime, on virtual time, with an API in memory. */
export async function startTestNode(options: TestNodeOptions = {}): Promise<TestNode> {
  const clock = options.from?.clock ?? new VirtualClock();
  const api = options.from?.api ?? new FakeApi({ clock });
  const runtime =
    options.from?.runtime ??
    createSimulation({
      clock,
      ...(options.images === undefined ? {} : { images: options.images }),
    }).addNode();
  const events: string[] = [];
  const recorder = {
    event: ({ fieldPath }: ObjectIdentity, type: string, reason: string, message: string): void =>
      void events.push(`${fieldPath === undefined ? '' : `${fieldPath}: `}${type} ${reason} ${message}`),
  };
  const pods = api.client.resource(corev1.pods, 'default');
  const statuses = new StatusManager({
    client: api.client,
    clock,
    logger: silentLogger,
    apiPod: (pod) => api.peek(corev1.pods, podKey(pod)),
  });
  const host: PodHost & Disposable = {
    ...createSimulatedHost({
      clock,
      logger: silentLogger,
      events: recorder,
      runtime,
      statuses,
      crashBackOff: createBackOff(10_000, 300_000),
      hostIps: ['192.168.0.1'],
      admit: options.admit ?? (() => undefined),
      wake: (uid) => workers.wake(uid),
    }),
    ...options.host,
  };
  const workers = new PodWorkers(host);
  const watch = new AbortController();
  const followed = follow();
  await host.runtimeCache.relist();
  await clock.settle();

  async function follow(): Promise<void> {
    const { items, metadata } = await pods.list();
    for (const pod of items) workers.sync(pod);
    const changes = await pods.watch({ resourceVersion: metadata.resourceVersion, signal: watch.signal });
    for await (const batch of changes)
      for (const { type, object } of batch)
        if (type === 'DELETED') workers.removed(object);
        else if (type !== 'BOOKMARK') workers.sync(object);
  }

  return {
    api,
    clock,
    runtime,
    workers,
    host,
    events,
    async run(pod) {
      const created = await pods.create(pod);
      await clock.settle();
      return created;
    },
    async change(name, change) {
      const pod = api.peek(corev1.pods, `default/${name}`);
      if (pod === undefined) throw new Error(`no pod ${name}`);
      await pods.update(change(pod));
      await clock.settle();
    },
    async delete(name, gracePeriodSeconds) {
      await pods.delete(name, gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds });
      await clock.settle();
    },
    pod: (name) => api.peek(corev1.pods, `default/${name}`),
    status: (name) => api.peek(corev1.pods, `default/${name}`)?.status ?? {},
    async [Symbol.asyncDispose]() {
      watch.abort();
      await followed.catch(() => undefined);
      await workers.stop();
      await statuses[Symbol.asyncDispose]();
      host[Symbol.dispose]();
    },
  };
}
