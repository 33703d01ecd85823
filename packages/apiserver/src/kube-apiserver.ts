import { networkInterfaces } from 'node:os';
import type { rbacv1 } from '@k8ts/api';
import { corev1 } from '@k8ts/api';
import type { Clock, Logger, Metrics, Random } from '@k8ts/base';
import { Scope, systemRandom } from '@k8ts/base';
import { admissionPlugins } from './admission/admission-plugins.ts';
import {
  readAdmissionConfiguration,
  type AdmissionConfigurations,
} from './admission/configuration/read-configuration.ts';
import type { AdmissionPluginSelection } from './admission/plugin-selection.ts';
import { createWebhookClient, type WebhookClient } from './admission/webhooks/webhook-client.ts';
import type { AuditOptions } from './audit/audit-options.ts';
import type { StoppableAuditor } from './audit/create-auditor.ts';
import type { AuthenticationOptions } from './authentication/configuration/options.ts';
import type { TokenAuthentication } from './authentication/configuration/token-authentication.ts';
import type { Authenticator, TokenAuthenticator } from './authentication/contract.ts';
import { bearerTokenAuthenticator } from './authentication/plugins/bearer-token.ts';
import {
  requestHeaderAuthenticator,
  type RequestHeaderOptions,
} from './authentication/plugins/request-header.ts';
import { x509Authenticator } from './authentication/plugins/x509.ts';
import { audienceAgnostic } from './authentication/token-chain.ts';
import {
  createAuthorizerChain,
  type AuthorizerChain,
} from './authorization/configuration/authorizer-chain.ts';
import type { AuthorizationOptions } from './authorization/configuration/configuration.ts';
import { nodeAuthorizer } from './authorization/plugins/node.ts';
import { rbacAuthorizer, type RbacAuthorizer } from './authorization/rbac/rbac-authorizer.ts';
import { apiServerId } from './configuration/server-id.ts';
import { AggregatedApis } from './aggregation/aggregated-apis.ts';
import type { ProxyClient } from './aggregation/front-proxy.ts';
import { clusterIpResolver, endpointResolver, loopbackResolver } from './aggregation/service-resolver.ts';
import type { KubeletConnection } from './connect/dial.ts';
import { podStreamHandlers } from './connect/pod-streams.ts';
import { directPodNetwork, proxyHandlers, type PodNetwork } from './connect/proxies.ts';
import type { ObjectReader } from './object-reader.ts';
import { aggregationHook } from './post-start/aggregation.ts';
import { clusterAuthenticationTrustHook } from './post-start/cluster-authentication-trust.ts';
import { customResourcesHook } from './post-start/custom-resources.ts';
import { kubernetesServiceHook } from './post-start/kubernetes-service.ts';
import {
  flowConfigurationConsumerHook,
  flowConfigurationProducerHook,
} from './post-start/priority-and-fairness.ts';
import { rbacBootstrapHook } from './post-start/rbac-bootstrap.ts';
import { systemNamespacesHook, systemPriorityClassesHook } from './post-start/system-objects.ts';
import { builtinSpecialHandlers } from './registry/builtin-handlers.ts';
import { builtinStrategies } from './registry/builtin-strategies.ts';
import { addressRange } from './registry/core/service/address-range.ts';
import { DEFAULT_SERVICE_NETWORK, type ServiceNetwork } from './registry/core/service/allocation.ts';
import { formatIp } from './registry/ip-addresses.ts';
import type { RegistryAccess } from './registry/special-subresources.ts';
import { accessReviewHandlers } from './reviews/access-reviews.ts';
import { authenticationReviewHandlers } from './reviews/authentication-reviews.ts';
import { createApiServer } from './server.ts';
import type { ApiServer } from './server.ts';
import type { ApiServerOptions } from './server-options.ts';
import { issuerDiscovery } from './service-accounts/issuer-discovery.ts';
import { createLegacyTokens } from './service-accounts/legacy-tokens.ts';
import type { LegacyTokens } from './service-accounts/legacy-tokens.ts';
import { createServiceAccountTokens } from './service-accounts/service-account-tokens.ts';
import type { ServiceAccountTokens } from './service-accounts/service-account-tokens.ts';
import { tokenRequestHandler } from './service-accounts/token-request.ts';
import { createTokenSignatures } from './service-accounts/token-signatures.ts';
import type { TokenKeys } from './service-accounts/token-signatures.ts';

