import type { Schema } from '@k8ts/api';
import { decodeProtobufMessage, type DecodeLimits } from './decode.ts';
import { writeMessage } from './encode.ts';
import { ProtobufError } from './errors.ts';
import { planOf } from './plan.ts';
import { BYTES, Reader } from './reader.ts';
import { ReverseWriter } from './writer.ts';

/** What stands before every object in `application/vnd.kubernetes.protobuf`; it is no legal start of JSON or YAML. */
export const PROTOBUF_MAGIC: Uint8Array = new Uint8Array([0x6b, 0x38, 0x73, 0x00]);

/** runtime.Unknown: the message around an object that says what it is. */
export interface ProtobufEnvelope {
  readonly apiVersion: string;
  readonly kind: string;
  /** The object's own message. */
  readonly raw: Uint8Array;
  readonly contentEncoding: string;
  /** Empty means protobuf here. */
  readonly contentType: string;
}

/** An object with its envelope, as it is sent and stored. apiVersion and kind are taken from the object. */
export function encodeProtobuf(schema: Schema, object: object): Uint8Array {
  const { apiVersion = '', kind = '' } = object as { readonly apiVersion?: string; readonly kind?: string };
  const writer = new ReverseWriter();
  finishEnvelope(writer, apiVersion, kind, () =>
    writeMessage(writer, planOf(schema), object as Readonly<Record<string, unknown>>, 0),
  );
  return writer.finish();
}

/** An object from bytes with an envelope; apiVersion and kind come from the envelope. Throws ProtobufError. */
export function decodeProtobuf(
  schema: Schema,
  bytes: Uint8Array,
  limits: DecodeLimits = {},
): Record<string, unknown> {
  const { apiVersion, kind, raw } = readProtobufEnvelope(bytes);
  const object: Record<string, unknown> = {};
  if (kind !== '') object['kind'] = kind;
  if (apiVersion !== '') object['apiVersion'] = apiVersion;
  return Object.assign(object, decodeProtobufMessage(schema, raw, limits));
}

/** Reads the envelope only: what the object is, so that its schema can be found. Throws ProtobufError. */
export function readProtobufEnvelope(bytes: Uint8Array): ProtobufEnvelope {
  if (bytes.length === 0) throw new ProtobufError('empty data');
  if (!PROTOBUF_MAGIC.every((byte, index) => bytes[index] === byte)) {
    throw new ProtobufError(
      `provided data does not appear to be a protobuf message, expected prefix [${PROTOBUF_MAGIC.join(' ')}]`,
    );
  }
  if (bytes.length === PROTOBUF_MAGIC.length) throw new ProtobufError('empty body');
  const unknown = readFields(bytes.subarray(PROTOBUF_MAGIC.length), [1, 2, 3, 4]);
  const typeMeta = readFields(unknown.get(1) ?? NOTHING, [1, 2]);
  const text = (fields: ReadonlyMap<number, Uint8Array>, number: number): string =>
    Buffer.from(fields.get(number) ?? NOTHING).toString('utf8');
  return {
    apiVersion: text(typeMeta, 1),
    kind: text(typeMeta, 2),
    raw: unknown.get(2) ?? NOTHING,
    contentEncoding: text(unknown, 3),
    contentType: text(unknown, 4),
  };
}

/**
 * A frame of a watch stream: meta/v1 WatchEvent without an envelope, around an object with one, behind its length in four
 * bytes (big endian), as `application/vnd.kubernetes.protobuf;stream=watch` wants it.
 *
 * @param object what `encodeProtobuf` made
 */
export function encodeProtobufWatchFrame(type: string, object: Uint8Array): Uint8Array {
  const writer = new ReverseWriter(object.length + 64);
  const extension = writer.mark();
  writer.bytes(object);
  writer.tag(1, BYTES);
  writer.length(extension);
  writer.tag(2, BYTES);
  writer.string(type);
  writer.tag(1, BYTES);
  const size = new Uint8Array(4);
  new DataView(size.buffer).setUint32(0, writer.mark());
  writer.raw(size);
  return writer.finish();
}

const NOTHING: Uint8Array = new Uint8Array(0);

function finishEnvelope(writer: ReverseWriter, apiVersion: string, kind: string, writeRaw: () => void): void {
  // Last things first: contentType, contentEncoding, raw, typeMeta.
  writer.string('');
  writer.tag(4, BYTES);
  writer.string('');
  writer.tag(3, BYTES);
  const raw = writer.mark();
  writeRaw();
  writer.length(raw);
  writer.tag(2, BYTES);
  const typeMeta = writer.mark();
  writer.string(kind);
  writer.tag(2, BYTES);
  writer.string(apiVersion);
  writer.tag(1, BYTES);
  writer.length(typeMeta);
  writer.tag(1, BYTES);
  writer.raw(PROTOBUF_MAGIC);
}

/** The length-delimited fields of a message, the last of each. */
function readFields(bytes: Uint8Array, numbers: readonly number[]): Map<number, Uint8Array> {
  const reader = new Reader(bytes);
  const fields = new Map<number, Uint8Array>();
  while (reader.position < reader.end) {
    const tag = reader.uint32();
    if (!numbers.includes(tag >>> 3)) reader.skip(tag & 7);
    else if ((tag & 7) !== BYTES)
      throw new ProtobufError(`proto: wrong wireType = ${tag & 7} for field ${tag >>> 3}`);
    else fields.set(tag >>> 3, reader.bytes());
  }
  return fields;
}
