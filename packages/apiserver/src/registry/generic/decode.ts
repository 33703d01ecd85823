import type { Draft, KubeObject, Schema } from '@k8ts/api';
import {
  badRequest,
  cannotBeHandled,
  DecodeError,
  decodeObject,
  decodeProtobuf,
  fromStatus,
  normalizeObject,
  ProtobufError,
  readProtobufEnvelope,
  strictDecodingError,
  unsupportedMediaType,
  type FieldValidation,
  type JsonObject,
  type Normalized,
  type NormalizeOptions,
} from '@k8ts/apimachinery';
import type { RequestContext } from '../../request/request-context.ts';
import { copyJson } from './copy-json.ts';

/** What upstream reads of one request at most (MaxRequestBodyBytes). */
export const MAX_BODY_BYTES: number = 3 * 1024 * 1024;

/** A request's body, read once; can be decoded again for another attempt. */
export type Body =
  | { readonly kind: 'bytes'; readonly bytes: Buffer; readonly format: 'json' | 'yaml' | 'protobuf' }
  | { readonly kind: 'value'; readonly value: unknown };

export interface ExpectedKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly schema: Schema;
  /** As in ServedResource. */
  readonly normalize?: ((value: unknown) => Normalized) | undefined;
}

export type Warn = (message: string) => void;

const JSON_TYPE = 'application/json';
const FORMATS: Readonly<Record<string, 'json' | 'yaml' | 'protobuf'>> = {
  [JSON_TYPE]: 'json',
  'application/yaml': 'yaml',
  'application/vnd.kubernetes.protobuf': 'protobuf',
};

/** The media type without its parameters; JSON when none is given. */
export function mediaTypeOf(context: RequestContext): string {
  const header = context.headers['content-type'];
  if (header === undefined || header === '' || header === JSON_TYPE) return JSON_TYPE;
  const end = header.indexOf(';');
  return (end < 0 ? header : header.slice(0, end)).trim().toLowerCase();
}

/** Reads a body that holds an object; custom resources have no protobuf form. Throws 415 and 413. */
export async function readBody(context: RequestContext, isCustom = false): Promise<Body> {
  const { body } = context.init;
  if (body.kind === 'value') return body;
  const format = FORMATS[mediaTypeOf(context)];
  if (format === undefined || (isCustom && format === 'protobuf')) {
    const types = Object.keys(FORMATS).filter((type) => !isCustom || FORMATS[type] !== 'protobuf');
    throw unsupportedMediaType(
      `the body of the request was in an unknown format - accepted media types include: ${types.join(', ')}`,
    );
  }
  return { kind: 'bytes', bytes: await body.read(MAX_BODY_BYTES), format };
}

/**
 * A new draft of what the body says, in normal form. Unknown and duplicate fields are warned of or refused, as
 * `validation` asks. Throws 400 for what is no object of this kind.
 */
export function decodeBody<T extends KubeObject>(
  body: Body,
  expected: ExpectedKind,
  validation: FieldValidation,
  warn: Warn,
): Draft<T> {
  if (body.kind === 'value') return decodeValue(body.value, expected, validation, warn) as Draft<T>;
  if (body.format === 'protobuf') return decodeProtobufBody(body.bytes, expected) as Draft<T>;
  const { object, warnings } = decodeObject(body.bytes, {
    schema: expected.schema,
    kind: expected,
    fieldValidation: validation,
    format: body.format,
    ...(expected.normalize === undefined ? {} : { normalize: expected.normalize }),
  });
  for (const warning of warnings) warn(warning);
  return withMetadata(object) as Draft<T>;
}

