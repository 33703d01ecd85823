import type { CancelTimer, Clock } from '@k8ts/base';

/** How long requests under way may still use what was replaced. */
const RETIREMENT = 60_000;

/** Disposes what a new configuration has replaced: after a while, or with itself. */
export class Retirement implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #retired = new Map<AsyncDisposable, CancelTimer>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  retire(resource: AsyncDisposable): void {
    const cancel = this.#clock.setTimeout(() => {
      this.#retired.delete(resource);
      void resource[Symbol.asyncDispose]();
    }, RETIREMENT);
    this.#retired.set(resource, cancel);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [resource, cancel] of this.#retired) {
      cancel();
      await resource[Symbol.asyncDispose]();
    }
    this.#retired.clear();
  }
}
