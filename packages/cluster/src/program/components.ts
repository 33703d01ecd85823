import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { corev1 } from '@k8ts/api';
import type { authenticationv1, Stage } from '@k8ts/api';
import { isAlreadyExists, isNotFound } from '@k8ts/apimachinery';
import {
  createKubeApiServer,
  networkKubelets,
  parseTokenFile,
  staticTokenAuthenticator,
} from '@k8ts/apiserver';
import { createMetrics, Scope } from '@k8ts/base';
import type { Clock } from '@k8ts/base';
import { UserError } from '@k8ts/cli';
import type { ComponentCommand, ComponentFlag } from '@k8ts/cli';
import {
  createClient,
  createEventRecorder,
  createHttpTransport,
  createInformerFactory,
  loadKubeconfig,
  runLeaderElection,
} from '@k8ts/client';
import type { ApiRequest, Client, HttpTransportOptions, Transport } from '@k8ts/client';
import { controllerPermissions, controllerRegistry, runControllerManager } from '@k8ts/controllers';
import { startKubeProxy } from '@k8ts/network';
import { startScheduler } from '@k8ts/scheduler';
import { openEtcdStore, openLmdbStore } from '@k8ts/store';
import type { Store } from '@k8ts/store';
import { apiDocs } from '../api-docs.ts';
import type { ActionContext } from './actions.ts';

/** The components that run as processes of their own, with upstream's main flags. */
export function createComponents(context: ActionContext): readonly ComponentCommand[] {
  return [kubeApiServer(context), kubeControllerManager(context), kubeScheduler(context), kubeProxy(context)];
}

type Flags = Readonly<Record<string, string>>;

function flag(name: string, description: string, value?: string): ComponentFlag {
  return { name, description, ...(value === undefined ? {} : { default: value }) };
}

function required(name: string, description: string): ComponentFlag {
  return { name, description, required: true };
}

const KUBECONFIG = required('kubeconfig', 'how to reach the API server');
const LEADER_ELECT = flag('leader-elect', 'take part in an election before working: true or false', 'true');

function kubeApiServer({ clock, random, logger }: ActionContext): ComponentCommand {
  return {
    name: 'kube-apiserver',
    description: 'the API server alone',
    flags: [
      required('etcd-servers', 'URLs of etcd, separated by commas; or lmdb:DIRECTORY for the embedded store'),
      flag('etcd-cafile', 'authority of etcd’s certificates'),
      flag('etcd-certfile', 'client certificate for etcd'),
      flag('etcd-keyfile', 'its key'),
      flag('secure-port', 'port to serve HTTPS on', '6443'),
      flag('bind-address', 'address to serve on', '0.0.0.0'),
      flag('advertise-address', 'address by which pods reach this server'),
      required('tls-cert-file', 'serving certificate'),
      required('tls-private-key-file', 'its key'),
      flag('client-ca-file', 'authority of clients’ certificates'),
      flag('token-auth-file', 'static tokens'),
      flag(
        'service-account-issuer',
        'issuer of service account tokens',
        'https://kubernetes.default.svc.cluster.local',
      ),
      required('service-account-signing-key-file', 'key that signs service account tokens'),
      flag('service-account-key-file', 'key whose tokens are accepted besides'),
      flag('service-cluster-ip-range', 'cluster IPs of Services', '10.96.0.0/12'),
      flag('service-node-port-range', 'node ports of Services', '30000-32767'),
      flag('runtime-config', 'api/legacy=true serves the beta versions that older clients still ask for', ''),
      flag('kubelet-certificate-authority', 'authority of kubelets’ certificates'),
      flag('kubelet-client-certificate', 'client certificate for kubelets'),
      flag('kubelet-client-key', 'its key'),
    ],
    async run(flags, signal) {
      await using scope = new Scope();
      const text = (name: string): Promise<string> => readFile(flags[name] as string, 'utf8');
      const optional = async (name: string): Promise<string | undefined> =>
        flags[name] === undefined ? undefined : text(name);
      const privateKey = await text('service-account-signing-key-file');
      const furtherKey = await optional('service-account-key-file');
      const tokens = await optional('token-auth-file');
      const clientCa = await optional('client-ca-file');
      const kubeletCa = await optional('kubelet-certificate-authority');
      const kubeletCert = await optional('kubelet-client-certificate');
      const advertiseAddress = flags['advertise-address'];
      const server = scope.use(
        await createKubeApiServer({
          store: scope.use(await openStore(flags, { clock, random, logger })),
          clock,
          random,
          logger,
          metrics: createMetrics(),
          tls: {
            cert: await text('tls-cert-file'),
            key: await text('tls-private-key-file'),
            ...(clientCa === undefined ? {} : { clientCa }),
          },
          port: Number(flags['secure-port']),
          host: flags['bind-address'] as string,
          ...(advertiseAddress === undefined ? {} : { advertiseAddress }),
          stages: servedStages(flags['runtime-config'] as string),
          issuer: flags['service-account-issuer'] as string,
          serviceAccountKeys: {
            privateKey,
            publicKeys: furtherKey === undefined ? [privateKey] : [privateKey, furtherKey],
          },
          ...(tokens === undefined ? {} : { tokens: [staticTokenAuthenticator(parseTokenFile(tokens))] }),
          serviceNetwork: {
            clusterIpRanges: (flags['service-cluster-ip-range'] as string).split(','),
            nodePorts: flags['service-node-port-range'] as string,
          },
          ...(kubeletCert === undefined
            ? {}
            : {
                kubelets: networkKubelets({
                  cert: kubeletCert,
                  key: await text('kubelet-client-key'),
                  ...(kubeletCa === undefined ? {} : { ca: kubeletCa }),
                }),
              }),
          controllers: controllerPermissions,
          docs: apiDocs,
        }),
      );
      await server.listen();
      await server.ready;
      logger.info('serving', { address: server.address });
      await aborted(signal);
    },
  };
}

