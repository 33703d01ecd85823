/**
 * What this server knows of one resource: all objects in order, the recent events, and who watches. Loaded from the store
 * when first needed, then kept current by the feed. With an exclusive store it is never behind an acknowledged write.
 */
import { expired, serviceUnavailable, StatusError, timeout } from '@k8ts/apimachinery';
import type { KubeObject } from '@k8ts/api';
import { errorMessage, type Clock, type Logger } from '@k8ts/base';
import { prefixEnd, type KeyValue, type StoreEvent } from '@k8ts/store';
import type { ObjectRecord } from '../storage/object-record.ts';
import type { RecordReader } from '../storage/record-reader.ts';
import { ConvertingEvents } from './converting-events.ts';
import { DEFAULT_RING_LIMITS, EventRing, type CacheEvent, type RingLimits } from './event-ring.ts';
import { GroupIndex } from './group-index.ts';
import { OrderedRecords, type Stretch } from './ordered-records.ts';
import { selects, type Selection } from './selection.ts';
import { REGISTRY_PREFIX, type FeedSubscriber, type StoreFeed } from './store-feed.ts';
import {
  batches,
  concerns,
  emit,
  type EmittedEvent,
  type EventBatch,
  type WatchGroup,
} from './watch-group.ts';
import { Watcher, type CacheWatchRequest } from './watcher.ts';

/** Milliseconds between bookmarks (upstream: bookmarkFrequency). */
const BOOKMARK_PERIOD = 60_000;
/** Milliseconds for which joined list bytes are kept after the last list. */
const JOINED_LIFETIME = 30_000;
/** Milliseconds a request waits for a revision that this server has not seen yet (upstream: blockTimeout). */
const REVISION_WAIT = 3_000;
const LOAD_PAGE = 2_000;
/** Milliseconds between attempts to read what was missed. */
const RELOAD_DELAY = 1_000;
/** Initial events are handed over in parts, so that a watch on many objects does not hold the event loop. */
const INITIAL_PART = 512;
/** Milliseconds after which reading what could not be converted is tried again, unless somebody needs it. */
const WARM_DELAY = 30_000;

export interface WatchCacheOptions {
  readonly reader: RecordReader;
  readonly feed: StoreFeed;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly ringLimits?: RingLimits;
}

export interface CacheWatcher {
  /** Hands over what waits, then a bookmark. */
  sendBookmark(): void;
  close(): void;
}

export class WatchCache implements FeedSubscriber {
  readonly records: OrderedRecords = new OrderedRecords();
  readonly #options: WatchCacheOptions;
  readonly #groups = new GroupIndex();
  readonly #watchers = new Set<Watcher>();
  /** What is being written by this server: the parsed form of bytes that the feed will bring back. */
  readonly #writing = new Map<string, { readonly stored: Uint8Array; readonly object: KubeObject }>();
  /** Absent where records are made at once. */
  readonly #converting: ConvertingEvents | undefined;
  #ring: EventRing;
  #loaded = false;
  /** No change is newer than this. */
  #lastChange = 0;
  #loading: Promise<void> | undefined;
  /** Events that arrived while loading. */
  #early: StoreEvent[] = [];
  /** Of the monotonic clock. */
  #warmAfter = 0;
  /** How often events were missed. */
  #gaps = 0;
  #waiting: WatchGroup[] = [];
  #flushScheduled = false;
  #cancelBookmarks: (() => void) | undefined;
  #cancelDrop: (() => void) | undefined;
  #listedLately = false;
  #cancelReload: (() => void) | undefined;
  #closed = false;
  /** Grows with every change, so that what was derived from the records can tell whether it still holds. */
  changes = 0;

