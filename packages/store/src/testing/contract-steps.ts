import { vi } from 'vitest';

import {
  type CommitResult,
  type Key,
  type KeyValue,
  prefixEnd,
  type Store,
  type StoreEvent,
  type WatchHandle,
} from '../contract.ts';

export const bytes = (text: string): Uint8Array => Buffer.from(text);

/** Plain and comparable: drivers may use any kind of byte array. */
export function plain(kv: KeyValue | undefined): Record<string, unknown> | undefined {
  return kv && { ...kv, value: Buffer.from(kv.value).toString('latin1') };
}

export function put(store: Store, key: Key, value: string, lease?: bigint): Promise<CommitResult> {
  const operation = {
    type: 'put',
    key,
    value: bytes(value),
    ...(lease === undefined ? {} : { lease }),
  } as const;
  return store.commit({ conditions: [], operations: [operation] });
}

export function remove(store: Store, key: Key): Promise<CommitResult> {
  return store.commit({ conditions: [], operations: [{ type: 'delete', key }] });
}

/** One line per event: type, what follows the prefix, value, revision. */
export function line(event: StoreEvent, prefix: string): string {
  const { kv } = event;
  const value = event.type === 'put' ? `=${Buffer.from(kv.value).toString()}` : '';
  return `${event.type} ${kv.key.slice(prefix.length)}${value} @${kv.modRevision}`;
}

/** Records what a watch gets. */
export interface RecordedWatch {
  readonly handle: WatchHandle;
  readonly events: StoreEvent[];
  /** Revisions passed along with the batches. */
  readonly revisions: number[];
  readonly progress: number[];
  readonly ends: (Error | undefined)[];
  /** Waits until so many events have come. */
  count(expected: number): Promise<void>;
  ended(): Promise<Error | undefined>;
}

export function record(store: Store, prefix: string, startRevision?: number, end?: string): RecordedWatch {
  const events: StoreEvent[] = [];
  const revisions: number[] = [];
  const progress: number[] = [];
  const ends: (Error | undefined)[] = [];
  const handle = store.watch({
    start: prefix,
    end: end ?? prefixEnd(prefix),
    ...(startRevision === undefined ? {} : { startRevision }),
    onEvents: (batch, revision) => {
      events.push(...batch);
      revisions.push(revision);
    },
    onProgress: (revision) => progress.push(revision),
    onEnd: (error) => ends.push(error),
  });
  return {
    handle,
    events,
    revisions,
    progress,
    ends,
    count: (expected) =>
      eventually(() => {
        if (events.length < expected) throw new Error(`${events.length} of ${expected} events came`);
      }),
    ended: async () => {
      await eventually(() => {
        if (ends.length === 0) throw new Error('the watch has not ended');
      });
      return ends[0];
    },
  };
}

export function eventually(check: () => void | Promise<void>): Promise<void> {
  return vi.waitFor(check, { timeout: 10_000, interval: 5 });
}
