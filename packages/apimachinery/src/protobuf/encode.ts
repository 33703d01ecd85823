/**
 * JSON in wire form → protobuf, byte for byte as upstream's generated code writes it: fields by number, map entries by key,
 * and the zero value of every field that is no pointer (proto2 as gogo does it).
 */
import { createSchema, type Schema } from '@k8ts/api';
import { MAX_JSON_DEPTH } from '../json.ts';
import { canonicalQuantity } from '../quantity.ts';
import { parseDuration, parseTime } from '../time.ts';
import { ProtobufError } from './errors.ts';
import { planOf, type MessagePlan } from './plan.ts';
import { BYTES, FIXED64, VARINT } from './reader.ts';
import { ReverseWriter } from './writer.ts';

type Fields = Readonly<Record<string, unknown>>;

/** The message of an object, without the envelope. Throws ProtobufError when the object does not fit its schema. */
export function encodeProtobufMessage(schema: Schema, object: object): Uint8Array {
  const writer = new ReverseWriter();
  writeMessage(writer, planOf(schema), object as Fields, 0);
  return writer.finish();
}

export function writeMessage(writer: ReverseWriter, plan: MessagePlan, object: Fields, depth: number): void {
  if (depth > MAX_JSON_DEPTH) throw new ProtobufError('the object is nested too deeply');
  for (let index = plan.fields.length - 1; index >= 0; index--) {
    const field = plan.fields[index];
    if (field === undefined) continue;
    if (field.embed !== undefined) {
      const mark = writer.mark();
      writeMessage(writer, field.embed, object, depth + 1);
      writer.length(mark);
      writer.tag(field.number, BYTES);
      continue;
    }
    const value = Object.hasOwn(object, field.name) ? object[field.name] : undefined;
    try {
      writeField(writer, field.number, field.schema, value, field.pointer, depth);
    } catch (error) {
      throw within(field.name, error);
    }
  }
}

/** Names the way to what does not fit: `spec.containers.image: must be a string`. */
function within(name: string, error: unknown): unknown {
  if (!(error instanceof ProtobufError)) return error;
  const separator = /^[\w-]+(\.[\w-]+)*: /.test(error.message) ? '.' : ': ';
  return new ProtobufError(`${name}${separator}${error.message}`);
}

function writeField(
  writer: ReverseWriter,
  number: number,
  schema: Schema,
  value: unknown,
  pointer: boolean,
  depth: number,
): void {
  const absent = value === undefined || value === null;
  switch (schema.type) {
    case 'array':
      if (absent) return;
      if (!schema.protoWrapped) writeItems(writer, number, schema, value, depth);
      else writeValue(writer, number, schema, value, depth);
      return;
    case 'map':
      if (!absent) writeEntries(writer, number, schema, value, depth);
      return;
    case 'bytes':
    case 'fieldsV1':
    case 'json':
      if (!absent) writeValue(writer, number, schema, value, depth);
      return;
    default:
      if (!absent || !pointer) writeValue(writer, number, schema, value, depth);
  }
}

function writeItems(
  writer: ReverseWriter,
  number: number,
  schema: Schema,
  value: unknown,
  depth: number,
): void {
  if (!Array.isArray(value)) throw new ProtobufError('must be an array');
  const items = schema.items as Schema;
  for (let index = value.length - 1; index >= 0; index--)
    writeValue(writer, number, items, value[index], depth);
}

function writeEntries(
  writer: ReverseWriter,
  number: number,
  schema: Schema,
  value: unknown,
  depth: number,
): void {
  const map = asObject(value);
  const items = schema.items as Schema;
  const keys = Object.keys(map).sort();
  for (let index = keys.length - 1; index >= 0; index--) {
    const key = keys[index] as string;
    const mark = writer.mark();
    // A nil slice of bytes is no value at all, an empty one is; JSON null is the former.
    if (items.type !== 'bytes' || map[key] !== null) writeValue(writer, 2, items, map[key], depth);
    writer.string(key);
    writer.tag(1, BYTES);
    writer.length(mark);
    writer.tag(number, BYTES);
  }
}

