/**
 * The one watch on the store that feeds all caches. Because there is only one, `revision` says for every resource at once
 * how far this server has seen, so a list of Pods and a bookmark for Secrets speak of the same moment.
 */
import type { Clock, Logger } from '@k8ts/base';
import { errorMessage } from '@k8ts/base';
import { CompactedError, prefixEnd, type Store, type StoreEvent, type WatchHandle } from '@k8ts/store';

export const REGISTRY_PREFIX = '/registry/';

/** Milliseconds before a watch that ended is opened again. */
const REOPEN_DELAY = 500;

export interface FeedSubscriber {
  /** In order; all events of a revision come in one call. */
  onEvents(events: readonly StoreEvent[], revision: number): void;
  /** Events were missed: what was known must be read anew. */
  onGap(): void;
}

export class StoreFeed implements AsyncDisposable {
  readonly store: Store;
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** By prefix; several where versions of a resource are cached apart. */
  readonly #subscribers = new Map<string, readonly FeedSubscriber[]>();
  #revision = 0;
  #watch: WatchHandle | undefined;
  #closed = false;
  #waiters: { readonly revision: number; readonly resolve: (reached: boolean) => void }[] = [];
  #cancelRetry: (() => void) | undefined;
  #healthy = false;

  constructor(store: Store, clock: Clock, logger: Logger) {
    this.store = store;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Everything up to here has been handed to the subscribers. */
  get revision(): number {
    return this.#revision;
  }

  /** False while the watch is being re-established. */
  get healthy(): boolean {
    return this.#healthy;
  }

  async start(): Promise<void> {
    this.#revision = await this.store.revision();
    this.#open();
    await this.#watch?.ready;
    this.#healthy = true;
  }

  /** `prefix` is two or three segments below the root and ends in a slash: `/registry/pods/`. */
  subscribe(prefix: string, subscriber: FeedSubscriber): void {
    const others = this.#subscribers.get(prefix) ?? [];
    if (!others.includes(subscriber)) this.#subscribers.set(prefix, [...others, subscriber]);
  }

  unsubscribe(prefix: string, subscriber: FeedSubscriber): void {
    const left = (this.#subscribers.get(prefix) ?? []).filter((other) => other !== subscriber);
    if (left.length > 0) this.#subscribers.set(prefix, left);
    else this.#subscribers.delete(prefix);
  }

  /** Resolves to true once `revision` was handed over, to false if that did not happen within `timeout` milliseconds. */
  waitFor(revision: number, timeout: number): Promise<boolean> {
    if (this.#revision >= revision) return Promise.resolve(true);
    return new Promise((resolve) => {
      const waiter = {
        revision,
        resolve: (reached: boolean): void => {
          cancel();
          resolve(reached);
        },
      };
      const cancel = this.#clock.setTimeout(() => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        resolve(false);
      }, timeout);
      this.#waiters.push(waiter);
      this.#watch?.requestProgress();
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#cancelRetry?.();
    this.#watch?.close();
    for (const waiter of this.#waiters.splice(0)) waiter.resolve(false);
    return Promise.resolve();
  }

  #open(): void {
    // A watch that has ended may have events on their way; its successor brings them again.
    const opening = { isCurrent: true };
    const watch = this.store.watch({
      start: REGISTRY_PREFIX,
      end: prefixEnd(REGISTRY_PREFIX),
      startRevision: this.#revision + 1,
      onEvents: (events, revision) => {
        if (!opening.isCurrent) return;
        this.#dispatch(events, revision);
        this.#advance(revision);
      },
      onProgress: (revision) => {
        if (opening.isCurrent && revision > this.#revision) this.#advance(revision);
      },
      onEnd: (error) => {
        if (!opening.isCurrent) return;
        opening.isCurrent = false;
        this.#ended(error);
      },
    });
    this.#watch = watch;
    watch.ready.then(
      () => {
        if (opening.isCurrent) this.#healthy = true;
      },
      () => undefined, // onEnd tells
    );
  }

  #ended(error: Error | undefined): void {
    this.#watch = undefined;
    this.#healthy = false;
    if (this.#closed) return;
    this.#logger.warn('the watch on the store ended; opening it again', {
      error: error === undefined ? '' : errorMessage(error),
    });
    const reopen = error instanceof CompactedError ? () => this.#startAnew(error) : () => this.#open();
    this.#cancelRetry = this.#clock.setTimeout(reopen, REOPEN_DELAY);
  }

  /** Events were compacted away before they were seen: everybody reads again from what is there now. */
  #startAnew(error: Error): void {
    this.store.revision().then(
      (revision) => {
        if (this.#closed) return;
        this.#advance(Math.max(this.#revision, revision));
        this.#open();
        for (const subscriber of [...this.#subscribers.values()].flat()) subscriber.onGap();
      },
      () => this.#ended(error),
    );
  }

  #advance(revision: number): void {
    this.#revision = revision;
    if (this.#waiters.length === 0) return;
    const reached = this.#waiters.filter((waiter) => waiter.revision <= revision);
    if (reached.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => waiter.revision > revision);
    for (const waiter of reached) waiter.resolve(true);
  }

  /** Consecutive events of one resource go together, nearly always all of them. */
  #dispatch(events: readonly StoreEvent[], revision: number): void {
    let from = 0;
    let current = this.#subscribersOf(events[0]?.kv.key ?? '');
    for (let at = 1; at < events.length; at++) {
      const next = this.#subscribersOf((events[at] as StoreEvent).kv.key);
      if (next === current) continue;
      const until = (events[at - 1] as StoreEvent).kv.modRevision;
      for (const subscriber of current) subscriber.onEvents(events.slice(from, at), until);
      from = at;
      current = next;
    }
    const rest = from === 0 ? events : events.slice(from);
    for (const subscriber of current) subscriber.onEvents(rest, revision);
  }

  #subscribersOf(key: string): readonly FeedSubscriber[] {
    const second = key.indexOf('/', REGISTRY_PREFIX.length);
    if (second < 0) return NOBODY;
    const short = this.#subscribers.get(key.slice(0, second + 1));
    if (short !== undefined) return short;
    const third = key.indexOf('/', second + 1);
    return (third < 0 ? undefined : this.#subscribers.get(key.slice(0, third + 1))) ?? NOBODY;
  }
}

const NOBODY: readonly FeedSubscriber[] = [];
