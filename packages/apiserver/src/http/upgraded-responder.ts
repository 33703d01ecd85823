/** Answers to requests that asked for another protocol: as plain HTTP all the same, or as messages of a WebSocket. */
import { ServerResponse, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { http1Responder, type Responder } from './responder.ts';

/** Clients have nothing to say. */
const PAYLOAD_LIMIT = 1024;
const NEWLINE = 0x0a;

/** The request is answered as if it had not asked; the connection ends afterwards. Touches the socket when first used. */
export function declinedResponder(message: IncomingMessage, socket: Duplex): Responder {
  let made: Responder | undefined;
  const plain = (): Responder => (made ??= plainResponder(message, socket));
  return {
    get headersSent() {
      return made?.headersSent ?? false;
    },
    start: (code, headers) => plain().start(code, headers),
    write: (chunk) => plain().write(chunk),
    end: (chunk) => plain().end(chunk),
    get unsent() {
      return made?.unsent ?? 0;
    },
    waitForDrain: () => plain().waitForDrain(),
    get closed() {
      return made?.closed ?? socket.destroyed;
    },
    ignoreBody: () => plain().ignoreBody(),
    destroy: () => void socket.destroy(),
    onClose: (callback) => void socket.once('close', callback),
  };
}

function plainResponder(message: IncomingMessage, socket: Duplex): Responder {
  const response = new ServerResponse(message);
  response.shouldKeepAlive = false;
  response.assignSocket(socket as Socket);
  response.once('finish', () => {
    response.detachSocket(socket as Socket);
    socket.end();
  });
  return http1Responder(response);
}

/** Each line of JSON is a message of its own, as browsers read watches (k8s.io/apiserver/pkg/endpoints/handlers/watch.go). */
export function webSocketResponder(message: IncomingMessage, socket: Duplex, head: Buffer): Responder {
  let websocket: WebSocket | undefined;
  let isText = true;
  const send = (data: Buffer): void => websocket?.send(data, { binary: !isText }, () => undefined);
  return {
    get headersSent() {
      return websocket !== undefined;
    },
    start(_, headers) {
      isText = String(headers['Content-Type'] ?? '').startsWith('application/json');
      const server = new WebSocketServer({
        noServer: true,
        clientTracking: false,
        perMessageDeflate: false,
        maxPayload: PAYLOAD_LIMIT,
        handleProtocols: (protocols) => (protocols.has('binary.k8s.io') ? 'binary.k8s.io' : false),
      });
      server.handleUpgrade(message, socket, head, (opened) => {
        opened.on('error', () => undefined); // 'close' follows
        websocket = opened;
      });
    },
    write(chunk) {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
      if (isText) for (const line of linesOf(bytes)) send(line);
      else if (bytes.length > 0) send(bytes);
      return !socket.writableNeedDrain;
    },
    end(chunk) {
      if (chunk !== undefined) this.write(chunk);
      websocket?.close(1000);
    },
    get unsent() {
      return websocket?.bufferedAmount ?? 0;
    },
    waitForDrain: () =>
      new Promise((resolve) => {
        if (!socket.writableNeedDrain || socket.destroyed) return resolve();
        socket.once('drain', resolve);
        socket.once('close', resolve);
      }),
    get closed() {
      return socket.destroyed;
    },
    ignoreBody: () => undefined,
    destroy: () => void socket.destroy(),
    onClose: (callback) => void socket.once('close', callback),
  };
}

function* linesOf(bytes: Buffer): Generator<Buffer> {
  let start = 0;
  for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
    if (end > start) yield bytes.subarray(start, end);
    start = end + 1;
  }
  if (start < bytes.length) yield bytes.subarray(start);
}
