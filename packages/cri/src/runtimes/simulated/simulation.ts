import { randomBytes } from 'node:crypto';
import type { Clock } from '@k8ts/base';
import type { ImageService, LogSource, ProbeSource, Runtime, RuntimeService } from '../../contract.ts';
import { nthNodeRange } from './addresses.ts';
import { SimulatedImageCatalogue, SimulatedImageService } from './images.ts';
import type { SimulatedImageOptions } from './images.ts';
import { SimulatedRuntimeService } from './runtime-service.ts';
import type { SimulatedEnvironment, SimulatedExit } from './runtime-service.ts';

export interface SimulationOptions {
  readonly clock: Clock;
  readonly images?: SimulatedImageOptions;
  /** Nodes without a range of their own take the /24s of this one in turn. Default `10.128.0.0/9`. */
  readonly clusterCidr?: string;
}

export interface SimulatedNodeOptions {
  /** Pod addresses of this node, `10.244.3.0/24`; may also be given later with `updateRuntimeConfig`. */
  readonly podCidr?: string;
}

/** The runtime of one simulated node. */
export interface SimulatedRuntime extends Runtime {
  readonly logs: LogSource;
  readonly probes: ProbeSource;
  /** Ends a running container as if its process had ended by itself. */
  exitContainer(id: string, exit: SimulatedExit): void;
}

/** Many simulated nodes with what they share; each node is some maps and nothing that runs. */
export interface Simulation {
  addNode(options?: SimulatedNodeOptions): SimulatedRuntime;
}

/**
 * Pods and containers that behave like real ones in states, times, exit codes, logs and probes, and cost microseconds:
 * no processes, no disk, no network, and no time but the given clock's. See `SimulatedBehaviour` for what a pod can ask.
 */
export function createSimulation(options: SimulationOptions): Simulation {
  // Ids must not repeat those of an earlier process whose cluster lives on in a store on disk.
  const instance = randomBytes(12).toString('hex');
  let ids = 0;
  let nodes = 0;
  const environment: SimulatedEnvironment = {
    clock: options.clock,
    catalogue: new SimulatedImageCatalogue(options.images ?? {}),
    nextId: () => instance + (ids++).toString(16).padStart(40, '0'),
  };
  return {
    addNode: (node = {}) =>
      simulatedNode(
        environment,
        node.podCidr ?? nthNodeRange(options.clusterCidr ?? '10.128.0.0/9', nodes++),
      ),
  };
}

/** A simulation of one node. */
export function createSimulatedRuntime(options: SimulationOptions & SimulatedNodeOptions): SimulatedRuntime {
  return createSimulation(options).addNode(options);
}

function simulatedNode(environment: SimulatedEnvironment, podCidr: string): SimulatedRuntime {
  const imageService = new SimulatedImageService(environment.catalogue, environment.clock);
  const service = new SimulatedRuntimeService(environment, imageService, podCidr);
  return {
    runtimeService: service satisfies RuntimeService,
    imageService: imageService satisfies ImageService,
    logs: { read: (id, readOptions) => service.readLog(id, readOptions) },
    probes: { probe: (id, purpose) => service.probe(id, purpose) },
    exitContainer: (id, exit) => service.exitContainer(id, exit),
    [Symbol.asyncDispose]: () => {
      service.dispose();
      return Promise.resolve();
    },
  };
}
