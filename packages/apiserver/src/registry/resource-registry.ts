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
import { compareVersionPriority, serviceUnavailable } from '@k8ts/apimachinery';
import { ResourceStorage, type StorageContext } from '../storage/resource-storage.ts';
import type { ObjectStats } from '../flowcontrol/work-estimate.ts';
import type { RequestInfo } from '../request/request-info.ts';
import type { CustomResource, CustomResourceVersion } from '../custom-resources/custom-resource.ts';
import { createCustomServedResource, createServedResource, type ServedResource } from './served-resource.ts';
import type { Strategy } from './contract.ts';
import type { SpecialHandler } from './special-subresources.ts';

export interface ResourceRegistryOptions {
  readonly storage: StorageContext;
  readonly strategies: readonly Strategy<KubeObject>[];
  readonly specialHandlers: readonly SpecialHandler[];
  /** Which of the tables' versions are served, by stage. Default: `stable`. */
  readonly stages?: readonly Stage[];
}

/** What upstream's registration controller gives the APIServices of custom resources. */
const CUSTOM_GROUP_PRIORITY = 1000;
const CUSTOM_VERSION_PRIORITY = 100;

/** All resources that this server serves, in all their versions. Those of custom resources come and go. */
export class ResourceRegistry {
  /** Grows when custom resources come, change or go: what was derived from the rows holds until then. */
  generation = 0;
  readonly #storageContext: StorageContext;
  readonly #builtin: readonly ApiGroupVersion[];
  /** By the name of their definition. */
  readonly #custom = new Map<string, CustomResource>();
  #groupVersions: readonly ApiGroupVersion[];
  readonly #served = new Map<string, ServedResource>();
  /** Rows without storage (reviews) included. */
  readonly #infos = new Map<string, ResourceInfo>();
  readonly #byGroupVersion = new Map<string, ResourceInfo[]>();
  readonly #storages = new Map<string, ResourceStorage>();
  /** Versions in which custom resources are stored and not served. */
  readonly #unserved = new Map<string, ServedResource>();
  /** Of custom resources, by the name of their definition. */
  readonly #customStorages = new Map<string, ReadonlySet<ResourceStorage>>();
  readonly #equivalents = new Map<string, ServedResource[]>();
  readonly #special = new Map<string, SpecialHandler>();

