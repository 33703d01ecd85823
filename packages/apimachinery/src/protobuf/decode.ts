/**
 * Protobuf → JSON in wire form: what Go would print after decoding the same bytes. Zero values that Go's JSON leaves out are
 * left out; empty structs that were sent stay.
 */
import { createSchema, type Schema } from '@k8ts/api';
import { MAX_JSON_DEPTH, setOwn, type MutableJsonObject } from '../json.ts';
import { formatDuration, formatTime } from '../time.ts';
import { ProtobufError } from './errors.ts';
import { planOf, type MessagePlan, type PlanField } from './plan.ts';
import { BYTES, FIXED64, Reader, VARINT } from './reader.ts';

export interface DecodeLimits {
  /**
   * How many objects and list items a message may hold. Two bytes are enough for an empty object on the wire, so a limit
   * on the bytes alone does not bound the memory.
   */
  readonly values?: number;
}

const DEFAULT_VALUES = 2_000_000;

/** The object of a message without envelope; it has neither apiVersion nor kind. Throws ProtobufError. */
export function decodeProtobufMessage(
  schema: Schema,
  bytes: Uint8Array,
  limits: DecodeLimits = {},
): Record<string, unknown> {
  const reader = new Reader(bytes);
  const object: Target = {};
  readMessage({ reader, values: limits.values ?? DEFAULT_VALUES }, planOf(schema), object, reader.end, 0);
  return object;
}

type Target = Record<string, unknown>;

interface Context {
  readonly reader: Reader;
  /** What is left of the limit. */
  values: number;
}

function readMessage(context: Context, plan: MessagePlan, object: Target, end: number, depth: number): void {
  if (depth > MAX_JSON_DEPTH) throw new ProtobufError('the message is nested too deeply');
  if (--context.values < 0) throw new ProtobufError('the message holds too many values');
  const { reader } = context;
  const outer = reader.end;
  reader.end = end;
  while (reader.position < end) {
    const tag = reader.uint32();
    const number = tag >>> 3;
    const wireType = tag & 7;
    if (number === 0) throw new ProtobufError(`proto: illegal tag ${number} (wire type ${wireType})`);
    const field = plan.byNumber.get(number);
    if (field === undefined) reader.skip(wireType);
    else readField(context, field, object, wireType, depth);
  }
  reader.end = outer;
  fillRequired(context, plan, object, depth);
}

function readField(
  context: Context,
  field: PlanField,
  object: Target,
  wireType: number,
  depth: number,
): void {
  const { schema, name } = field;
  if (field.embed !== undefined) {
    expectWireType(wireType, BYTES, schema.goName);
    readMessage(context, field.embed, object, context.reader.limit(), depth + 1);
    return;
  }
  if (schema.type === 'array' && !schema.protoWrapped) {
    const list = (object[name] ??= []) as unknown[];
    readItem(context, schema.items as Schema, list, wireType, name, depth);
    return;
  }
  if (schema.type === 'map') {
    readEntry(context, schema.items as Schema, (object[name] ??= {}) as Target, wireType, name, depth);
    return;
  }
  const value = readValue(context, schema, wireType, name, object[name], depth);
  // The last one counts, and a zero value takes an earlier one away.
  if (value === undefined || (field.omitEmpty && !field.pointer && isZero(value))) delete object[name];
  else object[name] = value;
}

/** Numbers may come packed, many in one length-delimited value. */
function readItem(
  context: Context,
  items: Schema,
  list: unknown[],
  wireType: number,
  name: string,
  depth: number,
): void {
  const { reader } = context;
  const single = WIRE_TYPES[items.type] ?? BYTES;
  if (wireType === BYTES && single !== BYTES) {
    const end = reader.limit();
    while (reader.position < end) {
      if (--context.values < 0) throw new ProtobufError('the message holds too many values');
      list.push(readValue(context, items, single, name, undefined, depth));
    }
    if (reader.position > end) throw new ProtobufError('unexpected EOF');
    return;
  }
  if (--context.values < 0) throw new ProtobufError('the message holds too many values');
  list.push(readValue(context, items, wireType, name, undefined, depth) ?? null);
}

