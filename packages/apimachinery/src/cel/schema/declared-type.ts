/**
 * How a schema appears to expressions (k8s.io/apiserver/pkg/cel/common/schemas.go): objects with fields, maps, lists, and
 * scalars, each with the bounds of its size that cost estimates use.
 *
 * What has no schema does not appear: unknown fields that are preserved, objects and lists of such.
 */
import type { apiextensionsv1 } from '@k8ts/api';
import type { SizeEstimator } from '../language/cost-estimate.ts';
import {
  BOOL,
  BYTES,
  DOUBLE,
  DURATION,
  DYN,
  INT,
  listType,
  mapType,
  objectType,
  STRING,
  TIMESTAMP,
} from '../language/type.ts';
import type { CelType } from '../language/type.ts';
import { escapeName, isReserved } from './escaping.ts';

type JSONSchemaProps = apiextensionsv1.JSONSchemaProps;

export type DeclaredType = (
  | { readonly kind: 'object'; readonly fields: ReadonlyMap<string, DeclaredType> }
  | { readonly kind: 'map' | 'list'; readonly element: DeclaredType }
  | { readonly kind: 'scalar'; readonly type: CelType }
) & {
  /** Characters, bytes, elements or entries. */
  readonly maxElements: number;
  /** Bytes of its shortest JSON. */
  readonly minSerializedSize: number;
};

export const MAX_REQUEST_SIZE: number = 3 * 1024 * 1024;
/** What fits between the quotes of one string. */
const MAX_STRING = MAX_REQUEST_SIZE - 2;

function scalar(type: CelType, minSerializedSize: number, maxElements = 0): DeclaredType {
  return { kind: 'scalar', type, minSerializedSize, maxElements };
}

const STRING_TYPE = scalar(STRING, 2);

/** undefined where expressions see nothing. `isResource`: it is a whole object, with kind and metadata. */
export function declaredTypeOf(props: JSONSchemaProps, isResource: boolean): DeclaredType | undefined {
  if (props['x-kubernetes-int-or-string'] === true) return scalar(DYN, 1, maxTextLength(props) ?? MAX_STRING);
  const schema = isResource ? withObjectMeta(props) : props;
  switch (schema.type) {
    case 'array':
      return listOf(schema);
    case 'object':
      return objectOf(schema);
    case 'string':
      return stringOf(schema);
    case 'boolean':
      return scalar(BOOL, 4);
    case 'number':
      return scalar(DOUBLE, 1);
    case 'integer':
      return scalar(INT, 1);
    default:
      return undefined;
  }
}

/** Name and kind are always there, whether or not the schema says so. */
export function withObjectMeta(props: JSONSchemaProps): JSONSchemaProps {
  const { kind, apiVersion, metadata } = props.properties ?? {};
  const complete =
    kind?.type === 'string' &&
    apiVersion?.type === 'string' &&
    metadata?.type === 'object' &&
    metadata.properties?.['name']?.type === 'string' &&
    metadata.properties['generateName']?.type === 'string';
  if (complete) return props;
  const text: JSONSchemaProps = { type: 'string' };
  return {
    ...props,
    properties: {
      ...props.properties,
      kind: text,
      apiVersion: text,
      metadata: { type: 'object', properties: { name: text, generateName: text } },
    },
  };
}

/** The schema of a list's items. */
export function itemsOf({ items }: JSONSchemaProps): JSONSchemaProps | undefined {
  return Array.isArray(items) ? undefined : (items as JSONSchemaProps | undefined);
}

/** The schema of a map's values. */
export function valuesOf({ additionalProperties }: JSONSchemaProps): JSONSchemaProps | undefined {
  return typeof additionalProperties === 'object' ? additionalProperties : undefined;
}

export function isEmbedded(props: JSONSchemaProps): boolean {
  return props['x-kubernetes-embedded-resource'] === true;
}

