/**
 * The verbs on objects that the generic registry serves, and on those of their subresources that are the object itself
 * (status, resize, finalize, …): from the request to the operation and back to a result.
 */
import type { Draft, KubeObject } from '@k8ts/api';
import { badRequest, conflict, notFound } from '@k8ts/apimachinery';
import type { Clock } from '@k8ts/base';
import type { Store } from '@k8ts/store';
import type { RequestContext } from '../request/request-context.ts';
import { objectResult, type Result } from '../request/result.ts';
import type { ObjectRecord } from '../storage/object-record.ts';
import { check } from '../steps/authorize.ts';
import { createObject, type Written } from './generic/create.ts';
import { decodeBody, decodePatched, readBody, type Body, type ExpectedKind } from './generic/decode.ts';
import { manageApply, manageUpdate, type FieldManagement } from './generic/field-management.ts';
import { deleteCollection } from './generic/delete-collection.ts';
import { deleteOptionsOf } from './generic/delete-options.ts';
import { deleteObject, validateDeleteOptions, type Deleted, type DeleteOptions } from './generic/delete.ts';
import { list, type ListScope } from './generic/list.ts';
import { dedupOwnerReferences, ensureNamespace, wipeSystemFields } from './generic/object-rules.ts';
import {
  fieldManagerOf,
  listParameters,
  parseResourceVersion,
  writeOptions,
  type WriteOptions,
} from './generic/options.ts';
import { applyPatchTo, patchTypeOf, readPatch } from './generic/patch.ts';
import type { RegistryServices, WriteScope } from './generic/scope.ts';
import { updateObject } from './generic/update.ts';
import { watch } from './generic/watch.ts';
import type { ResourceRegistry } from './resource-registry.ts';
import { fromServed, objectOf, toServed, type ServedResource } from './served-resource.ts';

export interface ResourceHandlers {
  readonly registry: ResourceRegistry;
  readonly services: RegistryServices;
  readonly store: Store;
  readonly clock: Clock;
}

/** Namespaces are named by the part of the path that holds the namespace of everything else. */
export function namespaceOf(served: ServedResource, { info }: RequestContext): string {
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
): WriteScope {
  return {
    services,
    served,
    subresource: context.info.subresource,
    namespace: namespaceOf(served, context),
    name: context.info.name,
    user: context.user,
    dryRun: options.dryRun,
    options: options.wire,
    admit: true,
    signal: () => context.signal,
    warn: (message) => context.warn(message),
    annotate: context.audit?.annotator,
  };
}

export function listObjects(
  handlers: ResourceHandlers,
  served: ServedResource,
  context: RequestContext,
): Promise<Result> {
  return list(listScope(handlers, served, context), listParameters(context.query, false));
}

export function watchObjects(
  handlers: ResourceHandlers,
  served: ServedResource,
  context: RequestContext,
): Promise<Result> {
  return watch(
    { ...listScope(handlers, served, context), random: handlers.services.random },
    listParameters(context.query, true),
  );
}

export function getObject(served: ServedResource, context: RequestContext): Result | Promise<Result> {
  const { name } = context.info;
  const namespace = namespaceOf(served, context);
  const { storage } = served;
  const answer = (record: ObjectRecord | undefined): Result => {
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
    if (!cache.loaded && cache.mayConvert)
      return cache
        .waitFor(revision)
        .then(() => storage.get(namespace, name))
        .then(answer);
    return cache
      .load()
      .then(() => cache.waitFor(revision))
      .then(fromCache);
  }
  const record = storage.get(namespace, name);
  return record instanceof Promise ? record.then(answer) : answer(record);
}

/** Decodes, and brings the object into the storage version. */
function decodeObject(
  served: ServedResource,
  body: Body,
  options: WriteOptions,
  context: RequestContext,
): Draft<KubeObject> {
  const draft = decodeBody<KubeObject>(body, expectedKind(served), options.fieldValidation, (message) =>
    context.warn(message),
  );
  context.audit?.requestObject(draft);
  return fromServed(served, draft);
}

function expectedKind(served: ServedResource): ExpectedKind {
  const { group, version, kind } = served.info;
  return { group, version, kind, schema: served.schema(), normalize: served.normalize };
}

function fieldManagement(
  { services }: ResourceHandlers,
  served: ServedResource,
  context: RequestContext,
  options: WriteOptions,
): FieldManagement {
  return {
    served,
    subresource: context.info.subresource,
    manager: fieldManagerOf(options, context),
    now: services.clock.now(),
  };
}

export async function create(
  handlers: ResourceHandlers,
  served: ServedResource,
  context: RequestContext,
): Promise<Result> {
  const body = await readBody(context, served.normalize !== undefined);
  const options = writeOptions(context.query, 'CreateOptions');
  const draft = decodeObject(served, body, options, context);
  const { metadata } = draft;
  const scope = writeScope(handlers, served, context, options);
  wipeSystemFields(metadata);
  ensureNamespace(metadata, scope.namespace);
  dedupOwnerReferences(metadata, false, scope.warn);
  await manageUpdate(fieldManagement(handlers, served, context, options), undefined, draft);
  const written = await createObject(scopeForNew(scope, metadata.name), draft);
  return writtenResult(served, written, 201);
}

/** Admission sees a namespace as being inside itself. */
function scopeForNew(scope: WriteScope, name: string | undefined): WriteScope {
  const { info } = scope.served;
  return info.resource === 'namespaces' && info.group === '' ? { ...scope, namespace: name ?? '' } : scope;
}

function writtenResult(served: ServedResource, written: Written, code: number): Result {
  if (written.record !== undefined) return { kind: 'record', code, served, record: written.record };
  return objectResult(toServed(served, written.object), code, served);
}

