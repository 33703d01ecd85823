import { createHash } from 'node:crypto';
import type { apiextensionsv1, ResourceInfo, SubresourceInfo } from '@k8ts/api';

export type Definition = apiextensionsv1.CustomResourceDefinition;
export type DefinitionVersion = Definition['spec']['versions'][number];

const VERBS = ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch'];
const SUBRESOURCE_VERBS = ['get', 'patch', 'update'];

/** What discovery says of one version of a custom resource (apiextensions-apiserver: customresource_discovery_controller.go). */
export function rowOf(definition: Definition, version: DefinitionVersion): ResourceInfo {
  const { spec, status } = definition;
  const { group } = spec;
  const names = status?.acceptedNames?.plural ? status.acceptedNames : spec.names;
  const storage = storageVersionOf(definition);
  return {
    group,
    version: version.name,
    resource: spec.names.plural,
    singular: names.singular ?? '',
    kind: names.kind,
    listKind: names.listKind ?? `${names.kind}List`,
    namespaced: spec.scope === 'Namespaced',
    stage: 'stable',
    verbs: VERBS,
    shortNames: names.shortNames ?? [],
    categories: names.categories ?? [],
    subresources: subresourcesOf(group, version, names.kind),
    storage: { group, version: storage.name },
    storageVersionHash: createHash('sha256')
      .update(`${group}/${storage.name}/${names.kind}`)
      .digest()
      .subarray(0, 8)
      .toString('base64'),
    deprecation: deprecationOf(group, version, names.kind),
  };
}

export function storageVersionOf({ spec }: Definition): DefinitionVersion {
  const version = spec.versions.find(({ storage }) => storage);
  if (version === undefined) throw new Error('the definition has no storage version');
  return version;
}

function subresourcesOf(
  group: string,
  { name, subresources }: DefinitionVersion,
  kind: string,
): SubresourceInfo[] {
  const row = (
    subresource: string,
    of: { group: string; version: string; kind: string },
  ): SubresourceInfo => ({
    name: subresource,
    ...of,
    verbs: SUBRESOURCE_VERBS,
    deprecation: '',
  });
  return [
    ...(subresources?.status === undefined ? [] : [row('status', { group, version: name, kind })]),
    ...(subresources?.scale === undefined
      ? []
      : [row('scale', { group: 'autoscaling', version: 'v1', kind: 'Scale' })]),
  ];
}

function deprecationOf(
  group: string,
  { name, deprecated, deprecationWarning }: DefinitionVersion,
  kind: string,
): string {
  if (deprecated !== true) return '';
  return deprecationWarning ?? `${group}/${name} ${kind} is deprecated`;
}
