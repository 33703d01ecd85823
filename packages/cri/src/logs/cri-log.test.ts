import { describe, expect, it } from 'vitest';
import { formatLogLine, LOG_RECORD_LIMIT, parseLogRecord } from './cri-log.ts';

describe('CRI log format', () => {
  it('writes a line as one record', () => {
    expect(formatLogLine(Date.UTC(2026, 0, 2, 3, 4, 5, 678), 'stderr', 'oh no')).toBe(
      '2026-01-02T03:04:05.678000000Z stderr F oh no\n',
    );
  });

  it('cuts a long line into partial records, never inside a character', () => {
    const line = '€'.repeat(LOG_RECORD_LIMIT);
    const records = formatLogLine(0, 'stdout', line).trimEnd().split('\n');
    const parsed = records.map((record) => parseLogRecord(Buffer.from(record)));
    expect(parsed.map((record) => record?.partial)).toEqual([true, true, true, false]);
    expect(parsed.map((record) => record?.content.toString()).join('')).toBe(line);
    for (const record of parsed) expect(record?.content.length).toBeLessThanOrEqual(LOG_RECORD_LIMIT);
  });

  it.each([
    ['2026-01-01T00:00:00.5+01:00 stdout F a b  c', 'stdout', false, 'a b  c'],
    ['2026-01-01T00:00:00Z stderr P:later x', 'stderr', true, 'x'],
    ['2026-01-01T00:00:00Z stdout F ', 'stdout', false, ''],
    ['2026-01-01T00:00:00Z stdout F', 'stdout', false, ''],
  ])('reads %j', (line, stream, partial, content) => {
    const record = parseLogRecord(Buffer.from(line));
    expect([record?.stream, record?.partial, record?.content.toString()]).toEqual([stream, partial, content]);
  });

  it.each(['', 'x', '2026 stdin F x', '2026 stdout X x', 'no record at all'])('does not read %j', (line) => {
    expect(parseLogRecord(Buffer.from(line))).toBeUndefined();
  });
});
