import { createKubeApiServer, serviceAccountUserName, userInfo } from '@k8ts/apiserver';
import type { KubeApiServer, KubeApiServerOptions, RequestHeaderOptions } from '@k8ts/apiserver';
import { errorMessage, Scope } from '@k8ts/base';
import type { Clock, Logger, Metrics, Random } from '@k8ts/base';
import { createClient, createEventRecorder, createInformerFactory } from '@k8ts/client';
import type { Client } from '@k8ts/client';
import { controllerPermissions, runControllerManager } from '@k8ts/controllers';
import type { ControllerOptions } from '@k8ts/controllers';
import { startScheduler } from '@k8ts/scheduler';
import type { Store } from '@k8ts/store';
import { apiDocs } from './api-docs.ts';
import type { ClusterPki } from './pki/cluster-pki.ts';

export interface ControlPlaneOptions extends Pick<
  KubeApiServerOptions,
  | 'tls'
  | 'port'
  | 'host'
  | 'freeze'
  | 'stages'
  | 'kubelets'
  | 'advertiseAddress'
  | 'podNetwork'
  | 'audit'
  | 'authentication'
  | 'authorization'
> {
  /** The caller's to close, after the control plane. */
  readonly store: Store;
  readonly pki: Pick<
    ClusterPki,
    'serviceAccountKey' | 'authority' | 'frontProxyAuthority' | 'frontProxyClient'
  >;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly controllers?: ControllerOptions;
}

/** The API server with the controllers and the scheduler, in this process. */
export interface ControlPlane extends AsyncDisposable {
  readonly server: KubeApiServer;
  /** A client in the name of whoever is given, with their permissions. */
  clientFor(user: string, ...groups: string[]): Client;
  /** Resolves when the controllers' informers have synced. */
  readonly controllersReady: Promise<void>;
}

const SERVICE_ACCOUNT_ISSUER = 'https://kubernetes.default.svc.cluster.local';

/** As kubeadm has it. */
function requestHeaderOptions(clientCa: string): RequestHeaderOptions {
  return {
    clientCa,
    allowedNames: ['front-proxy-client'],
    usernameHeaders: ['X-Remote-User'],
    uidHeaders: ['X-Remote-Uid'],
    groupHeaders: ['X-Remote-Group'],
    extraHeaderPrefixes: ['X-Remote-Extra-'],
  };
}

export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { pki, clock, random, logger, metrics } = options;
  const scope = new Scope();
  try {
    const server = scope.use(
      await createKubeApiServer({
        ...options,
        docs: apiDocs,
        issuer: SERVICE_ACCOUNT_ISSUER,
        serviceAccountKeys: {
          privateKey: pki.serviceAccountKey.privateKey,
          publicKeys: [pki.serviceAccountKey.publicKey],
        },
        requestHeader: requestHeaderOptions(pki.frontProxyAuthority.certificate),
        aggregator: {
          proxyClient: { cert: pki.frontProxyClient.certificate, key: pki.frontProxyClient.key },
        },
        controllers: controllerPermissions,
      }),
    );
    await server.listen();
    await server.ready;

    const clientFor = (user: string, ...groups: string[]): Client =>
      createClient(server.transportFor(userInfo(user, [...groups, 'system:authenticated'])));
    const common = { clock, random, metrics };

    const manager = new Scope();
    scope.use(manager);
    const controllersReady = new Promise<void>((resolve) => {
      manager.run(
        runControllerManager(
          {
            ...common,
            logger: logger.child({ component: 'kube-controller-manager' }),
            client: clientFor('system:kube-controller-manager'),
            clientFor: (account) =>
              clientFor(
                serviceAccountUserName('kube-system', account),
                'system:serviceaccounts',
                'system:serviceaccounts:kube-system',
              ),
            options: {
              rootCA: pki.authority.certificate,
              signServiceAccountToken: (token) => Promise.resolve(server.tokens.legacy.issue(token)),
              ...options.controllers,
            },
            onReady: resolve,
          },
          manager.signal,
        ),
        (error) => logger.error('the controller manager ended', { error: errorMessage(error) }),
      );
    });

    const schedulerLogger = logger.child({ component: 'kube-scheduler' });
    const scheduler = { ...common, client: clientFor('system:kube-scheduler'), logger: schedulerLogger };
    const informers = scope.use(createInformerFactory(scheduler));
    const events = scope.use(createEventRecorder({ ...scheduler, component: 'default-scheduler' }));
    scope.use(startScheduler({ ...scheduler, informers, events }));

    return {
      server,
      clientFor,
      controllersReady,
      [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
    };
  } catch (error) {
    await scope[Symbol.asyncDispose]();
    throw error;
  }
}
