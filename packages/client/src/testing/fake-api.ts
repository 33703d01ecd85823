import { builtinResources, schemaOf } from '@k8ts/api';
import type { KubeObject, ResourceType, metav1 } from '@k8ts/api';
import {
  SelectorError,
  applyJsonMergePatch,
  applyJsonPatch,
  applyStrategicMergePatch,
  badRequest,
  expired,
  formatGroupVersion,
  formatTime,
  methodNotSupported,
  notFound,
  unknownPath,
  unsupportedMediaType,
} from '@k8ts/apimachinery';
import { realClock } from '@k8ts/base';
import type { Clock } from '@k8ts/base';

import { createClient } from '../client.ts';
import type { Client } from '../contract.ts';
import { objectKey } from '../controller-ref.ts';
import type { ApiRequest, Transport, WatchEvent } from '../transport.ts';
import { FakeStore, selectionOf } from './fake-store.ts';
import type { StoredObject } from './fake-store.ts';
import { FakeWrites, resourceName } from './fake-writes.ts';
import type { DeleteRequest } from './fake-writes.ts';

/** A resource that the FakeApi serves. */
export interface FakeResource extends ResourceType<KubeObject> {
  readonly verbs: readonly string[];
  readonly subresources: readonly string[];
}

/** Sees each request first. Throw to make it fail; return an object to answer it; return undefined to let it pass. */
export type Interceptor = (request: ApiRequest) => unknown;

/**
 * A small API server in memory, for tests of what uses a Client: all built-in resources (and custom ones that are added),
 * with versions, conflicts, watches, finalizers, grace periods and status apart from spec, as the real one. It validates,
 * defaults and authorizes nothing, and has no server-side apply.
 */
export class FakeApi implements Transport {
  readonly client: Client;
  /** What was asked for, in order: `PUT /api/v1/…`. Watches are `WATCH /api/v1/…`. */
  readonly requests: string[] = [];
  readonly #clock: Clock;
  readonly #store = new FakeStore();
  readonly #writes: FakeWrites;
  readonly #resources = new Map<string, FakeResource>();
  readonly #interceptors = new Set<Interceptor>();

  constructor(options: { readonly clock?: Clock } = {}) {
    this.#clock = options.clock ?? realClock;
    this.#writes = new FakeWrites(this.#store, this.#clock);
    this.client = createClient(this);
    for (const info of builtinResources) {
      if (info.stage !== 'stable' || info.group === 'metrics.k8s.io') continue;
      this.addResource({ ...info, subresources: info.subresources.map(({ name }) => name) });
    }
  }

  /** Serves a further resource, as if by a CustomResourceDefinition. */
  addResource(resource: FakeResource): void {
    this.#resources.set(`${formatGroupVersion(resource)}/${resource.resource}`, resource);
  }

  removeResource(resource: ResourceType<KubeObject>): void {
    this.#resources.delete(`${formatGroupVersion(resource)}/${resource.resource}`);
  }

