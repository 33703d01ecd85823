import { errorMessage, Scope } from '@k8ts/base';
import type { Clock, Logger, Metrics, Random } from '@k8ts/base';
import { createEventRecorder, createInformerFactory } from '@k8ts/client';
import type { Client } from '@k8ts/client';
import { openOciRuntime } from '@k8ts/cri';
import type { EmbeddedRuntime } from '@k8ts/cri';
import {
  createAuthenticator,
  createAuthorizer,
  createKubeletServer,
  DEFAULT_KUBELET_PORT,
  removeCgroups,
  startKubelet,
} from '@k8ts/kubelet';
import type { Kubelet } from '@k8ts/kubelet';
import {
  cleanupKubeProxy,
  createBridgeNetwork,
  destroyBridgeNetwork,
  KUBE_DNS_NAME,
  KUBE_DNS_NAMESPACE,
  startClusterDns,
  startKubeProxy,
} from '@k8ts/network';
import type { BridgeNetwork } from '@k8ts/network';
import { applyDns } from './addons.ts';
import { directoriesBelow, startLocalVolumes } from './local-volumes.ts';
import { unmountBelow } from './mounts.ts';
import type { DataLayout } from './data-layout.ts';
import {
  BRIDGE,
  CLUSTER_CIDR,
  CLUSTER_DNS_IP,
  CLUSTER_DOMAIN,
  DNS_PORT,
  POD_CIDR,
  SERVICE_CIDR,
} from './node-network.ts';
import type { ClusterPki } from './pki/cluster-pki.ts';

