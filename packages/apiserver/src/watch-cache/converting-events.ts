/**
 * Events whose objects must be converted before they can be shown, and those behind them: converted in batches, handed on
 * one after the other in the order of their revisions.
 */
import { serviceUnavailable } from '@k8ts/apimachinery';
import type { KeyValue, StoreEvent } from '@k8ts/store';
import type { ObjectRecord } from '../storage/object-record.ts';
import type { RecordReader } from '../storage/record-reader.ts';

/** So many events are converted together. */
const TURN = 500;
/** Bytes of objects that may wait; who converts so slowly will not catch up. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

export interface ConvertingEventsOptions {
  readonly reader: RecordReader;
  /** With the record of what was put; undefined where it can be made at once. */
  readonly apply: (event: StoreEvent, record: ObjectRecord | undefined) => void;
  readonly onCorrupt: (kv: KeyValue, error: unknown) => void;
  /** Something could not be converted; all that waits is forgotten. */
  readonly onFailure: (error: unknown) => void;
}

interface Waiter {
  readonly revision: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class ConvertingEvents {
  readonly #options: ConvertingEventsOptions;
  #waiting: StoreEvent[] = [];
  #bytes = 0;
  #isRunning = false;
  #waiters: Waiter[] = [];
  /** Another one after what waited was forgotten. */
  #turn = {};

  constructor(options: ConvertingEventsOptions) {
    this.#options = options;
  }

  /** Everything up to here has been applied; undefined when nothing waits. */
  get revision(): number | undefined {
    const [first] = this.#waiting;
    return first === undefined ? undefined : first.kv.modRevision - 1;
  }

  /** Whether these events have to wait. */
  mustWait(events: readonly StoreEvent[]): boolean {
    const { reader } = this.#options;
    return (
      this.#waiting.length > 0 || events.some(({ type, kv }) => type === 'put' && reader.mustConvert(kv))
    );
  }

  push(events: readonly StoreEvent[]): void {
    for (const event of events) {
      this.#waiting.push(event);
      this.#bytes += event.kv.value.length;
    }
    if (this.#bytes > MAX_WAITING_BYTES) this.#fail(serviceUnavailable('storage is (re)initializing'));
    else if (!this.#isRunning) void this.#run();
  }

  /** Resolves when everything up to `revision` has been applied. Rejects when that will not be. */
  waitFor(revision: number): Promise<void> {
    if (revision <= (this.revision ?? revision)) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiters.push({ revision, resolve, reject }));
  }

  /** Forgets what waits. Whoever waits for it is given the error. */
  clear(error: unknown): void {
    this.#waiting = [];
    this.#bytes = 0;
    this.#isRunning = false;
    this.#turn = {};
    for (const { reject } of this.#waiters.splice(0)) reject(error);
  }

  #fail(error: unknown): void {
    this.clear(error);
    this.#options.onFailure(error);
  }

  async #run(): Promise<void> {
    const turn = this.#turn;
    const { reader, apply, onCorrupt } = this.#options;
    this.#isRunning = true;
    while (this.#waiting.length > 0) {
      const events = this.#waiting.slice(0, TURN);
      const changed = events.filter(({ type, kv }) => type === 'put' && reader.mustConvert(kv));
      const corrupt = new Set<KeyValue>();
      try {
        const records = await reader.readAll(
          changed.map(({ kv }) => kv),
          (kv, error) => {
            corrupt.add(kv);
            onCorrupt(kv, error);
          },
        );
        if (turn !== this.#turn) return;
        const converted = new Map(changed.map((event, at) => [event, records[at]]));
        this.#waiting = this.#waiting.slice(events.length);
        for (const event of events) {
          this.#bytes -= event.kv.value.length;
          if (!corrupt.has(event.kv)) apply(event, converted.get(event));
        }
      } catch (error) {
        if (turn === this.#turn) this.#fail(error);
        return;
      }
      this.#reached();
    }
    this.#isRunning = false;
  }

  #reached(): void {
    const { revision = Infinity } = this;
    const reached = this.#waiters.filter((waiter) => waiter.revision <= revision);
    this.#waiters = this.#waiters.filter((waiter) => waiter.revision > revision);
    for (const { resolve } of reached) resolve();
  }
}
