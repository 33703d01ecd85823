/**
 * The formats of strings that schemas of custom resources may name (apiextensions-apiserver, pkg/apiserver/validation;
 * k8s.io/kube-openapi/pkg/validation/strfmt). Others say nothing. All answer in time linear in the text.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { parseDuration } from '../time.ts';
import { exceedsBytes, isDNS1123Label, isDNS1123Subdomain } from '../validation/names.ts';
import { isEmail } from './email.ts';
import { isRequestUri } from './uri.ts';

export type StringFormat = (text: string) => boolean;

const UUID_GROUPS = {
  uuid: ['', ''],
  uuid3: ['3', ''],
  uuid4: ['4', '[89ab]'],
  uuid5: ['5', '[89ab]'],
} as const;

const FORMATS: ReadonlyMap<string, StringFormat> = new Map<string, StringFormat>([
  ['bsonobjectid', matcher(/^[0-9a-f]{24}$/i)],
  ['uri', isRequestUri],
  ['email', isEmail],
  ['hostname', isHostname],
  ['ipv4', (text) => text.includes('.') && isSloppyIp(text)],
  ['ipv6', (text) => isIPv6(text) && !text.includes('%')],
  ['cidr', isSloppyCidr],
  ['mac', isMac],
  ['uuid', uuid(...UUID_GROUPS.uuid)],
  ['uuid3', uuid(...UUID_GROUPS.uuid3)],
  ['uuid4', uuid(...UUID_GROUPS.uuid4)],
  ['uuid5', uuid(...UUID_GROUPS.uuid5)],
  ['isbn', (text) => isIsbn10(text) || isIsbn13(text)],
  ['isbn10', isIsbn10],
  ['isbn13', isIsbn13],
  ['creditcard', isCreditCard],
  ['ssn', (text) => text.length === 11 && /^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$/.test(text)],
  ['hexcolor', matcher(/^#?(?:[0-9a-f]{3}|[0-9a-f]{6})$/i)],
  ['rgbcolor', isRgbColor],
  ['byte', (text) => text.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(text)],
  ['password', () => true],
  ['date', isDate],
  ['duration', isDuration],
  ['datetime', isDateTime],
  ['k8sshortname', (text) => isDNS1123Label(text).length === 0],
  ['k8slongname', (text) => isDNS1123Subdomain(text).length === 0],
]);

/** Dashes in names do not matter: `date-time` is `datetime`. Undefined for what is no format of strings. */
export function stringFormat(name: string): StringFormat | undefined {
  return FORMATS.get(name.replaceAll('-', ''));
}

function matcher(pattern: RegExp): StringFormat {
  return (text) => pattern.test(text);
}

function uuid(version: string, variant: string): StringFormat {
  const third = version === '' ? '[0-9a-f]{4}' : `${version}[0-9a-f]{3}`;
  const fourth = variant === '' ? '[0-9a-f]{4}' : `${variant}[0-9a-f]{3}`;
  return matcher(new RegExp(`^[0-9a-f]{8}-?[0-9a-f]{4}-?${third}-?${fourth}-?[0-9a-f]{12}$`, 'i'));
}

const HOST_CHAR = 'a-zA-Z0-9\\p{S}\\p{L}';
/** One label with at most one dash, which is its second character. So says upstream's pattern. */
const SINGLE_LABEL = new RegExp(`^[${HOST_CHAR}](?:-?[${HOST_CHAR}]{0,62})$`, 'u');
const HOST_LABEL = new RegExp(`^[${HOST_CHAR}](?:[${HOST_CHAR}-]{0,61}[${HOST_CHAR}])?$`, 'u');
const TOP_LABEL = /^\p{L}{2,63}$/u;

function isHostname(text: string): boolean {
  if (exceedsBytes(text, 255)) return false;
  const labels = text.split('.');
  if (labels.some((label) => exceedsBytes(label, 63))) return false;
  const top = labels.pop() as string;
  if (labels.length === 0) return SINGLE_LABEL.test(top);
  return TOP_LABEL.test(top) && labels.every((label) => HOST_LABEL.test(label));
}

/** As Go before 1.17 read addresses: leading zeros do not matter. */
function isSloppyIp(text: string): boolean {
  if (text.length > 64 || text.includes('%')) return false;
  const plain = text.replaceAll(/(?<![0-9a-fA-F])0+(?=[0-9]+(?:\.|$))/g, (zeros, at: number) =>
    isDottedPart(text, at) ? '' : zeros,
  );
  return plain.includes(':') ? isIPv6(plain) : isIPv4(plain);
}

/** Whether a position is in the dotted part of an address: after the last colon. */
function isDottedPart(text: string, at: number): boolean {
  return text.includes('.') && at > text.lastIndexOf(':');
}

