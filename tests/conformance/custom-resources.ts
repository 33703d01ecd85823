import { apiextensionsv1, resourceType, type KubeObject, type ResourceType } from '@k8ts/api';
import type { Client, ResourceClient } from '@k8ts/client';

import { until } from '../support/waiting.ts';
import { isGone } from './support.ts';

export type Definition = apiextensionsv1.CustomResourceDefinition;
export type DefinitionVersion = Definition['spec']['versions'][number];
export type JsonSchema = apiextensionsv1.JSONSchemaProps;

/** A custom resource with whatever fields it may have. */
export interface CustomObject extends KubeObject {
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

export const ANYTHING: JsonSchema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

/** The first version is stored, unless another says so. */
export function versionsOf(schema: JsonSchema, ...names: readonly string[]): DefinitionVersion[] {
  return names.map((name, index) => ({
    name,
    served: true,
    storage: index === 0,
    schema: { openAPIV3Schema: schema },
  }));
}

export interface DefinitionParts {
  readonly group?: string;
  readonly plural: string;
  readonly kind: string;
  readonly names?: Partial<Definition['spec']['names']>;
  readonly scope?: 'Cluster' | 'Namespaced';
  readonly labels?: Readonly<Record<string, string>>;
  readonly versions: readonly DefinitionVersion[];
  readonly conversion?: Definition['spec']['conversion'];
}

export function definitionOf({
  group = 'mygroup.example.com',
  plural,
  kind,
  names = {},
  scope = 'Namespaced',
  labels,
  versions,
  conversion,
}: DefinitionParts): Definition {
  return {
    metadata: { name: `${plural}.${group}`, ...(labels === undefined ? {} : { labels }) },
    spec: {
      group,
      scope,
      names: { plural, kind, ...names },
      versions,
      ...(conversion === undefined ? {} : { conversion }),
    },
  };
}

/** The resource of a definition in one of its versions; by default the first. */
export function resourceOf(
  { spec }: Definition,
  version: string | undefined = spec.versions[0]?.name,
): ResourceType<CustomObject> {
  const { group, names, scope } = spec;
  return resourceType<CustomObject>(group, version ?? '', names.plural, names.kind, scope === 'Namespaced');
}

export function definitionsOf(client: Client): ResourceClient<Definition> {
  return client.resource(apiextensionsv1.customResourceDefinitions);
}

interface ResourceList {
  readonly resources: readonly { readonly name: string }[];
}

/** Creates a definition and waits, as upstream's tests do, until discovery names its resource in all served versions. */
export async function define(client: Client, definition: Definition): Promise<Definition> {
  const created = await definitionsOf(client).create(definition);
  const { group, names, versions } = created.spec;
  for (const { name, served } of versions) {
    if (!served) continue;
    await until(async () => {
      const path = `/apis/${group}/${name}`;
      if (await isGone(client.raw(path))) return false;
      const { resources } = await client.raw<ResourceList>(path);
      return resources.some((resource) => resource.name === names.plural);
    });
  }
  return created;
}

/** Deletes definitions and waits until they are gone. */
export async function undefine(client: Client, ...definitions: readonly Definition[]): Promise<void> {
  for (const { metadata } of definitions) await definitionsOf(client).delete(metadata.name);
  for (const { metadata } of definitions) await until(() => isGone(definitionsOf(client).get(metadata.name)));
}
