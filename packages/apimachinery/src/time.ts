/**
 * Times and durations of the wire (k8s.io/apimachinery/pkg/apis/meta/v1): RFC 3339 in UTC, in whole seconds (`Time`) or
 * with six decimals (`MicroTime`), and Go's duration notation. Error texts are those of Go's package time.
 *
 * Moments are milliseconds since the epoch, as everywhere here; microseconds below a millisecond are kept in text only.
 */
import { goQuote } from './go-quote.ts';

/** A text that is no time or duration. */
export class TimeError extends Error {
  override readonly name = 'TimeError';
}

/** The answer of the last call: time stamps of one second are asked for thousands of times. */
let lastSecond = NaN;
let lastText = '';

/** `2026-01-31T12:00:00Z`; milliseconds are cut off. */
export function formatTime(milliseconds: number): string {
  const second = Math.floor(milliseconds / 1000);
  if (second !== lastSecond) {
    lastText = `${new Date(second * 1000).toISOString().slice(0, 19)}Z`;
    lastSecond = second;
  }
  return lastText;
}

/** `2026-01-31T12:00:00.123000Z`; fractions of a millisecond become the last three digits. */
export function formatMicroTime(milliseconds: number): string {
  const micros = Math.round((milliseconds - Math.floor(milliseconds)) * 1000);
  const whole = micros === 1000 ? Math.floor(milliseconds) + 1 : Math.floor(milliseconds);
  const rest = String(micros % 1000).padStart(3, '0');
  return `${new Date(whole).toISOString().slice(0, 23)}${rest}Z`;
}

const DATE_AND_TIME =
  '[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]';
const CANONICAL_TIME = new RegExp(`^${DATE_AND_TIME}Z$`);
const CANONICAL_MICRO_TIME = new RegExp(`^${DATE_AND_TIME}\\.[0-9]{6}Z$`);

