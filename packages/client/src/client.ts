import type { KubeObject, New, ResourceType } from '@k8ts/api';

import type {
  Client,
  ClientWatchEvent,
  DeleteOptions,
  GetOptions,
  ListOptions,
  ObjectList,
  ResourceClient,
  WatchOptions,
  WriteOptions,
} from './contract.ts';
import { apiVersionOf, resourcePath } from './resource-path.ts';
import { METADATA_LIST_ONLY, METADATA_ONLY } from './transport.ts';
import type { ApiRequest, Transport } from './transport.ts';

type Query = Record<string, string>;

/** The typed client over any transport. It keeps no state and starts nothing. */
export function createClient(transport: Transport): Client {
  return {
    resource: (type, namespace) => resourceClient(transport, type, namespace),
    raw: (path, query, options) =>
      transport.request({
        method: 'GET',
        path,
        ...(options?.accept === undefined ? {} : { accept: options.accept }),
        ...withQuery({ ...query }),
        ...withSignal(options),
      }),
  };
}

function resourceClient<T extends KubeObject>(
  transport: Transport,
  type: ResourceType<T>,
  namespace: string | undefined,
): ResourceClient<T> {
  /** A single object of a namespaced type has one namespace: the client's, or that which the object itself names. */
  const pathOf = (name: string, subresource?: string, own?: string): string => {
    const inNamespace = namespace ?? own;
    if (type.namespaced && inNamespace === undefined)
      throw new TypeError(`a namespace is needed to address ${type.resource} "${name}"`);
    return resourcePath(type, { namespace: inNamespace, name, subresource });
  };
  const write = <R>(
    method: 'POST' | 'PUT',
    path: string,
    body: unknown,
    options: WriteOptions | undefined,
  ): Promise<R> =>
    transport.request<R>({
      method,
      path,
      body,
      ...withQuery(writeQuery(options)),
      ...withSignal(options),
    });

  return {
    get: async (name, options) =>
      transport.request<T>({
        method: 'GET',
        path: pathOf(name),
        ...(options?.metadataOnly === true ? { accept: METADATA_ONLY } : {}),
        ...withQuery(
          options?.resourceVersion === undefined ? {} : { resourceVersion: options.resourceVersion },
        ),
        ...withSignal(options),
      }),
    list: (options) =>
      transport.request<ObjectList<T>>({
        method: 'GET',
        path: resourcePath(type, { namespace }),
        ...(options?.metadataOnly === true ? { accept: METADATA_LIST_ONLY } : {}),
        ...withQuery(listQuery(options)),
        ...withSignal(options),
      }),
    watch: (options) =>
      transport.watch<T>({
        method: 'GET',
        path: resourcePath(type, { namespace }),
        ...(options?.metadataOnly === true ? { accept: METADATA_ONLY } : {}),
        query: watchQuery(options),
        ...withSignal(options),
      }) as Promise<AsyncIterable<readonly ClientWatchEvent<T>[]>>,
    create: async (object, options) => {
      const target = namespace ?? object.metadata.namespace;
      if (type.namespaced && target === undefined)
        throw new TypeError(`a namespace is needed to create ${type.resource}`);
      return write('POST', resourcePath(type, { namespace: target }), typed(type, object), options);
    },
    update: async (object, options) =>
      write(
        'PUT',
        pathOf(nameOf(object), undefined, object.metadata.namespace),
        typed(type, object),
        options,
      ),
    updateStatus: async (object, options) =>
      write('PUT', pathOf(nameOf(object), 'status', object.metadata.namespace), typed(type, object), options),
    patch: async (name, patch, options) =>
      transport.request<T>({
        method: 'PATCH',
        path: pathOf(name, options.subresource),
        body: patch,
        contentType: PATCH_TYPES[options.type],
        ...withQuery(writeQuery(options)),
        ...withSignal(options),
      }),
    apply: async (name, object, options) =>
      transport.request<T>({
        method: 'PATCH',
        path: pathOf(name, options.subresource),
        body: object,
        contentType: 'application/apply-patch+yaml',
        ...withQuery({ ...writeQuery(options), ...(options.force === true ? { force: 'true' } : {}) }),
        ...withSignal(options),
      }),
    delete: async (name, options) => {
      await transport.request({
        method: 'DELETE',
        path: pathOf(name),
        ...withBody(deleteBody(options)),
        ...withSignal(options),
      });
    },
    deleteCollection: async (options) => {
      await transport.request({
        method: 'DELETE',
        path: resourcePath(type, { namespace }),
        ...withBody(deleteBody(options)),
        ...withQuery(listQuery(options)),
        ...withSignal(options),
      });
    },
    createSubresource: async (name, subresource, body, options) =>
      write('POST', pathOf(name, subresource), body, options),
    getSubresource: async (name, subresource, options?: GetOptions) =>
      transport.request({ method: 'GET', path: pathOf(name, subresource), ...withSignal(options) }),
    updateSubresource: async (name, subresource, body, options) =>
      write('PUT', pathOf(name, subresource), body, options),
  };
}

