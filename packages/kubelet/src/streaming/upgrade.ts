import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

/** A request whose connection is to become something else. */
export interface UpgradeRequest {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** What came with the request already. */
  readonly head: Buffer;
}

export function isSpdyUpgrade({ headers }: IncomingMessage): boolean {
  return (
    hasToken(headers.connection, 'upgrade') && (headers.upgrade ?? '').toLowerCase().trim() === 'spdy/3.1'
  );
}

export function isWebSocketUpgrade({ headers }: IncomingMessage): boolean {
  return (
    hasToken(headers.connection, 'upgrade') && (headers.upgrade ?? '').toLowerCase().trim() === 'websocket'
  );
}

function hasToken(header: string | undefined, token: string): boolean {
  return (header ?? '').split(',').some((part) => part.trim().toLowerCase() === token);
}

/** All values of a header that may come several times or joined by commas. */
export function headerValues(request: IncomingMessage, name: string): string[] {
  return (request.headersDistinct[name] ?? [])
    .flatMap((value) => value.split(','))
    .map((value) => value.trim())
    .filter((value) => value !== '');
}

/** Answers on the bare socket; `fields` are header lines. */
export function writeHead(socket: Duplex, status: string, fields: readonly string[], body = ''): void {
  const lines = [`HTTP/1.1 ${status}`, ...fields];
  if (body !== '' || !status.startsWith('101')) lines.push(`Content-Length: ${Buffer.byteLength(body)}`);
  socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

/** Refuses the upgrade and closes. */
export function refuse(
  socket: Duplex,
  status: string,
  message: string,
  fields: readonly string[] = [],
): void {
  socket.on('error', () => undefined);
  writeHead(
    socket,
    status,
    ['Content-Type: text/plain; charset=utf-8', 'Connection: close', ...fields],
    `${message}\n`,
  );
  socket.end();
}
