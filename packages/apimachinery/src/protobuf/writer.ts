/**
 * Writes protobuf from the end towards the start, so that a message's length is known when its length prefix is written:
 * no sizes are computed beforehand, nothing is moved afterwards. Whatever comes last in the message is written first.
 *
 *     const start = writer.mark();
 *     writer.string('b'); writer.tag(2, BYTES);
 *     writer.string('a'); writer.tag(1, BYTES);
 *     writer.length(start);        // what was written since `start`
 */
export class ReverseWriter {
  #buffer: Buffer;
  /** Index of the first byte written so far. */
  #start: number;

  constructor(capacity = 4096) {
    this.#buffer = Buffer.alloc(capacity);
    this.#start = capacity;
  }

  /** How much has been written; give it to `length` when the message is complete. */
  mark(): number {
    return this.#buffer.length - this.#start;
  }

  /** The length prefix of everything written since `mark`. */
  length(mark: number): void {
    this.uint32(this.mark() - mark);
  }

  tag(number: number, wireType: number): void {
    this.uint32((number << 3) | wireType);
  }

  /** A varint below 2³². */
  uint32(value: number): void {
    let size = 1;
    for (let rest = value >>> 7; rest !== 0; rest >>>= 7) size++;
    let at = this.#reserve(size);
    let rest = value >>> 0;
    for (; rest > 0x7f; rest >>>= 7) this.#buffer[at++] = (rest & 0x7f) | 0x80;
    this.#buffer[at] = rest;
  }

  /** A varint of a safe integer, negative ones in two's complement as protobuf's int32 and int64 have them (ten bytes). */
  int64(value: number): void {
    if (value >= 0 && value <= 0xffffffff) {
      this.uint32(value);
      return;
    }
    let rest = BigInt.asUintN(64, BigInt(value));
    const bytes: number[] = [];
    for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
    bytes.push(Number(rest));
    const at = this.#reserve(bytes.length);
    this.#buffer.set(bytes, at);
  }

  double(value: number): void {
    const at = this.#reserve(8);
    this.#buffer.writeDoubleLE(value, at);
  }

  /** Text with its length. */
  string(text: string): void {
    const size = Buffer.byteLength(text);
    const at = this.#reserve(size);
    this.#buffer.write(text, at, size, 'utf8');
    this.uint32(size);
  }

  /** Bytes with their length. */
  bytes(bytes: Uint8Array): void {
    this.raw(bytes);
    this.uint32(bytes.length);
  }

  raw(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length);
    this.#buffer.set(bytes, at);
  }

  /** What was written, first byte first. The writer is not used afterwards: the bytes are its own. */
  finish(): Buffer {
    return this.#buffer.subarray(this.#start);
  }

  /** Makes room in front. May replace the buffer: take the place first, then `this.#buffer`. */
  #reserve(size: number): number {
    if (size > this.#start) this.#grow(size);
    this.#start -= size;
    return this.#start;
  }

  #grow(size: number): void {
    const used = this.mark();
    const larger = Buffer.alloc(Math.max(this.#buffer.length * 2, used + size));
    this.#buffer.copy(larger, larger.length - used, this.#start);
    this.#start = larger.length - used;
    this.#buffer = larger;
  }
}
