import { type Clock, errorMessage, type Logger, Scope } from '@k8ts/base';
import { type ClientDuplexStream, status } from '@grpc/grpc-js';

import {
  CompactedError,
  type StoreEvent,
  UnavailableError,
  type WatchHandle,
  type WatchRequest,
} from '../../contract.ts';
import { backOff, type EtcdConnection, toStoreError } from './connection.ts';
import { keyBytes, keyValue, startBytes } from './key-value.ts';
import { toNumber, WATCH, type WatchRequestMessage, type WatchResponseMessage } from './messages.ts';

/** Members answer a progress request only when all watches of the stream have caught up, else not at all. */
const PROGRESS_RETRY = 100;

type WatchStream = ClientDuplexStream<WatchRequestMessage, WatchResponseMessage>;

export interface WatchClientOptions {
  readonly connection: EtcdConnection;
  readonly clock: Clock;
  readonly logger: Logger;
  /** See `Store.answersProgressRequests`. */
  readonly answersProgress: boolean;
  /** The newest revision of the cluster, not only of the member that the stream leads to. */
  readonly newestRevision: () => Promise<number>;
}

/**
 * All watches of a store on one gRPC stream. When the stream breaks, another one is opened, to another member if need be,
 * and every watch goes on from the revision after the last one it was handed: no gap, no repetition.
 */
export class WatchClient implements AsyncDisposable {
  readonly #options: WatchClientOptions;
  readonly #watches = new Map<number, EtcdWatch>();
  readonly #scope = new Scope();
  #stream: WatchStream | undefined;
  #connecting = false;
  #attempt = 0;
  #lastId = 0;
  #askingForProgress = false;
  #cancelAsking: () => void = () => undefined;
  #closed = false;

  constructor(options: WatchClientOptions) {
    this.#options = options;
  }

