/** What schemas may say at all (apiextensions-apiserver, ValidateCustomResourceDefinitionOpenAPISchema). */
import {
  child,
  forbiddenField,
  index,
  invalidValue,
  key,
  notSupported,
  required,
  type FieldError,
} from '@k8ts/apimachinery';
import { append } from './error-list.ts';
import { resolveFieldPath } from './field-path.ts';
import { belowSchema, validateRules, type RuleContext, type ValidationRule } from './rules.ts';
import {
  additionalSchema,
  entriesOf,
  hasDefault,
  hasProperties,
  itemSchema,
  itemSchemas,
  type SchemaProps,
} from './schema-walk.ts';
import { structuralProblem } from './structural-schema.ts';

export const OPENAPI_TYPES: readonly string[] = ['array', 'boolean', 'integer', 'number', 'object', 'string'];

/** Rules that definitions are not held to if they broke them when they were stored. */
export interface SchemaOptions {
  readonly requireValidPropertyType: boolean;
  readonly requireAtomicSetType: boolean;
  readonly requireMapListKeysMapSetValidation: boolean;
}

/** Where in the tree we are. */
interface Place {
  /** Why there may be no defaults here; undefined: they may. */
  readonly noDefaults: string | undefined;
  /** In apiVersion, kind or metadata of an object. */
  readonly insideMeta: boolean;
  readonly isRoot: boolean;
  /** The outermost part that cannot be told from its old self. */
  readonly uncorrelated: string;
  /** Undefined: CEL rules are not compiled here. */
  readonly rules: RuleContext | undefined;
}

interface Found {
  readonly schema: FieldError[];
  readonly rules: FieldError[];
}

const ENVELOPE: ReadonlySet<string> = new Set(['metadata', 'kind', 'apiVersion']);

/** `rules` are compiled only where schemas are fine so far. */
export function validateOpenApiSchema(
  schema: SchemaProps,
  path: string,
  options: SchemaOptions,
  rules: RuleContext | undefined,
): readonly FieldError[] {
  const place = { noDefaults: undefined, insideMeta: false, isRoot: true, uncorrelated: '', rules };
  const found: Found = { schema: [], rules: [] };
  validate(schema, path, place, options, found);
  return [...found.schema, ...found.rules];
}

function validate(
  schema: SchemaProps,
  path: string,
  place: Place,
  options: SchemaOptions,
  found: Found,
): void {
  const { schema: errors } = found;
  const before = errors.length;
  const visit: Visit = (below, at, where) => {
    if (below !== undefined) validate(below, at, where, options, found);
  };
  validateKeywords(schema, path, place, options, errors);
  if (schema.uniqueItems === true)
    errors.push(
      forbiddenField(
        child(path, 'uniqueItems'),
        'uniqueItems cannot be set to true since the runtime complexity becomes quadratic',
      ),
    );
  validateParts(schema, path, place, errors, visit);
  if (schema['x-kubernetes-preserve-unknown-fields'] === false)
    errors.push(
      invalidValue(child(path, 'x-kubernetes-preserve-unknown-fields'), false, 'must be true or undefined'),
    );
  validateMapType(schema, path, errors);
  validateListType(schema, path, options, errors);
  validateListMapKeys(schema, path, errors);
  if (options.requireMapListKeysMapSetValidation) append(errors, validateKeyedItems(schema, path));
  validateRuleForms(schema, path, errors);
  const isResource = place.isRoot || schema['x-kubernetes-embedded-resource'] === true;
  const hasRules = (schema['x-kubernetes-validations'] ?? []).length > 0;
  if (hasRules && errors.length === before && place.rules !== undefined)
    append(found.rules, validateRules(schema, path, isResource, place.uncorrelated, place.rules));
}

const FORBIDDEN: readonly (keyof SchemaProps)[] = [
  'id',
  'additionalItems',
  'patternProperties',
  'definitions',
  'dependencies',
  '$ref',
];

