import type { KubeObject } from '@k8ts/api';
import { errorMessage, every } from '@k8ts/base';
import type { Clock, Logger, Random } from '@k8ts/base';

import type {
  ClientWatchEvent,
  HandlerOptions,
  Informer,
  InformerHandler,
  InformerOptions,
  Lister,
  ResourceClient,
} from './contract.ts';
import { objectKey } from './controller-ref.ts';
import { ObjectIndex } from './object-index.ts';
import { runReflector } from './reflector.ts';

export interface InformerDependencies<T extends KubeObject> extends Omit<InformerOptions, 'namespace'> {
  readonly source: Pick<ResourceClient<T>, 'list' | 'watch'>;
  /** For the log. */
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Handing out a long list pauses after this many objects, so that other work gets its turn. */
const OBJECTS_PER_TURN = 500;

interface Registration<T extends KubeObject> {
  readonly handler: InformerHandler<T>;
  readonly resync: AbortController;
}

/**
 * An informer with the means to run it. Store and handlers change together, object by object: a handler that reads the
 * lister sees the state it is told of, or a later one.
 */
export class SharedInformer<T extends KubeObject> implements Informer<T> {
  readonly #dependencies: InformerDependencies<T>;
  readonly #objects = new ObjectIndex<T>();
  readonly #registrations = new Set<Registration<T>>();
  readonly #waiters = new Set<() => void>();
  #started = false;
  #synced = false;

  constructor(dependencies: InformerDependencies<T>) {
    this.#dependencies = dependencies;
  }

  get lister(): Lister<T> {
    return this.#objects;
  }

  get synced(): boolean {
    return this.#synced;
  }

  /** Somebody would miss it. */
  get hasHandlers(): boolean {
    return this.#registrations.size > 0;
  }

  addIndex(index: string, values: (object: T) => readonly string[]): void {
    this.#objects.addIndex(index, values);
  }

  addHandler(handler: InformerHandler<T>, options?: HandlerOptions): Disposable {
    const { clock } = this.#dependencies;
    const registration: Registration<T> = { handler, resync: new AbortController() };
    for (const object of this.#objects.values()) this.#tell(() => handler.added?.(object));
    this.#registrations.add(registration);
    if (options?.resyncPeriod !== undefined && options.resyncPeriod > 0) {
      void every(clock, options.resyncPeriod, registration.resync.signal, () => {
        for (const object of this.#objects.list()) this.#tell(() => handler.updated?.(object, object));
      });
    }
    return {
      [Symbol.dispose]: () => {
        registration.resync.abort();
        this.#registrations.delete(registration);
      },
    };
  }

  waitForSync(signal: AbortSignal): Promise<void> {
    if (this.#synced) return Promise.resolve();
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const done = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#waiters.delete(done);
        reject(signal.reason as Error);
      };
      this.#waiters.add(done);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Runs until the signal aborts. Once only. */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#started) throw new Error('this informer runs already');
    this.#started = true;
    try {
      await runReflector(
        {
          ...this.#dependencies,
          target: {
            replace: (items) => this.#replace(items),
            apply: (events) => this.#apply(events),
          },
        },
        signal,
      );
    } finally {
      for (const { resync } of this.#registrations) resync.abort();
    }
  }

  async #replace(items: readonly T[]): Promise<void> {
    const present = new Set<string>();
    for (const object of items) present.add(objectKey(object));
    let count = 0;
    for (const key of [...this.#objects.keys()]) {
      if (present.has(key)) continue;
      this.#remove(key, undefined);
      if (++count % OBJECTS_PER_TURN === 0) await this.#dependencies.clock.yield();
    }
    for (const object of items) {
      this.#put(object);
      if (++count % OBJECTS_PER_TURN === 0) await this.#dependencies.clock.yield();
    }
    if (this.#synced) return;
    this.#synced = true;
    for (const waiter of this.#waiters) waiter();
    this.#waiters.clear();
  }

  async #apply(events: readonly ClientWatchEvent<T>[]): Promise<void> {
    let count = 0;
    for (const { type, object } of events) {
      if (type === 'DELETED') this.#remove(objectKey(object), object);
      else if (type !== 'BOOKMARK') this.#put(object);
      if (++count % OBJECTS_PER_TURN === 0) await this.#dependencies.clock.yield();
    }
  }

  #put(object: T): void {
    const key = objectKey(object);
    const known = this.#objects.byKey(key);
    if (known !== undefined) {
      const { uid, resourceVersion } = known.metadata;
      // The same state again, as after listing anew.
      if (resourceVersion === object.metadata.resourceVersion && uid === object.metadata.uid) return;
      // Deleted and made again under the same name while the watch was away: two objects, not one that changed.
      if (uid !== object.metadata.uid) this.#remove(key, undefined);
    }
    const previous = this.#objects.set(key, object);
    for (const { handler } of this.#registrations)
      this.#tell(() =>
        previous === undefined ? handler.added?.(object) : handler.updated?.(object, previous),
      );
  }

  /** `last` is the state at the deletion, where it is known. */
  #remove(key: string, last: T | undefined): void {
    const known = this.#objects.delete(key);
    if (known === undefined) return;
    const object = last ?? known;
    for (const { handler } of this.#registrations) this.#tell(() => handler.deleted?.(object));
  }

  /** A handler must not throw; one that does must not keep the others from what they need to know. */
  #tell(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#dependencies.logger.error('an informer handler failed', {
        resource: this.#dependencies.name,
        error: errorMessage(error),
        stack: error instanceof Error ? error.stack : undefined,
      });
    }
  }
}
