/** The scalar types of the wire: whether a JSON value is one, its canonical form, and what Go calls the type. */
import type { Schema, SchemaType } from '@k8ts/api';
import { canonicalQuantity, QuantityError } from '../quantity.ts';
import type { JsonValue } from '../json.ts';
import { canonicalMicroTime, canonicalTime, formatDuration, parseDuration } from '../time.ts';

/** The value is of another type. */
export const ScalarFault: unique symbol = Symbol('not of this type');

const INT32_MAX = 2 ** 31 - 1;

/**
 * The canonical form; undefined where the value is Go's zero time. Throws QuantityError, TimeError or Base64Error, as their Go
 * counterparts do, without naming the field.
 *
 * 64-bit integers beyond ±2⁵³ are refused, see docs/adr/0042-numbers.md.
 */
export function normalizeScalar(
  value: JsonValue,
  type: SchemaType,
): JsonValue | undefined | typeof ScalarFault {
  switch (type) {
    case 'string':
      return typeof value === 'string' ? value : ScalarFault;
    case 'boolean':
      return typeof value === 'boolean' ? value : ScalarFault;
    case 'int32':
      return integer(value, -INT32_MAX - 1, INT32_MAX);
    case 'int64':
      return integer(value, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    case 'uint64':
      return integer(value, 0, Number.MAX_SAFE_INTEGER);
    case 'float64':
      return typeof value === 'number' ? value : ScalarFault;
    case 'intOrString':
      return typeof value === 'string' ? value : integer(value, -INT32_MAX - 1, INT32_MAX);
    case 'quantity':
      return quantity(value);
    case 'bytes':
      return typeof value === 'string' ? base64(value) : ScalarFault;
    case 'time':
      return typeof value === 'string' ? canonicalTime(value) : ScalarFault;
    case 'microTime':
      return typeof value === 'string' ? canonicalMicroTime(value) : ScalarFault;
    case 'duration':
      return typeof value === 'string' ? formatDuration(parseDuration(value)) : ScalarFault;
    default:
      return ScalarFault;
  }
}

function integer(value: JsonValue, low: number, high: number): number | typeof ScalarFault {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < low || value > high)
    return ScalarFault;
  return value === 0 ? 0 : value; // no negative zero
}

function quantity(value: JsonValue): string {
  if (typeof value === 'string') return canonicalQuantity(value.trim());
  // Go parses whatever text is there.
  if (typeof value === 'number') return canonicalQuantity(String(value));
  throw new QuantityError(
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
  );
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** Line breaks are allowed on input; the unused bits of the last character are zero on output. */
function base64(value: string): string {
  const text = value.includes('\n') || value.includes('\r') ? value.replace(/[\r\n]/g, '') : value;
  if (text.length % 4 !== 0 || !BASE64.test(text))
    throw new Base64Error(`illegal base64 data at input byte ${faultAt(text)}`);
  if (!text.endsWith('=')) return text;
  const last = text.slice(-4);
  const canonical = Buffer.from(last, 'base64').toString('base64');
  return canonical === last ? text : text.slice(0, -4) + canonical;
}

/** What is no base64. */
export class Base64Error extends Error {
  override readonly name = 'Base64Error';
}

/** Go's idea of the place: the first foreign character, or the first of an incomplete group. */
function faultAt(text: string): number {
  const foreign = text.search(/[^A-Za-z0-9+/]/);
  if (foreign < 0) return text.length - (text.length % 4);
  if (text[foreign] !== '=') return foreign;
  // Padding where none may be, or followed by something.
  const position = foreign % 4;
  if (position < 2) return foreign;
  const rest = text.slice(foreign);
  if (position === 2 && rest[1] !== '=') return rest.length > 1 ? foreign + 1 : text.length;
  return foreign + (position === 2 ? 2 : 1);
}

/** Types with an UnmarshalJSON of their own: their errors do not name the field. */
export function isScalarType(type: SchemaType): boolean {
  return (
    type === 'quantity' ||
    type === 'intOrString' ||
    type === 'time' ||
    type === 'microTime' ||
    type === 'duration'
  );
}

/** `int32`, `[]v1.Container`, `map[string]string`, as Go's reflection prints types. */
export function goTypeName(schema: Schema): string {
  switch (schema.type) {
    case 'intOrString':
      return 'int32'; // what it tries when the value is no string
    case 'time':
    case 'microTime':
    case 'duration':
      return 'string';
    default:
  }
  if (schema.goName !== '') {
    // `io.k8s.api.core.v1.PodSpec`; named scalars and lists do not say where they are from, and most are from a v1.
    const parts = schema.name.split('.');
    return parts.length > 1 ? parts.slice(-2).join('.') : `v1.${schema.goName}`;
  }
  switch (schema.type) {
    case 'boolean':
      return 'bool';
    case 'bytes':
      return '[]uint8';
    case 'array':
      return `[]${goTypeName(schema.items as Schema)}`;
    case 'map':
      return `map[string]${goTypeName(schema.items as Schema)}`;
    default:
      return schema.type;
  }
}
