import { constants, createDeflate, createInflate, type Deflate, type Inflate } from 'node:zlib';

import { HEADER_DICTIONARY } from './dictionary.ts';
import { SpdyProtocolError } from './frames.ts';

/** Names in lower case; several values of one name are in order. */
export type SpdyHeaders = ReadonlyMap<string, readonly string[]>;

const NAME_LIMIT = 256;
const PAIR_LIMIT = 100;
/** Of a block after it was unpacked: a small frame must not become a large one. */
const BLOCK_LIMIT = 64 * 1024;

export function encodeHeaders(headers: SpdyHeaders): Buffer {
  const parts: Buffer[] = [uint32(headers.size)];
  for (const [name, values] of headers) {
    const key = Buffer.from(name.toLowerCase(), 'latin1');
    const value = Buffer.from(values.join('\0'), 'latin1');
    parts.push(uint32(key.length), key, uint32(value.length), value);
  }
  return Buffer.concat(parts);
}

export function decodeHeaders(block: Buffer): SpdyHeaders {
  let at = 0;
  const number = (): number => {
    if (at + 4 > block.length) throw new SpdyProtocolError('header block is cut off');
    const value = block.readUInt32BE(at);
    at += 4;
    return value;
  };
  const text = (): string => {
    const length = number();
    if (length > block.length - at) throw new SpdyProtocolError('header block is cut off');
    at += length;
    return block.toString('latin1', at - length, at);
  };
  const count = number();
  if (count > PAIR_LIMIT) throw new SpdyProtocolError(`header block has ${count} headers`);
  const headers = new Map<string, string[]>();
  for (let i = 0; i < count; i++) {
    const name = text().toLowerCase();
    if (name === '' || name.length > NAME_LIMIT || headers.has(name))
      throw new SpdyProtocolError('header block has an empty, too long or repeated name');
    headers.set(name, text().split('\0'));
  }
  return headers;
}

function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
}

/** Packs the header blocks of one direction. Blocks must be packed one after the other: await each. */
export class HeaderPacker {
  readonly #deflate: Deflate = createDeflate({
    dictionary: HEADER_DICTIONARY,
    flush: constants.Z_SYNC_FLUSH,
  });

  pack(headers: SpdyHeaders): Promise<Buffer> {
    return transform(this.#deflate, encodeHeaders(headers), Number.POSITIVE_INFINITY);
  }

  close(): void {
    this.#deflate.destroy();
  }
}

/** Unpacks the header blocks of one direction. Blocks must be unpacked one after the other: await each. */
export class HeaderUnpacker {
  readonly #inflate: Inflate = createInflate({
    dictionary: HEADER_DICTIONARY,
    flush: constants.Z_SYNC_FLUSH,
  });

  async unpack(block: Buffer): Promise<SpdyHeaders> {
    try {
      return decodeHeaders(await transform(this.#inflate, block, BLOCK_LIMIT));
    } catch (error) {
      if (error instanceof SpdyProtocolError) throw error;
      throw new SpdyProtocolError(`header block cannot be unpacked: ${(error as Error).message}`);
    }
  }

  close(): void {
    this.#inflate.destroy();
  }
}

/** Feeds one block and collects all that comes out of it; the stream's state goes on to the next block. */
function transform(stream: Deflate | Inflate, block: Buffer, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const finish = (error?: Error | null): void => {
      stream.off('data', onData);
      stream.off('error', finish);
      stream.off('close', onClose);
      if (error) reject(error);
      else resolve(Buffer.concat(chunks));
    };
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk);
      size += chunk.length;
      if (size > limit) {
        stream.destroy();
        finish(new SpdyProtocolError(`header block is larger than ${limit} bytes`));
      }
    };
    const onClose = (): void => finish(new Error('closed'));
    stream.on('error', finish);
    stream.on('close', onClose);
    stream.on('data', onData);
    stream.write(block, (error) => {
      // What was produced but not handed out yet comes by reading; `data` sees it.
      if (!error) while (stream.read() !== null);
      finish(error ?? null);
    });
  });
}
