/**
 * Errors as the API speaks them: `StatusError` carries the wire `Status` (meta/v1) and is made only by the functions
 * below. Texts, reasons and codes are upstream's (k8s.io/apimachinery/pkg/api/errors), since scripts match on them.
 */
import { goQuote } from './go-quote.ts';

export interface Status {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly status: 'Success' | 'Failure';
  readonly message?: string;
  readonly reason?: string;
  readonly details?: StatusDetails;
  readonly code: number;
}

export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly StatusCause[];
  /** Seconds. */
  readonly retryAfterSeconds?: number;
}

export interface StatusCause {
  readonly reason?: string;
  readonly message?: string;
  readonly field?: string;
}

/** What an error is about: the resource's plural name, or a kind where upstream names the kind (`invalid`). */
export interface GroupResource {
  readonly group: string;
  readonly resource: string;
}

export interface GroupKind {
  readonly group: string;
  readonly kind: string;
}

export class StatusError extends Error {
  readonly status: Status;

  constructor(status: Status, options?: ErrorOptions) {
    super(status.message ?? status.reason ?? 'unknown', options);
    this.name = 'StatusError';
    this.status = status;
  }

  get code(): number {
    return this.status.code;
  }

  get reason(): string {
    return this.status.reason ?? '';
  }
}

function failure(
  code: number,
  reason: string,
  message: string,
  details?: StatusDetails,
  options?: ErrorOptions,
): StatusError {
  const status: Status = {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    reason,
    ...(details === undefined ? {} : { details }),
    code,
  };
  return new StatusError(status, options);
}

/** `deployments.apps`, or `pods` for the core group. */
function groupResourceName({ group, resource }: GroupResource): string {
  return group === '' ? resource : `${resource}.${group}`;
}

function groupKindName({ group, kind }: GroupKind): string {
  return group === '' ? kind : `${kind}.${group}`;
}

function about({ group, resource }: GroupResource, name: string): StatusDetails {
  return {
    ...(name === '' ? {} : { name }),
    ...(group === '' ? {} : { group }),
    ...(resource === '' ? {} : { kind: resource }),
  };
}

export function notFound(resource: GroupResource, name: string): StatusError {
  return failure(
    404,
    'NotFound',
    `${groupResourceName(resource)} ${goQuote(name)} not found`,
    about(resource, name),
  );
}

export function alreadyExists(resource: GroupResource, name: string): StatusError {
  return failure(
    409,
    'AlreadyExists',
    `${groupResourceName(resource)} ${goQuote(name)} already exists`,
    about(resource, name),
  );
}

/** All the names tried for a `generateName` were taken. */
export function generateNameConflict(
  resource: GroupResource,
  name: string,
  retryAfterSeconds: number,
): StatusError {
  return failure(
    409,
    'AlreadyExists',
    `${groupResourceName(resource)} ${goQuote(name)} already exists, the server was not able to generate a unique name for the object`,
    { ...about(resource, name), ...(retryAfterSeconds > 0 ? { retryAfterSeconds } : {}) },
  );
}

