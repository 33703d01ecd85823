/**
 * Requests passed on to a backend, and its answers passed back: plain ones through node's HTTP client, upgrades byte for
 * byte (k8s.io/apimachinery/pkg/util/proxy/upgradeaware.go).
 */
import {
  request as httpRequest,
  STATUS_CODES,
  type IncomingHttpHeaders,
  type IncomingMessage,
} from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import { badRequest, serviceUnavailable } from '@k8ts/apimachinery';
import { errorMessage, realClock } from '@k8ts/base';
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
  // Who the client says it is; only an authenticating proxy may, and it has been heard already.
  'x-remote-group',
  'x-remote-uid',
  'x-remote-user',
]);
const IDENTITY_PREFIX = 'x-remote-extra-';
/** Milliseconds that a client has to leave after its upgrade was declined. */
const DECLINED_GRACE = 10_000;

export interface ForwardTarget {
  readonly backend: Backend;
  /** Path and query, encoded. */
  readonly path: string;
  /** What stands before `path` in this server's URLs; set for proxies, whose redirects are rewritten. */
  readonly prefix?: string;
  /** In place of what the client sent under these names, which are in lower case. */
  readonly headers?: Readonly<Record<string, string | string[]>>;
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
    accept: (message, socket, head) => void passThrough(context, message, socket, head, target),
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
  const { body } = context.init;
  const isGone = new Promise<never>((_, reject) =>
    context.init.onAbort(() => reject(serviceUnavailable('the client has gone away'))),
  );
  isGone.catch(() => undefined); // nobody need wait for it
  const dialing = dial(backend);
  const connection = await Promise.race([dialing, isGone]).catch((error: unknown) => {
    dialing.then(
      (late) => late.destroy(),
      () => undefined,
    );
    throw error;
  });
  const carriesBody = context.method !== 'GET' && context.method !== 'HEAD';
  const headers = forwardedHeaders(context, target);
  if (!carriesBody) delete headers['content-length'];
  headers['x-forwarded-for'] = forwardedFor(context.headers, context.init.remoteAddress);
  if (prefix !== undefined) headers['x-forwarded-uri'] = prefix + path;
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      connection.destroy();
      reject(unreachable(error));
    };
    try {
      const outgoing = httpRequest({
        method: context.method,
        path,
        headers,
        createConnection: () => connection,
      });
      isGone.catch(() => {
        outgoing.destroy();
        connection.destroy();
      });
      outgoing.once('response', (response) => {
        response.once('close', () => connection.destroy());
        resolve(response);
      });
      outgoing.once('error', fail);
      outgoing.once('upgrade', () => fail(new Error('invalid upgrade response: status code 101')));
      if (body.kind === 'bytes' && carriesBody) body.stream().pipe(outgoing);
      else if (body.kind === 'value' && body.value !== undefined)
        outgoing.end(typeof body.value === 'string' ? body.value : JSON.stringify(body.value));
      else outgoing.end();
    } catch (error) {
      fail(error); // a header that cannot be sent
    }
  });
}

function forwardedHeaders(
  { headers }: RequestContext,
  target: ForwardTarget,
): Record<string, string | string[]> {
  const forwarded: Record<string, string | string[]> = { host: target.backend.authority };
  const named = connectionHeaders(headers);
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || name.startsWith(':')) continue;
    if (!isForwarded(name) || named.has(name)) continue;
    forwarded[name] = value;
  }
  return Object.assign(forwarded, target.headers);
}

function isForwarded(name: string): boolean {
  return !NOT_FORWARDED.has(name) && !name.startsWith(IDENTITY_PREFIX);
}

/** What the client names in `Connection` is for its neighbour only. */
function connectionHeaders({ connection }: IncomingHttpHeaders): ReadonlySet<string> {
  if (connection === undefined) return NO_NAMES;
  return new Set(connection.split(',').map((name) => name.trim().toLowerCase()));
}

const NO_NAMES: ReadonlySet<string> = new Set();

async function dial(backend: Backend): Promise<Duplex> {
  try {
    return await backend.open();
  } catch (error) {
    throw unreachable(error);
  }
}

function unreachable(error: unknown): Error {
  return serviceUnavailable(`error trying to reach service: ${errorMessage(error)}`);
}

