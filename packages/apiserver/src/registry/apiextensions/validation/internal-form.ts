/**
 * Definitions as upstream's rules see them: in the internal version, where what all versions have in common stands once,
 * above them (`spec.validation` and not `spec.versions[0].schema`). Errors name these paths, and print values as Go's
 * structs without JSON names.
 */
import type { apiextensionsv1 } from '@k8ts/api';
import { createSchema, schemaOfType, type Schema } from '@k8ts/api';
import { semanticEqual } from '../../semantic-equal.ts';
import { additionalSchema, itemSchema, type SchemaProps } from './schema-walk.ts';

export type Definition = apiextensionsv1.CustomResourceDefinition;
export type Version = apiextensionsv1.CustomResourceDefinitionVersion;

const COMMON = ['schema', 'subresources', 'additionalPrinterColumns', 'selectableFields'] as const;

export type Common = Pick<Version, (typeof COMMON)[number]>;

export interface InternalSpec {
  /** What all versions have in common. */
  readonly common: Common;
  /** Without what they have in common. */
  readonly versions: readonly Version[];
}

export function internalSpec({ spec }: Definition): InternalSpec {
  const versions = (spec.versions as readonly Version[] | undefined) ?? [];
  const first = versions[0];
  if (first === undefined) return { common: {}, versions };
  const shared = COMMON.filter((name) =>
    versions.every((version) => semanticEqual(fieldSchema(name), version[name], first[name])),
  ).filter((name) =>
    versions.every((version) => (version[name] === undefined) === (first[name] === undefined)),
  );
  const common = Object.fromEntries(shared.map((name) => [name, first[name]])) as Common;
  const without = (version: Version): Version =>
    Object.fromEntries(
      Object.entries(version).filter(([name]) => !(shared as readonly string[]).includes(name)),
    ) as unknown as Version;
  return { common, versions: versions.map(without) };
}

function fieldSchema(name: string): Schema | undefined {
  return schemaOfType('apiextensionsv1', 'CustomResourceDefinitionVersion')?.fields.get(name)?.schema;
}

export function allSchemas({ spec }: Definition): readonly SchemaProps[] {
  const versions = (spec.versions as readonly Version[] | undefined) ?? [];
  return versions.flatMap(({ schema }) => schema?.openAPIV3Schema ?? []);
}

export function equalSchemas(left: SchemaProps | undefined, right: SchemaProps | undefined): boolean {
  const props = schemaOfType('apiextensionsv1', 'JSONSchemaProps') ?? createSchema({ type: 'json' });
  return semanticEqual(props, left, right);
}

/** The struct's fields in order: Go's name, JSON's name, and what stands for nothing. */
const PROPS: readonly (readonly [string, keyof SchemaProps, unknown])[] = [
  ['ID', 'id', ''],
  ['Schema', '$schema', ''],
  ['Ref', '$ref', null],
  ['Description', 'description', ''],
  ['Type', 'type', ''],
  ['Nullable', 'nullable', false],
  ['Format', 'format', ''],
  ['Title', 'title', ''],
  ['Default', 'default', null],
  ['Maximum', 'maximum', null],
  ['ExclusiveMaximum', 'exclusiveMaximum', false],
  ['Minimum', 'minimum', null],
  ['ExclusiveMinimum', 'exclusiveMinimum', false],
  ['MaxLength', 'maxLength', null],
  ['MinLength', 'minLength', null],
  ['Pattern', 'pattern', ''],
  ['MaxItems', 'maxItems', null],
  ['MinItems', 'minItems', null],
  ['UniqueItems', 'uniqueItems', false],
  ['MultipleOf', 'multipleOf', null],
  ['Enum', 'enum', null],
  ['MaxProperties', 'maxProperties', null],
  ['MinProperties', 'minProperties', null],
  ['Required', 'required', null],
  ['Items', 'items', null],
  ['AllOf', 'allOf', null],
  ['OneOf', 'oneOf', null],
  ['AnyOf', 'anyOf', null],
  ['Not', 'not', null],
  ['Properties', 'properties', null],
  ['AdditionalProperties', 'additionalProperties', null],
  ['PatternProperties', 'patternProperties', null],
  ['Dependencies', 'dependencies', null],
  ['AdditionalItems', 'additionalItems', null],
  ['Definitions', 'definitions', null],
  ['ExternalDocs', 'externalDocs', null],
  ['Example', 'example', null],
  ['XPreserveUnknownFields', 'x-kubernetes-preserve-unknown-fields', null],
  ['XEmbeddedResource', 'x-kubernetes-embedded-resource', false],
  ['XIntOrString', 'x-kubernetes-int-or-string', false],
  ['XListMapKeys', 'x-kubernetes-list-map-keys', null],
  ['XListType', 'x-kubernetes-list-type', null],
  ['XMapType', 'x-kubernetes-map-type', null],
  ['XValidations', 'x-kubernetes-validations', null],
];

