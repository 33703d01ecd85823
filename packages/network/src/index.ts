export { missingNetworkPrograms, REQUIRED_NETWORK_PROGRAMS, requireNetworkHost } from './host/programs.ts';
export { createBridgeNetwork, destroyBridgeNetwork } from './bridge/bridge-network.ts';
export type { BridgeNetwork, BridgeNetworkOptions } from './bridge/bridge-network.ts';
export { cleanupKubeProxy, startKubeProxy } from './proxy/kube-proxy.ts';
export type { KubeProxy, KubeProxyOptions } from './proxy/kube-proxy.ts';
export type * from './proxy/contract.ts';
export { proxyModes } from './proxy/mode-registry.ts';
export type { ProxyModeFactoryOptions, ProxyModeName } from './proxy/mode-registry.ts';
export { planService } from './proxy/service-plan.ts';
export { startClusterDns } from './dns/cluster-dns.ts';
export type { ClusterDns, ClusterDnsOptions } from './dns/cluster-dns.ts';
export type { DnsAddress } from './dns/dns-listener.ts';
export {
  KUBE_DNS_NAME,
  KUBE_DNS_NAMESPACE,
  kubeDnsEndpointSlices,
  kubeDnsService,
} from './dns/kube-dns-objects.ts';
export type { KubeDnsOptions, KubeDnsServer } from './dns/kube-dns-objects.ts';
