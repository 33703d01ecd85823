import type { Draft, KubeObject, Schema } from '@k8ts/api';
import { badRequest, unsupportedMediaType } from '@k8ts/apimachinery';
import type { RequestContext } from '../../request/request-context.ts';
import type { FieldValidation } from './options.ts';

/** What upstream reads of one request at most (MaxRequestBodyBytes). */
export const MAX_BODY_BYTES: number = 3 * 1024 * 1024;

/** A request's body, read once; can be decoded again for another attempt. */
export type Body =
  | { readonly kind: 'bytes'; readonly bytes: Buffer; readonly mediaType: string }
  | { readonly kind: 'value'; readonly value: unknown };

export interface ExpectedKind {
  readonly apiVersion: string;
  readonly kind: string;
  readonly schema: Schema;
}

const JSON_TYPE = 'application/json';
const ACCEPTED = [JSON_TYPE, 'application/yaml', 'application/vnd.kubernetes.protobuf'];

/** The media type without its parameters; JSON when none is given. */
export function mediaTypeOf(context: RequestContext): string {
  const header = context.headers['content-type'];
  if (header === undefined || header === '') return JSON_TYPE;
  const end = header.indexOf(';');
  return (end < 0 ? header : header.slice(0, end)).trim().toLowerCase();
}

/** Reads a body that holds an object. Throws 415 and 413. */
export async function readBody(context: RequestContext): Promise<Body> {
  const { body } = context.init;
  if (body.kind === 'value') return body;
  const mediaType = mediaTypeOf(context);
  if (!ACCEPTED.includes(mediaType))
    throw unsupportedMediaType(
      `the body of the request was in an unknown format - accepted media types include: ${ACCEPTED.join(', ')}`,
    );
  return { kind: 'bytes', bytes: await body.read(MAX_BODY_BYTES), mediaType };
}

/** A new draft of what the body says. Unknown and duplicate fields are warned of or refused, as `validation` asks. */
export function decodeBody<T extends KubeObject>(
  body: Body,
  expected: ExpectedKind,
  _validation: FieldValidation,
  _warn: (message: string) => void,
): Draft<T> {
  const value = body.kind === 'value' ? structuredClone(body.value) : parseJson(body.bytes, expected.kind);
  const object = value as Draft<KubeObject>;
  if (typeof object !== 'object' || object === null || Array.isArray(object))
    throw badRequest(`couldn't get version/kind; json parse error: not an object`);
  if (object.apiVersion !== undefined && object.apiVersion !== '' && object.apiVersion !== expected.apiVersion)
    throw badRequest(
      `the API version in the data (${object.apiVersion}) does not match the expected API version (${expected.apiVersion})`,
    );
  object.apiVersion = expected.apiVersion;
  object.kind = expected.kind;
  (object as { metadata?: unknown }).metadata ??= {};
  return object as Draft<T>;
}

function parseJson(bytes: Buffer, kind: string): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch (error) {
    throw badRequest(
      `the object provided is unrecognized (must be of type ${kind}): couldn't get version/kind; json parse error: ${(error as Error).message}`,
    );
  }
}