/** PUT of the object or of a subresource that is the object. */
export async function update(
  handlers: ResourceHandlers,
  served: ServedResource,
  context: RequestContext,
): Promise<Result> {
  const body = await readBody(context, served.normalize !== undefined);
  const options = writeOptions(context.query, 'UpdateOptions');
  const scope = writeScope(handlers, served, context, options);
  let first: Draft<KubeObject> | undefined = decodeObject(served, body, options, context);
  const { metadata } = first;
  ensureNamespace(metadata, scope.namespace);
  checkName(metadata.name, context.info.name);
  dedupOwnerReferences(metadata, false, scope.warn);
  const uid = metadata.uid ?? '';
  const management = fieldManagement(handlers, served, context, options);
  const outcome = await updateObject(scope, {
    draft: async (old) => {
      const draft = first ?? decodeObject(served, body, options, context);
      first = undefined;
      await manageUpdate(management, old?.object, draft);
      return draft;
    },
    allowCreate: scope.subresource === '' && served.strategy?.allowCreateOnUpdate === true,
    authorizeCreate: () => authorizeCreate(handlers, served, context),
    ...(uid === '' ? {} : { preconditions: { uid } }),
  });
  return writtenResult(served, outcome, outcome.created ? 201 : 200);
}

function checkName(name: string | undefined, wanted: string): void {
  if (name === wanted) return;
  throw badRequest(
    name === undefined || name === ''
      ? `the name of the object (${wanted} based on URL) was undeterminable: name must be provided`
      : `the name of the object (${name}) does not match the name on the URL (${wanted})`,
  );
}

/** PATCH of the object or of a subresource that is the object. */
export async function patch(
  handlers: ResourceHandlers,
  served: ServedResource,
  context: RequestContext,
): Promise<Result> {
  const type = patchTypeOf(context, served.normalize !== undefined);
  const read = await readPatch(context, type);
  const options = writeOptions(context.query, 'PatchOptions', type === 'apply');
  const scope = writeScope(handlers, served, context, options);
  const management = fieldManagement(handlers, served, context, options);
  const expected = expectedKind(served);
  const warn = (message: string): void => context.warn(message);
  const strictErrors = options.fieldValidation === 'Ignore' ? [] : read.strictErrors;

  const patched = async (old: ObjectRecord | undefined): Promise<Draft<KubeObject>> => {
    if (type === 'apply') {
      const applied = await manageApply(management, old?.object, read.value, options.force === true);
      if (strictErrors.length > 0 && options.fieldValidation === 'Strict')
        throw badRequest(`error strict decoding YAML: ${strictErrors.join(', ')}`);
      for (const error of strictErrors) warn(error);
      return fromServed(served, decodeBody({ kind: 'value', value: applied }, expected, 'Ignore', warn));
    }
    if (old === undefined) throw notFound(served.groupResource, scope.name);
    const live = objectOf(served, old);
    const result = applyPatchTo(served, live, read);
    const draft = fromServed(
      served,
      decodePatched(result, live, expected, options.fieldValidation, strictErrors, warn),
    );
    await manageUpdate(management, old.object, draft);
    return draft;
  };

  const outcome = await updateObject(scope, {
    draft: async (old) => {
      const draft = await patched(old);
      if (old === undefined && (draft.metadata.uid ?? '') !== '')
        throw conflict(
          served.groupResource,
          scope.name,
          `uid mismatch: the provided object specified uid ${draft.metadata.uid}, and no existing object was found`,
        );
      ensureNamespace(draft.metadata, scope.namespace);
      checkName(draft.metadata.name, scope.name);
      return draft;
    },
    allowCreate: type === 'apply' && scope.subresource === '',
    authorizeCreate: () => authorizeCreate(handlers, served, context),
  });
  return writtenResult(served, outcome, outcome.created ? 201 : 200);
}

/** A write that may create needs the permission to create as well. */
async function authorizeCreate(
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

export async function remove(
  handlers: ResourceHandlers,
  served: ServedResource,
  context: RequestContext,
): Promise<Result> {
  const options = await deleteOptionsOf(context);
  validateDeleteOptions(options);
  const scope = writeScope(handlers, served, context, deleteScopeOptions(options));
  const deleted = await deleteObject(scope, options);
  const code = !deleted.gone && options.orphanDependents === false ? 202 : 200;
  return deletedResult(served, deleted, code);
}

function deleteScopeOptions(options: DeleteOptions): {
  readonly dryRun: boolean;
  readonly wire: Readonly<Record<string, unknown>>;
} {
  return {
    dryRun: (options.dryRun ?? []).length > 0,
    wire: { kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/v1', ...options },
  };
}

function deletedResult(served: ServedResource, deleted: Deleted, code: number): Result {
  const { record, object } = deleted;
  if (deleted.showObject) return writtenResult(served, record === undefined ? { object } : { record }, code);
  const { name, uid } = object.metadata;
  const { group, resource } = served.groupResource;
  return objectResult(
    {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Success',
      // The resource where a kind belongs, as upstream has it.
      details: {
        name,
        ...(group === '' ? {} : { group }),
        kind: resource,
        ...(uid === undefined ? {} : { uid }),
      },
    },
    code,
  );
}

export async function removeCollection(
  handlers: ResourceHandlers,
  served: ServedResource,
  context: RequestContext,
): Promise<Result> {
  const parameters = listParameters(context.query, false);
  const options = await deleteOptionsOf(context);
  validateDeleteOptions(options);
  const scope = writeScope(handlers, served, context, deleteScopeOptions(options));
  return deleteCollection(listScope(handlers, served, context), scope, parameters, options);
}
