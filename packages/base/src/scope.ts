import { setMaxListeners } from 'node:events';

/**
 * Owns what a component starts. Disposing aborts `signal`, then undoes in reverse order, then waits for the tracked
 * background work; errors of undoing are collected and thrown together, so one failure leaves nothing else behind.
 *
 *     await using scope = new Scope();
 *     const server = scope.use(await startServer());
 *     scope.run(watchLoop(scope.signal));
 */
export class Scope implements AsyncDisposable {
  readonly #controller = new AbortController();
  readonly #undo: (() => void | Promise<void>)[] = [];
  readonly #background = new Set<Promise<unknown>>();
  #disposal: Promise<void> | undefined;

  constructor() {
    // One signal ends any number of watches and waits; Node would take more than ten for a leak and warn.
    setMaxListeners(0, this.#controller.signal);
  }

  /** Aborts when the scope is disposed. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Registers what must be undone; runs in reverse order of registration. */
  defer(undo: () => void | Promise<void>): void {
    this.#undo.push(undo);
  }

  /** Owns a disposable and returns it. */
  use<T extends AsyncDisposable | Disposable>(resource: T): T {
    this.defer(async () => {
      if (Symbol.asyncDispose in resource) await resource[Symbol.asyncDispose]();
      else resource[Symbol.dispose]();
    });
    return resource;
  }

  /**
   * Tracks background work that ends by itself once `signal` aborts. A rejection after the abort is the normal end; one
   * before it goes to `onError`.
   */
  run(work: Promise<unknown>, onError: (error: unknown) => void = rethrowLater): void {
    const tracked: Promise<unknown> = work
      .catch((error: unknown) => {
        if (!this.signal.aborted) onError(error);
      })
      .finally(() => this.#background.delete(tracked));
    this.#background.add(tracked);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#dispose();
    return this.#disposal;
  }

  async #dispose(): Promise<void> {
    const errors: unknown[] = [];
    this.#controller.abort(new Error('stopped'));
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) {
      try {
        await undo();
      } catch (error) {
        errors.push(error);
      }
    }
    await Promise.all(this.#background);
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1) throw new AggregateError(errors, 'several resources could not be released');
  }
}

function rethrowLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
