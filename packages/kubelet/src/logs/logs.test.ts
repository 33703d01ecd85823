import { appendFile, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { realClock } from '@k8ts/base';
import { formatLogLine } from '@k8ts/cri';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { until } from '../testing/until.ts';
import { readLogFile } from './cri-log-reader.ts';
import { type LogOptions, logOptions } from './log-options.ts';
import { rotatedLogs, rotateLog } from './log-rotation.ts';

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'logs-test-'));
  path = join(directory, '0.log');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const WHOLE: LogOptions = {
  follow: false,
  timestamps: false,
  since: undefined,
  tail: undefined,
  limitBytes: undefined,
  stream: undefined,
};
const line = (second: number, text: string, stream: 'stdout' | 'stderr' = 'stdout'): string =>
  formatLogLine(second * 1000, stream, text);

function read(options: Partial<LogOptions>, running = false): Promise<string> {
  const output: Buffer[] = [];
  const input = { clock: realClock, options: { ...WHOLE, ...options }, signal: new AbortController().signal };
  return (async () => {
    for await (const piece of readLogFile(path, input, async () => running)) output.push(piece);
    return Buffer.concat(output).toString();
  })();
}

describe('a log in the CRI format', () => {
  beforeEach(async () => {
    await writeFile(
      path,
      line(1, 'one') +
        line(2, 'two', 'stderr') +
        '1970-01-01T00:00:03.000000000Z stdout P thr\n' +
        '1970-01-01T00:00:03.000000000Z stdout F ee\n' +
        line(4, '') +
        line(5, 'fünf'),
    );
  });

  for (const [title, options, expected] of [
    ['whole', {}, 'one\ntwo\nthree\n\nfünf\n'],
    ['with times', { timestamps: true, tail: 1 }, '1970-01-01T00:00:05.000000000Z fünf\n'],
    ['its last lines', { tail: 2 }, '\nfünf\n'],
    ['more than there are', { tail: 99 }, 'one\ntwo\nthree\n\nfünf\n'],
    ['nothing', { tail: 0 }, ''],
    ['since a time', { since: 3000 }, 'three\n\nfünf\n'],
    ['of one stream', { stream: 'stderr' }, 'two\n'],
    ['so many bytes', { limitBytes: 5 }, 'one\nt'],
  ] as const)
    it(`is read: ${title}`, async () => {
      expect(await read(options)).toBe(expected);
    });

  it('skips what is no record', async () => {
    await writeFile(path, `garbage\n${line(1, 'ok')}1970-01-01T00:00:02Z stdo`);
    expect(await read({})).toBe('ok\n');
  });

  it('counts lines from the end over many blocks', async () => {
    await writeFile(path, Array.from({ length: 20_000 }, (_, i) => line(i, `line ${i}`)).join(''));
    expect((await read({ tail: 15_000 })).split('\n')).toHaveLength(15_001);
    expect((await read({ tail: 15_000 })).startsWith('line 5000\n')).toBe(true);
  });
});

describe('following', () => {
  it('goes on across a rotation, and ends with the container', async () => {
    await writeFile(path, line(1, 'one'));
    let running = true;
    let text = '';
    const abort = new AbortController();
    const input = { clock: realClock, options: { ...WHOLE, follow: true }, signal: abort.signal };
    const done = (async () => {
      for await (const piece of readLogFile(path, input, async () => running)) text += piece.toString();
    })();
    await until(() => text === 'one\n');
    await appendFile(path, line(2, 'two'));
    await until(() => text === 'one\ntwo\n');
    await rename(path, `${path}.20260101-000000`);
    await writeFile(path, line(3, 'three'));
    await until(() => text === 'one\ntwo\nthree\n');
    await appendFile(path, line(4, 'four'));
    running = false;
    await done;
    expect(text).toBe('one\ntwo\nthree\nfour\n');
  });

  it('ends when the reader leaves', async () => {
    await writeFile(path, '');
    const abort = new AbortController();
    const input = { clock: realClock, options: { ...WHOLE, follow: true }, signal: abort.signal };
    const reader = readLogFile(path, input, async () => true);
    const next = reader.next();
    abort.abort();
    expect((await next).done).toBe(true);
  });
});

describe('options', () => {
  const of = (query: string) => logOptions(new URLSearchParams(query), 100_000);
  it('are read from the query', () => {
    expect(of('follow=true&previous=1&timestamps=true&tailLines=5&limitBytes=9&sinceSeconds=60')).toEqual({
      follow: true,
      previous: true,
      timestamps: true,
      since: 40_000,
      tail: 5,
      limitBytes: 9,
      stream: undefined,
    });
    expect(of('sinceTime=1970-01-01T00:00:07Z&follow=false')).toMatchObject({ since: 7000, follow: false });
  });
  for (const query of [
    'tailLines=-1',
    'tailLines=x',
    'limitBytes=0',
    'sinceSeconds=0',
    'sinceTime=yesterday',
    'sinceSeconds=1&sinceTime=1970-01-01T00:00:07Z',
    'stream=both',
  ])
    it(`refuse ${query}`, () => {
      expect(() => of(query)).toThrow();
    });
});

describe('rotation', () => {
  it('keeps as many files as it may, the older ones compressed', async () => {
    const options = { maxSize: 10, maxFiles: 3, reopen: async () => writeFile(path, '') };
    for (let i = 0; i < 5; i++) {
      await writeFile(path, `content number ${i}`);
      expect(await rotateLog(path, 'id', options, Date.UTC(2026, 0, 1, 0, 0, i))).toBe(true);
    }
    expect((await readdir(directory)).sort()).toEqual([
      '0.log',
      '0.log.20260101-000003.gz',
      '0.log.20260101-000004',
    ]);
    expect(await rotatedLogs(path)).toHaveLength(2);
    expect(await rotateLog(path, 'id', options, 0)).toBe(false);
  });

  it('takes the name back when the runtime cannot reopen it', async () => {
    await writeFile(path, 'content is long enough');
    const options = { maxSize: 10, maxFiles: 3, reopen: async () => Promise.reject(new Error('no')) };
    await expect(rotateLog(path, 'id', options, 0)).rejects.toThrow('no');
    expect(await readdir(directory)).toEqual(['0.log']);
  });
});