/** Go's names of the fields that a schema says something in, in their order. */
export function saidFields(schema: SchemaProps): readonly string[] {
  return PROPS.filter(([, name, nothing]) => (schema[name] ?? nothing) !== nothing).map(([goName]) => goName);
}

type Printed = Readonly<Record<string, unknown>>;

export function printSchema(schema: SchemaProps): Printed {
  return Object.fromEntries(
    PROPS.map(([goName, name, nothing]) => [goName, printField(schema, name) ?? nothing]),
  );
}

function printField(schema: SchemaProps, name: keyof SchemaProps): unknown {
  const value = schema[name];
  if (value === undefined) return undefined;
  switch (name) {
    case 'items': {
      const items = itemSchema(schema);
      return {
        Schema: items === undefined ? null : printSchema(items),
        JSONSchemas: Array.isArray(value) ? printAll(value) : null,
      };
    }
    case 'additionalProperties': {
      const additional = additionalSchema(schema);
      return { Allows: value !== false, Schema: additional === undefined ? null : printSchema(additional) };
    }
    case 'not':
      return printSchema(value as SchemaProps);
    case 'allOf':
    case 'anyOf':
    case 'oneOf':
      return printAll(value as readonly SchemaProps[]);
    case 'properties':
      return Object.fromEntries(
        Object.entries(value as Readonly<Record<string, SchemaProps>>)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([field, below]) => [field, printSchema(below)]),
      );
    case 'x-kubernetes-validations':
      return (value as readonly apiextensionsv1.ValidationRule[]).map(printRule);
    default:
      return value;
  }
}

function printAll(schemas: readonly SchemaProps[]): readonly Printed[] {
  return schemas.map(printSchema);
}

export function printRule(rule: apiextensionsv1.ValidationRule): Printed {
  return {
    Rule: rule.rule,
    Message: rule.message ?? '',
    MessageExpression: rule.messageExpression ?? '',
    Reason: rule.reason ?? null,
    FieldPath: rule.fieldPath ?? '',
    OptionalOldSelf: rule.optionalOldSelf ?? null,
  };
}

export function printVersion(version: Version): Printed {
  const { schema, subresources, additionalPrinterColumns, selectableFields } = version;
  return {
    Name: version.name,
    Served: version.served,
    Storage: version.storage,
    Deprecated: version.deprecated ?? false,
    DeprecationWarning: version.deprecationWarning ?? null,
    Schema:
      schema === undefined
        ? null
        : {
            OpenAPIV3Schema:
              schema.openAPIV3Schema === undefined ? null : printSchema(schema.openAPIV3Schema),
          },
    Subresources:
      subresources === undefined
        ? null
        : { Status: subresources.status === undefined ? null : {}, Scale: printScale(subresources.scale) },
    AdditionalPrinterColumns:
      additionalPrinterColumns?.map((column) => ({
        Name: column.name,
        Type: column.type,
        Format: column.format ?? '',
        Description: column.description ?? '',
        Priority: column.priority ?? 0,
        JSONPath: column.jsonPath,
      })) ?? null,
    SelectableFields: selectableFields?.map(({ jsonPath }) => ({ JSONPath: jsonPath })) ?? null,
  };
}

function printScale(scale: apiextensionsv1.CustomResourceSubresourceScale | undefined): Printed | null {
  if (scale === undefined) return null;
  return {
    SpecReplicasPath: scale.specReplicasPath,
    StatusReplicasPath: scale.statusReplicasPath,
    LabelSelectorPath: scale.labelSelectorPath ?? null,
  };
}
