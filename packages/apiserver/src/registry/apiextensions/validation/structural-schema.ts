/**
 * Which schemas are structural: what a value is made of is said outside of `allOf`, `anyOf`, `oneOf` and `not`
 * (apiextensions-apiserver, pkg/apiserver/schema/validation.go, complete.go and convert.go).
 */
import {
  child,
  compileRe2,
  fieldErrorText,
  forbiddenField,
  index,
  invalidValue,
  jsonEqual,
  key,
  Re2Error,
  required,
  type FieldError,
} from '@k8ts/apimachinery';
import {
  additionalSchema,
  entriesOf,
  hasDefault,
  hasProperties,
  itemSchema,
  itemSchemas,
  type SchemaProps,
} from './schema-walk.ts';

type Level = 'root' | 'item' | 'field';

/** Why a schema cannot be taken for a structural one at all. */
export function structuralProblem(schema: SchemaProps): string | undefined {
  const unsupported = unsupportedField(schema);
  if (unsupported !== undefined) return `OpenAPIV3Schema '${unsupported}' is not supported`;
  for (const below of [
    schema.not,
    ...(schema.allOf ?? []),
    ...(schema.anyOf ?? []),
    ...(schema.oneOf ?? []),
  ]) {
    const problem = below === undefined ? undefined : structuralProblem(below);
    if (problem !== undefined) return problem;
  }
  if (schema['x-kubernetes-preserve-unknown-fields'] === false)
    return "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined";
  if (itemSchemas(schema).length > 0) return "OpenAPIV3Schema 'items' must be a schema, but is an array";
  const parts = [itemSchema(schema), ...Object.values(schema.properties ?? {}), additionalSchema(schema)];
  for (const below of parts) {
    const problem = below === undefined ? undefined : structuralProblem(below);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function unsupportedField(schema: SchemaProps): string | undefined {
  if (schema.id) return 'id';
  if (schema.$schema) return 'schema';
  if (schema.$ref) return '$ref';
  if (entriesOf(schema.patternProperties).length > 0) return 'patternProperties';
  if (entriesOf(schema.dependencies).length > 0) return 'dependencies';
  if (schema.additionalItems !== undefined) return 'additionalItems';
  return entriesOf(schema.definitions).length > 0 ? 'definitions' : undefined;
}

/** For schemas without a `structuralProblem`. Sorted. */
export function validateStructural(schema: SchemaProps, path: string): readonly FieldError[] {
  const errors: FieldError[] = [];
  validateInvariants(schema, 'root', path, errors);
  validateAlternatives(schema, schema, path, path, errors);
  return errors
    .map((error) => ({ error, text: fieldErrorText(error) }))
    .sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0))
    .map(({ error }) => error);
}

const MISSING_TYPE: Readonly<Record<Level, string>> = {
  root: 'must not be empty at the root',
  item: 'must not be empty for specified array items',
  field: 'must not be empty for specified object fields',
};

function validateInvariants(schema: SchemaProps, level: Level, path: string, errors: FieldError[]): void {
  const { type = '', properties } = schema;
  const isEmbedded = schema['x-kubernetes-embedded-resource'] ?? false;
  const items = itemSchema(schema);
  if (type === 'array' && items === undefined)
    errors.push(required(child(path, 'items'), 'must be specified'));
  if (items !== undefined) validateInvariants(items, 'item', child(path, 'items'), errors);
  for (const [name, below] of entriesOf(properties))
    validateInvariants(below, 'field', key(child(path, 'properties'), name), errors);
  validateAdditional(schema, level, path, errors);
  validateExtensions(schema, path, errors);
  validateValues(schema, isAnyIntOrString(schema), isAnyIntOrString(schema.allOf?.[0]), path, errors);
  validateType(schema, level, path, errors);
  if (isEmbedded && schema.additionalProperties !== undefined)
    errors.push(
      forbiddenField(
        child(path, 'additionalProperties'),
        'must not be used if x-kubernetes-embedded-resource is set',
      ),
    );
  if (level === 'root' && type !== '' && type !== 'object')
    errors.push(invalidValue(child(path, 'type'), type, 'must be object at the root'));
  validateEnvelope(schema, level, path, errors);
  if (isEmbedded && schema['x-kubernetes-preserve-unknown-fields'] !== true && !hasProperties(schema))
    errors.push(
      required(
        child(path, 'properties'),
        'must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields',
      ),
    );
}

