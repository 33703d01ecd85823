/**
 * The store: a multi-version key-value store with etcd's semantics (etcd.io/docs/v3.5/learning/data_model).
 *
 * Keys are bytes written as strings with one char code (0–255) per byte, so JavaScript's string order is the byte order
 * and keys can index Maps; `keyFromText` makes one from UTF-8 text. Values are bytes that nobody changes after they are
 * handed over, in either direction: the same buffer may be seen by every watcher.
 *
 * One revision counter serves all keys. Revision 1 is the empty store; every commit that changes something takes the
 * next revision, whatever the number of its operations.
 */
export interface Store extends AsyncDisposable {
  /**
   * True when every change comes through this object and watch events are delivered before `commit` resolves. Caches fed
   * by a watch are then never behind an acknowledged write. False for a shared etcd.
   */
  readonly exclusive: boolean;

  /**
   * False when `WatchHandle.requestProgress` goes unanswered, because the etcd behind the store is too old to be asked
   * (before 3.4.31 and 3.5.13); whoever needs a fresh answer then reads the store. Absent or true: it is answered.
   */
  readonly answersProgressRequests?: boolean;

  /** The newest committed revision. */
  revision(): Promise<number>;

  /** The value of a key, now or at `revision`. Throws `CompactedError`, `FutureRevisionError`. */
  get(key: Key, options?: { readonly revision?: number }): Promise<KeyValue | undefined>;

  /** Keys in order. Throws `CompactedError`, `FutureRevisionError`. */
  range(request: RangeRequest): Promise<RangeResult>;

  /**
   * Applies all operations at one revision if every condition holds, else none. Resolves only after the change is on
   * disk (drivers that have one); commits that wait at the same time share one sync. A commit that throws
   * `UnknownOutcomeError` may or may not have happened.
   */
  commit(request: CommitRequest): Promise<CommitResult>;

  /**
   * Events from `startRevision` on (default: after now), in revision order, without gaps and each exactly once.
   * `onEvents` gets everything that was committed at one or more whole revisions; a revision is never split.
   * Throws nothing: what goes wrong ends the watch through `onEnd`.
   */
  watch(request: WatchRequest): WatchHandle;

  /** Forgets what only reads before `revision` could see. Throws `CompactedError`, `FutureRevisionError`. */
  compact(revision: number): Promise<void>;

  /**
   * A lease of at least `ttl` seconds (etcd gives two at least); keys put with it are deleted when it expires or is
   * revoked. Throws `LeaseExistsError` when the wanted `id` is taken.
   */
  grantLease(ttl: number, id?: bigint): Promise<Lease>;
  /** Throws `LeaseNotFoundError`. Resolves to the lease with its time renewed. */
  keepLeaseAlive(id: bigint): Promise<Lease>;
  /** Deletes the lease and its keys, at one revision. Throws `LeaseNotFoundError`. */
  revokeLease(id: bigint): Promise<void>;
  /** All leases, in order of id. */
  leases(): Promise<readonly LeaseStatus[]>;
}

export type Key = string;

export interface KeyValue {
  readonly key: Key;
  readonly value: Uint8Array;
  /** Revision of the commit that made the key (again, after a deletion). */
  readonly createRevision: number;
  /** Revision of the commit that last changed it: what compare-and-swap compares. */
  readonly modRevision: number;
  /** 1 after creation, one more with every change. */
  readonly version: number;
  readonly lease?: bigint;
}

export interface RangeRequest {
  readonly start: Key;
  /** Exclusive. `prefixEnd(prefix)` ranges over a prefix. */
  readonly end: Key;
  readonly revision?: number;
  /** At most so many keys; 0 or absent: all. */
  readonly limit?: number;
  /** Values are left out (empty). */
  readonly keysOnly?: boolean;
  /** Only `count` is wanted; `items` stays empty. */
  readonly countOnly?: boolean;
}

export interface RangeResult {
  readonly items: readonly KeyValue[];
  /** How many keys the range holds, whatever the limit. */
  readonly count: number;
  /** More keys follow the last item. */
  readonly more: boolean;
  /** The revision that was read: the requested one, else the newest at the time of the read. */
  readonly revision: number;
}

/** `modRevision` 0 means: the key does not exist. */
export interface Condition {
  readonly key: Key;
  readonly modRevision: number;
}

