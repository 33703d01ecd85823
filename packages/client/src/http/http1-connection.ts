import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { ConnectionOptions } from 'node:tls';

import { RepeatableError, abortReason } from './connection.ts';
import type { Connection } from './connection.ts';

/** Keep-alive HTTP/1.1: a socket per exchange under way. For plain HTTP and for servers and proxies without HTTP/2. */
export function http1Connection(server: URL, tls: ConnectionOptions | undefined): Connection {
  const agent =
    tls === undefined
      ? new HttpAgent({ keepAlive: true, maxFreeSockets: 16 })
      : new HttpsAgent({ keepAlive: true, maxFreeSockets: 16, ...tls });
  const start = tls === undefined ? httpRequest : httpsRequest;
  const underWay = new Set<() => void>();

  return {
    send: (request) =>
      new Promise((resolve, reject) => {
        const { signal } = request;
        if (signal?.aborted === true) {
          reject(abortReason(signal));
          return;
        }
        const outgoing = start({
          agent,
          // `server.hostname` has brackets around an IPv6 address, which a socket does not take.
          host: server.hostname.replace(/^\[|\]$/g, ''),
          port: server.port === '' ? (tls === undefined ? 80 : 443) : server.port,
          method: request.method,
          path: request.path,
          headers: {
            ...request.headers,
            host: server.host,
            ...(request.body === undefined ? {} : { 'content-length': String(request.body.length) }),
          },
        });
        let response: IncomingMessage | undefined;
        const abort = (): void => {
          response?.destroy();
          outgoing.destroy(
            signal?.aborted === true ? abortReason(signal) : new Error('the client was closed'),
          );
        };
        const settle = (): void => {
          underWay.delete(abort);
          signal?.removeEventListener('abort', abort);
        };
        underWay.add(abort);
        signal?.addEventListener('abort', abort, { once: true });
        outgoing.on('error', (error: NodeJS.ErrnoException) => {
          settle();
          // A kept-alive socket that the server closed at the same moment.
          const stale = outgoing.reusedSocket && error.code === 'ECONNRESET' && response === undefined;
          const repeatable = stale && request.method === 'GET' && signal?.aborted !== true;
          reject(repeatable ? new RepeatableError(error) : error);
        });
        outgoing.on('response', (incoming) => {
          response = incoming;
          incoming.on('close', settle);
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: incoming });
        });
        outgoing.end(request.body);
      }),
    close: () => {
      for (const abort of underWay) abort();
      agent.destroy();
      return Promise.resolve();
    },
  };
}