/** `message` says why; see `modified` for the usual one. */
export function conflict(resource: GroupResource, name: string, message: string): StatusError {
  return failure(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${groupResourceName(resource)} ${goQuote(name)}: ${message}`,
    about(resource, name),
  );
}

/** The optimistic lock was lost. */
export function modified(resource: GroupResource, name: string): StatusError {
  return conflict(
    resource,
    name,
    'the object has been modified; please apply your changes to the latest version and try again',
  );
}

export function applyConflict(message: string, causes: readonly StatusCause[]): StatusError {
  return failure(409, 'Conflict', message, { causes });
}

export function badRequest(message: string): StatusError {
  return failure(400, 'BadRequest', message);
}

export function unauthorized(message = 'Unauthorized'): StatusError {
  return failure(401, 'Unauthorized', message);
}

export function forbidden(resource: GroupResource, name: string, message: string): StatusError {
  const text =
    resource.resource === '' && name === ''
      ? `forbidden: ${message}`
      : name === ''
        ? `${groupResourceName(resource)} is forbidden: ${message}`
        : `${groupResourceName(resource)} ${goQuote(name)} is forbidden: ${message}`;
  return failure(403, 'Forbidden', text, about(resource, name));
}

export function methodNotSupported(resource: GroupResource, action: string): StatusError {
  return failure(
    405,
    'MethodNotAllowed',
    `${action} is not supported on resources of kind "${groupResourceName(resource)}"`,
    about(resource, ''),
  );
}

export function notAcceptable(message: string): StatusError {
  return failure(406, 'NotAcceptable', message);
}

export function unsupportedMediaType(message: string): StatusError {
  return failure(415, 'UnsupportedMediaType', message);
}

export function requestEntityTooLarge(message: string): StatusError {
  return failure(413, 'RequestEntityTooLarge', `Request entity too large: ${message}`);
}

/** The wanted resource version is too old. */
export function expired(message: string): StatusError {
  return failure(410, 'Expired', message);
}

export function gone(message: string): StatusError {
  return failure(410, 'Gone', message);
}

export function tooManyRequests(
  message: string,
  retryAfterSeconds: number,
  cause?: StatusCause,
): StatusError {
  return failure(429, 'TooManyRequests', message, {
    ...(cause === undefined ? {} : { causes: [cause] }),
    ...(retryAfterSeconds > 0 ? { retryAfterSeconds } : {}),
  });
}

export function internalError(error: unknown): StatusError {
  const message = error instanceof Error ? error.message : String(error);
  return failure(
    500,
    'InternalError',
    `Internal error occurred: ${message}`,
    { causes: [{ message }] },
    { cause: error },
  );
}

export function serviceUnavailable(message: string): StatusError {
  return failure(503, 'ServiceUnavailable', message);
}

export function timeout(message: string, retryAfterSeconds = 0): StatusError {
  return failure(504, 'Timeout', `Timeout: ${message}`, retryAfterSeconds > 0 ? { retryAfterSeconds } : {});
}

export function serverTimeout(
  resource: GroupResource,
  operation: string,
  retryAfterSeconds: number,
): StatusError {
  const details = about(resource, operation);
  return failure(
    500,
    'ServerTimeout',
    `The ${operation} operation against ${groupResourceName(resource)} could not be completed at this time, please try again.`,
    { ...details, ...(retryAfterSeconds > 0 ? { retryAfterSeconds } : {}) },
  );
}

/** A path that no resource or handler answers to. */
export function unknownPath(): StatusError {
  return failure(404, 'NotFound', 'the server could not find the requested resource', {});
}

/**
 * One field of an object is wrong (k8s.io/apimachinery/pkg/util/validation/field). `type` is the cause's wire reason;
 * `body` is the text after the path, for example `Invalid value: 0: must be greater than zero`.
 */
export interface FieldError {
  readonly type:
    | 'FieldValueRequired'
    | 'FieldValueInvalid'
    | 'FieldValueTypeInvalid'
    | 'FieldValueDuplicate'
    | 'FieldValueForbidden'
    | 'FieldValueNotFound'
    | 'FieldValueNotSupported'
    | 'FieldValueTooLong'
    | 'FieldValueTooShort'
    | 'FieldValueTooMany'
    | 'InternalError';
  /** `spec.containers[0].image` */
  readonly field: string;
  readonly body: string;
}

/** 422 with every wrong field. */
export function invalid(kind: GroupKind, name: string, fieldErrors: readonly FieldError[]): StatusError {
  const texts = [...new Set(fieldErrors.map((error) => `${error.field}: ${error.body}`))];
  const list = texts.length === 1 ? (texts[0] as string) : `[${texts.join(', ')}]`;
  const message = `${groupKindName(kind)} ${goQuote(name)} is invalid`;
  return failure(422, 'Invalid', texts.length === 0 ? message : `${message}: ${list}`, {
    ...(name === '' ? {} : { name }),
    ...(kind.group === '' ? {} : { group: kind.group }),
    ...(kind.kind === '' ? {} : { kind: kind.kind }),
    causes: fieldErrors.map(({ type, body, field }) => ({ reason: type, message: body, field })),
  });
}

/** A `Status` that came over the wire, as an error. */
export function fromStatus(status: Status): StatusError {
  return new StatusError(status);
}

/** Anything that was thrown, as an error of the API: what is no StatusError becomes 500 with its message. */
export function toStatusError(error: unknown): StatusError {
  if (error instanceof StatusError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new StatusError(
    { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, code: 500 },
    { cause: error },
  );
}

export function hasReason(error: unknown, reason: string): boolean {
  return error instanceof StatusError && error.status.reason === reason;
}

/** The reasons of meta/v1. Where an answer has another one, or none, its code counts. */
const KNOWN_REASONS: ReadonlySet<string> = new Set([
  'Unauthorized',
  'Forbidden',
  'NotFound',
  'AlreadyExists',
  'Conflict',
  'Gone',
  'Invalid',
  'ServerTimeout',
  'StoreReadError',
  'Timeout',
  'TooManyRequests',
  'BadRequest',
  'MethodNotAllowed',
  'NotAcceptable',
  'RequestEntityTooLarge',
  'UnsupportedMediaType',
  'InternalError',
  'Expired',
  'ServiceUnavailable',
]);

function is(error: unknown, reason: string, code: number): boolean {
  if (!(error instanceof StatusError)) return false;
  if (error.reason === reason) return true;
  return error.code === code && !KNOWN_REASONS.has(error.reason);
}

export const isNotFound = (error: unknown): boolean => is(error, 'NotFound', 404);
export const isAlreadyExists = (error: unknown): boolean => hasReason(error, 'AlreadyExists');
export const isConflict = (error: unknown): boolean => is(error, 'Conflict', 409);
export const isForbidden = (error: unknown): boolean => is(error, 'Forbidden', 403);
export const isUnauthorized = (error: unknown): boolean => is(error, 'Unauthorized', 401);
export const isInvalid = (error: unknown): boolean => is(error, 'Invalid', 422);
export const isExpired = (error: unknown): boolean => hasReason(error, 'Expired') || is(error, 'Gone', 410);
export const isTooManyRequests = (error: unknown): boolean => is(error, 'TooManyRequests', 429);
export const isTimeout = (error: unknown): boolean => is(error, 'Timeout', 504);
export const isServerTimeout = (error: unknown): boolean => hasReason(error, 'ServerTimeout');
export const isInternalError = (error: unknown): boolean => is(error, 'InternalError', 500);
export const isServiceUnavailable = (error: unknown): boolean => is(error, 'ServiceUnavailable', 503);
