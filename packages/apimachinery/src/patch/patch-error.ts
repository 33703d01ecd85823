import { fromStatus } from '../status-error.ts';
import type { StatusError } from '../status-error.ts';

/** Why an operation of a JSON patch does not apply. */
export class PatchError extends Error {
  override readonly name = 'PatchError';
}

/** 422 as upstream words it, which says nothing of the reason. */
export function patchRejected(cause: PatchError): StatusError {
  const error = fromStatus({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'the server rejected our request due to an error in our request',
    reason: 'Invalid',
    details: {},
    code: 422,
  });
  error.cause = cause;
  return error;
}