  constructor(options: WatchCacheOptions) {
    this.#options = options;
    this.#ring = new EventRing(0, options.ringLimits ?? DEFAULT_RING_LIMITS);
    const { reader } = options;
    if (!reader.isImmediate)
      this.#converting = new ConvertingEvents({
        reader,
        apply: (event, record) => this.#take(event, record),
        onCorrupt: this.#onCorrupt,
        onFailure: (error) => {
          options.logger.warn('what the store holds could not be converted', {
            prefix: reader.prefix,
            error: errorMessage(error),
          });
          // As upstream's: who watches may watch again, and will be told what is wrong.
          this.#forget(undefined);
        },
      });
  }

  get loaded(): boolean {
    return this.#loaded;
  }

  /** Somebody may have to be asked about each object, and may not answer. */
  get mayConvert(): boolean {
    return this.#converting !== undefined;
  }

  /** How many watchers there are. */
  get watching(): number {
    return this.#watchers.size;
  }

  /** Everything up to this revision is in. */
  get revision(): number {
    return this.#converting?.revision ?? this.#options.feed.revision;
  }

  /** What this server has been told of, of which something may still be on its way into the cache. */
  get seen(): number {
    return this.#options.feed.revision;
  }

  /** Everything is in that this server has been told of. */
  get isCurrent(): boolean {
    return this.#loaded && this.#converting?.revision === undefined;
  }

  /** Nothing of this resource has changed after `revision`, which this server has seen: what is here now was there then. */
  isUnchangedSince(revision: number): boolean {
    return this.#loaded && revision >= this.#lastChange && revision <= this.revision;
  }

  /** The oldest revision after which a watch can start. */
  get oldest(): number {
    return this.#ring.floor;
  }

  /** Begins to read what the store holds, unless that failed a short while ago. Nobody waits for it. */
  warm(): void {
    if (this.#loaded || this.#loading !== undefined || this.#closed) return;
    const now = this.#options.clock.monotonic();
    if (now < this.#warmAfter) return;
    this.load().catch(() => (this.#warmAfter = this.#options.clock.monotonic() + WARM_DELAY));
  }

  /** Reads what the store holds. Does nothing once loaded. */
  load(): Promise<void> {
    if (this.#loaded) return Promise.resolve();
    this.#loading ??= this.#load().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  close(): void {
    this.#closed = true;
    this.#options.feed.unsubscribe(this.#options.reader.prefix, this);
    this.#converting?.clear(replaced());
    this.#cancelBookmarks?.();
    this.#cancelDrop?.();
    this.#cancelReload?.();
    // Who watches a resource that is served no more cannot ask again what it has missed.
    this.#flush();
    for (const watcher of [...this.#watchers]) watcher.end(undefined);
  }

  /**
   * Says that `object` is what `stored` means, so that the event of this write need not be parsed. The object must not be
   * changed any more. Call the result when the write is over, whatever came of it.
   */
  announce(key: string, stored: Uint8Array, object: KubeObject): () => void {
    const entry = { stored, object };
    this.#writing.set(key, entry);
    return () => {
      if (this.#writing.get(key) === entry) this.#writing.delete(key);
    };
  }

  /** Records from what the store holds; undefined for what is no object. Rejects when one cannot be converted. */
  async recordsOf(items: readonly KeyValue[]): Promise<readonly (ObjectRecord | undefined)[]> {
    return this.#options.reader.readAll(items, this.#onCorrupt);
  }

  onEvents(events: readonly StoreEvent[]): void {
    if (!this.#loaded) {
      if (this.#loading !== undefined) this.#early.push(...events);
      return;
    }
    if (this.#converting?.mustWait(events) === true) this.#converting.push(events);
    else for (const event of events) this.#take(event);
  }

  onGap(): void {
    this.#gaps++;
    if (!this.#loaded && this.#loading === undefined) return;
    const gone = expired('The resourceVersion for the provided watch is too old.');
    this.#converting?.clear(gone);
    this.#forget(gone);
    this.#reload();
  }

  /** What is known must be read anew; all watches end. */
  #forget(error: StatusError | undefined): void {
    this.#loaded = false;
    this.records.clear();
    this.#ring = new EventRing(this.revision, this.#options.ringLimits ?? DEFAULT_RING_LIMITS);
    for (const watcher of [...this.#watchers]) watcher.end(error);
  }

  /** Rules inside the server read the cache and cannot wait for it, so it is filled again at once. */
  #reload(): void {
    if (this.#closed) return;
    this.load().catch(() => {
      // Whoever cannot convert is not asked all the time, but when somebody wants to know.
      if (this.#converting !== undefined) return;
      this.#cancelReload = this.#options.clock.setTimeout(() => this.#reload(), RELOAD_DELAY);
    });
  }

  /** What lies in the range of keys and in the selection's namespace; the caller applies its selectors. */
  snapshot(start: string, end: string, limit?: number): Stretch[] {
    this.#listedLately = true;
    this.#scheduleDrop();
    return this.records.snapshot(start, end, limit);
  }

  /**
   * Resolves when the cache has seen `revision`. Rejects with upstream's "Too large resource version" when it does not
   * come in time.
   */
  async waitFor(revision: number): Promise<void> {
    const { feed } = this.#options;
    if (feed.revision < revision && !(await feed.waitFor(revision, REVISION_WAIT)))
      throw tooLargeResourceVersion(revision, feed.revision);
    if (this.#converting !== undefined) await this.#converting.waitFor(revision);
  }

  /** Needs a loaded cache that has seen `after`. Throws 410 for what is too old. */
  watch(request: CacheWatchRequest): CacheWatcher {
    const { after, selection, encoder } = request;
    // It was loaded a moment ago. Who watched now would not be told what happens until it is again.
    if (!this.#loaded) throw serviceUnavailable('storage is (re)initializing');
    if (after !== undefined && after < this.#ring.floor)
      throw expired(`too old resource version: ${after} (${this.#ring.floor})`);

    const group = this.#groups.join(selection, encoder);
    group.flush(); // what waits is older than this watcher
    const watcher = new Watcher(request, (gone) => {
      group.members.delete(gone);
      this.#groups.drop(group);
      this.#watchers.delete(gone);
    });
    group.members.add(watcher);
    this.#watchers.add(watcher);
    this.#scheduleBookmarks();

    if (request.initialEvents) watcher.begin(this.#initialEvents(request, watcher));
    else if (after !== undefined) {
      const missed = batches(this.#replay(selection, after), encoder);
      if (missed.length > 1) watcher.begin(missed);
      else for (const batch of missed) watcher.events(batch);
    }
    return {
      sendBookmark: () => {
        group.flush();
        if (request.bookmarks) watcher.bookmark(this.revision, false);
      },
      close: () => watcher.close(),
    };
  }

  /** The range of keys in which the selection's objects lie. */
  rangeOf(selection: Selection): { readonly start: string; readonly end: string } {
    const { prefix } = this.#options.reader;
    const start = selection.namespace === undefined ? prefix : `${prefix}${keySegment(selection.namespace)}/`;
    return { start, end: prefixEnd(start) };
  }

  async #load(): Promise<void> {
    const { feed, reader, ringLimits } = this.#options;
    const { prefix } = reader;
    // Another cache may have taken its place.
    if (this.#closed) throw replaced();
    feed.subscribe(prefix, this);
    this.#early = [];
    const gaps = this.#gaps;
    const end = prefixEnd(prefix);
    const loaded: ObjectRecord[] = [];
    let start = prefix;
    let revision: number | undefined;
    for (;;) {
      const page = await feed.store.range({
        start,
        end,
        limit: LOAD_PAGE,
        ...(revision === undefined ? {} : { revision }),
      });
      revision = page.revision;
      if (reader.isImmediate)
        for (const kv of page.items) this.#guarded(kv, () => loaded.push(reader.read(kv)));
      else
        for (const record of await this.recordsOf(page.items)) if (record !== undefined) loaded.push(record);
      if (!page.more) break;
      start = `${(page.items.at(-1) as KeyValue).key}\u0000`;
    }
    if (this.#closed) return;
    // What was missed meanwhile is neither here nor among the early events.
    if (gaps !== this.#gaps) return this.#load();
    const early = this.#early;
    this.#early = [];
    this.records.clear();
    this.records.load(loaded);
    this.changes++;
    this.#ring = new EventRing(revision, ringLimits ?? DEFAULT_RING_LIMITS);
    this.#lastChange = revision;
    this.#loaded = true;
    const newer = early.filter(({ kv }) => kv.modRevision > revision);
    if (newer.length > 0) this.onEvents(newer);
    await this.#converting?.waitFor(feed.revision);
    // A shared store may be read ahead of its watch.
    if (feed.revision < revision) await this.waitFor(revision);
  }

  #take(event: StoreEvent, record?: ObjectRecord): void {
    this.#guarded(event.kv, () => this.#apply(event, record));
  }

  /** What somebody else has put into the store may be no object at all; it must not stand in the way of the others. */
  #guarded(kv: KeyValue, action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#onCorrupt(kv, error);
    }
  }

  readonly #onCorrupt = ({ key }: KeyValue, error: unknown): void => {
    this.#options.logger.error('the store holds what is no object', { key, error: errorMessage(error) });
  };

  #apply(event: StoreEvent, converted: ObjectRecord | undefined): void {
    const { kv } = event;
    const previous = this.records.get(kv.key);
    if (event.type === 'delete') {
      if (previous === undefined) return;
      this.records.delete(kv.key);
      this.#publish('DELETED', kv.modRevision, previous.at(kv.modRevision), previous, 0);
      return;
    }
    // A load may have been ahead of the feed.
    if (previous !== undefined && previous.revision >= kv.modRevision) return;
    const writing = this.#writing.get(kv.key);
    const record =
      converted ?? this.#options.reader.read(kv, writing?.stored === kv.value ? writing.object : undefined);
    this.records.set(record);
    this.#publish(
      previous === undefined ? 'ADDED' : 'MODIFIED',
      kv.modRevision,
      record,
      previous,
      kv.value.length,
    );
  }

  #publish(
    type: CacheEvent['type'],
    revision: number,
    record: ObjectRecord,
    previous: ObjectRecord | undefined,
    bytes: number,
  ): void {
    const event: CacheEvent = { type, revision, record, previous };
    this.#lastChange = revision;
    this.changes++;
    this.#ring.push(event, bytes);
    this.#groups.offer(event, this.#onWaiting);
  }

  readonly #onWaiting = (group: WatchGroup): void => {
    this.#waiting.push(group);
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    void this.#options.clock.yield().then(this.#flush);
  };

  readonly #flush = (): void => {
    this.#flushScheduled = false;
    const groups = this.#waiting;
    this.#waiting = [];
    for (const group of groups) group.flush();
  };

  #replay(selection: Selection, after: number): EmittedEvent[] {
    const missed: EmittedEvent[] = [];
    for (const event of this.#ring.since(after)) {
      if (!concerns(selection, event)) continue;
      const emitted = emit(selection, event);
      if (emitted !== undefined) missed.push(emitted);
    }
    return missed;
  }

  /** All there is, in parts, so that a watch on many objects does not hold the event loop. */
  async *#initialEvents(request: CacheWatchRequest, watcher: Watcher): AsyncGenerator<EventBatch> {
    const { selection, encoder } = request;
    const revision = this.revision;
    const { start, end } = this.rangeOf(selection);
    let part: EmittedEvent[] = [];
    for (const { records, from, to } of this.snapshot(start, end)) {
      for (let at = from; at < to; at++) {
        const record = records[at] as ObjectRecord;
        if (selects(selection, record)) part.push({ type: 'ADDED', record });
      }
      if (part.length < INITIAL_PART) continue;
      yield* batches(part, encoder);
      part = [];
      await this.#options.clock.yield();
    }
    yield* batches(part, encoder);
    if (request.initialEventsEnd) watcher.initialEnd(revision);
  }

  /** Joined bytes go when a whole period has passed without a list. */
  #scheduleDrop(): void {
    this.#cancelDrop ??= this.#options.clock.setTimeout(() => {
      this.#cancelDrop = undefined;
      if (!this.#listedLately) {
        this.records.dropJoined();
        return;
      }
      this.#listedLately = false;
      this.#scheduleDrop();
    }, JOINED_LIFETIME);
  }

  #scheduleBookmarks(): void {
    if (this.#cancelBookmarks !== undefined || this.#closed) return;
    this.#cancelBookmarks = this.#options.clock.setTimeout(() => {
      this.#cancelBookmarks = undefined;
      if (this.#watchers.size === 0) return;
      this.#flush();
      for (const watcher of this.#watchers) if (watcher.bookmarks) watcher.bookmark(this.revision, false);
      this.#scheduleBookmarks();
    }, BOOKMARK_PERIOD);
  }
}

/** Who asks again is answered by what has taken its place. */
function replaced(): StatusError {
  return serviceUnavailable('the storage of the resource was replaced; try again');
}

/** A segment of a key: the store's keys are bytes, one char code each. Names are ASCII as a rule. */
export function keySegment(text: string): string {
  return ASCII.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

const ASCII = /^[\u0000-\u007f]*$/;

export function registryPrefix(group: string, resource: string): string {
  return group === '' ? `${REGISTRY_PREFIX}${resource}/` : `${REGISTRY_PREFIX}${group}/${resource}/`;
}

/** 504 with the cause that clients know (storage.NewTooLargeResourceVersionError). */
export function tooLargeResourceVersion(wanted: number, current: number): StatusError {
  const error = timeout(`Too large resource version: ${wanted}, current: ${current}`, 1);
  return new StatusError({
    ...error.status,
    details: {
      ...error.status.details,
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    },
  });
}