/** Protobuf has no unknown fields in Kubernetes' sense; what it cannot say is not there. */
function decodeProtobufBody(bytes: Buffer, expected: ExpectedKind): Draft<KubeObject> {
  try {
    const { apiVersion, kind } = readProtobufEnvelope(bytes);
    checkKind({ apiVersion, kind }, expected);
    const decoded = decodeProtobuf(expected.schema, bytes);
    const { object } = normalizeObject(decoded, expected.schema, { owned: true });
    return withMetadata(named(object, expected));
  } catch (error) {
    if (error instanceof ProtobufError)
      throw badRequest(
        `the object provided is unrecognized (must be of type ${expected.kind}): ${error.message}`,
      );
    if (error instanceof DecodeError) throw cannotBeHandled(expected, expected.kind, error.message);
    throw error;
  }
}

/** An object of the same process: its holder may go on using it, so the draft shares nothing with it. */
function decodeValue(
  value: unknown,
  expected: ExpectedKind,
  validation: FieldValidation,
  warn: Warn,
): Draft<KubeObject> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw badRequest(`the object provided is unrecognized (must be of type ${expected.kind})`);
  checkKind(value, expected);
  try {
    const { object, strictErrors } = normalized(copyJson(value), expected, { owned: true });
    if (strictErrors.length > 0 && validation === 'Strict')
      throw new DecodeError(strictDecodingError(strictErrors));
    if (validation === 'Warn') for (const error of strictErrors) warn(error);
    return withMetadata(named(object, expected));
  } catch (error) {
    if (error instanceof DecodeError) throw cannotBeHandled(expected, expected.kind, error.message);
    throw error;
  }
}

function normalized(
  value: unknown,
  { schema, normalize }: ExpectedKind,
  options: NormalizeOptions,
): Normalized {
  return normalize === undefined ? normalizeObject(value, schema, options) : normalize(value);
}

function checkKind(
  value: { readonly apiVersion?: unknown; readonly kind?: unknown },
  expected: ExpectedKind,
): void {
  const { apiVersion = '', kind = '' } = value;
  if (kind !== '' && kind !== expected.kind)
    throw badRequest(
      `${String(kind)} in version ${JSON.stringify(versionOf(String(apiVersion)))} cannot be handled as a ${expected.kind}: unexpected kind`,
    );
  if (apiVersion !== '' && apiVersion !== apiVersionOf(expected))
    throw badRequest(
      `the API version in the data (${String(apiVersion)}) does not match the expected API version (${apiVersionOf(expected)})`,
    );
}

function versionOf(apiVersion: string): string {
  return apiVersion.slice(apiVersion.indexOf('/') + 1);
}

function apiVersionOf({ group, version }: ExpectedKind): string {
  return group === '' ? version : `${group}/${version}`;
}

function named(object: JsonObject, expected: ExpectedKind): JsonObject {
  const target = object as Record<string, unknown>;
  target['apiVersion'] = apiVersionOf(expected);
  target['kind'] = expected.kind;
  return object;
}

function withMetadata(object: JsonObject): Draft<KubeObject> {
  const target = object as unknown as { metadata?: object };
  target.metadata ??= {};
  return object as unknown as Draft<KubeObject>;
}

/**
 * What a patch has made of `live`, as a draft. Faults of the result are the patch's: 422 with the field `patch`, as upstream.
 */
export function decodePatched(
  patched: JsonObject,
  live: KubeObject,
  expected: ExpectedKind,
  validation: FieldValidation,
  patchErrors: readonly string[],
  warn: Warn,
): Draft<KubeObject> {
  checkKind(patched, expected);
  try {
    const { object, strictErrors } = normalized(patched, expected, { live: live as unknown as JsonObject });
    const errors = [...patchErrors, ...strictErrors];
    if (errors.length > 0 && validation === 'Strict') throw new DecodeError(strictDecodingError(errors));
    if (validation === 'Warn') for (const error of errors) warn(error);
    return withMetadata(named(copyJson(object), expected));
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    const body = `Invalid value: ${JSON.stringify(JSON.stringify(patched))}: ${error.message}`;
    throw fromStatus({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: ` "" is invalid: patch: ${body}`,
      reason: 'Invalid',
      details: { causes: [{ reason: 'FieldValueInvalid', message: body, field: 'patch' }] },
      code: 422,
    });
  }
}
