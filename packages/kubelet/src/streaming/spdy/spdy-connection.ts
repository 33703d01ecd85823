import { Duplex } from 'node:stream';

import {
  CANCEL,
  dataFrame,
  type Frame,
  FrameReader,
  goAwayFrame,
  pingFrame,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  rstStreamFrame,
  SpdyProtocolError,
  synReplyFrame,
  synStreamFrame,
} from './frames.ts';
import { HeaderPacker, HeaderUnpacker, type SpdyHeaders } from './header-codec.ts';

/** Streams open at a time; kubectl needs five for exec and two for each forwarded connection. */
const STREAM_LIMIT = 1000;
/** A stream whose reader is slow holds at most so much before the whole connection waits for it. */
const STREAM_BUFFER = 256 * 1024;
const DATA_FRAME = 32 * 1024;
const NO_HEADERS: SpdyHeaders = new Map();

/**
 * One side of a SPDY/3.1 connection. Like moby/spdystream, which the Go clients use, it has no flow control by windows: a
 * slow reader is felt through the transport. Ends with its transport; then all its streams end too.
 */
export class SpdyConnection {
  readonly #transport: Duplex;
  readonly #reader = new FrameReader();
  readonly #unpacker = new HeaderUnpacker();
  readonly #packer = new HeaderPacker();
  readonly #streams = new Map<number, SpdyStream>();
  readonly #onStream: (stream: SpdyStream) => void;
  #nextId: number;
  #lastRemoteId = 0;
  #closed = false;
  #packing: Promise<void> = Promise.resolve();
  readonly closed: Promise<void>;

  /** `onStream` gets the streams that the other side opens, after they were accepted. */
  constructor(transport: Duplex, role: 'server' | 'client', onStream: (stream: SpdyStream) => void) {
    this.#transport = transport;
    this.#nextId = role === 'server' ? 2 : 1;
    this.#onStream = onStream;
    this.closed = this.#run().finally(() => this.#shut());
  }

  /** Opens a stream. */
  async open(headers: SpdyHeaders): Promise<SpdyStream> {
    const id = this.#nextId;
    this.#nextId += 2;
    const stream = this.#add(id, headers);
    await this.#sendHeaders(headers, (block) => synStreamFrame(id, block));
    return stream;
  }

