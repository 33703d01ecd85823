import { createHash } from 'node:crypto';
import { Transform } from 'node:stream';
import type { TransformCallback } from 'node:stream';

/** `sha256:…` of the bytes. */
export function sha256(bytes: string | Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Hashes and counts what passes through; fails as soon as it is more than `limit` bytes. */
export class DigestStream extends Transform {
  readonly #hash = createHash('sha256');
  readonly #limit: number;
  readonly #what: string;
  size = 0;

  constructor(what: string, limit: number) {
    super();
    this.#what = what;
    this.#limit = limit;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.size += chunk.length;
    if (this.size > this.#limit) {
      done(new Error(`${this.#what} is larger than the limit of ${this.#limit} bytes`));
      return;
    }
    this.#hash.update(chunk);
    done(null, chunk);
  }

  /** To be called once, after the end. */
  digest(): string {
    return `sha256:${this.#hash.digest('hex')}`;
  }
}
