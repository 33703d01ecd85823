import { formatGroupVersion } from '@k8ts/apimachinery';
import type { KubeObject, ResourceType } from '@k8ts/api';

export interface ResourceTarget {
  /** Left out: all namespaces, or a type without namespaces. */
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly subresource?: string | undefined;
}

/**
 * The path of a collection, an object or a subresource:
 * `/api/v1/namespaces/default/pods/web/status`, `/apis/apps/v1/deployments`.
 */
export function resourcePath(type: ResourceType<KubeObject>, target: ResourceTarget = {}): string {
  let path = type.group === '' ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
  if (type.namespaced && target.namespace !== undefined && target.namespace !== '')
    path += `/namespaces/${pathSegment(target.namespace)}`;
  path += `/${type.resource}`;
  if (target.name === undefined) return path;
  path += `/${pathSegment(target.name)}`;
  return target.subresource === undefined ? path : `${path}/${target.subresource}`;
}

/** A name must stay one segment, whatever it holds: an empty one, `..` or a slash would address something else. */
function pathSegment(name: string): string {
  if (name === '' || name === '.' || name === '..')
    throw new TypeError(`"${name}" cannot be the name of an object in a request`);
  return encodeURIComponent(name);
}

/** `apps/v1`, or `v1` for the core group. */
export function apiVersionOf(type: ResourceType<KubeObject>): string {
  return formatGroupVersion(type);
}