/** What a cluster's operator decides; the rest is Kubernetes' default. */
export interface KubeApiServerOptions extends Pick<
  ApiServerOptions,
  | 'store'
  | 'tls'
  | 'port'
  | 'host'
  | 'plainPort'
  | 'shutdownGrace'
  | 'stages'
  | 'freeze'
  | 'healthChecks'
  | 'inFlight'
  | 'requestTimeout'
  | 'docs'
> {
  readonly clock: Clock;
  readonly random?: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** `--service-account-issuer`; also the audience of the API server. */
  readonly issuer: string;
  readonly serviceAccountKeys: TokenKeys;
  /** Proxies that may say who asks (`--requestheader-*`); absent: there are none. */
  readonly requestHeader?: RequestHeaderOptions;
  /** Further tokens: static ones (`--token-auth-file`). */
  readonly tokens?: readonly TokenAuthenticator[];
  /** `--service-cluster-ip-range`, `--service-node-port-range`; default 10.96.0.0/12 and 30000-32767. */
  readonly serviceNetwork?: ServiceNetwork;
  /**
   * `--advertise-address`: where pods reach this server; the endpoint of the Service `default/kubernetes`. Default: the
   * first address of this machine that is not a loopback one.
   */
  readonly advertiseAddress?: string;
  /** Default: the TLS port, once it is open. */
  readonly advertisePort?: number;
  /** How kubelets are reached, for logs, exec, port-forward and proxies; absent: those are not served. */
  readonly kubelets?: KubeletConnection;
  /** How pods and services are reached by proxy requests; default: directly. */
  readonly podNetwork?: PodNetwork;
  /** How this server stands in front of others that serve part of the API. */
  readonly aggregator?: AggregatorOptions;
  /** `--enable-admission-plugins`, `--disable-admission-plugins`. */
  readonly admissionPlugins?: AdmissionPluginSelection;
  /** `--admission-control-config-file`. Rejects with ConfigurationError. */
  readonly admissionConfigurationFile?: string;
  /** What is to be written of requests (`--audit-*`); absent: nothing. Rejects with AuditOptionsError. */
  readonly audit?: AuditOptions;
  /** How else users show who they are. Rejects with ConfigurationError. */
  readonly authentication?: AuthenticationOptions;
  /** Who may do what. Default: what nodes need and RBAC allows. Rejects with ConfigurationError. */
  readonly authorization?: AuthorizationOptions;
  /** The rules of the controllers' accounts. */
  readonly controllers: readonly { readonly name: string; readonly rules: readonly rbacv1.PolicyRule[] }[];
}

interface AggregatorOptions {
  /** With this it shows that it may speak for others; absent: it shows nothing, and they see nobody's requests. */
  readonly proxyClient?: ProxyClient;
  /** `--enable-aggregator-routing`: to the endpoints of Services, not to their cluster IPs. Default false. */
  readonly endpointRouting?: boolean;
  /** `--aggregator-reject-forwarding-redirect`: they may not send clients elsewhere. Default true. */
  readonly rejectRedirects?: boolean;
}

interface IssuedTokens {
  readonly bound: ServiceAccountTokens;
  readonly legacy: LegacyTokens;
}

export interface KubeApiServer extends ApiServer {
  /** For what signs tokens beside the API: the controller of Secrets that hold one. */
  readonly tokens: IssuedTokens;
}

/**
 * The API server as upstream assembles it by default: all kinds with their rules; client certificates, service account and
 * static tokens; Node and RBAC unless told otherwise; the admission plugins that are on.
 */
