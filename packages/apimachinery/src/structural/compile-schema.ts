import { createSchema, schemaOfType } from '@k8ts/api';
import type { apiextensionsv1, FieldSchema, Schema, SchemaInit } from '@k8ts/api';

type JSONSchemaProps = apiextensionsv1.JSONSchemaProps;
type Properties = Readonly<Record<string, JSONSchemaProps>>;

/**
 * The tree that pruning, defaulting, server-side apply and OpenAPI walk, from the schema of a custom resource. What only
 * restricts values (`pattern`, `anyOf`, …) is not in it, see `compileValueValidator`. The schema is one that validation let
 * through: what is forbidden in structural schemas is passed over.
 *
 * Embedded resources have the metadata of every kind. The root has what the schema says, no more.
 */
export function compileStructuralSchema(props: JSONSchemaProps): Schema {
  const properties = props.properties ?? {};
  const additional = props.additionalProperties;
  const items = itemsOf(props);
  const common = {
    default: deepFreeze(props.default),
    nullable: props.nullable ?? false,
    preserveUnknownFields: props['x-kubernetes-preserve-unknown-fields'] ?? false,
    embeddedResource: props['x-kubernetes-embedded-resource'] ?? false,
  };
  if (props['x-kubernetes-int-or-string'] === true) return createSchema({ ...common, type: 'intOrString' });
  switch (props.type ?? '') {
    case 'object':
      return compileObject(props, common);
    case 'array':
      return createSchema({
        ...common,
        type: 'array',
        items: items === undefined ? UNDESCRIBED : compileStructuralSchema(items),
        listType: listTypeOf(props),
        listMapKeys: props['x-kubernetes-list-map-keys'] ?? [],
      });
    case 'string':
    case 'boolean':
      return createSchema({ ...common, type: props.type as 'string' | 'boolean' });
    case 'integer':
      return createSchema({ ...common, type: 'int64' });
    case 'number':
      return createSchema({ ...common, type: 'float64' });
    default:
      // Without a type, and so with unknown fields preserved. Parts may be described nevertheless.
      if (Object.keys(properties).length > 0 || additional !== undefined || common.embeddedResource)
        return compileObject(props, common);
      return createSchema({ ...common, type: 'json' });
  }
}

/** A value that nothing is said about, as below `additionalProperties: true`: its fields are all unknown. */
const UNDESCRIBED: Schema = createSchema({ type: 'json' });

function compileObject(props: JSONSchemaProps, common: Omit<SchemaInit, 'type'>): Schema {
  const required = new Set(props.required);
  const fields = compileFields(props.properties ?? {}, required);
  const mapType = props['x-kubernetes-map-type'] === 'atomic' ? 'atomic' : undefined;
  const items = compileAdditional(props.additionalProperties);
  if (common.embeddedResource === true) addEnvelope(fields, props.properties ?? {});
  const type = fields.size === 0 && items !== undefined ? 'map' : 'object';
  return createSchema({ ...common, type, fields, items, mapType });
}

function compileFields(properties: Properties, required: ReadonlySet<string>): Map<string, FieldSchema> {
  const fields = new Map<string, FieldSchema>();
  for (const [name, props] of Object.entries(properties))
    fields.set(name, fieldOf(name, compileStructuralSchema(props), required.has(name)));
  return fields;
}

/** Absent and zero are different in custom resources, so all fields are as Go's pointers. */
function fieldOf(name: string, schema: Schema, required: boolean): FieldSchema {
  return { name, schema, required, omitEmpty: true, pointer: true, protoNumber: 0, protoEmbed: -1 };
}

function compileAdditional(
  additional: apiextensionsv1.JSONSchemaPropsOrBool | undefined,
): Schema | undefined {
  if (additional === undefined) return undefined;
  return typeof additional === 'boolean' ? UNDESCRIBED : compileStructuralSchema(additional);
}

function addEnvelope(fields: Map<string, FieldSchema>, properties: Properties): void {
  for (const name of ['apiVersion', 'kind'])
    if (!fields.has(name)) fields.set(name, fieldOf(name, createSchema({ type: 'string' }), true));
  fields.set('metadata', fieldOf('metadata', metadataSchema(properties['metadata']), false));
}

/** That of built-in kinds, with the defaults that the schema declares. */
function metadataSchema(declared: JSONSchemaProps | undefined): Schema {
  const objectMeta = schemaOfType('metav1', 'ObjectMeta');
  if (objectMeta === undefined) throw new Error('the tables have no ObjectMeta');
  const fields = new Map(objectMeta.fields);
  for (const [name, props] of Object.entries(declared?.properties ?? {})) {
    const field = fields.get(name);
    if (field === undefined || props.default === undefined) continue;
    fields.set(name, {
      ...field,
      schema: createSchema({ ...field.schema, default: deepFreeze(props.default) }),
    });
  }
  return createSchema({ ...objectMeta, fields, default: deepFreeze(declared?.default) });
}

function itemsOf({ items }: JSONSchemaProps): JSONSchemaProps | undefined {
  return Array.isArray(items) ? undefined : (items as JSONSchemaProps | undefined);
}

function listTypeOf(props: JSONSchemaProps): 'atomic' | 'set' | 'map' | undefined {
  const listType = props['x-kubernetes-list-type'];
  return listType === 'atomic' || listType === 'set' || listType === 'map' ? listType : undefined;
}

/** Defaults are shared by all objects they are put into. Null is none. */
function deepFreeze(value: unknown): unknown {
  if (value === null) return undefined;
  if (typeof value !== 'object') return value;
  const copy: unknown = structuredClone(value);
  freeze(copy);
  return copy;
}

function freeze(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  Object.freeze(value);
  for (const part of Object.values(value)) freeze(part);
}
