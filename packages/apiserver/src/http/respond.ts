/** Results as HTTP responses: negotiated form, headers, compression, back-pressure. */
import type { OutgoingHttpHeaders } from 'node:http';
import { gzip } from 'node:zlib';
import { promisify } from 'node:util';
import { internalError, StatusError, type Status } from '@k8ts/apimachinery';
import { errorMessage, type Clock, type Logger } from '@k8ts/base';
import {
  encodeObject,
  encodeRecord,
  encodeWholeList,
  eventEncoder,
  formatObject,
  type Output,
} from '../output/output.ts';
import { bookmarkObject } from '../output/event-bytes.ts';
import { itemPieces, LIST_END, listHead } from '../output/list-bytes.ts';
import { contentTypeOf, negotiate, type OutputFormat } from '../output/media-types.ts';
import { isCustom } from '../registry/served-resource.ts';
import type { RequestContext } from '../request/request-context.ts';
import type { ListResult, RawResult, Result, WatchResult, WatchSession } from '../request/result.ts';
import type { Responder } from './responder.ts';
import { TextError } from './text-error.ts';

const compress = promisify(gzip);

/** Upstream compresses answers above this, when asked (defaultGzipThresholdBytes). */
const GZIP_THRESHOLD = 128 * 1024;
/** A watcher with so much unsent is too slow and is ended; it will list or watch again. */
const MAX_UNSENT_EVENTS = 16 * 1024 * 1024;

export interface RespondServices {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly output: Output;
}

/** Resolves when the response has been handed over entirely (a watch: when it has ended). */
export function respond(
  services: RespondServices,
  context: RequestContext,
  responder: Responder,
  result: Exclude<Result, { readonly kind: 'upgrade' }>,
): void | Promise<void> {
  switch (result.kind) {
    case 'record': {
      const format = negotiate(context, { isCustom: result.served !== undefined && isCustom(result.served) });
      const body = encodeRecord(services.output, context, format, result);
      return send(context, responder, result.code, contentTypeOf(format), body);
    }
    case 'object': {
      const format = negotiate(context, { isCustom: result.served !== undefined && isCustom(result.served) });
      const body = encodeObject(services.output, context, format, result);
      return send(context, responder, result.code, contentTypeOf(format), body);
    }
    case 'list':
      return respondList(services, context, responder, result);
    case 'watch':
      return respondWatch(services, context, responder, result);
    case 'raw':
      return respondRaw(context, responder, result);
  }
}

/** Any error as a Status; what is no StatusError is a 500 and is logged, for it is our fault. */
export function respondError(
  services: RespondServices,
  context: RequestContext | undefined,
  responder: Responder,
  error: unknown,
): number {
  const status = statusOf(services.logger, error);
  context?.audit?.failed(error, status);
  if (responder.closed) return status.code;
  if (responder.headersSent) {
    responder.destroy();
    return status.code;
  }
  const headers: OutgoingHttpHeaders = commonHeaders(context);
  headers['X-Content-Type-Options'] = 'nosniff';
  if (status.code === 401) headers['WWW-Authenticate'] = 'Basic realm="kubernetes-master"';
  const { retryAfterSeconds } = status.details ?? {};
  if (retryAfterSeconds !== undefined && (status.code === 429 || status.code >= 500))
    headers['Retry-After'] = String(retryAfterSeconds);
  if (BODY_UNREAD.has(status.code)) responder.ignoreBody();
  if (error instanceof TextError) {
    headers['Content-Type'] = 'text/plain; charset=utf-8';
    responder.start(status.code, headers);
    responder.end(`${error.text}\n`);
    return status.code;
  }
  const { format, body } = formattedStatus(context, status);
  headers['Content-Type'] = contentTypeOf(format);
  headers['Content-Length'] = body.length;
  responder.start(status.code, headers);
  responder.end(body);
  return status.code;
}

