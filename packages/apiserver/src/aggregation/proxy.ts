/** Requests for the API of another server (kube-aggregator/pkg/apiserver/handler_proxy.go). */
import { Readable } from 'node:stream';
import { StatusError, unknownPath } from '@k8ts/apimachinery';
import { errorMessage, realClock } from '@k8ts/base';
import { forward } from '../connect/forward.ts';
import type { Backend } from '../connect/dial.ts';
import type { RequestContext } from '../request/request-context.ts';
import { rawText, type RawResult, type Result } from '../request/result.ts';
import { DEFAULT_REQUEST_TIMEOUT, isLongRunning } from '../request/time-limit.ts';
import { isAvailable, type APIService } from './api-service.ts';
import { backendOf, CertificateError, type BackendOptions } from './extension-server.ts';
import { identityHeaders } from './front-proxy.ts';

export interface ProxyOptions extends BackendOptions {
  /** `--aggregator-reject-forwarding-redirect` */
  readonly rejectRedirects: boolean;
}

/** Milliseconds for the list of a version's resources, which all clients wait for. */
const DISCOVERY_TIMEOUT = 5_000;

export function proxy(
  apiService: APIService,
  context: RequestContext,
  options: ProxyOptions,
): Result | Promise<Result> {
  // Other servers see a slash where this one has seen a name.
  if (/%2f/i.test(context.path)) throw unknownPath();
  if (!isAvailable(apiService)) return plainError('service unavailable', 503);
  let backend: Backend;
  try {
    backend = backendOf(apiService, options);
  } catch (error) {
    if (error instanceof CertificateError) return plainError(error.message, 500);
    return plainError('service unavailable', 503);
  }
  let headers: Record<string, string | string[]>;
  try {
    headers = { ...identityHeaders(context.user), 'audit-id': context.auditId };
  } catch (error) {
    return plainError(`error trying to reach service: ${errorMessage(error)}`, 503);
  }
  if (context.init.body.kind === 'value') Object.assign(headers, headersOfValue(context));
  const query = context.query.text === '' ? '' : `?${context.query.text}`;
  const result = forward(context, { backend, path: context.path + query, headers });
  if (!(result instanceof Promise)) return result;
  const answer = result.then(
    (answered) => (options.rejectRedirects ? withoutRedirect(answered) : answered),
    (error: unknown) => {
      if (error instanceof StatusError && error.code === 503) return plainError(error.message, 503);
      throw error;
    },
  );
  if (isDiscovery(context)) return inTime(answer, DISCOVERY_TIMEOUT);
  // Requests over the network are under the server's own deadline.
  return context.init.identity === undefined || isLongRunning(context)
    ? answer
    : inTime(answer, DEFAULT_REQUEST_TIMEOUT);
}

/** Of a request from inside the process: the body is not written yet. */
function headersOfValue({ headers, init: { body } }: RequestContext): Record<string, string> {
  const isWritten = body.kind === 'value' && body.value !== undefined;
  return {
    accept: headers.accept ?? 'application/json',
    ...(isWritten ? { 'content-type': headers['content-type'] ?? 'application/json' } : {}),
  };
}

function isDiscovery({ info, path }: RequestContext): boolean {
  return !info.isResourceRequest && path.split('/').filter((part) => part !== '').length === 3;
}

function withoutRedirect(result: Result): Result {
  if (result.kind !== 'raw' || result.code < 300 || result.code > 399) return result;
  if (!result.headers?.['location']) return result;
  discard(result);
  return rawText('the backend attempted to redirect this request, which is not permitted', 502);
}

/** All of it, or an error; a body that is not there in time breaks off. */
function inTime(answer: Promise<Result>, milliseconds: number): Promise<Result> {
  return new Promise((resolve, reject) => {
    let late: ((result: Result) => void) | undefined;
    let body: Readable | undefined;
    const cancel = realClock.setTimeout(() => {
      late = discard;
      body?.destroy(new Error('context deadline exceeded'));
      resolve(plainError('error trying to reach service: context deadline exceeded', 503));
    }, milliseconds);
    answer.then(
      (result) => {
        if (late !== undefined) return late(result);
        if (result.kind === 'raw' && result.body instanceof Readable) {
          body = result.body;
          body.once('close', cancel);
        } else cancel();
        resolve(result);
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
  });
}

/** Nobody reads it: its connection can go. */
function discard(result: Result): void {
  if (result.kind === 'raw' && result.body instanceof Readable) result.body.destroy();
}

/** As Go's http.Error writes it. */
function plainError(text: string, code: number): RawResult {
  return { ...rawText(`${text}\n`, code), headers: { 'X-Content-Type-Options': 'nosniff' } };
}
