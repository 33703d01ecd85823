import type { ObjectRecord } from '../storage/object-record.ts';

/** A change of one object. `record` of a deletion is the last state, at the revision of the deletion. */
export interface CacheEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly revision: number;
  readonly record: ObjectRecord;
  readonly previous: ObjectRecord | undefined;
}

export interface RingLimits {
  readonly events: number;
  /** Bytes of the objects that the ring keeps alive, as stored. */
  readonly bytes: number;
}

export const DEFAULT_RING_LIMITS: RingLimits = { events: 10_000, bytes: 16 * 1024 * 1024 };

/** The recent past of a resource, from which watches start that saw it last a while ago. */
export class EventRing {
  readonly #limits: RingLimits;
  #events: CacheEvent[] = [];
  #sizes: number[] = [];
  /** Events before this index are forgotten; they are cut off when they are half of the array. */
  #head = 0;
  #bytes = 0;
  #floor: number;

  /** `floor`: a watch can start after this revision or a later one. */
  constructor(floor: number, limits: RingLimits) {
    this.#floor = floor;
    this.#limits = limits;
  }

  get floor(): number {
    return this.#floor;
  }

  push(event: CacheEvent, bytes: number): void {
    this.#events.push(event);
    this.#sizes.push(bytes);
    this.#bytes += bytes;
    while (
      this.#events.length - this.#head > this.#limits.events ||
      (this.#bytes > this.#limits.bytes && this.#events.length - this.#head > 1)
    )
      this.#drop();
    if (this.#head > 1024 && this.#head * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#head);
      this.#sizes = this.#sizes.slice(this.#head);
      this.#head = 0;
    }
  }

  /** The events after `revision`, which is not before the floor. */
  since(revision: number): CacheEvent[] {
    let low = this.#head;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#events[middle] as CacheEvent).revision <= revision) low = middle + 1;
      else high = middle;
    }
    return this.#events.slice(low);
  }

  #drop(): void {
    const event = this.#events[this.#head] as CacheEvent;
    this.#bytes -= this.#sizes[this.#head] as number;
    this.#floor = event.revision;
    // The slot must not keep the objects alive until the array is cut.
    this.#events[this.#head] = DROPPED;
    this.#head++;
  }
}

const DROPPED = {
  type: 'DELETED',
  revision: 0,
  record: undefined,
  previous: undefined,
} as unknown as CacheEvent;
