import type { corev1 } from '@k8ts/api';
import { goQuote, index } from '@k8ts/apimachinery';
import { cidrWarnings, ipWarnings } from '../../ip-addresses.ts';

export const TOPOLOGY_HINTS: string = 'service.kubernetes.io/topology-aware-hints';
export const TOPOLOGY_MODE: string = 'service.kubernetes.io/topology-mode';

/** pkg/api/service: GetWarningsForService. */
export function serviceWarnings({ metadata, spec = {} }: corev1.Service): string[] {
  const warnings: string[] = [];
  const { externalIPs = [], loadBalancerIP = '', type, clusterIP = '' } = spec;
  const headless = type === 'ClusterIP' && clusterIP === 'None';
  if (metadata.annotations?.[TOPOLOGY_HINTS] !== undefined)
    warnings.push(`annotation ${TOPOLOGY_HINTS} is deprecated, please use ${TOPOLOGY_MODE} instead`);
  if (clusterIP !== '' && clusterIP !== 'None')
    for (const [i, address] of (spec.clusterIPs ?? []).entries())
      warnings.push(...ipWarnings(address, index('spec.clusterIPs', i)));
  if (headless) {
    if (loadBalancerIP !== '') warnings.push('spec.loadBalancerIP is ignored for headless services');
    if (externalIPs.length > 0) warnings.push('spec.externalIPs is ignored for headless services');
    if (spec.sessionAffinity !== 'None')
      warnings.push('spec.SessionAffinity is ignored for headless services');
  }
  for (const [i, address] of externalIPs.entries())
    warnings.push(...ipWarnings(address, index('spec.externalIPs', i)));
  if (externalIPs.length > 0 && !headless && type !== 'ExternalName')
    warnings.push('spec.externalIPs is deprecated and may no longer be implemented in some clusters');
  if (loadBalancerIP !== '') warnings.push(...ipWarnings(loadBalancerIP, 'spec.loadBalancerIP'));
  for (const [i, cidr] of (spec.loadBalancerSourceRanges ?? []).entries())
    warnings.push(...cidrWarnings(cidr, index('spec.loadBalancerSourceRanges', i)));
  if (type === 'ExternalName' && externalIPs.length > 0)
    warnings.push('spec.externalIPs is ignored when spec.type is "ExternalName"');
  if (type !== 'ExternalName' && spec.externalName)
    warnings.push('spec.externalName is ignored when spec.type is not "ExternalName"');
  if (spec.trafficDistribution === 'PreferClose')
    warnings.push(
      `spec.trafficDistribution: ${goQuote('PreferClose')} is deprecated; use ${goQuote('PreferSameZone')}`,
    );
  return warnings;
}