  /** Puts an object there as it is, status and all; server-set fields that are missing are filled in. */
  seed<T extends KubeObject>(type: ResourceType<T>, object: T): T {
    const complete = {
      apiVersion: formatGroupVersion(type),
      kind: type.kind,
      ...object,
      metadata: {
        uid: `uid-${type.resource}-${objectKey(object)}`,
        creationTimestamp: formatTime(this.#clock.now()),
        generation: 1,
        ...object.metadata,
      },
    };
    const stored = complete as unknown as StoredObject;
    return this.#store.put(resourceName(type), objectKey(object), stored) as unknown as T;
  }

  /** Reads without a request. */
  peek<T extends KubeObject>(type: ResourceType<T>, key: string): T | undefined {
    return this.#store.get(resourceName(type), key) as unknown as T | undefined;
  }

  /** All of a resource in the order of their keys, without a request. */
  all<T extends KubeObject>(type: ResourceType<T>): readonly T[] {
    return this.#store.list(resourceName(type), selectionOf(undefined, {})) as unknown as T[];
  }

  intercept(interceptor: Interceptor): Disposable {
    this.#interceptors.add(interceptor);
    return { [Symbol.dispose]: () => void this.#interceptors.delete(interceptor) };
  }

  /** Ends all watches, as a server that is restarted. */
  endWatches(): void {
    this.#store.endWatches();
  }

  /** Loses the events that nobody has read yet, as a connection that breaks. */
  dropPending(): void {
    this.#store.dropPending();
  }

  /** Forgets all history: watches can no longer be resumed (410). */
  compact(): void {
    this.#store.compact();
  }

  /** Sends every watcher a bookmark. */
  bookmark(): void {
    this.#store.bookmark();
  }

  /** Holds back watch events, so that caches fall behind, until `resumeWatches`. */
  pauseWatches(): void {
    this.#store.pause();
  }

  resumeWatches(): void {
    this.#store.resume();
  }

  get watcherCount(): number {
    return this.#store.watcherCount;
  }

  async request<T>(request: ApiRequest): Promise<T> {
    request.signal?.throwIfAborted();
    this.requests.push(`${request.method} ${request.path}`);
    await Promise.resolve(); // an answer never comes within the call
    for (const interceptor of this.#interceptors) {
      const answer = await interceptor(request);
      if (answer !== undefined) return answer as T;
    }
    return this.#answer(request) as T;
  }

  async watch<T>(request: ApiRequest): Promise<AsyncIterable<readonly WatchEvent<T>[]>> {
    request.signal?.throwIfAborted();
    this.requests.push(`WATCH ${request.path}`);
    await Promise.resolve();
    for (const interceptor of this.#interceptors) await interceptor(request);
    const { resource, namespace } = this.#route(request.path);
    const query = request.query ?? {};
    const initialEvents = query['sendInitialEvents'] === 'true';
    const version = query['resourceVersion'] ?? '';
    return this.#store.watch({
      resource: resourceName(resource),
      type: resource,
      selection: selection(namespace, query),
      from: initialEvents || version === '' || version === '0' ? undefined : Number(version),
      bookmarks: query['allowWatchBookmarks'] === 'true',
      initialEventsEnd: initialEvents,
      signal: request.signal,
    }) as AsyncIterable<readonly WatchEvent<unknown>[]> as AsyncIterable<readonly WatchEvent<T>[]>;
  }

  #answer(request: ApiRequest): unknown {
    const discovered = this.#discover(request.path);
    if (discovered !== undefined) return discovered;
    const { resource, namespace, name, subresource } = this.#route(request.path);
    const key = resource.namespaced ? `${namespace ?? ''}/${name ?? ''}` : (name ?? '');
    const body = request.body as StoredObject;
    const hasStatus = resource.subresources.includes('status');
    switch (request.method) {
      case 'GET':
        return name === undefined
          ? this.#list(resource, namespace, request.query ?? {})
          : this.#get(resource, key, name);
      case 'POST':
        if (subresource !== undefined) return this.#connect(resource, key, subresource, body);
        return this.#writes.create(resource, namespace, body);
      case 'PUT': {
        const part = subresource === 'status' || subresource === 'finalize' ? subresource : 'main';
        return this.#writes.update(resource, key, body, part, hasStatus);
      }
      case 'PATCH': {
        if (name === undefined) throw methodNotSupported(resource, 'patch');
        const patched = applyPatch(this.#get(resource, key, name), resource, request) as StoredObject;
        return this.#writes.update(
          resource,
          key,
          patched,
          subresource === 'status' ? 'status' : 'main',
          hasStatus,
        );
      }
      case 'DELETE': {
        const options = (request.body ?? {}) as DeleteRequest;
        if (name !== undefined) return this.#writes.delete(resource, key, options);
        const found = this.#store.list(resourceName(resource), selection(namespace, request.query ?? {}));
        for (const object of found) this.#writes.delete(resource, objectKey(object), options);
        return { apiVersion: 'v1', kind: 'Status', status: 'Success' };
      }
    }
  }

