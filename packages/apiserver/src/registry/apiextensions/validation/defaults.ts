/** Defaults are values of their schema, without unknown fields (apiextensions-apiserver, pkg/apiserver/schema/defaulting). */
import {
  aggregateText,
  child,
  coerceEmbeddedObjects,
  compileSchemaValidator,
  compileStructuralSchema,
  fieldErrorText,
  invalidValue,
  jsonEqual,
  key,
  prunePart,
  validateEmbeddedObjects,
  type FieldError,
  type JsonObject,
  type JsonValue,
} from '@k8ts/apimachinery';
import type { CheckDefault } from './rules.ts';
import { entriesOf, hasDefault, itemSchema, type SchemaProps } from './schema-walk.ts';

export interface DefaultOptions {
  readonly requirePruned: boolean;
  /** CEL rules; absent: they are not asked. */
  readonly checkRules?: CheckDefault | undefined;
}

/** Where in the tree we are. */
interface Place {
  /** The nearest schema of a complete object. */
  readonly resource: SchemaProps;
  /** In apiVersion, kind or metadata of that object. */
  readonly insideMeta: boolean;
  /** The smallest such object that holds a value here. */
  readonly surround: (value: JsonValue) => JsonValue;
}

const ENVELOPE: ReadonlySet<string> = new Set(['metadata', 'kind', 'apiVersion']);

/** For structural schemas. Defaults below additionalProperties are not looked at, as upstream does not. */
export function validateDefaults(
  schema: SchemaProps,
  path: string,
  options: DefaultOptions,
): readonly FieldError[] {
  const errors: FieldError[] = [];
  const root = { ...schema, 'x-kubernetes-embedded-resource': true };
  validate(root, path, placeOf(root), options, errors);
  return errors;
}

function placeOf(resource: SchemaProps): Place {
  return {
    resource,
    insideMeta: false,
    surround: (value) => ({ kind: 'Validation', apiVersion: 'validation/v1', ...(value as JsonObject) }),
  };
}

function validate(
  schema: SchemaProps,
  path: string,
  outer: Place,
  options: DefaultOptions,
  errors: FieldError[],
): void {
  const isResource = schema['x-kubernetes-embedded-resource'] === true;
  const place = isResource ? placeOf(schema) : outer;
  if (hasDefault(schema))
    errors.push(
      ...validateDefault(schema, schema.default as JsonValue, child(path, 'default'), place, options),
    );
  const items = itemSchema(schema);
  if (items !== undefined)
    validate(
      items,
      child(path, 'items'),
      { ...place, surround: (value) => place.surround([value]) },
      options,
      errors,
    );
  for (const [name, below] of entriesOf(schema.properties)) {
    const inside: Place = {
      ...place,
      insideMeta: place.insideMeta || (isResource && ENVELOPE.has(name)),
      surround: (value) => place.surround({ [name]: value }),
    };
    validate(below, key(child(path, 'properties'), name), inside, options, errors);
  }
}

function validateDefault(
  schema: SchemaProps,
  value: JsonValue,
  path: string,
  place: Place,
  { requirePruned, checkRules }: DefaultOptions,
): readonly FieldError[] {
  const errors = place.insideMeta
    ? validateMetadata(value, path, place)
    : validateShape(schema, value, path, requirePruned);
  if (errors.some(({ body }) => !body.endsWith(UNKNOWN_FIELDS))) return errors;
  const wrong = compileSchemaValidator(schema)(value, { path });
  if (wrong.length > 0) return [...errors, ...wrong];
  return [...errors, ...(checkRules?.(schema, value, path, schema === place.resource) ?? [])];
}

const UNKNOWN_FIELDS = ': must not have unknown fields';

/** A default of a part of the metadata is judged in metadata. */
function validateMetadata(
  value: JsonValue,
  path: string,
  { resource, surround }: Place,
): readonly FieldError[] {
  const tree = compileStructuralSchema(resource);
  const { value: object, error } = coerceEmbeddedObjects(surround(value), tree);
  const found = error === undefined ? validateEmbeddedObjects(object, tree) : [error];
  if (found.length === 0) return [];
  const text = aggregateText(found.map(fieldErrorText));
  return [invalidValue(path, value, `must result in valid metadata: ${text}`)];
}

function validateShape(
  schema: SchemaProps,
  value: JsonValue,
  path: string,
  requirePruned: boolean,
): readonly FieldError[] {
  const tree = compileStructuralSchema(schema);
  const isPruned = !requirePruned || jsonEqual(prunePart(value, tree), value);
  const errors = isPruned ? [] : [invalidValue(path, value, UNKNOWN_FIELDS.slice(2))];
  const coerced = coerceEmbeddedObjects(value, tree, { path });
  if (coerced.error !== undefined) return [...errors, coerced.error];
  return [...errors, ...validateEmbeddedObjects(coerced.value, tree, path)];
}

/** Whether a schema has defaults with unknown fields in them. */
export function hasUnprunedDefaults(schema: SchemaProps): boolean {
  return validateDefaults(schema, '', { requirePruned: true }).some(({ body }) =>
    body.endsWith(UNKNOWN_FIELDS),
  );
}