function forwardedFor(headers: IncomingHttpHeaders, address: string): string {
  const before = headers['x-forwarded-for'];
  return before === undefined ? address : `${String(before)}, ${address}`;
}

/**
 * The request is written again with another path and host. Once the backend has agreed to the other protocol, bytes go both
 * ways until one side ends. While it has not, nothing more of what the client sends may reach it: a backend that declines
 * would take that for further requests, on a connection that it trusts (CVE-2018-1002105).
 */
async function passThrough(
  context: RequestContext,
  message: IncomingMessage,
  client: Duplex,
  head: Buffer,
  target: ForwardTarget,
): Promise<void> {
  const fail = (error: unknown): void => refuse(client, `error dialing backend: ${errorMessage(error)}`);
  let upstream: Duplex;
  try {
    upstream = await target.backend.open();
  } catch (error) {
    fail(error);
    return;
  }
  const end = (): void => {
    upstream.destroy();
    client.destroy();
  };
  upstream.on('error', () => undefined); // the request is told, or 'close' follows
  client.on('error', end);
  client.once('close', () => upstream.destroy());
  if (client.destroyed) {
    upstream.destroy();
    return;
  }
  try {
    const outgoing = httpRequest({
      method: context.method,
      path: target.path,
      headers: upgradeHeaders(context, message, target),
      createConnection: () => upstream,
    });
    outgoing.once('error', (error) => {
      upstream.destroy();
      fail(error);
    });
    outgoing.once('response', (response) => decline(response, client));
    outgoing.once('upgrade', (response: IncomingMessage, socket: Duplex, early: Buffer) => {
      socket.on('error', end);
      socket.once('close', () => client.end());
      client.write(responseHead(response, response.rawHeaders));
      if (early.length > 0) client.write(early);
      if (head.length > 0) socket.write(head);
      client.pipe(socket);
      socket.pipe(client);
    });
    outgoing.end();
  } catch (error) {
    upstream.destroy();
    fail(error); // a header that cannot be sent
  }
}

/** As the client sent them, repeated ones apart, without what the steps before have used up. */
function upgradeHeaders(
  { headers }: RequestContext,
  { rawHeaders, socket }: IncomingMessage,
  target: ForwardTarget,
): Record<string, string | string[]> {
  const forwarded: Record<string, string | string[]> = {};
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] as string).toLowerCase();
    let value = rawHeaders[at + 1] as string;
    if (headers[name] === undefined || name === 'content-length') continue;
    if (!isForwarded(name) && name !== 'upgrade') continue;
    if (name === 'sec-websocket-protocol') value = withoutBearer(value);
    if (value === '') continue;
    const known = forwarded[name];
    forwarded[name] = known === undefined ? value : [known, value].flat();
  }
  return {
    ...forwarded,
    host: target.backend.authority,
    connection: 'Upgrade',
    'x-forwarded-for': forwardedFor(headers, socket.remoteAddress ?? ''),
    ...target.headers,
  };
}

/** The backend's answer reaches the client, whose connection ends with it. */
function decline(response: IncomingMessage, client: Duplex): void {
  const headers = ['Connection', 'close'];
  const { rawHeaders } = response;
  for (let at = 0; at + 1 < rawHeaders.length; at += 2)
    if (!NOT_FORWARDED.has((rawHeaders[at] as string).toLowerCase()))
      headers.push(rawHeaders[at] as string, rawHeaders[at + 1] as string);
  client.write(responseHead(response, headers));
  client.resume(); // what it sends now is for nobody
  client.once('finish', () => {
    const cancel = realClock.setTimeout(() => client.destroy(), DECLINED_GRACE);
    client.once('close', cancel);
  });
  response.once('error', () => client.destroy());
  response.pipe(client);
}

function responseHead({ statusCode = 502 }: IncomingMessage, rawHeaders: readonly string[]): string {
  let text = `HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode] ?? ''}\r\n`;
  for (let at = 0; at + 1 < rawHeaders.length; at += 2)
    text += `${rawHeaders[at] as string}: ${rawHeaders[at + 1] as string}\r\n`;
  return `${text}\r\n`;
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
