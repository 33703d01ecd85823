/**
 * Validation of values against the schema of a custom resource: the rules, texts and the order of k8s.io/kube-openapi
 * (pkg/validation/validate) and the way in which apiextensions-apiserver shows them as errors of fields. Oddities of that
 * validator are kept, for objects live by them; they are named where they are.
 *
 * Work is bounded by the sizes of schema and value, multiplied; patterns are matched in linear time. The value must be
 * nested no deeper than MAX_JSON_DEPTH.
 */
import type { apiextensionsv1 } from '@k8ts/api';
import { goQuote } from '../go-quote.ts';
import { getOwn, isJsonArray, isJsonObject, jsonEqual } from '../json.ts';
import type { JsonArray, JsonObject, JsonValue } from '../json.ts';
import type { FieldError } from '../status-error.ts';
import { goJson } from '../validation/field-errors.ts';
import { Correlation } from './correlation.ts';
import { checkNumber, isInt64, isNearInteger } from './numbers.ts';
import { compileValueSchema, type ValueSchema } from './value-schema.ts';
import { addFault, toFieldErrors, type Faults } from './faults.ts';

export interface ValueValidationOptions {
  /** The stored value that this one replaces: errors of parts that did not change are let pass. */
  readonly old?: JsonValue | undefined;
  /** Where the value is in its object; absent for whole objects. */
  readonly path?: string;
}

export type ValueValidator = (value: JsonValue, options?: ValueValidationOptions) => readonly FieldError[];

/** Everything but CEL rules, embedded resources and the uniqueness of list items: what OpenAPI says. */
export function compileSchemaValidator(props: apiextensionsv1.JSONSchemaProps): ValueValidator {
  let schema: ValueSchema | undefined;
  return (value, { old, path = '' } = {}) => {
    schema ??= compileValueSchema(props);
    const faults: Faults = [];
    const correlation = old === undefined ? undefined : new Correlation(value, old, schema);
    checkRatcheting(schema, value, '', faults, correlation);
    return faults.length === 0 ? NONE : toFieldErrors(faults, path);
  };
}

const NONE: readonly never[] = [];
const TYPE_FIELDS: ReadonlySet<string> = new Set(['apiVersion', 'kind']);

/** As `check`; where the old value is the same, its faults are forgotten. */
function checkRatcheting(
  schema: ValueSchema,
  value: JsonValue,
  path: string,
  faults: Faults,
  correlation: Correlation | undefined,
): number {
  const before = faults.length;
  const matches = check(schema, value, path, faults, correlation);
  if (correlation !== undefined && faults.length > before && correlation.equal) faults.length = before;
  return matches;
}

/**
 * Adds what is wrong to the faults. The result counts the checks that were passed, as upstream does: of alternatives that
 * all failed, the one with the highest count is shown.
 */
function check(
  schema: ValueSchema,
  value: JsonValue,
  path: string,
  faults: Faults,
  correlation: Correlation | undefined,
): number {
  if (value === null) return checkNull(schema, path, faults);
  let matches = 4;
  if (schema.types.length > 0 || schema.format !== '') matches += 1 + checkType(schema, value, path, faults);
  if (hasAlternatives(schema)) matches += checkAlternatives(schema, value, path, faults);
  if (typeof value === 'string') matches += 1 + checkString(schema, value, path, faults);
  else if (typeof value === 'number') {
    matches += 2;
    if (schema.numbers !== undefined) checkNumber(schema, schema.numbers, value, path, faults);
  } else if (isJsonArray(value)) matches += 2 + checkItems(schema, value, path, faults, correlation);
  if (schema.enum.length > 0) checkEnum(schema.enum, value, path, faults);
  if (isJsonObject(value)) matches += 1 + checkFields(schema, value, path, faults, correlation);
  return matches;
}

/** A null is not among the values of an enumeration even where that lists it. So does upstream. */
function checkNull(schema: ValueSchema, path: string, faults: Faults): number {
  const allowed = schema.types.length === 0 || schema.nullable;
  if (!allowed) typeFault(schema.types.join(','), 'null', path, faults);
  if (schema.enum.length > 0) enumFault(schema.enum, null, path, faults);
  return allowed ? 1 : 0;
}

function typeFault(type: string, found: string, path: string, faults: Faults): void {
  const message = `${path} in body must be of type ${type}: ${goQuote(found)}`;
  addFault(faults, { kind: 'type', path, message, value: found });
}

