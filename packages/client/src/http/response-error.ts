import { fromStatus } from '@k8ts/apimachinery';
import type { Status, StatusError } from '@k8ts/apimachinery';

/**
 * The error of a response that is no success: its `Status` where it carries one; otherwise one made from the code, in the
 * words of upstream's clients (k8s.io/apimachinery/pkg/api/errors, NewGenericServerResponse).
 */
export function responseError(
  code: number,
  method: string,
  body: string,
  retryAfterSeconds: number,
): StatusError {
  const status = parseStatus(body);
  if (status !== undefined) return fromStatus({ ...status, code: status.code || code });
  const text = body.slice(0, 2048).trim() || 'unknown';
  const [reason, message] = describe(code, method, text);
  return fromStatus({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    reason,
    details: {
      causes: [{ reason: 'UnexpectedServerResponse', message: text }],
      ...(retryAfterSeconds > 0 ? { retryAfterSeconds } : {}),
    },
    code,
  });
}

function parseStatus(body: string): Status | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return undefined; // a proxy's page, or plain text
  }
  return isStatus(parsed) ? parsed : undefined;
}

export function isStatus(value: unknown): value is Status {
  return typeof value === 'object' && value !== null && (value as Status).kind === 'Status';
}

function describe(code: number, method: string, text: string): [reason: string, message: string] {
  switch (code) {
    case 400:
      return ['BadRequest', 'the server rejected our request for an unknown reason'];
    case 401:
      return ['Unauthorized', 'the server has asked for the client to provide credentials'];
    case 403:
      return ['Forbidden', text];
    case 404:
      return ['NotFound', 'the server could not find the requested resource'];
    case 405:
      return ['MethodNotAllowed', 'the server does not allow this method on the requested resource'];
    case 406:
      return [
        'NotAcceptable',
        text === 'unknown'
          ? 'the server was unable to respond with a content type that the client supports'
          : text,
      ];
    case 409:
      return [method === 'POST' ? 'AlreadyExists' : 'Conflict', 'the server reported a conflict'];
    case 415:
      return ['UnsupportedMediaType', text];
    case 422:
      return ['Invalid', 'the server rejected our request due to an error in our request'];
    case 429:
      return [
        'TooManyRequests',
        'the server has received too many requests and has asked us to try again later',
      ];
    case 503:
      return ['ServiceUnavailable', 'the server is currently unable to handle the request'];
    case 504:
      return [
        'Timeout',
        'the server was unable to return a response in the time allotted, but may still be processing the request',
      ];
    default:
      return code >= 500
        ? [
            'InternalError',
            `an error on the server (${JSON.stringify(text)}) has prevented the request from succeeding`,
          ]
        : [
            'Unknown',
            `the server responded with the status code ${code} but did not return more information`,
          ];
  }
}