/** `{ key = 1, value = 2 }` */
function readEntry(
  context: Context,
  items: Schema,
  map: Target,
  wireType: number,
  name: string,
  depth: number,
): void {
  if (--context.values < 0) throw new ProtobufError('the message holds too many values');
  expectWireType(wireType, BYTES, name);
  const { reader } = context;
  const end = reader.limit();
  const outer = reader.end;
  reader.end = end;
  let key = '';
  let value: unknown;
  while (reader.position < end) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) {
      expectWireType(tag & 7, BYTES, name);
      key = reader.string();
    } else if (tag >>> 3 === 2) {
      value = readValue(context, items, tag & 7, name, value, depth);
    } else {
      reader.skip(tag & 7);
    }
  }
  reader.end = outer;
  setOwn(map as MutableJsonObject, key, (value ?? zeroOf(context, items, depth) ?? null) as null);
}

/** The wire types that are not length-delimited. */
const WIRE_TYPES: Readonly<Partial<Record<Schema['type'], number>>> = {
  boolean: VARINT,
  int32: VARINT,
  int64: VARINT,
  uint64: VARINT,
  float64: FIXED64,
};

function expectWireType(wireType: number, wanted: number, name: string): void {
  if (wireType !== wanted) throw new ProtobufError(`proto: wrong wireType = ${wireType} for field ${name}`);
}

/** One value; `undefined` stands for a nil that JSON does not show. `earlier` is merged into, as protobuf demands. */
function readValue(
  context: Context,
  schema: Schema,
  wireType: number,
  name: string,
  earlier: unknown,
  depth: number,
): unknown {
  const { reader } = context;
  expectWireType(wireType, WIRE_TYPES[schema.type] ?? BYTES, name);
  switch (schema.type) {
    case 'string':
      return reader.string();
    case 'boolean':
      return reader.uint32() !== 0;
    case 'int32':
      return reader.uint32() | 0;
    case 'int64':
    case 'uint64':
      return reader.int64();
    case 'float64':
      return finite(reader.double());
    case 'bytes':
      return reader.bytes().toString('base64');
    case 'object': {
      const object = (earlier ?? {}) as Target;
      readMessage(context, planOf(schema), object, reader.limit(), depth + 1);
      return object;
    }
    default:
      return fromParts(schema, readParts(context, schema, depth + 1));
  }
}

/** JSON has no way to write the others. */
function finite(value: number): number {
  if (!Number.isFinite(value)) throw new ProtobufError(`json: unsupported value: ${value}`);
  return value;
}

/**
 * The messages behind the scalars that Go serialises by hand, decoded like any other message and then put together. Each is
 * described by a schema of its own whose field names are those of the .proto files.
 */
function readParts(context: Context, schema: Schema, depth: number): Target {
  const parts: Target = {};
  readMessage(context, partsPlan(schema), parts, context.reader.limit(), depth);
  return parts;
}

type Part = readonly [name: string, number: number, schema: Schema];
const STRING = createSchema({ type: 'string' });
const INT64 = createSchema({ type: 'int64' });
const INT32 = createSchema({ type: 'int32' });
const RAW = createSchema({ type: 'bytes' });
const TIMESTAMP: readonly Part[] = [
  ['seconds', 1, INT64],
  ['nanos', 2, INT32],
];

const partPlans = new Map<Schema | undefined, Map<Schema['type'], MessagePlan>>();

/** Recursive through `items` (JSONSchemaProps), so made once per type and element. */
function partsPlan(schema: Schema): MessagePlan {
  let byType = partPlans.get(schema.items);
  if (byType === undefined) partPlans.set(schema.items, (byType = new Map<Schema['type'], MessagePlan>()));
  let plan = byType.get(schema.type);
  if (plan === undefined) byType.set(schema.type, (plan = planOfParts(partsOf(schema))));
  return plan;
}

function planOfParts(parts: readonly Part[]): MessagePlan {
  const fields = parts.map(([name, number, part]) => ({
    number,
    name,
    schema: part,
    pointer: true,
    omitEmpty: true,
    embed: undefined,
  }));
  return { fields, byNumber: new Map(fields.map((field) => [field.number, field])) };
}