function checkType(schema: ValueSchema, value: JsonValue, path: string, faults: Faults): number {
  const { types, format } = schema;
  const type = typeOf(value);
  const numeric = types.includes('integer') || types.includes('number');
  const fits =
    types.includes(type) ||
    (type === 'integer' && types.includes('number')) ||
    (type === 'number' && types.includes('integer') && isNearInteger(value as number));
  if (format !== '') {
    const native = type === 'integer' ? 'int64' : type === 'number' ? 'float64' : '';
    if (type === 'string' || type === 'array') {
      if (!numeric) return 1;
    } else if (!fits && native !== format) {
      typeFault(format, native, path, faults);
      return 0;
    }
  }
  if (fits) return 1;
  typeFault(types.join(','), type, path, faults);
  return 0;
}

function typeOf(value: JsonValue): string {
  if (typeof value === 'number') return isInt64(value) ? 'integer' : 'number';
  if (isJsonArray(value)) return 'array';
  return typeof value;
}

function hasAlternatives({ allOf, anyOf, oneOf, not }: ValueSchema): boolean {
  return anyOf.length > 0 || oneOf.length > 0 || allOf.length > 0 || not !== undefined;
}

/** None of these follows the old value: parts of alternatives are judged as new. */
function checkAlternatives(schema: ValueSchema, value: JsonValue, path: string, faults: Faults): number {
  let matches = 0;
  if (schema.anyOf.length > 0) matches += checkAnyOf(schema.anyOf, value, path, faults);
  if (schema.oneOf.length > 0) matches += checkOneOf(schema.oneOf, value, path, faults);
  if (schema.allOf.length > 0) matches += checkAllOf(schema.allOf, value, path, faults);
  if (schema.not !== undefined) {
    const found: Faults = [];
    check(schema.not, value, path, found, undefined);
    if (found.length === 0) plainFault(`${goQuote(path)} must not validate the schema (not)`, path, faults);
  }
  return matches;
}

function plainFault(message: string, path: string, faults: Faults): void {
  addFault(faults, { kind: 'plain', path, message, value: '' });
}

interface Attempt {
  readonly faults: Faults;
  readonly matches: number;
}

function attempt(schema: ValueSchema, value: JsonValue, path: string): Attempt {
  const faults: Faults = [];
  return { faults, matches: check(schema, value, path, faults, undefined) };
}

function checkAnyOf(schemas: readonly ValueSchema[], value: JsonValue, path: string, faults: Faults): number {
  let best: Attempt | undefined;
  for (const schema of schemas) {
    const tried = attempt(schema, value, path);
    if (tried.faults.length === 0) return tried.matches;
    if (best === undefined || tried.matches > best.matches) best = tried;
  }
  plainFault(`${goQuote(path)} must validate at least one schema (anyOf)`, path, faults);
  return take(best as Attempt, faults);
}

function checkOneOf(schemas: readonly ValueSchema[], value: JsonValue, path: string, faults: Faults): number {
  let best: Attempt | undefined;
  let first: Attempt | undefined;
  let valid = 0;
  for (const schema of schemas) {
    const tried = attempt(schema, value, path);
    if (tried.faults.length === 0) {
      valid++;
      first ??= tried;
    } else if (valid === 0 && (best === undefined || tried.matches > best.matches)) best = tried;
  }
  if (valid === 1) return (first as Attempt).matches;
  const found = valid === 0 ? 'Found none valid' : `Found ${valid} valid alternatives`;
  plainFault(`${goQuote(path)} must validate one and only one schema (oneOf). ${found}`, path, faults);
  return valid === 0 ? take(best as Attempt, faults) : 0;
}

function take(chosen: Attempt, faults: Faults): number {
  for (const fault of chosen.faults) addFault(faults, fault);
  return chosen.matches;
}

function checkAllOf(schemas: readonly ValueSchema[], value: JsonValue, path: string, faults: Faults): number {
  let matches = 0;
  let valid = 0;
  for (const schema of schemas) {
    const before = faults.length;
    matches += check(schema, value, path, faults, undefined);
    if (faults.length === before) valid++;
  }
  if (valid < schemas.length)
    plainFault(
      `${goQuote(path)} must validate all the schemas (allOf)${valid === 0 ? '. None validated' : ''}`,
      path,
      faults,
    );
  return matches;
}

/** Only the first of a string's faults is named, and its format. The result counts the format. */
function checkString(schema: ValueSchema, value: string, path: string, faults: Faults): number {
  checkText(schema, value, path, faults);
  if (schema.stringFormat === undefined) return 0;
  if (!schema.stringFormat(value))
    addFault(faults, {
      kind: 'type',
      path,
      message: `${path} in body must be of type ${schema.format}: ${goQuote(value)}`,
      value,
    });
  return 1;
}

