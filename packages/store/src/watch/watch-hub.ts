import { type Clock, errorMessage, type Logger } from '@k8ts/base';

import {
  CompactedError,
  type Key,
  type StoreEvent,
  type UnavailableError,
  type WatchHandle,
  type WatchRequest,
} from '../contract.ts';
import type { Version } from '../mvcc/version.ts';
import { RangeMap } from './range-map.ts';

/** What the hub asks of the store whose changes it spreads. */
export interface History {
  /** Newest revision that readers may see. */
  revision(): number;
  compactRevision(): number;
  /** Whole revisions from `from` to `to`, at least `atLeast` versions of them unless there are fewer. */
  slice(from: number, to: number, atLeast: number): readonly Version[];
  event(version: Version): StoreEvent;
}

/** Versions looked at between two looks at the clock, and the longest turn in milliseconds, when a watch catches up. */
const SLICE = 64;
const LONGEST_TURN = 4;

/**
 * Spreads committed changes to watchers. Hot: guarded by bench/store.bench.ts (watch events/s).
 *
 * Invariants: an event is made once and the same array goes to all watchers of one range; a watcher that has joined a
 * group has been handed everything up to `after`; publishing is never nested, so that all watchers see one order even if
 * one of them commits from within its callback.
 */
export class WatchHub {
  readonly #history: History;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #groups = new Map<string, Group>();
  readonly #ranges = new RangeMap<Group>();
  readonly #watchers = new Set<Watcher>();
  readonly #queue: (readonly Version[])[] = [];
  #publishing = false;
  #closed: Error | undefined;

  constructor(history: History, clock: Clock, logger: Logger) {
    this.#history = history;
    this.#clock = clock;
    this.#logger = logger;
  }