function validateAdditional(schema: SchemaProps, level: Level, path: string, errors: FieldError[]): void {
  if (schema.additionalProperties === undefined) return;
  const at = child(path, 'additionalProperties');
  if (level === 'root') errors.push(forbiddenField(at, 'must not be used at the root'));
  const additional = additionalSchema(schema);
  if (additional !== undefined) validateInvariants(additional, 'field', at, errors);
}

function validateExtensions(schema: SchemaProps, path: string, errors: FieldError[]): void {
  if (schema['x-kubernetes-int-or-string'] !== true) return;
  for (const name of ['x-kubernetes-preserve-unknown-fields', 'x-kubernetes-embedded-resource'] as const)
    if (schema[name] === true)
      errors.push(
        invalidValue(child(path, name), true, 'must be false if x-kubernetes-int-or-string is true'),
      );
}

function validateType(schema: SchemaProps, level: Level, path: string, errors: FieldError[]): void {
  const { type = '' } = schema;
  const at = child(path, 'type');
  if (schema['x-kubernetes-embedded-resource'] === true && type !== 'object') {
    const message = 'must be object if x-kubernetes-embedded-resource is true';
    errors.push(type === '' ? required(at, message) : invalidValue(at, type, message));
  } else if (
    type === '' &&
    schema['x-kubernetes-int-or-string'] !== true &&
    schema['x-kubernetes-preserve-unknown-fields'] !== true
  )
    errors.push(required(at, MISSING_TYPE[level]));
}

/** What may be said of apiVersion, kind and metadata, at the root and in embedded objects. */
function validateEnvelope(schema: SchemaProps, level: Level, path: string, errors: FieldError[]): void {
  const isResource = level === 'root' || schema['x-kubernetes-embedded-resource'] === true;
  const properties = new Map(entriesOf(schema.properties));
  for (const name of ['kind', 'apiVersion']) {
    const property = properties.get(name);
    const at = child(key(child(path, 'properties'), name), 'type');
    if (isResource && property !== undefined && property.type !== 'string')
      errors.push(invalidValue(at, property.type ?? '', 'must be string'));
  }
  const metadata = properties.get('metadata');
  if (metadata === undefined) return;
  const at = key(child(path, 'properties'), 'metadata');
  if (isResource && metadata.type !== 'object')
    errors.push(invalidValue(child(at, 'type'), metadata.type ?? '', 'must be object'));
  if (level === 'root' && !saysOnlyNames(metadata))
    errors.push(
      forbiddenField(
        at,
        'must not specify anything other than name and generateName, but metadata is implicitly specified',
      ),
    );
}

function saysOnlyNames(metadata: SchemaProps): boolean {
  const { type: _type, default: _default, properties, ...rest } = metadata;
  const names = Object.keys(properties ?? {});
  return names.every((name) => name === 'name' || name === 'generateName') && isEmpty(rest);
}

function isEmpty(schema: SchemaProps): boolean {
  return Object.values(schema as Readonly<Record<string, unknown>>).every(
    (value) =>
      value === undefined ||
      value === null ||
      value === '' ||
      value === false ||
      (typeof value === 'object' && Object.keys(value).length === 0),
  );
}

/** The one place where alternatives may name types: `anyOf` an integer and a string. */
function isAnyIntOrString(schema: SchemaProps | undefined): boolean {
  return jsonEqual(schema?.anyOf, [{ type: 'integer' }, { type: 'string' }]);
}

