import { Transform } from 'node:stream';
import type { TransformCallback } from 'node:stream';

const BLOCK = 512;
const SIZE_OFFSET = 124;
const TYPE_OFFSET = 156;
/** Extended headers (pax x and g, GNU long name L and link K) are kept in memory by the reader. */
const EXTENDED_HEADER_LIMIT = 1024 * 1024;
const EXTENDED_TYPES = new Set([...'xgLKNX'].map((type) => type.charCodeAt(0)));

/**
 * Passes a tar stream on and fails at an extended header so large that reading it into memory would do harm, or at more
 * entries than `entryLimit`. Everything else is left to the reader behind.
 */
export class TarGuard extends Transform {
  readonly #header = Buffer.alloc(BLOCK);
  #headerFilled = 0;
  /** Content bytes, with padding, until the next header. */
  #skip = 0;
  #entries = 0;
  readonly #entryLimit: number;
  #override: number | undefined;
  #pax: Buffer[] | undefined;

  constructor(entryLimit: number) {
    super();
    this.#entryLimit = entryLimit;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    let position = 0;
    while (position < chunk.length) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, chunk.length - position);
        this.#pax?.push(Buffer.from(chunk.subarray(position, position + step)));
        this.#skip -= step;
        position += step;
        if (this.#skip === 0 && this.#pax !== undefined) {
          this.#override = paxSize(Buffer.concat(this.#pax).toString('utf8'));
          this.#pax = undefined;
        }
        continue;
      }
      const step = Math.min(BLOCK - this.#headerFilled, chunk.length - position);
      chunk.copy(this.#header, this.#headerFilled, position, position + step);
      this.#headerFilled += step;
      position += step;
      if (this.#headerFilled === BLOCK) {
        this.#headerFilled = 0;
        const failure = this.#onHeader();
        if (failure !== undefined) {
          done(new Error(failure));
          return;
        }
      }
    }
    done(null, chunk);
  }

  #onHeader(): string | undefined {
    if (this.#header[0] === 0) return undefined; // the zero blocks at the end
    if (++this.#entries > this.#entryLimit) return `the archive has more than ${this.#entryLimit} entries`;
    const type = this.#header[TYPE_OFFSET] ?? 0;
    let size = headerSize(this.#header);
    if (EXTENDED_TYPES.has(type)) {
      if (size > EXTENDED_HEADER_LIMIT) return `the archive has an extended header of ${size} bytes`;
      if (type === 'x'.charCodeAt(0)) this.#pax = [];
    } else {
      size = this.#override ?? size;
      this.#override = undefined;
    }
    if (!Number.isSafeInteger(size) || size < 0) return 'the archive has an entry of impossible size';
    this.#skip = Math.ceil(size / BLOCK) * BLOCK;
    if (this.#skip === 0) this.#pax = undefined;
    return undefined;
  }
}

/** Octal digits, or a big-endian number when the first bit is set. */
function headerSize(header: Buffer): number {
  const field = header.subarray(SIZE_OFFSET, SIZE_OFFSET + 12);
  if (((field[0] ?? 0) & 0x80) === 0) {
    const digits = field.toString('latin1').replace(/\0.*$/s, '').trim();
    return digits === '' ? 0 : Number.parseInt(digits, 8);
  }
  let size = (field[0] ?? 0) & 0x7f;
  for (const byte of field.subarray(1)) size = size * 256 + byte;
  return size;
}

/** The `size` record of a pax header, which counts instead of the one in the entry's own header. */
function paxSize(records: string): number | undefined {
  const match = /(?:^|\n)\d+ size=(\d+)\n/.exec(records);
  return match === null ? undefined : Number(match[1]);
}