export async function createKubeApiServer(options: KubeApiServerOptions): Promise<KubeApiServer> {
  const { clock, issuer, random = systemRandom } = options;
  const signatures = createTokenSignatures(options.serviceAccountKeys);
  let tokens: IssuedTokens | undefined;
  let webhookClient: WebhookClient | undefined;
  const auditor = options.audit === undefined ? undefined : await openAuditor(options.audit, options);
  const audiences = options.authentication?.apiAudiences ?? [issuer];
  const own = new Scope();
  const created = createApiServer(async (objects) => {
    tokens = {
      bound: createServiceAccountTokens({ issuer, signatures, clock, objects }),
      legacy: createLegacyTokens({ signatures, audiences, objects }),
    };
    webhookClient = createWebhookClient(objects);
    const registry = (): Promise<RegistryAccess> => created.then((ready) => ready.registry);
    const rbac = rbacAuthorizer(objects);
    const authorizer = own.use(
      await createAuthorizerChain({
        ...options,
        options: options.authorization ?? {},
        node: nodeAuthorizer(objects, { podsOnNode: (node) => podsOnNode(objects, node) }),
        rbac,
        serverId: apiServerId(),
      }),
    );
    const tokenAuthentication = await openTokenAuthentication(options, objects, audiences);
    if (tokenAuthentication !== undefined) own.use(tokenAuthentication);
    const { admissionConfigurationFile: file } = options;
    const configurations: AdmissionConfigurations =
      file === undefined ? new Map() : await readAdmissionConfiguration(file);
    const access = { authorizer, rbac, audiences, tokenAuthentication, configurations };
    const assembled = assemble(options, objects, registry, tokens, random, webhookClient, access);
    return auditor === undefined ? assembled : { ...assembled, auditor };
  });
  const server = await created.catch(async (error: unknown) => {
    await own[Symbol.asyncDispose]();
    await auditor?.stop();
    throw error;
  });
  const stop = server[Symbol.asyncDispose].bind(server);
  return Object.assign(server, {
    tokens: tokens as IssuedTokens,
    [Symbol.asyncDispose]: async () => {
      await stop();
      webhookClient?.close();
      await own[Symbol.asyncDispose]();
      await auditor?.stop();
    },
  });
}

/** Read when it is asked for: most servers do without. */
async function openAuditor(
  audit: AuditOptions,
  { clock, random = systemRandom, logger, metrics }: KubeApiServerOptions,
): Promise<StoppableAuditor | undefined> {
  const { createAuditor } = await import('./audit/create-auditor.ts');
  return createAuditor(audit, { clock, random, logger, metrics });
}

/** Read when it is asked for: most servers do without. */
async function openTokenAuthentication(
  options: KubeApiServerOptions,
  objects: ObjectReader,
  audiences: readonly string[],
): Promise<TokenAuthentication | undefined> {
  const { authentication, authorization, issuer } = options;
  // Where everybody may do everything, somebody must at least be known.
  const isOpen = authorization?.modes?.includes('AlwaysAllow') === true;
  if (authentication === undefined && !isOpen) return undefined;
  const { createTokenAuthentication } =
    await import('./authentication/configuration/token-authentication.ts');
  return createTokenAuthentication({
    ...options,
    options: authentication ?? {},
    isOpen,
    audiences,
    issuers: [issuer],
    objects,
    serverId: apiServerId(),
  });
}

interface Access {
  readonly authorizer: AuthorizerChain;
  readonly rbac: RbacAuthorizer;
  /** Of the API server. */
  readonly audiences: readonly string[];
  readonly tokenAuthentication: TokenAuthentication | undefined;
  readonly configurations: AdmissionConfigurations;
}

