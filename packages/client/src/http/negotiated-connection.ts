import { connect as tlsConnect } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';

import type { Clock } from '@k8ts/base';

import type { Connection } from './connection.ts';
import { http1Connection } from './http1-connection.ts';
import { http2Connection } from './http2-connection.ts';

/** HTTP/2 where the server agrees to it in the TLS handshake, HTTP/1.1 otherwise and for plain HTTP. */
export function negotiatedConnection(
  server: URL,
  tls: ConnectionOptions,
  clock: Clock,
  http2: boolean,
): Connection {
  if (server.protocol === 'http:') return http1Connection(server, undefined);
  if (!http2) return http1Connection(server, tls);

  const closing = new AbortController();
  let agreed: Promise<Connection> | undefined;
  const open = (protocols: string[], signal: AbortSignal): Promise<TLSSocket> =>
    openTls(server, { ...tls, ALPNProtocols: protocols }, signal);
  const negotiate = async (): Promise<Connection> => {
    const socket = await open(['h2', 'http/1.1'], closing.signal);
    if (socket.alpnProtocol === 'h2')
      return http2Connection(server, (signal) => open(['h2'], signal), clock, socket);
    socket.destroy();
    return http1Connection(server, tls);
  };
  return {
    send: async (request) => {
      if (closing.signal.aborted) throw new Error('the client was closed');
      agreed ??= negotiate();
      const attempt = agreed;
      let connection: Connection;
      try {
        connection = await attempt;
      } catch (error) {
        if (agreed === attempt) agreed = undefined; // the next request tries again
        throw error;
      }
      return connection.send(request);
    },
    close: async () => {
      closing.abort(new Error('the client was closed'));
      const connection = await agreed?.catch(() => undefined);
      await connection?.close();
    },
  };
}

function openTls(server: URL, options: ConnectionOptions, signal: AbortSignal): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const host = server.hostname.replace(/^\[|\]$/g, '');
    const socket = tlsConnect({
      host,
      port: server.port === '' ? 443 : Number(server.port),
      ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }), // SNI has no addresses
      ...options,
    });
    const abort = (): void => {
      socket.destroy(signal.reason as Error);
    };
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    const done = (): void => signal.removeEventListener('abort', abort);
    socket.once('secureConnect', () => {
      done();
      socket.setNoDelay(true);
      socket.setKeepAlive(true, 30_000);
      resolve(socket);
    });
    socket.once('error', (error) => {
      done();
      reject(error as Error);
    });
  });
}
