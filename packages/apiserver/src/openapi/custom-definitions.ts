/** The schema of a custom resource as OpenAPI shows it (apiextensions-apiserver/pkg/controller/openapi/builder). */
import type { apiextensionsv1 } from '@k8ts/api';
import type { JsonObject, OpenApiVersion } from './definitions.ts';

type Props = apiextensionsv1.JSONSchemaProps;

/** One version of a custom resource. */
export interface CustomDefinition {
  readonly schema: Props | undefined;
  /** Where its selectable fields are: `spec.color` */
  readonly selectableFields: readonly string[];
}

/** `stable.example.com`, `v1`, `CronTab` → `com.example.stable.v1.CronTab` */
export function customDefinitionName(group: string, version: string, kind: string): string {
  return [...group.split('.').reverse(), version, kind].join('.');
}

const CONVENTIONS = 'https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md';
const DESCRIPTIONS = {
  apiVersion: `APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: ${CONVENTIONS}#resources`,
  kind: `Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: ${CONVENTIONS}#types-kinds`,
  metadata: `Standard object's metadata. More info: ${CONVENTIONS}#metadata`,
};
const EMBEDDED_DESCRIPTIONS = {
  apiVersion: `apiVersion defines the versioned schema of this representation of an object. More info: ${CONVENTIONS}#resources`,
  kind: `kind is a string value representing the type of this object. In CamelCase. More info: ${CONVENTIONS}#types-kinds`,
  metadata: DESCRIPTIONS.metadata,
};

/** `metadata`: a reference to ObjectMeta. */
export function customDefinition(
  version: OpenApiVersion,
  { schema, selectableFields }: CustomDefinition,
  metadata: JsonObject,
): JsonObject {
  // kubectl would refuse every field that a definition with properties does not have.
  const isOpen = schema === undefined || (version === 2 && schema['x-kubernetes-preserve-unknown-fields']);
  return {
    ...(isOpen
      ? { type: 'object' }
      : withEnvelope(
          version,
          shown(version, schema as unknown as JsonObject, metadata),
          metadata,
          DESCRIPTIONS,
        )),
    ...selectable(selectableFields),
  };
}

/** `listKind` and `kind` as in the definition's names. */
export function customListDefinition(
  version: OpenApiVersion,
  item: JsonObject,
  {
    kind,
    listKind,
    resource,
  }: { readonly kind: string; readonly listKind: string; readonly resource: string },
  { selectableFields }: CustomDefinition,
  listMeta: JsonObject,
): JsonObject {
  return {
    description: `${listKind} is a list of ${kind}`,
    type: 'object',
    required: ['items'],
    properties: {
      apiVersion: { type: 'string', description: DESCRIPTIONS.apiVersion },
      items: { type: 'array', items: item, description: `List of ${resource}. More info: ${CONVENTIONS}` },
      kind: { type: 'string', description: DESCRIPTIONS.kind },
      metadata: described(version, listMeta, `Standard list metadata. More info: ${CONVENTIONS}#types-kinds`),
    },
    ...selectable(selectableFields),
  };
}

function selectable(paths: readonly string[]): JsonObject {
  if (paths.length === 0) return {};
  return { 'x-kubernetes-selectable-fields': paths.map((fieldPath) => ({ fieldPath })) };
}

function withEnvelope(
  version: OpenApiVersion,
  schema: JsonObject,
  metadata: JsonObject,
  descriptions: typeof DESCRIPTIONS,
): JsonObject {
  const properties = (schema['properties'] ?? {}) as JsonObject;
  return {
    ...schema,
    properties: {
      ...properties,
      apiVersion: { type: 'string', description: descriptions.apiVersion },
      kind: { type: 'string', description: descriptions.kind },
      metadata: described(version, metadata, descriptions.metadata),
    },
  };
}

/** In version 3 a reference cannot have anything beside it. */
function described(version: OpenApiVersion, reference: JsonObject, description: string): JsonObject {
  return version === 2 ? { description, ...reference } : { description, allOf: [reference] };
}

/** What each version of OpenAPI can say. */
function shown(version: OpenApiVersion, schema: JsonObject, metadata: JsonObject): JsonObject {
  const result: JsonObject = {};
  for (const [name, value] of Object.entries(schema)) {
    if ((value === false && !SAYS_FALSE.has(name)) || (version === 2 && NOT_IN_V2.has(name))) continue;
    result[name] = shownPart(version, name, value, metadata);
  }
  if (version === 2) forV2(schema, result);
  else unfoldIntOrString(result);
  const isOpen = version === 2 && schema['x-kubernetes-preserve-unknown-fields'] === true;
  if (schema['x-kubernetes-embedded-resource'] !== true || isOpen) return result;
  const required = (result['required'] ?? []) as string[];
  return {
    ...withEnvelope(version, result, metadata, EMBEDDED_DESCRIPTIONS),
    required: [...required, ...['kind', 'apiVersion'].filter((name) => !required.includes(name))],
  };
}

/**
 * Clients that validate by a document of version 2 would refuse what the server takes
 * (apiextensions-apiserver/pkg/controller/openapi/v2).
 */
function forV2(schema: JsonObject, result: JsonObject): void {
  const isNullable = schema['nullable'] === true;
  const isPreserving = schema['x-kubernetes-preserve-unknown-fields'] === true;
  if (isNullable || isPreserving) {
    delete result['items'];
    delete result['properties'];
  }
  const hasNoItems = result['type'] === 'array' && result['items'] === undefined;
  if (isNullable || hasNoItems || (isPreserving && result['type'] === 'object')) delete result['type'];

  const isNullableSchema = (part: unknown): boolean =>
    typeof part === 'object' && part !== null && (part as JsonObject)['nullable'] === true;
  // They may be null, which is nothing to a client of version 2.
  const properties = (schema['properties'] ?? {}) as JsonObject;
  const required = ((result['required'] ?? []) as string[]).filter(
    (name) => result['properties'] === undefined || !isNullableSchema(properties[name]),
  );
  if (required.length === 0 || isNullableSchema(schema['additionalProperties'])) delete result['required'];
  else result['required'] = required;
}

const INT_OR_STRING = [{ type: 'integer' }, { type: 'string' }];

/** Says in JSON schema what the extension says, where the author did not (apiextensions-apiserver: Structural.Unfold). */
function unfoldIntOrString(result: JsonObject): void {
  if (result['x-kubernetes-int-or-string'] !== true) return;
  const isPattern = (anyOf: unknown): boolean => JSON.stringify(anyOf) === JSON.stringify(INT_OR_STRING);
  const allOf = (result['allOf'] ?? []) as JsonObject[];
  if (isPattern(result['anyOf']) || isPattern(allOf[0]?.['anyOf'])) return;
  if (result['anyOf'] === undefined) result['anyOf'] = INT_OR_STRING;
  else result['allOf'] = [{ anyOf: INT_OR_STRING }, ...allOf];
}

const NOT_IN_V2: ReadonlySet<string> = new Set(['allOf', 'anyOf', 'oneOf', 'not', 'nullable']);
/** Elsewhere false says what absence says. */
const SAYS_FALSE: ReadonlySet<string> = new Set(['default', 'example', 'additionalProperties']);
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
