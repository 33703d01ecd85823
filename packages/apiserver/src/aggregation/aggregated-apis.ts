import { apiregistrationv1, type ApiGroupVersion } from '@k8ts/api';
import type { ObjectReader } from '../object-reader.ts';
import type { RequestContext } from '../request/request-context.ts';
import type { Result } from '../request/result.ts';
import type { APIService } from './api-service.ts';
import type { Aggregation, JsonObject, VersionDiscovery } from './contract.ts';
import { openApiDocument, type ExtensionDocuments } from './openapi/extension-documents.ts';
import { mergedSwagger } from './openapi/merge-swagger.ts';
import { proxy, type ProxyOptions } from './proxy.ts';

/** Always ours, and discovery's first (kube-aggregator/pkg/apiserver/handler_discovery.go). */
const OWN_GROUP = 'apiregistration.k8s.io';

/**
 * The APIServices as they are now, and what the controllers have learnt of the servers behind them. Without APIServices of
 * other servers a request costs one look at an empty map.
 */
export class AggregatedApis implements Aggregation {
  generation = 0;
  readonly #objects: ObjectReader;
  readonly #proxy: ProxyOptions;
  /** By name, all of them. */
  #apiServices: ReadonlyMap<string, APIService> = new Map();
  /** By `group/version`, those that other servers serve. */
  #remote: ReadonlyMap<string, APIService> | undefined;
  /** By the name of the APIService. */
  readonly #discovery = new Map<string, VersionDiscovery>();
  readonly #documents = new Map<string, ExtensionDocuments>();
  #swagger:
    { readonly own: JsonObject; readonly generation: number; readonly merged: JsonObject } | undefined;

  constructor(objects: ObjectReader, options: ProxyOptions) {
    this.#objects = objects;
    this.#proxy = options;
  }

  /** To be called whenever an APIService has come, changed or gone. */
  refresh(): void {
    const before = this.#shape();
    const all = this.#objects.list(apiregistrationv1.apiServices);
    this.#apiServices = new Map(all.map((each) => [each.metadata.name, each]));
    // Who could take this group away from us could not be told to give it back.
    const remote = all.filter(({ spec }) => spec.service !== undefined && spec.group !== OWN_GROUP);
    this.#remote = new Map(remote.map((each) => [keyOf(each), each]));
    for (const known of [this.#discovery, this.#documents])
      for (const name of known.keys())
        if (this.#apiServices.get(name)?.spec.service === undefined) known.delete(name);
    if (this.#shape() !== before) this.generation++;
  }

  /** Those that other servers serve. */
  get remote(): Iterable<APIService> {
    return this.#remotes().values();
  }

  get(name: string): APIService | undefined {
    return this.#apiServices.get(name);
  }

  setDiscovery(name: string, discovery: VersionDiscovery): void {
    if (JSON.stringify(this.#discovery.get(name)) === JSON.stringify(discovery)) return;
    this.#discovery.set(name, discovery);
    this.generation++;
  }

  setDocuments(name: string, documents: ExtensionDocuments): void {
    this.#documents.set(name, documents);
    this.generation++;
  }

  documents(name: string): ExtensionDocuments | undefined {
    return this.#documents.get(name);
  }

  route(context: RequestContext): Result | Promise<Result> | undefined {
    const remote = this.#remotes();
    if (remote.size === 0) return undefined;
    const apiService = remote.get(groupVersionOf(context));
    return apiService === undefined ? undefined : proxy(apiService, context, this.#proxy);
  }

  groupVersions(own: readonly ApiGroupVersion[]): readonly ApiGroupVersion[] {
    const remote = this.#remotes();
    const entries = own.map((entry) => this.#withPriority(entry));
    for (const { spec } of remote.values()) {
      const { group = '', version = '' } = spec;
      if (own.some((each) => each.group === group && each.version === version)) continue;
      entries.push(this.#withPriority({ group, version, groupPriority: 0, versionPriority: 0 }));
    }
    return entries;
  }

  discovery(group: string, version: string): VersionDiscovery | undefined {
    const apiService = this.#remotes().get(`${group}/${version}`);
    if (apiService === undefined) return undefined;
    return this.#discovery.get(apiService.metadata.name) ?? { version, freshness: 'Stale' };
  }

  swagger(own: JsonObject): JsonObject {
    if (this.#documents.size === 0) return own;
    const { generation } = this;
    if (this.#swagger?.own !== own || this.#swagger.generation !== generation) {
      const added: JsonObject[] = [];
      for (const { metadata } of byPriority([...this.remote])) {
        const swagger = this.#documents.get(metadata.name)?.swagger;
        if (swagger !== undefined) added.push(swagger);
      }
      this.#swagger = { own, generation, merged: mergedSwagger(own, added) };
    }
    return this.#swagger.merged;
  }

  openApiPaths(): Readonly<Record<string, { readonly serverRelativeURL: string }>> {
    return Object.assign({}, ...[...this.#documents.values()].map(({ paths }) => paths)) as Record<
      string,
      { readonly serverRelativeURL: string }
    >;
  }

  openApi(path: string, context: RequestContext): Result | Promise<Result> | undefined {
    for (const [name, documents] of this.#documents) {
      if (!Object.hasOwn(documents.paths, path)) continue;
      const apiService = this.#apiServices.get(name);
      if (apiService === undefined) continue;
      return openApiDocument(documents, context) ?? proxy(apiService, context, this.#proxy);
    }
    return undefined;
  }

  #remotes(): ReadonlyMap<string, APIService> {
    // The first request may come before anything has changed.
    if (this.#remote === undefined) this.refresh();
    return this.#remote as ReadonlyMap<string, APIService>;
  }

  #withPriority(entry: ApiGroupVersion): ApiGroupVersion {
    if (entry.group === OWN_GROUP) return { ...entry, groupPriority: Infinity };
    const spec = this.#apiServices.get(`${entry.version}.${entry.group}`)?.spec;
    if (spec === undefined) return entry;
    return {
      ...entry,
      groupPriority: spec.groupPriorityMinimum,
      versionPriority: spec.versionPriority,
    };
  }

  /** What discovery says of them. */
  #shape(): string {
    return JSON.stringify(
      [...this.#apiServices.values()].map(({ metadata, spec }) => [
        metadata.name,
        spec.groupPriorityMinimum,
        spec.versionPriority,
        spec.service,
      ]),
    );
  }
}

/** `group/version`; of the legacy API `/v1`. */
function keyOf({ spec: { group = '', version = '' } }: APIService): string {
  return `${group}/${version}`;
}

/** Of the path, whether it is about a resource or not. */
function groupVersionOf({ info, path }: RequestContext): string {
  if (info.isResourceRequest) return `${info.group}/${info.version}`;
  const [root, first = '', second = ''] = path.split('/').filter((part) => part !== '');
  if (root === 'api') return '/v1';
  return root === 'apis' && second !== '' ? `${first}/${second}` : '';
}

/** The group with the highest priority first (kube-aggregator/pkg/controllers/openapi/aggregator/priority.go). */
function byPriority(apiServices: readonly APIService[]): APIService[] {
  const groups = new Map<string, number>();
  for (const { spec } of apiServices)
    groups.set(spec.group ?? '', Math.max(groups.get(spec.group ?? '') ?? 0, spec.groupPriorityMinimum));
  const priority = ({ spec }: APIService): number => groups.get(spec.group ?? '') ?? 0;
  return [...apiServices].sort(
    (a, b) => priority(b) - priority(a) || (a.metadata.name < b.metadata.name ? -1 : 1),
  );
}