/** Answers to requests whose body may never end: too large, too slow. */
const BODY_UNREAD: ReadonlySet<number> = new Set([413, 504]);

const PLAIN_JSON: OutputFormat = { serializer: 'json', transform: 'none', metaVersion: 'v1', pretty: false };

/** In the form the client wants, if it wants one we have; else as JSON. */
function formattedStatus(
  context: RequestContext | undefined,
  status: Status,
): { readonly format: OutputFormat; readonly body: Buffer } {
  try {
    const format = context === undefined ? PLAIN_JSON : negotiate(context);
    return { format, body: formatObject(format, status) };
  } catch {
    return { format: PLAIN_JSON, body: formatObject(PLAIN_JSON, status) };
  }
}

export function statusOf(logger: Logger, error: unknown): Status {
  if (error instanceof StatusError) {
    if (error.status.code >= 500 && error.cause !== undefined)
      logger.error('request failed', { error: errorMessage(error.cause) });
    return error.status;
  }
  logger.error('a request failed in an unexpected way', {
    error: errorMessage(error),
    stack: error instanceof Error ? error.stack : undefined,
  });
  return internalError(error).status;
}

function commonHeaders(context: RequestContext | undefined): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = { 'Cache-Control': 'no-cache, private' };
  if (context === undefined) return headers;
  headers['Audit-Id'] = context.auditId;
  if (context.classification !== undefined) {
    const { flowSchema, level } = context.classification;
    headers['X-Kubernetes-Pf-Flowschema-Uid'] = flowSchema.metadata.uid ?? '';
    headers['X-Kubernetes-Pf-Prioritylevel-Uid'] = level.configuration.metadata.uid ?? '';
  }
  if (context.warnings.length > 0) headers['Warning'] = context.warnings.map(warningHeader);
  return headers;
}

