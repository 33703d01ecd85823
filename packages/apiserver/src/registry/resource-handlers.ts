/** From a resource request to the operation that answers it. */
import type { ResourceInfo, SubresourceInfo } from '@k8ts/api';
import { methodNotSupported, unknownPath } from '@k8ts/apimachinery';
import type { RequestContext } from '../request/request-context.ts';
import type { Result } from '../request/result.ts';
import {
  create,
  getObject,
  listObjects,
  patch,
  remove,
  removeCollection,
  update,
  watchObjects,
  type ResourceHandlers,
} from './object-operations.ts';
import { getScale, writeScale } from './scale-operations.ts';
import { callSpecial } from './special-operations.ts';

export type { ResourceHandlers };

export function handleResource(
  handlers: ResourceHandlers,
  context: RequestContext,
): Result | Promise<Result> {
  const { info } = context;
  const row = handlers.registry.info(info.group, info.version, info.resource);
  if (row === undefined) throw unknownPath();
  checkScope(row, context);
  if (info.subresource === '') {
    if (row.deprecation !== '') deprecated(context, row.deprecation);
    return handleMain(handlers, row, context);
  }
  const subresource = row.subresources.find(({ name }) => name === info.subresource);
  if (subresource === undefined) throw unknownPath();
  if (subresource.deprecation !== '') deprecated(context, subresource.deprecation);
  return handleSubresource(handlers, row, subresource, context);
}

function deprecated(context: RequestContext, warning: string): void {
  context.warn(warning);
  context.audit?.deprecated(warning);
}

function handleMain(
  handlers: ResourceHandlers,
  row: ResourceInfo,
  context: RequestContext,
): Result | Promise<Result> {
  const { registry } = handlers;
  const { verb } = context.info;
  if (!row.verbs.includes(verb)) throw unsupported(row, verb, context);
  const special = registry.special(row.group, row.resource, '');
  if (special !== undefined) return callSpecial(handlers, special, row, undefined, context);
  const served = registry.served(row.group, row.version, row.resource);
  if (served === undefined) throw unknownPath();
  switch (verb) {
    case 'get':
      return getObject(served, context);
    case 'list':
      return listObjects(handlers, served, context);
    case 'watch':
      return watchObjects(handlers, served, context);
    case 'create':
      if (context.info.name !== '') throw unsupported(row, verb, context);
      return create(handlers, served, context);
    case 'update':
      return update(handlers, served, context);
    case 'patch':
      return patch(handlers, served, context);
    case 'delete':
      return remove(handlers, served, context);
    case 'deletecollection':
      return removeCollection(handlers, served, context);
    default:
      throw unsupported(row, verb, context);
  }
}

function handleSubresource(
  handlers: ResourceHandlers,
  row: ResourceInfo,
  subresource: SubresourceInfo,
  context: RequestContext,
): Result | Promise<Result> {
  const { registry } = handlers;
  const { verb, name } = context.info;
  if (name === '') throw unknownPath();
  const special = registry.special(row.group, row.resource, subresource.name);
  // A proxy passes on every method, also those that are no verb of the API.
  const takesAll = special?.connect === true && subresource.name === 'proxy';
  if (!takesAll && !subresource.verbs.includes(verb)) throw unsupported(row, verb, context);
  if (special !== undefined) return callSpecial(handlers, special, row, subresource, context);
  const served = registry.served(row.group, row.version, row.resource);
  if (served === undefined) throw unknownPath();
  const { scale } = served.strategy ?? {};
  if (subresource.kind === 'Scale') {
    if (scale === undefined) throw unknownPath();
    return verb === 'get' ? getScale(served, scale, context) : writeScale(handlers, served, scale, context);
  }
  // What is left is the object itself under another name.
  if (subresource.kind !== row.kind) throw unknownPath();
  switch (verb) {
    case 'get':
      return getObject(served, context);
    case 'update':
      return update(handlers, served, context);
    case 'patch':
      return patch(handlers, served, context);
    default:
      throw unsupported(row, verb, context);
  }
}

function unsupported(row: ResourceInfo, verb: string, { method }: RequestContext): Error {
  return methodNotSupported({ group: row.group, resource: row.resource }, verb === '' ? method : verb);
}

/** Namespaced objects live under their namespace; only collections may leave it out. */
function checkScope(row: ResourceInfo, { info }: RequestContext): void {
  if (info.namespace.includes('/') || info.name.includes('/')) throw unknownPath();
  if (!row.namespaced) {
    if (info.namespace !== '' && row.resource !== 'namespaces') throw unknownPath();
    return;
  }
  if (info.namespace !== '') return;
  const isCollection = info.verb === 'list' || info.verb === 'watch' || info.verb === 'deletecollection';
  if (!isCollection) throw unknownPath();
}