/** `api/legacy`, `api/beta` and `api/alpha`, each `=true` or `=false`. Throws `UserError` for anything else. */
function servedStages(text: string): Stage[] {
  const stages: Stage[] = ['stable'];
  for (const word of text.split(',').filter((part) => part !== '')) {
    const match = /^api\/(legacy|beta|alpha)=(true|false)$/.exec(word);
    if (match === null)
      throw new UserError(
        `--runtime-config takes api/legacy, api/beta and api/alpha, each =true or =false; this is ${word}`,
      );
    if (match[2] === 'true') stages.push(match[1] as Stage);
  }
  return stages;
}

async function openStore(flags: Flags, { clock, logger }: ActionContext): Promise<Store> {
  const servers = flags['etcd-servers'] as string;
  if (servers.startsWith('lmdb:')) return openLmdbStore({ directory: servers.slice(5), clock, logger });
  const read = async (name: string): Promise<Buffer | undefined> =>
    flags[name] === undefined ? undefined : readFile(flags[name]);
  const [ca, cert, key] = [
    await read('etcd-cafile'),
    await read('etcd-certfile'),
    await read('etcd-keyfile'),
  ];
  if (ca === undefined) return openEtcdStore({ endpoints: servers, clock, logger });
  const client = cert === undefined || key === undefined ? {} : { cert, key };
  return openEtcdStore({ endpoints: servers, clock, logger, tls: { ca, ...client } });
}

function kubeControllerManager({ clock, random, logger }: ActionContext): ComponentCommand {
  return {
    name: 'kube-controller-manager',
    description: 'the controllers alone',
    flags: [
      KUBECONFIG,
      LEADER_ELECT,
      flag('controllers', 'which controllers run: * for all, names, -name to leave one out', '*'),
      flag('root-ca-file', 'authority that is published to every namespace'),
      flag(
        'use-service-account-credentials',
        'each controller acts as its own service account: true or false',
        'true',
      ),
      flag('terminated-pod-gc-threshold', 'how many ended pods are kept', '12500'),
      flag(
        'node-monitor-grace-period',
        'seconds without a sign of life after which a node counts as gone',
        '50',
      ),
    ],
    async run(flags, signal) {
      await using scope = new Scope();
      const target = await loadKubeconfig({ path: flags['kubeconfig'] as string });
      const client = createClient(scope.use(createHttpTransport(target.transport)));
      const ownAccounts = boolean(flags, 'use-service-account-credentials');
      const rootCA =
        flags['root-ca-file'] === undefined ? undefined : await readFile(flags['root-ca-file'], 'utf8');
      await runControllerManager(
        {
          client,
          ...(ownAccounts
            ? {
                clientFor: (account) =>
                  createClient(accountTransport(client, target.transport, account, scope, clock)),
              }
            : {}),
          clock,
          random,
          logger,
          metrics: createMetrics(),
          controllers: chosenControllers(flags['controllers'] as string),
          options: {
            ...(rootCA === undefined ? {} : { rootCA }),
            terminatedPodThreshold: Number(flags['terminated-pod-gc-threshold']),
            nodeMonitorGracePeriod: Number(flags['node-monitor-grace-period']) * 1000,
          },
          ...(boolean(flags, 'leader-elect') ? { leaderElection: { identity: leaderIdentity(random) } } : {}),
        },
        signal,
      );
    },
  };
}

/** `*`, `*,-deployment-controller`, or names. Throws `UserError` for a name that there is not. */
function chosenControllers(text: string): typeof controllerRegistry {
  const words = text.split(',').map((word) => word.trim());
  const names = controllerRegistry.map(({ name }) => name);
  for (const word of words)
    if (word !== '*' && !names.includes(word.replace(/^-/, '')))
      throw new UserError(
        `--controllers: there is no controller ${word.replace(/^-/, '')}; there are ${names.join(', ')}`,
      );
  return controllerRegistry.filter(
    ({ name }) => !words.includes(`-${name}`) && (words.includes('*') || words.includes(name)),
  );
}

