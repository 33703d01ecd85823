import { headerValues, refuse, type UpgradeRequest, writeHead } from '../upgrade.ts';
import { SpdyConnection, type SpdyStream } from './spdy-connection.ts';

const PROTOCOL_HEADER = 'x-stream-protocol-version';

/**
 * Agrees on a protocol and turns the connection into SPDY/3.1. Clients that name none get `fallback`; when nothing fits the
 * request is refused with 403 and what would have been accepted, and undefined is returned.
 */
export function acceptSpdy(
  upgrade: UpgradeRequest,
  supported: readonly string[],
  fallback: string,
  onStream: (stream: SpdyStream) => void,
): { readonly connection: SpdyConnection; readonly protocol: string } | undefined {
  const { request, socket, head } = upgrade;
  const offered = headerValues(request, PROTOCOL_HEADER);
  const protocol =
    offered.length === 0 ? fallback : offered.find((candidate) => supported.includes(candidate));
  if (protocol === undefined) {
    refuse(
      socket,
      '403 Forbidden',
      `unable to upgrade: unable to negotiate protocol: client supports [${offered.join(' ')}], server accepts [${supported.join(' ')}]`,
      supported.map((name) => `X-Accepted-Stream-Protocol-Versions: ${name}`),
    );
    return undefined;
  }
  writeHead(socket, '101 Switching Protocols', [
    'Connection: Upgrade',
    'Upgrade: SPDY/3.1',
    ...(offered.length === 0 ? [] : [`X-Stream-Protocol-Version: ${protocol}`]),
  ]);
  if (head.length > 0) socket.unshift(head);
  return { connection: new SpdyConnection(socket, 'server', onStream), protocol };
}
