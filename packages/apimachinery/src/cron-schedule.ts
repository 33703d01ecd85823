/** Cron schedules as github.com/robfig/cron/v3 (`ParseStandard`) reads them, with its error texts. */
import { parseDuration } from './time.ts';
import { isTimeZone, timeOfWall, wallTime } from './time-zone.ts';
import type { WallTime } from './time-zone.ts';

export interface CronSchedule {
  /** The first time after this one (both in milliseconds); undefined when there is none within five years. */
  next(after: number): number | undefined;
}

interface Bounds {
  readonly min: number;
  readonly max: number;
  readonly names?: readonly string[];
}

/** The values of one field that fit. */
interface Field {
  readonly values: ReadonlySet<number>;
  /** `*` or `?` is among them: says nothing about days, see `dayFits`. */
  readonly any: boolean;
}

type Fields = readonly [minute: Field, hour: Field, day: Field, month: Field, weekday: Field];

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const MAX_YEARS = 5;

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const FIELDS: readonly Bounds[] = [
  { min: 0, max: 59 },
  { min: 0, max: 23 },
  { min: 1, max: 31 },
  { min: 1, max: 12, names: MONTHS },
  { min: 0, max: 6, names: DAYS },
];
const DESCRIPTORS: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};
const EVERY = '@every ';

/** A schedule that says no zone of its own (`TZ=Europe/Berlin 0 9 * * *`) is in `zone`. Throws Error. */
export function parseCronSchedule(text: string, zone: string): CronSchedule {
  if (text === '') throw new Error('empty spec string');
  const prefix = /^(?:CRON_)?TZ=([^ ]*) *(.*)$/s.exec(text);
  const spec = prefix === null ? text : (prefix[2] as string).trim();
  const named = prefix?.[1];
  if (named !== undefined && !isTimeZone(named))
    throw new Error(`provided bad location ${named}: unknown time zone ${named}`);
  if (spec.startsWith(EVERY)) return everySchedule(spec);
  const fields = parseFields(spec.startsWith('@') ? descriptor(spec) : spec);
  return { next: (after) => nextTime(fields, named ?? zone, after) };
}

