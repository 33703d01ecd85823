import type { ConnectionOptions } from 'node:tls';

import { realClock, sleep } from '@k8ts/base';
import type { Clock } from '@k8ts/base';

import { authorization, impersonationHeaders } from './credentials.ts';
import type { Credentials } from './credentials.ts';
import { RepeatableError } from './http/connection.ts';
import type { WireResponse } from './http/connection.ts';
import { negotiatedConnection } from './http/negotiated-connection.ts';
import { decodeBody } from './http/response-body.ts';
import { responseError } from './http/response-error.ts';
import { watchEvents } from './http/watch-stream.ts';
import type { ApiRequest, Transport, WatchEvent } from './transport.ts';

export interface HttpTransportOptions extends Credentials {
  /** `https://127.0.0.1:6443`; a path in it is put before every request's. */
  readonly server: string;
  /** PEM. Default: the authorities that Node knows. */
  readonly ca?: string;
  /** PEM, with `key`: the client certificate. */
  readonly cert?: string;
  readonly key?: string;
  /** The name the server's certificate must be for, when it is not the server's own. */
  readonly tlsServerName?: string;
  readonly insecureSkipTlsVerify?: boolean;
  /** Whether HTTP/2 may be agreed. Default true. */
  readonly http2?: boolean;
  readonly userAgent?: string;
  /** Milliseconds one request may take, watches excepted. Default 70 s, a little more than the server allows itself. */
  readonly requestTimeout?: number;
  /** A longer answer is an error. Default: what a string can hold. */
  readonly maxAnswerBytes?: number;
  readonly clock?: Clock;
}

/** Answers with Retry-After (429 and 5xx) are followed this often (as client-go). */
const MAX_RETRIES = 10;
/** More cannot be a string in this JavaScript engine. */
const MAX_BODY = 500 << 20;

/** The API over the network. Dispose it to close its connections; requests under way then fail. */
export function createHttpTransport(options: HttpTransportOptions): Transport & AsyncDisposable {
  const clock = options.clock ?? realClock;
  const server = new URL(options.server);
  if (server.protocol !== 'https:' && server.protocol !== 'http:')
    throw new TypeError(`"${options.server}" is not an http or https address`);
  const prefix = server.pathname.replace(/\/+$/, '');
  const timeout = options.requestTimeout ?? 70_000;
  const maxBody = options.maxAnswerBytes ?? MAX_BODY;
  const connection = negotiatedConnection(server, tlsOptions(options), clock, options.http2 ?? true);
  const authorize = authorization(options, clock);
  const fixedHeaders = {
    'user-agent': options.userAgent ?? 'k8ts',
    ...impersonationHeaders(options.impersonate),
  };

  const sendOnce = async (request: ApiRequest, body: Buffer | undefined, signal: AbortSignal | undefined) => {
    const credentials = await authorize();
    const wire = {
      method: request.method,
      path: prefix + request.path + queryString(request.query),
      headers: {
        ...fixedHeaders,
        accept: request.accept ?? 'application/json',
        ...(credentials === undefined ? {} : { authorization: credentials }),
        ...(body === undefined ? {} : { 'content-type': request.contentType ?? 'application/json' }),
      },
      body,
      signal,
    };
    for (let attempt = 1; ; attempt++) {
      try {
        return await connection.send(wire);
      } catch (error) {
        if (!(error instanceof RepeatableError) || attempt === 5) throw unwrap(error);
      }
    }
  };

  /** Sends until there is an answer that does not ask to come back later. Errors are thrown. */
  const send = async (request: ApiRequest, signal: AbortSignal | undefined): Promise<WireResponse> => {
    const body = request.body === undefined ? undefined : encodeBody(request.body);
    for (let attempt = 0; ; attempt++) {
      const response = await sendOnce(request, body, signal);
      if (response.status >= 200 && response.status < 300) return response;
      const text = await readText(response, maxBody);
      const retryAfter = retryAfterSeconds(response);
      const retryable = response.status === 429 || response.status >= 500;
      if (!retryable || retryAfter === undefined || attempt === MAX_RETRIES)
        throw responseError(response.status, request.method, text, retryAfter ?? 0);
      await sleep(clock, retryAfter * 1000, signal);
    }
  };

  return {
    request: async <T>(request: ApiRequest): Promise<T> => {
      const limit = timeLimit(clock, timeout, request.signal);
      try {
        return decodeBody<T>(await readText(await send(request, limit.signal), maxBody));
      } finally {
        limit.release();
      }
    },
    watch: async <T>(request: ApiRequest): Promise<AsyncIterable<readonly WatchEvent<T>[]>> => {
      // Only the answer is waited for within the time limit; the events then take as long as they take.
      const limit = timeLimit(clock, timeout, request.signal);
      let response: WireResponse;
      try {
        response = await send(request, limit.signal);
      } catch (error) {
        limit.release();
        throw error;
      }
      limit.stopTimer();
      return watchIterable(response, request.signal, () => limit.release());
    },
    [Symbol.asyncDispose]: () => connection.close(),
  };
}

function tlsOptions(options: HttpTransportOptions): ConnectionOptions {
  return {
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    ...(options.cert === undefined ? {} : { cert: options.cert }),
    ...(options.key === undefined ? {} : { key: options.key }),
    ...(options.tlsServerName === undefined ? {} : { servername: options.tlsServerName }),
    rejectUnauthorized: options.insecureSkipTlsVerify !== true,
    minVersion: 'TLSv1.2',
  };
}

function encodeBody(body: unknown): Buffer {
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
}

function queryString(query: Readonly<Record<string, string>> | undefined): string {
  if (query === undefined) return '';
  const text = new URLSearchParams(query).toString();
  return text === '' ? '' : `?${text}`;
}

function retryAfterSeconds(response: WireResponse): number | undefined {
  const value = response.headers['retry-after'];
  return typeof value === 'string' && /^\d{1,6}$/.test(value) ? Number(value) : undefined;
}

async function readText(response: WireResponse, limit: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response.body as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > limit) {
      response.body.destroy();
      throw new Error(`the server's answer is larger than ${limit} bytes`);
    }
    chunks.push(chunk);
  }
  return (chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)).toString('utf8');
}

async function* watchIterable<T>(
  response: WireResponse,
  signal: AbortSignal | undefined,
  release: () => void,
): AsyncGenerator<readonly WatchEvent<T>[], void, undefined> {
  try {
    yield* watchEvents<T>(response.body as AsyncIterable<Buffer>);
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  } finally {
    response.body.destroy();
    release();
  }
}

interface TimeLimit {
  readonly signal: AbortSignal;
  /** The time limit no longer applies; the caller's signal still does. */
  stopTimer(): void;
  release(): void;
}

function timeLimit(clock: Clock, milliseconds: number, outer: AbortSignal | undefined): TimeLimit {
  const controller = new AbortController();
  const abort = (): void => controller.abort(outer?.reason);
  if (outer?.aborted === true) abort();
  else outer?.addEventListener('abort', abort, { once: true });
  const cancel = clock.setTimeout(() => {
    controller.abort(new Error(`no answer from the server within ${milliseconds} ms`));
  }, milliseconds);
  return {
    signal: controller.signal,
    stopTimer: cancel,
    release: () => {
      cancel();
      outer?.removeEventListener('abort', abort);
    },
  };
}

function unwrap(error: unknown): unknown {
  return error instanceof RepeatableError && error.cause !== undefined ? error.cause : error;
}
