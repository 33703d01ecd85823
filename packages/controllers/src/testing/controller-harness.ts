import { setMaxListeners } from 'node:events';

import { VirtualClock, createMetrics, seededRandom, silentLogger } from '@k8ts/base';
import type { Logger, Metrics } from '@k8ts/base';
import { FakeApi } from '@k8ts/client/testing';

import type { ControllerDefinition, ControllerOptions } from '../contract.ts';
import { runControllerManager } from '../controller-manager.ts';
import { runPods } from './pod-runner.ts';
import type { PodRunnerOptions } from './pod-runner.ts';

/**
 * Controllers on virtual time against a FakeApi:
 *
 *     await using harness = await ControllerHarness.start([replicaSetController]);
 *     await harness.api.client.resource(appsv1.replicaSets, 'default').create(…);
 *     await harness.clock.advance(1000);
 */
export class ControllerHarness implements AsyncDisposable {
  readonly clock: VirtualClock;
  readonly api: FakeApi;
  readonly metrics: Metrics = createMetrics();
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #pods: Promise<void> = Promise.resolve();

  constructor() {
    setMaxListeners(0, this.#stop.signal);
    this.clock = new VirtualClock();
    this.api = new FakeApi({ clock: this.clock });
  }

  static async start(
    controllers: readonly ControllerDefinition[],
    options: ControllerOptions = {},
    prepare: (api: FakeApi, clock: VirtualClock) => void | Promise<void> = () => undefined,
  ): Promise<ControllerHarness> {
    const harness = new ControllerHarness();
    await prepare(harness.api, harness.clock);
    harness.run(controllers, options);
    await harness.clock.settle();
    return harness;
  }

  run(
    controllers: readonly ControllerDefinition[],
    options: ControllerOptions = {},
    logger: Logger = silentLogger,
  ): void {
    this.#running = runControllerManager(
      {
        client: this.api.client,
        clock: this.clock,
        random: seededRandom(1),
        logger,
        metrics: this.metrics,
        options,
        controllers,
      },
      this.#stop.signal,
    );
  }

  /** Lets pods run; see `runPods`. */
  runPods(options: PodRunnerOptions = {}): void {
    this.#pods = runPods(this.api, this.clock, this.#stop.signal, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('test ended'));
    await Promise.all([this.#running, this.#pods]);
  }
}
