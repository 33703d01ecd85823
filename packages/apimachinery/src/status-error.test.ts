import { describe, expect, test } from 'vitest';
import * as errors from './status-error.ts';
import type { Status } from './status-error.ts';

const PODS = { group: '', resource: 'pods' };
const DEPLOYMENTS = { group: 'apps', resource: 'deployments' };

// Texts, reasons and codes of k8s.io/apimachinery/pkg/api/errors.
test.each([
  [errors.notFound(PODS, 'a'), 404, 'NotFound', 'pods "a" not found'],
  [errors.notFound(DEPLOYMENTS, 'a"b'), 404, 'NotFound', 'deployments.apps "a\\"b" not found'],
  [errors.alreadyExists(PODS, 'a'), 409, 'AlreadyExists', 'pods "a" already exists'],
  [
    errors.generateNameConflict(PODS, 'a', 1),
    409,
    'AlreadyExists',
    'pods "a" already exists, the server was not able to generate a unique name for the object',
  ],
  [
    errors.modified(DEPLOYMENTS, 'a'),
    409,
    'Conflict',
    'Operation cannot be fulfilled on deployments.apps "a": the object has been modified; please apply your changes to the latest version and try again',
  ],
  [errors.forbidden(PODS, 'a', 'no'), 403, 'Forbidden', 'pods "a" is forbidden: no'],
  [errors.forbidden(PODS, '', 'no'), 403, 'Forbidden', 'pods is forbidden: no'],
  [errors.forbidden({ group: '', resource: '' }, '', 'no'), 403, 'Forbidden', 'forbidden: no'],
  [errors.unauthorized(), 401, 'Unauthorized', 'Unauthorized'],
  [errors.badRequest('x'), 400, 'BadRequest', 'x'],
  [
    errors.methodNotSupported(PODS, 'patch'),
    405,
    'MethodNotAllowed',
    'patch is not supported on resources of kind "pods"',
  ],
  [errors.requestEntityTooLarge('x'), 413, 'RequestEntityTooLarge', 'Request entity too large: x'],
  [errors.expired('x'), 410, 'Expired', 'x'],
  [errors.timeout('x'), 504, 'Timeout', 'Timeout: x'],
  [errors.internalError(new Error('x')), 500, 'InternalError', 'Internal error occurred: x'],
  [
    errors.serverTimeout(PODS, 'list', 2),
    500,
    'ServerTimeout',
    'The list operation against pods could not be completed at this time, please try again.',
  ],
  [errors.unknownPath(), 404, 'NotFound', 'the server could not find the requested resource'],
  [errors.invalid({ group: '', kind: 'Pod' }, 'a', []), 422, 'Invalid', 'Pod "a" is invalid'],
])('%s', (error, code, reason, message) => {
  expect(error.status).toMatchObject({ kind: 'Status', status: 'Failure', code, reason, message });
  expect(error.message).toBe(message);
});

test('details say what it is about', () => {
  expect(errors.notFound(DEPLOYMENTS, 'a').status.details).toEqual({
    name: 'a',
    group: 'apps',
    kind: 'deployments',
  });
  expect(errors.tooManyRequests('x', 3).status.details).toEqual({ retryAfterSeconds: 3 });
});

describe('recognition', () => {
  const received = (code: number, reason?: string): errors.StatusError =>
    errors.fromStatus({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      code,
      ...(reason === undefined ? {} : { reason }),
    } satisfies Status);

  test('by reason, and by code where the reason is unknown', () => {
    expect(errors.isNotFound(errors.notFound(PODS, 'a'))).toBe(true);
    expect(errors.isNotFound(received(404))).toBe(true);
    expect(errors.isNotFound(received(404, 'Odd'))).toBe(true);
    expect(errors.isConflict(received(409, 'AlreadyExists'))).toBe(false);
    expect(errors.isAlreadyExists(received(409))).toBe(false);
    expect(errors.isExpired(received(410, 'Expired'))).toBe(true);
    expect(errors.isExpired(received(410))).toBe(true);
    expect(errors.isNotFound(new Error('pods "a" not found'))).toBe(false);
  });

  test('what is no error of the API becomes one', () => {
    const cause = new Error('disk full');
    expect(errors.toStatusError(cause)).toMatchObject({ code: 500, message: 'disk full', cause });
    const error = errors.badRequest('x');
    expect(errors.toStatusError(error)).toBe(error);
  });
});
