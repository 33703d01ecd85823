/**
 * Watchers that ask the same question in the same form get the same answer: it is selected once, encoded once, and the
 * very same buffer goes to each. Events that come within one turn of the event loop leave together.
 */
import type { ObjectRecord } from '../storage/object-record.ts';
import type { CacheEvent } from './event-ring.ts';
import { inNamespace, selects, type Selection } from './selection.ts';

/** An event as its watchers see it: relative to their selection. */
export interface EmittedEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly record: ObjectRecord;
}

/** How a group's events look on the wire. */
export interface EventEncoder {
  /** Equal for encoders that give the same bytes. */
  readonly id: string;
  encode(events: readonly EmittedEvent[]): Buffer;
}

export class EventBatch {
  readonly events: readonly EmittedEvent[];
  readonly #encoder: EventEncoder;
  #bytes: Buffer | undefined = undefined;

  constructor(events: readonly EmittedEvent[], encoder: EventEncoder) {
    this.events = events;
    this.#encoder = encoder;
  }

  /** Bytes of its objects, roughly. */
  get size(): number {
    return this.events.reduce((sum, { record }) => sum + record.size, 0);
  }

  /** Encoded when first asked for; shared. */
  get bytes(): Buffer {
    return (this.#bytes ??= this.#encoder.encode(this.events));
  }
}

/** Where a watcher's events go. Nothing here may throw or wait. */
export interface WatchSink {
  events(batch: EventBatch): void;
  bookmark(revision: number, initialEventsEnd: boolean): void;
  /**
   * Undefined when more can be taken; else resolves when it can, or when nobody is there any more. What is there already
   * when a watch begins waits for it; what happens later does not. Absent: more can always be taken.
   */
  drained?(): Promise<void> | undefined;
}

/** So many events, or so many bytes of large ones, are joined into one buffer. */
const BATCH_EVENTS = 512;
const BATCH_BYTES = 1024 * 1024;

export class WatchGroup {
  readonly selection: Selection;
  readonly encoder: EventEncoder;
  readonly members: Set<WatchSink> = new Set();
  #waiting: EmittedEvent[] = [];

  constructor(selection: Selection, encoder: EventEncoder) {
    this.selection = selection;
    this.encoder = encoder;
  }

  /** Returns true if the group had nothing waiting before and has now. */
  offer(event: CacheEvent): boolean {
    const emitted = emit(this.selection, event);
    if (emitted === undefined) return false;
    return this.#waiting.push(emitted) === 1;
  }

  flush(): void {
    const events = this.#waiting;
    if (events.length === 0) return;
    this.#waiting = [];
    for (const batch of batches(events, this.encoder)) {
      for (const member of this.members) member.events(batch);
    }
  }
}

export function batches(events: readonly EmittedEvent[], encoder: EventEncoder): EventBatch[] {
  const result: EventBatch[] = [];
  let from = 0;
  let bytes = 0;
  for (let at = 0; at < events.length; at++) {
    bytes += (events[at] as EmittedEvent).record.size;
    if (bytes < BATCH_BYTES && at + 1 - from < BATCH_EVENTS) continue;
    result.push(new EventBatch(events.slice(from, at + 1), encoder));
    from = at + 1;
    bytes = 0;
  }
  if (from < events.length) result.push(new EventBatch(events.slice(from), encoder));
  return result;
}

/**
 * What a change means to those who see only a part: an object that starts to match was added, one that no longer matches
 * was deleted (and is shown as it last matched).
 */
export function emit(selection: Selection, event: CacheEvent): EmittedEvent | undefined {
  const { type, record, previous } = event;
  if (selection.unfiltered) return event;
  switch (type) {
    case 'ADDED':
      return selects(selection, record) ? event : undefined;
    case 'DELETED':
      return selects(selection, record) ? event : undefined;
    case 'MODIFIED': {
      const matches = selects(selection, record);
      const matched = previous !== undefined && selects(selection, previous);
      if (matches) return matched ? event : { type: 'ADDED', record };
      return matched ? { type: 'DELETED', record: previous.at(event.revision) } : undefined;
    }
  }
}

export function concerns(selection: Selection, event: CacheEvent): boolean {
  return inNamespace(selection, event.record);
}