export type Operation =
  | { readonly type: 'put'; readonly key: Key; readonly value: Uint8Array; readonly lease?: bigint }
  | { readonly type: 'delete'; readonly key: Key };

/**
 * A key may be named by one operation only (else `InvalidRequestError`); etcd takes 128 operations at most. Putting with an
 * unknown lease throws `LeaseNotFoundError`.
 */
export interface CommitRequest {
  readonly conditions: readonly Condition[];
  readonly operations: readonly Operation[];
}

export type CommitResult =
  /** `revision`: of this commit, or the newest one if it changed nothing (deleting what is not there). */
  | { readonly succeeded: true; readonly revision: number }
  /** `current[i]` is what `conditions[i].key` holds. */
  | {
      readonly succeeded: false;
      readonly revision: number;
      readonly current: readonly (KeyValue | undefined)[];
    };

export interface StoreEvent {
  readonly type: 'put' | 'delete';
  /** For a deletion: the key, `modRevision` of the deletion, an empty value. */
  readonly kv: KeyValue;
  /** What the key held before; absent for a creation and where compaction has already taken it. */
  readonly previous?: KeyValue;
}

export interface WatchRequest {
  readonly start: Key;
  readonly end: Key;
  /** First revision wanted. 0 or absent: what comes after now. A compacted one ends the watch with `CompactedError`. */
  readonly startRevision?: number;
  /** All events of one or more whole revisions, in order; `revision` is the last of them. */
  readonly onEvents: (events: readonly StoreEvent[], revision: number) => void;
  /**
   * Nothing in the range changed up to and including `revision`; sent when asked for with `requestProgress`, and now and
   * then by drivers that learn it anyway.
   */
  readonly onProgress?: (revision: number) => void;
  /** Called once: with the error that ended the watch, or without one after `close`. */
  readonly onEnd: (error?: Error) => void;
}

export interface WatchHandle {
  /** Resolves when the watch stands: every later commit will be seen. Also when it has ended before that. */
  readonly ready: Promise<void>;
  /** Asks for `onProgress` with the newest revision, once all events up to it were handed over. */
  requestProgress(): void;
  close(): void;
}

export interface Lease {
  readonly id: bigint;
  /** Seconds. */
  readonly ttl: number;
}

export interface LeaseStatus extends Lease {
  /** Seconds until it expires. */
  readonly remaining: number;
  readonly keys: readonly Key[];
}

/** The wanted revision is older than the last compaction (etcd: "mvcc: required revision has been compacted"). */
export class CompactedError extends Error {
  readonly compactRevision: number;
  constructor(compactRevision: number) {
    super('required revision has been compacted');
    this.name = 'CompactedError';
    this.compactRevision = compactRevision;
  }
}

/** The wanted revision does not exist yet (etcd: "mvcc: required revision is a future revision"). */
export class FutureRevisionError extends Error {
  constructor() {
    super('required revision is a future revision');
    this.name = 'FutureRevisionError';
  }
}

export class LeaseNotFoundError extends Error {
  constructor() {
    super('requested lease not found');
    this.name = 'LeaseNotFoundError';
  }
}

export class LeaseExistsError extends Error {
  constructor() {
    super('lease already exists');
    this.name = 'LeaseExistsError';
  }
}

/** The request can never succeed: an empty key, a key twice, a key that is no byte string. */
export class InvalidRequestError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'InvalidRequestError';
  }
}

/** The store went away while the commit was under way. */
export class UnknownOutcomeError extends Error {
  constructor(options?: ErrorOptions) {
    super('the outcome of the commit is not known', options);
    this.name = 'UnknownOutcomeError';
  }
}

/** The store cannot take the request now: disk full, etcd not reachable, closed. Nothing was changed. */
export class UnavailableError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UnavailableError';
  }
}

export function keyFromText(text: string): Key {
  return Buffer.from(text, 'utf8').toString('latin1');
}

export function textFromKey(key: Key): string {
  return Buffer.from(key, 'latin1').toString('utf8');
}

/** The first key after all keys that start with `prefix`. Example: `/a/` → `/a0`. */
export function prefixEnd(prefix: Key): Key {
  for (let last = prefix.length - 1; last >= 0; last--) {
    const code = prefix.charCodeAt(last);
    if (code < 0xff) return prefix.slice(0, last) + String.fromCharCode(code + 1);
  }
  return '\u00ff'.repeat(prefix.length + 1); // every key: nothing of ours is longer and all 0xff
}
