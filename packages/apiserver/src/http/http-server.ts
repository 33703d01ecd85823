/**
 * The server's ports: one TLS port for HTTP/1.1 and HTTP/2, and, where switched on, a plain one on loopback. HTTP/2 uses
 * node's stream interface, which serves two thirds more requests per second than its compatibility interface.
 */
import type { EventEmitter } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import {
  constants,
  createSecureServer,
  type Http2SecureServer,
  type Http2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex, Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Clock, Logger } from '@k8ts/base';
import { errorMessage } from '@k8ts/base';
import { http1Responder, http2Responder, type Responder } from './responder.ts';

export interface TlsOptions {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
  /** PEM of the authorities whose client certificates are asked for; none need be shown. */
  readonly clientCa?: string;
}

export interface HttpServerOptions {
  readonly host: string;
  readonly port: number;
  /** Absent: plain HTTP, for loopback only. */
  readonly tls?: TlsOptions | undefined;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly onRequest: (request: HttpRequest, responder: Responder) => void;
  /** HTTP/1.1 requests that ask for another protocol. */
  readonly onUpgrade: (request: HttpRequest, message: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

export interface HttpRequest {
  readonly method: string;
  /** Path and query, as sent. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turn, as sent. */
  readonly rawHeaders: readonly string[];
  readonly body: Readable;
  readonly socket: Socket | TLSSocket;
  readonly onAbort: (callback: () => void) => void;
}

const MAX_HEADER_BYTES = 64 * 1024;
/** Milliseconds in which the headers must have come (upstream: ReadHeaderTimeout 32 s). */
const HEADERS_TIMEOUT = 32_000;
/** Milliseconds after which an idle connection is closed (upstream: IdleTimeout 90 s). */
const IDLE_TIMEOUT = 90_000;
/** Milliseconds of silence after which TCP asks whether the client is still there. */
const KEEP_ALIVE = 180_000;
/** Upstream's http2-max-streams-per-connection. */
const MAX_STREAMS = 1_000;

export class HttpServer implements AsyncDisposable {
  readonly #server: Server | Http2SecureServer;
  readonly #options: HttpServerOptions;
  /** HTTP/1.1 connections, with how many requests are under way on each; HTTP/2 ones stand at zero. */
  readonly #sockets = new Map<Socket, number>();
  /** How many streams are open on each. */
  readonly #sessions = new Map<Http2Session, number>();
  #closing = false;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#server = options.tls === undefined ? this.#plain() : this.#secure(options.tls);
  }

  /** Resolves with the port. Rejects when the port is taken. */
  listen(): Promise<number> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) =>
          this.#options.logger.error('server error', { error: errorMessage(error) }),
        );
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /**
   * Takes no more connections, tells HTTP/2 clients to go away, lets what is under way end for `grace` milliseconds, then
   * cuts the rest off.
   */
  async close(grace: number): Promise<void> {
    this.#closing = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const session of this.#sessions.keys()) session.close();
    // Sockets of HTTP/2 sessions go with their sessions.
    if (this.#sessions.size === 0)
      for (const [socket, requests] of this.#sockets) if (requests === 0) socket.destroy();
    const cancel = this.#options.clock.setTimeout(() => this.#cutOff(), grace);
    if (grace === 0) this.#cutOff();
    await closed;
    cancel();
    this.#cutOff();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close(0);
  }

  #cutOff(): void {
    for (const session of this.#sessions.keys()) session.destroy();
    for (const socket of this.#sockets.keys()) socket.destroy();
  }

  #plain(): Server {
    const server = createServer({
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT,
      requestTimeout: 0,
    });
    server.keepAliveTimeout = IDLE_TIMEOUT;
    this.#serveHttp1(server);
    server.on('connection', (socket) => this.#track(socket));
    return server;
  }

  #secure({ cert, key, clientCa }: TlsOptions): Http2SecureServer {
    const server = createSecureServer({
      allowHTTP1: true,
      cert,
      key,
      ...(clientCa === undefined ? {} : { ca: clientCa, requestCert: true }),
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT,
      requestTimeout: 0,
      // Room for many small requests on one connection, and for bodies of the largest size without waiting.
      settings: {
        maxConcurrentStreams: MAX_STREAMS,
        initialWindowSize: 1024 * 1024,
        maxHeaderListSize: MAX_HEADER_BYTES,
      },
    } as Parameters<typeof createSecureServer>[0]);
    (server as unknown as Server).keepAliveTimeout = IDLE_TIMEOUT;
    this.#serveHttp1(server as unknown as Server);
    // The types know nothing of the headers as they came.
    (server as EventEmitter).on(
      'stream',
      (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, rawHeaders: string[]) =>
        this.#onStream(stream, headers, rawHeaders),
    );
    server.on('session', (session) => {
      this.#sessions.set(session, 0);
      session.once('close', () => this.#sessions.delete(session));
      session.on('error', () => undefined);
      session.setTimeout(IDLE_TIMEOUT, () => {
        // Watches may be silent for long; their connection stays.
        if ((this.#sessions.get(session) ?? 0) === 0) session.close();
      });
    });
    server.on('secureConnection', (socket: TLSSocket) => this.#track(socket));
    server.on('tlsClientError', (error: Error) =>
      this.#options.logger.debug('TLS handshake failed', { error: error.message }),
    );
    return server;
  }

  #track(socket: Socket): void {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE);
    this.#sockets.set(socket, 0);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  #serveHttp1(server: Server): void {
    server.on('request', (message: IncomingMessage, response: ServerResponse) => {
      // HTTP/2 requests come as streams; node emits this event for them as well when there is a listener.
      if (message.httpVersionMajor >= 2) return;
      const responder = http1Responder(response);
      this.#began(message.socket);
      response.once('close', () => this.#ended(message.socket));
      this.#options.onRequest(http1Request(message, response), responder);
    });
    server.on('upgrade', (message: IncomingMessage, socket: Duplex, head: Buffer) => {
      this.#options.onUpgrade(http1Request(message, socket), message, socket, head);
    });
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
      if (!socket.writable || error.code === 'ECONNRESET') {
        socket.destroy();
        return;
      }
      const code =
        error.code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request';
      socket.end(`HTTP/1.1 ${code}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    });
  }

  #began(socket: Socket): void {
    this.#sockets.set(socket, (this.#sockets.get(socket) ?? 0) + 1);
  }

  #ended(socket: Socket): void {
    const requests = this.#sockets.get(socket);
    if (requests === undefined) return;
    this.#sockets.set(socket, requests - 1);
    if (this.#closing && requests === 1) socket.destroySoon();
  }

  #onStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rawHeaders: readonly string[]): void {
    const responder = http2Responder(stream);
    const { session } = stream;
    const socket = session?.socket;
    if (session === undefined || socket === undefined) return;
    this.#sessions.set(session, (this.#sessions.get(session) ?? 0) + 1);
    stream.once('close', () => {
      const streams = this.#sessions.get(session);
      if (streams !== undefined) this.#sessions.set(session, streams - 1);
    });
    this.#options.onRequest(
      {
        method: String(headers[constants.HTTP2_HEADER_METHOD]),
        url: String(headers[constants.HTTP2_HEADER_PATH] ?? '/'),
        headers,
        rawHeaders,
        body: stream,
        socket: socket,
        onAbort: (callback) => void stream.once('close', callback),
      },
      responder,
    );
  }
}

function http1Request(message: IncomingMessage, end: ServerResponse | Duplex): HttpRequest {
  return {
    method: message.method ?? 'GET',
    url: message.url ?? '/',
    headers: message.headers,
    rawHeaders: message.rawHeaders,
    body: message,
    socket: message.socket,
    onAbort: (callback) => void end.once('close', callback),
  };
}

/**
 * The TLS side of a connection, for client certificates. The socket of an HTTP/2 session is a proxy that passes methods on
 * but does not answer `in`.
 */
export function tlsSocketOf(socket: Socket | TLSSocket): TLSSocket | undefined {
  return typeof (socket as Partial<TLSSocket>).getPeerCertificate === 'function'
    ? (socket as TLSSocket)
    : undefined;
}