const PATCH_TYPES = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
} as const;

/** apiVersion and kind are the type's; callers need not write them into every object. */
function typed<T extends KubeObject>(type: ResourceType<T>, object: T | New<T>): object {
  const { apiVersion, kind } = object as KubeObject;
  if (apiVersion !== undefined && kind !== undefined) return object;
  return { ...object, apiVersion: apiVersionOf(type), kind: type.kind };
}

function nameOf(object: KubeObject): string {
  const name = object.metadata.name;
  if (!name) throw new TypeError('an object without a name cannot be updated');
  return name;
}

function listQuery(options: ListOptions | undefined): Query {
  const query: Query = {};
  if (options === undefined) return query;
  if (options.labelSelector) query['labelSelector'] = options.labelSelector;
  if (options.fieldSelector) query['fieldSelector'] = options.fieldSelector;
  if (options.limit) query['limit'] = String(options.limit);
  if (options.continue) query['continue'] = options.continue;
  if (options.resourceVersion) query['resourceVersion'] = options.resourceVersion;
  if (options.resourceVersionMatch) query['resourceVersionMatch'] = options.resourceVersionMatch;
  return query;
}

function watchQuery(options: WatchOptions | undefined): Query {
  const query = listQuery(options);
  query['watch'] = 'true';
  if (options?.allowWatchBookmarks === true) query['allowWatchBookmarks'] = 'true';
  if (options?.sendInitialEvents !== undefined)
    query['sendInitialEvents'] = String(options.sendInitialEvents);
  if (options?.timeoutSeconds !== undefined) query['timeoutSeconds'] = String(options.timeoutSeconds);
  return query;
}

function writeQuery(options: WriteOptions | undefined): Query {
  const query: Query = {};
  if (options?.fieldManager !== undefined) query['fieldManager'] = options.fieldManager;
  if (options?.fieldValidation !== undefined) query['fieldValidation'] = options.fieldValidation;
  if (options?.dryRun === true) query['dryRun'] = 'All';
  return query;
}

function deleteBody(options: DeleteOptions | undefined): object | undefined {
  if (options === undefined) return undefined;
  const { gracePeriodSeconds, propagationPolicy, preconditions, dryRun } = options;
  if (
    gracePeriodSeconds === undefined &&
    propagationPolicy === undefined &&
    preconditions === undefined &&
    dryRun !== true
  )
    return undefined;
  return {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
    ...(propagationPolicy === undefined ? {} : { propagationPolicy }),
    ...(preconditions === undefined ? {} : { preconditions }),
    ...(dryRun === true ? { dryRun: ['All'] } : {}),
  };
}

function withBody(body: object | undefined): Pick<ApiRequest, 'body'> {
  return body === undefined ? {} : { body };
}

function withQuery(query: Query): Pick<ApiRequest, 'query'> {
  for (const _ in query) return { query };
  return {};
}

function withSignal(options: { readonly signal?: AbortSignal } | undefined): Pick<ApiRequest, 'signal'> {
  return options?.signal === undefined ? {} : { signal: options.signal };
}