  constructor({ storage, strategies, specialHandlers, stages = ['stable'] }: ResourceRegistryOptions) {
    this.#storageContext = storage;
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
      this.#served.set(
        rowKey(info),
        createServedResource(info, resourceStorage, this.#equivalentsOf(storageKey)),
      );
    }
    this.#builtin = builtinGroupVersions.filter(({ group, version }) =>
      this.#byGroupVersion.has(`${group}/${version}`),
    );
    this.#groupVersions = this.#builtin;
  }

  /** Those that do not come and go. */
  get builtinGroupVersions(): readonly ApiGroupVersion[] {
    return this.#builtin;
  }

  /** Groups and versions with anything in them, in discovery's order. */
  get groupVersions(): readonly ApiGroupVersion[] {
    return this.#groupVersions;
  }

  /**
   * Serves a custom resource, in place of what its definition described before, whose watches end: clients watch again.
   * A group and version that is built in keeps its own resources only.
   */
  install(resource: CustomResource): void {
    this.#uninstall(resource.name);
    const { info, schema } = resource.storage;
    if (this.#storages.has(storageKeyOf(info))) return; // a built-in kind keeps its name
    this.#custom.set(resource.name, resource);
    const storages = this.#storagesOf(resource);
    this.#storages.set(storageKeyOf(info), storages.get(info.version) as ResourceStorage);
    this.#customStorages.set(resource.name, new Set(storages.values()));
    const equivalents: ServedResource[] = [];
    for (const version of resource.served) {
      if (this.#isBuiltin(version.info)) continue;
      const storage = storages.get(version.info.version) as ResourceStorage;
      const storageSchema = version.webhook === undefined ? schema : version.schema;
      this.#infos.set(rowKey(version.info), version.info);
      this.#served.set(
        rowKey(version.info),
        createCustomServedResource(version, storage, storageSchema, equivalents),
      );
    }
    // Nobody sees this one, and its objects have to be kept all the same.
    if (!resource.served.includes(resource.storage))
      this.#unserved.set(
        rowKey(info),
        createCustomServedResource(
          resource.storage,
          this.#storages.get(storageKeyOf(info)) as ResourceStorage,
          schema,
          [],
        ),
      );
    this.#customChanged();
  }

  /** By version: one for all, unless a webhook stands between them. Then each has what the store holds in its own form. */
  #storagesOf(resource: CustomResource): ReadonlyMap<string, ResourceStorage> {
    const { storage: main, served } = resource;
    const make = (version: CustomResourceVersion, strategy: Strategy<KubeObject>): ResourceStorage =>
      new ResourceStorage(
        version.info,
        strategy,
        (object) => resource.upgrade(object, version),
        this.#storageContext,
        true,
        version.webhook,
      );
    const versions = new Map([main, ...served].map((version) => [version.info.version, version]));
    const shared =
      main.webhook === undefined
        ? make(main, { ...main.strategy, selectableFields: resource.selectableFields })
        : undefined;
    return new Map([...versions].map(([name, version]) => [name, shared ?? make(version, version.strategy)]));
  }

  /** The custom resource is served no more; what is stored stays. */
  uninstall(name: string): void {
    if (this.#custom.has(name)) {
      this.#uninstall(name);
      this.#customChanged();
    }
  }

  /** By the name of its definition. */
  customResource(name: string): CustomResource | undefined {
    return this.#custom.get(name);
  }

  /** The version of a custom resource that serves a kind: its descriptions for OpenAPI. */
  customVersion(group: string, version: string, resource: string): CustomResourceVersion | undefined {
    return this.#custom
      .get(`${resource}.${group}`)
      ?.served.find(({ info }) => info.group === group && info.version === version);
  }

  /** Of a built-in resource, by its storage. */
  #equivalentsOf(storageKey: string): ServedResource[] {
    let list = this.#equivalents.get(storageKey);
    if (list === undefined) this.#equivalents.set(storageKey, (list = []));
    return list;
  }

  #uninstall(name: string): void {
    const resource = this.#custom.get(name);
    if (resource === undefined) return;
    this.#custom.delete(name);
    for (const storage of this.#customStorages.get(name) ?? []) storage.cache.close();
    this.#customStorages.delete(name);
    this.#storages.delete(storageKeyOf(resource.storage.info));
    this.#unserved.delete(rowKey(resource.storage.info));
    for (const { info } of resource.served) {
      if (this.#isBuiltin(info)) continue;
      this.#infos.delete(rowKey(info));
      this.#served.delete(rowKey(info));
    }
  }

  #isBuiltin({ group, version }: ResourceInfo): boolean {
    return this.#builtin.some((each) => each.group === group && each.version === version);
  }

  #customChanged(): void {
    this.generation++;
    const rows = [...this.#custom.values()]
      .flatMap(({ served }) => served.map(({ info }) => info))
      .filter((info) => !this.#isBuiltin(info))
      .sort((a, b) => compareRows(a, b));
    const isBuiltin = (key: string): boolean =>
      this.#builtin.some(({ group, version }) => `${group}/${version}` === key);
    for (const key of this.#byGroupVersion.keys()) if (!isBuiltin(key)) this.#byGroupVersion.delete(key);
    const custom: ApiGroupVersion[] = [];
    for (const info of rows) {
      const key = `${info.group}/${info.version}`;
      const list = this.#byGroupVersion.get(key);
      if (list !== undefined) {
        list.push(info);
        continue;
      }
      this.#byGroupVersion.set(key, [info]);
      custom.push({
        group: info.group,
        version: info.version,
        groupPriority: CUSTOM_GROUP_PRIORITY,
        versionPriority: CUSTOM_VERSION_PRIORITY,
      });
    }
    this.#groupVersions = [...this.#builtin, ...custom];
  }

  /** A resource that objects can be read from and written to. */
  served(group: string, version: string, resource: string): ServedResource | undefined {
    return this.#served.get(`${group}/${version}/${resource}`);
  }

  /** The same for the server itself, which also reads what it only stores. */
  kept(group: string, version: string, resource: string): ServedResource | undefined {
    return this.served(group, version, resource) ?? this.#unserved.get(`${group}/${version}/${resource}`);
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
    return new Set([...this.#storages.values(), ...this.#allCustomStorages()]);
  }

  /** What is built in has been read. Custom resources are read when somebody asks for them, if they can be. */
  get isLoaded(): boolean {
    const custom = new Set(this.#allCustomStorages());
    return [...this.#storages.values()].every((storage) => custom.has(storage) || storage.cache.loaded);
  }

  *#allCustomStorages(): Generator<ResourceStorage> {
    for (const storages of this.#customStorages.values()) yield* storages;
  }

  /** What strategies read: the newest state that this server knows. */
  lookUp<R extends KubeObject>(type: ResourceType<R>, namespace: string, name: string): R | undefined {
    const storage = this.#loaded(type);
    return storage.cache.records.get(storage.key(namespace, name))?.object as R | undefined;
  }

  lookUpAll<R extends KubeObject>(type: ResourceType<R>, namespace?: string): readonly R[] {
    const storage = this.#loaded(type);
    if (namespace !== undefined && storage.info.namespaced)
      return storage.cachedIn(namespace).map(({ object }) => object as R);
    const objects: R[] = [];
    for (const record of storage.cache.records.values())
      if (namespace === undefined || record.namespace === namespace) objects.push(record.object as R);
    return objects;
  }

  /** Grows with every change of an object of the type. */
  version(type: ResourceType<KubeObject>): number {
    return this.#loaded(type).cache.changes;
  }

  /** How much there is of what a request is about; undefined where that is not kept here. */
  stats({ group, version, resource }: RequestInfo): ObjectStats | undefined {
    const records = this.#served.get(`${group}/${version}/${resource}`)?.storage?.cache.records;
    if (records === undefined) return undefined;
    const [any] = records.values();
    return { count: records.size, averageSize: any?.bytes.length ?? 0 };
  }

  #loaded(type: ResourceType<KubeObject>): ResourceStorage {
    const storage = this.storage(type);
    if (storage === undefined) throw new Error(`${type.resource} is not a stored resource`);
    if (!storage.cache.loaded) {
      // Nobody may have asked for this custom resource before. Who comes again will find it.
      storage.cache.load().catch(() => undefined);
      throw serviceUnavailable(`storage is (re)initializing`);
    }
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

function storageKeyOf({ group, resource }: ResourceInfo): string {
  return `${group}/${resource}`;
}

/** By group, the preferred version first, then by name. */
function compareRows(a: ResourceInfo, b: ResourceInfo): number {
  if (a.group !== b.group) return a.group < b.group ? -1 : 1;
  return compareVersionPriority(a.version, b.version) || (a.resource < b.resource ? -1 : 1);
}
