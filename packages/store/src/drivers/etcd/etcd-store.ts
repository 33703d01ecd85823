import { type Clock, type Logger, Scope, silentLogger } from '@k8ts/base';

import {
  type CommitRequest,
  type CommitResult,
  CompactedError,
  type Key,
  type KeyValue,
  type Lease,
  LeaseNotFoundError,
  type LeaseStatus,
  type Operation,
  type RangeRequest,
  type RangeResult,
  type Store,
  UnavailableError,
  type WatchHandle,
  type WatchRequest,
} from '../../contract.ts';
import { checkCommit, checkLeaseTtl } from '../../mvcc/check-request.ts';
import { backOff, EtcdConnection, type EtcdTls, toStoreError } from './connection.ts';
import { keyBytes, keyValue, startBytes } from './key-value.ts';
import {
  COMPACT,
  COMPARE_EQUAL,
  COMPARE_MOD,
  fromBigInt,
  LEASE_GRANT,
  LEASE_KEEP_ALIVE,
  LEASE_LEASES,
  LEASE_REVOKE,
  LEASE_TIME_TO_LIVE,
  type LeaseMessage,
  RANGE,
  type RangeResponseMessage,
  type RequestOpMessage,
  STATUS,
  toBigInt,
  toNumber,
  TXN,
} from './messages.ts';
import { WatchClient } from './watch-stream.ts';

export interface EtcdStoreOptions {
  /** `http://a:2379,http://b:2379`, or the parts of it; `https` for TLS. */
  readonly endpoints: string | readonly string[];
  readonly tls?: EtcdTls;
  readonly clock: Clock;
  readonly logger?: Logger;
  /** How long to try to reach a member before `openEtcdStore` gives up. Milliseconds; default 10,000. */
  readonly connectTimeout?: number;
}

/** Bytes of one answer that a big range is read in, about; one answer holds that many keys at most. */
const PAGE_BYTES = 8 * 2 ** 20;
const FIRST_PAGE = 500;
const LARGEST_PAGE = 10_000;
const KEEP_ALIVE_TIMEOUT = 10_000;

/** A store in an etcd cluster, 3.4 or later. Throws `UnavailableError` when no member answers. */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<Store> {
  const { clock, logger = silentLogger, connectTimeout = 10_000 } = options;
  const connection = new EtcdConnection({ endpoints: options.endpoints, tls: options.tls, clock });
  const never = new AbortController().signal;
  const deadline = clock.monotonic() + connectTimeout;
  for (let attempt = 0; ; attempt++) {
    try {
      const versions = (await connection.askAll(STATUS, {})).map(({ version }) => version);
      logger.info('etcd answers', { endpoints: connection.endpoints, versions });
      return new EtcdStore(connection, clock, logger, versions.every(answersProgress));
    } catch (error) {
      if (clock.monotonic() >= deadline) {
        connection[Symbol.dispose]();
        throw new UnavailableError(
          `no etcd answers at ${connection.endpoints}: ${(error as Error).message}`,
          {
            cause: error,
          },
        );
      }
      await backOff(clock, attempt, never);
    }
  }
}

/**
 * Older members must not be asked for progress: their answer may run ahead of events they have not sent yet
 * (etcd-io/etcd issue 15220), or not come at all (issue 17507). The versions are those Kubernetes asks for
 * (k8s.io/apiserver/pkg/storage/feature).
 */
export function answersProgress(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.-]/).map(Number);
  if (major !== 3) return major > 3;
  if (minor === 4) return patch >= 31;
  if (minor === 5) return patch >= 13;
  return minor > 5;
}

class EtcdStore implements Store {
  readonly exclusive = false;
  readonly answersProgressRequests: boolean;
  readonly #connection: EtcdConnection;
  readonly #clock: Clock;
  readonly #watches: WatchClient;
  readonly #scope = new Scope();

