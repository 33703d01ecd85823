/**
 * Requests passed on to a backend, and its answers passed back: plain ones through node's HTTP client, upgrades byte for
 * byte (k8s.io/apimachinery/pkg/util/proxy/upgradeaware.go).
 */
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import { badRequest, serviceUnavailable } from '@k8ts/apimachinery';
import { errorMessage } from '@k8ts/base';
import type { RequestContext } from '../request/request-context.ts';
import type { RawResult, Result, UpgradeResult } from '../request/result.ts';
import type { Backend } from './dial.ts';
import { rewriteLink } from './proxied-links.ts';

/** Between two neighbours only (RFC 9110, 7.6.1), or about the client's credentials. */
const NOT_FORWARDED = new Set([
  'authorization',
  'connection',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

export interface ForwardTarget {
  readonly backend: Backend;
  /** Path and query, encoded. */
  readonly path: string;
  /** What stands before `path` in this server's URLs; set for proxies, whose redirects are rewritten. */
  readonly prefix?: string;
}

function isUpgrade({ headers }: RequestContext): boolean {
  const { connection } = headers;
  return connection !== undefined && connection.toLowerCase().includes('upgrade');
}

/** A request to an endpoint that only makes sense with an upgrade. */
export function forwardUpgrade(context: RequestContext, target: ForwardTarget): UpgradeResult {
  if (!isUpgrade(context)) throw badRequest('Upgrade request required');
  return {
    kind: 'upgrade',
    accept: (message, socket, head) => void passThrough(message, socket, head, target),
  };
}

/** Any request: an upgrade is passed through, everything else is fetched. */
export function forward(context: RequestContext, target: ForwardTarget): Result | Promise<Result> {
  if (isUpgrade(context)) return forwardUpgrade(context, target);
  return fetchFrom(context, target);
}

async function fetchFrom(context: RequestContext, target: ForwardTarget): Promise<RawResult> {
  const response = await send(context, target);
  const headers: Record<string, string | readonly string[]> = {};
  for (const [name, value] of Object.entries(response.headers)) {
    if (value === undefined || name === 'content-type' || NOT_FORWARDED.has(name)) continue;
    headers[name] = value;
  }
  const body = target.prefix === undefined ? response : await linkedBody(context, target, response, headers);
  return {
    kind: 'raw',
    code: response.statusCode ?? 502,
    contentType: response.headers['content-type'] ?? '',
    body,
    headers,
  };
}

/** The body for the client, with the headers that differ from the backend's. */
async function linkedBody(
  context: RequestContext,
  { backend, prefix = '' }: ForwardTarget,
  response: IncomingMessage,
  headers: Record<string, string | readonly string[]>,
): Promise<Readable> {
  const page = { prefix, authority: backend.authority, requestHost: hostOf(context) };
  const { location } = response.headers;
  if (location !== undefined) {
    headers['location'] = rewriteLink(location, page);
    return response;
  }
  const [mediaType = ''] = (response.headers['content-type'] ?? '').split(';');
  if (mediaType.trim() !== 'text/html' || context.method === 'HEAD') return response;
  const { rewriteLinks } = await import('./proxied-html.ts');
  const rewritten = rewriteLinks(response, response.headers['content-encoding'] ?? '', page);
  if (rewritten === undefined) return response;
  delete headers['content-length'];
  return rewritten;
}

/** What the client believes to speak to. */
function hostOf({ headers }: RequestContext): string {
  return String(headers.host ?? headers[':authority'] ?? '');
}

/** Sends the request on; resolves with the head of the answer. Rejects with 503 when the backend cannot be reached. */
export async function send(context: RequestContext, target: ForwardTarget): Promise<IncomingMessage> {
  const { backend, path, prefix } = target;
  const connection = await dial(backend);
  const { body } = context.init;
  const headers: Record<string, string | string[]> = { host: backend.authority };
  for (const [name, value] of Object.entries(context.headers)) {
    if (value === undefined || NOT_FORWARDED.has(name) || name.startsWith(':')) continue;
    headers[name] = value;
  }
  headers['x-forwarded-for'] = forwardedFor(context.headers, context.init.remoteAddress);
  if (prefix !== undefined) headers['x-forwarded-uri'] = prefix + path;
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest({
      method: context.method,
      path,
      headers,
      createConnection: () => connection,
    });
    context.init.onAbort(() => {
      outgoing.destroy();
      connection.destroy();
    });
    outgoing.once('response', (response) => {
      response.once('close', () => connection.destroy());
      resolve(response);
    });
    outgoing.once('error', (error) => {
      connection.destroy();
      reject(serviceUnavailable(`error trying to reach service: ${errorMessage(error)}`));
    });
    if (body.kind === 'bytes' && context.method !== 'GET' && context.method !== 'HEAD')
      body.stream().pipe(outgoing);
    else if (body.kind === 'value' && body.value !== undefined) outgoing.end(JSON.stringify(body.value));
    else outgoing.end();
  });
}

async function dial(backend: Backend): Promise<Duplex> {
  try {
    return await backend.open();
  } catch (error) {
    throw serviceUnavailable(`error trying to reach service: ${errorMessage(error)}`);
  }
}

function forwardedFor(headers: IncomingHttpHeaders, address: string): string {
  const before = headers['x-forwarded-for'];
  return before === undefined ? address : `${String(before)}, ${address}`;
}

/**
 * The request head is written again with another path and host; after it, bytes go both ways until one side ends. The
 * backend's answer, accepted or refused, reaches the client as it is.
 */
async function passThrough(
  message: IncomingMessage,
  client: Duplex,
  head: Buffer,
  { backend, path }: ForwardTarget,
): Promise<void> {
  let upstream: Duplex;
  try {
    upstream = await backend.open();
  } catch (error) {
    refuse(client, `error dialing backend: ${errorMessage(error)}`);
    return;
  }
  const end = (): void => {
    upstream.destroy();
    client.destroy();
  };
  upstream.on('error', end);
  client.on('error', end);
  upstream.once('close', () => client.end());
  client.once('close', () => upstream.destroy());
  upstream.write(requestHead(message, path, backend.authority));
  if (head.length > 0) upstream.write(head);
  client.pipe(upstream);
  upstream.pipe(client);
}

function requestHead(message: IncomingMessage, path: string, authority: string): string {
  let text = `${message.method} ${path} HTTP/1.1\r\nHost: ${authority}\r\n`;
  const { rawHeaders } = message;
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] as string;
    const lower = name.toLowerCase();
    if (lower === 'host' || lower === 'authorization') continue;
    let value = rawHeaders[at + 1] as string;
    if (lower === 'sec-websocket-protocol') value = withoutBearer(value);
    if (value !== '') text += `${name}: ${value}\r\n`;
  }
  const { remoteAddress } = message.socket;
  return `${text}X-Forwarded-For: ${forwardedFor(message.headers, remoteAddress ?? '')}\r\n\r\n`;
}

/** Browsers send their token as a subprotocol; it is for this server only. */
export function withoutBearer(protocols: string): string {
  return protocols
    .split(',')
    .map((protocol) => protocol.trim())
    .filter((protocol) => !protocol.startsWith('base64url.bearer.authorization.k8s.io.'))
    .join(', ');
}

function refuse(client: Duplex, message: string): void {
  const status = JSON.stringify({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    code: 500,
  });
  client.end(
    `HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(status)}\r\nConnection: close\r\n\r\n${status}`,
  );
}
