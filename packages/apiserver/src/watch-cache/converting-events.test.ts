import type { KubeObject } from '@k8ts/api';
import type { StoreEvent } from '@k8ts/store';
import { beforeEach, expect, test } from 'vitest';
import { createObjectEncoding, encodeStored } from '../storage/object-encoding.ts';
import type { RecordFamily } from '../storage/object-record.ts';
import { RecordReader, type StoredConversion } from '../storage/record-reader.ts';
import { ConvertingEvents } from './converting-events.ts';

const stored = createObjectEncoding('x/v1', 'X');
const shown = createObjectEncoding('x/v2', 'X');
const family: RecordFamily = {
  encoding: shown,
  selectableFields: undefined,
  upgrade: (object) => object,
  upgradeAll: false,
  isForeign: true,
  freeze: () => undefined,
};

/** Questions that nobody has answered yet. */
let asked: { readonly objects: readonly KubeObject[]; answer(): void; refuse(error: Error): void }[] = [];
const conversion: StoredConversion = {
  storedEncoding: stored,
  fromStored: (objects) =>
    new Promise((resolve, reject) => {
      const answer = (): void => resolve(objects.map((object) => ({ ...object, apiVersion: 'x/v2' })));
      asked.push({ objects, answer, refuse: reject });
    }),
  toStored: (object) => Promise.resolve(object),
};

let applied: string[] = [];
let corrupt: string[] = [];
let failures: unknown[] = [];
let events: ConvertingEvents;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

beforeEach(() => {
  asked = [];
  applied = [];
  corrupt = [];
  failures = [];
  events = new ConvertingEvents({
    reader: new RecordReader(family, '/registry/x/xs/', false, conversion),
    apply: ({ type, kv }, record) =>
      applied.push(`${type} ${kv.modRevision} ${record?.object.apiVersion ?? '-'}`),
    onCorrupt: (kv) => corrupt.push(kv.key),
    onFailure: (error) => failures.push(error),
  });
});

function event(revision: number, version: 'v1' | 'v2' | 'deleted' | Buffer): StoreEvent {
  const object = { kind: 'X', metadata: { name: 'a' } } as KubeObject;
  const value = Buffer.isBuffer(version)
    ? version
    : version === 'deleted'
      ? Buffer.alloc(0)
      : encodeStored(version === 'v1' ? stored : shown, object);
  const key = '/registry/x/xs/a';
  return {
    type: version === 'deleted' ? 'delete' : 'put',
    kv: { key, value, createRevision: revision, modRevision: revision, version: 1 },
  };
}

test('nothing waits for what need not be converted, but behind what must', async () => {
  expect(events.mustWait([event(1, 'v2'), event(2, 'deleted')])).toBe(false);
  expect(events.mustWait([event(3, 'v2'), event(4, 'v1')])).toBe(true);
  events.push([event(4, 'v1')]);
  expect(events.mustWait([event(5, 'v2')])).toBe(true);
  events.push([event(5, 'v2'), event(6, 'deleted'), event(7, 'v1')]);
  expect(events.revision).toBe(3);
  await turn();
  expect(applied).toEqual([]);
  asked[0]?.answer();
  await turn();
  expect(applied).toEqual(['put 4 x/v2']);
  expect(events.revision).toBe(4);
  asked[1]?.answer();
  await turn();
  expect(applied).toEqual(['put 4 x/v2', 'put 5 -', 'delete 6 -', 'put 7 x/v2']);
  expect(events.revision).toBeUndefined();
  expect(asked.map(({ objects }) => objects.length)).toEqual([1, 1]);
});

test('who waits for a revision waits for no later one', async () => {
  await events.waitFor(9);
  events.push([event(4, 'v1')]);
  await events.waitFor(3);
  const reached: number[] = [];
  const waiting = [4, 5].map((revision) => events.waitFor(revision).then(() => reached.push(revision)));
  events.push([event(5, 'v1')]);
  asked[0]?.answer();
  await turn();
  expect(reached).toEqual([4]);
  asked[1]?.answer();
  await Promise.all(waiting);
  expect(reached).toEqual([4, 5]);
});

test('what is no object is left out', async () => {
  events.push([event(4, Buffer.from('{')), event(5, 'v1')]);
  await turn();
  asked[0]?.answer();
  await turn();
  expect(corrupt).toEqual(['/registry/x/xs/a']);
  expect(applied).toEqual(['put 5 x/v2']);
});

test('a failure forgets what waits, and tells who waits', async () => {
  events.push([event(4, 'v1'), event(5, 'v2')]);
  const waiting = events.waitFor(5);
  const told = expect(waiting).rejects.toThrow('down');
  asked[0]?.refuse(new Error('down'));
  await told;
  expect(failures).toMatchObject([{ message: 'down' }]);
  expect(applied).toEqual([]);
  expect(events.revision).toBeUndefined();
  // And goes on with what comes.
  events.push([event(6, 'v1')]);
  asked[1]?.answer();
  await turn();
  expect(applied).toEqual(['put 6 x/v2']);
});

test('an answer to what was forgotten is none', async () => {
  events.push([event(4, 'v1')]);
  const waiting = expect(events.waitFor(4)).rejects.toThrow('gap');
  events.clear(new Error('gap'));
  await waiting;
  events.push([event(5, 'v1')]);
  asked[0]?.answer();
  await turn();
  expect(applied).toEqual([]);
  asked[1]?.answer();
  await turn();
  expect(applied).toEqual(['put 5 x/v2']);
  expect(failures).toEqual([]);
});

test('only so much waits', () => {
  const large = Buffer.alloc(33 * 1024 * 1024, ' ');
  events.push([event(4, 'v1'), event(5, large)]);
  expect(failures).toEqual([]);
  events.push([event(6, large)]);
  expect(failures).toMatchObject([{ message: 'storage is (re)initializing' }]);
  expect(events.revision).toBeUndefined();
});