function listOf(schema: JSONSchemaProps): DeclaredType | undefined {
  const items = itemsOf(schema);
  const element = items === undefined ? undefined : declaredTypeOf(items, isEmbedded(items));
  if (element === undefined) return undefined;
  const maxElements =
    schema.maxItems === undefined
      ? Math.floor(MAX_STRING / (element.minSerializedSize + 1))
      : Math.max(schema.maxItems, 0);
  return { kind: 'list', element, maxElements, minSerializedSize: 2 };
}

function objectOf(schema: JSONSchemaProps): DeclaredType | undefined {
  const values = valuesOf(schema);
  if (values !== undefined) {
    const element = declaredTypeOf(values, isEmbedded(values));
    if (element === undefined) return undefined;
    const maxElements =
      schema.maxProperties === undefined
        ? Math.floor(MAX_STRING / (element.minSerializedSize + 6))
        : Math.max(schema.maxProperties, 0);
    return { kind: 'map', element, maxElements, minSerializedSize: 2 };
  }
  const required = new Set(schema.required);
  const fields = new Map<string, DeclaredType>();
  let minSerializedSize = 2;
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const type = declaredTypeOf(property, isEmbedded(property));
    if (type === undefined) continue;
    const escaped = escapeName(name);
    if (escaped !== undefined) fields.set(escaped, type);
    // Defaults are filled in before rules run, so a request need not bring them.
    if (required.has(name) && property.default === undefined)
      minSerializedSize += Buffer.byteLength(name) + type.minSerializedSize + 4;
  }
  return { kind: 'object', fields, maxElements: 0, minSerializedSize };
}

function stringOf(schema: JSONSchemaProps): DeclaredType {
  switch (schema.format) {
    case 'byte':
      return scalar(BYTES, 2, schema.maxLength === undefined ? MAX_STRING : Math.max(schema.maxLength, 0));
    case 'duration':
      return scalar(DURATION, 3, 32);
    case 'date':
      return scalar(TIMESTAMP, 12, 12);
    case 'date-time':
      return scalar(TIMESTAMP, 21, 32);
    default: {
      const longest = (schema.enum ?? []).map((value) =>
        typeof value === 'string' ? Buffer.byteLength(value) : 0,
      );
      return scalar(
        STRING,
        2,
        maxTextLength(schema) ?? (longest.length === 0 ? MAX_STRING : Math.max(...longest)),
      );
    }
  }
}

/** `maxLength` counts characters, of up to four bytes. */
function maxTextLength({ maxLength }: JSONSchemaProps): number | undefined {
  return maxLength === undefined ? undefined : Math.max(maxLength, 0) * 4;
}

/** Gives objects names by their place, so that the checker can ask for their fields. */
export class TypeNames {
  readonly #objects = new Map<string, DeclaredType>();

  typeOf(declared: DeclaredType, name: string): CelType {
    switch (declared.kind) {
      case 'scalar':
        return declared.type;
      case 'list':
        return listType(this.typeOf(declared.element, `${name}.@idx`));
      case 'map':
        return mapType(STRING, this.typeOf(declared.element, `${name}.@elem`));
      default:
        this.#objects.set(name, declared);
        return objectType(name);
    }
  }

  fieldType(typeName: string, field: string): CelType | undefined {
    const object = this.#objects.get(typeName);
    if (object?.kind !== 'object') return undefined;
    const declared =
      object.fields.get(field) ?? (isReserved(field) ? object.fields.get(`__${field}__`) : undefined);
    return declared === undefined ? undefined : this.typeOf(declared, `${typeName}.${field}`);
  }
}

/** Sizes below `root`, whatever variable a path begins with. */
export function sizesOf(root: DeclaredType): SizeEstimator {
  return (path) => {
    let current: DeclaredType | undefined = root;
    for (const name of path.slice(1)) {
      if (current === undefined) return undefined;
      if (name === '@items' || name === '@values')
        current = current.kind === 'list' || current.kind === 'map' ? current.element : undefined;
      else if (name === '@keys') current = current.kind === 'map' ? STRING_TYPE : undefined;
      else current = current.kind === 'object' ? current.fields.get(name) : undefined;
    }
    return current === undefined ? undefined : { min: 0, max: current.maxElements };
  };
}