  #get(resource: FakeResource, key: string, name: string): StoredObject {
    const object = this.#store.get(resourceName(resource), key);
    if (object === undefined) throw notFound(resource, name);
    return object;
  }

  #list(
    resource: FakeResource,
    namespace: string | undefined,
    query: Readonly<Record<string, string>>,
  ): object {
    const items = this.#store.list(resourceName(resource), selection(namespace, query));
    // A page's token is the version and the position; a token of another version has expired.
    const [version = '', position = '0'] = (query['continue'] ?? '').split(':');
    if (version !== '' && version !== String(this.#store.version))
      throw expired('The provided continue parameter is too old to display a consistent list result.');
    const start = Number(position);
    const end = query['limit'] === undefined ? items.length : start + Number(query['limit']);
    return {
      apiVersion: formatGroupVersion(resource),
      kind: `${resource.kind}List`,
      metadata: {
        resourceVersion: String(this.#store.version),
        ...(end < items.length ? { continue: `${this.#store.version}:${end}` } : {}),
      },
      items: items.slice(start, end),
    };
  }

  #connect(resource: FakeResource, key: string, subresource: string, body: StoredObject): unknown {
    const pod = this.#store.get(resourceName(resource), key);
    if (pod === undefined) throw notFound(resource, key.slice(key.indexOf('/') + 1));
    if (subresource === 'eviction') {
      this.#writes.delete(resource, key, body['deleteOptions'] ?? {});
      return { apiVersion: 'v1', kind: 'Status', status: 'Success' };
    }
    if (subresource === 'binding') {
      const target = body['target'] as { readonly name?: string };
      const spec = { ...(pod['spec'] as object), nodeName: target.name };
      this.#writes.update(resource, key, { ...pod, spec }, 'main', true);
      return { apiVersion: 'v1', kind: 'Status', status: 'Success' };
    }
    throw methodNotSupported(resource, `create ${subresource}`);
  }

  #route(path: string): {
    readonly resource: FakeResource;
    readonly namespace: string | undefined;
    readonly name: string | undefined;
    readonly subresource: string | undefined;
  } {
    const parts = path.split('/').slice(1).map(decodeURIComponent);
    const groupVersion = parts[0] === 'api' ? parts[1] : `${parts[1] ?? ''}/${parts[2] ?? ''}`;
    const rest = parts.slice(parts[0] === 'api' ? 2 : 3);
    // `namespaces/x` is the object, `namespaces/x/pods` a resource in it, `namespaces/x/status` the object's part.
    const inside =
      rest[0] === 'namespaces' ? this.#resources.get(`${groupVersion ?? ''}/${rest[2] ?? ''}`) : undefined;
    if (inside !== undefined && inside.namespaced)
      return { resource: inside, namespace: rest[1], name: rest[3], subresource: rest[4] };
    const resource = this.#resources.get(`${groupVersion ?? ''}/${rest[0] ?? ''}`);
    if (resource === undefined) throw unknownPath();
    return { resource, namespace: undefined, name: rest[1], subresource: rest[2] };
  }

  #discover(path: string): object | undefined {
    const served = [...this.#resources.values()];
    const versions = (group: string): string[] => [
      ...new Set(served.filter((resource) => resource.group === group).map(({ version }) => version)),
    ];
    if (path === '/api') return { kind: 'APIVersions', versions: versions('') };
    if (path === '/apis') {
      const groups = [...new Set(served.map(({ group }) => group))].filter((group) => group !== '');
      return {
        apiVersion: 'v1',
        kind: 'APIGroupList',
        groups: groups.map((name) => ({
          name,
          versions: versions(name).map((version) => ({ groupVersion: `${name}/${version}`, version })),
        })),
      };
    }
    const match = /^\/(?:api\/([^/]+)|apis\/([^/]+\/[^/]+))$/.exec(path);
    if (match === null) return undefined;
    const groupVersion = match[1] ?? match[2] ?? '';
    const of = served.filter((resource) => formatGroupVersion(resource) === groupVersion);
    if (of.length === 0) throw unknownPath();
    const list: metav1.APIResourceList = {
      apiVersion: 'v1',
      kind: 'APIResourceList',
      groupVersion,
      resources: of.map(({ resource, kind, namespaced, verbs }) => ({
        name: resource,
        singularName: kind.toLowerCase(),
        kind,
        namespaced,
        verbs,
      })),
    };
    return list;
  }
}

function selection(namespace: string | undefined, query: Readonly<Record<string, string>>) {
  try {
    return selectionOf(namespace, query);
  } catch (error) {
    if (error instanceof SelectorError) throw badRequest(error.message);
    throw error;
  }
}

function applyPatch(
  target: StoredObject,
  resource: FakeResource,
  { body, contentType }: ApiRequest,
): unknown {
  const document = target as unknown as Parameters<typeof applyJsonMergePatch>[0];
  if (contentType === 'application/merge-patch+json') return applyJsonMergePatch(document, body);
  if (contentType === 'application/json-patch+json') return applyJsonPatch(document, body);
  const schema = schemaOf(resource.group, resource.version, resource.kind);
  if (contentType === 'application/strategic-merge-patch+json' && schema !== undefined)
    return applyStrategicMergePatch(document, body, schema);
  throw unsupportedMediaType(`the body of the request was in an unknown format - ${contentType ?? ''}`);
}
