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
  type KeyValue,
  type Store,
} from '@k8ts/store';
import type { Strategy } from '../registry/contract.ts';
import type { StoreFeed } from '../watch-cache/store-feed.ts';
import { keySegment, registryPrefix, WatchCache } from '../watch-cache/watch-cache.ts';
import type { LeaseBuckets } from './lease-buckets.ts';
import { createObjectEncoding, encodeStored, type ObjectEncoding } from './object-encoding.ts';
import type { ObjectRecord, RecordFamily } from './object-record.ts';
import { RecordReader, type StoredConversion } from './record-reader.ts';

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
  readonly #reader: RecordReader;
  /** Only where conversion takes asking somebody: such versions of a resource have storages of their own. */
  readonly #conversion: StoredConversion | undefined;
  /** What the store held when a record was read that is shown in another version. */
  readonly #sources = new WeakMap<ObjectRecord, Uint8Array>();

  constructor(
    info: ResourceInfo,
    strategy: Strategy<KubeObject> | undefined,
    upgrade: (object: KubeObject) => KubeObject,
    context: StorageContext,
    upgradeAll = false,
    conversion?: StoredConversion,
  ) {
    this.info = info;
    this.strategy = strategy;
    this.#context = context;
    this.#conversion = conversion;
    this.groupResource = { group: info.group, resource: info.resource };
    this.encoding = createObjectEncoding(apiVersionOf(info), info.kind);
    this.prefix = registryPrefix(info.group, info.resource);
    const family: RecordFamily = {
      encoding: this.encoding,
      selectableFields: strategy?.selectableFields,
      upgrade,
      upgradeAll,
      isForeign:
        conversion !== undefined && conversion.storedEncoding.apiVersion !== this.encoding.apiVersion,
      freeze: context.freeze,
    };
    this.#reader = new RecordReader(family, this.prefix, info.namespaced, conversion);
    this.cache = new WatchCache({
      reader: this.#reader,
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

  /** Objects are stored as this version shows them. */
  get #isStored(): boolean {
    return !this.#reader.family.isForeign;
  }

  /**
   * The newest state: from the cache where that is never behind, else from the store. A version that is not the stored one
   * is converted anew each time.
   */
  get(namespace: string, name: string): ObjectRecord | undefined | Promise<ObjectRecord | undefined> {
    const key = this.key(namespace, name);
    const { cache } = this;
    if (!this.#context.store.exclusive || !this.#isStored) return this.getFromStore(key);
    if (cache.isCurrent) return cache.records.get(key);
    // One object that cannot be converted must not stand before all the others.
    if (this.#conversion !== undefined) {
      cache.warm();
      return this.getFromStore(key);
    }
    return cache.load().then(() => cache.records.get(key));
  }

  async getFromStore(key: string): Promise<ObjectRecord | undefined> {
    const kv = await this.#guard('get', () => this.#context.store.get(key));
    return kv === undefined ? undefined : this.#read(kv);
  }

  async #read(kv: KeyValue): Promise<ObjectRecord> {
    if (this.#isStored && !this.#reader.mustConvert(kv)) return this.#reader.read(kv);
    const [record] = (await this.#reader.readAll([kv])) as [ObjectRecord];
    this.#sources.set(record, kv.value);
    return record;
  }

  /** `LostRace` when the key is taken. */
  create(key: string, object: Draft<KubeObject>): Promise<ObjectRecord | LostRace> {
    if (!this.#isStored) return this.#convertAndPut(key, undefined, object);
    return this.#put(key, 0, object, encodeStored(this.encoding, object));
  }

  /** Gives the old record back when nothing would change; `LostRace` when `old` is no longer the newest. */
  update(old: ObjectRecord, object: Draft<KubeObject>): ObjectRecord | Promise<ObjectRecord | LostRace> {
    if (!this.#isStored) return this.#convertAndPut(old.key, old, object);
    const stored = encodeStored(this.encoding, object);
    if (old.isStoredAs(stored)) return old;
    return this.#put(old.key, old.revision, object, stored);
  }

  /** What a write of this object would answer, for dry runs: conversion may lose something, or refuse. */
  preview(object: KubeObject): KubeObject | Promise<KubeObject> {
    const conversion = this.#conversion;
    if (conversion === undefined || this.#isStored) return object;
    return conversion
      .toStored(unversioned(object))
      .then((stored) => conversion.fromStored([stored]))
      .then(([shown]) => withVersionOf(object, shown as KubeObject));
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

  /** The answer is what the store has been given, converted back. */
  async #convertAndPut(
    key: string,
    old: ObjectRecord | undefined,
    object: KubeObject,
  ): Promise<ObjectRecord | LostRace> {
    const conversion = this.#conversion as StoredConversion;
    const converted = await conversion.toStored(unversioned(object));
    const stored = encodeStored(conversion.storedEncoding, converted);
    const source = old === undefined ? undefined : this.#sources.get(old);
    if (old !== undefined && source !== undefined && stored.equals(source)) return old;
    const result = await this.#commit(key, old?.revision ?? 0, stored, this.strategy?.timeToLive);
    return result.succeeded ? this.#read(written(key, stored, result.revision)) : this.#lost(result);
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
      // The cache may have taken the object for another revision meanwhile; this record parses its own.
      return this.#reader.read(written(key, stored, result.revision));
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

  async #lost(result: CommitResult & { readonly succeeded: false }): Promise<LostRace> {
    const current = result.current[0];
    if (current === undefined) return new LostRace(undefined);
    const cached = this.cache.loaded ? this.cache.records.get(current.key) : undefined;
    const isKnown = this.#isStored && cached?.revision === current.modRevision;
    return new LostRace(isKnown ? cached : await this.#read(current));
  }

  async #guard<T>(operation: string, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      throw storeError(this.groupResource, operation, error);
    }
  }
}

function written(key: string, value: Uint8Array, revision: number): KeyValue {
  return { key, value, createRevision: revision, modRevision: revision, version: 1 };
}

/** As it is stored: without resource version. */
function unversioned(object: KubeObject): KubeObject {
  const { resourceVersion: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}

function withVersionOf({ metadata: { resourceVersion } }: KubeObject, object: KubeObject): KubeObject {
  return resourceVersion === undefined
    ? object
    : { ...object, metadata: { ...object.metadata, resourceVersion } };
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