function isSloppyCidr(text: string): boolean {
  const slash = text.indexOf('/');
  const address = text.slice(0, slash);
  const bits = text.slice(slash + 1);
  if (slash < 0 || !/^0*[0-9]{1,3}$/.test(bits) || !isSloppyIp(address)) return false;
  return Number(bits) <= (address.includes(':') ? 128 : 32);
}

/** 6, 8 or 20 bytes. */
function isMac(text: string): boolean {
  if (/^[0-9a-f]{4}(?:\.[0-9a-f]{4})+$/i.test(text)) return [14, 19, 49].includes(text.length);
  return (
    [17, 23, 59].includes(text.length) &&
    (/^[0-9a-f]{2}(?::[0-9a-f]{2})+$/i.test(text) || /^[0-9a-f]{2}(?:-[0-9a-f]{2})+$/i.test(text))
  );
}

function withoutSpacesAndDashes(text: string): string {
  return text.replaceAll(/[\t\n\f\r -]/g, '');
}

function isIsbn10(text: string): boolean {
  const digits = withoutSpacesAndDashes(text);
  if (!/^[0-9]{9}[0-9X]$/.test(digits)) return false;
  return sum(digits, (digit, i) => (i + 1) * (digit === 'X' ? 10 : Number(digit))) % 11 === 0;
}

function isIsbn13(text: string): boolean {
  const digits = withoutSpacesAndDashes(text);
  if (!/^[0-9]{13}$/.test(digits)) return false;
  return sum(digits, (digit, i) => (i % 2 === 0 ? 1 : 3) * Number(digit)) % 10 === 0;
}

const CARD_NUMBERS =
  /^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9]{2})[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35[0-9]{3})[0-9]{11})$/;

function isCreditCard(text: string): boolean {
  const digits = text.replaceAll(/[^0-9]/g, '');
  if (!CARD_NUMBERS.test(digits)) return false;
  const luhn = sum([...digits].reverse().join(''), (digit, i) => {
    const value = Number(digit) * (i % 2 === 0 ? 1 : 2);
    return value > 9 ? value - 9 : value;
  });
  return luhn % 10 === 0;
}

function sum(digits: string, weigh: (digit: string, position: number) => number): number {
  return [...digits].reduce((total, digit, i) => total + weigh(digit, i), 0);
}

function isRgbColor(text: string): boolean {
  const parts = /^rgb\(([^)]*)\)$/.exec(text)?.[1]?.split(',') ?? [];
  return (
    parts.length === 3 &&
    parts.every((part) => {
      const digits = part.replaceAll(/^[\t\n\f\r ]+|[\t\n\f\r ]+$/g, '');
      return /^(?:0|[1-9][0-9]{0,2})$/.test(digits) && Number(digits) <= 255;
    })
  );
}

function isDate(text: string): boolean {
  if (!/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(text)) return false;
  const [year, month, day] = text.split('-').map(Number) as [number, number, number];
  if (month < 1 || month > 12 || day < 1) return false;
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
  return day <= (days[month - 1] as number);
}

const TIME_OF_DAY = /^([0-9]{2}):([0-9]{2}):([0-9]{2})(?:.[0-9]+)?(?:z|[+-][0-9]{2}:[0-9]{2})$/u;

/** What follows a second `T` does not count. So says upstream's code. */
function isDateTime(text: string): boolean {
  const [date = '', time] = text.toLowerCase().split('t', 2);
  if (time === undefined || !isDate(date)) return false;
  const [, hours = '', minutes = '', seconds = ''] = TIME_OF_DAY.exec(time) ?? [];
  return hours !== '' && hours <= '23' && minutes <= '59' && seconds <= '59';
}

/** All but the last must be the whole unit; the last may go on (`nanoseconds`). */
const DURATION_UNITS: readonly (readonly string[])[] = [
  ['ns', 'nano'],
  ['us', 'µs', 'micro'],
  ['ms', 'milli'],
  ['s', 'sec'],
  ['m', 'min'],
  ['h', 'hr', 'hour'],
  ['d', 'day'],
  ['w', 'wk', 'week'],
];
const MAX_INT64 = 2n ** 63n - 1n;

/** Go's notation, or Scala's: any text with a number and a unit in it. */
function isDuration(text: string): boolean {
  if (isGoDuration(text)) return true;
  let found = false;
  for (const [, digits = '', unit = ''] of text.matchAll(/([0-9]+)[\t\n\f\r ]*([A-Za-z\u00b5]*)/g)) {
    if (unit === '') continue;
    const significant = digits.replace(/^0+/, '');
    if (significant.length > 19 || BigInt(digits.slice(-19)) > MAX_INT64) return false;
    found ||= isDurationUnit(unit.toLowerCase());
  }
  return found;
}

function isGoDuration(text: string): boolean {
  try {
    parseDuration(text);
    return true;
  } catch {
    return false;
  }
}

function isDurationUnit(unit: string): boolean {
  return DURATION_UNITS.some(
    (variants) => variants.includes(unit) || unit.startsWith(variants[variants.length - 1] as string),
  );
}
