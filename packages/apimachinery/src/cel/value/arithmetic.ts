/** Arithmetic that notices when a result leaves its type (cel-spec, langdef.md, "Overflow"). */
import { CelDuration, CelError, CelList, CelTimestamp, CelUint, NO_SUCH_OVERLOAD } from './value.ts';
import type { CelResult, CelValue } from './value.ts';

export const INT64_MAX: bigint = 2n ** 63n - 1n;
export const INT64_MIN: bigint = -(2n ** 63n);
export const UINT64_MAX: bigint = 2n ** 64n - 1n;
const NANOSECONDS = 1_000_000_000n;
/** From the beginning of year 1 to the end of year 9999. */
const MIN_TIMESTAMP = -62_135_596_800n * NANOSECONDS;
const MAX_TIMESTAMP = 253_402_300_800n * NANOSECONDS - 1n;

const TIMESTAMP_OVERFLOW: CelError = new CelError('timestamp overflow');
const DURATION_OVERFLOW = new CelError('duration overflow');
const INT_OVERFLOW = new CelError('integer overflow');
const UINT_OVERFLOW = new CelError('unsigned integer overflow');

export function checkedInt(value: bigint): bigint | CelError {
  return value > INT64_MAX || value < INT64_MIN ? INT_OVERFLOW : value;
}

export function checkedUint(value: bigint): CelUint | CelError {
  return value > UINT64_MAX || value < 0n ? UINT_OVERFLOW : new CelUint(value);
}

export function checkedTimestamp(nanoseconds: bigint, zone = 0): CelTimestamp | CelError {
  return nanoseconds > MAX_TIMESTAMP || nanoseconds < MIN_TIMESTAMP
    ? TIMESTAMP_OVERFLOW
    : new CelTimestamp(nanoseconds, zone);
}

function checkedDuration(nanoseconds: bigint): CelDuration | CelError {
  return nanoseconds > INT64_MAX || nanoseconds < INT64_MIN
    ? DURATION_OVERFLOW
    : new CelDuration(nanoseconds);
}

export function add(a: CelValue, b: CelValue): CelResult {
  if (typeof a === 'bigint' && typeof b === 'bigint') return checkedInt(a + b);
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  if (typeof a === 'string' && typeof b === 'string') return a + b;
  if (a instanceof CelUint && b instanceof CelUint) return checkedUint(a.value + b.value);
  if (a instanceof CelList && b instanceof CelList) return a.add(b);
  if (a instanceof Uint8Array && b instanceof Uint8Array) return new Uint8Array(Buffer.concat([a, b]));
  if (a instanceof CelDuration) {
    if (b instanceof CelDuration) return checkedDuration(a.nanoseconds + b.nanoseconds);
    if (b instanceof CelTimestamp) return checkedTimestamp(a.nanoseconds + b.nanoseconds, b.zone);
  }
  if (a instanceof CelTimestamp && b instanceof CelDuration)
    return checkedTimestamp(a.nanoseconds + b.nanoseconds, a.zone);
  return NO_SUCH_OVERLOAD;
}

export function subtract(a: CelValue, b: CelValue): CelResult {
  if (typeof a === 'bigint' && typeof b === 'bigint') return checkedInt(a - b);
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (a instanceof CelUint && b instanceof CelUint) return checkedUint(a.value - b.value);
  if (a instanceof CelDuration && b instanceof CelDuration)
    return checkedDuration(a.nanoseconds - b.nanoseconds);
  if (a instanceof CelTimestamp) {
    if (b instanceof CelDuration) return checkedTimestamp(a.nanoseconds - b.nanoseconds, a.zone);
    if (b instanceof CelTimestamp) return checkedDuration(a.nanoseconds - b.nanoseconds);
  }
  return NO_SUCH_OVERLOAD;
}

export function multiply(a: CelValue, b: CelValue): CelResult {
  if (typeof a === 'bigint' && typeof b === 'bigint') return checkedInt(a * b);
  if (typeof a === 'number' && typeof b === 'number') return a * b;
  if (a instanceof CelUint && b instanceof CelUint) return checkedUint(a.value * b.value);
  return NO_SUCH_OVERLOAD;
}

const DIVISION_BY_ZERO = new CelError('division by zero');
const MODULUS_BY_ZERO = new CelError('modulus by zero');

export function divide(a: CelValue, b: CelValue): CelResult {
  if (typeof a === 'bigint' && typeof b === 'bigint') return b === 0n ? DIVISION_BY_ZERO : checkedInt(a / b);
  if (typeof a === 'number' && typeof b === 'number') return a / b;
  if (a instanceof CelUint && b instanceof CelUint)
    return b.value === 0n ? DIVISION_BY_ZERO : new CelUint(a.value / b.value);
  return NO_SUCH_OVERLOAD;
}

export function modulo(a: CelValue, b: CelValue): CelResult {
  if (typeof a === 'bigint' && typeof b === 'bigint') {
    if (b === 0n) return MODULUS_BY_ZERO;
    return a === INT64_MIN && b === -1n ? INT_OVERFLOW : a % b;
  }
  if (a instanceof CelUint && b instanceof CelUint)
    return b.value === 0n ? MODULUS_BY_ZERO : new CelUint(a.value % b.value);
  return NO_SUCH_OVERLOAD;
}

export function negate(value: CelValue): CelResult {
  if (typeof value === 'bigint') return checkedInt(-value);
  if (typeof value === 'number') return -value;
  return value instanceof CelDuration ? checkedDuration(-value.nanoseconds) : NO_SUCH_OVERLOAD;
}