/** Tokens of the controllers' accounts are asked for this long, in seconds, and anew at four fifths of it. */
const TOKEN_SECONDS = 3600;

/** Requests in the name of a service account of kube-system, which is made when it is missing. */
function accountTransport(
  client: Client,
  server: HttpTransportOptions,
  account: string,
  scope: Scope,
  clock: Clock,
): Transport {
  let current: { readonly transport: Transport & AsyncDisposable; readonly renewAt: number } | undefined;
  let renewing: Promise<Transport> | undefined;
  const renew = async (): Promise<Transport> => {
    const accounts = client.resource(corev1.serviceAccounts, 'kube-system');
    const ask = (): Promise<authenticationv1.TokenRequest> =>
      accounts.createSubresource(account, 'token', {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { expirationSeconds: TOKEN_SECONDS },
      });
    const answer = await ask().catch(async (error: unknown) => {
      if (!isNotFound(error)) throw error;
      await accounts
        .create({ metadata: { name: account, namespace: 'kube-system' } })
        .catch((failure: unknown) => {
          if (!isAlreadyExists(failure)) throw failure;
        });
      return ask();
    });
    const { cert: _cert, key: _key, token: _token, tokenFile: _file, ...anonymous } = server;
    const transport = createHttpTransport({ ...anonymous, token: answer.status?.token ?? '' });
    // The one before may still have requests under way; it goes with the program.
    scope.use(transport);
    current = { transport, renewAt: clock.monotonic() + TOKEN_SECONDS * 800 };
    return transport;
  };
  const transportNow = (): Promise<Transport> | Transport => {
    if (current !== undefined && clock.monotonic() < current.renewAt) return current.transport;
    renewing ??= renew().finally(() => (renewing = undefined));
    return renewing;
  };
  return {
    request: async <T>(request: ApiRequest) => (await transportNow()).request<T>(request),
    watch: async <T>(request: ApiRequest) => (await transportNow()).watch<T>(request),
  };
}

function kubeScheduler({ clock, random, logger }: ActionContext): ComponentCommand {
  return {
    name: 'kube-scheduler',
    description: 'the scheduler alone',
    flags: [KUBECONFIG, LEADER_ELECT, flag('scheduler-name', 'whose pods it schedules', 'default-scheduler')],
    async run(flags, signal) {
      await using scope = new Scope();
      const { transport } = await loadKubeconfig({ path: flags['kubeconfig'] as string });
      const client = createClient(scope.use(createHttpTransport(transport)));
      const common = { client, clock, random, logger };
      const lead = async (leading: AbortSignal): Promise<void> => {
        await using work = new Scope();
        const schedulerName = flags['scheduler-name'] as string;
        const informers = work.use(createInformerFactory(common));
        const events = work.use(createEventRecorder({ ...common, component: schedulerName }));
        work.use(startScheduler({ ...common, informers, events, metrics: createMetrics(), schedulerName }));
        await aborted(leading);
      };
      if (!boolean(flags, 'leader-elect')) return lead(signal);
      await runLeaderElection(
        {
          ...common,
          namespace: 'kube-system',
          name: 'kube-scheduler',
          identity: leaderIdentity(random),
          releaseOnCancel: true,
          lead,
        },
        signal,
      );
    },
  };
}

function kubeProxy({ clock, random, logger }: ActionContext): ComponentCommand {
  return {
    name: 'kube-proxy',
    description: 'makes Services reachable from this machine (Linux, root)',
    flags: [
      KUBECONFIG,
      flag('hostname-override', 'name of this node', hostname().toLowerCase()),
      required('node-ip', 'address of this node'),
      flag('cluster-cidr', 'addresses of the cluster’s pods'),
      flag('cleanup', 'remove the rules and end: true or false', 'false'),
    ],
    async run(flags, signal) {
      await using scope = new Scope();
      const { transport } = await loadKubeconfig({ path: flags['kubeconfig'] as string });
      const client = createClient(scope.use(createHttpTransport(transport)));
      const informers = scope.use(createInformerFactory({ client, clock, random, logger }));
      const clusterCidr = flags['cluster-cidr'];
      const proxy = scope.use(
        await startKubeProxy({
          informers,
          nodeName: flags['hostname-override'] as string,
          nodeIps: [flags['node-ip'] as string],
          ...(clusterCidr === undefined ? {} : { clusterCidrs: [clusterCidr] }),
          cleanup: boolean(flags, 'cleanup'),
          clock,
          logger,
          metrics: createMetrics(),
        }),
      );
      if (boolean(flags, 'cleanup')) return;
      await proxy.ready;
      await aborted(signal);
    },
  };
}

function boolean(flags: Flags, name: string): boolean {
  const value = flags[name];
  if (value === 'true' || value === 'false') return value === 'true';
  throw new UserError(`--${name} takes true or false; this is ${value ?? ''}`);
}

/** `machine_a1b2c…`, as upstream's. */
function leaderIdentity(random: ActionContext['random']): string {
  return `${hostname()}_${Math.floor(random() * 2 ** 48).toString(16)}`;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
