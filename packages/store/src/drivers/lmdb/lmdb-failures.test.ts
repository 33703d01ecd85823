import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { realClock } from '@k8ts/base';
import { open } from 'lmdb';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { CompactedError, prefixEnd, type Store, UnavailableError } from '../../contract.ts';
import { line, plain, put, record, remove } from '../../testing/contract-steps.ts';
import { openLmdbStore } from './lmdb-store.ts';
import { encodeNumber, settingKey } from './row.ts';

const clock = realClock;
const ALL = { start: '/', end: prefixEnd('/') };
let directory = '';

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k8ts-store-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const openStore = (): Promise<Store> => openLmdbStore({ directory, clock });

/** A raw environment in the place of a store. */
async function writeRaw(write: (put: (key: Buffer, value: Buffer) => void) => void): Promise<void> {
  const environment = open<Buffer, Buffer>({
    path: directory,
    noSubdir: false,
    encoding: 'binary',
    keyEncoding: 'binary',
  });
  write((key, value) => void environment.putSync(key, value));
  await environment.close();
}

describe('opening again', () => {
  test('everything is as it was', async () => {
    let store = await openStore();
    for (let i = 0; i < 5; i++) await put(store, `/a${i}`, `${i}`);
    await put(store, '/a1', 'changed');
    const { id } = await store.grantLease(3600);
    await put(store, '/leased', 'x', id);
    await put(store, '/deleted', 'x');
    const { revision } = await remove(store, '/deleted');
    await store.compact(4);
    const before = await store.range(ALL);
    await store[Symbol.asyncDispose]();

    store = await openStore();
    const after = await store.range(ALL);
    expect(after.items.map(plain)).toEqual(before.items.map(plain));
    expect(after.revision).toBe(revision);
    expect((await store.leases()).map(({ keys, ttl }) => [keys, ttl])).toEqual([[['/leased'], 3600]]);
    await expect(store.get('/a0', { revision: 3 })).rejects.toThrow(CompactedError);
    expect(plain(await store.get('/a1', { revision: 4 }))).toMatchObject({ value: '1' });
    const watch = record(store, '/', 7);
    await watch.count(4);
    expect(watch.events.map((event) => line(event, '/'))).toEqual([
      'put a1=changed @7',
      'put leased=x @8',
      'put deleted=x @9',
      'delete deleted @10',
    ]);
    await store.revokeLease(id);
    expect(await store.get('/leased')).toBeUndefined();
    await store[Symbol.asyncDispose]();
  });

  test('compaction to the newest revision does not turn the counter back', async () => {
    let store = await openStore();
    await put(store, '/a', '');
    const { revision } = await remove(store, '/a');
    await store.compact(revision);
    await store[Symbol.asyncDispose]();
    store = await openStore();
    expect(await store.revision()).toBe(revision);
    expect((await put(store, '/a', '')).revision).toBe(revision + 1);
    await store[Symbol.asyncDispose]();
  });

  test('a compaction that was cut short is finished', async () => {
    let store = await openStore();
    for (let i = 0; i < 10; i++) await put(store, '/a', `${i}`);
    await store[Symbol.asyncDispose]();
    await writeRaw((putRow) => putRow(settingKey('compactRevision'), encodeNumber(9))); // but nothing was removed
    store = await openStore();
    await expect(store.get('/a', { revision: 8 })).rejects.toThrow(CompactedError);
    expect(plain(await store.get('/a', { revision: 9 }))).toMatchObject({ value: '7' });
    await store.compact(10); // waits for the sweep that opening began
    await store[Symbol.asyncDispose]();
    const rows: number[] = [];
    const raw = open<Buffer, Buffer>({
      path: directory,
      noSubdir: false,
      encoding: 'binary',
      keyEncoding: 'binary',
    });
    for (const { key } of raw.getRange({ start: Buffer.from('v'), end: Buffer.from('w') }))
      rows.push(key.readUInt32BE(5));
    await raw.close();
    expect(rows).toEqual([10, 11]);
  });
});

