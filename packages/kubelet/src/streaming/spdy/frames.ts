/**
 * The frames of SPDY/3.1 as Kubernetes' streaming uses them (draft-mbelshe-httpbis-spdy-00). A control frame is
 *
 *     1 | version 3 (15 bits) | type (16) | flags (8) | length (24) | …
 *
 * and a data frame `0 | stream id (31) | flags (8) | length (24) | data`. Header blocks are compressed, each direction as
 * one endless deflate stream; here they are bytes.
 */
export type Frame =
  | {
      readonly type: 'SYN_STREAM';
      readonly streamId: number;
      readonly fin: boolean;
      readonly headers: Buffer;
    }
  | { readonly type: 'SYN_REPLY'; readonly streamId: number; readonly fin: boolean; readonly headers: Buffer }
  | { readonly type: 'HEADERS'; readonly streamId: number; readonly fin: boolean; readonly headers: Buffer }
  | { readonly type: 'RST_STREAM'; readonly streamId: number; readonly status: number }
  | { readonly type: 'PING'; readonly id: number }
  | { readonly type: 'GOAWAY'; readonly lastGoodStreamId: number; readonly status: number }
  | { readonly type: 'DATA'; readonly streamId: number; readonly fin: boolean; readonly data: Buffer }
  /** SETTINGS, WINDOW_UPDATE, NOOP and unknown ones: to be skipped. */
  | { readonly type: 'OTHER'; readonly code: number };

const SYN_STREAM = 1;
const SYN_REPLY = 2;
const RST_STREAM = 3;
const PING = 6;
const GOAWAY = 7;
const HEADERS = 8;

const FIN = 0x01;
const VERSION = 3;
const HEAD = 8;
const STREAM_ID = 0x7fffffff;

/** RST_STREAM's status codes. */
export const PROTOCOL_ERROR = 1;
export const REFUSED_STREAM = 3;
export const CANCEL = 5;

/** What others may send at once: 1 MiB of data, 64 KiB of compressed headers. */
const DATA_LIMIT: number = 1024 * 1024;
const CONTROL_LIMIT: number = 64 * 1024;

export class SpdyProtocolError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SpdyProtocolError';
  }
}

/** Takes frames out of a stream of bytes, however they are cut. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #size = 0;

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
  }

  /** The next whole frame; undefined: more bytes are needed. Throws `SpdyProtocolError`. */
  next(): Frame | undefined {
    if (this.#size < HEAD) return undefined;
    const head = this.#peek(HEAD);
    const length = head.readUIntBE(5, 3);
    const isControl = (head[0] as number) >= 0x80;
    if (length > (isControl ? CONTROL_LIMIT : DATA_LIMIT))
      throw new SpdyProtocolError(`frame of ${length} bytes is too large`);
    if (this.#size < HEAD + length) return undefined;
    const flags = head[4] as number;
    const first = head.readUInt32BE(0);
    this.#take(HEAD);
    const body = this.#take(length);
    if (!isControl)
      return { type: 'DATA', streamId: first & STREAM_ID, fin: (flags & FIN) !== 0, data: body };
    const version = (first >>> 16) & 0x7fff;
    if (version !== VERSION) throw new SpdyProtocolError(`SPDY version ${version} is not spoken here`);
    return controlFrame(first & 0xffff, flags, body);
  }

  #peek(count: number): Buffer {
    const first = this.#chunks[0] as Buffer;
    if (first.length >= count) return first;
    const joined = Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    return joined;
  }

  #take(count: number): Buffer {
    if (count === 0) return Buffer.alloc(0);
    const source = this.#peek(count);
    const taken = source.subarray(0, count);
    if (source.length === count) this.#chunks.shift();
    else this.#chunks[0] = source.subarray(count);
    this.#size -= count;
    return taken;
  }
}

function controlFrame(code: number, flags: number, body: Buffer): Frame {
  const need = (count: number): void => {
    if (body.length < count) throw new SpdyProtocolError(`control frame ${code} is too short`);
  };
  const fin = (flags & FIN) !== 0;
  switch (code) {
    case SYN_STREAM:
      need(10);
      return {
        type: 'SYN_STREAM',
        streamId: body.readUInt32BE(0) & STREAM_ID,
        fin,
        headers: body.subarray(10),
      };
    case SYN_REPLY:
      need(4);
      return {
        type: 'SYN_REPLY',
        streamId: body.readUInt32BE(0) & STREAM_ID,
        fin,
        headers: body.subarray(4),
      };
    case HEADERS:
      need(4);
      return { type: 'HEADERS', streamId: body.readUInt32BE(0) & STREAM_ID, fin, headers: body.subarray(4) };
    case RST_STREAM:
      need(8);
      return { type: 'RST_STREAM', streamId: body.readUInt32BE(0) & STREAM_ID, status: body.readUInt32BE(4) };
    case PING:
      need(4);
      return { type: 'PING', id: body.readUInt32BE(0) };
    case GOAWAY:
      need(8);
      return {
        type: 'GOAWAY',
        lastGoodStreamId: body.readUInt32BE(0) & STREAM_ID,
        status: body.readUInt32BE(4),
      };
    default:
      return { type: 'OTHER', code };
  }
}

function control(code: number, flags: number, body: Buffer): Buffer {
  const head = Buffer.alloc(HEAD);
  head.writeUInt16BE(0x8000 | VERSION, 0);
  head.writeUInt16BE(code, 2);
  head[4] = flags;
  head.writeUIntBE(body.length, 5, 3);
  return Buffer.concat([head, body]);
}

function uint32(...values: number[]): Buffer {
  const buffer = Buffer.alloc(4 * values.length);
  for (const [index, value] of values.entries()) buffer.writeUInt32BE(value, 4 * index);
  return buffer;
}

export function synStreamFrame(streamId: number, headers: Buffer, fin = false): Buffer {
  // No associated stream, priority 0 (the highest), no credential slot.
  return control(SYN_STREAM, fin ? FIN : 0, Buffer.concat([uint32(streamId, 0), Buffer.alloc(2), headers]));
}

export function synReplyFrame(streamId: number, headers: Buffer, fin = false): Buffer {
  return control(SYN_REPLY, fin ? FIN : 0, Buffer.concat([uint32(streamId), headers]));
}

export function rstStreamFrame(streamId: number, status: number): Buffer {
  return control(RST_STREAM, 0, uint32(streamId, status));
}

export function pingFrame(id: number): Buffer {
  return control(PING, 0, uint32(id));
}

export function goAwayFrame(lastGoodStreamId: number, status = 0): Buffer {
  return control(GOAWAY, 0, uint32(lastGoodStreamId, status));
}

export function dataFrame(streamId: number, data: Buffer, fin = false): Buffer[] {
  const head = Buffer.alloc(HEAD);
  head.writeUInt32BE(streamId, 0);
  head[4] = fin ? FIN : 0;
  head.writeUIntBE(data.length, 5, 3);
  return data.length === 0 ? [head] : [head, data];
}
