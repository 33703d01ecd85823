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
export { openOciRuntime } from './runtimes/oci/open.ts';
export type { EmbeddedRuntime, OciRuntimeOptions } from './runtimes/oci/open.ts';
export { openOfflineImages } from './runtimes/oci/offline-images.ts';
export { findProgram, missingHostPrograms, REQUIRED_PROGRAMS } from './runtimes/oci/host.ts';
export type { ContainerProgram, MissingProgram } from './runtimes/oci/host.ts';
export { ImageStore } from './images/image-store.ts';
export type { ImageLimits, ImageRecord, ImageStoreOptions } from './images/image-store.ts';
export { importImageArchive } from './images/import-archive.ts';
export type { ImportOptions } from './images/import-archive.ts';
export { pullImage } from './images/pull.ts';
export type { PullOptions } from './images/pull.ts';
export { buildImageArchive } from './images/build-image.ts';
export type { BuildImageOptions, BuiltImage, ImageFile } from './images/build-image.ts';