/** What is wrong with the schedule. */
export function cronScheduleProblem(text: string): string | undefined {
  try {
    parseCronSchedule(text, 'UTC');
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function descriptor(text: string): string {
  const spec = Object.hasOwn(DESCRIPTORS, text) ? DESCRIPTORS[text] : undefined;
  if (spec === undefined) throw new Error(`unrecognized descriptor: ${text}`);
  return spec;
}

/** `@every 1h30m`: whole seconds, at least one, from any time on. */
function everySchedule(text: string): CronSchedule {
  let seconds: number;
  try {
    seconds = Number(parseDuration(text.slice(EVERY.length)) / 1_000_000_000n);
  } catch (error) {
    throw new Error(`failed to parse duration ${text}: ${(error as Error).message}`, { cause: error });
  }
  const delay = Math.max(1, seconds) * SECOND;
  return { next: (after) => floor(after, SECOND) + delay };
}

function parseFields(spec: string): Fields {
  const texts = spec.split(/\s+/).filter((text) => text !== '');
  if (texts.length !== FIELDS.length)
    throw new Error(`expected exactly ${FIELDS.length} fields, found ${texts.length}: [${texts.join(' ')}]`);
  return texts.map((text, i) => parseField(text, FIELDS[i] as Bounds)) as unknown as Fields;
}

function parseField(text: string, bounds: Bounds): Field {
  const values = new Set<number>();
  let any = false;
  for (const part of text.split(',')) {
    if (part === '') continue;
    const { start, end, step, star } = parseRange(part, bounds);
    for (let value = start; value <= end; value += step) values.add(value);
    // `*/2` names days, and so counts as said.
    any ||= star && step === 1;
  }
  return { values, any };
}

/** `number | * | ?`, `number-number`, each with `/step`. */
function parseRange(
  text: string,
  bounds: Bounds,
): { readonly start: number; readonly end: number; readonly step: number; readonly star: boolean } {
  const [range = '', stepText, ...moreSteps] = text.split('/');
  const [low = '', high, ...moreHigh] = range.split('-');
  let start = bounds.min;
  let end = bounds.max;
  const star = low === '*' || low === '?';
  if (!star) {
    start = end = numberIn(low, bounds);
    if (moreHigh.length > 0) throw new Error(`too many hyphens: ${text}`);
    if (high !== undefined) end = numberIn(high, bounds);
  }
  if (moreSteps.length > 0) throw new Error(`too many slashes: ${text}`);
  const step = stepText === undefined ? 1 : plainNumber(stepText);
  // `5/15` goes on to the end.
  if (stepText !== undefined && high === undefined) end = bounds.max;
  if (start < bounds.min)
    throw new Error(`beginning of range (${start}) below minimum (${bounds.min}): ${text}`);
  if (end > bounds.max) throw new Error(`end of range (${end}) above maximum (${bounds.max}): ${text}`);
  if (start > end) throw new Error(`beginning of range (${start}) beyond end of range (${end}): ${text}`);
  if (step === 0) throw new Error(`step of range should be a positive number: ${text}`);
  return { start, end, step, star };
}

function numberIn(text: string, { names = [], min }: Bounds): number {
  const position = names.indexOf(text.toLowerCase());
  return position >= 0 ? position + min : plainNumber(text);
}

function plainNumber(text: string): number {
  if (!/^[+-]?[0-9]{1,15}$/.test(text))
    throw new Error(`failed to parse int from ${text}: strconv.Atoi: parsing "${text}": invalid syntax`);
  const value = Number(text);
  if (value < 0) throw new Error(`negative number (${value}) not allowed: ${text}`);
  return value;
}

function floor(time: number, unit: number): number {
  return Math.floor(time / unit) * unit;
}

/** Both days must fit when one of them is left open, otherwise one is enough: `0 0 13 * 5` is every 13th and every Friday. */
function dayFits([, , day, , weekday]: Fields, wall: WallTime): boolean {
  const [byDay, byWeekday] = [day.values.has(wall.day), weekday.values.has(wall.weekday)];
  return day.any || weekday.any ? byDay && byWeekday : byDay || byWeekday;
}

/**
 * Goes from the larger units to the smaller, each from its beginning, and starts over when one carries over. Hours and
 * minutes pass as they do on the clocks of the zone: an hour that is left out in spring has no times, one that comes twice
 * in autumn has them twice.
 */
function nextTime(fields: Fields, zone: string, after: number): number | undefined {
  const [minutes, hours, , months] = fields;
  let time = floor(after, SECOND) + SECOND;
  let wall = wallTime(zone, time);
  const lastYear = wall.year + MAX_YEARS;
  let begun = false;
  const move = (to: number): void => {
    time = to;
    wall = wallTime(zone, time);
  };
  const begin = (at: Partial<WallTime>): void => {
    if (begun) return;
    begun = true;
    move(timeOfWall(zone, { ...wall, hour: 0, minute: 0, second: 0, ...at }));
  };

  search: for (;;) {
    if (wall.year > lastYear) return undefined;
    while (!months.values.has(wall.month)) {
      begin({ day: 1 });
      move(timeOfWall(zone, { ...wall, month: wall.month + 1 }));
      if (wall.month === 1) continue search;
    }
    while (!dayFits(fields, wall)) {
      begin({});
      move(timeOfWall(zone, { ...wall, day: wall.day + 1 }));
      // Where the clocks skip midnight, the day begins later, or this is still the end of the day before.
      if (wall.hour !== 0) move(time + (wall.hour > 12 ? 24 - wall.hour : -wall.hour) * HOUR);
      if (wall.day === 1) continue search;
    }
    while (!hours.values.has(wall.hour)) {
      begin({ hour: wall.hour });
      move(time + HOUR);
      if (wall.hour === 0) continue search;
    }
    while (!minutes.values.has(wall.minute)) {
      if (!begun) {
        begun = true;
        move(floor(time, MINUTE));
      }
      move(time + MINUTE);
      if (wall.minute === 0) continue search;
    }
    if (wall.second === 0) return time;
    // Seconds are not named: the next full minute is the first that may fit.
    begun = true;
    move(floor(time, MINUTE) + MINUTE);
    if (wall.minute === 0) continue search;
    if (minutes.values.has(wall.minute)) return time;
  }
}
