import { readdir, writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { corev1 } from '@k8ts/api';
import { networkKubelets } from '@k8ts/apiserver';
import { createMetrics, errorMessage, Scope } from '@k8ts/base';
import type { Clock, Logger, Random } from '@k8ts/base';
import { addToKubeconfig, adminKubeconfig, UserError } from '@k8ts/cli';
import type { Progress, UpOptions } from '@k8ts/cli';
import { createInformerFactory } from '@k8ts/client';
import type { Client } from '@k8ts/client';
import { importImageArchive, missingHostPrograms } from '@k8ts/cri';
import { missingNetworkPrograms } from '@k8ts/network';
import { createKubeletServer, startSimulatedNodes } from '@k8ts/kubelet';
import type { SimulatedNodes } from '@k8ts/kubelet';
import { createMemoryStore, openEtcdStore, openLmdbStore } from '@k8ts/store';
import type { Store } from '@k8ts/store';
import { applyAccess } from '../addons.ts';
import { startControlPlane } from '../control-plane.ts';
import type { DataLayout } from '../data-layout.ts';
import { inProcessKubelets } from '../in-process-kubelets.ts';
import { simulatedDirectories, startLocalVolumes } from '../local-volumes.ts';
import { openNodeContainers, startLocalNode } from '../node.ts';
import type { LocalNode, NodeContainers } from '../node.ts';
import { KUBERNETES_SERVICE_IP } from '../node-network.ts';
import { ensureClusterPki } from '../pki/cluster-pki.ts';
import type { ClusterPki } from '../pki/cluster-pki.ts';
import { accessOptions } from './components/access-flags.ts';
import { auditOptions } from './components/audit-flags.ts';
import { serveControl } from './control-socket.ts';
import { imageOperations } from './image-operations.ts';

export const CONTEXT = 'k8ts';

export interface StartContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly layout: DataLayout;
  /** Aborts when the user does not want the cluster any more. */
  readonly signal: AbortSignal;
  /** Called before the first thing is made on the machine; `node`: containers are going to be run. */
  readonly onStarting: (node: boolean) => Promise<void>;
  /** Called when a start that failed has left nothing. */
  readonly onUndone: () => Promise<void>;
}

export interface StartedCluster extends AsyncDisposable {
  readonly server: string;
  readonly node: boolean;
  /** Stops the pods and removes what the node made on the machine; then to be disposed. */
  takeDown(): Promise<void>;
}

