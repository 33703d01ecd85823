import { describe, expect, test } from 'vitest';
import {
  canonicalMicroTime,
  canonicalTime,
  formatDuration,
  formatMicroTime,
  formatTime,
  parseDuration,
  parseTime,
} from './time.ts';

test.each([
  ['2026-01-31T12:00:00Z', '2026-01-31T12:00:00Z'],
  ['2026-01-31T12:00:00.987Z', '2026-01-31T12:00:00Z'],
  ['2026-01-31T14:30:00+02:30', '2026-01-31T12:00:00Z'],
  ['2024-02-29T23:59:59-01:00', '2024-03-01T00:59:59Z'],
  ['0001-01-01T00:00:00Z', undefined],
])('time %s is answered as %s', (text, canonical) => {
  expect(canonicalTime(text)).toBe(canonical);
});

test.each([
  ['2026-01-31T12:00:00.123456Z', '2026-01-31T12:00:00.123456Z'],
  ['2026-01-31T14:00:00.123456+02:00', '2026-01-31T12:00:00.123456Z'],
])('micro time %s is answered as %s', (text, canonical) => {
  expect(canonicalMicroTime(text)).toBe(canonical);
});

test.each([
  [
    'yesterday',
    'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"',
  ],
  ['2026-01-31', 'parsing time "2026-01-31" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T"'],
  ['2026-13-31T00:00:00Z', 'parsing time "2026-13-31T00:00:00Z": month out of range'],
  ['2026-02-30T00:00:00Z', 'parsing time "2026-02-30T00:00:00Z": day out of range'],
  ['2026-02-03T25:00:00Z', 'parsing time "2026-02-03T25:00:00Z": hour out of range'],
  [
    '2026-02-03T05:00:00',
    'parsing time "2026-02-03T05:00:00" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "Z07:00"',
  ],
  ['2026-02-03T05:00:00Zx', 'parsing time "2026-02-03T05:00:00Zx": extra text: "x"'],
])('time %s is refused', (text, message) => {
  expect(() => parseTime(text)).toThrow(message);
});

test('every day of four years, and the days that follow them in a calendar without end', () => {
  for (const year of [1900, 2000, 2023, 2024]) {
    for (let month = 1; month <= 12; month++) {
      for (let day = 1; day <= 31; day++) {
        const text = `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}T00:00:00Z`;
        const exists = new Date(Date.UTC(year, month - 1, day)).getUTCDate() === day;
        if (exists) expect(canonicalTime(text)).toBe(text);
        else expect(() => canonicalTime(text)).toThrow('day out of range');
      }
    }
  }
});

test('micro times need their six decimals', () => {
  expect(() => canonicalMicroTime('2026-01-31T12:00:00Z')).toThrow('cannot parse "Z" as ".000000"');
});

test('moments are milliseconds', () => {
  expect(formatTime(1767225600999)).toBe('2026-01-01T00:00:00Z');
  expect(formatMicroTime(1767225600123.456)).toBe('2026-01-01T00:00:00.123456Z');
  expect(parseTime('2026-01-01T00:00:00.5Z')).toBe(1767225600500);
});

describe('durations', () => {
  test.each([
    ['0', '0s'],
    ['1h15m30.918s', '1h15m30.918s'],
    ['90s', '1m30s'],
    ['-1.5h', '-1h30m0s'],
    ['1500us', '1.5ms'],
    ['3ns', '3ns'],
    ['.5s', '500ms'],
    ['1h', '1h0m0s'],
  ])('%s is written as %s', (text, canonical) => {
    expect(formatDuration(parseDuration(text))).toBe(canonical);
  });
  test.each([
    ['', 'time: invalid duration ""'],
    ['10', 'time: missing unit in duration "10"'],
    ['3x', 'time: unknown unit "x" in duration "3x"'],
    ['h', 'time: invalid duration "h"'],
    ['9999999999h', 'time: invalid duration "9999999999h"'],
  ])('%j is refused', (text, message) => {
    expect(() => parseDuration(text)).toThrow(message);
  });
});
