import { describe, expect, it } from 'vitest';

import { cronScheduleProblem, parseCronSchedule } from './cron-schedule.ts';
import { isTimeZone, timeOfWall, wallTime, zoneOffset } from './time-zone.ts';

const next = (schedule: string, after: string, zone = 'UTC'): string | undefined => {
  const time = parseCronSchedule(schedule, zone).next(Date.parse(after));
  return time === undefined ? undefined : new Date(time).toISOString().replace(':00.000Z', 'Z');
};

describe('the next time', () => {
  it.each([
    // A time itself is not after itself; parts of seconds do not count.
    ['* * * * *', '2026-01-01T00:00:00Z', '2026-01-01T00:01Z'],
    ['* * * * *', '2026-01-01T00:00:59.999Z', '2026-01-01T00:01Z'],
    ['*/15 * * * *', '2026-01-01T00:45:01Z', '2026-01-01T01:00Z'],
    ['5/15 * * * *', '2026-01-01T00:50:30Z', '2026-01-01T01:05Z'],
    ['59 23 * * *', '2026-12-31T23:58:30Z', '2026-12-31T23:59Z'],
    ['59 23 * * *', '2026-12-31T23:59:00Z', '2027-01-01T23:59Z'],
    ['0 0 29 2 *', '2026-03-01T00:00:00Z', '2028-02-29T00:00Z'],
    ['0 12 * jan-mar MON,wed', '2026-04-01T00:00:00Z', '2027-01-04T12:00Z'],
    ['30 4 1,15 * 5', '2026-01-01T12:00:00Z', '2026-01-02T04:30Z'], // a Friday: one of both is enough
    ['30 4 1,15 * *', '2026-01-01T12:00:00Z', '2026-01-15T04:30Z'],
    ['0 0 */2 * 1', '2026-01-01T12:00:00Z', '2026-01-03T00:00Z'], // steps name days: either
    ['0 0 ? * 1', '2026-01-01T12:00:00Z', '2026-01-05T00:00Z'],
    ['@hourly', '2026-01-01T00:10:00Z', '2026-01-01T01:00Z'],
    ['@weekly', '2026-01-01T00:10:00Z', '2026-01-04T00:00Z'],
    ['@yearly', '2026-01-01T00:00:00Z', '2027-01-01T00:00Z'],
    ['@every 90m', '2026-01-01T00:10:00.7Z', '2026-01-01T01:40Z'],
    ['@every 1ms', '2026-01-01T00:00:59.5Z', '2026-01-01T00:01Z'],
    ['0 0 31 2 *', '2026-01-01T00:00:00Z', undefined],
  ])('of %s after %s is %s', (schedule, after, expected) => {
    expect(next(schedule, after)).toBe(expected);
  });

  it.each([
    ['Europe/Berlin', '30 9 * * *', '2026-01-01T08:30:00Z', '2026-01-02T08:30Z'],
    ['Europe/Berlin', '30 9 * * *', '2026-06-30T08:30:00Z', '2026-07-01T07:30Z'],
    ['Asia/Kolkata', '0 0 1 * *', '2026-01-15T00:00:00Z', '2026-01-31T18:30Z'],
    // 02:30 does not exist on 29 March 2026, and comes twice on 25 October.
    ['Europe/Berlin', '30 2 * * *', '2026-03-28T12:00:00Z', '2026-03-30T00:30Z'],
    ['Europe/Berlin', '30 2 * * *', '2026-10-25T00:00:00Z', '2026-10-25T00:30Z'],
    ['Europe/Berlin', '30 2 * * *', '2026-10-25T00:30:00Z', '2026-10-25T01:30Z'],
    // The day begins at one o'clock.
    ['America/Sao_Paulo', '0 1 * * *', '2018-11-03T12:00:00Z', '2018-11-04T03:00Z'],
    ['America/Sao_Paulo', '0 0 4 11 *', '2018-10-01T12:00:00Z', '2019-11-04T03:00Z'],
    ['America/New_York', 'TZ=UTC 0 12 * * *', '2026-01-01T00:00:00Z', '2026-01-01T12:00Z'],
    ['UTC', 'CRON_TZ=America/New_York 0 12 * * *', '2026-01-01T00:00:00Z', '2026-01-01T17:00Z'],
  ])('in %s, of %s after %s is %s', (zone, schedule, after, expected) => {
    expect(next(schedule, after, zone)).toBe(expected);
  });
});

it.each([
  ['* * * * *', undefined],
  ['0 0 1 jan sun', undefined],
  ['*/15 0-6/2 1,15 * ?', undefined],
  ['@every 1h30m', undefined],
  ['', 'empty spec string'],
  ['* * * *', 'expected exactly 5 fields, found 4: [* * * *]'],
  ['@sometimes', 'unrecognized descriptor: @sometimes'],
  ['@every soon', 'failed to parse duration @every soon: time: invalid duration "soon"'],
  ['60 * * * *', 'end of range (60) above maximum (59): 60'],
  ['* * 0 * *', 'beginning of range (0) below minimum (1): 0'],
  ['5-1 * * * *', 'beginning of range (5) beyond end of range (1): 5-1'],
  ['*/0 * * * *', 'step of range should be a positive number: */0'],
  ['1-2-3 * * * *', 'too many hyphens: 1-2-3'],
  ['1/2/3 * * * *', 'too many slashes: 1/2/3'],
  ['x * * * *', 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'],
  ['TZ=Nowhere/Else * * * * *', 'provided bad location Nowhere/Else: unknown time zone Nowhere/Else'],
])('the problem of schedule %j: %s', (schedule, problem) => {
  expect(cronScheduleProblem(schedule)).toBe(problem);
});

describe('zones', () => {
  it('are known by name', () => {
    expect(['', 'UTC', 'Local', 'Europe/Berlin'].map(isTimeZone)).toEqual([true, true, true, true]);
    expect(isTimeZone('Nowhere/Else')).toBe(false);
  });

  it('have clocks of their own', () => {
    const time = Date.UTC(2026, 6, 1, 22, 30, 15);
    expect(zoneOffset('Asia/Kolkata', time)).toBe(5.5 * 3_600_000);
    const wall = wallTime('Asia/Kolkata', time);
    expect(wall).toEqual({ year: 2026, month: 7, day: 2, hour: 4, minute: 0, second: 15, weekday: 4 });
    expect(timeOfWall('Asia/Kolkata', wall)).toBe(time);
    expect(zoneOffset('UTC', time)).toBe(0);
  });
});