  watch(request: WatchRequest): WatchHandle {
    const watch = new EtcdWatch(++this.#lastId, request);
    const { start, end } = request;
    if (this.#closed) this.#end(watch, new UnavailableError('the store is closed'));
    else {
      this.#watches.set(watch.id, watch);
      if (start >= end)
        watch.stand(); // nothing can ever happen in it
      else if (this.#stream !== undefined) this.#create(this.#stream, watch);
      else this.#connect();
    }
    return {
      ready: watch.ready,
      requestProgress: () => {
        if (this.#options.answersProgress) this.#scope.run(this.#requestProgress(watch), () => undefined);
      },
      close: () => this.#end(watch, undefined),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const watch of [...this.#watches.values()])
      this.#end(watch, new UnavailableError('the store is closed'));
    await this.#scope[Symbol.asyncDispose]();
  }

  #connect(): void {
    if (this.#connecting || this.#closed || this.#watches.size === 0) return;
    let stream: WatchStream;
    try {
      stream = this.#options.connection.stream(WATCH);
    } catch (error) {
      for (const watch of [...this.#watches.values()]) this.#end(watch, error as Error);
      return;
    }
    this.#stream = stream;
    stream.on('data', (response: WatchResponseMessage) => {
      if (stream === this.#stream) this.#receive(stream, response);
    });
    stream.on('error', (error) => this.#lost(stream, error));
    stream.on('end', () => this.#lost(stream, new Error('the stream ended')));
    for (const watch of this.#watches.values()) this.#create(stream, watch);
  }

  #create(stream: WatchStream, watch: EtcdWatch): void {
    const { start, end } = watch.request;
    if (start >= end) return;
    stream.write({
      createRequest: {
        key: startBytes(start),
        rangeEnd: keyBytes(end),
        startRevision: watch.next,
        progressNotify: true,
        prevKv: true,
        watchId: watch.id,
      },
    });
  }

  #lost(stream: WatchStream, error: Error): void {
    if (stream !== this.#stream) return;
    this.#stream = undefined;
    for (const watch of this.#watches.values()) watch.created = false;
    const { code } = error as { code?: number };
    if (
      code === status.UNAUTHENTICATED ||
      code === status.PERMISSION_DENIED ||
      code === status.UNIMPLEMENTED
    ) {
      for (const watch of [...this.#watches.values()]) this.#end(watch, toStoreError(error, false));
      return;
    }
    if (this.#watches.size === 0 || this.#closed) return;
    if (this.#attempt === 0)
      this.#options.logger.warn('the watch connection to etcd broke and is made again', {
        error: errorMessage(error),
      });
    this.#options.connection.failOver();
    this.#connecting = true;
    const again = backOff(this.#options.clock, this.#attempt++, this.#scope.signal).finally(() => {
      this.#connecting = false;
    });
    this.#scope.run(again.then(() => this.#connect()));
  }

  #receive(stream: WatchStream, response: WatchResponseMessage): void {
    this.#attempt = 0;
    const id = toNumber(response.watchId);
    const revision = toNumber(response.header.revision);
    if (id === -1 && !response.created && !response.canceled) {
      for (const watch of [...this.#watches.values()]) this.#progressed(watch, revision);
      return;
    }
    // A creation that is refused outright is not told by its id; creations are answered in order.
    const watch = id === -1 ? this.#firstUncreated() : this.#watches.get(id);
    if (watch === undefined) return;
    const compactRevision = toNumber(response.compactRevision);
    if (compactRevision > 0) return this.#end(watch, new CompactedError(compactRevision));
    if (response.canceled) {
      const reason = response.cancelReason === '' ? 'the watch was cancelled' : response.cancelReason;
      return this.#end(watch, new UnavailableError(`etcd: ${reason}`));
    }
    if (response.created) {
      watch.created = true;
      if (watch.next === 0) watch.next = revision + 1;
      watch.stand();
      if (watch.progressTarget !== undefined) stream.write({ progressRequest: {} });
    } else if (response.events.length === 0) this.#progressed(watch, revision);
    else this.#deliver(watch, response);
  }

  #deliver(watch: EtcdWatch, response: WatchResponseMessage): void {
    const events: StoreEvent[] = [];
    for (const { type, kv, prevKv } of response.events) {
      const current = keyValue(kv);
      if (current.modRevision < watch.next) continue;
      const previous = prevKv === null ? {} : { previous: keyValue(prevKv) };
      events.push({ type: type === 0 ? 'put' : 'delete', kv: current, ...previous });
    }
    const last = events[events.length - 1];
    if (last === undefined) return;
    watch.next = last.kv.modRevision + 1;
    this.#guard(watch, () => watch.request.onEvents(events, last.kv.modRevision));
  }

  #progressed(watch: EtcdWatch, revision: number): void {
    if (!watch.created || revision < watch.next - 1) return;
    watch.next = revision + 1;
    if (watch.progressTarget !== undefined && revision >= watch.progressTarget)
      watch.progressTarget = undefined;
    this.#guard(watch, () => watch.request.onProgress?.(revision));
  }

  async #requestProgress(watch: EtcdWatch): Promise<void> {
    const target = await this.#newestRevision();
    if (watch.ended) return;
    const { start, end } = watch.request;
    if (start >= end || (watch.created && watch.next > target))
      return this.#guard(watch, () => watch.request.onProgress?.(Math.max(target, watch.next - 1)));
    watch.progressTarget = Math.max(target, watch.progressTarget ?? 0);
    this.#stream?.write({ progressRequest: {} });
    if (!this.#askingForProgress) {
      this.#askingForProgress = true;
      this.#askAgain();
    }
  }

  /** Waits until etcd can be reached. */
  async #newestRevision(): Promise<number> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#options.newestRevision();
      } catch {
        await backOff(this.#options.clock, attempt, this.#scope.signal);
      }
    }
  }

  #askAgain(): void {
    this.#cancelAsking = this.#options.clock.setTimeout(() => {
      const waiting = [...this.#watches.values()].some(({ progressTarget }) => progressTarget !== undefined);
      this.#askingForProgress = waiting && !this.#closed;
      if (!this.#askingForProgress) return;
      this.#stream?.write({ progressRequest: {} });
      this.#askAgain();
    }, PROGRESS_RETRY);
  }

  #guard(watch: EtcdWatch, callback: () => void): void {
    if (watch.ended) return;
    try {
      callback();
    } catch (error) {
      this.#options.logger.error('a watcher failed and its watch was ended', { error: errorMessage(error) });
      this.#end(watch, error instanceof Error ? error : new Error(errorMessage(error)));
    }
  }

  #firstUncreated(): EtcdWatch | undefined {
    for (const watch of this.#watches.values()) if (!watch.created) return watch;
    return undefined;
  }

  #end(watch: EtcdWatch, error: Error | undefined): void {
    if (watch.ended) return;
    watch.ended = true;
    this.#watches.delete(watch.id);
    const stream = this.#stream;
    if (this.#watches.size === 0) {
      this.#cancelAsking();
      this.#askingForProgress = false;
      this.#stream = undefined;
      stream?.cancel();
    } else if (watch.request.start < watch.request.end)
      stream?.write({ cancelRequest: { watchId: watch.id } });
    queueMicrotask(() => {
      watch.stand();
      watch.request.onEnd(error);
    });
  }
}

class EtcdWatch {
  readonly id: number;
  readonly request: WatchRequest;
  readonly ready: Promise<void>;
  stand: () => void = () => undefined;
  /** The first revision not yet handed over; 0: whatever comes after the watch is created. */
  next: number;
  /** The member on the current stream has confirmed the watch. */
  created = false;
  /** A progress request is answered by a revision that is not older. */
  progressTarget: number | undefined = undefined;
  ended = false;

  constructor(id: number, request: WatchRequest) {
    this.id = id;
    this.request = request;
    this.next = Math.max(0, request.startRevision ?? 0);
    this.ready = new Promise((resolve) => {
      this.stand = resolve;
    });
  }
}
