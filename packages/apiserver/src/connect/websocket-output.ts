import type { Readable } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { RequestContext } from '../request/request-context.ts';
import type { UpgradeResult } from '../request/result.ts';
import { withoutBearer } from './forward.ts';

/** Subprotocols, and whether their messages are texts in base64. A client that names none gets bytes. */
const PROTOCOLS: ReadonlyMap<string, boolean> = new Map([
  ['', false],
  ['binary.k8s.io', false],
  ['base64.binary.k8s.io', true],
]);
/** Clients have nothing to say. */
const PAYLOAD_LIMIT = 1024;

export function isWebSocketRequest({ headers }: RequestContext): boolean {
  return (
    headers.upgrade?.toLowerCase() === 'websocket' &&
    /(^|,)\s*upgrade\s*(,|$)/i.test(headers.connection ?? '')
  );
}

/**
 * Output that goes to the client in WebSocket messages, cut anywhere, until it ends or the client goes
 * (NewReader in apimachinery's util/httpstream/wsstream).
 */
export function webSocketOutput(output: Readable): UpgradeResult {
  return {
    kind: 'upgrade',
    accept(message, socket, head) {
      socket.once('close', () => output.destroy());
      const protocol = chosenProtocol(message.headers['sec-websocket-protocol']);
      if (protocol === undefined) {
        socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
        return;
      }
      const server = new WebSocketServer({
        noServer: true,
        clientTracking: false,
        perMessageDeflate: false,
        maxPayload: PAYLOAD_LIMIT,
        handleProtocols: () => (protocol === '' ? false : protocol),
      });
      server.handleUpgrade(message, socket, head, (websocket) => {
        websocket.on('error', () => undefined); // 'close' follows
        void copy(output, websocket, PROTOCOLS.get(protocol) === true);
      });
    },
  };
}

function chosenProtocol(header = ''): string | undefined {
  const offered = withoutBearer(header).split(', ');
  return offered.find((protocol) => PROTOCOLS.has(protocol));
}

async function copy(output: Readable, websocket: WebSocket, base64: boolean): Promise<void> {
  const send = (chunk: Buffer): Promise<void> =>
    new Promise((resolve, reject) => {
      const data = base64 ? chunk.toString('base64') : chunk;
      websocket.send(data, (error) => (error ? reject(error) : resolve()));
    });
  try {
    // Nothing, but at once: the client learns that the stream is open, however long its first byte takes.
    await send(Buffer.alloc(0));
    for await (const chunk of output) await send(chunk as Buffer);
  } catch {
    // Whichever side broke off, there is no more to send.
  } finally {
    websocket.close(1000);
  }
}
