/**
 * Makers of field errors, with the texts of k8s.io/apimachinery/pkg/util/validation/field. Paths are strings built by
 * `child`, `index` and `key`, so that checking a valid object builds few of them.
 *
 *     invalidValue(child('spec', 'replicas'), -1, 'must be greater than or equal to 0')
 *     → spec.replicas: Invalid value: -1: must be greater than or equal to 0
 */
import { goQuote } from '../go-quote.ts';
import type { FieldError } from '../status-error.ts';

/** `child('spec', 'template', 'metadata')` is `spec.template.metadata`; an empty path is the root. */
export function child(path: string, ...names: readonly string[]): string {
  let result = path;
  for (const name of names) result = result === '' ? name : `${result}.${name}`;
  return result;
}

/** `spec.containers[0]` */
export function index(path: string, position: number): string {
  return `${path}[${position}]`;
}

/** `data[some.key]` */
export function key(path: string, name: string): string {
  return `${path}[${name}]`;
}

/** A value that is missing, or empty where it must not be. `detail` may be empty. */
export function required(path: string, detail: string): FieldError {
  return { type: 'FieldValueRequired', field: path, body: withDetail('Required value', detail) };
}

export function invalidValue(path: string, value: unknown, detail: string): FieldError {
  return {
    type: 'FieldValueInvalid',
    field: path,
    body: withDetail(`Invalid value: ${formatValue(value)}`, detail),
  };
}

/** The value has the wrong JSON type. */
export function typeInvalid(path: string, value: unknown, detail: string): FieldError {
  return {
    type: 'FieldValueTypeInvalid',
    field: path,
    body: withDetail(`Invalid value: ${formatValue(value)}`, detail),
  };
}

/** `validValues` are printed in the order given; upstream usually sorts them. */
export function notSupported(path: string, value: unknown, validValues: readonly string[]): FieldError {
  const detail = validValues.length === 0 ? '' : `supported values: ${validValues.map(goQuote).join(', ')}`;
  return {
    type: 'FieldValueNotSupported',
    field: path,
    body: withDetail(`Unsupported value: ${formatValue(value)}`, detail),
  };
}

export function duplicate(path: string, value: unknown): FieldError {
  return { type: 'FieldValueDuplicate', field: path, body: `Duplicate value: ${formatValue(value)}` };
}

export function forbiddenField(path: string, detail: string): FieldError {
  return { type: 'FieldValueForbidden', field: path, body: withDetail('Forbidden', detail) };
}

export function notFoundField(path: string, value: unknown): FieldError {
  return { type: 'FieldValueNotFound', field: path, body: `Not found: ${formatValue(value)}` };
}

/** Longer than `maxLength` bytes; the value is not repeated. A negative limit is not named. */
export function tooLong(path: string, maxLength: number): FieldError {
  return { type: 'FieldValueTooLong', field: path, body: `Too long: ${limitText(maxLength, 'byte')}` };
}

/** Longer than `maxLength` characters. */
export function tooLongCharacters(path: string, maxLength: number): FieldError {
  return { type: 'FieldValueTooLong', field: path, body: `Too long: ${limitText(maxLength, 'character')}` };
}

/** Shorter than `minLength` characters. */
export function tooShort(path: string, minLength: number): FieldError {
  const detail =
    minLength < 0 ? 'value is too short' : `must be at least ${minLength} ${plural(minLength, 'character')}`;
  return { type: 'FieldValueTooShort', field: path, body: `Too short: ${detail}` };
}

/** A negative `actual` is not printed; a negative `max` is not named. */
export function tooMany(path: string, actual: number, max: number): FieldError {
  const detail = max < 0 ? 'has too many items' : `must have at most ${max} ${plural(max, 'item')}`;
  return {
    type: 'FieldValueTooMany',
    field: path,
    body: withDetail(actual < 0 ? 'Too many' : `Too many: ${actual}`, detail),
  };
}

/** Something went wrong that is not the user's fault. */
export function internalField(path: string, error: unknown): FieldError {
  const detail = error instanceof Error ? error.message : String(error);
  return { type: 'InternalError', field: path, body: withDetail('Internal error', detail) };
}

/** `spec.replicas: Invalid value: -1: must be …`, for messages that are not a Status. */
export function fieldErrorText(error: FieldError): string {
  return `${error.field}: ${error.body}`;
}

/** Go's aggregate of errors: one text as it is, several distinct ones in brackets. */
export function aggregateText(messages: readonly string[]): string {
  const distinct = [...new Set(messages)];
  return distinct.length === 1 ? (distinct[0] as string) : `[${distinct.join(', ')}]`;
}

function withDetail(text: string, detail: string): string {
  return detail === '' ? text : `${text}: ${detail}`;
}

function limitText(limit: number, unit: string): string {
  return limit < 0 ? 'value is too long' : `may not be more than ${limit} ${plural(limit, unit)}`;
}

function plural(count: number, noun: string): string {
  return count === 1 ? noun : `${noun}s`;
}

/** Strings as Go quotes them, numbers and booleans plain, everything else as Go's encoding/json writes it. */
export function formatValue(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return goQuote(value);
    case 'number':
    case 'boolean':
    case 'bigint':
      return String(value);
    case 'object':
      return goJson(value);
    default:
      return 'null';
  }
}

const HTML_UNSAFE = /[<>&\u2028\u2029]/g;

/** JSON as Go writes it: `<`, `>`, `&` and the two line separators are escaped. */
export function goJson(value: unknown): string {
  return JSON.stringify(value).replace(
    HTML_UNSAFE,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
