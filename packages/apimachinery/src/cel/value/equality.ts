/** `==`: numbers by their value whatever their type, null equal to null only, different types unequal. */
import { CelType } from '../language/type.ts';
import { spend } from './meter.ts';
import { CelDuration, CelError, CelList, CelMap, CelOptional, CelTimestamp, CelUint } from './value.ts';
import type { CelValue } from './value.ts';

export function valuesEqual(a: CelValue, b: CelValue): boolean | CelError {
  if (a === null || b === null) return a === b;
  if (isNumeric(a)) return isNumeric(b) && compareNumbers(a, b) === 0;
  if (typeof a === 'string' || typeof a === 'boolean') return a === b;
  if (a instanceof CelList) return a.equals(b) ?? (b instanceof CelList && listsEqual(a, b));
  if (a instanceof CelMap) return a.equals(b) ?? (b instanceof CelMap && mapsEqual(a, b));
  if (a instanceof CelTimestamp) return b instanceof CelTimestamp && a.nanoseconds === b.nanoseconds;
  if (a instanceof CelDuration) return b instanceof CelDuration && a.nanoseconds === b.nanoseconds;
  if (a instanceof CelType) return b instanceof CelType && a.name === b.name;
  if (a instanceof CelOptional) {
    if (!(b instanceof CelOptional)) return false;
    if (a.value === undefined || b.value === undefined) return a.value === b.value;
    return valuesEqual(a.value, b.value);
  }
  if (a instanceof Uint8Array) return b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  return a.equals(b);
}

type Numeric = bigint | number | CelUint;

export function isNumeric(value: CelValue): value is Numeric {
  return typeof value === 'bigint' || typeof value === 'number' || value instanceof CelUint;
}

/** NaN where the two cannot be ordered. An integer and a double are compared as doubles, as upstream has it. */
export function compareNumbers(a: Numeric, b: Numeric): number {
  const left = a instanceof CelUint ? a.value : a;
  const right = b instanceof CelUint ? b.value : b;
  return typeof left === 'bigint' && typeof right === 'bigint'
    ? order(left, right)
    : order(Number(left), Number(right));
}

function order<T extends bigint | number>(left: T, right: T): number {
  if (left < right) return -1;
  if (left > right) return 1;
  return left === right ? 0 : NaN;
}

/** Element by element; an element that cannot be compared counts as equal, as upstream has it. */
function listsEqual(a: CelList, b: CelList): boolean | CelError {
  if (a.size !== b.size) return false;
  spend(a.size);
  for (let i = 0; i < a.size; i++) {
    const left = a.get(i);
    const right = b.get(i);
    if (left instanceof CelError || right instanceof CelError) continue;
    if (valuesEqual(left, right) === false) return false;
  }
  return true;
}

function mapsEqual(a: CelMap, b: CelMap): boolean | CelError {
  if (a.size !== b.size) return false;
  spend(a.size);
  for (const key of a.keys()) {
    const left = a.find(key);
    const right = b.find(key);
    if (right === undefined) return false;
    if (left === undefined || left instanceof CelError || right instanceof CelError) continue;
    if (valuesEqual(left, right) === false) return false;
  }
  return true;
}

/** `value in list` */
export function listContains(list: CelList, value: CelValue): boolean {
  spend(list.size);
  for (let i = 0; i < list.size; i++) {
    const element = list.get(i);
    if (!(element instanceof CelError) && valuesEqual(value, element) === true) return true;
  }
  return false;
}
