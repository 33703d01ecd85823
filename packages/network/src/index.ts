export { missingNetworkPrograms, REQUIRED_NETWORK_PROGRAMS, requireNetworkHost } from './host/programs.ts';
export { createBridgeNetwork, destroyBridgeNetwork } from './bridge/bridge-network.ts';
export type { BridgeNetwork, BridgeNetworkOptions } from './bridge/bridge-network.ts';
export { cleanupKubeProxy, startKubeProxy } from './proxy/kube-proxy.ts';
export type { KubeProxy, KubeProxyOptions } from './proxy/kube-proxy.ts';
export type * from './proxy/contract.ts';
export { proxyModes } from './proxy/mode-registry.ts';
export type { ProxyModeFactoryOptions, ProxyModeName } from './proxy/mode-registry.ts';
export { planService } from './proxy/service-plan.ts';
