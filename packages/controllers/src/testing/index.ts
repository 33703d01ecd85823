export { ControllerHarness } from './controller-harness.ts';
export { runPods } from './pod-runner.ts';
export type { PodRunnerOptions } from './pod-runner.ts';