function assemble(
  options: KubeApiServerOptions,
  objects: ObjectReader,
  registry: () => Promise<RegistryAccess>,
  tokens: IssuedTokens,
  random: Random,
  client: WebhookClient,
  { authorizer, rbac, audiences, tokenAuthentication, configurations }: Access,
): ApiServerOptions {
  const serviceNetwork = options.serviceNetwork ?? DEFAULT_SERVICE_NETWORK;
  const allTokens = [
    ...(options.tokens ?? []).map((each) => audienceAgnostic(audiences, each)),
    tokens.legacy,
    tokens.bound,
    ...(tokenAuthentication?.authenticators ?? []),
  ];
  const { tls, requestHeader } = options;
  const authenticators: readonly Authenticator[] = [
    ...(requestHeader === undefined ? [] : [requestHeaderAuthenticator(requestHeader)]),
    x509Authenticator(requestHeader === undefined ? undefined : (tls?.clientCa ?? '')),
    bearerTokenAuthenticator({ tokens: allTokens, audiences }),
  ];
  const authorizers = [authorizer];
  const { proxyClient, endpointRouting = false, rejectRedirects = true } = options.aggregator ?? {};
  let ownPort: number | undefined;
  const ownHost = options.host === undefined || options.host === '0.0.0.0' ? '127.0.0.1' : options.host;
  const backends = {
    resolve: loopbackResolver(
      endpointRouting ? endpointResolver(objects, random) : clusterIpResolver(objects),
      () => (ownPort === undefined ? undefined : { host: ownHost, port: ownPort }),
    ),
    proxyClient,
  };
  const apis = new AggregatedApis(objects, { ...backends, rejectRedirects });
  const clientCa = [tls?.clientCa, requestHeader?.clientCa].filter((pem) => pem !== undefined).join('\n');
  return {
    ...options,
    ...(tls === undefined || clientCa === '' ? {} : { tls: { ...tls, clientCa } }),
    random,
    authenticators,
    ...(tokenAuthentication === undefined ? {} : { anonymous: tokenAuthentication.anonymous }),
    authorizers,
    admission: admissionPlugins({
      objects,
      registry,
      authorizers,
      rbac,
      webhookClient: client,
      configurations,
      selection: options.admissionPlugins ?? {},
      clock: options.clock,
      random,
      logger: options.logger,
      metrics: options.metrics,
    }),
    strategies: builtinStrategies({ serviceNetwork }),
    specialHandlers: [
      ...builtinSpecialHandlers,
      tokenRequestHandler(tokens.bound, { audiences, extendExpiration: true }),
      ...accessReviewHandlers(authorizer),
      ...authenticationReviewHandlers({ tokens: allTokens, audiences }),
      ...(options.kubelets === undefined
        ? []
        : [
            ...podStreamHandlers(options.kubelets),
            ...proxyHandlers(options.kubelets, options.podNetwork ?? directPodNetwork),
          ]),
    ],
    otherPaths: issuerDiscovery(tokens.bound),
    aggregation: apis,
    postStartHooks: [
      customResourcesHook,
      systemNamespacesHook,
      rbacBootstrapHook(options.controllers),
      systemPriorityClassesHook,
      flowConfigurationProducerHook,
      flowConfigurationConsumerHook,
      clusterAuthenticationTrustHook({ clientCa: tls?.clientCa, requestHeader }),
      aggregationHook({
        apis,
        backends,
        onListening: (port) => {
          ownPort = port;
        },
      }),
      kubernetesServiceHook({
        store: options.store,
        serviceIp: firstAddress(serviceNetwork.clusterIpRanges[0] as string),
        advertiseAddress: options.advertiseAddress ?? outsideAddress(),
        ...(options.advertisePort === undefined ? {} : { advertisePort: options.advertisePort }),
      }),
    ],
  };
}

/** A kubelet asks for its pods' secrets rarely, so a walk over the pods is cheap enough. */
function* podsOnNode(objects: ObjectReader, node: string): Iterable<corev1.Pod> {
  for (const pod of objects.list(corev1.pods)) if (pod.spec.nodeName === node) yield pod;
}

/** The Service `default/kubernetes` has the first address of the range. */
function firstAddress(range: string): string {
  const { version, first } = addressRange(range);
  return formatIp({ version, value: first });
}

function outsideAddress(): string | undefined {
  return Object.values(networkInterfaces())
    .flat()
    .find((address) => address?.family === 'IPv4' && !address.internal)?.address;
}
