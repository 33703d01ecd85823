import { createHash } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { duplexPair } from 'node:stream';
import { constants, deflateSync } from 'node:zlib';

import { afterEach, describe, expect, it } from 'vitest';

import { until } from '../../testing/until.ts';
import { HEADER_DICTIONARY } from './dictionary.ts';
import { FrameReader, SpdyProtocolError } from './frames.ts';
import { decodeHeaders, encodeHeaders, HeaderPacker, HeaderUnpacker } from './header-codec.ts';
import { SpdyConnection, type SpdyStream } from './spdy-connection.ts';

const uint32 = (value: number): Buffer => {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
};
const frame = (type: number, flags: number, body: Buffer): Buffer =>
  Buffer.concat([Buffer.from([0x80, 0x03, 0, type, flags]), uint32(body.length).subarray(1), body]);

describe('SPDY frames', () => {
  it('compress headers with the dictionary of the draft', () => {
    expect(createHash('sha256').update(HEADER_DICTIONARY).digest('hex')).toBe(
      '51d27341373f923f3cd88e1eb7162aeaa3723d7585ff2399201dc06498407f02',
    );
  });

  it('are read however they are cut', () => {
    const bytes = Buffer.concat([
      frame(6, 0, uint32(7)),
      Buffer.concat([uint32(5), Buffer.from([1, 0, 0, 3]), Buffer.from('abc')]),
      frame(3, 0, Buffer.concat([uint32(5), uint32(5)])),
      frame(4, 0, Buffer.alloc(12)),
    ]);
    for (const size of [1, 3, 8, 1000]) {
      const reader = new FrameReader();
      const frames = [];
      for (let at = 0; at < bytes.length; at += size) {
        reader.push(bytes.subarray(at, at + size));
        for (let next = reader.next(); next !== undefined; next = reader.next()) frames.push(next);
      }
      expect(frames).toEqual([
        { type: 'PING', id: 7 },
        { type: 'DATA', streamId: 5, fin: true, data: Buffer.from('abc') },
        { type: 'RST_STREAM', streamId: 5, status: 5 },
        { type: 'OTHER', code: 4 },
      ]);
    }
  });

  it('that are hostile are refused', () => {
    const read = (bytes: Buffer) => () => {
      const reader = new FrameReader();
      reader.push(bytes);
      return reader.next();
    };
    expect(read(Buffer.from([0, 0, 0, 1, 0, 0xff, 0xff, 0xff]))).toThrow(/too large/);
    expect(read(Buffer.from([0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff]))).toThrow(/too large/);
    expect(read(frame(1, 0, Buffer.alloc(3)))).toThrow(/too short/);
    expect(read(Buffer.from([0x80, 2, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1]))).toThrow(
      'SPDY version 2 is not spoken here',
    );
  });
});

describe('SPDY headers', () => {
  it('keep their compression from block to block', async () => {
    const packer = new HeaderPacker();
    const unpacker = new HeaderUnpacker();
    const sizes: number[] = [];
    for (const type of ['error', 'stdin', 'stdin', 'stdout']) {
      const headers = new Map([
        ['streamtype', [type]],
        ['port', ['1', '2']],
      ]);
      const block = await packer.pack(headers);
      sizes.push(block.length);
      expect(await unpacker.unpack(block)).toEqual(headers);
    }
    expect(sizes[2]).toBeLessThan(sizes[0] ?? 0);
    packer.close();
    unpacker.close();
  });

  it('that are hostile are refused', async () => {
    expect(() => decodeHeaders(Buffer.from([0, 0, 0]))).toThrow(/cut off/);
    expect(() => decodeHeaders(uint32(1e6))).toThrow(/has 1000000 headers/);
    expect(() => decodeHeaders(Buffer.concat([uint32(1), uint32(0xffffffff)]))).toThrow(/cut off/);
    const twice = encodeHeaders(new Map([['a', ['1']]])).subarray(4);
    expect(() => decodeHeaders(Buffer.concat([uint32(2), twice, twice]))).toThrow(/repeated/);
    const bomb = deflateSync(Buffer.alloc(10_000_000), {
      dictionary: HEADER_DICTIONARY,
      finishFlush: constants.Z_SYNC_FLUSH,
    });
    for (const block of [bomb, Buffer.from('this is not compressed')]) {
      const unpacker = new HeaderUnpacker();
      await expect(unpacker.unpack(block)).rejects.toBeInstanceOf(SpdyProtocolError);
      unpacker.close();
    }
  });
});