/** Starts everything that `options` ask for. What was started is stopped and removed again when something fails. */
export async function startCluster(
  options: UpOptions,
  context: StartContext,
  progress: Progress,
): Promise<StartedCluster> {
  const { layout, clock, random, logger } = context;
  const audit = auditOptions(options.apiserverFlags ?? {}, logger);
  const authFlags = await accessOptions(options.apiserverFlags ?? {});
  const scope = new Scope();
  const signal = AbortSignal.any([scope.signal, context.signal]);
  const metrics = createMetrics();
  let containers: NodeContainers | undefined;
  let localNode: LocalNode | undefined;
  try {
    const runtime = options.node ? await chooseRuntime(options, progress) : undefined;
    await context.onStarting(runtime === 'oci');
    if (runtime === 'oci') {
      progress.step('opening the container runtime and the pod network');
      containers = scope.use(await openNodeContainers({ layout, clock, logger }));
    }

    progress.step('starting the API server, controllers and scheduler');
    const nodeIp = machineAddress() ?? containers?.network.gateways[0] ?? '127.0.0.1';
    const pki = await ensureClusterPki({
      directory: layout.pki,
      hosts: serverHosts(options.nodeName, nodeIp, containers),
      nodeHosts: [options.nodeName, nodeIp, 'localhost', '127.0.0.1'],
      clock,
    });
    signal.throwIfAborted();
    const store = scope.use(await openStore(options.store, context));
    let simulated: SimulatedNodes | undefined;
    const kubelets = chosenKubelets(pki, () => simulated, context, scope);
    const controlPlane = scope.use(
      await startControlPlane({
        store,
        pki,
        clock,
        random,
        logger,
        metrics,
        host: '0.0.0.0',
        port: options.port,
        stages: options.legacyApis ? ['stable', 'legacy'] : ['stable'],
        ...(nodeIp === '127.0.0.1' ? {} : { advertiseAddress: nodeIp }),
        kubelets,
        ...(audit === undefined ? {} : { audit }),
        ...authFlags,
        tls: {
          cert: pki.apiserver.certificate,
          key: pki.apiserver.key,
          clientCa: pki.authority.certificate,
        },
      }),
    );
    signal.throwIfAborted();
    const admin = controlPlane.clientFor('kubernetes-admin', 'system:masters');
    await applyAccess(admin);
    const { port } = controlPlane.server.address as { readonly port: number };
    const server = `https://127.0.0.1:${String(port)}`;

    if (containers !== undefined) {
      const { runtime: embedded } = containers;
      const images = imageOperations(embedded.images, (image) => embedded.imageService.removeImage(image));
      scope.use(await serveControl(layout.control, images));
      if (options.images !== undefined) await importImages(options.images, containers, progress);
      progress.step(`starting the node ${options.nodeName}`);
      localNode = scope.use(
        await startLocalNode({
          layout,
          nodeName: options.nodeName,
          nodeIp,
          pki,
          clientFor: (user, ...groups) => controlPlane.clientFor(user, ...groups),
          containers,
          staticPodPath: options.staticPodPath,
          maxContainerRestartPeriod: options.maxContainerRestartPeriod * 1000,
          clock,
          random,
          logger,
          metrics,
        }),
      );
      await localNode.ready(signal);
      await nodeReady(admin, options.nodeName, context, signal);
    }
    const count = options.simulate + (runtime === 'simulated' ? 1 : 0);
    if (count > 0) {
      progress.step(`starting ${String(count)} simulated node${count === 1 ? '' : 's'}`);
      simulated = scope.use(
        await startSimulatedNodes({
          client: controlPlane.clientFor('k8ts:simulated-nodes', 'system:masters'),
          clock,
          random,
          logger: logger.child({ component: 'simulated-nodes' }),
          count,
          namePrefix: 'simulated',
        }),
      );
      const { names } = simulated;
      scope.use(
        await startLocalVolumes({
          directories: simulatedDirectories((name) => names.includes(name)),
          clientFor: (user, ...groups) => controlPlane.clientFor(user, ...groups),
          clock,
          random,
          logger: logger.child({ component: 'local-volumes' }),
          metrics,
        }),
      );
      await simulated.ready();
    }
    await controlPlane.controllersReady;
    signal.throwIfAborted();

    const access = {
      name: CONTEXT,
      server,
      certificateAuthority: pki.authority.certificate,
      clientCertificate: pki.admin.certificate,
      clientKey: pki.admin.key,
    };
    await writeFile(layout.kubeconfig, adminKubeconfig(access), { mode: 0o600 });
    await addToKubeconfig(options.kubeconfig, access);
    return {
      server,
      node: containers !== undefined,
      takeDown: async () => localNode?.takeDown(),
      [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
    };
  } catch (error) {
    try {
      // Pods of an earlier run that the start found are left; what this start made is taken away with them.
      await (localNode?.takeDown() ?? containers?.destroy());
      await scope[Symbol.asyncDispose]();
      await context.onUndone();
    } catch (failure) {
      logger.error('the failed start could not be undone', { error: errorMessage(failure) });
    }
    throw userError(error, options);
  }
}

async function chooseRuntime(options: UpOptions, progress: Progress): Promise<'oci' | 'simulated'> {
  if (options.runtime !== 'auto') return options.runtime;
  if (process.platform !== 'linux') {
    progress.note(`containers need Linux, and this is ${process.platform}: the node is simulated`);
    return 'simulated';
  }
  if (process.getuid?.() !== 0) {
    progress.note('containers need root: the node is simulated (start k8ts as root for real ones)');
    return 'simulated';
  }
  const missing = [...(await missingHostPrograms()), ...(await missingNetworkPrograms())];
  if (missing.length === 0) return 'oci';
  const packages = [...new Set(missing.map(({ debianPackage }) => debianPackage))].join(' ');
  progress.note(`containers need ${packages} (apt-get install ${packages}): the node is simulated`);
  return 'simulated';
}

/** Real kubelets over the network, simulated ones inside the process. */
function chosenKubelets(
  pki: ClusterPki,
  simulated: () => SimulatedNodes | undefined,
  { clock, logger }: StartContext,
  scope: Scope,
): NonNullable<Parameters<typeof startControlPlane>[0]['kubelets']> {
  const real = networkKubelets({
    ca: pki.authority.certificate,
    cert: pki.kubeletClient.certificate,
    key: pki.kubeletClient.key,
  });
  const server = scope.use(createKubeletServer({ nodes: () => simulated()?.served ?? [], clock, logger }));
  const inside = scope.use(inProcessKubelets(() => server.trusted));
  return {
    forNode: (node) =>
      (simulated()?.names.includes(node.metadata.name) === true ? inside : real).forNode(node),
  };
}

async function openStore(kind: string, { layout, clock, logger }: StartContext): Promise<Store> {
  const store = { clock, logger: logger.child({ component: 'store' }) };
  if (kind === 'memory') return createMemoryStore(store);
  if (kind === 'lmdb') return openLmdbStore({ ...store, directory: layout.store });
  if (/^https?:\/\//.test(kind)) return openEtcdStore({ ...store, endpoints: kind });
  throw new UserError(`--store takes lmdb, memory or the URLs of an etcd cluster; this is ${kind}`);
}

/** The first address of this machine that others can reach. */
function machineAddress(): string | undefined {
  return Object.values(networkInterfaces())
    .flat()
    .find((address) => address?.family === 'IPv4' && !address.internal)?.address;
}

function serverHosts(nodeName: string, nodeIp: string, containers: NodeContainers | undefined): string[] {
  const service = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc'];
  const hosts = [
    'localhost',
    '127.0.0.1',
    nodeName,
    nodeIp,
    KUBERNETES_SERVICE_IP,
    ...service,
    'kubernetes.default.svc.cluster.local',
    ...(containers?.network.gateways ?? []),
  ];
  return [...new Set(hosts)];
}

async function importImages(
  directory: string,
  { runtime }: NodeContainers,
  progress: Progress,
): Promise<void> {
  const files = await readdir(directory).catch((error: unknown) => {
    throw new UserError(`the images in ${directory} cannot be read: ${errorMessage(error)}`);
  });
  const archives = files.filter((file) => /\.(tar|tar\.gz|tgz|tar\.zst)$/.test(file)).sort();
  if (archives.length === 0) return;
  progress.step(`loading ${String(archives.length)} image archive${archives.length === 1 ? '' : 's'}`);
  for (const file of archives) await importImageArchive(runtime.images, join(directory, file));
}

/** Waits for the node's Ready condition. */
async function nodeReady(
  client: Client,
  name: string,
  { clock, random, logger }: StartContext,
  signal: AbortSignal,
): Promise<void> {
  await using informers = createInformerFactory({ client, clock, random, logger });
  const nodes = informers.of(corev1.nodes, { fieldSelector: `metadata.name=${name}` });
  const ready = new Promise<void>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    const check = (node: corev1.Node): void => {
      if (node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true)
        resolve();
    };
    nodes.addHandler({ added: check, updated: check });
  });
  informers.start();
  await Promise.all([informers.waitForSync(signal), ready]);
}

/** What the user can mend is said in a sentence. */
function userError(error: unknown, { port }: UpOptions): unknown {
  if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
    const taken = (error as { port?: number }).port ?? port;
    return new UserError(
      `port ${String(taken)} is in use by another program${taken === port ? '; choose another one with --port' : ''}`,
      { cause: error },
    );
  }
  if (
    error instanceof Error &&
    ['UnavailableError', 'CommandError', 'AuditOptionsError'].includes(error.name)
  )
    return new UserError(error.message, { cause: error });
  return error;
}
