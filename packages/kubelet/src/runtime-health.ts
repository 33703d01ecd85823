import type { RuntimeService, RuntimeStatus } from '@k8ts/cri';

import type { NodeHealth } from './node/node-status.ts';

/** What the runtime last said of itself, as the node's condition tells it (pkg/kubelet/runtime.go). */
export class RuntimeHealth {
  readonly #runtime: RuntimeService;
  #status: RuntimeStatus | Error = new Error('not asked yet');

  constructor(runtime: RuntimeService) {
    this.#runtime = runtime;
  }

  /** Asks the runtime; true when the answer differs from the one before. */
  async check(): Promise<boolean> {
    const before = this.#problems().join();
    try {
      this.#status = await this.#runtime.status();
    } catch (error) {
      this.#status = error instanceof Error ? error : new Error(String(error));
    }
    return this.#problems().join() !== before;
  }

  get ready(): boolean {
    return this.#problems().length === 0;
  }

  get node(): NodeHealth {
    return { notReady: this.#problems(), memoryPressure: false, diskPressure: false, pidPressure: false };
  }

  /** Why a pod with a network of its own cannot start now. */
  get networkProblem(): string | undefined {
    if (this.#status instanceof Error) return this.#problems()[0];
    return this.#problems().find((text) => text.startsWith(NETWORK));
  }

  #problems(): string[] {
    const status = this.#status;
    if (status instanceof Error)
      return [`container runtime status check may not have completed yet: ${status.message}`];
    const problems: string[] = [];
    for (const [type, text] of [
      ['RuntimeReady', 'container runtime not ready'],
      ['NetworkReady', NETWORK],
    ] as const) {
      const condition = status.conditions.find((candidate) => candidate.type === type);
      if (condition === undefined || !condition.status)
        problems.push(
          `${text}: ${type}=false reason:${condition?.reason ?? ''} message:${condition?.message ?? ''}`,
        );
    }
    return problems;
  }
}

const NETWORK = 'container runtime network not ready';
