import { Readable, Writable } from 'node:stream';

import type { RawData, WebSocket } from 'ws';

/**
 * Kubernetes' channels in a WebSocket: the first byte of a message names the channel. In the base64 variants the byte is
 * the digit's character and the rest is base64 in a text message. Since v5 the client closes a channel with the message
 * `255 CHANNEL`.
 */
export interface WebSocketChannels {
  /** Bytes that the client sends on a channel, in order; with backpressure. */
  readable(channel: number): Readable;
  /** Bytes to the client; ending it closes nothing. */
  writable(channel: number): Writable;
  send(channel: number, data: Buffer): Promise<void>;
  /** All channels that are read are there: lets the client's messages in. */
  start(): void;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
  close(): Promise<void>;
}

export interface ChannelEncoding {
  readonly base64: boolean;
  /** The client may close channels. */
  readonly closeSignal: boolean;
}

const CLOSE_CHANNEL = 255;
const NORMAL_CLOSURE = 1000;

export function webSocketChannels(websocket: WebSocket, encoding: ChannelEncoding): WebSocketChannels {
  const gone = new AbortController();
  const inputs = new Map<number, Readable>();
  const closed = new Promise<void>((resolve) => {
    websocket.once('close', () => {
      gone.abort(new Error('the client has gone'));
      for (const input of inputs.values()) input.push(null);
      resolve();
    });
  });
  websocket.on('message', (data: RawData, isBinary: boolean) => {
    const message = decode(toBuffer(data), isBinary, encoding);
    if (message === undefined) return;
    const { channel, payload } = message;
    if (encoding.closeSignal && channel === CLOSE_CHANNEL) {
      const target = payload[0];
      if (target !== undefined) inputs.get(target)?.push(null);
      return;
    }
    const input = inputs.get(channel);
    if (input === undefined || payload.length === 0 || input.readableEnded || input.destroyed) return;
    if (!input.push(payload)) websocket.pause();
  });

  const send = (channel: number, data: Buffer): Promise<void> =>
    new Promise((resolve, reject) => {
      const message = encoding.base64
        ? `${channel}${data.toString('base64')}`
        : Buffer.concat([Buffer.from([channel]), data]);
      websocket.send(message, { binary: !encoding.base64 }, (error) => (error ? reject(error) : resolve()));
    });
  return {
    signal: gone.signal,
    readable(channel) {
      const input = new Readable({ read: () => websocket.resume() });
      inputs.set(channel, input);
      return input;
    },
    writable: (channel) =>
      new Writable({
        write(chunk: Buffer, _encoding, done) {
          send(channel, chunk).then(() => done(), done);
        },
      }),
    send,
    start: () => websocket.resume(),
    close: async () => {
      websocket.close(NORMAL_CLOSURE);
      await closed;
    },
  };
}

function decode(
  data: Buffer,
  isBinary: boolean,
  { base64 }: ChannelEncoding,
): { channel: number; payload: Buffer } | undefined {
  const first = data[0];
  if (first === undefined) return undefined;
  // Clients that speak the binary protocol may send text messages too, as browsers do.
  if (!base64) return { channel: first, payload: data.subarray(1) };
  if (isBinary) return undefined;
  const channel = first - 0x30;
  return channel < 0 || channel > 9
    ? undefined
    : { channel, payload: Buffer.from(data.toString('latin1', 1), 'base64') };
}

function toBuffer(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}
