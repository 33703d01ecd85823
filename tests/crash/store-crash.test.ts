import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { type Random, realClock, seededRandom } from '@k8ts/base';
import { type KeyValue, openLmdbStore, prefixEnd, type Store, type StoreEvent } from '@k8ts/store';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';

import type { Acknowledged, CommitMark } from './store-crash-protocol.ts';

/** Kills per run of the test; the seed tells when each happens. */
const ROUNDS = Number(process.env['K8TS_CRASH_ROUNDS'] ?? 100);
const SEED = Number(process.env['K8TS_CRASH_SEED'] ?? 1);
const LONGEST_RUN = 400; // acknowledged lines before the kill
const RANGE = { start: '/crash/', end: prefixEnd('/crash/') };

const writer = join(import.meta.dirname, '../../node_modules/.cache/k8ts/store-crash-writer.mjs');
let directory = '';

beforeAll(async () => {
  await mkdir(join(writer, '..'), { recursive: true });
  await build({
    entryPoints: [join(import.meta.dirname, 'store-crash-writer.ts')],
    outfile: writer,
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['lmdb', '@grpc/grpc-js', 'protobufjs', 'prom-client'],
    logLevel: 'error',
  });
  directory = await mkdtemp(join(tmpdir(), 'k8ts-crash-'));
});

afterAll(() => rm(directory, { recursive: true, force: true }));

test(`${ROUNDS} kills in the middle of writing lose no acknowledged commit (seed ${SEED})`, async () => {
  const random = seededRandom(SEED);
  const state = new Map<string, KeyValue>();
  const leases = new Set<string>();
  let revision = 1;
  let acknowledged = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const lines = await runAndKill(random, SEED * 1000 + round);
    acknowledged += lines.length;
    await using store = await openLmdbStore({ directory, clock: realClock });
    const newest = await store.revision();
    const events = await replay(store, revision + 1, newest);
    const commits = applyWhole(state, events, revision, newest);
    for (const line of lines)
      if (line.type === 'lease') leases.add(line.id);
      else if (commits.get(line.revision) !== line.mark.id)
        throw new Error(`the acknowledged commit ${line.mark.id} at revision ${line.revision} is lost`);
    const { items } = await store.range(RANGE);
    expect(items.length).toBe(state.size);
    for (const item of items) expectSame(item, state.get(item.key));
    const kept = new Set((await store.leases()).map(({ id }) => String(id)));
    expect([...leases].filter((id) => !kept.has(id))).toEqual([]);
    revision = newest;
  }
  expect(acknowledged).toBeGreaterThan(ROUNDS * 20); // the kills did come in the middle of work
}, 600_000);

/** Runs the writer, kills it after a random number of acknowledgements, and returns all it had printed. */
async function runAndKill(random: Random, seed: number): Promise<Acknowledged[]> {
  const stopAfter = Math.floor(random() * LONGEST_RUN);
  const delay = random() * 3;
  const whileOpening = random() < 0.15; // some die before or while they open the store
  const child = spawn(process.execPath, [writer, directory, String(seed)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (text: Buffer) => (errors += text.toString()));
  const ended = new Promise<NodeJS.Signals | null>((resolve) =>
    child.once('exit', (_, signal) => resolve(signal)),
  );
  const lines: Acknowledged[] = [];
  let killing = whileOpening;
  if (whileOpening) setTimeout(() => child.kill('SIGKILL'), 50 + random() * 150);
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.endsWith('}')) lines.push(JSON.parse(line) as Acknowledged); // the last line may be cut
    if (lines.length < stopAfter || killing) continue;
    killing = true;
    setTimeout(() => child.kill('SIGKILL'), delay);
  }
  expect(await ended, errors).toBe('SIGKILL');
  return lines;
}

function replay(store: Store, from: number, to: number): Promise<StoreEvent[]> {
  if (from > to) return Promise.resolve([]);
  return new Promise((resolve, reject) => {
    const events: StoreEvent[] = [];
    const watch = store.watch({
      ...RANGE,
      startRevision: from,
      onEvents: (batch, revision) => {
        events.push(...batch);
        if (revision >= to) watch.close();
      },
      onEnd: (error) => (error === undefined ? resolve(events) : reject(error)),
    });
  });
}

/**
 * Plays the events on `state` and returns which commit made which revision. Every revision from `after` to `newest` must
 * be there, with all that its commit was to put and delete.
 */
function applyWhole(
  state: Map<string, KeyValue>,
  events: readonly StoreEvent[],
  after: number,
  newest: number,
): ReadonlyMap<number, string> {
  const byRevision = new Map<number, StoreEvent[]>();
  for (const event of events) {
    const together = byRevision.get(event.kv.modRevision);
    if (together === undefined) byRevision.set(event.kv.modRevision, [event]);
    else together.push(event);
  }
  expect([...byRevision.keys()]).toEqual(Array.from({ length: newest - after }, (_, i) => after + 1 + i));
  const commits = new Map<number, string>();
  for (const [revision, together] of byRevision) {
    const puts = together.filter(({ type }) => type === 'put').map(({ kv }) => kv);
    const mark = puts[0] === undefined ? undefined : markOf(puts[0]);
    for (const event of together) apply(state, event);
    if (
      mark === undefined ||
      puts.length !== mark.puts.length ||
      puts.some((kv) => !mark.puts.includes(kv.key) || markOf(kv).id !== mark.id) ||
      mark.deletes.some((key) => state.has(key))
    )
      throw new Error(`revision ${revision} holds half a commit`);
    commits.set(revision, mark.id);
  }
  return commits;
}

/** Throws when the value is not whole. */
function markOf({ key, value }: KeyValue): CommitMark {
  const text = Buffer.from(value).toString();
  const end = text.indexOf('}') + 1;
  const mark = text.slice(0, end);
  if (end === 0 || !text.endsWith(mark)) throw new Error(`the value of ${key} is not whole`);
  return JSON.parse(mark) as CommitMark;
}

/** Plays an event on a map, checking that its bookkeeping follows from what was there. */
function apply(state: Map<string, KeyValue>, { type, kv }: StoreEvent): void {
  const before = state.get(kv.key);
  if (type === 'delete') {
    if (before === undefined) throw new Error(`${kv.key} was deleted twice`);
    state.delete(kv.key);
    return;
  }
  expect(kv.version).toBe((before?.version ?? 0) + 1);
  expect(kv.createRevision).toBe(before?.createRevision ?? kv.modRevision);
  state.set(kv.key, kv);
}

function expectSame(found: KeyValue, wanted: KeyValue | undefined): void {
  expect({ ...found, value: undefined }).toEqual({ ...wanted, value: undefined });
  expect(Buffer.compare(found.value, wanted?.value ?? Buffer.alloc(0))).toBe(0);
  markOf(found);
}