/** RFC 7234: `299 - "text"`, quotes and backslashes escaped, control characters not allowed. */
function warningHeader(text: string): string {
  const plain = text.replace(/[\u0000-\u001f\u007f]/g, ' ').replace(/[\\"]/g, '\\$&');
  return `299 - "${Buffer.from(plain, 'utf8').toString('latin1')}"`;
}

function send(
  context: RequestContext,
  responder: Responder,
  code: number,
  contentType: string,
  body: Buffer,
): void | Promise<void> {
  const headers = commonHeaders(context);
  headers['Content-Type'] = contentType;
  if (body.length > GZIP_THRESHOLD && acceptsGzip(context)) {
    headers['Content-Encoding'] = 'gzip';
    headers['Vary'] = 'Accept-Encoding';
    return compress(body as Uint8Array<ArrayBuffer>, { level: 1 }).then((compressed) => {
      headers['Content-Length'] = compressed.length;
      responder.start(code, headers);
      responder.end(compressed);
    });
  }
  headers['Content-Length'] = body.length;
  responder.start(code, headers);
  responder.end(context.method === 'HEAD' ? undefined : body);
}

function acceptsGzip({ headers }: RequestContext): boolean {
  const accepted = headers['accept-encoding'];
  return accepted !== undefined && String(accepted).includes('gzip');
}

async function respondList(
  services: RespondServices,
  context: RequestContext,
  responder: Responder,
  result: ListResult,
): Promise<void> {
  const { served } = result;
  const format = negotiate(context, { isCustom: isCustom(served) });
  if (format.serializer !== 'json' || format.transform !== 'none' || format.pretty) {
    const body = await encodeWholeList(services.output, context, format, result);
    return send(context, responder, 200, contentTypeOf(format), body);
  }
  const head = Buffer.from(listHead(result, served.info.listKind, served.apiVersion));
  const items = result.stretches.reduce((sum, { from, to }) => sum + to - from, 0);
  if (items <= 256) {
    const body = Buffer.concat([head, ...itemPieces(result), Buffer.from(LIST_END)]);
    return send(context, responder, 200, contentTypeOf(format), body);
  }
  if (acceptsGzip(context)) {
    const pieces: Buffer[] = [head];
    for (const piece of itemPieces(result)) pieces.push(piece);
    return send(
      context,
      responder,
      200,
      contentTypeOf(format),
      Buffer.concat([...pieces, Buffer.from(LIST_END)]),
    );
  }
  const headers = commonHeaders(context);
  headers['Content-Type'] = contentTypeOf(format);
  responder.start(200, headers);
  responder.write(head);
  for (const piece of itemPieces(result)) {
    if (!responder.write(piece)) await responder.waitForDrain();
    if (responder.closed) return;
  }
  responder.end(LIST_END);
}

function respondWatch(
  services: RespondServices,
  context: RequestContext,
  responder: Responder,
  result: WatchResult,
): Promise<void> {
  const { served } = result;
  const format = negotiate(context, { stream: true, isCustom: isCustom(served) });
  const encoder = eventEncoder(services.output, context, format, served);
  const headers = commonHeaders(context);
  headers['Content-Type'] = contentTypeOf(format, true);
  return new Promise((resolve) => {
    let session: WatchSession | undefined;
    let isOver = false;
    const finish = (): void => {
      if (isOver) return;
      isOver = true;
      session?.close();
      resolve();
    };
    const sendError = (error: StatusError): void => {
      responder.write(encoder.frame('ERROR', error.status));
    };
    responder.start(200, headers);
    // Clients wait for the headers before they trust the watch; HTTP/1.1 keeps them back until the first write.
    responder.write('');
    responder.onClose(finish);
    try {
      session = result.start(
        encoder,
        {
          events: (batch) => {
            if (isOver) return;
            responder.write(batch.bytes);
            if (responder.unsent > MAX_UNSENT_EVENTS) {
              services.logger.info('ended a watch whose client is too slow', {
                path: context.path,
                user: context.user.name,
              });
              responder.destroy();
              finish();
            }
          },
          bookmark: (revision, initialEventsEnd) => {
            if (isOver) return;
            const { kind } = served.info;
            const object = bookmarkObject(kind, served.apiVersion, revision, initialEventsEnd);
            responder.write(encoder.frame('BOOKMARK', object));
          },
          drained: () => (isOver || responder.unsent === 0 ? undefined : responder.waitForDrain()),
        },
        (error) => {
          if (isOver) return;
          if (error !== undefined) sendError(error);
          responder.end();
          finish();
        },
      );
      if (isOver) session.close();
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      sendError(error);
      responder.end();
      finish();
    }
  });
}

async function respondRaw(context: RequestContext, responder: Responder, result: RawResult): Promise<void> {
  const headers = commonHeaders(context);
  for (const [name, value] of Object.entries(result.headers ?? {}))
    headers[name] = typeof value === 'string' ? value : [...value];
  if (result.contentType !== '') headers['Content-Type'] = result.contentType;
  const { body } = result;
  if (typeof body === 'string' || Buffer.isBuffer(body)) {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    if (bytes.length > GZIP_THRESHOLD && acceptsGzip(context) && headers['Content-Encoding'] === undefined) {
      const compressed = await compress(bytes, { level: 1 });
      headers['Content-Encoding'] = 'gzip';
      headers['Vary'] = 'Accept-Encoding';
      headers['Content-Length'] = compressed.length;
      responder.start(result.code, headers);
      responder.end(compressed);
      return;
    }
    headers['Content-Length'] = bytes.length;
    responder.start(result.code, headers);
    responder.end(context.method === 'HEAD' ? undefined : bytes);
    return;
  }
  responder.start(result.code, headers);
  responder.write('');
  try {
    for await (const chunk of body) {
      if (responder.closed) return;
      if (!responder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)))
        await responder.waitForDrain();
    }
    responder.end();
  } catch {
    // The headers are out: all that is left is to break off, so that the client sees an incomplete body.
    responder.destroy();
  }
}
