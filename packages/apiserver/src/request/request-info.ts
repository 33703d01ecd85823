import { isPathSegmentName, parseFieldSelector, requiresExactField } from '@k8ts/apimachinery';
import type { Query } from './query.ts';

/** What a path and method ask for, before anything is looked up (k8s.io/apiserver/pkg/endpoints/request). */
export interface RequestInfo {
  readonly isResourceRequest: boolean;
  readonly path: string;
  /** get, list, watch, create, update, patch, delete, deletecollection, proxy; or the lower-case method of other paths. */
  readonly verb: string;
  readonly group: string;
  readonly version: string;
  readonly namespace: string;
  readonly resource: string;
  readonly subresource: string;
  readonly name: string;
  /** What follows the subresource, for proxies: `['a', 'b']`. Decoded. */
  readonly rest: readonly string[];
  /** `/api/v1/watch/…`, the old way to ask for a watch. */
  readonly watchPrefix: boolean;
}

const NAMESPACE_SUBRESOURCES = new Set(['status', 'finalize']);

const VERBS: Readonly<Record<string, string>> = {
  POST: 'create',
  GET: 'get',
  HEAD: 'get',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

/** `path` as it came, still percent-encoded. */
export function parseRequestInfo(method: string, path: string, query: Query): RequestInfo {
  const parts = splitPath(path);
  const isCore = parts[0] === 'api';
  const versionAt = isCore ? 1 : 2;
  if ((!isCore && parts[0] !== 'apis') || parts.length < versionAt + 2) return otherRequest(method, path);

  let at = versionAt + 1;
  let verb = VERBS[method] ?? '';
  let watchPrefix = false;
  if (parts[at] === 'watch' || parts[at] === 'proxy') {
    if (parts.length < at + 2) return otherRequest(method, path);
    verb = parts[at] as string;
    watchPrefix = verb === 'watch';
    at++;
  }
  let namespace = '';
  if (parts[at] === 'namespaces' && parts.length > at + 1) {
    namespace = parts[at + 1] as string;
    if (parts.length > at + 2 && !NAMESPACE_SUBRESOURCES.has(parts[at + 2] as string)) at += 2;
  }
  const resource = parts[at] ?? '';
  let name = parts[at + 1] ?? '';
  const subresource = verb === 'proxy' ? '' : (parts[at + 2] ?? '');
  if (name === '' && verb === 'get') {
    verb = isWatch(query) ? 'watch' : 'list';
    name = nameFromSelector(query);
  }
  if (name === '' && verb === 'delete') verb = 'deletecollection';
  return {
    isResourceRequest: true,
    path,
    verb,
    group: isCore ? '' : (parts[1] as string),
    version: parts[versionAt] as string,
    namespace,
    resource,
    subresource,
    name,
    rest: parts.length > at + 3 ? parts.slice(at + 3) : NOTHING,
    watchPrefix,
  };
}

const NOTHING: readonly string[] = [];

function otherRequest(method: string, path: string): RequestInfo {
  return {
    isResourceRequest: false,
    path,
    verb: method.toLowerCase(),
    group: '',
    version: '',
    namespace: '',
    resource: '',
    subresource: '',
    name: '',
    rest: NOTHING,
    watchPrefix: false,
  };
}

/** Segments, decoded one by one: an encoded slash does not make another segment, and names with one are refused. */
function splitPath(path: string): string[] {
  let start = 0;
  let end = path.length;
  while (start < end && path.charCodeAt(start) === 0x2f) start++;
  while (end > start && path.charCodeAt(end - 1) === 0x2f) end--;
  if (start === end) return [];
  const parts = path.slice(start, end).split('/');
  if (!path.includes('%')) return parts;
  return parts.map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
}

function isWatch(query: Query): boolean {
  const watch = query.get('watch');
  return watch !== undefined && watch !== 'false' && watch !== '0' && watch !== 'False' && watch !== 'FALSE';
}

/** A list or watch of one name is authorized like the object of that name. */
function nameFromSelector(query: Query): string {
  const text = query.get('fieldSelector');
  if (text === undefined || !text.includes('metadata.name')) return '';
  try {
    const name = requiresExactField(parseFieldSelector(text), 'metadata.name');
    return name !== undefined && isPathSegmentName(name).length === 0 ? name : '';
  } catch {
    return ''; // the selector's error is reported by the list itself
  }
}
