import { createSocket } from 'node:dgram';
import type { Socket as UdpSocket } from 'node:dgram';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';

import { errorMessage } from '@k8ts/base';
import type { Clock, Logger } from '@k8ts/base';

import type { DnsTransport } from './forwarder.ts';

export interface DnsAddress {
  readonly address: string;
  readonly port: number;
}

/** Answers a message, at once where it can. Undefined: no answer. Must not throw. */
export type DnsHandler = (
  message: Buffer,
  transport: DnsTransport,
) => Buffer | undefined | Promise<Buffer | undefined>;

/** Milliseconds for which a TCP connection may be silent (RFC 7766 asks for seconds). */
const IDLE_TIMEOUT = 10_000;
const MAX_CONNECTIONS = 1_000;
/** Questions of one connection that are answered at the same time; it is not read on while there are more. */
const MAX_PIPELINED = 100;
const UDP_BUFFER = 1024 * 1024;

/** Listens on UDP and TCP at the same address and port; port 0 takes one that is free for both. */
export async function listenDns(
  listen: DnsAddress,
  handler: DnsHandler,
  clock: Clock,
  logger: Logger,
): Promise<DnsAddress & AsyncDisposable> {
  const connections = new Set<Socket>();
  const server = createServer((socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
    serveConnection(socket, handler, clock);
  });
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(cannotListen(listen, error)));
    server.listen(listen.port, listen.address, resolve);
  });
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : listen.port;
  const closeServer = (): Promise<void> =>
    new Promise((resolve) => {
      for (const socket of connections) socket.destroy();
      server.close(() => resolve());
    });
  let udp: UdpSocket;
  try {
    udp = await bindUdp({ address: listen.address, port });
  } catch (error) {
    await closeServer();
    throw cannotListen(listen, error);
  }
  const closeUdp = serveUdp(udp, handler, logger);
  return {
    address: listen.address,
    port,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([closeServer(), closeUdp()]);
    },
  };
}

function cannotListen({ address, port }: DnsAddress, error: unknown): Error {
  return new Error(`cluster DNS cannot listen on ${address} port ${port}: ${errorMessage(error)}`, {
    cause: error,
  });
}

function bindUdp({ address, port }: DnsAddress): Promise<UdpSocket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.once('error', reject);
    socket.bind({ address, port, exclusive: true }, () => {
      socket.off('error', reject);
      // A burst of questions waits here while the event loop is busy; the system's default holds a few hundred.
      socket.setRecvBufferSize(UDP_BUFFER);
      resolve(socket);
    });
  });
}

function serveUdp(socket: UdpSocket, handler: DnsHandler, logger: Logger): () => Promise<void> {
  let closed = false;
  socket.on('error', (error) => logger.warn('DNS over UDP failed', { error: errorMessage(error) }));
  socket.on('message', (message, from) => {
    const send = (response: Buffer | undefined): void => {
      // Who cannot be answered (gone, or never was) has no claim to an error.
      if (response !== undefined && !closed) socket.send(response, from.port, from.address, () => undefined);
    };
    const response = handler(message, 'udp');
    if (response instanceof Promise) void response.then(send);
    else send(response);
  });
  return () => {
    closed = true; // answers that come later have nowhere to go
    return new Promise((resolve) => socket.close(() => resolve()));
  };
}

/** Each message has its length in front (RFC 1035, 4.2.2); answers come as they are ready. */
function serveConnection(socket: Socket, handler: DnsHandler, clock: Clock): void {
  let received: Buffer = Buffer.alloc(0);
  let underWay = 0;
  let cancelIdle = (): void => undefined;
  const restartIdle = (): void => {
    cancelIdle();
    cancelIdle = clock.setTimeout(() => socket.destroy(), IDLE_TIMEOUT);
  };
  const send = (response: Buffer | undefined): void => {
    underWay--;
    if (socket.destroyed) return;
    if (response === undefined) {
      socket.destroy();
      return;
    }
    const length = Buffer.alloc(2);
    length.writeUInt16BE(response.length);
    socket.cork();
    socket.write(length);
    socket.write(response);
    socket.uncork();
    // Who asks without reading the answers shall not fill our memory.
    if (underWay < MAX_PIPELINED && !socket.writableNeedDrain) readOn();
  };
  const readOn = (): void => {
    while (underWay < MAX_PIPELINED && received.length >= 2 && !socket.destroyed) {
      const end = 2 + received.readUInt16BE(0);
      if (received.length < end) break;
      const message = received.subarray(2, end);
      received = received.subarray(end);
      underWay++;
      void Promise.resolve(handler(message, 'tcp')).then(send);
    }
    if (underWay < MAX_PIPELINED && !socket.writableNeedDrain) socket.resume();
    else socket.pause();
  };
  socket.on('error', () => undefined); // the client's connection, the client's loss
  socket.on('close', () => cancelIdle());
  socket.on('drain', readOn);
  socket.on('data', (chunk: Buffer) => {
    restartIdle();
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    readOn();
  });
  restartIdle();
}
