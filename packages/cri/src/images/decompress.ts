import type { Readable, Transform } from 'node:stream';
import * as zlib from 'node:zlib';

const GZIP = Buffer.from([0x1f, 0x8b]);
const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
const XZ = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a]);
const BZIP2 = Buffer.from('BZh');

// Node has zstd since 22.15; its types for 20 do not know it.
const createZstdDecompress = (zlib as { createZstdDecompress?: () => Transform }).createZstdDecompress;

/**
 * The decompressed content, whatever the first bytes say it is compressed with: gzip, zstd (where Node has it) or nothing.
 * Media types are not asked, for archives have none and some registries give wrong ones.
 */
export async function decompressed(input: Readable): Promise<Readable> {
  const head = await peek(input, 6);
  const starts = (magic: Buffer): boolean => head.subarray(0, magic.length).equals(magic);
  if (starts(GZIP)) return chain(input, zlib.createGunzip());
  if (starts(ZSTD)) {
    if (createZstdDecompress === undefined) {
      throw new Error(
        `the image is compressed with zstd, which Node ${process.version} cannot read: Node 22.15 can, or use gzip`,
      );
    }
    return chain(input, createZstdDecompress());
  }
  if (starts(XZ) || starts(BZIP2)) {
    throw new Error('the image is compressed with xz or bzip2, which image formats do not allow: use gzip');
  }
  return input;
}

/** `pipe` alone would not pass errors on. */
function chain(input: Readable, transform: Transform): Readable {
  input.on('error', (error) => transform.destroy(error));
  transform.on('close', () => input.destroy());
  return input.pipe(transform);
}

/** The first bytes, which stay in the stream. Fewer when it is shorter. */
async function peek(input: Readable, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  while (size < length) {
    const chunk = (await nextChunk(input)) as Buffer | null;
    if (chunk === null) break;
    chunks.push(chunk);
    size += chunk.length;
  }
  const head = Buffer.concat(chunks);
  if (head.length > 0) input.unshift(head);
  return head;
}

function nextChunk(input: Readable): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const attempt = (): void => {
      const chunk: unknown = input.read();
      if (chunk !== null) finish(() => resolve(chunk));
      else if (input.readableEnded || input.destroyed) finish(() => resolve(null));
    };
    const finish = (settle: () => void): void => {
      input.off('readable', attempt);
      input.off('end', onEnd);
      input.off('error', onError);
      settle();
    };
    const onEnd = (): void => finish(() => resolve(null));
    const onError = (error: Error): void => finish(() => reject(error));
    input.on('readable', attempt);
    input.on('end', onEnd);
    input.on('error', onError);
    attempt();
  });
}
