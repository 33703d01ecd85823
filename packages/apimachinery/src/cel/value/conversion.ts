/** `int(x)`, `string(x)` … : the conversions of cel-spec, langdef.md, "List of Standard Definitions". */
import { CelType, formatType } from '../language/type.ts';
import { checkedTimestamp, checkedInt, checkedUint, INT64_MAX, INT64_MIN, UINT64_MAX } from './arithmetic.ts';
import {
  epochSeconds,
  formatCelDuration,
  formatTimestamp,
  parseCelDuration,
  parseTimestamp,
} from './time.ts';
import { CelDuration, CelError, CelOpaque, CelTimestamp, CelUint, typeOf } from './value.ts';
import type { CelResult, CelValue } from './value.ts';

/** Go's `true` and `false`. */
const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ...['1', 't', 'T', 'TRUE', 'true', 'True'].map((text) => [text, true] as const),
  ...['0', 'f', 'F', 'FALSE', 'false', 'False'].map((text) => [text, false] as const),
]);

export function convert(value: CelValue, to: CelType): CelResult {
  return converted(value, to) ?? conversionError(value, to);
}

function converted(value: CelValue, to: CelType): CelResult | undefined {
  switch (to.kind) {
    case 'bool':
      return typeof value === 'string' ? BOOLEANS.get(value) : typeof value === 'boolean' ? value : undefined;
    case 'int':
      return toInt(value);
    case 'uint':
      return toUint(value);
    case 'double':
      return toDouble(value);
    case 'string':
      return toText(value);
    case 'bytes':
      if (typeof value === 'string') return new TextEncoder().encode(value);
      return value instanceof Uint8Array ? value : undefined;
    case 'duration':
      if (typeof value === 'string') return parseCelDuration(value);
      return value instanceof CelDuration ? value : undefined;
    case 'timestamp':
      if (typeof value === 'bigint') return checkedTimestamp(value * 1_000_000_000n);
      if (typeof value === 'string') return parseTimestamp(value);
      return value instanceof CelTimestamp ? value : undefined;
    case 'type':
      return typeOf(value);
    default:
      return undefined;
  }
}

function conversionError(value: CelValue, to: CelType): CelError {
  return new CelError(`type conversion error from '${typeText(typeOf(value))}' to '${typeText(to)}'`);
}

/** Types print their name in these messages, lists and maps with their parameters. */
function typeText(type: CelType): string {
  return type.parameters.length === 0 ? type.name : formatType(type);
}

function toInt(value: CelValue): CelResult | undefined {
  switch (typeof value) {
    case 'bigint':
      return value;
    case 'number':
      // The greatest doubles that are below the bounds; upstream refuses the bounds themselves.
      if (Number.isNaN(value) || value <= -9223372036854775808 || value >= 9223372036854775807)
        return new CelError('integer overflow');
      return BigInt(Math.trunc(value));
    case 'string':
      return parseInteger(value, INT64_MIN, INT64_MAX);
    default:
      if (value instanceof CelUint) return checkedInt(value.value);
      if (value instanceof CelTimestamp) return epochSeconds(value);
      return value instanceof CelDuration ? value.nanoseconds : undefined;
  }
}

function toUint(value: CelValue): CelResult | undefined {
  switch (typeof value) {
    case 'bigint':
      return checkedUint(value);
    case 'number':
      if (Number.isNaN(value) || value < 0 || value >= 18446744073709551615)
        return new CelError('unsigned integer overflow');
      return new CelUint(BigInt(Math.trunc(value)));
    case 'string': {
      const parsed = /^[+-]/.test(value) ? undefined : parseInteger(value, 0n, UINT64_MAX);
      return parsed === undefined ? undefined : new CelUint(parsed);
    }
    default:
      return value instanceof CelUint ? value : undefined;
  }
}

function parseInteger(text: string, min: bigint, max: bigint): bigint | undefined {
  if (text.length > 1000 || !/^[+-]?[0-9]+$/.test(text)) return undefined;
  const value = BigInt(text.startsWith('+') ? text.slice(1) : text);
  return value < min || value > max ? undefined : value;
}

const SPECIAL_DOUBLE = /^([+-]?)(?:inf|infinity)$/i;
const DOUBLE = /^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/;

function toDouble(value: CelValue): CelResult | undefined {
  switch (typeof value) {
    case 'bigint':
      return Number(value);
    case 'number':
      return value;
    case 'string':
      return parseDouble(value);
    default:
      return value instanceof CelUint ? Number(value.value) : undefined;
  }
}

/** As Go's strconv.ParseFloat (but for hexadecimal digits); undefined for what is no number or too great. */
function parseDouble(text: string): number | undefined {
  const special = SPECIAL_DOUBLE.exec(text);
  if (special !== null) return special[1] === '-' ? -Infinity : Infinity;
  if (/^nan$/i.test(text)) return NaN;
  const value = DOUBLE.test(text) ? Number(text) : NaN;
  return Number.isFinite(value) ? value : undefined;
}

function toText(value: CelValue): CelResult | undefined {
  switch (typeof value) {
    case 'string':
      return value;
    case 'bigint':
    case 'boolean':
      return String(value);
    case 'number':
      return formatDouble(value);
    default:
      break;
  }
  if (value instanceof CelUint) return String(value.value);
  if (value instanceof CelTimestamp) return formatTimestamp(value);
  if (value instanceof CelDuration) return formatCelDuration(value);
  if (value instanceof CelType) return value.name;
  if (value instanceof CelOpaque) return undefined;
  if (!(value instanceof Uint8Array)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value);
  } catch {
    return new CelError('invalid UTF-8 in bytes, cannot convert to string');
  }
}

/** Go's `%g`: the shortest digits, with an exponent below 1e-4 and from 1e21 on. */
export function formatDouble(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  if (Object.is(value, -0)) return '-0';
  const [digits = '', exponent = '0'] = value.toExponential().split('e');
  const power = Number(exponent);
  if (power < -4 || power >= 21)
    return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
  return String(value);
}
