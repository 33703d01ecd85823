import { expect, test } from 'vitest';

import {
  FutureRevisionError,
  InvalidRequestError,
  type KeyValue,
  keyFromText,
  LeaseNotFoundError,
  prefixEnd,
} from '../contract.ts';
import { bytes, plain, put, remove } from './contract-steps.ts';
import type { ContractContext } from './contract-context.ts';

export function testCommits(context: ContractContext): void {
  test('a created key has version 1 and the revision of its commit', async () => {
    const { store } = context;
    const key = context.prefix();
    const before = await store.revision();
    const result = await put(store, key, 'one');
    expect(result).toEqual({ succeeded: true, revision: before + 1 });
    expect(await store.revision()).toBe(before + 1);
    expect(plain(await store.get(key))).toEqual({
      key,
      value: 'one',
      createRevision: before + 1,
      modRevision: before + 1,
      version: 1,
    });
  });

  test('an update keeps createRevision and counts version; a deletion starts anew', async () => {
    const { store } = context;
    const key = context.prefix();
    const { revision: created } = await put(store, key, '1');
    await put(store, key, '2');
    expect(plain(await store.get(key))).toMatchObject({
      createRevision: created,
      modRevision: created + 1,
      version: 2,
    });
    await remove(store, key);
    expect(await store.get(key)).toBeUndefined();
    await put(store, key, '3');
    expect(plain(await store.get(key))).toMatchObject({
      createRevision: created + 3,
      modRevision: created + 3,
      version: 1,
    });
  });

  test('old revisions stay readable', async () => {
    const { store } = context;
    const key = context.prefix();
    const { revision } = await put(store, key, '1');
    await put(store, key, '2');
    await remove(store, key);
    const values: (string | undefined)[] = [];
    for (let at = revision - 1; at <= revision + 2; at++)
      values.push(plain(await store.get(key, { revision: at }))?.['value'] as string | undefined);
    expect(values).toEqual([undefined, '1', '2', undefined]);
    await expect(store.get(key, { revision: revision + 3 })).rejects.toThrow(FutureRevisionError);
  });

  test('deleting what is not there changes nothing', async () => {
    const { store } = context;
    const before = await store.revision();
    expect(await remove(store, context.prefix())).toEqual({ succeeded: true, revision: before });
    expect(await store.revision()).toBe(before);
  });

  test('conditions compare modRevision, 0 meaning absent', async () => {
    const { store } = context;
    const key = context.prefix();
    const create = { conditions: [{ key, modRevision: 0 }], operations: [putOf(key, 'a')] };
    const first = await store.commit(create);
    expect(first.succeeded).toBe(true);
    const second = await store.commit(create);
    expect(second).toMatchObject({ succeeded: false, revision: first.revision });
    expect(second.succeeded ? [] : second.current.map(plain)).toEqual([plain(await store.get(key))]);

    const stale = await store.commit({
      conditions: [{ key, modRevision: first.revision - 1 }],
      operations: [putOf(key, 'b')],
    });
    expect(stale.succeeded).toBe(false);
    const fresh = await store.commit({
      conditions: [{ key, modRevision: first.revision }],
      operations: [{ type: 'delete', key }],
    });
    expect(fresh).toEqual({ succeeded: true, revision: first.revision + 1 });
    const absent = await store.commit({
      conditions: [{ key, modRevision: first.revision }],
      operations: [putOf(key, 'c')],
    });
    expect(absent).toEqual({ succeeded: false, revision: first.revision + 1, current: [undefined] });
  });

  test('several operations share one revision, all or none', async () => {
    const { store } = context;
    const prefix = context.prefix();
    const [a, b, c] = [`${prefix}a`, `${prefix}b`, `${prefix}c`];
    const { revision } = await put(store, a, '0');
    const result = await store.commit({
      conditions: [
        { key: a, modRevision: revision },
        { key: b, modRevision: 0 },
      ],
      operations: [{ type: 'delete', key: a }, putOf(b, '1'), putOf(c, '2')],
    });
    expect(result).toEqual({ succeeded: true, revision: revision + 1 });
    const { items } = await store.range({ start: prefix, end: prefixEnd(prefix) });
    expect(items.map((kv) => [kv.key, kv.modRevision])).toEqual([
      [b, revision + 1],
      [c, revision + 1],
    ]);
    const failed = await store.commit({
      conditions: [
        { key: b, modRevision: revision + 1 },
        { key: c, modRevision: 0 },
      ],
      operations: [putOf(a, 'never'), { type: 'delete', key: b }],
    });
    expect(failed.succeeded ? [] : failed.current.map((kv) => kv?.key)).toEqual([b, c]);
    expect(await store.get(a)).toBeUndefined();
    expect(await store.get(b)).toBeDefined();
  });

  test('impossible requests are refused and change nothing', async () => {
    const { store } = context;
    const key = context.prefix();
    const before = await store.revision();
    const twice = { conditions: [], operations: [putOf(key, '1'), putOf(key, '2')] };
    await expect(store.commit(twice)).rejects.toThrow(InvalidRequestError);
    await expect(put(store, '', 'x')).rejects.toThrow(InvalidRequestError);
    await expect(put(store, '/\u0100', 'x')).rejects.toThrow(InvalidRequestError);
    const text = {
      conditions: [],
      operations: [{ type: 'put', key, value: 'text' as unknown as Uint8Array } as const],
    };
    await expect(store.commit(text)).rejects.toThrow(InvalidRequestError);
    await expect(put(store, key, 'x', 987_654_321n)).rejects.toThrow(LeaseNotFoundError);
    expect(await store.revision()).toBe(before);
  });

  test('of many writers with one expectation exactly one wins', async () => {
    const { store } = context;
    const key = context.prefix();
    let { revision } = await put(store, key, '0');
    for (let round = 0; round < 5; round++) {
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, writer) =>
          store.commit({
            conditions: [{ key, modRevision: revision }],
            operations: [putOf(key, `${writer}`)],
          }),
        ),
      );
      const winners = results.flatMap((result, writer) => (result.succeeded ? [{ result, writer }] : []));
      expect(winners).toHaveLength(1);
      const winner = winners[0] as (typeof winners)[0];
      expect(winner.result.revision).toBe(revision + 1);
      expect(plain(await store.get(key))).toMatchObject({ value: `${winner.writer}`, version: round + 2 });
      revision++;
    }
  });

  test('ranges: order, limit, count, keys only, at a revision', async () => {
    const { store } = context;
    const prefix = context.prefix();
    const end = prefixEnd(prefix);
    const names = ['b', 'a', 'ä', 'c/d', 'c', 'c0'].map((name) => prefix + keyFromText(name));
    for (const name of names) await put(store, name, `v${name}`);
    const revision = await store.revision();
    await remove(store, `${prefix}b`);
    const sorted = [...names].sort();
    const keys = (items: readonly KeyValue[]): string[] => items.map(({ key }) => key);

    const then = await store.range({ start: prefix, end, revision });
    expect(keys(then.items)).toEqual(sorted);
    expect(then).toMatchObject({ count: 6, more: false, revision });

    const page = await store.range({ start: prefix, end, revision, limit: 2 });
    expect(keys(page.items)).toEqual(sorted.slice(0, 2));
    expect(page).toMatchObject({ count: 6, more: true, revision });
    const rest = await store.range({ start: `${sorted[1]}\0`, end, revision, limit: 4 });
    expect(keys(rest.items)).toEqual(sorted.slice(2));
    expect(rest).toMatchObject({ count: 4, more: false });

    const now = await store.range({ start: prefix, end, keysOnly: true, limit: 3 });
    expect(keys(now.items)).toEqual(sorted.filter((key) => key !== `${prefix}b`).slice(0, 3));
    expect(now).toMatchObject({ count: 5, more: true, revision: revision + 1 });
    expect(now.items.every(({ value }) => value.length === 0)).toBe(true);

    expect(await store.range({ start: prefix, end, countOnly: true })).toMatchObject({ items: [], count: 5 });
    expect(await store.range({ start: prefix, end, countOnly: true, revision })).toMatchObject({ count: 6 });
    expect(await store.range({ start: `${prefix}c`, end: `${prefix}c0` })).toMatchObject({ count: 2 });
    expect(await store.range({ start: `${prefix}x`, end: `${prefix}d` })).toMatchObject({
      items: [],
      count: 0,
    });
    await expect(store.range({ start: prefix, end, revision: revision + 100 })).rejects.toThrow(
      FutureRevisionError,
    );
  });

  test('values are any bytes of any size up to 1.5 MB', async () => {
    const { store } = context;
    const prefix = context.prefix();
    const values = [
      new Uint8Array(0),
      Uint8Array.from({ length: 256 }, (_, i) => i),
      Buffer.alloc(1_400_000, 'k8ts'),
    ];
    for (const [i, value] of values.entries())
      await store.commit({ conditions: [], operations: [{ type: 'put', key: `${prefix}${i}`, value }] });
    const { items } = await store.range({ start: prefix, end: prefixEnd(prefix) });
    expect(items.map(({ value }, i) => Buffer.compare(value, values[i] as Uint8Array))).toEqual([0, 0, 0]);
  });

  test('ranges of thousands of keys come whole', async () => {
    const { store } = context;
    const prefix = context.prefix();
    const keys = Array.from({ length: 3000 }, (_, i) => `${prefix}${String(i).padStart(5, '0')}`);
    const value = Buffer.alloc(2000, 'x');
    for (let i = 0; i < keys.length; i += 100)
      await store.commit({
        conditions: [],
        operations: keys.slice(i, i + 100).map((key) => ({ type: 'put', key, value })),
      });
    const { items, count, more } = await store.range({ start: prefix, end: prefixEnd(prefix) });
    expect(items.map(({ key }) => key)).toEqual(keys);
    expect(items.every((kv) => kv.value.length === 2000)).toBe(true);
    expect({ count, more }).toEqual({ count: 3000, more: false });
  });
}

function putOf(key: string, value: string): { type: 'put'; key: string; value: Uint8Array } {
  return { type: 'put', key, value: bytes(value) };
}
