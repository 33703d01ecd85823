import { groupVersions, rows } from './generated/resources.ts';
import type { ApiGroupVersion, ResourceInfo } from './resource-info.ts';

/** Every resource of every version that k8ts knows, in discovery's order of groups and versions. */
export const builtinResources: readonly ResourceInfo[] = rows;

/** The versions of the built-in groups with their priorities in discovery. */
export const builtinGroupVersions: readonly ApiGroupVersion[] = groupVersions;

const byResource: ReadonlyMap<string, ResourceInfo> = new Map(
  rows.map((info) => [`${info.group}/${info.version}/${info.resource}`, info]),
);
const byKind: ReadonlyMap<string, ResourceInfo> = new Map(
  rows.map((info) => [`${info.group}/${info.version}/${info.kind}`, info]),
);

/** The row of a resource by its path: `('apps', 'v1', 'deployments')`. Also takes a handle's three names. */
export function resourceInfo(group: string, version: string, resource: string): ResourceInfo | undefined {
  return byResource.get(`${group}/${version}/${resource}`);
}

/** The row of a resource by the kind of its objects: `('apps', 'v1', 'Deployment')`. */
export function resourceInfoByKind(group: string, version: string, kind: string): ResourceInfo | undefined {
  return byKind.get(`${group}/${version}/${kind}`);
}
