/**
 * From the body of a request to an object in normal form, with the errors and warnings of field validation in upstream's
 * words (k8s.io/apiserver/pkg/endpoints/handlers, sigs.k8s.io/json).
 */
import { schemaOf } from '@k8ts/api';
import type { Schema } from '@k8ts/api';
import { goQuote } from '../go-quote.ts';
import { formatGroupVersion, groupVersionError, parseGroupVersion } from '../group-version.ts';
import type { GroupVersionKind } from '../group-version.ts';
import { goJsonKind, isJsonObject, MAX_JSON_DEPTH } from '../json.ts';
import type { JsonObject, JsonValue } from '../json.ts';
import { badRequest } from '../status-error.ts';
import type { StatusError } from '../status-error.ts';
import { countMembers, scanJson } from './json-scan.ts';
import { findDuplicateMembers, JsonSyntaxError } from './json-syntax.ts';
import { DecodeError, normalizeObject } from './normalize.ts';
import type { Normalized } from './normalize.ts';
import { parseYaml, YamlError } from './yaml.ts';

/** Unknown and repeated fields are dropped silently, with a warning each, or refused. */
export type FieldValidation = 'Ignore' | 'Warn' | 'Strict';

export interface DecodeOptions {
  /** The schema of `kind`; its type is `object`. */
  readonly schema: Schema;
  /** What the endpoint takes. The body may leave out apiVersion and kind, and then has these. */
  readonly kind: GroupVersionKind;
  readonly fieldValidation: FieldValidation;
  /** `json` unless said otherwise. YAML may be JSON. */
  readonly format?: 'json' | 'yaml';
  /** How the value is brought into normal form. Absent: as built-in kinds are. */
  readonly normalize?: (value: JsonValue) => Normalized;
  /** Other versions that the endpoint takes too, as `group/version`; their schemas are of the same kind. */
  readonly acceptVersions?: readonly string[];
}

export interface DecodedObject {
  /** With apiVersion and kind. Nobody else holds it. */
  readonly object: JsonObject;
  /** `unknown field "spec.foo"`, `duplicate field "spec.bar"`: warnings for the client. Empty with Ignore and Strict. */
  readonly warnings: readonly string[];
}

/** A body parsed to JSON values, with what strictness has to say of its text: `duplicate field "spec.foo"`. */
export interface ParsedBody {
  readonly value: JsonValue;
  readonly strictErrors: readonly string[];
}

interface CountedBody extends ParsedBody {
  /** Members of all objects in the text; fewer in the value mean repeated ones. -1 when not counted. */
  readonly members: number;
}

/** Text is not parsed. The message is upstream's, `invalid character 'x' looking for beginning of value`. */
export class BodyError extends Error {
  override readonly name = 'BodyError';
}

/** Throws StatusError 400 for anything that is not an object of this kind. */
export function decodeObject(body: string | Uint8Array, options: DecodeOptions): DecodedObject {
  const text = typeof body === 'string' ? body : textOf(body);
  const { schema, kind: expected, fieldValidation } = options;
  const strict = fieldValidation !== 'Ignore';
  let parsed: CountedBody;
  try {
    parsed = parseText(text, options.format ?? 'json', strict);
  } catch (error) {
    if (!(error instanceof BodyError)) throw error;
    throw unrecognized(expected.kind, error.message, text);
  }
  const kind = kindIn(parsed.value, expected, text);
  try {
    checkKind(kind, options);
    const { object, strictErrors, members } =
      options.normalize?.(parsed.value ?? {}) ?? normalizeObject(parsed.value ?? {}, schema, { owned: true });
    const errors = strict ? [...parsed.strictErrors, ...strictErrors] : [];
    if (strict && parsed.members >= 0 && members !== parsed.members)
      errors.push(...duplicateFieldErrors(text));
    if (errors.length > 0 && fieldValidation === 'Strict') throw new DecodeError(strictDecodingError(errors));
    return { object: withKind(object, kind), warnings: errors };
  } catch (error) {
    if (error instanceof DecodeError) throw cannotBeHandled(kind, expected.kind, error.message);
    throw error;
  }
}

/** A view, not a copy, of the bytes as UTF-8. What is no UTF-8 becomes U+FFFD, as in Go. */
function textOf(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
}

/** Parses JSON or YAML text, for patches for example. `strict` looks for repeated fields. Throws BodyError. */
export function parseBody(text: string, format: 'json' | 'yaml', strict: boolean): ParsedBody {
  const { value, members, strictErrors } = parseText(text, format, strict);
  const repeated = members >= 0 && members !== countMembers(value);
  return { value, strictErrors: repeated ? duplicateFieldErrors(text) : strictErrors };
}

