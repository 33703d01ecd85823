import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLogger, VirtualClock } from '@k8ts/base';
import { logBackend } from './log-backend.ts';
import { RotatingFile, type RotationLimits } from './rotating-file.ts';
import { auditEvent } from './testing/audit-event.ts';

const MEGABYTE = 1024 * 1024;
const DAY = 24 * 60 * 60 * 1000;

let directory: string;
let clock: VirtualClock;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k8ts-audit-'));
  clock = new VirtualClock(Date.parse('2026-01-31T12:00:00.000Z'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const open = (given: Partial<RotationLimits> = {}, path = join(directory, 'audit.log')): RotatingFile =>
  new RotatingFile(
    path,
    { maxSize: 1, maxAge: 0, maxBackups: 0, compress: false, ...given },
    { clock, logger: silentLogger },
  );

const names = (): string[] => readdirSync(directory).sort();

test('the file and its directory are made, for nobody else to read', async () => {
  const path = join(directory, 'a', 'b', 'audit.log');
  await withFile(open({}, path), (file) => file.write('one\n'));
  expect(readFileSync(path, 'utf8')).toBe('one\n');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(directory, 'a')).mode & 0o777).toBe(0o700);
});

test('what is there is added to', async () => {
  await withFile(open(), (file) => file.write('one\n'));
  await withFile(open(), (file) => file.write('two\n'));
  expect(readFileSync(join(directory, 'audit.log'), 'utf8')).toBe('one\ntwo\n');
});

test('a file that would become too large is set aside by the time', async () => {
  const half = `${'x'.repeat(MEGABYTE / 2 - 1)}\n`;
  await withFile(open(), async (file) => {
    file.write(half);
    file.write(half);
    expect(names()).toEqual(['audit.log']);
    chmodSync(join(directory, 'audit.log'), 0o640);
    file.write('next\n');
    expect(names()).toEqual(['audit-2026-01-31T12-00-00.000.log', 'audit.log']);
    await clock.advance(1_234);
    file.write(half);
    file.write(half);
  });
  expect(names()).toEqual([
    'audit-2026-01-31T12-00-00.000.log',
    'audit-2026-01-31T12-00-01.234.log',
    'audit.log',
  ]);
  expect(statSync(join(directory, 'audit-2026-01-31T12-00-00.000.log')).size).toBe(MEGABYTE);
});

test('two of one millisecond keep both', async () => {
  const whole = `${'x'.repeat(MEGABYTE - 1)}\n`;
  await withFile(open(), (file) => {
    for (let i = 0; i < 3; i++) file.write(whole);
  });
  expect(names()).toEqual([
    'audit-2026-01-31T12-00-00.000.log',
    'audit-2026-01-31T12-00-00.001.log',
    'audit.log',
  ]);
});

test('what is larger than a file may be is refused', async () => {
  await withFile(open(), (file) => {
    expect(() => file.write('x'.repeat(MEGABYTE + 1))).toThrow(
      'write length 1048577 exceeds maximum file size 1048576',
    );
    file.write('fits\n');
  });
  expect(readFileSync(join(directory, 'audit.log'), 'utf8')).toBe('fits\n');
});

test('without a limit it grows', async () => {
  await withFile(open({ maxSize: 0 }), (file) => file.write('x'.repeat(2 * MEGABYTE)));
  expect(statSync(join(directory, 'audit.log')).size).toBe(2 * MEGABYTE);
});

test.each<readonly [string, Partial<RotationLimits>, readonly string[]]>([
  ['all are kept', {}, ['01-20', '01-28', '01-29.gz', '01-30']],
  ['so many are kept', { maxBackups: 2 }, ['01-29.gz', '01-30']],
  ['the old ones go', { maxAge: 3 }, ['01-28', '01-29.gz', '01-30']],
  ['both', { maxAge: 3, maxBackups: 1 }, ['01-30']],
])('of the old files %s', async (_, limits, expected) => {
  for (const day of ['01-20', '01-28', '01-29', '01-30'])
    writeFileSync(
      join(directory, `audit-2026-${day}T12-00-00.000.log${day === '01-29' ? '.gz' : ''}`),
      'old',
    );
  for (const other of [
    'audit-x.log',
    'other-2026-01-01T00-00-00.000.log',
    'audit-2026-99-01T00-00-00.000.log',
  ])
    writeFileSync(join(directory, other), 'of others');
  await open(limits).close();
  const kept = names().filter((name) => name.startsWith('audit-2026-0'));
  expect(kept.map((name) => name.slice(11, 16) + (name.endsWith('.gz') ? '.gz' : ''))).toEqual(expected);
  expect(names()).toContain('audit-x.log');
  expect(names()).toContain('other-2026-01-01T00-00-00.000.log');
  expect(names()).toContain('audit-2026-99-01T00-00-00.000.log');
});