function validateKeywords(
  schema: SchemaProps,
  path: string,
  { noDefaults, insideMeta }: Place,
  { requireValidPropertyType }: SchemaOptions,
  errors: FieldError[],
): void {
  const { type = '' } = schema;
  if (requireValidPropertyType && type !== '' && !OPENAPI_TYPES.includes(type))
    errors.push(notSupported(child(path, 'type'), type, OPENAPI_TYPES));
  if (noDefaults !== undefined && hasDefault(schema))
    errors.push(forbiddenField(child(path, 'default'), `must not be set ${noDefaults}`));
  for (const name of FORBIDDEN) {
    const value = schema[name];
    if (value === undefined || value === '') continue;
    const isMap = name === 'patternProperties' || name === 'definitions';
    if (isMap && Object.keys(value as object).length === 0) continue;
    errors.push(forbiddenField(child(path, name), `${name} is not supported`));
  }
  if (type === 'null')
    errors.push(
      forbiddenField(child(path, 'type'), 'type cannot be set to null, use nullable as an alternative'),
    );
  if (itemSchemas(schema).length > 0)
    errors.push(forbiddenField(child(path, 'items'), 'items must be a schema object and not an array'));
  if (insideMeta && schema['x-kubernetes-embedded-resource'] === true)
    errors.push(
      forbiddenField(
        child(path, 'x-kubernetes-embedded-resource'),
        'must not be used inside of resource meta',
      ),
    );
}

type Visit = (schema: SchemaProps | undefined, path: string, place: Place) => void;

function validateParts(
  schema: SchemaProps,
  path: string,
  place: Place,
  errors: FieldError[],
  visit: Visit,
): void {
  const inside: Place = { ...place, isRoot: false, rules: place.rules && belowSchema(place.rules, schema) };
  const nested: Place = { ...inside, rules: undefined };
  const properties = entriesOf(schema.properties);
  const { additionalProperties } = schema;
  if (hasProperties(schema) && additionalProperties !== undefined && additionalProperties !== true)
    errors.push(
      forbiddenField(
        child(path, 'additionalProperties'),
        'additionalProperties and properties are mutual exclusive',
      ),
    );
  const noDefaults = 'inside additionalProperties applying to object metadata';
  visit(
    additionalSchema(schema),
    child(path, 'additionalProperties'),
    place.insideMeta ? { ...inside, noDefaults } : inside,
  );
  for (const [name, below] of properties)
    visit(below, key(child(path, 'properties'), name), placeOfProperty(name, schema, path, place, inside));
  visit(schema.not, child(path, 'not'), nested);
  for (const name of ['allOf', 'oneOf', 'anyOf'] as const)
    schema[name]?.forEach((below, i) => {
      visit(below, index(child(path, name), i), nested);
    });
  for (const [name, below] of entriesOf(schema.definitions))
    visit(below, key(child(path, 'definitions'), name), nested);
  const items = child(path, 'items');
  const uncorrelated = schema['x-kubernetes-list-type'] === 'map' ? inside.uncorrelated : path;
  const item = { ...inside, uncorrelated: inside.uncorrelated || uncorrelated };
  visit(itemSchema(schema), items, item);
  itemSchemas(schema).forEach((below, i) => {
    visit(below, index(items, i), item);
  });
  for (const [name, below] of entriesOf(schema.dependencies))
    visit(
      Array.isArray(below) ? undefined : (below as SchemaProps),
      key(child(path, 'dependencies'), name),
      nested,
    );
}

function placeOfProperty(
  name: string,
  schema: SchemaProps,
  path: string,
  { isRoot }: Place,
  inside: Place,
): Place {
  const mapType = schema['x-kubernetes-map-type'];
  const isCorrelated = mapType === undefined || mapType === 'granular' || mapType === 'atomic';
  const uncorrelated = inside.uncorrelated || (isCorrelated ? '' : path);
  const isResource = isRoot || schema['x-kubernetes-embedded-resource'] === true;
  const insideMeta = inside.insideMeta || (isResource && ENVELOPE.has(name));
  const noDefaults = isRoot && ENVELOPE.has(name) ? `in top-level ${name}` : inside.noDefaults;
  return { ...inside, uncorrelated, insideMeta, noDefaults };
}

