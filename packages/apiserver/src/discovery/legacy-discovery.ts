/** /api, /apis and the resource lists of each version: what clients read before aggregated discovery existed. */
import { createHash } from 'node:crypto';
import type { ApiGroupVersion, ResourceInfo } from '@k8ts/api';
import { compareVersionPriority } from '@k8ts/apimachinery';
import type { Aggregation } from '../aggregation/contract.ts';
import type { ResourceRegistry } from '../registry/resource-registry.ts';

export function apiVersions(serverAddress: string): object {
  return {
    kind: 'APIVersions',
    versions: ['v1'],
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress }],
  };
}

export interface GroupVersions {
  readonly group: string;
  /** Preferred first. */
  readonly versions: readonly string[];
}

/** Named groups in discovery's order, those of other servers included. */
export function groupsOf(registry: ResourceRegistry, aggregation: Aggregation | undefined): GroupVersions[] {
  const own = registry.groupVersions;
  const groupVersions = aggregation?.groupVersions(own) ?? own;
  const groups = new Map<string, ApiGroupVersion[]>();
  for (const entry of groupVersions) {
    if (entry.group === '') continue;
    const list = groups.get(entry.group);
    if (list === undefined) groups.set(entry.group, [entry]);
    else list.push(entry);
  }
  const priority = (versions: readonly ApiGroupVersion[]): number =>
    Math.max(...versions.map(({ groupPriority }) => groupPriority));
  return [...groups]
    .map(([group, versions]) => ({ group, versions, priority: priority(versions) }))
    .sort((a, b) => b.priority - a.priority || (a.group < b.group ? -1 : 1))
    .map(({ group, versions }) => ({
      group,
      versions: versions
        .sort((a, b) => b.versionPriority - a.versionPriority || compareVersionPriority(a.version, b.version))
        .map(({ version }) => version),
    }));
}

export function apiGroup({ group, versions }: GroupVersions, standalone: boolean): object {
  const described = versions.map((version) => ({ groupVersion: `${group}/${version}`, version }));
  return {
    ...(standalone ? { kind: 'APIGroup', apiVersion: 'v1' } : {}),
    name: group,
    versions: described,
    preferredVersion: described[0],
  };
}

export function apiGroupList(groups: readonly GroupVersions[]): object {
  return {
    kind: 'APIGroupList',
    apiVersion: 'v1',
    groups: groups.map((group) => apiGroup(group, false)),
  };
}

export function apiResourceList(registry: ResourceRegistry, group: string, version: string): object {
  const groupVersion = group === '' ? version : `${group}/${version}`;
  const resources: object[] = [];
  const infos = [...registry.infosOf(group, version)].sort((a, b) => (a.resource < b.resource ? -1 : 1));
  for (const info of infos) {
    resources.push({
      name: info.resource,
      singularName: info.singular,
      namespaced: info.namespaced,
      kind: info.kind,
      verbs: info.verbs,
      ...(info.shortNames.length === 0 ? {} : { shortNames: info.shortNames }),
      ...(info.categories.length === 0 ? {} : { categories: info.categories }),
      ...(info.verbs.includes('list') ? { storageVersionHash: storageVersionHash(info) } : {}),
    });
    for (const subresource of info.subresources) {
      const isOther = subresource.group !== info.group || subresource.version !== info.version;
      resources.push({
        name: `${info.resource}/${subresource.name}`,
        singularName: '',
        namespaced: info.namespaced,
        ...(isOther ? { group: subresource.group, version: subresource.version } : {}),
        kind: subresource.kind,
        verbs: subresource.verbs,
      });
    }
  }
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources };
}

/** The first 8 bytes of the SHA-256 of `group/version/Kind`, base64 (endpoints/discovery/storageversionhash.go). */
function storageVersionHash({ storage, kind }: ResourceInfo): string {
  return createHash('sha256')
    .update(`${storage.group}/${storage.version}/${kind}`)
    .digest()
    .subarray(0, 8)
    .toString('base64');
}
