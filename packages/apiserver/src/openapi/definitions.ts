/** Schema tables as OpenAPI definitions, version 2 or 3 (k8s.io/kube-openapi). */
import type { ApiDocs, FieldSchema, Schema } from '@k8ts/api';

export type OpenApiVersion = 2 | 3;

export interface GroupVersionKind {
  readonly group: string;
  readonly kind: string;
  readonly version: string;
}

export type JsonObject = Record<string, unknown>;

/** Collects the definitions that a document refers to. Each named type is written once. */
export class Definitions {
  readonly #version: OpenApiVersion;
  readonly #docs: ApiDocs;
  readonly #written = new Map<string, JsonObject>();

  constructor(version: OpenApiVersion, docs: ApiDocs) {
    this.#version = version;
    this.#docs = docs;
  }

  /** A reference to the type, whose definition and all that it needs are in `all()` from then on. */
  reference(schema: Schema): JsonObject {
    this.#define(schema);
    return { $ref: this.#path(schema.name) };
  }

  /** The same for a definition that is no type of the tables; `make` is called when it is new. */
  referenceTo(name: string, make: () => JsonObject): JsonObject {
    if (!this.#written.has(name)) {
      this.#written.set(name, {});
      this.#written.set(name, make());
    }
    return { $ref: this.#path(name) };
  }

  /** Says which kind a definition is of. A kind that is in several versions has several. */
  mark(name: string, kind: GroupVersionKind): void {
    const definition = this.#written.get(name);
    if (definition === undefined) return;
    const kinds = (definition['x-kubernetes-group-version-kind'] ??= []) as GroupVersionKind[];
    const isKnown = kinds.some(
      ({ group, version, kind: name }) =>
        group === kind.group && version === kind.version && name === kind.kind,
    );
    if (!isKnown) kinds.push(kind);
  }

  /** By name, in order of names. */
  all(): JsonObject {
    return Object.fromEntries([...this.#written].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #path(name: string): string {
    return this.#version === 2 ? `#/definitions/${name}` : `#/components/schemas/${name}`;
  }

  #define(schema: Schema): JsonObject {
    const known = this.#written.get(schema.name);
    if (known !== undefined) return known;
    const definition: JsonObject = {};
    this.#written.set(schema.name, definition); // before its fields: types refer to themselves
    const description = this.#docs.type(schema.name);
    if (description !== undefined) definition['description'] = description;
    Object.assign(definition, this.#body(schema));
    return definition;
  }

  #body(schema: Schema): JsonObject {
    if (schema.type !== 'object') return this.#scalarBody(schema);
    const body: JsonObject = { type: 'object' };
    if (schema.fields.size === 0) return body;
    const properties: JsonObject = {};
    const required: string[] = [];
    for (const field of schema.fields.values()) {
      properties[field.name] = this.#field(schema.name, field);
      if (field.required) required.push(field.name);
    }
    body['properties'] = properties;
    if (required.length > 0) body['required'] = required.sort();
    if (schema.mapType === 'atomic') body['x-kubernetes-map-type'] = 'atomic';
    return body;
  }

  #field(owner: string, { name, schema }: FieldSchema): JsonObject {
    const property: JsonObject = {};
    const description = this.#docs.field(owner, name);
    if (description !== undefined) property['description'] = description;
    const value = this.#value(schema);
    if (schema.default !== undefined) property['default'] = schema.default;
    // A reference cannot have anything beside it in OpenAPI 3.0.
    if ('$ref' in value && this.#version === 3 && Object.keys(property).length > 0)
      return { ...property, allOf: [value] };
    return { ...property, ...value, ...listMarkers(schema), ...patchMarkers(schema) };
  }

  /** Named types by reference, everything else in place. */
  #value(schema: Schema): JsonObject {
    if (schema.name !== '') return this.reference(schema);
    switch (schema.type) {
      case 'array':
        return { type: 'array', items: this.#item(schema.items) };
      case 'map':
        return {
          type: 'object',
          additionalProperties: this.#item(schema.items),
          ...(schema.mapType === 'atomic' ? { 'x-kubernetes-map-type': 'atomic' } : {}),
        };
      case 'object':
        return this.#body(schema);
      default:
        return this.#scalarBody(schema);
    }
  }

  #item(items: Schema | undefined): JsonObject {
    return items === undefined ? { type: 'object' } : this.#value(items);
  }

  #scalarBody(schema: Schema): JsonObject {
    const enumeration = schema.enum.length > 0 ? { enum: [...schema.enum].sort() } : {};
    switch (schema.type) {
      case 'string':
      case 'duration':
        return { type: 'string', ...enumeration };
      case 'boolean':
        return { type: 'boolean' };
      case 'int32':
      case 'int64':
        return { type: 'integer', format: schema.type };
      case 'uint64':
        return { type: 'integer', format: 'int64' };
      case 'float64':
        return { type: 'number', format: 'double' };
      case 'bytes':
        return { type: 'string', format: 'byte' };
      case 'time':
      case 'microTime':
        return { type: 'string', format: 'date-time' };
      case 'quantity':
        return this.#version === 2 ? { type: 'string' } : { oneOf: [{ type: 'string' }, { type: 'number' }] };
      case 'intOrString':
        return this.#version === 2
          ? { type: 'string', format: 'int-or-string' }
          : { oneOf: [{ type: 'integer' }, { type: 'string' }], format: 'int-or-string' };
      case 'rawExtension':
      case 'fieldsV1':
        return { type: 'object' };
      case 'array':
        return { type: 'array', items: this.#item(schema.items) };
      case 'map':
        return { type: 'object', additionalProperties: this.#item(schema.items) };
      default:
        // Any JSON value, or a schema in one of its forms.
        return {};
    }
  }
}

function listMarkers({ type, listType, listMapKeys }: Schema): JsonObject {
  if (type !== 'array' || listType === undefined) return {};
  return {
    'x-kubernetes-list-type': listType,
    ...(listMapKeys.length === 0 ? {} : { 'x-kubernetes-list-map-keys': listMapKeys }),
  };
}

function patchMarkers({ patchMergeKey, patchStrategy }: Schema): JsonObject {
  return {
    ...(patchMergeKey === undefined ? {} : { 'x-kubernetes-patch-merge-key': patchMergeKey }),
    ...(patchStrategy.length === 0 ? {} : { 'x-kubernetes-patch-strategy': patchStrategy.join(',') }),
  };
}
