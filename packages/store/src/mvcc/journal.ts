import type { Version } from './version.ts';

/** Where an `MvccStore` keeps what must survive it. Without one, the store lives in memory. */
export interface Journal {
  /** The value of a version whose `value` was taken out of memory. */
  readValue(version: Version): Uint8Array;
  /**
   * Makes a batch durable: resolves only when all of it is on disk. Throws `UnavailableError` when nothing of it is, and
   * `UnknownOutcomeError` when that cannot be said. Never called again before the last call is done.
   */
  write(batch: JournalBatch): Promise<void>;
  /** Removes compacted versions; losing this in a crash is harmless. */
  remove(versions: readonly Version[]): Promise<void>;
  /** Everything compacted up to `revision` has been removed. */
  markSwept(revision: number): Promise<void>;
  close(): Promise<void>;
}

export interface JournalBatch {
  /** Whole revisions, in order. */
  readonly versions: readonly Version[];
  readonly leases: readonly LeaseChange[];
  /** Set when the batch moves it. */
  readonly compactRevision: number | undefined;
}

export interface LeaseChange {
  readonly id: bigint;
  /** Seconds; undefined: the lease is gone. */
  readonly ttl: number | undefined;
}