function parseText(text: string, format: 'json' | 'yaml', strict: boolean): CountedBody {
  if (format === 'yaml') {
    // Mostly it is JSON after all, which is read much faster; what only looks like it is YAML's flow style.
    const json = /^\s*[{[]/.test(text) ? tryJson(text, strict) : undefined;
    return json instanceof BodyError || json === undefined ? readYaml(text) : json;
  }
  const json = tryJson(text, strict);
  if (json instanceof BodyError) throw json;
  if (json === undefined) throw new BodyError(syntaxMessage(text));
  return json;
}

/** Undefined when the text is no JSON; an error when it is too deep to look. */
function tryJson(text: string, strict: boolean): CountedBody | BodyError | undefined {
  const { members, depth } = scanJson(text);
  if (depth > MAX_JSON_DEPTH) return new BodyError('exceeded max depth');
  try {
    return { value: JSON.parse(text) as JsonValue, members: strict ? members : -1, strictErrors: [] };
  } catch {
    return undefined;
  }
}

function readYaml(text: string): CountedBody {
  try {
    const { value, duplicates } = parseYaml(text);
    return { value, members: -1, strictErrors: duplicates };
  } catch (error) {
    if (error instanceof YamlError) throw new BodyError(error.message);
    throw error;
  }
}

/** What Go says of text that JSON.parse refused. */
function syntaxMessage(text: string): string {
  try {
    findDuplicateMembers(text);
  } catch (error) {
    if (error instanceof JsonSyntaxError) return error.message;
    throw error;
  }
  return 'invalid JSON';
}

/** `duplicate field "spec.replicas"` for every repeated member of valid JSON text. */
export function duplicateFieldErrors(text: string): string[] {
  return findDuplicateMembers(text).map((path) => `duplicate field ${goQuote(path)}`);
}

/** The one text of several strict errors. */
export function strictDecodingError(errors: readonly string[]): string {
  return `strict decoding error: ${errors.join(', ')}`;
}

const ENVELOPE_TYPE =
  'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }';

/** The kind the body claims, completed by the expected one. */
function kindIn(value: JsonValue, expected: GroupVersionKind, text: string): GroupVersionKind {
  const fail = (message: string): StatusError =>
    unrecognized(expected.kind, `couldn't get version/kind; json parse error: ${message}`, text);
  if (value === null) return expected;
  if (!isJsonObject(value))
    throw fail(`json: cannot unmarshal ${goJsonKind(value)} into Go value of type ${ENVELOPE_TYPE}`);
  const { apiVersion = '', kind = '' } = value;
  if (kind === expected.kind && apiVersion === formatGroupVersion(expected)) return expected; // nearly always
  for (const [name, found] of [
    ['apiVersion', apiVersion],
    ['kind', kind],
  ] as const) {
    if (typeof found !== 'string' && found !== null)
      throw fail(`json: cannot unmarshal ${goJsonKind(found)} into Go struct field .${name} of type string`);
  }
  const parsed = parseGroupVersion((apiVersion as string | null) ?? '');
  if (parsed === undefined) throw unrecognized(expected.kind, groupVersionError(apiVersion as string), text);
  const version = parsed.version === '' ? { group: expected.group, version: expected.version } : parsed;
  return { ...version, kind: kind === '' || kind === null ? expected.kind : (kind as string) };
}

function checkKind(found: GroupVersionKind, { kind: expected, acceptVersions = [] }: DecodeOptions): void {
  if (found === expected) return;
  const version = formatGroupVersion(found);
  const wanted = formatGroupVersion(expected);
  const sameVersion = version === wanted || acceptVersions.includes(version);
  if (found.kind === expected.kind && sameVersion) return;
  if (schemaOf(found.group, found.version, found.kind) === undefined)
    throw new DecodeError(
      `no kind ${goQuote(found.kind)} is registered for version ${goQuote(version)} in scheme "pkg/api/legacyscheme/scheme.go:30"`,
    );
  if (found.kind !== expected.kind)
    throw new DecodeError(
      `converting (${found.version}.${found.kind}) to (${internalPackage(expected.group)}.${expected.kind}): unknown conversion`,
    );
  throw badRequest(
    `the API version in the data (${version}) does not match the expected API version (${wanted})`,
  );
}

/** Where Go keeps the internal types of a group: `core`, `apps`, `rbac` … */
function internalPackage(group: string): string {
  return group === '' ? 'core' : (group.split('.')[0] as string);
}

function withKind(object: JsonObject, { group, version, kind }: GroupVersionKind): JsonObject {
  const apiVersion = formatGroupVersion({ group, version });
  if (object['apiVersion'] === apiVersion && object['kind'] === kind) return object;
  const { apiVersion: _apiVersion, kind: _kind, ...rest } = object;
  return { kind, apiVersion, ...rest };
}

/** 400 for a body whose kind is known. */
export function cannotBeHandled(found: GroupVersionKind, expectedKind: string, message: string): StatusError {
  return badRequest(
    `${found.kind} in version ${goQuote(found.version)} cannot be handled as a ${expectedKind}: ${message}`,
  );
}

function unrecognized(expectedKind: string, message: string, text: string): StatusError {
  const fault =
    message.startsWith("couldn't") || message.startsWith('unexpected GroupVersion')
      ? message
      : `couldn't get version/kind; json parse error: ${message}`;
  return badRequest(
    `the object provided is unrecognized (must be of type ${expectedKind}): ${fault} (${summarize(text)})`,
  );
}

const SUMMARY_LENGTH = 30;

function summarize(text: string): string {
  const data = Buffer.from(text.slice(0, SUMMARY_LENGTH + 1));
  if (data.length === 0) return '<empty>';
  const more = Buffer.byteLength(text.slice(0, SUMMARY_LENGTH + 1)) > SUMMARY_LENGTH ? ' ...' : '';
  const head = data.subarray(0, SUMMARY_LENGTH);
  return (text.startsWith('{') ? head.toString() : head.toString('hex')) + more;
}
