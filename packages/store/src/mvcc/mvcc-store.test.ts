import { silentLogger, VirtualClock } from '@k8ts/base';
import { expect, test } from 'vitest';

import {
  LeaseNotFoundError,
  prefixEnd,
  type Store,
  UnavailableError,
  UnknownOutcomeError,
} from '../contract.ts';
import { line, put, record, remove } from '../testing/contract-steps.ts';
import type { Journal, JournalBatch } from './journal.ts';
import { MvccStore } from './mvcc-store.ts';
import type { Version } from './version.ts';

/** A journal whose writes end when, and how, the test says. */
class ManualJournal implements Journal {
  readonly batches: JournalBatch[] = [];
  readonly removed: Version[] = [];
  removeError: Error | undefined;
  readonly #rows = new Map<string, Uint8Array>();
  readonly #waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];

  readValue({ modRevision, sub }: Version): Uint8Array {
    const value = this.#rows.get(`${modRevision}.${sub}`);
    if (value === undefined) throw new Error(`no row ${modRevision}.${sub}`);
    return value;
  }

  write(batch: JournalBatch): Promise<void> {
    this.batches.push(batch);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  async remove(versions: readonly Version[]): Promise<void> {
    if (this.removeError !== undefined) throw this.removeError;
    this.removed.push(...versions);
  }

  async markSwept(): Promise<void> {}
  async close(): Promise<void> {}

  async succeed(): Promise<void> {
    const batch = this.batches.at(-1);
    for (const { modRevision, sub, value } of batch?.versions ?? [])
      this.#rows.set(`${modRevision}.${sub}`, value as Uint8Array);
    this.#waiting.shift()?.resolve();
    await turn();
  }

  async fail(error: Error): Promise<void> {
    this.#waiting.shift()?.reject(error);
    await turn();
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const clock = new VirtualClock();
const ALL = { start: '/', end: prefixEnd('/') };

function open(): { store: Store; journal: ManualJournal } {
  const journal = new ManualJournal();
  return { store: new MvccStore({ clock, logger: silentLogger, journal }), journal };
}

async function keys(store: Store): Promise<string[]> {
  return (await store.range(ALL)).items.map(({ key }) => key);
}

/** What a promise has come to so far. */
async function outcome(promise: Promise<unknown>): Promise<string> {
  return Promise.race([
    promise.then(
      () => 'resolved',
      (error: Error) => error.name,
    ),
    turn().then(() => 'pending'),
  ]);
}

test('commits that wait share one write; nobody sees them before', async () => {
  const { store, journal } = open();
  const watch = record(store, '/');
  const first = put(store, '/a', '1');
  await turn();
  const others = [put(store, '/b', '2'), put(store, '/c', '3'), remove(store, '/a')];
  expect(journal.batches.map(({ versions }) => versions.length)).toEqual([1]);
  expect(await store.revision()).toBe(1);
  expect(await keys(store)).toEqual([]);
  expect((await store.range({ ...ALL, countOnly: true })).count).toBe(0);
  expect(watch.events).toEqual([]);

  await journal.succeed();
  expect(await first).toEqual({ succeeded: true, revision: 2 });
  expect(journal.batches.map(({ versions }) => versions.length)).toEqual([1, 3]);
  expect(await keys(store)).toEqual(['/a']);
  expect((await store.range({ ...ALL, countOnly: true })).count).toBe(1);
  expect((await Promise.all(others.map(outcome))).every((state) => state === 'pending')).toBe(true);

  await journal.succeed();
  expect(await Promise.all(others)).toEqual([3, 4, 5].map((revision) => ({ succeeded: true, revision })));
  expect(await keys(store)).toEqual(['/b', '/c']);
  expect(watch.events.map((event) => line(event, '/'))).toEqual([
    'put a=1 @2',
    'put b=2 @3',
    'put c=3 @4',
    'delete a @5',
  ]);
});

test('a commit conflicts with one that is not yet on disk, and says so only when that is', async () => {
  const { store, journal } = open();
  const winner = put(store, '/a', '1');
  const loser = store.commit({
    conditions: [{ key: '/a', modRevision: 0 }],
    operations: [{ type: 'delete', key: '/a' }],
  });
  const nothing = remove(store, '/other');
  expect(await outcome(loser)).toBe('pending');
  expect(await outcome(nothing)).toBe('pending');
  await journal.succeed();
  await winner;
  expect(await loser).toMatchObject({
    succeeded: false,
    revision: 2,
    current: [{ key: '/a', modRevision: 2 }],
  });
  expect(await nothing).toEqual({ succeeded: true, revision: 2 });
});

test('a failed write takes back everything after the durable revision', async () => {
  const { store, journal } = open();
  const base = put(store, '/kept', '0');
  await turn();
  await journal.succeed();
  await base;
  const granting = store.grantLease(60, 5n);
  await turn();
  await journal.succeed();
  await granting;
  const attached = put(store, '/leased', '', 5n);
  await turn();
  await journal.succeed();
  await attached;
  const watch = record(store, '/');

  const failing = [put(store, '/kept', '1'), put(store, '/new', '1'), store.grantLease(60, 6n)];
  await turn();
  // Gathered while the first ones fail, and checked against them.
  const gathered = [remove(store, '/kept'), store.revokeLease(5n), put(store, '/leased', 'x')];
  const settled = Promise.allSettled([...failing, ...gathered]);
  await journal.fail(new UnavailableError('disk full'));
  const results = await settled;
  expect(
    results.map((result) => (result.status === 'rejected' ? (result.reason as Error).message : '')),
  ).toEqual(new Array(6).fill('disk full'));

  expect(await store.revision()).toBe(3);
  expect(await keys(store)).toEqual(['/kept', '/leased']);
  expect((await store.range({ ...ALL, countOnly: true })).count).toBe(2);
  expect(Buffer.from((await store.get('/kept'))?.value ?? []).toString()).toBe('0');
  expect((await store.leases()).map(({ id, keys }) => [id, keys])).toEqual([[5n, ['/leased']]]);
  await expect(store.keepLeaseAlive(6n)).rejects.toThrow(LeaseNotFoundError);
  expect(watch.events).toEqual([]);

  const next = put(store, '/kept', '2');
  await turn();
  await journal.succeed();
  expect(await next).toEqual({ succeeded: true, revision: 4 });
  expect(watch.events.map((event) => line(event, '/'))).toEqual(['put kept=2 @4']);
});

test('an error of unknown kind leaves the outcome unknown', async () => {
  const { store, journal } = open();
  const commit = put(store, '/a', '1');
  commit.catch(() => undefined);
  await turn();
  await journal.fail(new Error('odd'));
  await expect(commit).rejects.toThrow(UnknownOutcomeError);
});

test('versions that could not be removed are removed with the next compaction', async () => {
  const { store, journal } = open();
  const write = async (work: Promise<unknown>): Promise<void> => {
    await turn();
    await journal.succeed();
    await work;
  };
  await write(put(store, '/a', '1')); // 2
  await write(remove(store, '/a')); // 3
  journal.removeError = new UnavailableError('disk full');
  const failing = store.compact(3); // keeps the deletion, drops revision 2
  failing.catch(() => undefined);
  await turn();
  await journal.succeed();
  await expect(failing).rejects.toThrow('disk full');
  journal.removeError = undefined;
  await write(put(store, '/b', '')); // 4
  await write(store.compact(4));
  expect(journal.removed.map(({ modRevision }) => modRevision).sort()).toEqual([2, 3]);
});

test('closing waits for what is under way and refuses what comes later', async () => {
  const { store, journal } = open();
  const commit = put(store, '/a', '1');
  const watch = record(store, '/');
  await turn();
  const closing = store[Symbol.asyncDispose]();
  await expect(put(store, '/b', '')).rejects.toThrow(UnavailableError);
  await journal.succeed();
  expect(await commit).toEqual({ succeeded: true, revision: 2 });
  await closing;
  expect(watch.events).toHaveLength(1);
  expect(await watch.ended()).toBeInstanceOf(UnavailableError);
  expect(await record(store, '/').ended()).toBeInstanceOf(UnavailableError);
  await store[Symbol.asyncDispose]();
});
