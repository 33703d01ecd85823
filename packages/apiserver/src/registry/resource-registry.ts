import {
  builtinGroupVersions,
  builtinResources,
  type ApiGroupVersion,
  type Draft,
  type KubeObject,
  type ResourceInfo,
  type ResourceType,
  type Stage,
} from '@k8ts/api';
import { serviceUnavailable } from '@k8ts/apimachinery';
import { ResourceStorage, type StorageContext } from '../storage/resource-storage.ts';
import { createServedResource, type ServedResource } from './served-resource.ts';
import type { Strategy } from './contract.ts';
import type { SpecialHandler } from './special-subresources.ts';

export interface ResourceRegistryOptions {
  readonly storage: StorageContext;
  readonly strategies: readonly Strategy<KubeObject>[];
  readonly specialHandlers: readonly SpecialHandler[];
  /** Which of the tables' versions are served, by stage. Default: `stable`. */
  readonly stages?: readonly Stage[];
}

/** All resources that this server serves, in all their versions. */
export class ResourceRegistry {
  /** Groups and versions with anything in them, in discovery's order. */
  readonly groupVersions: readonly ApiGroupVersion[];
  readonly #served = new Map<string, ServedResource>();
  /** Rows without storage (reviews) included. */
  readonly #infos = new Map<string, ResourceInfo>();
  readonly #byGroupVersion = new Map<string, ResourceInfo[]>();
  readonly #storages = new Map<string, ResourceStorage>();
  readonly #special = new Map<string, SpecialHandler>();

  constructor({ storage, strategies, specialHandlers, stages = ['stable'] }: ResourceRegistryOptions) {
    const byResource = new Map<string, Strategy<KubeObject>>();
    for (const strategy of strategies) {
      const { group, resource } = strategy.type;
      byResource.set(`${group}/${resource}`, strategy);
    }
    for (const handler of specialHandlers)
      this.#special.set(`${handler.group}/${handler.resource}/${handler.subresource}`, handler);

    const infos = builtinResources.filter(({ stage }) => stages.includes(stage));
    const rows = new Map(builtinResources.map((info) => [rowKey(info), info]));
    for (const info of infos) {
      this.#infos.set(rowKey(info), info);
      const groupVersion = `${info.group}/${info.version}`;
      const list = this.#byGroupVersion.get(groupVersion);
      if (list === undefined) this.#byGroupVersion.set(groupVersion, [info]);
      else list.push(info);
      if (!info.verbs.includes('list') || this.#special.has(`${info.group}/${info.resource}/`)) continue;
      const stored = { ...info.storage, resource: info.resource };
      const storageKey = `${stored.group}/${stored.resource}`;
      let resourceStorage = this.#storages.get(storageKey);
      if (resourceStorage === undefined) {
        const row = rows.get(rowKey(stored)) ?? info;
        resourceStorage = new ResourceStorage(
          row,
          byResource.get(storageKey),
          (object) => this.#upgrade(row, object),
          storage,
        );
        this.#storages.set(storageKey, resourceStorage);
      }
      this.#served.set(rowKey(info), createServedResource(info, resourceStorage));
    }
    this.groupVersions = builtinGroupVersions.filter(({ group, version }) =>
      this.#byGroupVersion.has(`${group}/${version}`),
    );
  }

  /** A resource that objects can be read from and written to. */
  served(group: string, version: string, resource: string): ServedResource | undefined {
    return this.#served.get(`${group}/${version}/${resource}`);
  }

  /** The table's row of anything that is served. */
  info(group: string, version: string, resource: string): ResourceInfo | undefined {
    return this.#infos.get(`${group}/${version}/${resource}`);
  }

  infosOf(group: string, version: string): readonly ResourceInfo[] {
    return this.#byGroupVersion.get(`${group}/${version}`) ?? [];
  }

  special(group: string, resource: string, subresource: string): SpecialHandler | undefined {
    return this.#special.get(`${group}/${resource}/${subresource}`);
  }

  /** Storage by group and resource, whatever version is asked for. */
  storage(type: ResourceType<KubeObject>): ResourceStorage | undefined {
    return (
      this.#served.get(`${type.group}/${type.version}/${type.resource}`)?.storage ??
      this.#storages.get(`${type.group}/${type.resource}`)
    );
  }

  storages(): Iterable<ResourceStorage> {
    return this.#storages.values();
  }

  /** What strategies read: the newest state that this server knows. */
  lookUp<R extends KubeObject>(type: ResourceType<R>, namespace: string, name: string): R | undefined {
    const storage = this.#loaded(type);
    return storage.cache.records.get(storage.key(namespace, name))?.object as R | undefined;
  }

  lookUpAll<R extends KubeObject>(type: ResourceType<R>, namespace?: string): readonly R[] {
    const { cache } = this.#loaded(type);
    const objects: R[] = [];
    for (const record of cache.records.values())
      if (namespace === undefined || record.namespace === namespace) objects.push(record.object as R);
    return objects;
  }

  /** Grows with every change of an object of the type. */
  version(type: ResourceType<KubeObject>): number {
    return this.#loaded(type).cache.changes;
  }

  #loaded(type: ResourceType<KubeObject>): ResourceStorage {
    const storage = this.storage(type);
    if (storage === undefined) throw new Error(`${type.resource} is not a stored resource`);
    if (!storage.cache.loaded) throw serviceUnavailable(`storage is (re)initializing`);
    return storage;
  }

  /** Objects that an older version of this program stored in another version. */
  #upgrade(row: ResourceInfo, object: KubeObject): KubeObject {
    const at = (object.apiVersion ?? '').lastIndexOf('/');
    const group = at < 0 ? '' : (object.apiVersion as string).slice(0, at);
    const version = (object.apiVersion ?? '').slice(at + 1);
    const served = this.#served.get(`${group}/${version}/${row.resource}`);
    const converted =
      served?.conversion === undefined
        ? object
        : served.conversion.toStorage(structuredClone(object) as Draft<KubeObject>);
    return {
      ...converted,
      apiVersion: row.group === '' ? row.version : `${row.group}/${row.version}`,
      kind: row.kind,
    };
  }
}

function rowKey(info: {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
}): string {
  return `${info.group}/${info.version}/${info.resource}`;
}
