import { once } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { testAuthority, testCertificate, type TestCertificate } from './certificates.ts';

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** The common name of the client's certificate, where it is of the authority of front proxies. */
  readonly client: string | undefined;
}

/** Answers all requests of a path; it may be long in coming. */
export type Behaviour = (seen: Seen, response: ServerResponse) => void;

export interface ExtensionServer extends AsyncDisposable {
  readonly port: number;
  /** Base64 of PEM, for APIServices. */
  readonly caBundle: string;
  /** What it was asked, in order. */
  readonly seen: Seen[];
  /** By path without query; others are answered with 404. */
  readonly behaviours: Map<string, Behaviour>;
  /** Those that are open now. */
  readonly connections: ReadonlySet<Duplex>;
}

/** An HTTPS server on loopback with a certificate for `host`, that tells front proxies from others. */
export async function startExtensionServer(
  host: string,
  frontProxyAuthority: TestCertificate,
): Promise<ExtensionServer> {
  const authority = testAuthority('extension');
  const seen: Seen[] = [];
  const behaviours = new Map<string, Behaviour>();
  const connections = new Set<Duplex>();
  const server = createServer({
    ...testCertificate(authority, '/CN=extension', [host]),
    ca: frontProxyAuthority.cert,
    requestCert: true,
    rejectUnauthorized: false,
  });
  const see = (message: IncomingMessage, body: string): Seen => {
    const { method = '', url = '', headers } = message;
    const socket = message.socket as TLSSocket;
    const subject = socket.authorized ? (socket.getPeerCertificate().subject as { CN?: string }) : undefined;
    const entry = { method, url, headers, body, client: subject?.CN };
    seen.push(entry);
    return entry;
  };
  server.on('request', (message: IncomingMessage, response: ServerResponse) => {
    let body = '';
    message.on('data', (chunk: Buffer) => (body += chunk.toString()));
    message.on('end', () => {
      const entry = see(message, body);
      const behaviour = behaviours.get(entry.url.replace(/\?.*/, ''));
      if (behaviour === undefined) response.writeHead(404).end('404 page not found\n');
      else behaviour(entry, response);
    });
  });
  server.on('upgrade', (message: IncomingMessage, socket: Duplex) => {
    see(message, '');
    socket.on('error', () => undefined);
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${message.headers.upgrade}\r\n\r\n`,
    );
    socket.on('data', (chunk: Buffer) => socket.write(`echo ${chunk.toString()}`));
  });
  server.on('secureConnection', (socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    caBundle: Buffer.from(authority.cert).toString('base64'),
    seen,
    behaviours,
    connections,
    async [Symbol.asyncDispose]() {
      for (const connection of connections) connection.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function json(value: unknown, code = 200): Behaviour {
  return (_, response) =>
    void response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
