export { startKubelet } from './kubelet.ts';
export type { Kubelet } from './kubelet.ts';
export { DEFAULT_KUBELET_PORT, DEFAULT_MAX_PODS, KUBELET_VERSION } from './kubelet-options.ts';
export type { KubeletOptions } from './kubelet-options.ts';
export { createKubeletServer } from './server/kubelet-server.ts';
export type { KubeletServer, KubeletServerOptions, RequestHandlers } from './server/kubelet-server.ts';
export { createAuthenticator, createAuthorizer } from './server/authentication.ts';
export type { Authenticator, Authorizer, NodeAttributes, User } from './server/authentication.ts';
export type { MachineUsage, ServedNode } from './server/served-node.ts';
export { goArch, goOs, machineIps } from './node/machine-facts.ts';
export { startSimulatedNodes } from './simulated/simulated-nodes.ts';
export type {
  SimulatedNodes,
  SimulatedNodesOptions,
  SimulatedNodeSpec,
} from './simulated/simulated-nodes.ts';
export type { SimulatedNode } from './simulated/simulated-node.ts';
export { removeCgroups } from './resources/cgroup-manager.ts';
export type { CgroupManagerOptions } from './resources/cgroup-manager.ts';
