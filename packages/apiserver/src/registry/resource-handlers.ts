/** From a resource request to the operation of the generic registry, and from there to a result. */
import type { Draft, KubeObject, ResourceInfo } from '@k8ts/api';
import { badRequest, methodNotSupported, notFound, unknownPath } from '@k8ts/apimachinery';
import type { Clock } from '@k8ts/base';
import type { Store } from '@k8ts/store';
import type { RequestContext } from '../request/request-context.ts';
import { objectResult, type Result } from '../request/result.ts';
import { check } from '../steps/authorize.ts';
import { createObject } from './generic/create.ts';
import { decodeBody, readBody, type Body } from './generic/decode.ts';
import { deleteObject, validateDeleteOptions, type Deleted, type DeleteOptions } from './generic/delete.ts';
import { deleteCollection } from './generic/delete-collection.ts';
import { deleteOptionsOf } from './generic/delete-options.ts';
import { list, type ListScope } from './generic/list.ts';
import { dedupOwnerReferences, ensureNamespace, wipeSystemFields } from './generic/object-rules.ts';
import { listParameters, parseResourceVersion, writeOptions, type WriteOptions } from './generic/options.ts';
import type { RegistryServices, WriteScope } from './generic/scope.ts';
import { updateObject } from './generic/update.ts';
import { watch } from './generic/watch.ts';
import type { ResourceRegistry } from './resource-registry.ts';
import { toServed, type ServedResource } from './served-resource.ts';

export interface ResourceHandlers {
  readonly registry: ResourceRegistry;
  readonly services: RegistryServices;
  readonly store: Store;
  readonly clock: Clock;
}

export function handleResource(
  handlers: ResourceHandlers,
  context: RequestContext,
): Result | Promise<Result> {
  const { info } = context;
  const { registry } = handlers;
  const row = registry.info(info.group, info.version, info.resource);
  if (row === undefined) throw unknownPath();
  const served = registry.served(info.group, info.version, info.resource);
  if (served === undefined || info.subresource !== '') throw unknownPath();
  checkScope(row, context);
  const verb = row.verbs.includes(info.verb) ? info.verb : '';
  switch (verb) {
    case 'get':
      return get(handlers, served, context);
    case 'list':
      return list(listScope(handlers, served, context), listParameters(context.query, false));
    case 'watch':
      return watch(
        { ...listScope(handlers, served, context), random: handlers.services.random },
        listParameters(context.query, true),
      );
    case 'create':
      return create(handlers, served, context);
    case 'update':
      return update(handlers, served, context);
    case 'delete':
      return remove(handlers, served, context);
    case 'deletecollection':
      return removeCollection(handlers, served, context);
    default:
      throw methodNotSupported(served.groupResource, info.verb === '' ? context.method : info.verb);
  }
}

/** Namespaced objects live under their namespace; only collections may leave it out. */
function checkScope(row: ResourceInfo, { info }: RequestContext): void {
  if (!row.namespaced) {
    if (info.namespace !== '' && row.resource !== 'namespaces') throw unknownPath();
    return;
  }
  if (info.namespace !== '') return;
  const isCollection = info.verb === 'list' || info.verb === 'watch' || info.verb === 'deletecollection';
  if (!isCollection) throw unknownPath();
}

/** Namespaces are named by the part of the path that holds the namespace of everything else. */
function namespaceOf(served: ServedResource, { info }: RequestContext): string {
  return served.info.namespaced ? info.namespace : '';
}

function listScope(
  { store, clock }: ResourceHandlers,
  served: ServedResource,
  context: RequestContext,
): ListScope {
  return {
    served,
    store,
    clock,
    namespace: namespaceOf(served, context),
    name: context.info.watchPrefix ? context.info.name : '',
  };
}

export function writeScope(
  { services }: ResourceHandlers,
  served: ServedResource,
  context: RequestContext,
  options: { readonly dryRun: boolean; readonly wire: Readonly<Record<string, unknown>> },
  subresource = '',
): WriteScope {
  return {
    services,
    served,
    subresource,
    namespace: namespaceOf(served, context),
    name: context.info.name,
    user: context.user,
    dryRun: options.dryRun,
    options: options.wire,
    admit: true,
    warn: (message) => context.warn(message),
  };
}

function get(
  { store }: ResourceHandlers,
  served: ServedResource,
  context: RequestContext,
): Result | Promise<Result> {
  const { name } = context.info;
  const namespace = namespaceOf(served, context);
  const { storage } = served;
  const answer = (record: Awaited<ReturnType<typeof storage.get>>): Result => {
    if (record === undefined) throw notFound(served.groupResource, name);
    return { kind: 'record', code: 200, served, record };
  };
  const version = context.query.get('resourceVersion');
  if (version !== undefined && version !== '') {
    // "0" and "not older than": what the cache has, once it has seen so much.
    const revision = parseResourceVersion(version);
    const { cache } = storage;
    const fromCache = (): Result => answer(cache.records.get(storage.key(namespace, name)));
    if (cache.loaded && revision <= cache.revision) return fromCache();
    return cache
      .load()
      .then(() => cache.waitFor(revision))
      .then(fromCache);
  }
  void store;
  const record = storage.get(namespace, name);
  return record instanceof Promise ? record.then(answer) : answer(record);
}

