import type { Duplex } from 'node:stream';

import { type Clock, errorMessage, type Logger } from '@k8ts/base';
import { createWebSocketStream } from 'ws';

import { SpdyConnection, type SpdyStream } from './spdy/spdy-connection.ts';
import { acceptSpdy } from './spdy/spdy-upgrade.ts';
import type { UpgradeRequest } from './upgrade.ts';
import { acceptWebSocket } from './websocket/websocket-upgrade.ts';

/** Connects one stream to a port of the pod; resolves when both sides have closed. */
type Forward = (port: number, stream: Duplex, signal: AbortSignal) => Promise<void>;

export interface PortForwardOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly forward: Forward;
  /** Pod's name for messages. */
  readonly pod: string;
  readonly uid: string;
}

const PROTOCOL = 'portforward.k8s.io';
const TUNNEL_PROTOCOL = `SPDY/3.1+${PROTOCOL}`;
const PAIR_TIMEOUT = 30_000;

/** Port forwarding over SPDY; resolves when the client has gone. */
export async function spdyPortForward(upgrade: UpgradeRequest, options: PortForwardOptions): Promise<void> {
  const session = new PortForwardSession(options);
  const accepted = acceptSpdy(upgrade, [PROTOCOL], PROTOCOL, (stream) => session.accept(stream));
  if (accepted === undefined) return;
  await accepted.connection.closed;
  session.close();
}

/** The same SPDY, its bytes in the messages of a WebSocket (KEP-4006). */
export async function tunneledPortForward(
  upgrade: UpgradeRequest,
  options: PortForwardOptions,
): Promise<void> {
  const accepted = await acceptWebSocket(upgrade, [TUNNEL_PROTOCOL]);
  if (accepted === undefined) return;
  const session = new PortForwardSession(options);
  const transport = createWebSocketStream(accepted.websocket);
  transport.on('error', () => undefined);
  const connection = new SpdyConnection(transport, 'server', (stream) => session.accept(stream));
  await connection.closed;
  session.close();
}

interface Pair {
  error?: SpdyStream;
  data?: SpdyStream;
  cancel: () => void;
}

/**
 * For each connection the client opens two streams with the same `requestid`: `data`, which is the connection, and `error`,
 * which gets a text when it fails and is closed in any case (pkg/kubelet/portforward in k8s.io/cri-streaming).
 */
class PortForwardSession {
  readonly #options: PortForwardOptions;
  readonly #pairs = new Map<string, Pair>();
  readonly #abort = new AbortController();

  constructor(options: PortForwardOptions) {
    this.#options = options;
  }

  accept(stream: SpdyStream): void {
    stream.on('error', () => undefined);
    const type = stream.header('streamtype');
    const port = Number(stream.header('port'));
    if ((type !== 'error' && type !== 'data') || !Number.isInteger(port) || port < 1 || port > 65_535) {
      stream.destroy();
      return;
    }
    // Clients of before 1.2 sent no request id; they open the pair one after the other.
    const id = stream.header('requestid') || String(type === 'error' ? stream.id : stream.id - 2);
    let pair = this.#pairs.get(id);
    if (pair === undefined) {
      const fresh: Pair = {
        cancel: this.#options.clock.setTimeout(() => {
          this.#pairs.delete(id);
          fresh.error?.destroy();
          fresh.data?.destroy();
        }, PAIR_TIMEOUT),
      };
      this.#pairs.set(id, (pair = fresh));
    }
    if (pair[type] !== undefined) {
      stream.destroy();
      return;
    }
    pair[type] = stream;
    const { data, error } = pair;
    if (data === undefined || error === undefined) return;
    pair.cancel();
    this.#pairs.delete(id);
    void this.#forward(port, data, error);
  }

  close(): void {
    this.#abort.abort(new Error('the client has gone'));
    for (const { cancel } of this.#pairs.values()) cancel();
    this.#pairs.clear();
  }

  async #forward(port: number, data: SpdyStream, error: SpdyStream): Promise<void> {
    const { forward, logger, pod, uid } = this.#options;
    error.resume();
    try {
      await forward(port, data, this.#abort.signal);
      if (!data.writableEnded) data.end();
      error.end();
    } catch (failure) {
      logger.debug('Error forwarding port', { pod, port, error: errorMessage(failure) });
      error.end(`error forwarding port ${port} to pod ${pod}, uid ${uid}: ${errorMessage(failure)}`);
      data.destroy();
    }
  }
}
