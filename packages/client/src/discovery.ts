import type { KubeObject, ResourceType, apidiscoveryv2, metav1 } from '@k8ts/api';
import { StatusError, parseGroupVersion } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';

import type { Client } from './contract.ts';

/** A resource as the server offers it, built-in or custom. It is a handle for `client.resource` and informers as well. */
export interface DiscoveredResource extends ResourceType<KubeObject> {
  readonly verbs: readonly string[];
  /** The version that its group prefers, where the group serves the resource in that version. */
  readonly preferred: boolean;
}

export interface Discovery {
  readonly resources: readonly DiscoveredResource[];
  /** Group versions whose resources could not be learnt, with the reason: usually an aggregated API that is down. */
  readonly failures: ReadonlyMap<string, string>;
}

const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';

/**
 * All resources of all groups and versions, without subresources: in two requests where the server has aggregated
 * discovery (KEP-3352), group by group otherwise. Rejects only when the server cannot be asked at all.
 */
export async function discoverResources(client: Client, signal?: AbortSignal): Promise<Discovery> {
  const options = { accept: AGGREGATED, ...(signal === undefined ? {} : { signal }) };
  const [core, groups] = await Promise.all([
    client.raw<KubeObject>('/api', undefined, options),
    client.raw<KubeObject>('/apis', undefined, options),
  ]);
  const found: DiscoveredResource[] = [];
  const failures = new Map<string, string>();
  for (const answer of [core, groups]) {
    if (answer.kind === 'APIGroupDiscoveryList')
      readAggregated(answer as unknown as apidiscoveryv2.APIGroupDiscoveryList, found, failures);
    else {
      const legacy = answer as unknown as metav1.APIVersions | metav1.APIGroupList;
      await readByGroup(client, legacy, found, failures, signal);
    }
  }
  return { resources: markPreferred(found), failures };
}

type Found = Omit<DiscoveredResource, 'preferred'>;

function readAggregated(
  list: apidiscoveryv2.APIGroupDiscoveryList,
  found: Found[],
  failures: Map<string, string>,
): void {
  for (const group of list.items) {
    const name = group.metadata.name ?? '';
    for (const { version, resources = [], freshness } of group.versions ?? []) {
      if (freshness === 'Stale')
        failures.set(`${name}/${version}`, `stale GroupVersion discovery: ${name}/${version}`);
      for (const { resource, scope, verbs, responseKind } of resources) {
        if (responseKind?.kind === undefined || responseKind.kind === '') continue; // only subresources
        found.push({
          group: name,
          version,
          resource,
          kind: responseKind.kind,
          namespaced: scope === 'Namespaced',
          verbs,
        });
      }
    }
  }
}

async function readByGroup(
  client: Client,
  answer: metav1.APIVersions | metav1.APIGroupList,
  found: Found[],
  failures: Map<string, string>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const groupVersions =
    'groups' in answer
      ? answer.groups.flatMap(({ versions }) => versions.map(({ groupVersion }) => groupVersion))
      : answer.versions;
  // Answers come in any order; the order of versions is the group's preference and must be kept.
  const lists = await Promise.all(
    groupVersions.map(async (groupVersion) => {
      const path = groupVersion.includes('/') ? `/apis/${groupVersion}` : `/api/${groupVersion}`;
      try {
        return await client.raw<metav1.APIResourceList>(
          path,
          undefined,
          signal === undefined ? {} : { signal },
        );
      } catch (error) {
        if (!(error instanceof StatusError)) throw error;
        failures.set(groupVersion, errorMessage(error));
        return undefined;
      }
    }),
  );
  for (const list of lists) {
    if (list === undefined) continue;
    const { group = '', version = '' } = parseGroupVersion(list.groupVersion) ?? {};
    for (const { name, kind, namespaced, verbs } of list.resources) {
      if (name.includes('/')) continue; // a subresource
      found.push({ group, version, resource: name, kind, namespaced, verbs });
    }
  }
}

/** A group's versions come in its order of preference, so the first that has a resource is the preferred one. */
function markPreferred(found: readonly Found[]): DiscoveredResource[] {
  const seen = new Set<string>();
  return found.map((resource) => {
    const key = `${resource.group}/${resource.resource}`;
    const preferred = !seen.has(key);
    seen.add(key);
    return { ...resource, preferred };
  });
}
