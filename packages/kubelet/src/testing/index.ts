export { testContainer, testPod } from './pods.ts';
export { runtimeState } from './runtime-states.ts';
export { startTestNode } from './test-node.ts';
export type { TestNode, TestNodeOptions } from './test-node.ts';
