import { connect as http2Connect, constants } from 'node:http2';
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import type { TLSSocket } from 'node:tls';

import type { Clock } from '@k8ts/base';

import { RepeatableError, abortReason } from './connection.ts';
import type { Connection, WireRequest, WireResponse } from './connection.ts';

/** Silence after which the server is asked for a sign of life, and how long that may take (as client-go). */
const READ_IDLE_TIMEOUT = 30_000;
const PING_TIMEOUT = 15_000;
/** Of one stream and of the whole session: large enough that a long list is not held up waiting for window updates. */
const STREAM_WINDOW = 4 << 20;
const SESSION_WINDOW = 16 << 20;

interface PooledSession {
  readonly session: ClientHttp2Session;
  streams: number;
  /** The server announced the end (GOAWAY): what runs may finish, nothing new is sent. */
  leaving: boolean;
}

/**
 * HTTP/2: requests and watches share one session, and a further one is opened when the server's limit of concurrent
 * streams is reached. `connectTls` opens a socket on which HTTP/2 was agreed.
 */
export function http2Connection(
  server: URL,
  connectTls: (signal: AbortSignal) => Promise<TLSSocket>,
  clock: Clock,
  first: TLSSocket,
): Connection {
  const sessions = new Set<PooledSession>();
  const closing = new AbortController();
  let opening: Promise<PooledSession> | undefined;

  const adopt = (socket: TLSSocket): PooledSession => {
    const session = http2Connect(server.origin, {
      createConnection: () => socket,
      settings: { initialWindowSize: STREAM_WINDOW, enablePush: false },
      maxSessionMemory: 256,
    });
    const pooled: PooledSession = { session, streams: 0, leaving: false };
    sessions.add(pooled);
    session.on('connect', () => {
      session.setLocalWindowSize(SESSION_WINDOW);
    });
    session.on('goaway', () => {
      pooled.leaving = true;
      if (pooled.streams === 0) session.close();
    });
    // Every stream reports the error to its own caller; a session without streams has nobody to tell.
    session.on('error', () => undefined);
    session.on('close', () => sessions.delete(pooled));
    keepWatch(session, socket, clock);
    return pooled;
  };
  adopt(first);

  const usable = (): PooledSession | undefined => {
    for (const pooled of sessions) {
      const { session } = pooled;
      if (pooled.leaving || session.closed || session.destroyed) continue;
      const limit = session.remoteSettings?.maxConcurrentStreams ?? Infinity;
      if (pooled.streams < limit) return pooled;
    }
    return undefined;
  };
  const acquire = async (): Promise<PooledSession> => {
    for (;;) {
      const pooled = usable();
      if (pooled !== undefined) return pooled;
      if (closing.signal.aborted) throw new Error('the client was closed');
      opening ??= connectTls(closing.signal)
        .then(adopt)
        .finally(() => (opening = undefined));
      await opening;
    }
  };

  return {
    send: async (request) => {
      if (request.signal?.aborted === true) throw abortReason(request.signal);
      const pooled = await acquire();
      return exchange(pooled, server, request);
    },
    close: async () => {
      closing.abort(new Error('the client was closed'));
      const ended = [...sessions].map(
        ({ session }) =>
          new Promise<void>((resolve) => {
            session.once('close', resolve);
            session.destroy();
          }),
      );
      await opening?.then(({ session }) => session.destroy()).catch(() => undefined);
      await Promise.all(ended);
    },
  };
}

function exchange(pooled: PooledSession, server: URL, request: WireRequest): Promise<WireResponse> {
  return new Promise((resolve, reject) => {
    const { signal } = request;
    let stream: ClientHttp2Stream;
    try {
      stream = pooled.session.request(
        {
          ':method': request.method,
          ':path': request.path,
          ':scheme': 'https',
          ':authority': server.host,
          ...request.headers,
        },
        { endStream: request.body === undefined },
      );
    } catch (error) {
      reject(new RepeatableError(error)); // the session ended between being chosen and being used
      return;
    }
    pooled.streams++;
    let answered = false;
    const abort = (): void => {
      stream.close(constants.NGHTTP2_CANCEL);
    };
    signal?.addEventListener('abort', abort, { once: true });
    stream.on('response', (headers: IncomingHttpHeaders) => {
      answered = true;
      resolve({ status: Number(headers[':status']), headers, body: stream });
    });
    let failure: Error | undefined;
    stream.on('error', (error: Error) => {
      failure = error;
    });
    stream.on('close', () => {
      pooled.streams--;
      signal?.removeEventListener('abort', abort);
      if (pooled.leaving && pooled.streams === 0) pooled.session.close();
      if (answered) return;
      if (signal?.aborted === true) reject(abortReason(signal));
      else if (stream.rstCode === constants.NGHTTP2_REFUSED_STREAM || isLost(request, pooled))
        reject(new RepeatableError(failure));
      else reject(failure ?? new Error('the server closed the connection without an answer'));
    });
    if (request.body !== undefined) stream.end(request.body);
  });
}

/** The whole session is gone, and the request only wanted to read. */
function isLost(request: WireRequest, { session }: PooledSession): boolean {
  return request.method === 'GET' && (session.destroyed || session.closed);
}

/**
 * A peer that vanished without a word (power cut, cable) leaves a socket that is silent for ever, and every watch on it
 * with it. After a silence the peer is pinged; without an answer the session is destroyed, which ends its streams.
 */
function keepWatch(session: ClientHttp2Session, socket: TLSSocket, clock: Clock): void {
  let bytesSeen = socket.bytesRead;
  let cancel = clock.setTimeout(check, READ_IDLE_TIMEOUT);
  function check(): void {
    if (session.destroyed || session.closed) return;
    if (socket.bytesRead !== bytesSeen) {
      bytesSeen = socket.bytesRead;
      cancel = clock.setTimeout(check, READ_IDLE_TIMEOUT);
      return;
    }
    cancel = clock.setTimeout(() => {
      session.destroy(new Error('http2: client connection lost'));
    }, PING_TIMEOUT);
    session.ping(() => {
      cancel();
      bytesSeen = socket.bytesRead;
      if (!session.destroyed) cancel = clock.setTimeout(check, READ_IDLE_TIMEOUT);
    });
  }
  session.on('close', () => {
    cancel();
  });
}