export interface LocalNodeOptions {
  readonly layout: DataLayout;
  readonly nodeName: string;
  /** Where others reach this machine. */
  readonly nodeIp: string;
  readonly pki: ClusterPki;
  /** A client in the name of whoever is given. */
  readonly clientFor: (user: string, ...groups: string[]) => Client;
  readonly containers: NodeContainers;
  readonly staticPodPath?: string | undefined;
  /** Milliseconds. */
  readonly maxContainerRestartPeriod: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** This machine as a node: its kubelet, kube-proxy and the cluster's DNS. */
export interface LocalNode extends AsyncDisposable {
  readonly kubelet: Kubelet;
  /** Resolves when the node's Ready condition is true and Services are routed. */
  ready(signal: AbortSignal): Promise<void>;
  /** Stops the pods and takes back everything that the node has on the machine; then to be disposed. */
  takeDown(): Promise<void>;
}

/** What runs containers, which needs no API server: it is opened while that starts. */
export interface NodeContainers extends AsyncDisposable {
  readonly network: BridgeNetwork;
  readonly runtime: EmbeddedRuntime;
  /** Removes all containers and the pod network. */
  destroy(): Promise<void>;
}

/** Seconds that pods get at most when the node is taken down. */
const TAKE_DOWN_GRACE = 10;

export async function openNodeContainers({
  layout,
  clock,
  logger,
}: Pick<LocalNodeOptions, 'layout' | 'clock' | 'logger'>): Promise<NodeContainers> {
  const network = await createBridgeNetwork({
    bridge: BRIDGE,
    podCidrs: [POD_CIDR],
    clusterCidrs: [CLUSTER_CIDR],
    serviceCidrs: [SERVICE_CIDR],
    stateDir: layout.network,
    logger: logger.child({ component: 'network' }),
  });
  try {
    const runtime = await openOciRuntime({
      dataDir: layout.containers,
      runDir: layout.run,
      network,
      clock,
      logger: logger.child({ component: 'runtime' }),
    });
    const sandboxes = await runtime.runtimeService.listPodSandboxes();
    await network.reconcile(new Set(sandboxes.map(({ id }) => id)));
    return {
      network,
      runtime,
      async destroy() {
        await runtime.destroyAll();
        await network.destroy();
        await removeCgroups({ clock, logger, root: layout.cgroupRoot });
      },
      [Symbol.asyncDispose]: () => runtime[Symbol.asyncDispose](),
    };
  } catch (error) {
    await network.destroy().catch((failure: unknown) => {
      logger.error('the pod network could not be removed', { error: errorMessage(failure) });
    });
    throw error;
  }
}

/** Removes what a node left on the machine when its process was killed. */
export async function removeNodeRemains(
  options: Pick<LocalNodeOptions, 'layout' | 'clock' | 'logger'>,
): Promise<void> {
  const containers = await openNodeContainers(options);
  await containers.destroy();
  await containers[Symbol.asyncDispose]();
  await unmountBelow(options.layout.kubelet);
  await destroyBridgeNetwork({ bridge: BRIDGE, stateDir: options.layout.network });
  await cleanupKubeProxy(options);
}

export async function startLocalNode(options: LocalNodeOptions): Promise<LocalNode> {
  const { layout, nodeName, nodeIp, pki, clientFor, containers, clock, random, logger, metrics } = options;
  const scope = new Scope();
  const common = { clock, random };
  try {
    const kubeletClient = clientFor(`system:node:${nodeName}`, 'system:nodes');
    const kubelet = scope.use(
      await startKubelet({
        ...common,
        client: kubeletClient,
        runtime: containers.runtime,
        nodeName,
        nodeIps: [nodeIp],
        logger: logger.child({ component: 'kubelet' }),
        metrics,
        rootDir: layout.kubelet,
        cgroupRoot: layout.cgroupRoot,
        clusterDns: [CLUSTER_DNS_IP],
        clusterDomain: CLUSTER_DOMAIN,
        maxContainerRestartPeriod: options.maxContainerRestartPeriod,
        ...(options.staticPodPath === undefined ? {} : { staticPodPath: options.staticPodPath }),
      }),
    );
    const kubeletServer = scope.use(
      createKubeletServer({
        nodes: () => [kubelet.served],
        clock,
        logger: logger.child({ component: 'kubelet' }),
        metrics,
        authenticate: createAuthenticator(kubeletClient, clock),
        authorize: createAuthorizer(kubeletClient, clock),
        tls: {
          cert: pki.kubeletServer.certificate,
          key: pki.kubeletServer.key,
          clientCa: pki.authority.certificate,
        },
      }),
    );
    await kubeletServer.listen(DEFAULT_KUBELET_PORT);

    const proxyClient = clientFor('system:kube-proxy');
    const proxyLogger = logger.child({ component: 'kube-proxy' });
    const proxyCommon = { ...common, client: proxyClient, logger: proxyLogger };
    const proxyInformers = scope.use(createInformerFactory(proxyCommon));
    let cleanup = false;
    const proxy = await startKubeProxy({
      informers: proxyInformers,
      nodeName,
      nodeIps: [nodeIp],
      clusterCidrs: [CLUSTER_CIDR],
      serviceCidrs: [SERVICE_CIDR],
      clock,
      logger: proxyLogger,
      metrics,
      recorder: scope.use(createEventRecorder({ ...proxyCommon, component: 'kube-proxy', host: nodeName })),
    });
    scope.defer(async () => {
      await proxy[Symbol.asyncDispose]();
      if (cleanup) await cleanupKubeProxy({ clock, logger: proxyLogger });
    });

    const dnsClient = clientFor(
      `system:serviceaccount:${KUBE_DNS_NAMESPACE}:${KUBE_DNS_NAME}`,
      'system:serviceaccounts',
    );
    const dnsLogger = logger.child({ component: 'dns' });
    const dnsInformers = scope.use(
      createInformerFactory({ ...common, client: dnsClient, logger: dnsLogger }),
    );
    const listen = containers.network.gateways.map((address) => ({ address, port: DNS_PORT }));
    const dns = scope.use(
      await startClusterDns({
        informers: dnsInformers,
        clusterDomain: CLUSTER_DOMAIN,
        listen,
        serviceIps: [CLUSTER_DNS_IP],
        clock,
        random,
        logger: dnsLogger,
        metrics,
      }),
    );
    scope.use(
      await startLocalVolumes({
        ...common,
        directories: directoriesBelow(layout.volumes, nodeName),
        clientFor,
        logger: logger.child({ component: 'local-volumes' }),
        metrics,
      }),
    );
    await applyDns(
      clientFor('kubernetes-admin', 'system:masters'),
      listen.map((server) => ({ ...server, nodeName })),
    );

    return {
      kubelet,
      async ready(signal) {
        await Promise.all([kubelet.ready(signal), proxy.ready, dns.ready]);
      },
      async takeDown() {
        cleanup = true;
        await kubelet.takeDown(TAKE_DOWN_GRACE);
        await containers.destroy();
      },
      [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
    };
  } catch (error) {
    await scope[Symbol.asyncDispose]();
    throw error;
  }
}
