import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { corev1 } from '@k8ts/api';
import { abortable, errorMessage, type Logger, Scope } from '@k8ts/base';
import {
  createEventRecorder,
  createInformerFactory,
  type EventRecorder,
  type Informer,
  type InformerHandler,
} from '@k8ts/client';

import { admitPod } from './admission.ts';
import { runBackground } from './background.ts';
import { ConfigObjects } from './config-objects.ts';
import type { NodeDns } from './container/dns.ts';
import { terminationMessage } from './container/termination-message.ts';
import { createImageManager } from './images/image-manager.ts';
import {
  DEFAULT_KUBELET_PORT,
  DEFAULT_MAX_PODS,
  KUBELET_VERSION,
  type KubeletOptions,
} from './kubelet-options.ts';
import { createKubeletMetrics } from './kubelet-metrics.ts';
import { goArch, goOs, machineFacts, machineUsage } from './node/machine-facts.ts';
import { NodeReporter } from './node/node-reporter.ts';
import type { NodeFacts } from './node/node-status.ts';
import { NodeHost } from './node-host.ts';
import { createCrashLoopBackOff } from './pod/back-off.ts';
import { createLifecycleRunner } from './pod/lifecycle-hooks.ts';
import type { PodHost } from './pod/pod-host.ts';
import {
  isMirrorPod,
  isStaticPod,
  podKey,
  podName,
  podNamespace,
  podUid,
  terminationGracePeriod,
} from './pod/pod-spec.ts';
import { killPod } from './pod/pod-killer.ts';
import { PodWorkers } from './pod/pod-workers.ts';
import { RuntimeCache } from './pod/runtime-cache.ts';
import type { Node, Pod, Service } from './pod/types.ts';
import { httpGet } from './probes/http-target.ts';
import { ProbeManager } from './probes/probe-manager.ts';
import { createProber, createSourceProber } from './probes/prober.ts';
import { createCgroupManager, noCgroups } from './resources/cgroup-manager.ts';
import { RuntimeHealth } from './runtime-health.ts';
import type { ServedNode } from './server/served-node.ts';
import { MirrorPods } from './static/mirror-pods.ts';
import { runStaticPodSource } from './static/static-pod-source.ts';
import { StaticPods } from './static/static-pods.ts';
import { StatusManager } from './status-manager.ts';
import { linuxMounter } from './volumes/mount-table.ts';
import { podDirectories } from './volumes/pod-directories.ts';
import { ServiceAccountTokens } from './volumes/service-account-tokens.ts';
import { VolumeManager } from './volumes/volume-manager.ts';

/** A running kubelet. Disposing it leaves the node's pods running; the next kubelet finds them. */
export interface Kubelet extends AsyncDisposable {
  readonly nodeName: string;
  /** For `createKubeletServer`. */
  readonly served: ServedNode;
  /** Resolves when the node is registered and its pods are known. */
  ready(signal?: AbortSignal): Promise<void>;
  /**
   * Stops all pods of the node, each within its grace period but at most `gracePeriod` seconds, and takes back what they
   * have on the machine. The API does not hear of it: like after a reboot, the next kubelet starts them again. To be
   * disposed afterwards.
   */
  takeDown(gracePeriod: number): Promise<void>;
}

/** Starts the kubelet of this machine. Rejects when its directories cannot be made or the runtime does not answer. */
export async function startKubelet(options: KubeletOptions): Promise<Kubelet> {
  const scope = new Scope();
  try {
    return await start(options, scope);
  } catch (error) {
    await scope[Symbol.asyncDispose]();
    throw error;
  }
}

