import { createMetrics, realClock, Scope, silentLogger, systemRandom } from '@k8ts/base';
import type { Clock, Logger, Metrics, Random } from '@k8ts/base';
import { adminKubeconfig } from '@k8ts/cli';
import type { Client } from '@k8ts/client';
import { createClient } from '@k8ts/client';
import type { ControllerOptions } from '@k8ts/controllers';
import { createKubeletServer, startSimulatedNodes } from '@k8ts/kubelet';
import type { ServedNode, SimulatedNodes, SimulatedNodesOptions } from '@k8ts/kubelet';
import { createMemoryStore } from '@k8ts/store';
import type { Store } from '@k8ts/store';
import {
  userInfo,
  type AuditOptions,
  type AuthenticationOptions,
  type AuthorizationOptions,
} from '@k8ts/apiserver';
import { startControlPlane } from './control-plane.ts';
import type { ControlPlane } from './control-plane.ts';
import { inProcessKubelets } from './in-process-kubelets.ts';
import { simulatedDirectories, startLocalVolumes } from './local-volumes.ts';
import { createEphemeralPki } from './pki/cluster-pki.ts';
import type { EphemeralPki } from './pki/cluster-pki.ts';

export interface ClusterOptions {
  /** Simulated nodes. Default 1. */
  readonly nodes?: number;
  /** What the simulated nodes have, say and do. */
  readonly simulation?: Pick<SimulatedNodesOptions, 'node' | 'images' | 'events'>;
  /** Default: the real one. With a `VirtualClock`, time passes when the test says so. */
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
  /** Default: a store in memory, which ends with the cluster. A given one stays open. */
  readonly store?: Store;
  /** Whether the API is served over HTTPS on loopback too, for kubectl and other programs. Default true. */
  readonly serve?: boolean;
  /** Of the API server; default any that is free. */
  readonly port?: number;
  readonly controllers?: ControllerOptions;
  /** Serve the beta versions that older clients still ask for: policy/v1beta1, batch/v1beta1 … Default false. */
  readonly legacyApis?: boolean;
  /** What is to be written of the requests that come, and where to; default: nothing. */
  readonly audit?: AuditOptions;
  /** How users show who they are, beside client certificates and service account tokens. */
  readonly authentication?: AuthenticationOptions;
  /** Who may do what. Default: what nodes need and RBAC allows. */
  readonly authorization?: AuthorizationOptions;
  /** For tests: sees to it that nobody changes an object that is shared. */
  readonly freeze?: ControlPlaneFreeze;
}

type ControlPlaneFreeze = NonNullable<Parameters<typeof startControlPlane>[0]['freeze']>;

/**
 * A cluster in this process: API server, controllers and scheduler as they are, nodes simulated. Many may live side by
 * side; nothing is left of one after it is disposed.
 *
 *     await using cluster = await Cluster.start();
 *     await cluster.client.resource(corev1.configMaps, 'default').create({ metadata: { name: 'a' }, data: {} });
 */
export class Cluster implements AsyncDisposable {
  /** As the cluster's administrator. */
  readonly client: Client;
  readonly metrics: Metrics;
  readonly #scope: Scope;
  readonly #controlPlane: ControlPlane;
  readonly #pki: EphemeralPki;
  readonly nodes: SimulatedNodes;

  private constructor(parts: {
    readonly scope: Scope;
    readonly controlPlane: ControlPlane;
    readonly nodes: SimulatedNodes;
    readonly metrics: Metrics;
    readonly pki: EphemeralPki;
  }) {
    this.#scope = parts.scope;
    this.#controlPlane = parts.controlPlane;
    this.#pki = parts.pki;
    this.nodes = parts.nodes;
    this.metrics = parts.metrics;
    this.client = parts.controlPlane.clientFor('kubernetes-admin', 'system:masters');
  }

  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const { clock = realClock, random = systemRandom, logger = silentLogger, serve = true } = options;
    const metrics = createMetrics();
    const scope = new Scope();
    try {
      const store = options.store ?? scope.use(createMemoryStore({ clock, logger }));
      const pki = await createEphemeralPki(clock, serve ? LOOPBACK : undefined);
      const served: ServedNode[] = [];
      const kubeletServer = scope.use(createKubeletServer({ nodes: () => served, clock, logger }));
      const kubelets = scope.use(inProcessKubelets(() => kubeletServer.trusted));
      const controlPlane = scope.use(
        await startControlPlane({
          kubelets,
          store,
          pki,
          clock,
          random,
          logger,
          metrics,
          host: '127.0.0.1',
          port: options.port ?? 0,
          stages: options.legacyApis === true ? ['stable', 'legacy'] : ['stable'],
          ...(pki.served === undefined
            ? {}
            : {
                tls: {
                  cert: pki.served.apiserver.certificate,
                  key: pki.served.apiserver.key,
                  clientCa: pki.authority.certificate,
                },
              }),
          ...(options.controllers === undefined ? {} : { controllers: options.controllers }),
          ...(options.audit === undefined ? {} : { audit: options.audit }),
          ...(options.authentication === undefined ? {} : { authentication: options.authentication }),
          ...(options.authorization === undefined ? {} : { authorization: options.authorization }),
          ...(options.freeze === undefined ? {} : { freeze: options.freeze }),
        }),
      );
      await controlPlane.controllersReady;
      const nodes = scope.use(
        await startSimulatedNodes({
          client: controlPlane.clientFor('k8ts:simulated-nodes', 'system:masters'),
          clock,
          random,
          logger,
          count: options.nodes ?? 1,
          ...options.simulation,
        }),
      );
      served.push(...nodes.served);
      scope.use(
        await startLocalVolumes({
          directories: simulatedDirectories((name) => nodes.names.includes(name)),
          clientFor: (user, ...groups) => controlPlane.clientFor(user, ...groups),
          clock,
          random,
          logger,
          metrics,
        }),
      );
      await nodes.ready();
      return new Cluster({ scope, controlPlane, nodes, metrics, pki });
    } catch (error) {
      await scope[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** `https://127.0.0.1:port`. Throws where the API is not served. */
  get server(): string {
    const address = this.#controlPlane.server.address;
    if (address === undefined) throw new Error('this cluster was started with serve: false');
    return `https://127.0.0.1:${String(address.port)}`;
  }

  /** A kubeconfig file's text, for programs that are to reach the cluster as its administrator. */
  get kubeconfig(): string {
    const { server } = this;
    const { authority, served } = this.#pki;
    return adminKubeconfig({
      name: 'k8ts',
      server,
      certificateAuthority: authority.certificate,
      clientCertificate: served?.admin.certificate ?? '',
      clientKey: served?.admin.key ?? '',
    });
  }

  /** A client in the name of another user, with that user's permissions. */
  clientFor(user: string, groups: readonly string[] = []): Client {
    return createClient(
      this.#controlPlane.server.transportFor(userInfo(user, [...groups, 'system:authenticated'])),
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope[Symbol.asyncDispose]();
  }
}

const LOOPBACK = ['localhost', '127.0.0.1', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc'];