function checkText(schema: ValueSchema, value: string, path: string, faults: Faults): void {
  const { minLength, maxLength, pattern } = schema;
  if (maxLength !== undefined && value.length > maxLength && countCharacters(value) > maxLength) {
    const message = `${path} in body should be at most ${maxLength} chars long`;
    addFault(faults, { kind: 'tooLong', path, message, value, limit: maxLength });
  } else if (minLength !== undefined && value.length < 2 * minLength && countCharacters(value) < minLength) {
    const message = `${path} in body should be at least ${minLength} chars long`;
    addFault(faults, { kind: 'invalid', path, message, value });
  } else if (pattern !== undefined) {
    const regexp = pattern.regexp();
    if (typeof regexp !== 'string' && regexp.test(value)) return;
    const why = typeof regexp === 'string' ? `, but pattern is invalid: ${regexp}` : '';
    const message = `${path} in body should match '${pattern.source}${why}'`;
    addFault(faults, { kind: 'invalid', path, message, value });
  }
}

function countCharacters(text: string): number {
  let count = text.length;
  for (let i = 1; i < text.length; i++) {
    const low = text.charCodeAt(i);
    const high = text.charCodeAt(i - 1);
    if (low >= 0xdc00 && low <= 0xdfff && high >= 0xd800 && high <= 0xdbff) count--;
  }
  return count;
}

function checkEnum(allowed: readonly JsonValue[], value: JsonValue, path: string, faults: Faults): void {
  for (const candidate of allowed) {
    if (jsonEqual(candidate, value)) return;
    // Upstream converts the value to the candidate's type: 5.5 is 5 then.
    if (typeof candidate === 'number' && typeof value === 'number' && Math.trunc(value) === candidate) return;
  }
  enumFault(allowed, value, path, faults);
}

function enumFault(allowed: readonly JsonValue[], value: JsonValue, path: string, faults: Faults): void {
  const message = `${path} in body should be one of ${goJson(allowed)}`;
  addFault(faults, { kind: 'enum', path, message, value, allowed });
}

function checkItems(
  schema: ValueSchema,
  list: JsonArray,
  path: string,
  faults: Faults,
  correlation: Correlation | undefined,
): number {
  const { items, minItems, maxItems } = schema;
  const size = list.length;
  let matches = 0;
  if (items !== undefined) {
    for (let i = 0; i < size; i++)
      matches += checkRatcheting(items, list[i] as JsonValue, `${path}[${i}]`, faults, correlation?.item(i));
  }
  if (minItems !== undefined && size < minItems) {
    const message = `${path} in body should have at least ${minItems} items`;
    addFault(faults, { kind: 'invalid', path, message, value: size });
  }
  if (maxItems !== undefined && size > maxItems) {
    const message = `${path} in body should have at most ${maxItems} items`;
    addFault(faults, { kind: 'tooMany', path, message, value: size, limit: maxItems });
  }
  return matches;
}

function checkFields(
  schema: ValueSchema,
  object: JsonObject,
  path: string,
  faults: Faults,
  correlation: Correlation | undefined,
): number {
  const { properties, additional, minProperties, maxProperties } = schema;
  const below = (name: string): Correlation | undefined =>
    path === '' && TYPE_FIELDS.has(name) ? undefined : correlation?.field(name);
  let matches = 0;
  if (minProperties !== undefined || maxProperties !== undefined) checkSize(schema, object, path, faults);
  if (additional !== undefined) {
    for (const [name, value] of Object.entries(object)) {
      if (value === undefined || properties.has(name)) continue;
      if (additional === false) {
        const message = `${path}.${name} in body is a forbidden property`;
        addFault(faults, { kind: 'invalid', path, message, value: name });
      } else {
        matches += checkRatcheting(additional, value, `${path}.${name}`, faults, below(name));
      }
    }
  }
  for (const [name, property] of properties) {
    const value = getOwn(object, name);
    if (value === undefined) continue;
    const at = path === '' ? name : `${path}.${name}`;
    matches += checkRatcheting(property, value, at, faults, below(name));
  }
  for (const name of schema.required) {
    if (getOwn(object, name) !== undefined) continue;
    const at = `${path}.${name}`;
    addFault(faults, { kind: 'required', path: at, message: `${at} in body is required`, value: '' });
  }
  return matches;
}

function checkSize(
  { minProperties, maxProperties }: ValueSchema,
  object: JsonObject,
  path: string,
  faults: Faults,
): void {
  let size = 0;
  for (const name of Object.keys(object)) if (object[name] !== undefined) size++;
  if (minProperties !== undefined && size < minProperties) {
    const message = `${path} in body should have at least ${minProperties} properties`;
    addFault(faults, { kind: 'invalid', path, message, value: size });
  }
  if (maxProperties !== undefined && size > maxProperties) {
    const message = `${path} in body should have at most ${maxProperties} properties`;
    addFault(faults, { kind: 'tooMany', path, message, value: size, limit: maxProperties });
  }
}
