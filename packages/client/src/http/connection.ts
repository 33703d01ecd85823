import type { Readable } from 'node:stream';

/** One exchange on the wire, the same for HTTP/1.1 and HTTP/2. */
export interface WireRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body: Buffer | undefined;
  readonly signal: AbortSignal | undefined;
}

export interface WireResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Destroying it gives the exchange up without harm to others on the same connection. */
  readonly body: Readable;
}

/** All that leads to one server: a pool of sockets, or of HTTP/2 sessions. */
export interface Connection {
  /** Resolves when the response's headers are there. */
  send(request: WireRequest): Promise<WireResponse>;
  /** Ends every exchange and socket. */
  close(): Promise<void>;
}

/** The connection broke, but the request may be sent again: the server did not act on it, or reading twice does no harm. */
export class RepeatableError extends Error {
  constructor(cause: unknown) {
    super('the server closed the connection without an answer', { cause });
    this.name = 'RepeatableError';
  }
}

export function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('aborted', { cause: signal.reason });
}