function mustHaveType(
  schema: SchemaProps,
  path: string,
  type: string,
  because: string,
  errors: FieldError[],
): void {
  const at = child(path, 'type');
  const message = `must be ${type} if ${because} is specified`;
  errors.push(schema.type ? invalidValue(at, schema.type, message) : required(at, message));
}

function validateMapType(schema: SchemaProps, path: string, errors: FieldError[]): void {
  const mapType = schema['x-kubernetes-map-type'];
  if (mapType === undefined) return;
  if (schema.type !== 'object') mustHaveType(schema, path, 'object', 'x-kubernetes-map-type', errors);
  if (mapType !== 'atomic' && mapType !== 'granular')
    errors.push(notSupported(child(path, 'x-kubernetes-map-type'), mapType, ['atomic', 'granular']));
}

function validateListType(
  schema: SchemaProps,
  path: string,
  { requireAtomicSetType }: SchemaOptions,
  errors: FieldError[],
): void {
  const listType = schema['x-kubernetes-list-type'];
  if (listType === undefined) return;
  const items = itemSchema(schema);
  if (schema.type !== 'array') mustHaveType(schema, path, 'array', 'x-kubernetes-list-type', errors);
  else if (requireAtomicSetType && isNonAtomicSet(schema)) {
    const name = items?.type === 'array' ? 'x-kubernetes-list-type' : 'x-kubernetes-map-type';
    // The list type is printed in both cases. So does upstream.
    errors.push(
      invalidValue(
        child(path, 'items', name),
        items?.['x-kubernetes-list-type'],
        'must be atomic as item of a list with x-kubernetes-list-type=set',
      ),
    );
  }
  if (listType !== 'atomic' && listType !== 'set' && listType !== 'map')
    errors.push(notSupported(child(path, 'x-kubernetes-list-type'), listType, ['atomic', 'set', 'map']));
}

/** Sets hold scalars, and what is replaced as a whole. */
export function isNonAtomicSet(schema: SchemaProps): boolean {
  const items = itemSchema(schema);
  if (schema['x-kubernetes-list-type'] !== 'set' || items === undefined) return false;
  if (items.type === 'array') return (items['x-kubernetes-list-type'] ?? 'atomic') !== 'atomic';
  return items.type === 'object' && items['x-kubernetes-map-type'] !== 'atomic';
}

function validateListMapKeys(schema: SchemaProps, path: string, errors: FieldError[]): void {
  const listType = schema['x-kubernetes-list-type'];
  const names = schema['x-kubernetes-list-map-keys'] ?? [];
  const typePath = child(path, 'x-kubernetes-list-type');
  const onlyMaps = 'must be map if x-kubernetes-list-map-keys is non-empty';
  if (names.length > 0 && listType === undefined) errors.push(required(typePath, onlyMaps));
  else if (names.length > 0 && listType !== 'map') errors.push(invalidValue(typePath, listType, onlyMaps));
  if (listType !== 'map') return;
  const keysPath = child(path, 'x-kubernetes-list-map-keys');
  if (names.length === 0)
    errors.push(required(keysPath, 'must not be empty if x-kubernetes-list-type is map'));
  const itemsPath = child(path, 'items');
  const items = itemSchema(schema);
  if (schema.items === undefined)
    errors.push(required(itemsPath, 'must have a schema if x-kubernetes-list-type is map'));
  else if (items === undefined)
    errors.push(
      invalidValue(
        itemsPath,
        schema.items,
        'must only have a single schema if x-kubernetes-list-type is map',
      ),
    );
  else if (items.type !== 'object')
    errors.push(
      invalidValue(
        child(itemsPath, 'type'),
        items.type ?? '',
        "must be object if parent array's x-kubernetes-list-type is map",
      ),
    );
  else validateKeyNames(items, names, path, errors);
}