/** One value with its tag; `undefined` and `null` are Go's zero value. */
function writeValue(
  writer: ReverseWriter,
  number: number,
  schema: Schema,
  value: unknown,
  depth: number,
): void {
  switch (schema.type) {
    case 'string':
      writer.string(value === undefined || value === null ? '' : asString(value));
      writer.tag(number, BYTES);
      return;
    case 'boolean':
      if (typeof (value ?? false) !== 'boolean') throw new ProtobufError('must be a boolean');
      writer.uint32(value === true ? 1 : 0);
      writer.tag(number, VARINT);
      return;
    case 'int32':
    case 'int64':
    case 'uint64':
      writer.int64(asInteger(value ?? 0));
      writer.tag(number, VARINT);
      return;
    case 'float64':
      if (typeof (value ?? 0) !== 'number') throw new ProtobufError('must be a number');
      writer.double((value ?? 0) as number);
      writer.tag(number, FIXED64);
      return;
    case 'bytes':
      writer.bytes(Buffer.from(asString(value ?? ''), 'base64'));
      writer.tag(number, BYTES);
      return;
    default: {
      const mark = writer.mark();
      writeBody(writer, schema, value ?? undefined, depth + 1);
      writer.length(mark);
      writer.tag(number, BYTES);
    }
  }
}

/** The inside of a value that is a message. */
function writeBody(writer: ReverseWriter, schema: Schema, value: unknown, depth: number): void {
  switch (schema.type) {
    case 'object':
      writeMessage(writer, planOf(schema), value === undefined ? {} : asObject(value), depth);
      return;
    case 'array':
      if (value !== undefined) writeItems(writer, 1, schema, value, depth);
      return;
    case 'quantity':
      writer.string(value === undefined ? '0' : quantityText(value));
      writer.tag(1, BYTES);
      return;
    case 'intOrString':
      writeIntOrString(writer, value ?? 0);
      return;
    case 'time':
    case 'microTime':
      if (value !== undefined) writeTimestamp(writer, asString(value), schema.type === 'microTime');
      return;
    case 'duration':
      writer.int64(value === undefined ? 0 : attempt(() => Number(parseDuration(asString(value)))));
      writer.tag(1, VARINT);
      return;
    case 'rawExtension':
      if (value === undefined) return;
      writer.bytes(Buffer.from(JSON.stringify(value)));
      writer.tag(1, BYTES);
      return;
    case 'fieldsV1':
    case 'json':
      writer.bytes(Buffer.from(JSON.stringify(value ?? null)));
      writer.tag(1, BYTES);
      return;
    case 'schemaOrBool':
      if (typeof value === 'object') writeValue(writer, 2, schema.items as Schema, value, depth);
      writer.uint32(value === undefined || value === false ? 0 : 1);
      writer.tag(1, VARINT);
      return;
    case 'schemaOrArray':
    case 'schemaOrStringArray': {
      if (value === undefined) return;
      const items = schema.items as Schema;
      if (!Array.isArray(value)) writeValue(writer, 1, items, value, depth);
      else writeItems(writer, 2, schema.type === 'schemaOrArray' ? schema : STRINGS, value, depth);
      return;
    }
    default:
      throw new ProtobufError(`${schema.type} has no form in protobuf`);
  }
}

const STRINGS: Schema = createSchema({ type: 'array', items: createSchema({ type: 'string' }) });

/** `{ type = 1 (0 number, 1 string), intVal = 2, strVal = 3 }`, all of them always. */
function writeIntOrString(writer: ReverseWriter, value: unknown): void {
  const isText = typeof value === 'string';
  writer.string(isText ? value : '');
  writer.tag(3, BYTES);
  writer.int64(isText ? 0 : asInteger(value));
  writer.tag(2, VARINT);
  writer.uint32(isText ? 1 : 0);
  writer.tag(1, VARINT);
}

/** `{ seconds = 1, nanos = 2 }`; whole seconds in a Time, whole microseconds in a MicroTime. */
function writeTimestamp(writer: ReverseWriter, text: string, micro: boolean): void {
  const milliseconds = attempt(() => parseTime(text));
  const seconds = Math.floor(milliseconds / 1000);
  const fraction = /\.(\d+)/.exec(text)?.[1] ?? '';
  writer.uint32(micro ? Number(fraction.padEnd(6, '0').slice(0, 6)) * 1000 : 0);
  writer.tag(2, VARINT);
  writer.int64(seconds);
  writer.tag(1, VARINT);
}

function quantityText(value: unknown): string {
  if (typeof value !== 'string' && typeof value !== 'number') throw new ProtobufError('must be a quantity');
  return attempt(() => canonicalQuantity(String(value)));
}

/** Runs a parser; what it says is wrong with the text is wrong with the object. */
function attempt<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw error instanceof ProtobufError ? error : new ProtobufError((error as Error).message);
  }
}

function asString(value: unknown): string {
  if (typeof value !== 'string') throw new ProtobufError('must be a string');
  return value;
}

function asInteger(value: unknown): number {
  if (!Number.isSafeInteger(value)) throw new ProtobufError('must be an integer');
  return value as number;
}

function asObject(value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ProtobufError('must be an object');
  return value as Fields;
}
