export { describeRuntimeContract } from './runtime-contract.ts';
export type { RuntimeUnderTest, Workload } from './runtime-contract.ts';
export { testContainerConfig, testSandboxConfig } from './pod-configs.ts';
export type { TestContainerOptions } from './pod-configs.ts';
export { loopbackNetwork } from './loopback-network.ts';
export { BUSYBOX_IMAGE, buildBusyboxArchive } from './busybox-image.ts';
export { describeIsolated } from './isolated-suite.ts';
export { startTestRegistry } from './test-registry.ts';
export type { TestRegistry } from './test-registry.ts';
