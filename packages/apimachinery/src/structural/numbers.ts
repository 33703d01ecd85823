/**
 * Bounds of numbers. Upstream compares integers as 64-bit integers, so that a fraction in a bound is cut off, unless the
 * schema says that only integers fit: then the bound itself is wrong.
 */
import { addFault, type Faults } from './faults.ts';
import type { NumberRules, ValueSchema } from './value-schema.ts';

const INT64 = 2 ** 63;

export function checkNumber(
  schema: ValueSchema,
  rules: NumberRules,
  value: number,
  path: string,
  faults: Faults,
): void {
  const { multipleOf, minimum, maximum } = rules;
  const fits = (number: number, what: string): boolean => {
    if (isInRange(schema, number)) return true;
    const format = schema.format === '' ? '(default format)' : `with format ${schema.format}`;
    const message = `${what} value must be of type ${schema.types[0] ?? ''} ${format} in ${path}`;
    addFault(faults, { kind: 'plain', path, message, value: '' });
    return false;
  };
  fits(value, 'Checked');
  const isInteger = isInt64(value);
  const native = (bound: number, what: string): number =>
    fits(bound, what) && isInteger ? Math.trunc(bound) : bound;
  const fail = (message: string, shown: number = value): void => {
    addFault(faults, { kind: 'invalid', path, message, value: shown });
  };
  if (multipleOf !== undefined) {
    const factor = native(multipleOf, 'MultipleOf');
    if (factor <= 0)
      fail(`factor MultipleOf declared for ${path} must be positive: ${goNumber(factor)}`, factor);
    else if (!isMultiple(value, factor, isInteger && factor >= 1))
      fail(`${path} in body should be a multiple of ${goNumber(factor)}`);
  }
  if (minimum !== undefined) {
    const bound = native(minimum, 'Minimum boundary');
    if (value < bound || (rules.exclusiveMinimum && value <= bound))
      fail(
        `${path} in body should be greater than ${rules.exclusiveMinimum ? '' : 'or equal to '}${goNumber(bound)}`,
      );
  }
  if (maximum !== undefined) {
    const bound = native(maximum, 'Maximum boundary');
    if (value > bound || (rules.exclusiveMaximum && value >= bound))
      fail(
        `${path} in body should be less than ${rules.exclusiveMaximum ? '' : 'or equal to '}${goNumber(bound)}`,
      );
  }
}

function isInRange({ types, format }: ValueSchema, value: number): boolean {
  if (types.length !== 1) return true;
  if (types[0] === 'number') return format !== 'float' || Number.isFinite(Math.fround(value));
  if (types[0] !== 'integer') return true;
  if (!Number.isInteger(value)) return false;
  const limit = format === 'int32' ? 2 ** 31 : INT64;
  return value >= -limit && value < limit;
}

function isMultiple(value: number, factor: number, whole: boolean): boolean {
  if (whole) return value % factor === 0;
  const quotient = factor < 1 ? (1 / factor) * value : value / factor;
  if (Math.abs(quotient) > Number.MAX_SAFE_INTEGER) return false;
  return Number.isInteger(quotient) || isNearInteger(quotient);
}

/** A whole number that Go decodes as int64; all others are float64 to it. */
export function isInt64(value: number): boolean {
  return Number.isInteger(value) && value >= -INT64 && value < INT64;
}

/** A fraction so close to an integer that it passes for one. */
export function isNearInteger(value: number): boolean {
  const whole = Math.trunc(value);
  if (value < 0 || value > Number.MAX_SAFE_INTEGER || whole === 0) return false;
  return (value - whole) / (value + whole) < 1e-9;
}

/** As Go's `%v` prints a float64. */
function goNumber(value: number): string {
  const size = Math.abs(value);
  if (size === 0 || (size >= 1e-4 && size < 1e21)) return String(value);
  return value.toExponential().replace(/e([+-])([0-9])$/, 'e$10$2');
}
