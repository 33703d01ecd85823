/** The schema of a custom resource as OpenAPI shows it (apiextensions-apiserver/pkg/controller/openapi/builder). */
import type { apiextensionsv1 } from '@k8ts/api';
import type { JsonObject, OpenApiVersion } from './definitions.ts';

type Props = apiextensionsv1.JSONSchemaProps;

/** `stable.example.com`, `v1`, `CronTab` → `com.example.stable.v1.CronTab` */
export function customDefinitionName(group: string, version: string, kind: string): string {
  return [...group.split('.').reverse(), version, kind].join('.');
}

const DESCRIPTIONS = {
  apiVersion:
    'APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources',
  kind: 'Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds',
  metadata:
    "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
};

/** `metadata`: a reference to ObjectMeta. */
export function customDefinition(
  version: OpenApiVersion,
  props: Props | undefined,
  metadata: JsonObject,
): JsonObject {
  const schema = props === undefined ? {} : shown(version, props as unknown as JsonObject, metadata);
  return withEnvelope({ ...schema, type: 'object' }, metadata);
}

export function customListDefinition(item: JsonObject, kind: string, listMeta: JsonObject): JsonObject {
  return {
    description: `${kind} is a list of ${kind.replace(/List$/, '')}`,
    type: 'object',
    required: ['items'],
    properties: {
      apiVersion: { type: 'string', description: DESCRIPTIONS.apiVersion },
      items: {
        type: 'array',
        items: item,
        description: `List of ${kind.replace(/List$/, '').toLowerCase()}.`,
      },
      kind: { type: 'string', description: DESCRIPTIONS.kind },
      metadata: { ...described(listMeta, 'Standard list metadata.') },
    },
  };
}

function withEnvelope(schema: JsonObject, metadata: JsonObject): JsonObject {
  const properties = (schema['properties'] ?? {}) as JsonObject;
  return {
    ...schema,
    properties: {
      ...properties,
      apiVersion: { type: 'string', description: DESCRIPTIONS.apiVersion },
      kind: { type: 'string', description: DESCRIPTIONS.kind },
      metadata: described(metadata, DESCRIPTIONS.metadata),
    },
  };
}

/** A reference cannot have anything beside it. */
function described(reference: JsonObject, description: string): JsonObject {
  return { description, allOf: [reference] };
}

/** What each version of OpenAPI can say. */
function shown(version: OpenApiVersion, schema: JsonObject, metadata: JsonObject): JsonObject {
  const result: JsonObject = {};
  for (const [name, value] of Object.entries(schema)) {
    if (version === 2 && NOT_IN_V2.has(name)) continue;
    result[name] = shownPart(version, name, value, metadata);
  }
  const isPreserving = schema['x-kubernetes-preserve-unknown-fields'] === true;
  if (version === 2 && (schema['nullable'] === true || isPreserving)) {
    // Clients that validate by this document would refuse what the server takes.
    for (const name of ['items', 'properties', 'required', 'additionalProperties']) delete result[name];
    if (schema['nullable'] === true) delete result['type'];
  }
  return schema['x-kubernetes-embedded-resource'] === true ? withEnvelope(result, metadata) : result;
}

const NOT_IN_V2: ReadonlySet<string> = new Set(['allOf', 'anyOf', 'oneOf', 'not', 'nullable', 'default']);
const SCHEMA_MAPS: ReadonlySet<string> = new Set(['properties', 'patternProperties']);
const SCHEMA_LISTS: ReadonlySet<string> = new Set(['allOf', 'anyOf', 'oneOf']);
const SCHEMAS: ReadonlySet<string> = new Set(['items', 'additionalProperties', 'not']);

function shownPart(version: OpenApiVersion, name: string, value: unknown, metadata: JsonObject): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const below = (part: unknown): unknown =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? shown(version, part as JsonObject, metadata)
      : part;
  if (SCHEMAS.has(name)) return below(value);
  if (SCHEMA_LISTS.has(name) && Array.isArray(value)) return value.map(below);
  if (SCHEMA_MAPS.has(name))
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, below(part)]));
  return value;
}
