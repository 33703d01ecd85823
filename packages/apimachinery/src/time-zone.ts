/** A moment as the clocks of a zone show it. */
export interface WallTime {
  readonly year: number;
  /** From 1. */
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  /** 0 is Sunday. */
  readonly weekday: number;
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** Whether Go's time.LoadLocation knows it: a name of the IANA database, `UTC`, `Local`, or nothing, which is UTC. */
export function isTimeZone(name: string): boolean {
  if (name === '' || name === 'UTC' || name === 'Local') return true;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

/** Milliseconds by which the zone is ahead of UTC at a time (milliseconds since the epoch). */
export function zoneOffset(zone: string, time: number): number {
  if (zone === '' || zone === 'UTC') return 0;
  let format = formats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      ...(zone === 'Local' ? {} : { timeZone: zone }), // the machine's own
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formats.set(zone, format);
  }
  const parts: Record<string, number> = {};
  for (const { type, value } of format.formatToParts(time)) parts[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(time / 1000) * 1000;
}

export function wallTime(zone: string, time: number): WallTime {
  const shifted = new Date(time + zoneOffset(zone, time));
  return {
    year: shifted.getUTCFullYear(),
    month: shifted.getUTCMonth() + 1,
    day: shifted.getUTCDate(),
    hour: shifted.getUTCHours(),
    minute: shifted.getUTCMinutes(),
    second: shifted.getUTCSeconds(),
    weekday: shifted.getUTCDay(),
  };
}

/**
 * When the clocks of the zone show this; numbers out of range carry over (month 13 is January of the next year). Where they
 * show it twice or never, Go's time.Date decides: the offset that holds near by counts.
 */
export function timeOfWall(
  zone: string,
  { year, month, day, hour, minute, second }: Omit<WallTime, 'weekday'>,
): number {
  const shown = Date.UTC(year, month - 1, day, hour, minute, second);
  const guess = shown - zoneOffset(zone, shown);
  return shown - zoneOffset(zone, guess);
}
