/** `<` and its kin. */
import { compareNumbers, isNumeric } from './equality.ts';
import { CelDuration, CelError, CelTimestamp, NO_SUCH_OVERLOAD } from './value.ts';
import type { CelValue } from './value.ts';

export function isComparable(value: CelValue): boolean {
  return (
    isNumeric(value) ||
    typeof value === 'string' ||
    typeof value === 'boolean' ||
    value instanceof CelTimestamp ||
    value instanceof CelDuration ||
    value instanceof Uint8Array
  );
}

/** -1, 0 or 1. */
export function compareValues(a: CelValue, b: CelValue): number | CelError {
  if (typeof a === 'bigint' && typeof b === 'bigint') return a < b ? -1 : a > b ? 1 : 0;
  if (isNumeric(a) && isNumeric(b)) {
    const order = compareNumbers(a, b);
    return Number.isNaN(order) ? new CelError('NaN values cannot be ordered') : order;
  }
  if (typeof a === 'string' && typeof b === 'string') return compareStrings(a, b);
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(a) - Number(b);
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  if (
    (a instanceof CelTimestamp && b instanceof CelTimestamp) ||
    (a instanceof CelDuration && b instanceof CelDuration)
  )
    return compareNumbers(a.nanoseconds, b.nanoseconds);
  return NO_SUCH_OVERLOAD;
}

/** By code points, as UTF-8 sorts; JavaScript would sort by UTF-16. */
export function compareStrings(a: string, b: string): number {
  if (a === b) return 0;
  let i = 0;
  const end = Math.min(a.length, b.length);
  while (i < end && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  if (i === end) return a.length < b.length ? -1 : 1;
  return rank(a.charCodeAt(i)) < rank(b.charCodeAt(i)) ? -1 : 1;
}

/** Surrogates stand for what is greater than any other unit. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
