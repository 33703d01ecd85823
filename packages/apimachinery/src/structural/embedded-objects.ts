/**
 * Objects inside of custom resources (x-kubernetes-embedded-resource): what their apiVersion, kind and metadata must be
 * (apiextensions-apiserver, pkg/apiserver/schema/objectmeta).
 */
import { schemaOfType } from '@k8ts/api';
import type { Schema } from '@k8ts/api';
import { DecodeError, normalizeObject } from '../codec/normalize.ts';
import { groupVersionError, parseGroupVersion } from '../group-version.ts';
import { getOwn, isJsonArray, isJsonObject, setOwn } from '../json.ts';
import type { JsonArray, JsonObject, JsonValue, MutableJsonObject } from '../json.ts';
import type { FieldError } from '../status-error.ts';
import { child, index, invalidValue, key, required } from '../validation/field-errors.ts';
import { isDNS1035Label, nameIsPathSegment } from '../validation/names.ts';
import { validateObjectMeta } from '../validation/object-meta.ts';

/** What is wrong with the embedded objects of a value. The schema is a compiled one; depth must be limited already. */
export function validateEmbeddedObjects(value: JsonValue, schema: Schema, path = ''): readonly FieldError[] {
  const errors: FieldError[] = [];
  eachEmbedded(value, schema, path, (object, at) => {
    if (errors.length < MAX_ERRORS) errors.push(...validateEmbedded(object, at));
    return object;
  });
  return errors;
}

export interface Coerced {
  /** The value itself where nothing had to change. */
  readonly value: JsonValue;
  /** `unknown field "spec.template.metadata.foo"` */
  readonly strictErrors: readonly string[];
  /** Why the value cannot be taken: the first that has the wrong type. */
  readonly error: FieldError | undefined;
}

/**
 * Brings the metadata of embedded objects into the form that all metadata has. What has the wrong type is an error, or
 * (`dropInvalid`, for what was stored) goes.
 */
export function coerceEmbeddedObjects(
  value: JsonValue,
  schema: Schema,
  { dropInvalid = false, path = '' }: { readonly dropInvalid?: boolean; readonly path?: string } = {},
): Coerced {
  const strictErrors: string[] = [];
  let error: FieldError | undefined;
  const coerced = eachEmbedded(value, schema, path, (object, at) => {
    const result = coerceEmbedded(object, at, dropInvalid);
    error ??= result.error;
    if (strictErrors.length < MAX_REPORTED) strictErrors.push(...result.strictErrors);
    return result.value;
  });
  return { value: error === undefined ? coerced : value, strictErrors: strictErrors.sort(), error };
}

const MAX_ERRORS = 1000;
const MAX_REPORTED = 100;

type Visit = (object: JsonObject, path: string) => JsonObject;

/** The value with its embedded objects replaced, the outer ones first. */
function eachEmbedded(value: JsonValue, schema: Schema, path: string, visit: Visit): JsonValue {
  if (typeof value !== 'object' || value === null || !holdsEmbedded(schema)) return value;
  if (isJsonArray(value)) return eachInItems(value, schema, path, visit);
  const object = schema.embeddedResource ? visit(value, path) : value;
  let out = object;
  for (const [name, part] of Object.entries(object)) {
    if (part === undefined || (schema.embeddedResource && name === 'metadata')) continue;
    const field = schema.fields.get(name)?.schema;
    const below = field ?? (schema.type === 'array' ? undefined : schema.items);
    if (below === undefined) continue;
    const at = field === undefined ? key(path, name) : child(path, name);
    const changed = eachEmbedded(part, below, at, visit);
    if (changed === part) continue;
    if (out === object) out = { ...object };
    setOwn(out, name, changed);
  }
  return out;
}

function eachInItems(list: JsonArray, schema: Schema, path: string, visit: Visit): JsonValue {
  const { items } = schema;
  if (schema.type !== 'array' || items === undefined) return list;
  const out = list.map((item, i) => eachEmbedded(item, items, index(path, i), visit));
  return out.some((item, i) => item !== list[i]) ? out : list;
}