  /** Says goodbye and closes the transport; streams end. */
  close(): void {
    if (this.#closed) return;
    this.#transport.write(goAwayFrame(this.#lastRemoteId));
    this.#transport.end();
    this.#shut();
  }

  /** For streams only. Resolves when the transport takes more. */
  write(streamId: number, data: Buffer, fin: boolean): Promise<void> {
    if (this.#closed) return Promise.reject(new Error('the connection is closed'));
    const frames: Buffer[] = [];
    for (let at = 0; at < data.length; at += DATA_FRAME) {
      const part = data.subarray(at, at + DATA_FRAME);
      frames.push(...dataFrame(streamId, part, fin && at + DATA_FRAME >= data.length));
    }
    if (data.length === 0) frames.push(...dataFrame(streamId, data, fin));
    return this.#send(Buffer.concat(frames));
  }

  /** For streams only. */
  reset(streamId: number): void {
    if (!this.#closed) this.#transport.write(rstStreamFrame(streamId, CANCEL));
    this.#streams.delete(streamId);
  }

  /** For streams only: both of its sides have ended. */
  done(streamId: number): void {
    this.#streams.delete(streamId);
  }

  async #run(): Promise<void> {
    try {
      for await (const chunk of this.#transport as AsyncIterable<Buffer>) {
        this.#reader.push(chunk);
        for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) {
          const wait = this.#handle(frame);
          if (wait !== undefined) await wait;
        }
      }
    } catch (error) {
      if (error instanceof SpdyProtocolError && !this.#closed)
        this.#transport.write(goAwayFrame(this.#lastRemoteId, PROTOCOL_ERROR));
      // Anything else is the transport's end, as for a client that was killed.
    }
  }

  #handle(frame: Frame): Promise<void> | undefined {
    switch (frame.type) {
      case 'SYN_STREAM':
        return this.#accept(frame.streamId, frame.headers, frame.fin);
      case 'SYN_REPLY':
      case 'HEADERS':
        // Their content does not matter, but the compression must not lose its place.
        return this.#unpacker.unpack(frame.headers).then(() => {
          if (frame.fin) this.#streams.get(frame.streamId)?.remoteEnd();
        });
      case 'DATA': {
        const stream = this.#streams.get(frame.streamId);
        if (stream === undefined) return undefined; // it was reset, and the other side did not know yet
        const wait = frame.data.length > 0 ? stream.receive(frame.data) : undefined;
        if (frame.fin) stream.remoteEnd();
        return wait;
      }
      case 'RST_STREAM':
        this.#streams.get(frame.streamId)?.remoteReset();
        this.#streams.delete(frame.streamId);
        return undefined;
      case 'PING':
        // One's own number comes back as the answer to one's own ping: only the other side's are answered.
        return frame.id % 2 === this.#nextId % 2 ? undefined : this.#send(pingFrame(frame.id));
      case 'GOAWAY':
      case 'OTHER':
        return undefined;
    }
  }

  async #accept(id: number, block: Buffer, fin: boolean): Promise<void> {
    const headers = await this.#unpacker.unpack(block);
    if (id <= this.#lastRemoteId || id % 2 === this.#nextId % 2)
      throw new SpdyProtocolError(`stream id ${id} is out of order`);
    this.#lastRemoteId = id;
    if (this.#streams.size >= STREAM_LIMIT) return this.#send(rstStreamFrame(id, REFUSED_STREAM));
    const stream = this.#add(id, headers);
    if (fin) stream.remoteEnd();
    await this.#sendHeaders(NO_HEADERS, (reply) => synReplyFrame(id, reply));
    this.#onStream(stream);
  }

  #add(id: number, headers: SpdyHeaders): SpdyStream {
    const stream = new SpdyStream(this, id, headers);
    this.#streams.set(id, stream);
    return stream;
  }

  /** The order in which blocks are packed is the order in which they are sent. */
  #sendHeaders(headers: SpdyHeaders, frame: (block: Buffer) => Buffer): Promise<void> {
    this.#packing = this.#packing.then(async () => {
      const block = await this.#packer.pack(headers);
      if (!this.#closed) await this.#send(frame(block));
    });
    return this.#packing;
  }

  #send(bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed || this.#transport.destroyed) {
        reject(new Error('the connection is closed'));
        return;
      }
      this.#transport.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  #shut(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const stream of this.#streams.values()) stream.remoteReset();
    this.#streams.clear();
    this.#packer.close();
    this.#unpacker.close();
    this.#transport.on('error', () => undefined);
    this.#transport.end();
  }
}

/** A stream: what is written goes to the other side, `end()` closes this direction, `destroy()` resets both. */
export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: SpdyHeaders;
  readonly #connection: SpdyConnection;
  #drained: (() => void) | undefined;
  #remoteEnded = false;

  constructor(connection: SpdyConnection, id: number, headers: SpdyHeaders) {
    super({ allowHalfOpen: true, readableHighWaterMark: STREAM_BUFFER });
    this.#connection = connection;
    this.id = id;
    this.headers = headers;
  }

  /** The first value of a header; empty when there is none. */
  header(name: string): string {
    return this.headers.get(name.toLowerCase())?.[0] ?? '';
  }

  /** For the connection only. Undefined, or a promise when the reader is behind. */
  receive(data: Buffer): Promise<void> | undefined {
    if (this.destroyed || this.#remoteEnded) return undefined;
    if (this.push(data)) return undefined;
    return new Promise((resolve) => (this.#drained = resolve));
  }

  remoteEnd(): void {
    if (this.#remoteEnded) return;
    this.#remoteEnded = true;
    if (!this.destroyed) this.push(null);
    if (this.writableFinished) this.#connection.done(this.id);
  }

  remoteReset(): void {
    this.#remoteEnded = true;
    this.#release();
    this.destroy();
  }

  override _read(): void {
    this.#release();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#connection.write(this.id, chunk, false).then(() => done(), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#connection.write(this.id, Buffer.alloc(0), true).then(
      () => {
        if (this.#remoteEnded) this.#connection.done(this.id);
        done();
      },
      () => done(), // the connection has ended, and the stream with it
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#release();
    if (!(this.writableFinished && this.#remoteEnded)) this.#connection.reset(this.id);
    done(error);
  }

  #release(): void {
    this.#drained?.();
    this.#drained = undefined;
  }
}
