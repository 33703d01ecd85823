import type { corev1, discoveryv1 } from '@k8ts/api';

import { canonicalAddress, familyOf, formatCidr, parseCidr, withoutContained } from '../address.ts';
import type { IpFamily } from '../address.ts';
import type { ProxyNode, ServicePlan, ServicePortPlan, TransportProtocol } from './contract.ts';
import { chooseEndpoints, endpointsOf } from './endpoint-choice.ts';

const PROTOCOLS: Readonly<Record<string, TransportProtocol>> = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' };

/** The API server's default for `sessionAffinityConfig.clientIP.timeoutSeconds`. */
const DEFAULT_AFFINITY_SECONDS = 10_800;

/**
 * What the proxy does for a Service, given all EndpointSlices that name it. Undefined when that is nothing: headless, an
 * external name, not of this family, or gone. Follows upstream's pkg/proxy (serviceport.go, endpointslicecache.go).
 */
export function planService(
  service: corev1.Service | undefined,
  slices: readonly discoveryv1.EndpointSlice[],
  node: ProxyNode,
  family: IpFamily,
): ServicePlan | undefined {
  if (service === undefined || service.spec.type === 'ExternalName') return undefined;
  if (!isPlainName(service.metadata.name) || !isPlainName(service.metadata.namespace)) return undefined;
  const clusterIp = clusterIpOf(service, family);
  if (clusterIp === undefined) return undefined;
  const { spec, status, metadata } = service;
  const traits = {
    clusterIp,
    externalIps: addressesOf(spec.externalIPs ?? [], family),
    loadBalancerIps: addressesOf(
      (status?.loadBalancer?.ingress ?? []).flatMap(({ ip, ipMode }) =>
        ip === undefined || (ipMode ?? 'VIP') !== 'VIP' ? [] : [ip],
      ),
      family,
    ),
    sourceRanges: sourceRangesOf(spec.loadBalancerSourceRanges ?? [], family),
    affinitySeconds:
      spec.sessionAffinity === 'ClientIP'
        ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS)
        : 0,
    internalPolicyLocal: spec.internalTrafficPolicy === 'Local',
    externalPolicyLocal: acceptsExternalTraffic(spec) && spec.externalTrafficPolicy === 'Local',
  };
  const ports: ServicePortPlan[] = [];
  const localReady = new Set<string>();
  for (const { name: portName = '', protocol: protocolName = 'TCP', port, nodePort = 0 } of spec.ports ??
    []) {
    const protocol = PROTOCOLS[protocolName];
    if (protocol === undefined || !isPlainName(portName)) continue;
    const candidates = endpointsOf(slices, portName, protocolName, node, family);
    for (const { ip, ready, local } of candidates) if (ready && local) localReady.add(ip);
    const externallyAccessible =
      nodePort !== 0 || traits.loadBalancerIps.length > 0 || traits.externalIps.length > 0;
    ports.push({
      ...traits,
      portName,
      protocol,
      port,
      nodePort,
      endpoints: chooseEndpoints(candidates, node, {
        usesCluster: !traits.internalPolicyLocal || externallyAccessible,
        usesLocal: traits.internalPolicyLocal || (traits.externalPolicyLocal && externallyAccessible),
      }),
    });
  }
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name ?? '',
    ports,
    healthCheck: healthCheckOf(service, traits.externalPolicyLocal, localReady.size),
  };
}

/** Validation lets no others in; these become names in commands of root. */
const isPlainName = (name = ''): boolean => /^[a-zA-Z0-9.-]*$/.test(name);

function clusterIpOf({ spec }: corev1.Service, family: IpFamily): string | undefined {
  const candidates = spec.clusterIPs ?? (spec.clusterIP === undefined ? [] : [spec.clusterIP]);
  const found = candidates.find((ip) => familyOf(ip) === family);
  return found === undefined ? undefined : canonicalAddress(found);
}

/** Those types whose traffic comes from outside; for the others the external policy means nothing. */
function acceptsExternalTraffic({ type, externalIPs = [] }: corev1.ServiceSpec): boolean {
  return (
    type === 'LoadBalancer' ||
    type === 'NodePort' ||
    ((type ?? 'ClusterIP') === 'ClusterIP' && externalIPs.length > 0)
  );
}

function addressesOf(addresses: readonly string[], family: IpFamily): readonly string[] {
  const found = addresses.filter((ip) => familyOf(ip) === family).flatMap((ip) => canonicalAddress(ip) ?? []);
  return [...new Set(found)];
}

/** Validation lets blanks around them pass. Everybody is allowed when everybody is among the allowed. */
function sourceRangesOf(ranges: readonly string[], family: IpFamily): readonly string[] {
  const parsed = ranges.flatMap((range) => parseCidr(range) ?? []).filter((cidr) => cidr.family === family);
  return parsed.some(({ prefix }) => prefix === 0) ? [] : withoutContained(parsed).map(formatCidr);
}

function healthCheckOf(
  { spec }: corev1.Service,
  externalPolicyLocal: boolean,
  localEndpoints: number,
): ServicePlan['healthCheck'] {
  if (spec.type !== 'LoadBalancer' || !externalPolicyLocal) return undefined;
  const port = spec.healthCheckNodePort ?? 0;
  return port === 0 ? undefined : { port, localEndpoints };
}