function validateEmbedded(object: JsonObject, path: string): readonly FieldError[] {
  const errors: FieldError[] = [];
  for (const name of ['apiVersion', 'kind'] as const) {
    const at = child(path, name);
    const value = getOwn(object, name);
    if (value === undefined) errors.push(required(at, ''));
    else if (typeof value !== 'string') errors.push(invalidValue(at, value, 'must be a string'));
    else if (value === '') errors.push(invalidValue(at, value, 'must not be empty'));
    else errors.push(...(name === 'kind' ? validateKind(value, at) : validateApiVersion(value, at)));
  }
  const metadata = getOwn(object, 'metadata');
  if (metadata !== undefined) errors.push(...validateMetadata(metadata, child(path, 'metadata')));
  return errors;
}

function validateKind(kind: string, path: string): readonly FieldError[] {
  const messages = isDNS1035Label(kind.toLowerCase());
  if (messages.length === 0) return messages as readonly never[];
  const message = `may have mixed case, but should otherwise match: ${messages.join(',')}`;
  return [invalidValue(path, kind, message)];
}

function validateApiVersion(apiVersion: string, path: string): readonly FieldError[] {
  if (parseGroupVersion(apiVersion) !== undefined) return [];
  return [invalidValue(path, apiVersion, groupVersionError(apiVersion))];
}

function validateMetadata(metadata: JsonValue, path: string): readonly FieldError[] {
  try {
    const { object } = normalizeObject(metadata ?? {}, objectMeta());
    const name = getOwn(object, 'name') ?? 'fakename'; // It need not have one.
    const namespaced = (getOwn(object, 'namespace') ?? '') !== '';
    return validateObjectMeta({ ...object, name: name as string }, namespaced, nameIsPathSegment, path);
  } catch (error) {
    if (error instanceof DecodeError) return [invalidValue(path, metadata, error.message)];
    throw error;
  }
}

interface CoercedObject {
  readonly value: JsonObject;
  readonly strictErrors: readonly string[];
  readonly error?: FieldError;
}

function coerceEmbedded(object: JsonObject, path: string, dropInvalid: boolean): CoercedObject {
  let value = object;
  for (const name of ['apiVersion', 'kind']) {
    const text = getOwn(value, name);
    if (text === undefined || typeof text === 'string') continue;
    if (!dropInvalid)
      return {
        value: object,
        strictErrors: [],
        error: invalidValue(child(path, name), text, 'must be a string'),
      };
    const { [name]: _gone, ...rest } = value;
    value = rest;
  }
  const metadata = getOwn(value, 'metadata');
  if (metadata === undefined) return { value, strictErrors: [] };
  const at = child(path, 'metadata');
  try {
    const normal = normalizeObject(metadata ?? {}, objectMeta());
    const strictErrors = normal.strictErrors.map((text) => text.replace(/^unknown field "/, `$&${at}.`));
    return { value: { ...value, metadata: normal.object }, strictErrors };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    if (!dropInvalid)
      return { value: object, strictErrors: [], error: invalidValue(at, metadata, error.message) };
    return {
      value: isJsonObject(metadata) ? { ...value, metadata: validFields(metadata) } : value,
      strictErrors: [],
    };
  }
}

function validFields(metadata: JsonObject): JsonObject {
  const kept: MutableJsonObject = {};
  for (const [name, value] of Object.entries(metadata)) {
    if (value === undefined) continue;
    try {
      Object.assign(kept, normalizeObject({ [name]: value }, objectMeta()).object);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
    }
  }
  return kept;
}

function objectMeta(): Schema {
  const schema = schemaOfType('metav1', 'ObjectMeta');
  if (schema === undefined) throw new Error('the tables have no ObjectMeta');
  return schema;
}

// By schema. Schemas are shared and never change.
const known = new WeakMap<Schema, boolean>();

function holdsEmbedded(schema: Schema): boolean {
  let answer = known.get(schema);
  if (answer === undefined) {
    answer =
      schema.embeddedResource ||
      (schema.items !== undefined && holdsEmbedded(schema.items)) ||
      [...schema.fields.values()].some((field) => holdsEmbedded(field.schema));
    known.set(schema, answer);
  }
  return answer;
}