describe('a SPDY connection', () => {
  const open: Duplex[] = [];
  afterEach(() => {
    for (const side of open.splice(0)) side.destroy();
  });
  function pair(onStream: (stream: SpdyStream) => void): {
    client: SpdyConnection;
    server: SpdyConnection;
    raw: Duplex;
  } {
    const [near, far] = duplexPair();
    open.push(near, far);
    return {
      raw: near,
      server: new SpdyConnection(far, 'server', onStream),
      client: new SpdyConnection(near, 'client', () => undefined),
    };
  }
  const echo = (stream: SpdyStream): void => void stream.pipe(stream);

  it('carries many streams in both directions', async () => {
    const { client } = pair(echo);
    const texts = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        const stream = await client.open(new Map([['n', [String(i)]]]));
        const sent = Buffer.alloc(100_000, `${i},`);
        stream.end(sent);
        const chunks: Buffer[] = [];
        for await (const chunk of stream) chunks.push(chunk as Buffer);
        return Buffer.concat(chunks).equals(sent);
      }),
    );
    expect(texts.every(Boolean)).toBe(true);
  });

  it('tells the other side when a stream is reset', async () => {
    let closed = false;
    const { client } = pair((stream) => stream.on('close', () => (closed = true)).resume());
    const stream = await client.open(new Map());
    stream.write('x');
    stream.on('error', () => undefined).destroy();
    await until(() => closed);
  });

  it('ends its streams with its transport', async () => {
    const streams: SpdyStream[] = [];
    const { client, raw, server } = pair((stream) => void streams.push(stream));
    const own = await client.open(new Map());
    own.on('error', () => undefined);
    await until(() => streams.length === 1);
    raw.destroy();
    open[1]?.destroy(); // a pair of streams is no socket: the other half has to be told
    await server.closed;
    await client.closed;
    expect(streams[0]?.destroyed).toBe(true);
    expect(own.destroyed).toBe(true);
  });

  it('answers pings, and holds a writer whose reader is slow', async () => {
    const [near, far] = duplexPair();
    open.push(near, far);
    const streams: SpdyStream[] = [];
    new SpdyConnection(far, 'server', (stream) => void streams.push(stream));
    near.write(frame(6, 0, uint32(9)));
    const answer: Buffer[] = [];
    near.on('data', (chunk: Buffer) => answer.push(chunk));
    await until(() => Buffer.concat(answer).equals(frame(6, 0, uint32(9))));

    const { client } = pair((stream) => void streams.push(stream));
    const stream = await client.open(new Map());
    let written = 0;
    const chunk = Buffer.alloc(64 * 1024);
    const write = (): void =>
      void stream.write(chunk, () => ((written += chunk.length), written < 20_000_000 && write()));
    write();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(written).toBeLessThan(2_000_000);
    streams.at(-1)?.resume();
    await until(() => written >= 20_000_000);
  });

  for (const [title, bytes] of [
    ['garbage', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['a broken header block', frame(1, 0, Buffer.concat([uint32(1), Buffer.alloc(20, 0xff)]))],
    ['an even stream id', frame(1, 0, Buffer.concat([uint32(2), Buffer.alloc(6)]))],
  ] as const)
    it(`ends at ${title}`, async () => {
      const [near, far] = duplexPair();
      open.push(near, far);
      const server = new SpdyConnection(far, 'server', () => undefined);
      near.resume();
      near.write(bytes);
      near.end();
      await server.closed;
    });
});