  watch(request: WatchRequest): WatchHandle {
    const watcher = new Watcher(request);
    this.#watchers.add(watcher);
    const startRevision = request.startRevision ?? 0;
    if (this.#closed !== undefined) this.#end(watcher, this.#closed);
    else if (startRevision <= 0) this.#join(watcher, this.#history.revision());
    else if (startRevision > this.#history.revision()) this.#join(watcher, startRevision - 1);
    else {
      watcher.after = startRevision - 1;
      queueMicrotask(() => void this.#catchUp(watcher));
    }
    return {
      ready: watcher.ready,
      requestProgress: () => queueMicrotask(() => this.#progress(watcher)),
      close: () => this.#end(watcher, undefined),
    };
  }

  /** Hands on what was committed; `versions` are whole revisions in order, following those of the last call. */
  publish(versions: readonly Version[]): void {
    if (this.#groups.size === 0) return;
    this.#queue.push(versions);
    if (this.#publishing) return;
    this.#publishing = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) this.#spread(next);
    } finally {
      this.#publishing = false;
    }
  }

  /** Ends all watches, and every later one, with `error`. */
  close(error: UnavailableError): void {
    this.#closed = error;
    for (const watcher of [...this.#watchers]) this.#end(watcher, error);
  }

  #spread(versions: readonly Version[]): void {
    const touched: Group[] = [];
    for (const version of versions) {
      const groups = this.#ranges.at(version.key);
      if (groups.length === 0) continue;
      const event = this.#eventFor(groups, version);
      if (event === undefined) continue;
      for (const group of groups) {
        if (group.pending.length === 0) touched.push(group);
        group.pending.push(event);
      }
    }
    for (const group of touched) {
      const events = group.pending;
      group.pending = [];
      const { watchers } = group; // replaced, never changed: who joins now sees only later events
      for (const watcher of watchers) this.#deliver(watcher, events);
    }
  }

  /** Undefined when it cannot be made, because the disk fails: the watches that miss it end. */
  #eventFor(groups: readonly Group[], version: Version): StoreEvent | undefined {
    try {
      return this.#history.event(version);
    } catch (error) {
      for (const { watchers } of groups) for (const watcher of watchers) this.#end(watcher, toError(error));
      return undefined;
    }
  }

  #deliver(watcher: Watcher, events: readonly StoreEvent[]): void {
    if (watcher.ended) return;
    const wanted =
      (events[0] as StoreEvent).kv.modRevision > watcher.after
        ? events
        : events.filter((event) => event.kv.modRevision > watcher.after);
    const last = wanted[wanted.length - 1];
    if (last === undefined) return;
    try {
      watcher.request.onEvents(wanted, last.kv.modRevision);
    } catch (error) {
      this.#logger.error('a watcher failed and its watch was ended', { error: errorMessage(error) });
      this.#end(watcher, toError(error));
    }
  }

  /** Replays the past in slices; joins in the same turn in which it finds nothing more to replay. */
  async #catchUp(watcher: Watcher): Promise<void> {
    const { start, end } = watcher.request;
    let turn = this.#clock.monotonic();
    while (!watcher.ended) {
      const from = watcher.after + 1;
      const revision = this.#history.revision();
      const compactRevision = this.#history.compactRevision();
      if (from < compactRevision) return this.#end(watcher, new CompactedError(compactRevision));
      if (from > revision) return this.#join(watcher, watcher.after);
      const versions = this.#history.slice(from, revision, SLICE);
      const last = versions[versions.length - 1];
      const events: StoreEvent[] = [];
      try {
        for (const version of versions)
          if (version.key >= start && version.key < end) events.push(this.#history.event(version));
      } catch (error) {
        return this.#end(watcher, toError(error));
      }
      if (events.length > 0) this.#deliver(watcher, events);
      watcher.after = last === undefined ? revision : last.modRevision;
      if (this.#clock.monotonic() - turn > LONGEST_TURN) {
        await this.#clock.yield();
        turn = this.#clock.monotonic();
      }
    }
  }

  #join(watcher: Watcher, after: number): void {
    const { start, end } = watcher.request;
    watcher.after = after;
    const id = `${start.length}:${start}${end}`;
    let group = this.#groups.get(id);
    if (group === undefined) {
      group = { id, start, end, watchers: [], pending: [] };
      this.#groups.set(id, group);
      this.#ranges.add(group);
    }
    group.watchers = [...group.watchers, watcher];
    watcher.group = group;
    watcher.stand();
    if (watcher.wantsProgress) queueMicrotask(() => this.#progress(watcher));
  }

  #progress(watcher: Watcher): void {
    if (watcher.ended) return;
    if (watcher.group === undefined) watcher.wantsProgress = true;
    else watcher.request.onProgress?.(this.#history.revision());
  }

  #end(watcher: Watcher, error: Error | undefined): void {
    if (watcher.ended) return;
    watcher.ended = true;
    this.#watchers.delete(watcher);
    const { group } = watcher;
    if (group !== undefined) {
      group.watchers = group.watchers.filter((other) => other !== watcher);
      if (group.watchers.length === 0) {
        this.#groups.delete(group.id);
        this.#ranges.delete(group);
      }
    }
    // Later: whoever asked for the watch has the handle by then, and no callback runs inside `close`.
    queueMicrotask(() => {
      watcher.stand();
      watcher.request.onEnd(error);
    });
  }
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(errorMessage(error));
}

/** All watchers of one range. */
interface Group {
  readonly id: string;
  readonly start: Key;
  readonly end: Key;
  watchers: readonly Watcher[];
  pending: StoreEvent[];
}

class Watcher {
  readonly request: WatchRequest;
  readonly ready: Promise<void>;
  stand: () => void = () => undefined;
  /** Newest revision handed over, or not wanted. */
  after = 0;
  group: Group | undefined = undefined;
  wantsProgress = false;
  ended = false;

  constructor(request: WatchRequest) {
    this.request = request;
    this.ready = new Promise((resolve) => {
      this.stand = resolve;
    });
  }
}
