import { ProtobufError, unexpectedEnd } from './errors.ts';

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
const START_GROUP = 3;
const END_GROUP = 4;
const FIXED32 = 5;

/** Groups are skipped, never decoded; this many inside each other are enough for anybody. */
const MAX_GROUP_DEPTH = 100;

/** Reads protobuf in the bounds it is given. Never reads outside of them, whatever the bytes say. */
export class Reader {
  readonly #buffer: Buffer;
  position: number;
  end: number;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = 0;
    this.end = bytes.byteLength;
  }

  /** A varint modulo 2³², for tags, lengths, booleans and int32 (`| 0` gives the sign). */
  uint32(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw new ProtobufError('proto: integer overflow');
  }

  /** An int64 as a number; beyond 2⁵³ it loses digits, as JSON does. */
  int64(): number {
    let low = 0; // 28 bits
    let middle = 0; // 28 bits
    let high = 0; // 8 bits
    for (let index = 0; index < 10; index++) {
      const byte = this.#byte();
      const bits = byte & 0x7f;
      if (index < 4) low |= bits << (7 * index);
      else if (index < 8) middle |= bits << (7 * (index - 4));
      else high |= bits << (7 * (index - 8));
      if (byte < 0x80) {
        if (high < 0x80) return high * 2 ** 56 + middle * 2 ** 28 + low;
        const magnitude = (BigInt(high & 0xff) << 56n) | (BigInt(middle) << 28n) | BigInt(low);
        return Number(BigInt.asIntN(64, magnitude));
      }
    }
    throw new ProtobufError('proto: integer overflow');
  }

  double(): number {
    this.#need(8);
    const value = this.#buffer.readDoubleLE(this.position);
    this.position += 8;
    return value;
  }

  /** The end of a length-delimited value that starts here. */
  limit(): number {
    const length = this.uint32();
    if (length > 0x7fffffff) throw new ProtobufError('proto: negative length found during unmarshaling');
    this.#need(length);
    return this.position + length;
  }

  string(): string {
    const end = this.limit();
    const text = this.#buffer.toString('utf8', this.position, end);
    this.position = end;
    return text;
  }

  bytes(): Buffer {
    const end = this.limit();
    const bytes = this.#buffer.subarray(this.position, end);
    this.position = end;
    return bytes;
  }

  /** Passes over the value of a field nobody knows. */
  skip(wireType: number, depth = 0): void {
    switch (wireType) {
      case VARINT:
        this.uint32();
        return;
      case FIXED64:
        this.#need(8);
        this.position += 8;
        return;
      case BYTES:
        this.position = this.limit();
        return;
      case START_GROUP:
        this.#skipGroup(depth);
        return;
      case END_GROUP:
        throw new ProtobufError('proto: unexpected end of group');
      case FIXED32:
        this.#need(4);
        this.position += 4;
        return;
      default:
        throw new ProtobufError(`proto: illegal wireType ${wireType}`);
    }
  }

  #skipGroup(depth: number): void {
    if (depth >= MAX_GROUP_DEPTH) throw new ProtobufError('proto: groups are nested too deeply');
    for (;;) {
      const wireType = this.uint32() & 7;
      if (wireType === END_GROUP) return;
      this.skip(wireType, depth + 1);
    }
  }

  #byte(): number {
    if (this.position >= this.end) throw unexpectedEnd();
    return this.#buffer[this.position++] as number;
  }

  #need(size: number): void {
    if (size > this.end - this.position) throw unexpectedEnd();
  }
}
