export { ControllerHarness } from './controller-harness.ts';
