import { networkInterfaces } from 'node:os';

import { corev1, discoveryv1 } from '@k8ts/api';
import { Scope, abortable, runCommand } from '@k8ts/base';
import type { Clock, Logger, Metrics, RunCommand } from '@k8ts/base';
import type { EventRecorder, InformerFactory } from '@k8ts/client';
import { findProgram } from '@k8ts/cri';

import { cidrContains, familyOf, parseCidr } from '../address.ts';
import type { IpFamily } from '../address.ts';
import { requireNetworkHost } from '../host/programs.ts';
import type { ProxyNode } from './contract.ts';
import { FamilyProxy } from './family-proxy.ts';
import type { ServiceSource } from './family-proxy.ts';
import { proxyModes } from './mode-registry.ts';
import type { ProxyModeName } from './mode-registry.ts';
import { ProxyHealth, serveProxyHealth, serveProxyMetrics } from './proxy-health.ts';
import type { ListenAddress } from './proxy-health.ts';
import { createChangeMetrics, createProxyMetrics } from './proxy-metrics.ts';
import type { ChangeKind } from './proxy-metrics.ts';
import { ServiceHealth } from './service-health.ts';
import { createSyncRunner } from './sync-runner.ts';
import type { SyncRunner } from './sync-runner.ts';

export interface KubeProxyOptions {
  /** Services, EndpointSlices and the own Node are read from here; started if they are not yet. */
  readonly informers: InformerFactory;
  readonly nodeName: string;
  /** The node's primary addresses, one of each family that shall be served. */
  readonly nodeIps: readonly string[];
  /** `--cluster-cidr`: pods' addresses; tells the cluster's own traffic from others'. */
  readonly clusterCidrs?: readonly string[];
  /** Addresses that Services may have: what goes to one that none has is dropped, as upstream does by ServiceCIDRs. */
  readonly serviceCidrs?: readonly string[];
  /** `--proxy-mode`. Default nftables. */
  readonly mode?: ProxyModeName;
  /** `--nodeport-addresses`: CIDRs of addresses that accept node ports, or `primary` (default): `nodeIps`. */
  readonly nodePortAddresses?: readonly string[];
  /** Node ports answer on 127.0.0.1 too, which upstream's nftables mode does not do. Default true. */
  readonly localhostNodePorts?: boolean;
  /** `--masquerade-all`. */
  readonly masqueradeAll?: boolean;
  /** Milliseconds between syncs of changes; upstream's `--nftables-min-sync-period` is 1,000. Default 100. */
  readonly minSyncPeriod?: number;
  /** Milliseconds between looks whether the rules still stand (`--nftables-sync-period`). Default 30,000. */
  readonly syncPeriod?: number;
  /** Milliseconds between syncs of everything. Default one hour. */
  readonly fullSyncPeriod?: number;
  /** `--healthz-bind-address`; upstream's port is 10256. Default: not served. */
  readonly healthz?: ListenAddress;
  /** `--metrics-bind-address`; upstream's is 127.0.0.1:10249. Default: not served. */
  readonly metricsAddress?: ListenAddress;
  /** Remove the rules when disposed. Default: they stay, and Services work on while the proxy is away. */
  readonly cleanup?: boolean;
  /** Another table than `kube-proxy`. */
  readonly table?: string;
  readonly recorder?: EventRecorder;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly run?: RunCommand;
}

export interface KubeProxy extends AsyncDisposable {
  /** Resolves when the rules have been written for the first time; rejects when disposed before. */
  readonly ready: Promise<void>;
  readonly healthz: ListenAddress | undefined;
  readonly metricsAddress: ListenAddress | undefined;
}

const SERVICE_NAME = 'kubernetes.io/service-name';
const PROXY_NAME = 'service.kubernetes.io/service-proxy-name';
const TRIGGER_TIME = 'endpoints.kubernetes.io/last-change-trigger-time';
const ZONE = 'topology.kubernetes.io/zone';
const TO_BE_DELETED = 'ToBeDeletedByClusterAutoscaler';
const SLICES_BY_SERVICE = 'network.service';

