import type { apiextensionsv1 } from '@k8ts/api';

export type SchemaProps = apiextensionsv1.JSONSchemaProps;

/** The schema of all items; undefined for a list of schemas, which is forbidden. */
export function itemSchema({ items }: SchemaProps): SchemaProps | undefined {
  return Array.isArray(items) ? undefined : (items as SchemaProps | undefined);
}

/** The forbidden list of schemas, one for each item. */
export function itemSchemas({ items }: SchemaProps): readonly SchemaProps[] {
  return Array.isArray(items) ? (items as readonly SchemaProps[]) : [];
}

/** The schema of fields without one of their own. */
export function additionalSchema({ additionalProperties }: SchemaProps): SchemaProps | undefined {
  return typeof additionalProperties === 'boolean' ? undefined : additionalProperties;
}

export function entriesOf<T>(
  map: Readonly<Record<string, T>> | undefined,
): readonly (readonly [string, T])[] {
  return map === undefined ? [] : Object.entries(map);
}

// By `properties`. Schemas never change, and asking large objects for one key costs all of them.
const knownProperties = new WeakMap<object, boolean>();

export function hasProperties({ properties }: SchemaProps): boolean {
  if (properties === undefined) return false;
  let answer = knownProperties.get(properties);
  if (answer === undefined) {
    answer = Object.keys(properties).length > 0;
    knownProperties.set(properties, answer);
  }
  return answer;
}

/** Null is no default. */
export function hasDefault({ default: value }: SchemaProps): boolean {
  return value !== undefined && value !== null;
}

/** Whether a schema or one below it, wherever it stands, fulfils a condition. */
export function someSchema(
  schema: SchemaProps | undefined,
  holds: (schema: SchemaProps) => boolean,
): boolean {
  if (schema === undefined) return false;
  if (holds(schema)) return true;
  return schemasBelow(schema).some((below) => someSchema(below, holds));
}

function schemasBelow(schema: SchemaProps): SchemaProps[] {
  const { additionalItems, dependencies } = schema;
  const single = [
    itemSchema(schema),
    schema.not,
    additionalSchema(schema),
    typeof additionalItems === 'boolean' ? undefined : additionalItems,
  ];
  return [
    ...single.filter((below) => below !== undefined),
    ...itemSchemas(schema),
    ...(schema.allOf ?? []),
    ...(schema.anyOf ?? []),
    ...(schema.oneOf ?? []),
    ...Object.values(schema.properties ?? {}),
    ...Object.values(schema.patternProperties ?? {}),
    ...Object.values(schema.definitions ?? {}),
    ...Object.values(dependencies ?? {}).filter((below): below is SchemaProps => !Array.isArray(below)),
  ];
}
