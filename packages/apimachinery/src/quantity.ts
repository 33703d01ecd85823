/**
 * Quantities: exact decimal numbers with a suffix (`250m`, `1.5Gi`, `1e3`), after k8s.io/apimachinery/pkg/api/resource.
 * A value is `mantissa × 10^scale`; nothing is smaller than a billionth (smaller amounts round away from zero).
 *
 * Hostile input: more than 1,000 characters or an exponent beyond ±1,000 is refused, where upstream would compute with
 * numbers of any size.
 */
export type QuantityFormat = 'DecimalSI' | 'BinarySI' | 'DecimalExponent';

export interface ParsedQuantity {
  readonly mantissa: bigint;
  readonly scale: number;
  readonly format: QuantityFormat;
  /** The text it was read from, where that is canonical already; otherwise empty. */
  readonly text: string;
}

/** What is no quantity; the text is upstream's. */
export class QuantityError extends Error {
  override readonly name = 'QuantityError';
}

const MAX_LENGTH = 1000;
const MAX_EXPONENT = 1000;
const WRONG_FORMAT =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

const DECIMAL_EXPONENTS: Readonly<Record<string, number>> = {
  __proto__: null as never,
  n: -9,
  u: -6,
  m: -3,
  '': 0,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
};
const DECIMAL_SUFFIXES: ReadonlyMap<number, string> = new Map(
  Object.entries(DECIMAL_EXPONENTS).map(([suffix, exponent]) => [exponent, suffix]),
);
const BINARY_EXPONENTS: Readonly<Record<string, number>> = {
  __proto__: null as never,
  Ki: 10,
  Mi: 20,
  Gi: 30,
  Ti: 40,
  Pi: 50,
  Ei: 60,
};
const BINARY_SUFFIXES: readonly string[] = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];

