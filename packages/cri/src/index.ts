export * from './contract.ts';
export { createSimulatedRuntime, createSimulation } from './runtimes/simulated/simulation.ts';
export type {
  SimulatedNodeOptions,
  SimulatedRuntime,
  Simulation,
  SimulationOptions,
} from './runtimes/simulated/simulation.ts';
export { SIMULATE_ANNOTATION } from './runtimes/simulated/behaviour.ts';
export type { SimulatedBehaviour } from './runtimes/simulated/behaviour.ts';
export type { SimulatedImageOptions, SimulatedImageState } from './runtimes/simulated/images.ts';
export type { SimulatedExit } from './runtimes/simulated/runtime-service.ts';
export { formatLogLine, logTimestamp, LOG_RECORD_LIMIT, parseLogRecord } from './logs/cri-log.ts';
export type { LogRecord, LogStream } from './logs/cri-log.ts';
export { formatReference, normalizeReference, parseReference } from './images/reference.ts';
export type { ImageReference } from './images/reference.ts';
