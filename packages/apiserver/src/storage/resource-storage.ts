/**
 * One resource in the store, whatever versions it is served in: keys, bytes and compare-and-swap. Knows nothing of
 * requests; what is allowed and what changes is the registry's business.
 */
import type { Draft, KubeObject, ResourceInfo } from '@k8ts/api';
import { serverTimeout, timeout, type GroupResource, type StatusError } from '@k8ts/apimachinery';
import type { Clock, Logger } from '@k8ts/base';
import {
  LeaseNotFoundError,
  prefixEnd,
  UnavailableError,
  UnknownOutcomeError,
  type CommitResult,
  type Store,
} from '@k8ts/store';
import type { Strategy } from '../registry/contract.ts';
import type { StoreFeed } from '../watch-cache/store-feed.ts';
import { keySegment, registryPrefix, WatchCache } from '../watch-cache/watch-cache.ts';
import type { LeaseBuckets } from './lease-buckets.ts';
import { createObjectEncoding, encodeStored, type ObjectEncoding } from './object-encoding.ts';
import type { ObjectRecord, RecordFamily } from './object-record.ts';

export interface StorageContext {
  readonly store: Store;
  readonly feed: StoreFeed;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly leases: LeaseBuckets;
  readonly freeze: (object: KubeObject) => void;
}

/** Somebody was faster: what the key holds now. */
export class LostRace {
  readonly current: ObjectRecord | undefined;
  constructor(current: ObjectRecord | undefined) {
    this.current = current;
  }
}

export class ResourceStorage {
  /** In the storage version. */
  readonly info: ResourceInfo;
  readonly strategy: Strategy<KubeObject> | undefined;
  readonly encoding: ObjectEncoding;
  readonly cache: WatchCache;
  readonly prefix: string;
  readonly groupResource: GroupResource;
  readonly #context: StorageContext;

  constructor(
    info: ResourceInfo,
    strategy: Strategy<KubeObject> | undefined,
    upgrade: (object: KubeObject) => KubeObject,
    context: StorageContext,
    upgradeAll = false,
  ) {
    this.info = info;
    this.strategy = strategy;
    this.#context = context;
    this.groupResource = { group: info.group, resource: info.resource };
    this.encoding = createObjectEncoding(apiVersionOf(info), info.kind);
    this.prefix = registryPrefix(info.group, info.resource);
    const family: RecordFamily = {
      encoding: this.encoding,
      selectableFields: strategy?.selectableFields,
      upgrade,
      upgradeAll,
      freeze: context.freeze,
    };
    this.cache = new WatchCache({
      family,
      prefix: this.prefix,
      namespaced: info.namespaced,
      feed: context.feed,
      clock: context.clock,
      logger: context.logger,
    });
  }

  key(namespace: string, name: string): string {
    const last = keySegment(name);
    return this.info.namespaced ? `${this.prefix}${keySegment(namespace)}/${last}` : this.prefix + last;
  }

  /** What this server knows of one namespace, from its loaded cache; costs no more than what is there. */
  cachedIn(namespace: string): readonly ObjectRecord[] {
    const { records } = this.cache;
    if (records.size === 0) return [];
    const start = `${this.prefix}${keySegment(namespace)}/`;
    return records.range(start, prefixEnd(start));
  }

  /** The newest state: from the cache where that is never behind, else from the store. */
  get(namespace: string, name: string): ObjectRecord | undefined | Promise<ObjectRecord | undefined> {
    const key = this.key(namespace, name);
    if (!this.#context.store.exclusive) return this.getFromStore(key);
    const { cache } = this;
    if (cache.loaded) return cache.records.get(key);
    return cache.load().then(() => cache.records.get(key));
  }

  async getFromStore(key: string): Promise<ObjectRecord | undefined> {
    const kv = await this.#guard('get', () => this.#context.store.get(key));
    return kv === undefined ? undefined : this.cache.recordOf(kv);
  }

  /** `LostRace` when the key is taken. */
  create(key: string, object: Draft<KubeObject>): Promise<ObjectRecord | LostRace> {
    return this.#put(key, 0, object, encodeStored(this.encoding, object));
  }

  /** Gives the old record back when nothing would change; `LostRace` when `old` is no longer the newest. */
  update(old: ObjectRecord, object: Draft<KubeObject>): ObjectRecord | Promise<ObjectRecord | LostRace> {
    const stored = encodeStored(this.encoding, object);
    if (old.isStoredAs(stored)) return old;
    return this.#put(old.key, old.revision, object, stored);
  }

  /** Gives the last state, at the revision of its removal. */
  async delete(old: ObjectRecord): Promise<ObjectRecord | LostRace> {
    const result = await this.#guard('delete', () =>
      this.#context.store.commit({
        conditions: [{ key: old.key, modRevision: old.revision }],
        operations: [{ type: 'delete', key: old.key }],
      }),
    );
    return result.succeeded ? old.at(result.revision) : this.#lost(result);
  }

  async #put(
    key: string,
    modRevision: number,
    object: Draft<KubeObject>,
    stored: Buffer,
  ): Promise<ObjectRecord | LostRace> {
    const { cache } = this;
    const timeToLive = this.strategy?.timeToLive;
    const finished = cache.announce(key, stored, object);
    try {
      const result = await this.#commit(key, modRevision, stored, timeToLive);
      if (!result.succeeded) return this.#lost(result);
      const cached = cache.loaded ? cache.records.get(key) : undefined;
      if (cached?.revision === result.revision) return cached;
      return cache.recordOf(
        {
          key,
          value: stored,
          createRevision: result.revision,
          modRevision: result.revision,
          version: 1,
        },
        // The cache may have taken the object for another revision meanwhile; this record parses its own.
        undefined,
      );
    } finally {
      finished();
    }
  }

  async #commit(
    key: string,
    modRevision: number,
    stored: Buffer,
    timeToLive: number | undefined,
  ): Promise<CommitResult> {
    const { store, leases } = this.#context;
    const operation = modRevision === 0 ? 'create' : 'update';
    const attempt = async (): Promise<CommitResult> => {
      const lease = timeToLive === undefined ? undefined : await leases.leaseFor(timeToLive);
      return store.commit({
        conditions: [{ key, modRevision }],
        operations: [{ type: 'put', key, value: stored, ...(lease === undefined ? {} : { lease }) }],
      });
    };
    return this.#guard(operation, async () => {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof LeaseNotFoundError)) throw error;
        leases.forget();
        return attempt();
      }
    });
  }

  #lost(result: CommitResult & { readonly succeeded: false }): LostRace {
    const current = result.current[0];
    if (current === undefined) return new LostRace(undefined);
    const cached = this.cache.loaded ? this.cache.records.get(current.key) : undefined;
    return new LostRace(cached?.revision === current.modRevision ? cached : this.cache.recordOf(current));
  }

  async #guard<T>(operation: string, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      throw storeError(this.groupResource, operation, error);
    }
  }
}

/** What clients hear of a store that fails; everything else is passed through (and becomes a 500). */
export function storeError(resource: GroupResource, operation: string, error: unknown): unknown {
  if (error instanceof UnavailableError) return serverTimeout(resource, operation, 2);
  if (error instanceof UnknownOutcomeError) return unknownOutcome();
  return error;
}

function unknownOutcome(): StatusError {
  return timeout('request did not complete within requested timeout - context deadline exceeded');
}

export function apiVersionOf(info: { readonly group: string; readonly version: string }): string {
  return info.group === '' ? info.version : `${info.group}/${info.version}`;
}
