import { type Clock, errorMessage, type Logger, Scope } from '@k8ts/base';

import {
  type CommitRequest,
  type CommitResult,
  CompactedError,
  FutureRevisionError,
  type Key,
  type KeyValue,
  type Lease,
  LeaseExistsError,
  LeaseNotFoundError,
  type LeaseStatus,
  type RangeRequest,
  type RangeResult,
  type Store,
  type StoreEvent,
  UnavailableError,
  type WatchHandle,
  type WatchRequest,
} from '../contract.ts';
import { WatchHub } from '../watch/watch-hub.ts';
import { checkCommit, checkLeaseTtl } from './check-request.ts';
import { CommitQueue } from './commit-queue.ts';
import type { Journal, LeaseChange } from './journal.ts';
import type { KeyIndex } from './key-index.ts';
import { LeaseTable } from './lease-table.ts';
import type { RevisionLog } from './revision-log.ts';
import { emptyState, type StoreState } from './store-state.ts';
import { sweepCompacted } from './sweep.ts';
import { isLive, keyValueOf, nextVersion, NO_VALUE, type Version, versionAt } from './version.ts';

export interface MvccStoreOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Absent: everything lives in memory. */
  readonly journal?: Journal | undefined;
  readonly state?: StoreState;
}

/** Longest turn of the event loop in milliseconds, and how many keys pass between two looks at the clock. */
const LONGEST_TURN = 4;
const KEYS_PER_LOOK = 64;
const LEASE_RETRY_DELAY = 1000;
const EVERYTHING_AFTER = '\uffff';

/**
 * The multi-version store that memory and lmdb share. Hot: guarded by bench/store.bench.ts (creates/s).
 *
 * Two revisions matter. A commit is checked against, and applied to, the index at once and takes the *assigned* revision,
 * so commits that wait for the disk together still conflict with each other correctly. Readers and watchers see nothing
 * after the *durable* revision, which follows when the journal has synced. If the journal fails, everything after the
 * durable revision is taken back; nobody has seen it.
 */
export class MvccStore implements Store {
  readonly exclusive = true;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #journal: Journal | undefined;
  readonly #index: KeyIndex;
  readonly #log: RevisionLog;
  readonly #leases: LeaseTable;
  readonly #hub: WatchHub;
  readonly #queue: CommitQueue;
  readonly #scope = new Scope();
  #assigned: number;
  #durable: number;
  #compacted: number;
  #sweeping: Promise<void> = Promise.resolve();
  readonly #unremoved: Version[] = [];
  #closed = false;