async function start(options: KubeletOptions, scope: Scope): Promise<Kubelet> {
  const { client, runtime, nodeName, clock, random, rootDir } = options;
  const { signal } = scope;
  const logger = options.logger.child({ node: nodeName });
  const events = eventsOf(options, logger, scope);
  const directories = podDirectories(rootDir);
  const podLogsDirectory = options.podLogsDirectory ?? join(rootDir, 'pod-logs');
  await mkdir(directories.pods, { recursive: true, mode: 0o750 });
  await mkdir(podLogsDirectory, { recursive: true });

  const runtimeVersion = await runtime.runtimeService.version();
  const facts = await machineFacts({
    nodeName,
    nodeIps: options.nodeIps ?? [],
    kubeletPort: options.port ?? DEFAULT_KUBELET_PORT,
    kubeletVersion: options.kubeletVersion ?? KUBELET_VERSION,
    maxPods: options.maxPods ?? DEFAULT_MAX_PODS,
    rootDir,
    reserved: options.reserved ?? { cpu: 0, memory: 0 },
    runtime: runtimeVersion,
  });
  const hostIps = facts.addresses.filter(({ type }) => type === 'InternalIP').map(({ address }) => address);

  // ---- what the API says
  const informers = scope.use(createInformerFactory({ client, clock, random, logger }));
  const podInformer = informers.of(corev1.pods, { fieldSelector: `spec.nodeName=${nodeName}` });
  const nodeInformer = informers.of(corev1.nodes, { fieldSelector: `metadata.name=${nodeName}` });
  const serviceInformer: Informer<Service> = informers.of(corev1.services);
  const staticPods = new StaticPods();
  const apiPod = (pod: Pod): Pod | undefined => {
    const found = podInformer.lister.byKey(podKey(pod));
    if (found === undefined) return undefined;
    const mirrors = isStaticPod(pod) && isMirrorPod(found);
    return mirrors || podUid(found) === podUid(pod) ? found : undefined;
  };

  // ---- what pods need
  const wake = (uid: string): void => workers.wake(uid);
  const config = new ConfigObjects(client, clock, logger, (uid) => {
    refreshVolumes(uid);
    wake(uid);
  });
  scope.use(config);
  const tokens = new ServiceAccountTokens(client, clock, random);
  const runtimeCache = new RuntimeCache(runtime.runtimeService, logger, wake, terminationMessage);
  scope.use(runtimeCache);
  const statuses = scope.use(new StatusManager({ client, clock, logger, apiPod }));
  const images = createImageManager({
    clock,
    images: runtime.imageService,
    events,
    ...(options.maxParallelImagePulls === undefined
      ? {}
      : { maxParallelPulls: options.maxParallelImagePulls }),
  });
  const prober =
    runtime.probes === undefined
      ? createProber({ clock, runtime: runtime.runtimeService, fetch: httpGet })
      : createSourceProber(runtime.probes);
  const probes = scope.use(new ProbeManager({ clock, logger, events, prober, onChange: wake }));
  const cgroups =
    // Containers that a runtime answers the probes of are no processes.
    options.cgroupRoot === false || runtime.probes !== undefined
      ? noCgroups
      : await createCgroupManager({ clock, logger, root: options.cgroupRoot ?? 'kubepods' });
  const mounter = options.mounter ?? linuxMounter;
  const allocatable = (): NodeFacts['allocatable'] => reporter.node?.status?.allocatable ?? facts.allocatable;
  const volumes = new VolumeManager({
    client,
    clock,
    logger,
    directories,
    mounter,
    config,
    tokens,
    addresses: (pod) => ({
      podIps: (statuses.get(podUid(pod)) ?? pod.status)?.podIPs?.map(({ ip }) => ip) ?? [],
      hostIps,
    }),
    allocatable,
  });
  const dns = async (): Promise<NodeDns> => ({
    clusterDns: options.clusterDns ?? [],
    clusterDomain: options.clusterDomain ?? 'cluster.local',
    resolvConf: await readFile(options.resolvConf ?? '/etc/resolv.conf', 'utf8').catch(() => ''),
  });
  const nodeHost = new NodeHost({
    client,
    clock,
    logger,
    events,
    runtime,
    runtimeCache,
    images,
    config,
    tokens,
    volumes,
    cgroups,
    directories,
    mounter,
    podLogsDirectory,
    seccompRoot: join(rootDir, 'seccomp'),
    dns,
    services: () => serviceInformer.lister.list(),
    allocatable,
    hostIps: () => hostIps,
    memoryCapacity: facts.memoryBytes,
  });

  // ---- the node
  const runtimeHealth = new RuntimeHealth(runtime.runtimeService);
  await runtimeHealth.check();
  const reporter = new NodeReporter({
    client,
    clock,
    random,
    logger,
    events,
    identity: {
      name: nodeName,
      os: goOs(),
      arch: goArch(),
      ...(options.labels === undefined ? {} : { labels: options.labels }),
      ...(options.annotations === undefined ? {} : { annotations: options.annotations }),
      ...(options.taints === undefined ? {} : { taints: options.taints }),
    },
    facts: () => facts,
    health: () => Promise.resolve(runtimeHealth.node),
    images: () => runtime.imageService.listImages(),
  });

  // ---- the pods
  const host: PodHost = {
    clock,
    logger,
    events,
    runtime: runtime.runtimeService,
    runtimeName: runtimeVersion.runtimeName,
    runtimeCache,
    statuses,
    probes,
    images,
    hooks: createLifecycleRunner({ runtime: runtime.runtimeService, clock, fetch: httpGet }),
    crashBackOff: createCrashLoopBackOff(options.maxContainerRestartPeriod),
    hostIps: () => hostIps,
    admit: (pod) => admitPod({ pod, node: reporter.node, activePods: workers.active(), os: goOs() }),
    admitAlone: (pod) => admitPod({ pod, node: reporter.node, activePods: [], os: goOs() }),
    resize: (pod, resizes) => nodeHost.resize(pod, resizes),
    notReadyReason: () => runtimeHealth.networkProblem,
    prepare: (pod, abort) => nodeHost.prepare(pod, abort),
    sandboxConfig: (pod, attempt) => nodeHost.sandboxConfig(pod, attempt),
    containerConfig: (pod, startRequest, context) => nodeHost.containerConfig(pod, startRequest, context),
    credentials: (pod, image) => nodeHost.credentials(pod, image),
    release: (pod) => nodeHost.release(pod),
    forget: (pod) => nodeHost.forget(pod),
  };
  const workers = new PodWorkers(host);
  scope.defer(() => workers.stop());

  const refreshing = new Map<string, Promise<void>>();
  const refreshVolumes = (uid: string): void => {
    const pod = workers.get(uid);
    if (pod === undefined || runtimeCache.peek(uid).sandboxes.length === 0) return; // not prepared yet
    const running = (refreshing.get(uid) ?? Promise.resolve()).then(() => volumes.refresh(pod));
    refreshing.set(uid, running);
    scope.run(running.finally(() => refreshing.get(uid) === running && refreshing.delete(uid)));
  };
  const mirrors = new MirrorPods({
    client,
    clock,
    logger,
    node: () => reporter.node,
    apiPod: (key) => podInformer.lister.byKey(key),
  });
  const reconcileMirrors = (): void => {
    if (podInformer.synced && !signal.aborted)
      scope.run(mirrors.reconcile(staticPods.list(), podInformer.lister.list(), signal));
  };

  /** Only now that the informer has the mirror can the static pod's status go to it. */
  const mirrorSeen = (mirror: Pod): void => {
    const pod = staticPods.find(podNamespace(mirror), podName(mirror));
    if (pod !== undefined) statuses.resend(podUid(pod));
    reconcileMirrors();
  };

  const updatePodCidr = (podCidr: string): void => {
    if (podCidr === '' || runtime.runtimeService.updateRuntimeConfig === undefined) return;
    scope.run(runtime.runtimeService.updateRuntimeConfig({ podCidr }), (error) =>
      logger.error('Failed to update the pod CIDR', { podCidr, error: errorMessage(error) }),
    );
  };
  const observeNode = (node: Node): void => {
    const podCidr = podCidrOf(node);
    if (podCidr !== podCidrOf(reporter.node)) updatePodCidr(podCidr);
    reporter.observe(node);
  };
  const podHandler: InformerHandler<Pod> = {
    added: (pod) => (isMirrorPod(pod) ? mirrorSeen(pod) : workers.sync(pod)),
    updated: (pod, before) => {
      if (isMirrorPod(pod)) {
        if (podUid(pod) !== podUid(before)) mirrorSeen(pod);
        else if (pod.metadata.deletionTimestamp !== before.metadata.deletionTimestamp) reconcileMirrors();
        return;
      }
      workers.sync(pod);
      if (
        pod.metadata.labels !== before.metadata.labels ||
        pod.metadata.annotations !== before.metadata.annotations
      )
        refreshVolumes(podUid(pod));
    },
    deleted: (pod) => (isMirrorPod(pod) ? reconcileMirrors() : workers.removed(pod)),
  };

  // What runs must be known before the first pod is looked at, or it would be started a second time.
  await runtimeCache.relist();
  const podsKnown = (async () => {
    await reporter.register(signal);
    events.event(
      { apiVersion: 'v1', kind: 'Node', name: nodeName, uid: nodeName },
      'Normal',
      'Starting',
      'Starting kubelet.',
    );
    updatePodCidr(podCidrOf(reporter.node));
    // Services first: a container's environment names those that were there before it.
    informers.start();
    await serviceInformer.waitForSync(signal);
    nodeInformer.addHandler({ added: observeNode, updated: observeNode });
    podInformer.addHandler(podHandler);
    await informers.waitForSync(signal);
    scope.run(reporter.run(signal));
  })();
  podsKnown.catch(() => undefined);
  scope.run(podsKnown, (error) => logger.error('The kubelet cannot start', { error: errorMessage(error) }));

  if (options.staticPodPath !== undefined)
    scope.run(
      runStaticPodSource(
        {
          directory: options.staticPodPath,
          nodeName,
          clock,
          logger,
          onChange: (pods) => {
            const { added, removed } = staticPods.replace(pods);
            for (const pod of removed) workers.removed(pod);
            for (const pod of added) workers.sync(pod);
            reconcileMirrors();
          },
        },
        signal,
      ),
      (error) => logger.error('Static pods cannot be read', { error: errorMessage(error) }),
    );

  runBackground({
    options,
    logger,
    scope,
    podsKnown,
    runtimeHealth,
    runtimeCache,
    workers,
    reporter,
    cgroups,
    volumes,
    nodeHost,
    tokens,
    refreshVolumes,
    reconcileMirrors,
  });

  const kubeletMetrics =
    options.metrics === undefined
      ? undefined
      : createKubeletMetrics(options.metrics, nodeName, workers, runtimeCache);
  const withStatus = (pod: Pod): Pod => ({ ...pod, status: statuses.get(podUid(pod)) ?? pod.status ?? {} });
  const served: ServedNode = {
    nodeName,
    runtime,
    node: () => reporter.node,
    pods: () => workers.pods().map(withStatus),
    findPod(namespace, name) {
      const found = podInformer.lister.get(namespace, name);
      if (found !== undefined && !isMirrorPod(found)) return withStatus(found);
      const declared = staticPods.find(namespace, name);
      return declared === undefined ? undefined : withStatus(declared);
    },
    state: (uid) => runtimeCache.state(uid),
    machineUsage,
    ...(kubeletMetrics === undefined ? {} : { collectMetrics: () => kubeletMetrics.collect() }),
  };
  return {
    nodeName,
    served,
    ready: (abort) => (abort === undefined ? podsKnown : abortable(podsKnown, abort)),
    async takeDown(gracePeriod) {
      const pods = workers.pods();
      await workers.stop();
      const grace = (pod: Pod): number => Math.min(gracePeriod, terminationGracePeriod(pod));
      await Promise.all(pods.map((pod) => killPod(host, pod, signal, grace(pod))));
      for (const uid of runtimeCache.podUids()) {
        for (const { id } of (await runtimeCache.state(uid)).sandboxes)
          await runtime.runtimeService.removePodSandbox(id);
        await volumes.tearDown(uid);
        await nodeHost.removeDirectory(uid);
      }
      await cgroups.removeOrphans(() => false);
    },
    [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
  };
}

function eventsOf(options: KubeletOptions, logger: Logger, scope: Scope): EventRecorder {
  if (options.events !== undefined) return options.events;
  const { client, clock, random, nodeName } = options;
  return scope.use(
    createEventRecorder({ client, clock, random, logger, component: 'kubelet', host: nodeName }),
  );
}

function podCidrOf(node: Node | undefined): string {
  const { podCIDRs, podCIDR } = node?.spec ?? {};
  return podCIDRs !== undefined && podCIDRs.length > 0 ? podCIDRs.join(',') : (podCIDR ?? '');
}