/** Makes Services reachable from this machine and its pods. Throws one clear sentence where the machine cannot do it. */
export async function startKubeProxy(options: KubeProxyOptions): Promise<KubeProxy> {
  await requireNetworkHost();
  const { clock, metrics, nodeName, run = runCommand } = options;
  const logger = options.logger.child({ component: 'kube-proxy' });
  const families = [...new Set(options.nodeIps.flatMap((ip) => familyOf(ip) ?? []))];
  const primary = families[0];
  if (primary === undefined) throw new Error('kube-proxy needs an address of its node');
  const haveConntrack = (await findProgram('conntrack')) !== undefined;
  if (!haveConntrack) {
    logger.info(
      'conntrack is not installed: UDP clients notice changed endpoints only after their flows time out',
    );
  }

  const scope = new Scope();
  let running: Promise<void> = Promise.resolve();
  try {
    const health = new ProxyHealth(clock);
    const serviceHealth = scope.use(
      new ServiceHealth({
        nodeName,
        proxyHealthy: () => health.healthy,
        onFailure: ({ namespace, name }, message) => {
          const about = { apiVersion: 'v1', kind: 'Service', namespace, name };
          options.recorder?.event(about, 'Warning', 'FailedToStartServiceHealthcheck', message);
        },
        logger,
      }),
    );
    const source = serviceSource(options);
    const changes = createChangeMetrics(metrics);
    const proxies = families.map((family) => {
      const mode = proxyModes[options.mode ?? 'nftables']({
        ...modeOptions(options, family),
        ...(options.table !== undefined && { table: options.table }),
        run,
        clock,
        logger,
      });
      const familyMetrics = createProxyMetrics(metrics, family);
      let onReady = (): void => undefined;
      const ready = new Promise<void>((resolve) => (onReady = resolve));
      const proxy: FamilyProxy = new FamilyProxy({
        family,
        mode,
        source,
        metrics: familyMetrics,
        conntrack: haveConntrack ? run : undefined,
        clock,
        logger,
        onSynced: async () => {
          health.updated(family);
          if (family === primary) {
            changes.synced();
            await serviceHealth.sync(proxy.plans.values());
          }
          onReady();
        },
      });
      const runner = createSyncRunner({
        clock,
        logger: logger.child({ ipFamily: family }),
        sync: (full) => proxy.sync(full),
        intact: () => mode.intact(),
        minSyncPeriod: options.minSyncPeriod ?? 100,
        syncPeriod: options.syncPeriod ?? 30_000,
        fullSyncPeriod: options.fullSyncPeriod ?? 3_600_000,
      });
      if (options.cleanup === true) {
        scope.defer(async () => {
          await running.catch(() => undefined); // a sync under way would write the rules again
          await mode.cleanup();
        });
      }
      return { family, proxy, runner, ready, metrics: familyMetrics };
    });

    const changed = (kind: ChangeKind, key: string, trigger?: number): void => {
      changes.seen(kind, key);
      for (const { family, proxy, runner, metrics: familyMetrics } of proxies) {
        proxy.changed(key, trigger);
        familyMetrics.queued(clock.now());
        health.queued(family);
        runner.request();
      }
    };
    for (const handler of watchCluster(options, source, health, changed)) scope.use(handler);

    const healthz =
      options.healthz && scope.use(await serveProxyHealth(health, clock, metrics, options.healthz));
    const metricsAddress =
      options.metricsAddress &&
      scope.use(await serveProxyMetrics(options.mode ?? 'nftables', metrics, options.metricsAddress));

    options.informers.start();
    running = runWhenSynced(
      options,
      proxies.map(({ runner }) => runner),
      scope.signal,
    );
    scope.run(running);
    const synced = Promise.all(proxies.map((proxy) => proxy.ready)).then(() => undefined);
    const ready = abortable(synced, scope.signal);
    scope.run(ready);
    return {
      ready,
      healthz,
      metricsAddress,
      [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
    };
  } catch (error) {
    await scope[Symbol.asyncDispose]();
    throw error;
  }
}

/** Removes what `startKubeProxy` left in the kernel, for when the program that started it is gone. */
export async function cleanupKubeProxy(options: {
  readonly table?: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly run?: RunCommand;
}): Promise<void> {
  const { run = runCommand } = options;
  await requireNetworkHost();
  for (const family of ['IPv4', 'IPv6'] as const) {
    const mode = proxyModes.nftables({ ...UNUSED_MODE_OPTIONS, ...options, family, run });
    await mode.cleanup();
  }
}

const UNUSED_MODE_OPTIONS = {
  nodePortAddresses: undefined,
  localhostNodePorts: false,
  clusterCidrs: [],
  serviceCidrs: [],
  masqueradeAll: false,
  nodeIp: undefined,
} as const;

/** Rules of a part of the Services would cut off the others: nothing is written before everything is known. */
async function runWhenSynced(
  { informers, nodeName }: KubeProxyOptions,
  runners: readonly SyncRunner[],
  signal: AbortSignal,
): Promise<void> {
  await Promise.all([
    informers.of(corev1.services).waitForSync(signal),
    informers.of(discoveryv1.endpointSlices).waitForSync(signal),
    ownNode(informers, nodeName).waitForSync(signal),
  ]);
  await Promise.all(runners.map((runner) => runner.run(signal)));
}

const ownNode = (informers: InformerFactory, nodeName: string) =>
  informers.of(corev1.nodes, { fieldSelector: `metadata.name=${nodeName}` });

function serviceSource({ informers, nodeName }: KubeProxyOptions): ServiceSource {
  const services = informers.of(corev1.services);
  const slices = informers.of(discoveryv1.endpointSlices);
  const node = ownNode(informers, nodeName);
  slices.addIndex(SLICES_BY_SERVICE, (slice) => {
    const key = serviceOf(slice);
    return key === undefined ? [] : [key];
  });
  return {
    keys: () => services.lister.list().map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
    service: (key) => {
      const service = services.lister.byKey(key);
      // Another proxy than this one looks after it.
      return service?.metadata.labels?.[PROXY_NAME] === undefined ? service : undefined;
    },
    slices: (key) => slices.lister.byIndex(SLICES_BY_SERVICE, key),
    node: (): ProxyNode => ({
      name: nodeName,
      zone: node.lister.byKey(nodeName)?.metadata.labels?.[ZONE] ?? '',
    }),
  };
}

function serviceOf({ metadata }: discoveryv1.EndpointSlice): string | undefined {
  const name = metadata.labels?.[SERVICE_NAME] ?? '';
  return name === '' ? undefined : `${metadata.namespace}/${name}`;
}

function watchCluster(
  { informers, nodeName, clock }: KubeProxyOptions,
  source: ServiceSource,
  health: ProxyHealth,
  changed: (kind: ChangeKind, key: string, trigger?: number) => void,
): Disposable[] {
  const started = clock.now();
  const serviceChanged = ({ metadata }: corev1.Service): void =>
    changed('service', `${metadata.namespace}/${metadata.name}`);
  const sliceChanged = (slice: discoveryv1.EndpointSlice): void => {
    const key = serviceOf(slice);
    if (key === undefined) return;
    const trigger = Date.parse(slice.metadata.annotations?.[TRIGGER_TIME] ?? '');
    // Changes from before this proxy was there say nothing of how fast it is.
    if (trigger >= started) changed('endpoint', key, trigger);
    else changed('endpoint', key);
  };
  let zone = source.node().zone;
  const nodeChanged = (node: corev1.Node | undefined): void => {
    health.nodeEligible =
      node !== undefined &&
      node.metadata.deletionTimestamp === undefined &&
      node.spec?.taints?.some(({ key }) => key === TO_BE_DELETED) !== true;
    if (source.node().zone === zone) return;
    zone = source.node().zone;
    for (const key of source.keys()) changed('endpoint', key);
  };
  return [
    informers.of(corev1.services).addHandler({
      added: serviceChanged,
      updated: serviceChanged,
      deleted: serviceChanged,
    }),
    informers.of(discoveryv1.endpointSlices).addHandler({
      added: sliceChanged,
      updated: (slice, previous) => {
        sliceChanged(slice);
        if (serviceOf(slice) !== serviceOf(previous)) sliceChanged(previous);
      },
      deleted: sliceChanged,
    }),
    ownNode(informers, nodeName).addHandler({
      added: nodeChanged,
      updated: nodeChanged,
      deleted: () => nodeChanged(undefined),
    }),
  ];
}

function modeOptions(options: KubeProxyOptions, family: IpFamily) {
  return {
    family,
    nodePortAddresses: nodePortAddresses(options, family),
    localhostNodePorts: options.localhostNodePorts ?? true,
    clusterCidrs: options.clusterCidrs ?? [],
    serviceCidrs: options.serviceCidrs ?? [],
    masqueradeAll: options.masqueradeAll ?? false,
    nodeIp: options.nodeIps.find((ip) => familyOf(ip) === family),
  };
}

/** Undefined: all addresses of the machine. */
function nodePortAddresses(options: KubeProxyOptions, family: IpFamily): readonly string[] | undefined {
  const wanted = options.nodePortAddresses ?? ['primary'];
  if (wanted.includes('primary')) return options.nodeIps.filter((ip) => familyOf(ip) === family);
  const cidrs = wanted.flatMap((text) => parseCidr(text) ?? []);
  if (wanted.length === 0 || cidrs.some((cidr) => cidr.family === family && cidr.prefix === 0))
    return undefined;
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .map(({ address }) => address)
    .filter((address) => familyOf(address) === family && !isLoopback(address))
    .filter((address) => cidrs.some((cidr) => cidrContains(cidr, address)));
}

const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1';
