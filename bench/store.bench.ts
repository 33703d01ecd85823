/**
 * The store's figures: `npx tsx bench/store.bench.ts [seconds per figure]`. One JSON line per figure (name, value,
 * unit), then the same as text. Guards packages/store/src/mvcc, watch and drivers/lmdb.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { realClock } from '@k8ts/base';
import { createMemoryStore, openLmdbStore, prefixEnd, type Store } from '@k8ts/store';

const seconds = Number(process.argv[2] ?? 2);
const VALUE = Buffer.alloc(1000, 'k8ts');
const clock = realClock;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

const figures: Figure[] = [];

function report(name: string, value: number, unit: string): void {
  const figure = { name, value: Math.round(value * 100) / 100, unit };
  figures.push(figure);
  console.log(JSON.stringify(figure));
}

/** Creates per second, by so many writers that each wait for their commit. */
async function creates(store: Store, writers: number): Promise<number> {
  let made = 0;
  const started = performance.now();
  const end = started + seconds * 1000;
  const write = async (writer: number): Promise<void> => {
    for (let i = 0; performance.now() < end; i++) {
      const key = `/registry/configmaps/namespace-${writer}/name-${i}`;
      const result = await store.commit({
        conditions: [{ key, modRevision: 0 }],
        operations: [{ type: 'put', key, value: VALUE }],
      });
      if (!result.succeeded) throw new Error('a create failed');
      made++;
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)));
  return made / ((performance.now() - started) / 1000);
}

async function withLmdb(run: (open: () => Promise<Store>) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'k8ts-bench-'));
  try {
    await run(() => openLmdbStore({ directory, clock }));
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function watchEvents(store: Store, watchers: number): Promise<number> {
  let seen = 0;
  const handles = Array.from({ length: watchers }, () =>
    store.watch({
      start: '/registry/pods/',
      end: prefixEnd('/registry/pods/'),
      onEvents: (events) => (seen += events.length),
      onEnd: () => undefined,
    }),
  );
  await Promise.all(handles.map(({ ready }) => ready));
  const started = performance.now();
  while (performance.now() - started < seconds * 1000)
    await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        store.commit({
          conditions: [],
          operations: [{ type: 'put', key: `/registry/pods/${i}`, value: VALUE }],
        }),
      ),
    );
  const rate = seen / ((performance.now() - started) / 1000);
  for (const handle of handles) handle.close();
  return rate;
}

async function fill(store: Store, keys: number): Promise<void> {
  for (let i = 0; i < keys; i += 1000)
    await Promise.all(
      Array.from({ length: 1000 }, (_, j) => {
        const key = `/registry/pods/namespace-${(i + j) % 100}/application-7c5ddbdf54-${i + j}`;
        return store.commit({ conditions: [], operations: [{ type: 'put', key, value: VALUE }] });
      }),
    );
}

function heapUsed(): number {
  collectGarbage();
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

for (const writers of [1, 32, 1000]) {
  await using store = createMemoryStore({ clock });
  report(`memory: creates, ${writers} writers`, await creates(store, writers), '/s');
}
for (const writers of [1, 32, 1000])
  await withLmdb(async (open) => {
    await using store = await open();
    report(`lmdb: creates, ${writers} writers`, await creates(store, writers), '/s');
  });
for (const watchers of [1, 100]) {
  await using store = createMemoryStore({ clock });
  report(`memory: watch events, ${watchers} watchers`, await watchEvents(store, watchers), '/s');
}
await withLmdb(async (open) => {
  await using store = await open();
  report('lmdb: watch events, 100 watchers', await watchEvents(store, 100), '/s');
});
await withLmdb(async (open) => {
  const started = performance.now();
  const store = await open();
  report('lmdb: open, empty', performance.now() - started, 'ms');
  await fill(store, 100_000);
  await store[Symbol.asyncDispose]();
  const before = heapUsed();
  const again = performance.now();
  await using full = await open();
  report('lmdb: open, 100,000 keys of 1 kB', performance.now() - again, 'ms');
  report('lmdb: heap per key', (heapUsed() - before) / 100_000, 'bytes');
  const range = { start: '/registry/pods/', end: prefixEnd('/registry/pods/') };
  const read = performance.now();
  const { items } = await full.range(range);
  report('lmdb: range of everything', items.length / ((performance.now() - read) / 1000), 'keys/s');
  await fill(full, 100_000);
  const compacting = performance.now();
  await full.compact(await full.revision());
  report('lmdb: compaction of 100,000 old versions', performance.now() - compacting, 'ms');
});

console.log(`\n${'figure'.padEnd(46)}${'value'.padStart(14)}`);
for (const { name, value, unit } of figures)
  console.log(`${name.padEnd(46)}${value.toLocaleString('en').padStart(14)} ${unit}`);
