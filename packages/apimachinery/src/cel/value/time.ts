/** Timestamps and durations as texts, and the parts of a timestamp in a time zone. */
import { parseDuration as parseGoDuration, TimeError } from '../../time.ts';
import { checkedTimestamp } from './arithmetic.ts';
import type { CelTimestamp } from './value.ts';
import { CelDuration, CelError } from './value.ts';

const NANOSECONDS = 1_000_000_000n;
const TIMESTAMP =
  /^([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]+))?(Z|[+-][0-9]{2}:[0-9]{2})?$/;

/** RFC 3339; `zoneRequired` false also reads times without a zone, as UTC. undefined for what is no time. */
export function parseTimestamp(text: string, zoneRequired = true): CelTimestamp | CelError | undefined {
  const match = text.length > 100 ? null : TIMESTAMP.exec(text);
  if (match === null || (zoneRequired && match[8] === undefined)) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return undefined;
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const zone = match[8] ?? 'Z';
  const offset = zone === 'Z' ? 0 : zoneMinutes(zone);
  if (offset === undefined) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute - offset, second);
  const fraction = BigInt((match[7] ?? '').slice(0, 9).padEnd(9, '0'));
  return checkedTimestamp(BigInt(date.getTime()) * 1_000_000n + fraction, offset);
}

/** `2006-01-02` */
export function parseDate(text: string): CelTimestamp | CelError | undefined {
  return /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(text) ? parseTimestamp(`${text}T00:00:00Z`) : undefined;
}

function zoneMinutes(zone: string): number | undefined {
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(4, 6));
  if (hours > 24 || minutes > 60) return undefined;
  return (hours * 60 + minutes) * (zone.startsWith('-') ? -1 : 1);
}

function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

/** With as many decimals as it has. */
export function formatTimestamp(timestamp: CelTimestamp): string {
  const { seconds, nanoseconds } = split(timestamp);
  const local = new Date((Number(seconds) + timestamp.zone * 60) * 1000);
  const whole = local.toISOString().slice(0, 19);
  const fraction = String(nanoseconds).padStart(9, '0').replace(/0+$/, '');
  return `${whole}${fraction === '' ? '' : `.${fraction}`}${zoneText(timestamp.zone)}`;
}

function zoneText(minutes: number): string {
  if (minutes === 0) return 'Z';
  const two = (number: number): string => String(Math.trunc(number)).padStart(2, '0');
  const size = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${two(size / 60)}:${two(size % 60)}`;
}

export function epochSeconds(timestamp: CelTimestamp): bigint {
  return split(timestamp).seconds;
}

function split(timestamp: CelTimestamp): { readonly seconds: bigint; readonly nanoseconds: bigint } {
  const nanoseconds = ((timestamp.nanoseconds % NANOSECONDS) + NANOSECONDS) % NANOSECONDS;
  return { seconds: (timestamp.nanoseconds - nanoseconds) / NANOSECONDS, nanoseconds };
}

/** Go's notation; undefined for what is no duration. */
export function parseCelDuration(text: string): CelDuration | undefined {
  try {
    return new CelDuration(parseGoDuration(text));
  } catch (error) {
    if (error instanceof TimeError) return undefined;
    throw error;
  }
}

/** Seconds, as the shortest decimal: `1.5s`. */
export function formatCelDuration(duration: CelDuration): string {
  const seconds =
    Number(duration.nanoseconds / NANOSECONDS) + Number(duration.nanoseconds % NANOSECONDS) / 1e9;
  return `${decimal(seconds)}s`;
}

/** A double without an exponent. */
export function decimal(value: number): string {
  const text = String(value);
  const match = /^(-?)([0-9])(?:\.([0-9]+))?e([+-][0-9]+)$/.exec(text);
  if (match === null) return text;
  const [, sign = '', first = '', rest = '', exponent = '0'] = match;
  const digits = first + rest;
  const point = 1 + Number(exponent);
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  return point >= digits.length
    ? sign + digits.padEnd(point, '0')
    : `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

export interface TimestampParts {
  readonly year: number;
  /** From 0. */
  readonly month: number;
  /** From 1. */
  readonly dayOfMonth: number;
  /** From 0. */
  readonly dayOfYear: number;
  /** From 0, which is Sunday. */
  readonly dayOfWeek: number;
  readonly hours: number;
  readonly minutes: number;
  readonly seconds: number;
  readonly milliseconds: number;
}

/** `zone`: a name (`Europe/Berlin`), or hours and minutes (`+02:00`, `-08:00`). */
export function timestampParts(timestamp: CelTimestamp, zone: string): TimestampParts | CelError {
  const { seconds, nanoseconds } = split(timestamp);
  const milliseconds = Number(seconds) * 1000;
  const shift = zoneShift(zone, milliseconds);
  if (shift instanceof CelError) return shift;
  const local = new Date(milliseconds + shift);
  const year = local.getUTCFullYear();
  const newYear = new Date(0);
  newYear.setUTCFullYear(year, 0, 1);
  return {
    year,
    month: local.getUTCMonth(),
    dayOfMonth: local.getUTCDate(),
    dayOfYear: Math.floor((local.getTime() - newYear.getTime()) / 86_400_000),
    dayOfWeek: local.getUTCDay(),
    hours: local.getUTCHours(),
    minutes: local.getUTCMinutes(),
    seconds: local.getUTCSeconds(),
    milliseconds: Math.floor(Number(nanoseconds) / 1_000_000),
  };
}

/** How far local time is ahead of UTC, in milliseconds. */
function zoneShift(zone: string, milliseconds: number): number | CelError {
  if (zone === '' || zone === 'UTC') return 0;
  if (zone.includes(':')) {
    const [hours = '', minutes = ''] = splitOnce(zone);
    for (const part of [hours, minutes])
      if (!/^[+-]?[0-9]+$/.test(part))
        return new CelError(`strconv.Atoi: parsing "${part.slice(0, 100)}": invalid syntax`);
    const total = Number(hours) * 60 + Number(minutes) * (zone.startsWith('-') ? -1 : 1);
    return total * 60_000;
  }
  const unknown = new CelError(`unknown time zone ${zone.slice(0, 100)}`);
  if (!/^[A-Za-z0-9_+/-]+$/.test(zone) || /^[+-]/.test(zone)) return unknown;
  try {
    const parts = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    }).formatToParts(milliseconds);
    const part = (type: string): number => Number(parts.find((candidate) => candidate.type === type)?.value);
    const beforeChrist = parts.some(
      (candidate) => candidate.type === 'era' && candidate.value.startsWith('B'),
    );
    const local = new Date(0);
    local.setUTCFullYear(beforeChrist ? 1 - part('year') : part('year'), part('month') - 1, part('day'));
    local.setUTCHours(part('hour'), part('minute'), part('second'));
    return local.getTime() - milliseconds;
  } catch (error) {
    if (error instanceof RangeError) return unknown;
    throw error;
  }
}

function splitOnce(zone: string): readonly [string, string] {
  const colon = zone.indexOf(':');
  return [zone.slice(0, colon), zone.slice(colon + 1)];
}