  constructor(connection: EtcdConnection, clock: Clock, logger: Logger, progress: boolean) {
    this.answersProgressRequests = progress;
    this.#connection = this.#scope.use(connection);
    this.#clock = clock;
    this.#watches = this.#scope.use(
      new WatchClient({
        connection,
        clock,
        logger,
        answersProgress: progress,
        newestRevision: () => this.revision(),
      }),
    );
  }

  async revision(): Promise<number> {
    const { header } = await this.#connection.read(RANGE, { key: Buffer.of(0), countOnly: true });
    return toNumber(header.revision);
  }

  async get(key: Key, options?: { readonly revision?: number }): Promise<KeyValue | undefined> {
    if (key === '') return undefined; // etcd has no such key, and refuses to look for it
    const { kvs } = await this.#range({ key: keyBytes(key), revision: options?.revision ?? 0 });
    const found = kvs[0];
    return found && keyValue(found);
  }

  async range(request: RangeRequest): Promise<RangeResult> {
    for (;;) {
      try {
        return await this.#rangeInPages(request);
      } catch (error) {
        // Between two pages of a read of "now", "now" was compacted away: there is a newer one.
        if (error instanceof CompactedError && (request.revision ?? 0) <= 0) continue;
        throw error;
      }
    }
  }

  async commit(request: CommitRequest): Promise<CommitResult> {
    checkCommit(request);
    const { conditions, operations } = request;
    const response = await this.#connection.write(TXN, {
      compare: conditions.map(({ key, modRevision }) => ({
        result: COMPARE_EQUAL,
        target: COMPARE_MOD,
        key: keyBytes(key),
        modRevision,
      })),
      success: operations.map(requestOp),
      failure: conditions.map(({ key }) => ({ requestRange: { key: keyBytes(key) } })),
    });
    const revision = toNumber(response.header.revision);
    if (response.succeeded) return { succeeded: true, revision };
    const current = response.responses.map(({ responseRange }) => {
      const found = responseRange?.kvs[0];
      return found && keyValue(found);
    });
    return { succeeded: false, revision, current };
  }

  watch(request: WatchRequest): WatchHandle {
    return this.#watches.watch(request);
  }

  async compact(revision: number): Promise<void> {
    try {
      await this.#connection.write(COMPACT, { revision });
    } catch (error) {
      throw error instanceof CompactedError ? await this.#compactedError() : error;
    }
  }

  async grantLease(ttl: number, id: bigint = 0n): Promise<Lease> {
    checkLeaseTtl(ttl);
    const request = { ID: fromBigInt(id), TTL: Math.max(1, Math.ceil(ttl)) };
    const lease = await this.#connection.write(LEASE_GRANT, request);
    return { id: toBigInt(lease.ID), ttl: toNumber(lease.TTL) };
  }

  async keepLeaseAlive(id: bigint): Promise<Lease> {
    const { TTL } = await this.#keepAlive(id);
    const ttl = toNumber(TTL);
    if (ttl <= 0) throw new LeaseNotFoundError();
    return { id, ttl };
  }

  async revokeLease(id: bigint): Promise<void> {
    await this.#connection.write(LEASE_REVOKE, { ID: fromBigInt(id) });
  }

  async leases(): Promise<readonly LeaseStatus[]> {
    const { leases } = await this.#connection.read(LEASE_LEASES, {});
    const found: LeaseStatus[] = [];
    for (const { ID } of leases) {
      const lease = await this.#connection.read(LEASE_TIME_TO_LIVE, { ID, keys: true });
      const remaining = toNumber(lease.TTL);
      if (remaining < 0) continue; // gone meanwhile
      const keys = lease.keys.map((key) => key.toString('latin1')).sort();
      found.push({ id: toBigInt(ID), ttl: toNumber(lease.grantedTTL), remaining, keys });
    }
    return found.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope[Symbol.asyncDispose]();
  }

  /** One page after the other, all at the revision of the first. */
  async #rangeInPages({
    start,
    end,
    revision: wanted = 0,
    limit = 0,
    keysOnly = false,
    countOnly = false,
  }: RangeRequest): Promise<RangeResult> {
    const rangeEnd = keyBytes(end);
    let revision = Math.max(0, wanted);
    if (start >= end)
      return { items: [], count: 0, more: false, revision: revision || (await this.revision()) };
    const items: KeyValue[] = [];
    let count: number | undefined;
    let key = startBytes(start);
    for (let page = FIRST_PAGE; ;) {
      const left = limit > 0 ? limit - items.length : Infinity;
      const request = { key, rangeEnd, revision, limit: Math.min(left, page), keysOnly, countOnly };
      const response = await this.#range(request);
      count ??= toNumber(response.count);
      if (revision === 0) revision = toNumber(response.header.revision);
      for (const kv of response.kvs) items.push(keyValue(kv));
      const last = response.kvs[response.kvs.length - 1];
      if (countOnly || !response.more || items.length === limit || last === undefined) break;
      key = Buffer.concat([last.key, Buffer.of(0)]);
      page = nextPage(response);
    }
    return { items, count, more: count > items.length && !countOnly, revision };
  }

  async #range(request: Parameters<typeof RANGE.serialize>[0]): Promise<RangeResponseMessage> {
    try {
      return await this.#connection.read(RANGE, request);
    } catch (error) {
      throw error instanceof CompactedError ? await this.#compactedError() : error;
    }
  }

  /** etcd says where it was compacted only to watches. */
  #compactedError(): Promise<CompactedError> {
    return new Promise((resolve) => {
      const watch = this.watch({
        start: '\0',
        end: '\0\0',
        startRevision: 1,
        onEvents: () => undefined,
        onEnd: (error) => {
          cancel();
          resolve(error instanceof CompactedError ? error : new CompactedError(0));
        },
      });
      const cancel = this.#clock.setTimeout(() => watch.close(), KEEP_ALIVE_TIMEOUT);
    });
  }

  #keepAlive(id: bigint): Promise<LeaseMessage> {
    return new Promise((resolve, reject) => {
      const stream = this.#connection.stream(LEASE_KEEP_ALIVE);
      const cancel = this.#clock.setTimeout(() => {
        reject(new UnavailableError('etcd did not answer in time'));
        stream.cancel();
      }, KEEP_ALIVE_TIMEOUT);
      const finish = (settle: () => void): void => {
        cancel();
        settle();
      };
      stream.on('data', (lease: LeaseMessage) => {
        finish(() => resolve(lease));
        stream.cancel();
      });
      stream.on('error', (error) => finish(() => reject(toStoreError(error, false))));
      stream.on('end', () => finish(() => reject(new UnavailableError('etcd: the stream ended'))));
      stream.write({ ID: fromBigInt(id) });
    });
  }
}

function requestOp(operation: Operation): RequestOpMessage {
  const key = keyBytes(operation.key);
  if (operation.type === 'delete') return { requestDeleteRange: { key } };
  return { requestPut: { key, value: operation.value, lease: fromBigInt(operation.lease ?? 0n) } };
}

/** As many keys as should fill a page, judging by the last one. */
function nextPage({ kvs }: RangeResponseMessage): number {
  let bytes = 0;
  for (const { key, value } of kvs) bytes += key.length + value.length + 32;
  return Math.min(LARGEST_PAGE, Math.max(1, Math.floor((PAGE_BYTES * kvs.length) / bytes)));
}