describe('one store per directory', () => {
  test('in one process', async () => {
    const store = await openStore();
    await expect(openStore()).rejects.toThrow(/is in use by another process/);
    await put(store, '/a', '');
    await store[Symbol.asyncDispose]();
    expect((await readdir(directory)).sort()).toEqual(['data.mdb', 'lock.mdb']);
    const again = await openStore();
    expect(await again.get('/a')).toBeDefined();
    await again[Symbol.asyncDispose]();
  });

  test('in two processes, and a killed one holds nothing', async () => {
    const holder = await startHolder();
    await expect(openStore()).rejects.toThrow(UnavailableError);
    await kill(holder);
    expect((await stat(join(directory, 'lock.sock'))).isSocket()).toBe(true); // left behind
    const store = await openStore();
    await expect(openStore()).rejects.toThrow(UnavailableError);
    await store[Symbol.asyncDispose]();
  });

  test('of many that take over a dead lock at once, one wins', async () => {
    await kill(await startHolder());
    const results = await Promise.allSettled(Array.from({ length: 10 }, openStore));
    const won = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    expect(won).toHaveLength(1);
    await won[0]?.[Symbol.asyncDispose]();
  });

  test('a directory with a long name', async () => {
    directory = join(directory, 'x'.repeat(100), 'y'.repeat(100));
    const store = await openStore();
    await expect(openStore()).rejects.toThrow(/is in use/);
    await store[Symbol.asyncDispose]();
  });

  /** Another process that has the store open. */
  async function startHolder(): Promise<ChildProcess> {
    const module = pathToFileURL(join(import.meta.dirname, 'directory-lock.ts')).href;
    const script = `const { lockDirectory } = await import(${JSON.stringify(module)});
      await lockDirectory(${JSON.stringify(directory)}); console.log('held'); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve, reject) => {
      child.stdout?.once('data', resolve);
      child.once('exit', () => reject(new Error('the holder ended')));
    });
    return child;
  }

  async function kill(child: ChildProcess): Promise<void> {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }
});

describe('what is no store is refused and left alone', () => {
  test('another schema version', async () => {
    await writeRaw((putRow) => putRow(settingKey('schema'), encodeNumber(99)));
    await expect(openStore()).rejects.toThrow(/has schema version 99, this program knows 1 only/);
  });

  test('an LMDB environment of somebody else', async () => {
    await writeRaw((putRow) => putRow(Buffer.from('theirs'), Buffer.from('data')));
    await expect(openStore()).rejects.toThrow(/is no store of k8ts/);
  });

  test('a file that is no LMDB environment', async () => {
    const file = join(directory, 'data.mdb');
    await writeFile(file, Buffer.alloc(20_000, 'garbage'));
    await expect(openStore()).rejects.toThrow(UnavailableError);
    expect((await readFile(file)).equals(Buffer.alloc(20_000, 'garbage'))).toBe(true);
  });

  test('a truncated store is refused, however little is missing that is in use', async () => {
    const store = await openStore();
    const value = 'x'.repeat(3000);
    for (let i = 0; i < 50; i++) await put(store, `/a${i}`, value);
    await store[Symbol.asyncDispose]();
    const file = join(directory, 'data.mdb');
    const whole = await readFile(file);
    let refused = 0;
    for (let length = whole.length - 4096; length > 0; length -= 4096) {
      await writeFile(file, whole.subarray(0, length));
      const cut = await openStore().catch((error: unknown) => error);
      if (cut instanceof Error) {
        expect(cut).toBeInstanceOf(UnavailableError);
        expect(cut.message).toMatch(/damaged/);
        refused++;
        continue;
      }
      // Only pages that nobody uses were missing: LMDB itself leaves such pages unwritten at the end of the file.
      const { items } = await (cut as Store).range({ start: '/', end: '0' });
      expect(items.map((item) => item.value.length)).toEqual(Array.from({ length: 50 }, () => value.length));
      expect(items.every((item) => Buffer.from(item.value).toString() === value)).toBe(true);
      await (cut as Store)[Symbol.asyncDispose]();
    }
    expect(refused).toBeGreaterThan(10);
  });

  test('damaged rows', async () => {
    const store = await openStore();
    await put(store, '/a', 'x');
    await store[Symbol.asyncDispose]();
    await writeRaw((putRow) =>
      putRow(Buffer.concat([Buffer.from('v'), Buffer.alloc(12, 1)]), Buffer.from('nonsense')),
    );
    await expect(openStore()).rejects.toThrow(/the data is damaged/);
  });

  test('a path that cannot be a directory', async () => {
    const file = join(directory, 'file');
    await writeFile(file, '');
    await expect(openLmdbStore({ directory: join(file, 'store'), clock })).rejects.toThrow(
      /cannot make the data directory/,
    );
  });
});

/** A small file system of its own needs a mount namespace, and that needs root. */
const canMount =
  process.platform === 'linux' &&
  spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;

describe.skipIf(!canMount)('on a file system of 3 MB (needs the right to mount)', () => {
  test('a full disk: clear errors, nothing acknowledged lost', () => {
    const report = runOnSmallDisk(
      'head -c 1000000 /dev/zero > ballast',
      `let seen = 0;
       store.watch({ ...range, onEvents: (events) => (seen += events.length), onEnd: () => undefined });
       const acknowledged = [];
       const errors = new Set();
       for (let i = 0; i < 20; i++)
         for (const result of await Promise.allSettled(Array.from({ length: 16 }, (_, j) => put(i + '/' + j, 8000))))
           if (result.status === 'fulfilled') acknowledged.push(result.value.revision);
           else errors.add(result.reason.name + ': ' + result.reason.message);
       const revision = await store.revision();
       rmSync('ballast');
       const again = await put('again', 10);
       await store[Symbol.asyncDispose]();
       store = await openLmdbStore({ directory: '.', clock });
       const { count } = await store.range(range);
       report({ acknowledged: acknowledged.length, last: acknowledged.at(-1), errors: [...errors], seen, revision, again, count });`,
    ) as {
      readonly acknowledged: number;
      readonly last: number;
      readonly errors: readonly string[];
      readonly seen: number;
      readonly revision: number;
      readonly again: unknown;
      readonly count: number;
    };
    expect(report.acknowledged).toBeGreaterThan(50);
    expect(report.acknowledged).toBeLessThan(320);
    expect(report.errors).toEqual(['UnavailableError: cannot write to the store in .: the disk is full']);
    expect(report.revision).toBe(report.last);
    expect(report.again).toEqual({ succeeded: true, revision: report.last + 1 });
    expect(report.seen).toBe(report.acknowledged + 1);
    expect(report.count).toBe(report.acknowledged + 1);
  });

  test('a file system that became read-only', () => {
    const report = runOnSmallDisk(
      'true',
      `await put('a', 10);
       await store[Symbol.asyncDispose]();
       execFileSync('mount', ['-o', 'remount,ro', process.cwd()]);
       report(await openLmdbStore({ directory: '.', clock }).then(() => 'opened', (error) => error.name + ': ' + error.message));`,
    );
    expect(report).toMatch(/^UnavailableError: .*read-only/);
  });

  /** Runs `body` with an open `store` in the mounted directory, and returns what it gave to `report`. */
  function runOnSmallDisk(prepare: string, body: string): unknown {
    const mount = join(directory, 'mount');
    const script = join(directory, 'script.mts');
    const source = (path: string): string =>
      JSON.stringify(pathToFileURL(join(import.meta.dirname, path)).href);
    mkdirSync(mount);
    writeFileSync(
      script,
      `import { execFileSync } from 'node:child_process';
       import { rmSync } from 'node:fs';
       import { realClock as clock } from ${source('../../../../base/src/index.ts')};
       import { openLmdbStore } from ${source('../../index.ts')};
       const range = { start: '/', end: '0' };
       const report = (value) => console.log(JSON.stringify(value));
       let store = await openLmdbStore({ directory: '.', clock });
       const put = (name, size) => store.commit({
         conditions: [], operations: [{ type: 'put', key: '/' + name, value: Buffer.alloc(size) }] });
       ${body}
       await store[Symbol.asyncDispose]();`,
    );
    const tsx = import.meta.resolve('tsx');
    const command = `mount -t tmpfs -o size=3m none "${mount}" && cd "${mount}" && ${prepare} && exec "${process.execPath}" --import "${tsx}" "${script}"`;
    const result = spawnSync('unshare', ['-m', 'sh', '-c', command], { encoding: 'utf8', timeout: 60_000 });
    const line = result.stdout.trim().split('\n').at(-1) ?? '';
    if (line === '') throw new Error(result.stderr);
    return JSON.parse(line);
  }
});