function validateValues(
  schema: SchemaProps,
  skipAnyOf: boolean,
  skipFirstAllOf: boolean,
  path: string,
  errors: FieldError[],
): void {
  if (!skipAnyOf)
    schema.anyOf?.forEach((below, i) => validateNested(below, false, index(child(path, 'anyOf'), i), errors));
  schema.allOf?.forEach((below, i) =>
    validateNested(below, skipFirstAllOf && i === 0, index(child(path, 'allOf'), i), errors),
  );
  schema.oneOf?.forEach((below, i) => validateNested(below, false, index(child(path, 'oneOf'), i), errors));
  if (schema.not !== undefined) validateNested(schema.not, false, child(path, 'not'), errors);
  if (schema.pattern) validatePattern(schema.pattern, child(path, 'pattern'), errors);
}

function validatePattern(pattern: string, path: string, errors: FieldError[]): void {
  try {
    compileRe2(pattern);
  } catch (error) {
    if (!(error instanceof Re2Error)) throw error;
    const message = `must be a valid regular expression, but isn't: ${error.message}`;
    errors.push(invalidValue(path, pattern, message));
  }
}

/** What may not be said inside of alternatives, with the words for it. */
const NOT_NESTED: readonly (readonly [keyof SchemaProps, string])[] = [
  ['type', 'must be empty to be structural'],
  ['additionalProperties', 'must be undefined to be structural'],
  ['default', 'must be undefined to be structural'],
  ['title', 'must be empty to be structural'],
  ['description', 'must be empty to be structural'],
  ['nullable', 'must be false to be structural'],
  ['x-kubernetes-preserve-unknown-fields', 'must be false to be structural'],
  ['x-kubernetes-embedded-resource', 'must be false to be structural'],
  ['x-kubernetes-int-or-string', 'must be false to be structural'],
  ['x-kubernetes-list-map-keys', 'must be empty to be structural'],
  ['x-kubernetes-list-type', 'must be undefined to be structural'],
  ['x-kubernetes-map-type', 'must be undefined to be structural'],
  ['x-kubernetes-validations', 'must be empty to be structural'],
];

function validateNested(schema: SchemaProps, skipAnyOf: boolean, path: string, errors: FieldError[]): void {
  validateValues(schema, skipAnyOf, false, path, errors);
  const items = itemSchema(schema);
  if (items !== undefined) validateNested(items, false, child(path, 'items'), errors);
  for (const [name, below] of entriesOf(schema.properties))
    validateNested(below, false, key(child(path, 'properties'), name), errors);
  for (const [name, message] of NOT_NESTED)
    if (name === 'default' ? hasDefault(schema) : isSaid(schema[name]))
      errors.push(forbiddenField(child(path, name), message));
  if (entriesOf(schema.properties).some(([name]) => name === 'metadata'))
    errors.push(
      forbiddenField(key(child(path, 'properties'), 'metadata'), 'must not be specified in a nested context'),
    );
}

function isSaid(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === false) return false;
  return !Array.isArray(value) || value.length > 0;
}

/**
 * Fields and items that alternatives speak of must be specified outside of them. Only the alternatives of the root are
 * looked at, as upstream does.
 */
function validateAlternatives(
  values: SchemaProps,
  schema: SchemaProps,
  path: string,
  at: string,
  errors: FieldError[],
): void {
  if (values.not !== undefined) validateComplete(values.not, schema, path, child(at, 'not'), errors);
  for (const name of ['allOf', 'anyOf', 'oneOf'] as const)
    values[name]?.forEach((below, i) =>
      validateComplete(below, schema, path, index(child(at, name), i), errors),
    );
}

function validateComplete(
  values: SchemaProps,
  schema: SchemaProps | undefined,
  path: string,
  at: string,
  errors: FieldError[],
): void {
  if (schema === undefined) {
    errors.push(required(path, `because it is defined in ${at}`));
    return;
  }
  validateAlternatives(values, schema, path, at, errors);
  const items = itemSchema(values);
  if (items !== undefined)
    validateComplete(items, itemSchema(schema), child(path, 'items'), child(at, 'items'), errors);
  const properties = new Map(entriesOf(schema.properties));
  for (const [name, below] of entriesOf(values.properties)) {
    const [where, there] = [key(child(path, 'properties'), name), key(child(at, 'properties'), name)];
    validateComplete(below, properties.get(name), where, there, errors);
  }
}
