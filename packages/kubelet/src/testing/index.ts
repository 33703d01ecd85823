export { testContainer, testPod } from './pods.ts';
export { startTestNode } from './test-node.ts';
export type { TestNode, TestNodeOptions } from './test-node.ts';
