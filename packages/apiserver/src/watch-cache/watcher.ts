import { internalError, StatusError } from '@k8ts/apimachinery';
import type { Selection } from './selection.ts';
import type { EventBatch, EventEncoder, WatchSink } from './watch-group.ts';

/** A watcher that is not yet through with what it begins with is ended once so many bytes have happened since. */
const MAX_HELD_BYTES = 64 * 1024 * 1024;

export interface CacheWatchRequest {
  readonly selection: Selection;
  readonly encoder: EventEncoder;
  readonly sink: WatchSink;
  readonly bookmarks: boolean;
  /** Start after this revision; undefined: now. */
  readonly after: number | undefined;
  /** First an ADDED for everything there is, then what changes. */
  readonly initialEvents: boolean;
  /** After the initial events a bookmark says that they are complete (KEP-3157). */
  readonly initialEventsEnd: boolean;
  /** The watch cannot go on; without an error: it was closed by the server in the normal way. */
  readonly onEnd: (error: StatusError | undefined) => void;
}

/** A member of a group; holds back what comes while that with which it begins is on its way. */
export class Watcher implements WatchSink {
  readonly bookmarks: boolean;
  readonly #request: CacheWatchRequest;
  readonly #leave: (watcher: Watcher) => void;
  #held: EventBatch[] | undefined = undefined;
  #heldBytes = 0;
  closed = false;

  constructor(request: CacheWatchRequest, leave: (watcher: Watcher) => void) {
    this.#request = request;
    this.bookmarks = request.bookmarks;
    this.#leave = leave;
  }

  events(batch: EventBatch): void {
    if (this.#held === undefined) {
      this.#send(batch);
      return;
    }
    this.#held.push(batch);
    this.#heldBytes += batch.size;
    // It will not catch up; it may list or watch again.
    if (this.#heldBytes > MAX_HELD_BYTES) this.end(undefined);
  }

  /** First these, at the client's pace, then what happened meanwhile, then what happens. */
  begin(first: Iterable<EventBatch> | AsyncIterable<EventBatch>): void {
    const held: EventBatch[] = [];
    this.#held = held;
    const run = async (): Promise<void> => {
      for await (const batch of first) {
        await this.#sendAndWait(batch);
        if (this.closed) return;
      }
      for (let batch = held.shift(); batch !== undefined && !this.closed; batch = held.shift()) {
        this.#heldBytes -= batch.size;
        await this.#sendAndWait(batch);
      }
      this.#held = undefined;
    };
    run().catch((error: unknown) => this.fail(error));
  }

  bookmark(revision: number, initialEventsEnd: boolean): void {
    // Held-back events are older than the bookmark; the next one will do.
    if (this.#held === undefined && !this.closed) this.#request.sink.bookmark(revision, initialEventsEnd);
  }

  async #sendAndWait(batch: EventBatch): Promise<void> {
    this.#send(batch);
    if (!this.closed) await this.#request.sink.drained?.();
  }

  /** An object that cannot be shown in this form ends this watch, not the server. */
  #send(batch: EventBatch): void {
    if (this.closed) return;
    try {
      this.#request.sink.events(batch);
    } catch (error) {
      this.fail(error);
    }
  }

  initialEnd(revision: number): void {
    if (!this.closed) this.#request.sink.bookmark(revision, true);
  }

  fail(error: unknown): void {
    this.end(error instanceof StatusError ? error : internalError(error));
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#held = undefined;
    this.#leave(this);
  }

  end(error: StatusError | undefined): void {
    if (this.closed) return;
    this.close();
    this.#request.onEnd(error);
  }
}