function partsOf(schema: Schema): readonly Part[] {
  const items = schema.items as Schema;
  switch (schema.type) {
    case 'quantity':
      return [['string', 1, STRING]];
    case 'intOrString':
      return [
        ['type', 1, INT64],
        ['intVal', 2, INT32],
        ['strVal', 3, STRING],
      ];
    case 'time':
    case 'microTime':
      return TIMESTAMP;
    case 'duration':
      return [['duration', 1, INT64]];
    case 'rawExtension':
    case 'fieldsV1':
    case 'json':
      return [['raw', 1, RAW]];
    case 'array':
      return [['items', 1, createSchema({ type: 'array', items })]];
    case 'schemaOrArray':
      return [
        ['schema', 1, items],
        ['array', 2, createSchema({ type: 'array', items })],
      ];
    case 'schemaOrBool':
      return [
        ['allows', 1, createSchema({ type: 'boolean' })],
        ['schema', 2, items],
      ];
    case 'schemaOrStringArray':
      return [
        ['schema', 1, items],
        ['array', 2, createSchema({ type: 'array', items: STRING })],
      ];
    default:
      throw new ProtobufError(`${schema.type} has no form in protobuf`);
  }
}

function fromParts(schema: Schema, parts: Target): unknown {
  switch (schema.type) {
    case 'quantity':
      return parts['string'] ?? '0';
    case 'intOrString':
      return parts['type'] === 1 ? (parts['strVal'] ?? '') : (parts['intVal'] ?? 0);
    case 'time':
    case 'microTime':
      return timeText(parts, schema.type === 'microTime');
    case 'duration':
      return formatDuration((parts['duration'] ?? 0) as number);
    case 'rawExtension':
    case 'fieldsV1':
    case 'json':
      return rawJson(parts['raw']);
    case 'array':
      return parts['items'] ?? [];
    case 'schemaOrBool':
      return parts['schema'] ?? parts['allows'] ?? false;
    default:
      return parts['schema'] ?? parts['array'] ?? [];
  }
}

/** The empty message is Go's zero time, which JSON shows as null or not at all. */
function timeText(parts: Target, micro: boolean): string | undefined {
  if (!('seconds' in parts) && !('nanos' in parts)) return undefined;
  const seconds = (parts['seconds'] ?? 0) as number;
  // The years 0 to 9999, as Go's Time.MarshalJSON.
  if (seconds < -62167219200 || seconds > 253402300799) {
    throw new ProtobufError('Time.MarshalJSON: year outside of range [0,9999]');
  }
  const text = formatTime(seconds * 1000);
  if (!micro) return text;
  const micros = Math.trunc(((parts['nanos'] ?? 0) as number) / 1000);
  if (micros < 0 || micros > 999_999) throw new ProtobufError('nanoseconds are out of range');
  return `${text.slice(0, -1)}.${String(micros).padStart(6, '0')}Z`;
}

function rawJson(base64: unknown): unknown {
  if (base64 === undefined || base64 === '') return undefined;
  const text = Buffer.from(base64 as string, 'base64').toString('utf8');
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new ProtobufError('cannot convert RawExtension with unrecognized content type to unstructured');
  }
}

function isZero(value: unknown): boolean {
  return value === '' || value === 0 || value === false;
}

/** Fields that Go always prints are there even when the sender left their zero value out, as proto3 writers do. */
function fillRequired(context: Context, plan: MessagePlan, object: Target, depth: number): void {
  for (const field of plan.fields) {
    if (field.omitEmpty || field.pointer || field.embed !== undefined || field.name in object) continue;
    const zero = zeroOf(context, field.schema, depth);
    if (zero !== undefined) object[field.name] = zero;
  }
}

function zeroOf(context: Context, schema: Schema, depth: number): unknown {
  switch (schema.type) {
    case 'string':
      return '';
    case 'boolean':
      return false;
    case 'int32':
    case 'int64':
    case 'uint64':
    case 'float64':
    case 'intOrString':
      return 0;
    case 'quantity':
      return '0';
    case 'duration':
      return '0s';
    case 'array':
      return [];
    case 'object': {
      const object: Target = {};
      readMessage(context, planOf(schema), object, context.reader.position, depth + 1);
      return object;
    }
    default:
      return undefined;
  }
}
