import { resourceInfo, schemaOf, type apiextensionsv1, type metav1 } from '@k8ts/api';
import { isNotFound } from '@k8ts/apimachinery';
import type { Client } from '@k8ts/client';
import type { Kinds } from './type-checking.ts';

interface OpenApiDocument {
  readonly components?: { readonly schemas?: Readonly<Record<string, PublishedSchema>> };
}

interface PublishedSchema extends apiextensionsv1.JSONSchemaProps {
  readonly 'x-kubernetes-group-version-kind'?: readonly {
    readonly group: string;
    readonly version: string;
    readonly kind: string;
  }[];
}

/** Built-in kinds are known; of the others the server publishes resources and schemas. */
export function serverKinds(client: Client): Kinds {
  return {
    async kindOf(group, version, resource) {
      const builtin = resourceInfo(group, version, resource);
      if (builtin !== undefined) return builtin.kind;
      const list = await read<metav1.APIResourceList>(client, `/apis/${group}/${version}`);
      return list?.resources?.find(({ name }) => name === resource)?.kind;
    },
    async schemaOf({ group, version, kind }) {
      const table = schemaOf(group, version, kind);
      if (table !== undefined) return { table };
      if (group === '') return undefined;
      const document = await read<OpenApiDocument>(client, `/openapi/v3/apis/${group}/${version}`);
      const published = Object.values(document?.components?.schemas ?? {}).find((schema) =>
        schema['x-kubernetes-group-version-kind']?.some(
          (known) => known.group === group && known.version === version && known.kind === kind,
        ),
      );
      return published === undefined ? undefined : { published };
    },
  };
}

async function read<T>(client: Client, path: string): Promise<T | undefined> {
  try {
    return await client.raw<T>(path.split('/').map(encodeURIComponent).join('/'));
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