/** Decodes, and brings the object into the storage version. */
export function decodeObjectBody(
  served: ServedResource,
  body: Body,
  options: WriteOptions,
  context: RequestContext,
): Draft<KubeObject> {
  const draft = decodeBody<KubeObject>(
    body,
    { apiVersion: served.apiVersion, kind: served.info.kind, schema: served.schema() },
    options.fieldValidation,
    (message) => context.warn(message),
  );
  return toStorageVersion(served, draft);
}

export function toStorageVersion(served: ServedResource, draft: Draft<KubeObject>): Draft<KubeObject> {
  const { storage, strategy, conversion } = served;
  let stored = draft;
  if (served.encoding !== storage.encoding) {
    stored = conversion === undefined ? draft : conversion.toStorage(draft);
    stored.apiVersion = storage.encoding.apiVersion;
    stored.kind = storage.info.kind;
  }
  strategy?.setDefaults?.(stored);
  return stored;
}

async function create(
  handlers: ResourceHandlers,
  served: ServedResource,
  context: RequestContext,
): Promise<Result> {
  const body = await readBody(context);
  const options = writeOptions(context.query, 'CreateOptions');
  const draft = decodeObjectBody(served, body, options, context);
  const { metadata } = draft;
  const scope = writeScope(handlers, served, context, options);
  wipeSystemFields(metadata);
  ensureNamespace(metadata, scope.namespace);
  dedupOwnerReferences(metadata, false, scope.warn);
  // Admission sees a namespace as being inside itself.
  const isNamespace = served.info.resource === 'namespaces' && served.info.group === '';
  const written = await createObject(
    isNamespace ? { ...scope, namespace: metadata.name ?? '' } : scope,
    draft,
  );
  return resultOf(served, written, 201);
}

export function resultOf(
  served: ServedResource,
  written: { readonly record?: unknown; readonly object?: unknown },
  code: number,
): Result {
  if (written.record !== undefined) return { kind: 'record', code, served, record: written.record as never };
  return objectResult(toServed(served, written.object as KubeObject), code, served);
}

async function update(
  handlers: ResourceHandlers,
  served: ServedResource,
  context: RequestContext,
): Promise<Result> {
  const body = await readBody(context);
  const options = writeOptions(context.query, 'UpdateOptions');
  const scope = writeScope(handlers, served, context, options);
  let first: Draft<KubeObject> | undefined = decodeObjectBody(served, body, options, context);
  const { metadata } = first;
  ensureNamespace(metadata, scope.namespace);
  if (metadata.name !== context.info.name)
    throw badRequest(
      metadata.name === undefined || metadata.name === ''
        ? `the name of the object (${context.info.name} based on URL) was undeterminable: name must be provided`
        : `the name of the object (${metadata.name}) does not match the name on the URL (${context.info.name})`,
    );
  dedupOwnerReferences(metadata, false, scope.warn);
  const uid = metadata.uid ?? '';
  const outcome = await updateObject(scope, {
    draft: () => {
      const draft = first ?? decodeObjectBody(served, body, options, context);
      first = undefined;
      return draft;
    },
    allowCreate: served.strategy?.allowCreateOnUpdate === true,
    authorizeCreate: () => authorizeCreate(handlers, served, context),
    ...(uid === '' ? {} : { preconditions: { uid } }),
  });
  return resultOf(served, outcome, outcome.created ? 201 : 200);
}

/** A write that may create needs the permission to create as well. */
export async function authorizeCreate(
  { services }: ResourceHandlers,
  served: ServedResource,
  context: RequestContext,
): Promise<void> {
  const attributes = {
    user: context.user,
    verb: 'create',
    isResourceRequest: true,
    apiGroup: served.info.group,
    apiVersion: served.info.version,
    resource: served.info.resource,
    subresource: context.info.subresource,
    namespace: namespaceOf(served, context),
    name: context.info.name,
    path: context.path,
  };
  check(attributes, await services.authorize(attributes));
}

async function remove(
  handlers: ResourceHandlers,
  served: ServedResource,
  context: RequestContext,
): Promise<Result> {
  const options = await deleteOptionsOf(context);
  validateDeleteOptions(options);
  const dryRun = (options.dryRun ?? []).length > 0;
  const scope = writeScope(handlers, served, context, { dryRun, wire: deleteWire(options) });
  const deleted = await deleteObject(scope, options);
  const code = !deleted.gone && options.orphanDependents === false ? 202 : 200;
  return deletedResult(served, deleted, code);
}

export function deleteWire(options: DeleteOptions): Readonly<Record<string, unknown>> {
  return { kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/v1', ...options };
}

function deletedResult(served: ServedResource, deleted: Deleted, code: number): Result {
  if (deleted.showObject)
    return resultOf(
      served,
      deleted.record === undefined ? { object: deleted.object } : { record: deleted.record },
      code,
    );
  const { metadata } = deleted.object;
  const { group, resource } = served.groupResource;
  return objectResult(
    {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Success',
      details: {
        name: metadata.name,
        ...(group === '' ? {} : { group }),
        kind: resource,
        ...(metadata.uid === undefined ? {} : { uid: metadata.uid }),
      },
    },
    code,
  );
}

async function removeCollection(
  handlers: ResourceHandlers,
  served: ServedResource,
  context: RequestContext,
): Promise<Result> {
  const parameters = listParameters(context.query, false);
  const options = await deleteOptionsOf(context);
  validateDeleteOptions(options);
  const dryRun = (options.dryRun ?? []).length > 0;
  return deleteCollection(
    listScope(handlers, served, context),
    writeScope(handlers, served, context, { dryRun, wire: deleteWire(options) }),
    parameters,
    options,
  );
}
