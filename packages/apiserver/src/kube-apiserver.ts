import { networkInterfaces } from 'node:os';
import type { rbacv1 } from '@k8ts/api';
import { corev1 } from '@k8ts/api';
import type { Clock, Logger, Metrics, Random } from '@k8ts/base';
import { Scope, systemRandom } from '@k8ts/base';
import { selectPlugins, type AdmissionPluginSelection } from './admission/plugin-selection.ts';
import { alwaysAdmit, alwaysDeny } from './admission/plugins/always-admit-and-deny.ts';
import { alwaysPullImages } from './admission/plugins/always-pull-images.ts';
import { certificateApproval } from './admission/plugins/certificate-approval.ts';
import { certificateSigning } from './admission/plugins/certificate-signing.ts';
import { certificateSubjectRestriction } from './admission/plugins/certificate-subject-restriction.ts';
import { clusterTrustBundleAttest } from './admission/plugins/cluster-trust-bundle-attest.ts';
import { defaultIngressClass } from './admission/plugins/default-ingress-class.ts';
import { defaultStorageClass } from './admission/plugins/default-storage-class.ts';
import { defaultTolerationSeconds } from './admission/plugins/default-toleration-seconds.ts';
import { denyServiceExternalIps } from './admission/plugins/deny-service-external-ips.ts';
import { extendedResourceToleration } from './admission/plugins/extended-resource-toleration.ts';
import { limitPodHardAntiAffinityTopology } from './admission/plugins/limit-pod-hard-anti-affinity-topology.ts';
import { limitRanger } from './admission/plugins/limit-ranger.ts';
import { namespaceAutoProvision } from './admission/plugins/namespace-auto-provision.ts';
import { namespaceExists } from './admission/plugins/namespace-exists.ts';
import { namespaceLifecycle } from './admission/plugins/namespace-lifecycle.ts';
import { nodeRestriction } from './admission/plugins/node-restriction.ts';
import { ownerReferencesPermissionEnforcement } from './admission/plugins/owner-references-permission-enforcement.ts';
import { persistentVolumeClaimResize } from './admission/plugins/persistent-volume-claim-resize.ts';
import { podNodeSelector } from './admission/plugins/pod-node-selector.ts';
import { podSecurity } from './admission/plugins/pod-security/pod-security.ts';
import { podTolerationRestriction } from './admission/plugins/pod-toleration-restriction.ts';
import { podTopologyLabels } from './admission/plugins/pod-topology-labels.ts';
import { priority } from './admission/plugins/priority.ts';
import { rbacEscalation } from './admission/plugins/rbac-escalation.ts';
import { runtimeClass } from './admission/plugins/runtime-class.ts';
import { serviceAccount } from './admission/plugins/service-account.ts';
import { storageObjectInUseProtection } from './admission/plugins/storage-object-in-use-protection.ts';
import { taintNodesByCondition } from './admission/plugins/taint-nodes-by-condition.ts';
import { mutatingAdmissionPolicy } from './admission/policies/mutating-admission-policy.ts';
import { validatingAdmissionPolicy } from './admission/policies/validating-admission-policy.ts';
import { resourceQuota } from './admission/resource-quota/resource-quota.ts';
import { createWebhookClient, type WebhookClient } from './admission/webhooks/webhook-client.ts';
import { mutatingWebhooks, validatingWebhooks } from './admission/webhooks/webhooks.ts';
import type { AuditOptions } from './audit/audit-options.ts';
import type { StoppableAuditor } from './audit/create-auditor.ts';
import type { Authenticator, TokenAuthenticator } from './authentication/contract.ts';
import { bearerTokenAuthenticator } from './authentication/plugins/bearer-token.ts';
import {
  requestHeaderAuthenticator,
  type RequestHeaderOptions,
} from './authentication/plugins/request-header.ts';
import { x509Authenticator } from './authentication/plugins/x509.ts';
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
import { createAuthorize } from './steps/authorize.ts';

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
  /** What is to be written of requests (`--audit-*`); absent: nothing. Rejects with AuditOptionsError. */
  readonly audit?: AuditOptions;
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
  const own = new Scope();
  const created = createApiServer(async (objects) => {
    tokens = {
      bound: createServiceAccountTokens({ issuer, signatures, clock, objects }),
      legacy: createLegacyTokens({ signatures, audiences: [issuer], objects }),
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
    const access = { authorizer, rbac };
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

function assemble(
  options: KubeApiServerOptions,
  objects: ObjectReader,
  registry: () => Promise<RegistryAccess>,
  tokens: IssuedTokens,
  random: Random,
  client: WebhookClient,
  { authorizer, rbac }: { readonly authorizer: AuthorizerChain; readonly rbac: RbacAuthorizer },
): ApiServerOptions {
  const audiences = [options.issuer];
  const serviceNetwork = options.serviceNetwork ?? DEFAULT_SERVICE_NETWORK;
  const allTokens = [tokens.bound, tokens.legacy, ...(options.tokens ?? [])];
  const { tls, requestHeader } = options;
  const authenticators: readonly Authenticator[] = [
    ...(requestHeader === undefined ? [] : [requestHeaderAuthenticator(requestHeader)]),
    x509Authenticator(requestHeader === undefined ? undefined : (tls?.clientCa ?? '')),
    bearerTokenAuthenticator({ tokens: allTokens, audiences }),
  ];
  const authorizers = [authorizer];
  const authorize = createAuthorize(authorizers);
  const webhooks = { objects, client, logger: options.logger, authorize };
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
    authorizers,
    admission: selectPlugins(
      [
        rbacEscalation({ objects, rbac, authorizers }),
        alwaysAdmit(),
        namespaceAutoProvision({ objects, registry }),
        namespaceLifecycle(objects),
        namespaceExists(objects),
        limitPodHardAntiAffinityTopology(),
        limitRanger(objects),
        serviceAccount(objects, random),
        nodeRestriction(objects),
        taintNodesByCondition(),
        alwaysPullImages(),
        podSecurity({ objects, metrics: options.metrics }),
        podNodeSelector(objects),
        priority(objects),
        defaultTolerationSeconds(),
        podTolerationRestriction(objects),
        extendedResourceToleration(),
        defaultStorageClass(objects),
        storageObjectInUseProtection(),
        ownerReferencesPermissionEnforcement({ objects, authorizers }),
        persistentVolumeClaimResize(objects),
        runtimeClass(objects),
        certificateApproval(authorizers),
        certificateSigning(authorizers),
        clusterTrustBundleAttest(authorizers),
        certificateSubjectRestriction(),
        defaultIngressClass(objects),
        denyServiceExternalIps(),
        podTopologyLabels(objects),
        mutatingAdmissionPolicy({ objects, authorize }),
        mutatingWebhooks(webhooks),
        validatingAdmissionPolicy({ objects, authorize }),
        validatingWebhooks(webhooks),
        resourceQuota({ objects, registry, clock: options.clock }),
        alwaysDeny(),
      ],
      options.admissionPlugins,
    ),
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