/** The last days of months, which the pattern cannot tell. */
function isRealDay(text: string): boolean {
  const day = Number(text.slice(8, 10));
  if (day <= 28) return true;
  const month = Number(text.slice(5, 7));
  if (month !== 2) return day <= 30 || (month !== 4 && month !== 6 && month !== 9 && month !== 11);
  const year = Number(text.slice(0, 4));
  return day === 29 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

/** The form the API answers with, or `undefined` for Go's zero time, which is absent. Throws TimeError. */
export function canonicalTime(text: string): string | undefined {
  const canonical = CANONICAL_TIME.test(text) && isRealDay(text) ? text : formatTime(parseTime(text));
  return canonical === ZERO_TIME ? undefined : canonical;
}

/** As `canonicalTime`, with exactly six decimals. Throws TimeError. */
export function canonicalMicroTime(text: string): string | undefined {
  if (!CANONICAL_MICRO_TIME.test(text) || !isRealDay(text)) {
    const { milliseconds, fraction } = parse(text, MICRO_LAYOUT);
    const whole = formatTime(milliseconds).slice(0, 19);
    return `${whole}.${fraction}Z`;
  }
  return text.startsWith('0001-01-01T00:00:00.000000') ? undefined : text;
}

const ZERO_TIME = '0001-01-01T00:00:00Z';
const LAYOUT = '2006-01-02T15:04:05Z07:00';
const MICRO_LAYOUT = '2006-01-02T15:04:05.000000Z07:00';

/** Milliseconds since the epoch of an RFC 3339 time with any number of decimals. Throws TimeError. */
export function parseTime(text: string): number {
  const { milliseconds, fraction } = parse(text, LAYOUT);
  return milliseconds + (fraction === '' ? 0 : Math.floor(Number(`0.${fraction}`) * 1e6) / 1000);
}

interface Parsed {
  /** Whole seconds. */
  readonly milliseconds: number;
  /** Decimals of the second as written. */
  readonly fraction: string;
}

// The elements of the layout, in order: how Go names the one that does not fit, and what it must look like.
const ELEMENTS: readonly (readonly [name: string, pattern: RegExp])[] = [
  ['2006', /^[0-9]{4}/],
  ['-', /^-/],
  ['01', /^[0-9]{2}/],
  ['-', /^-/],
  ['02', /^[0-9]{2}/],
  ['T', /^T/],
  ['15', /^[0-9]{2}/],
  [':', /^:/],
  ['04', /^[0-9]{2}/],
  [':', /^:/],
  ['05', /^[0-9]{2}/],
];
const MAX_TIME_LENGTH = 100;

function parse(text: string, layout: string): Parsed {
  const head = `parsing time ${goQuote(text.slice(0, MAX_TIME_LENGTH))}`;
  if (text.length > MAX_TIME_LENGTH) throw new TimeError(`${head}: extra text`);
  const fail = (rest: string, element: string): TimeError =>
    new TimeError(`${head} as ${goQuote(layout)}: cannot parse ${goQuote(rest)} as ${goQuote(element)}`);
  let rest = text;
  const parts: string[] = [];
  for (const [name, pattern] of ELEMENTS) {
    const match = pattern.exec(rest);
    if (match === null) throw fail(rest, name);
    parts.push(match[0]);
    rest = rest.slice(match[0].length);
    checkRange(head, parts);
  }
  let fraction = '';
  const decimals = (layout === LAYOUT ? /^[.,]([0-9]+)/ : /^[.,]([0-9]{6})/).exec(rest);
  if (decimals !== null) {
    fraction = decimals[1] as string;
    rest = rest.slice(decimals[0].length);
  } else if (layout !== LAYOUT) {
    throw fail(rest, '.000000');
  }
  const zone = /^(?:Z|([+-])([0-9]{2}):([0-9]{2}))/.exec(rest);
  if (zone === null) throw fail(rest, 'Z07:00');
  rest = rest.slice(zone[0].length);
  const offset = (Number(zone[2] ?? 0) * 60 + Number(zone[3] ?? 0)) * (zone[1] === '-' ? -1 : 1);
  if (Number(zone[2] ?? 0) > 24 || Number(zone[3] ?? 0) > 60)
    throw new TimeError(`${head}: time zone offset ${Number(zone[2]) > 24 ? 'hour' : 'minute'} out of range`);
  if (rest !== '') throw new TimeError(`${head}: extra text: ${goQuote(rest)}`);
  const [year, , month, , day, , hour, , minute, , second] = parts.map<number>(Number);
  const date = new Date(0);
  date.setUTCFullYear(year as number, (month as number) - 1, day);
  if (date.getUTCDate() !== day) throw new TimeError(`${head}: day out of range`);
  date.setUTCHours(hour as number, (minute as number) - offset, second);
  return { milliseconds: date.getTime(), fraction };
}

/** Go notices these as soon as the element is read. */
function checkRange(head: string, parts: readonly string[]): void {
  const value = Number(parts.at(-1));
  const outOfRange = (name: string): TimeError => new TimeError(`${head}: ${name} out of range`);
  switch (parts.length) {
    case 3:
      if (value < 1 || value > 12) throw outOfRange('month');
      break;
    case 5:
      if (value < 1 || value > 31) throw outOfRange('day');
      break;
    case 7:
      if (value > 23) throw outOfRange('hour');
      break;
    case 9:
      if (value > 59) throw outOfRange('minute');
      break;
    case 11:
      if (value > 59) throw outOfRange('second');
      break;
  }
}

const UNITS: Readonly<Record<string, bigint>> = {
  __proto__: null as never,
  ns: 1n,
  us: 1000n,
  µs: 1000n,
  μs: 1000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};
const MAX_DURATION = 2n ** 63n - 1n;

/** Nanoseconds of a Go duration (`1h15m30.918s`, `-1.5h`, `0`). Throws TimeError. */
export function parseDuration(text: string): bigint {
  const invalid = (): TimeError => new TimeError(`time: invalid duration ${goQuote(text.slice(0, 200))}`);
  if (text.length > 200) throw invalid();
  const negative = text.startsWith('-');
  let rest = /^[-+]/.test(text) ? text.slice(1) : text;
  if (rest === '0') return 0n;
  if (rest === '') throw invalid();
  let total = 0n;
  while (rest !== '') {
    const match = /^([0-9]*)(?:\.([0-9]*))?/.exec(rest) as RegExpExecArray;
    const [number, integer = '', fraction = ''] = match;
    if (integer === '' && fraction === '') throw invalid();
    rest = rest.slice(number.length);
    const unit = /^[^.0-9]*/.exec(rest)?.[0] ?? '';
    if (unit === '') throw new TimeError(`time: missing unit in duration ${goQuote(text)}`);
    const scale = UNITS[unit];
    if (scale === undefined)
      throw new TimeError(`time: unknown unit ${goQuote(unit)} in duration ${goQuote(text)}`);
    rest = rest.slice(unit.length);
    total += BigInt(integer || '0') * scale;
    if (fraction !== '') total += (BigInt(fraction) * scale) / 10n ** BigInt(fraction.length);
    if (total > MAX_DURATION + (negative ? 1n : 0n)) throw invalid();
  }
  return negative ? -total : total;
}

/** As Go prints nanoseconds: `1m30s`, `1.5ms`, `0s`. */
export function formatDuration(nanoseconds: bigint | number): string {
  const total = BigInt(nanoseconds);
  if (total === 0n) return '0s';
  const magnitude = total < 0n ? -total : total;
  const sign = total < 0n ? '-' : '';
  if (magnitude < 1_000n) return `${sign}${magnitude}ns`;
  if (magnitude < 1_000_000n) return `${sign}${withFraction(magnitude, 3)}µs`;
  if (magnitude < 1_000_000_000n) return `${sign}${withFraction(magnitude, 6)}ms`;
  const minutes = magnitude / 60_000_000_000n;
  const seconds = `${withFraction(magnitude % 60_000_000_000n, 9)}s`;
  if (minutes === 0n) return sign + seconds;
  return minutes < 60n
    ? `${sign}${minutes}m${seconds}`
    : `${sign}${minutes / 60n}h${minutes % 60n}m${seconds}`;
}

/** `value / 10^places` without trailing zeros. */
function withFraction(value: bigint, places: number): string {
  const divisor = 10n ** BigInt(places);
  const fraction = (value % divisor).toString().padStart(places, '0').replace(/0+$/, '');
  return fraction === '' ? String(value / divisor) : `${value / divisor}.${fraction}`;
}

/** `1m30s` of milliseconds. */
export function formatDurationMilliseconds(milliseconds: number): string {
  return formatDuration(BigInt(Math.round(milliseconds * 1e6)));
}