const INT64_MAX = 2n ** 63n - 1n;
const ZERO: ParsedQuantity = { mantissa: 0n, scale: 0, format: 'DecimalSI', text: '0' };
const SYNTAX = /^([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)$/;

/** Throws QuantityError. */
export function parseQuantity(text: string): ParsedQuantity {
  if (text === '0') return ZERO;
  if (text === '' || text.length > MAX_LENGTH) throw new QuantityError(WRONG_FORMAT);
  const match = SYNTAX.exec(text);
  if (match === null) throw new QuantityError(WRONG_FORMAT);
  const [, sign = '', integer = '', fraction = '', suffix = ''] = match as unknown as readonly string[];
  // Digits are optional on either side of the point, and upstream reads even a bare suffix as zero.
  const digits = integer.replace(/^0+/, '') || '0';
  const { base, exponent, format } = interpretSuffix(suffix);
  const shifted = digits + fraction;
  const negative = sign === '-';
  return base === 2
    ? binary(text, negative, shifted, digits.length, fraction.length, exponent)
    : decimal(text, negative, shifted, fraction.length, exponent, format);
}

function interpretSuffix(suffix: string): { base: 2 | 10; exponent: number; format: QuantityFormat } {
  const decimalExponent = DECIMAL_EXPONENTS[suffix];
  if (decimalExponent !== undefined) return { base: 10, exponent: decimalExponent, format: 'DecimalSI' };
  const binaryExponent = BINARY_EXPONENTS[suffix];
  if (binaryExponent !== undefined) return { base: 2, exponent: binaryExponent, format: 'BinarySI' };
  if (!/^[eE][-+]?[0-9]+$/.test(suffix)) throw suffixError();
  const exponent = Number(suffix.slice(1));
  if (Math.abs(exponent) > MAX_EXPONENT) throw suffixError();
  return { base: 10, exponent: exponent === 0 ? 0 : exponent, format: 'DecimalExponent' };
}

function suffixError(): QuantityError {
  return new QuantityError("unable to parse quantity's suffix");
}

function decimal(
  text: string,
  negative: boolean,
  shifted: string,
  fractionDigits: number,
  exponent: number,
  format: QuantityFormat,
): ParsedQuantity {
  const scale = exponent - fractionDigits;
  const magnitude = BigInt(shifted);
  // Where upstream's fast path keeps the text as it was written. (That includes a sign `+` and leading zeros.)
  const kept =
    shifted.length <= 18 &&
    scale >= -9 &&
    scale % 3 === 0 &&
    !shifted.endsWith('000') &&
    !shifted.startsWith('0');
  if (scale >= -9)
    return { mantissa: negative ? -magnitude : magnitude, scale, format, text: kept ? text : '' };
  const rounded = roundUp(magnitude, -9 - scale);
  return { mantissa: negative ? -rounded : rounded, scale: -9, format, text: '' };
}

function binary(
  text: string,
  negative: boolean,
  shifted: string,
  integerDigits: number,
  fractionDigits: number,
  exponent: number,
): ParsedQuantity {
  const unscaled = BigInt(shifted);
  let magnitude = unscaled << BigInt(exponent);
  let scale = -fractionDigits;
  if (scale < -9) {
    magnitude = roundUp(magnitude, -9 - scale);
    scale = -9;
  }
  let kept = false;
  if (fractionDigits === 0) {
    const precision = 15 - integerDigits - Math.trunc((exponent * 3) / 10) - 1;
    kept = precision >= 0 && magnitude <= INT64_MAX && (unscaled & 7n) !== 0n;
  }
  const limit = scale === 0 ? INT64_MAX : INT64_MAX * 10n ** BigInt(-scale);
  if (magnitude > limit) {
    magnitude = INT64_MAX;
    scale = 0;
  }
  const belowOne = magnitude > 0n && scale < 0 && magnitude < 10n ** BigInt(-scale);
  return {
    mantissa: negative ? -magnitude : magnitude,
    scale,
    format: belowOne ? 'DecimalSI' : 'BinarySI',
    text: kept ? text : '',
  };
}

/** Divides by 10^places, away from zero. */
function roundUp(mantissa: bigint, places: number): bigint {
  const divisor = 10n ** BigInt(places);
  const quotient = mantissa / divisor;
  if (quotient * divisor === mantissa) return quotient;
  return mantissa > 0n ? quotient + 1n : quotient - 1n;
}

const PLAIN = /^[1-9][0-9]{0,8}(?:[mkMGT]|Ki|Mi|Gi)?$/;

/**
 * The form the API answers with: `0.5` → `500m`, `1024Mi` → `1Gi`, `1000` → `1k`. Throws QuantityError. JSON numbers are
 * written as text first (`String(number)`).
 */
export function canonicalQuantity(text: string): string {
  if (PLAIN.test(text)) {
    // Canonical unless factors of 1000 or (three binary zeros or more) could go into the suffix.
    if (text.endsWith('i')) {
      if ((Number(text.slice(0, -2)) & 7) !== 0) return text;
    } else if (!/000[mkMGT]?$/.test(text)) {
      return text;
    }
  }
  return formatQuantity(parseQuantity(text));
}

export function formatQuantity(quantity: ParsedQuantity): string {
  if (quantity.text !== '') return quantity.text;
  const { mantissa, scale, format } = quantity;
  if (mantissa === 0n) return '0';
  if (format === 'BinarySI') {
    const whole = wholeNumber(mantissa, scale);
    // Fractions, and what is smaller than one Ki, are shown as decimals, so that nothing is rounded.
    if (whole !== undefined && (whole <= -1024n || whole >= 1024n)) return formatBinary(whole);
  }
  return formatDecimal(mantissa, scale, format === 'DecimalExponent' ? format : 'DecimalSI');
}

function wholeNumber(mantissa: bigint, scale: number): bigint | undefined {
  if (scale >= 0) return mantissa * 10n ** BigInt(scale);
  const divisor = 10n ** BigInt(-scale);
  return mantissa % divisor === 0n ? mantissa / divisor : undefined;
}

function formatBinary(value: bigint): string {
  let amount = value;
  let steps = 0;
  while (steps < 6 && (amount & 1023n) === 0n) {
    amount >>= 10n;
    steps++;
  }
  return `${amount}${BINARY_SUFFIXES[steps] as string}`;
}

function formatDecimal(mantissa: bigint, scale: number, format: QuantityFormat): string {
  let digits = mantissa.toString();
  const zeros = /0*$/.exec(digits)?.[0].length ?? 0;
  if (zeros > 0) digits = digits.slice(0, -zeros);
  let exponent = scale + zeros;
  while (exponent % 3 !== 0) {
    digits += '0';
    exponent--;
  }
  if (exponent === 0) return digits;
  const suffix = format === 'DecimalSI' ? DECIMAL_SUFFIXES.get(exponent) : undefined;
  // Beyond E no suffix is left (upstream loses the exponent there); the exponent form says the same number.
  return digits + (suffix ?? `e${exponent}`);
}

/** Negative, zero or positive, as `left` is less than, equal to or greater than `right`. */
export function compareQuantities(left: ParsedQuantity, right: ParsedQuantity): number {
  const [a, b] = aligned(left, right);
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The sum takes the format of the left side, unless that is zero. */
export function addQuantities(left: ParsedQuantity, right: ParsedQuantity): ParsedQuantity {
  return combine(left, right, 1n);
}

export function subtractQuantities(left: ParsedQuantity, right: ParsedQuantity): ParsedQuantity {
  return combine(left, right, -1n);
}

function combine(left: ParsedQuantity, right: ParsedQuantity, sign: bigint): ParsedQuantity {
  const [a, b] = aligned(left, right);
  return {
    mantissa: a + sign * b,
    scale: Math.min(left.scale, right.scale),
    format: left.mantissa === 0n ? right.format : left.format,
    text: '',
  };
}

function aligned(left: ParsedQuantity, right: ParsedQuantity): readonly [bigint, bigint] {
  if (left.scale === right.scale) return [left.mantissa, right.mantissa];
  return left.scale > right.scale
    ? [left.mantissa * 10n ** BigInt(left.scale - right.scale), right.mantissa]
    : [left.mantissa, right.mantissa * 10n ** BigInt(right.scale - left.scale)];
}

export function quantitySign(quantity: ParsedQuantity): -1 | 0 | 1 {
  return quantity.mantissa < 0n ? -1 : quantity.mantissa > 0n ? 1 : 0;
}

/** A whole number, rounded away from zero, in units of 10^`scale` (0: ones, -3: thousandths). Exact to any size. */
export function scaledQuantity(quantity: ParsedQuantity, scale: number): bigint {
  const shift = quantity.scale - scale;
  return shift >= 0 ? quantity.mantissa * 10n ** BigInt(shift) : roundUp(quantity.mantissa, -shift);
}

/** Whole units, rounded up: bytes of memory, pods. Exact to 2⁵³. */
export function quantityValue(quantity: ParsedQuantity): number {
  return Number(scaledQuantity(quantity, 0));
}

/** Thousandths, rounded up: milli-CPUs. Exact to 2⁵³. */
export function quantityMilliValue(quantity: ParsedQuantity): number {
  return Number(scaledQuantity(quantity, -3));
}

/** The nearest floating-point number. */
export function quantityToNumber(quantity: ParsedQuantity): number {
  return Number(`${quantity.mantissa}e${quantity.scale}`);
}

export function quantityFromMilli(
  value: number | bigint,
  format: QuantityFormat = 'DecimalSI',
): ParsedQuantity {
  return { mantissa: BigInt(value), scale: -3, format, text: '' };
}