function validateKeyNames(
  items: SchemaProps,
  names: readonly string[],
  path: string,
  errors: FieldError[],
): void {
  const keysPath = child(path, 'x-kubernetes-list-map-keys');
  const properties = new Map(entriesOf(items.properties));
  const seen = new Set<string>();
  // The list is printed once, however many of its entries are wrong.
  let unknown: FieldError | undefined;
  let repeated: FieldError | undefined;
  for (const name of names) {
    const property = properties.get(name);
    if (property === undefined)
      errors.push(
        (unknown ??= invalidValue(keysPath, names, 'entries must all be names of item properties')),
      );
    else if (property.type === 'array' || property.type === 'object')
      errors.push(
        invalidValue(
          child(key(child(path, 'items', 'properties'), name), 'type'),
          items.type,
          "must be a scalar type if parent array's x-kubernetes-list-type is map",
        ),
      );
    if (seen.has(name))
      errors.push((repeated ??= invalidValue(keysPath, names, 'must not contain duplicate entries')));
    seen.add(name);
  }
}

/** Items that are told apart are there, and so are their keys. */
export function validateKeyedItems(schema: SchemaProps, path: string): readonly FieldError[] {
  const items = itemSchema(schema);
  const listType = schema['x-kubernetes-list-type'];
  if (items === undefined || (listType !== 'set' && listType !== 'map')) return [];
  const errors: FieldError[] = [];
  if (items.nullable === true)
    errors.push(
      forbiddenField(
        child(path, 'items', 'nullable'),
        `cannot be nullable when x-kubernetes-list-type is ${listType}`,
      ),
    );
  if (listType === 'set') return errors;
  const properties = new Map(entriesOf(items.properties));
  const isRequired = new Set(items.required);
  for (const name of schema['x-kubernetes-list-map-keys'] ?? []) {
    const property = properties.get(name);
    if (property === undefined) continue;
    const at = key(child(path, 'items', 'properties'), name);
    if (!isRequired.has(name) && !hasDefault(property))
      errors.push(
        required(
          child(at, 'default'),
          'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property',
        ),
      );
    if (property.nullable === true)
      errors.push(
        forbiddenField(
          child(at, 'nullable'),
          'this property is in x-kubernetes-list-map-keys, so it cannot be nullable',
        ),
      );
  }
  return errors;
}

const REASONS: readonly string[] = [
  'FieldValueDuplicate',
  'FieldValueForbidden',
  'FieldValueInvalid',
  'FieldValueRequired',
];

function validateRuleForms(schema: SchemaProps, path: string, errors: FieldError[]): void {
  let hasPaths: boolean | undefined;
  schema['x-kubernetes-validations']?.forEach((rule, i) => {
    const at = index(child(path, 'x-kubernetes-validations'), i);
    validateRuleText(rule, at, errors);
    const { messageExpression = '', reason, fieldPath = '' } = rule;
    if (messageExpression !== '' && isBlank(messageExpression))
      errors.push(
        required(child(at, 'messageExpression'), 'messageExpression must be non-empty if specified'),
      );
    if (reason !== undefined && !REASONS.includes(reason))
      errors.push(notSupported(child(at, 'reason'), reason, REASONS));
    if (fieldPath === '') return;
    const wrong = (message: string): void => {
      errors.push(invalidValue(child(at, 'fieldPath'), fieldPath, message));
    };
    if (isBlank(fieldPath)) wrong('must be non-empty if specified');
    if (hasNewlines(fieldPath)) wrong('must not contain line breaks');
    hasPaths ??= structuralProblem(schema) === undefined;
    if (hasPaths && typeof resolveFieldPath(fieldPath, schema) === 'string') wrong('must be a valid path');
  });
}

function validateRuleText(rule: ValidationRule, path: string, errors: FieldError[]): void {
  const text = (rule.rule as string | undefined) ?? '';
  const { message = '' } = rule;
  const at = child(path, 'message');
  if (isBlank(text)) errors.push(required(child(path, 'rule'), 'rule is not specified'));
  else if (message !== '' && isBlank(message))
    errors.push(invalidValue(at, message, 'must be non-empty if specified'));
  else if (hasNewlines(message.trim()))
    errors.push(invalidValue(at, message, 'must not contain line breaks'));
  else if (hasNewlines(text.trim()) && isBlank(message))
    errors.push(required(at, 'message must be specified if rule contains line breaks'));
}

function isBlank(text: string): boolean {
  return text.trim() === '';
}

function hasNewlines(text: string): boolean {
  return /[\n\r]/.test(text);
}