  constructor({ clock, logger, journal, state = emptyState() }: MvccStoreOptions) {
    this.#clock = clock;
    this.#logger = logger;
    this.#journal = journal;
    this.#index = state.index;
    this.#log = state.log;
    this.#assigned = this.#durable = state.revision;
    this.#compacted = state.compactRevision;
    this.#leases = this.#scope.use(new LeaseTable(clock, (id) => this.#expire(id)));
    for (const { id, ttl } of state.leases) this.#leases.add(id, ttl);
    if (state.leases.length > 0)
      this.#index.visit('', EVERYTHING_AFTER, (head) => {
        if (head.lease !== 0n) this.#leases.attach(head.lease, head.key);
        return true;
      });
    this.#queue = new CommitQueue(journal, {
      durable: (versions, revision) => this.#becomeDurable(versions, revision),
      failed: () => this.#takeBack(),
    });
    this.#hub = new WatchHub(
      {
        revision: () => this.#durable,
        compactRevision: () => this.#compacted,
        slice: (from, to, atLeast) => this.#log.slice(from, to, atLeast),
        event: (version) => this.#event(version),
      },
      clock,
      logger,
    );
    if (state.sweepPending)
      this.#scope.run(this.#sweep(this.#compacted), (error) => this.#sweepFailed(error));
  }

  async revision(): Promise<number> {
    this.#checkOpen();
    return this.#durable;
  }

  async get(key: Key, options?: { readonly revision?: number }): Promise<KeyValue | undefined> {
    this.#checkOpen();
    const revision = this.#readRevision(options?.revision);
    const version = versionAt(this.#index.get(key), revision);
    return version && this.#keyValue(version);
  }

  async range(request: RangeRequest): Promise<RangeResult> {
    for (;;) {
      this.#checkOpen();
      const revision = this.#readRevision(request.revision);
      const result = await this.#rangeAt(request, revision);
      if (result !== undefined) return result;
      // Compacted away while it was read: fatal for a wanted revision, another try for "now".
    }
  }

  commit(request: CommitRequest): Promise<CommitResult> {
    try {
      return this.#commit(request);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  watch(request: WatchRequest): WatchHandle {
    return this.#hub.watch(request);
  }

  async compact(revision: number): Promise<void> {
    this.#checkOpen();
    if (revision <= this.#compacted) throw new CompactedError(this.#compacted);
    if (revision > this.#durable) throw new FutureRevisionError();
    this.#compacted = revision;
    this.#log.trimBefore(revision);
    await this.#queue.add([], this.#assigned, { compactRevision: revision });
    const sweep = this.#sweep(revision);
    this.#scope.run(sweep, (error) => this.#sweepFailed(error));
    await sweep;
  }

  async grantLease(ttl: number, id?: bigint): Promise<Lease> {
    this.#checkOpen();
    checkLeaseTtl(ttl);
    const leaseId = id === undefined || id === 0n ? this.#leases.newId() : id;
    if (this.#leases.has(leaseId)) throw new LeaseExistsError();
    const lease: Lease = { id: leaseId, ttl: Math.max(1, Math.ceil(ttl)) };
    this.#leases.add(lease.id, lease.ttl);
    await this.#queue.add([], this.#assigned, { leases: [lease], undo: () => this.#leases.remove(leaseId) });
    return lease;
  }

  async keepLeaseAlive(id: bigint): Promise<Lease> {
    this.#checkOpen();
    const ttl = this.#leases.ttl(id);
    if (ttl === undefined) throw new LeaseNotFoundError();
    this.#leases.renew(id);
    return { id, ttl };
  }

  async revokeLease(id: bigint): Promise<void> {
    this.#checkOpen();
    const keys = this.#leases.keys(id);
    const lease = this.#leases.remove(id);
    if (lease === undefined) throw new LeaseNotFoundError();
    const leases: readonly LeaseChange[] = [{ id, ttl: undefined }];
    const versions = this.#apply(
      keys.map((key) => ({ type: 'delete', key })),
      this.#assigned + 1,
    );
    await this.#queue.add(versions, this.#assigned, {
      leases,
      undo: () => this.#leases.restore({ ...lease, keys: new Set() }), // taking the versions back attaches the keys
    });
  }

  async leases(): Promise<readonly LeaseStatus[]> {
    this.#checkOpen();
    return this.#leases.list();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      await this.#queue.drain();
      this.#hub.close(new UnavailableError('the store is closed'));
      if (this.#journal !== undefined) {
        const journal = this.#journal;
        this.#scope.defer(() => this.#sweeping.then(() => journal.close()));
      }
    }
    await this.#scope[Symbol.asyncDispose]();
  }

  #commit(request: CommitRequest): Promise<CommitResult> {
    this.#checkOpen();
    const { conditions, operations } = request;
    checkCommit(request);
    for (const { key, modRevision } of conditions)
      if (modRevisionOf(this.#index.get(key)) !== modRevision) return this.#conflict(conditions);
    for (const operation of operations)
      if (operation.type === 'put' && operation.lease !== undefined && operation.lease !== 0n)
        if (!this.#leases.has(operation.lease)) throw new LeaseNotFoundError();
    const versions = this.#apply(operations, this.#assigned + 1);
    const revision = this.#assigned;
    const durable = this.#queue.add(versions, revision);
    const result: CommitResult = { succeeded: true, revision };
    return this.#journal === undefined ? Promise.resolve(result) : durable.then(() => result);
  }

  /** What the conditions met, once that is durable itself. */
  async #conflict(conditions: CommitRequest['conditions']): Promise<CommitResult> {
    const revision = this.#assigned;
    const found = conditions.map(({ key }) => {
      const head = this.#index.get(key);
      return isLive(head) ? this.#keyValue(head) : undefined;
    });
    await this.#queue.settled();
    return { succeeded: false, revision, current: found };
  }

  /** Applies operations to index, log and leases. Takes `revision` only if something changes. */
  #apply(operations: CommitRequest['operations'], revision: number): Version[] {
    const versions: Version[] = [];
    for (const operation of operations) {
      const head = this.#index.get(operation.key);
      if (operation.type === 'delete' && !isLive(head)) continue;
      const put = operation.type === 'put';
      const lease = put ? (operation.lease ?? 0n) : 0n;
      const value = put ? operation.value : undefined;
      const version = nextVersion(head, operation.key, revision, versions.length, value, lease);
      this.#index.set(version);
      this.#log.append(version);
      if (head !== undefined && head.lease !== 0n) this.#leases.detach(head.lease, head.key);
      if (lease !== 0n) this.#leases.attach(lease, version.key);
      versions.push(version);
    }
    if (versions.length > 0) this.#assigned = revision;
    return versions;
  }

  #becomeDurable(versions: readonly Version[], revision: number): void {
    this.#durable = revision;
    if (versions.length === 0) return;
    this.#hub.publish(versions);
    if (this.#journal !== undefined) for (const version of versions) version.value = undefined;
  }

  /** Undoes everything after the durable revision. */
  #takeBack(): void {
    for (
      let version = this.#log.popAfter(this.#durable);
      version !== undefined;
      version = this.#log.popAfter(this.#durable)
    ) {
      const { older } = version;
      if (version.lease !== 0n) this.#leases.detach(version.lease, version.key);
      if (older === undefined) this.#index.delete(version.key);
      else this.#index.set(older);
      if (older !== undefined && older.lease !== 0n) this.#leases.attach(older.lease, older.key);
    }
    this.#assigned = this.#durable;
  }

  /** Undefined when the wanted state was compacted away in the middle. */
  async #rangeAt(request: RangeRequest, revision: number): Promise<RangeResult | undefined> {
    const { start, end, limit = 0, keysOnly = false, countOnly = false } = request;
    const newest = revision === this.#durable;
    const items: KeyValue[] = [];
    let count = newest ? this.#countDurable(start, end) : 0;
    const done = (): RangeResult => ({ items, count, more: count > items.length && !countOnly, revision });
    if (countOnly && newest) return done();
    let turn = this.#clock.monotonic();
    for (let from: string | undefined = start; from !== undefined;) {
      let seen = 0;
      let next: string | undefined;
      this.#index.visit(from, end, (head) => {
        if (seen++ >= KEYS_PER_LOOK) {
          seen = 0;
          if (this.#clock.monotonic() - turn > LONGEST_TURN) {
            next = head.key;
            return false;
          }
        }
        const version = versionAt(head, revision);
        if (version === undefined) return true;
        if (!newest) count++;
        if (countOnly) return true;
        if (limit > 0 && items.length >= limit) return !newest; // only the count is still wanted
        items.push(keysOnly ? keyValueOf(version, NO_VALUE) : this.#keyValue(version));
        return true;
      });
      from = next;
      if (from === undefined) break;
      await this.#clock.yield();
      turn = this.#clock.monotonic();
      this.#checkOpen();
      if (this.#compacted > revision) return undefined;
    }
    return done();
  }

  /** Live keys at the durable revision: what the index counts, without what waits for the disk. */
  #countDurable(start: Key, end: Key): number {
    let count = this.#index.count(start, end);
    if (this.#assigned > this.#durable)
      this.#queue.visitWaiting(({ key, version, older }) => {
        if (key >= start && key < end) count -= Number(version > 0) - Number(isLive(older));
      });
    return count;
  }

  async #sweep(revision: number): Promise<void> {
    const sweep = this.#sweeping.then(() =>
      sweepCompacted(this.#index, revision, this.#clock, this.#scope.signal, this.#journal, this.#unremoved),
    );
    this.#sweeping = sweep.catch(() => undefined);
    await sweep;
  }

  #sweepFailed(error: unknown): void {
    this.#logger.warn('compacted versions could not be removed; the next start tries again', {
      error: errorMessage(error),
    });
  }

  #expire(id: bigint): void {
    if (this.#closed) return;
    this.#scope.run(this.revokeLease(id), (error) => {
      if (error instanceof LeaseNotFoundError) return; // revoked meanwhile
      this.#logger.warn('an expired lease could not be removed and is tried again', {
        lease: id,
        error: errorMessage(error),
      });
      this.#leases.retry(id, LEASE_RETRY_DELAY);
    });
  }

  #event(version: Version): StoreEvent {
    const kv = keyValueOf(version, isLive(version) ? this.#value(version) : NO_VALUE);
    const type = isLive(version) ? 'put' : 'delete';
    const { older } = version;
    return isLive(older) ? { type, kv, previous: this.#keyValue(older) } : { type, kv };
  }

  #keyValue(version: Version): KeyValue {
    return keyValueOf(version, this.#value(version));
  }

  #value(version: Version): Uint8Array {
    return version.value ?? (this.#journal as Journal).readValue(version);
  }

  #readRevision(wanted: number | undefined): number {
    if (wanted === undefined || wanted <= 0) return this.#durable;
    if (wanted > this.#durable) throw new FutureRevisionError();
    if (wanted < this.#compacted) throw new CompactedError(this.#compacted);
    return wanted;
  }

  #checkOpen(): void {
    if (this.#closed) throw new UnavailableError('the store is closed');
  }
}

function modRevisionOf(head: Version | undefined): number {
  return isLive(head) ? head.modRevision : 0;
}
