import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { constants, type ServerHttp2Stream } from 'node:http2';

/** One response, whichever protocol carries it. */
export interface Responder {
  readonly headersSent: boolean;
  /** Status line and headers. `length` when the whole body is known. */
  start(code: number, headers: OutgoingHttpHeaders): void;
  /** Returns false when the client should be waited for. */
  write(chunk: Buffer | string): boolean;
  end(chunk?: Buffer | string): void;
  /** Bytes handed over and not yet sent. */
  readonly unsent: number;
  /** The client can take more, or has gone. */
  waitForDrain(): Promise<void>;
  readonly closed: boolean;
  /** What the client still sends of its body is not waited for: call before `start`. */
  ignoreBody(): void;
  /** Breaks the connection or stream off: what was begun cannot be completed. */
  destroy(): void;
  onClose(callback: () => void): void;
}

export function http1Responder(response: ServerResponse): Responder {
  // A client that leaves in the middle is no error of ours; without a listener it would be thrown.
  response.on('error', () => undefined);
  return {
    get headersSent() {
      return response.headersSent;
    },
    start: (code, headers) => void response.writeHead(code, headers),
    write: (chunk) => response.write(chunk),
    end: (chunk) => {
      if (chunk === undefined) response.end();
      else response.end(chunk);
    },
    get unsent() {
      return response.writableLength;
    },
    waitForDrain: () => drained(response),
    get closed() {
      return response.closed || response.destroyed;
    },
    ignoreBody: () => {
      response.shouldKeepAlive = false;
    },
    destroy: () => void response.destroy(),
    onClose: (callback) => void response.once('close', callback),
  };
}

export function http2Responder(stream: ServerHttp2Stream): Responder {
  // A reset by the client is no error of ours; without a listener it would be thrown.
  stream.on('error', () => undefined);
  return {
    get headersSent() {
      return stream.headersSent;
    },
    start: (code, headers) => {
      if (!stream.destroyed) stream.respond({ ...headers, [constants.HTTP2_HEADER_STATUS]: code });
    },
    write: (chunk) => stream.destroyed || stream.write(chunk),
    end: (chunk) => {
      if (stream.destroyed) return;
      if (chunk === undefined) stream.end();
      else stream.end(chunk);
    },
    get unsent() {
      return stream.writableLength;
    },
    waitForDrain: () => drained(stream),
    get closed() {
      return stream.closed || stream.destroyed;
    },
    ignoreBody: () => void stream.once('finish', () => stream.close(constants.NGHTTP2_NO_ERROR)),
    destroy: () => {
      if (!stream.closed) stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    },
    onClose: (callback) => void stream.once('close', callback),
  };
}

function drained(stream: ServerResponse | ServerHttp2Stream): Promise<void> {
  if (stream.destroyed || !stream.writableNeedDrain) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done);
      stream.off('close', done);
      resolve();
    };
    stream.once('drain', done);
    stream.once('close', done);
  });
}
