import { type WebSocket, WebSocketServer } from 'ws';

import { headerValues, refuse, type UpgradeRequest } from '../upgrade.ts';

const PAYLOAD_LIMIT = 1024 * 1024;

/**
 * Turns the connection into a WebSocket with the first of the client's subprotocols that is supported. With none offered
 * and none needed (`''` is supported) there is none. Undefined: refused, and answered. The WebSocket comes paused.
 */
export function acceptWebSocket(
  { request, socket, head }: UpgradeRequest,
  supported: readonly string[],
): Promise<{ readonly websocket: WebSocket; readonly protocol: string } | undefined> {
  const offered = headerValues(request, 'sec-websocket-protocol');
  const protocol = offered.length === 0 ? '' : offered.find((candidate) => supported.includes(candidate));
  if (protocol === undefined || !supported.includes(protocol)) {
    refuse(
      socket,
      '400 Bad Request',
      `unable to upgrade: client supports [${offered.join(' ')}], server accepts [${supported.filter(Boolean).join(' ')}]`,
    );
    return Promise.resolve(undefined);
  }
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: PAYLOAD_LIMIT,
    perMessageDeflate: false,
    clientTracking: false,
    handleProtocols: () => (protocol === '' ? false : protocol),
  });
  return new Promise((resolve) => {
    socket.once('close', () => resolve(undefined));
    server.handleUpgrade(request, socket, head, (websocket) => {
      websocket.on('error', () => undefined); // 'close' follows
      websocket.pause(); // until somebody listens
      resolve({ websocket, protocol });
    });
  });
}