test('old files are compressed, with the permissions that they had', async () => {
  const whole = `${'x'.repeat(MEGABYTE - 1)}\n`;
  await withFile(open({ compress: true, maxAge: 10 }), (file) => {
    file.write(whole);
    file.write('next\n');
  });
  const name = 'audit-2026-01-31T12-00-00.000.log.gz';
  expect(names()).toEqual([name, 'audit.log']);
  expect(gunzipSync(readFileSync(join(directory, name))).toString()).toBe(whole);
  expect(statSync(join(directory, name)).mode & 0o777).toBe(0o600);
  await clock.advance(11 * DAY);
  await open({ compress: true, maxAge: 10 }).close();
  expect(names()).toEqual(['audit.log']);
});

test('a file that somebody takes away is made anew when it is full', async () => {
  const whole = `${'x'.repeat(MEGABYTE - 1)}\n`;
  await withFile(open(), (file) => {
    file.write(whole);
    renameSync(join(directory, 'audit.log'), join(directory, 'taken'));
    file.write('next\n');
  });
  expect(names()).toEqual(['audit.log', 'taken']);
  expect(readFileSync(join(directory, 'audit.log'), 'utf8')).toBe('next\n');
});

test('a directory that cannot be written to is an error at once, and later one that passes', async () => {
  writeFileSync(join(directory, 'file'), '');
  expect(() => open({}, join(directory, 'file', 'audit.log'))).toThrow(/ENOTDIR|EEXIST/);

  const below = join(directory, 'below');
  const file = open({}, join(below, 'audit.log'));
  const losses: string[] = [];
  const backend = logBackend(file, 'json', (plugin, error, events) =>
    losses.push(`${plugin} ${events.length} ${String(error)}`),
  );
  expect(backend.process([auditEvent({ auditID: '1' })])).toBe(true);
  expect(
    backend.process([auditEvent({ requestURI: 'x'.repeat(MEGABYTE) }), auditEvent({ auditID: '2' })]),
  ).toBe(false);
  expect(losses).toEqual([expect.stringContaining('log 1 Error: write length')]);
  // The full file cannot be set aside while its directory is none.
  expect(backend.process([auditEvent({ requestURI: 'x'.repeat(MEGABYTE - 1_000) })])).toBe(true);
  rmSync(below, { recursive: true });
  writeFileSync(below, '');
  expect(backend.process([auditEvent({ auditID: '3' })])).toBe(false);
  expect(losses).toHaveLength(2);
  rmSync(below);
  // It comes back by itself.
  const again = open({}, join(below, 'audit.log'));
  await again.close();
  expect(backend.process([auditEvent({ auditID: '4' })])).toBe(true);
  await backend.stop();
  expect(readFileSync(join(below, 'audit.log'), 'utf8')).toContain('"auditID":"4"');
  expect(backend.process([auditEvent({})])).toBe(false);
  expect(losses.at(-1)).toBe('log 1 Error: audit backend shut down');
});

test.skipIf(process.platform !== 'linux')('a full disk is said to be one [Linux has /dev/full]', async () => {
  const losses: string[] = [];
  const backend = logBackend(open({ maxSize: 0 }, '/dev/full'), 'json', (_, error) =>
    losses.push(String(error)),
  );
  expect(backend.process([auditEvent({})])).toBe(false);
  expect(losses).toEqual([expect.stringContaining('ENOSPC')]);
  await backend.stop();
});

test('lines of both formats', async () => {
  for (const format of ['json', 'legacy'] as const) {
    const path = join(directory, `${format}.log`);
    const backend = logBackend(open({}, path), format, () => undefined);
    expect(backend.process([auditEvent({ auditID: 'a' }), auditEvent({ auditID: 'b' })])).toBe(true);
    await backend.stop();
    const lines = readFileSync(path, 'utf8').split('\n');
    expect(lines).toHaveLength(3);
    expect(lines[0]).toContain(format === 'json' ? '"auditID":"a"' : 'AUDIT: id="a"');
    expect(lines[2]).toBe('');
  }
  expect(existsSync(join(directory, 'audit.log'))).toBe(false);
});

async function withFile(
  file: RotatingFile,
  use: (file: RotatingFile) => void | Promise<void>,
): Promise<void> {
  await use(file);
  await file.close();
}
