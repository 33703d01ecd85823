import { expect, test } from 'vitest';

import { CompactedError, FutureRevisionError, prefixEnd } from '../contract.ts';
import { line, plain, put, record, remove } from './contract-steps.ts';
import type { ContractContext } from './contract-context.ts';

export function testCompaction(context: ContractContext): void {
  test('older revisions are gone, the compacted one and later ones are not', async () => {
    const { store } = context;
    const prefix = context.prefix();
    const [a, b, c] = [`${prefix}a`, `${prefix}b`, `${prefix}c`];
    const { revision } = await put(store, a, '1');
    await put(store, b, '1');
    await put(store, a, '2'); // revision + 2
    await remove(store, b);
    await put(store, c, '1'); // revision + 4
    await store.compact(revision + 3);

    await expect(store.get(a, { revision: revision + 2 })).rejects.toThrow(CompactedError);
    const early = store.range({ start: prefix, end: prefixEnd(prefix), revision: revision + 1 });
    await expect(early).rejects.toThrow(CompactedError);
    const then = await store.range({ start: prefix, end: prefixEnd(prefix), revision: revision + 3 });
    expect(then.items.map(plain)).toMatchObject([
      { key: a, value: '2', createRevision: revision, version: 2 },
    ]);
    const now = await store.range({ start: prefix, end: prefixEnd(prefix) });
    expect(now.items.map(({ key }) => key)).toEqual([a, c]);
    expect(now.count).toBe(2);
    await put(store, b, 'again');
    expect(plain(await store.get(b))).toMatchObject({ createRevision: revision + 5, version: 1 });
  });

  test('compacting the past or the future is refused', async () => {
    const { store } = context;
    await put(store, context.prefix(), '');
    const { revision } = await put(store, context.prefix(), '');
    await store.compact(revision);
    await expect(store.compact(revision)).rejects.toThrow(CompactedError);
    await expect(store.compact(revision - 1)).rejects.toThrow(CompactedError);
    await expect(store.compact(revision + 1)).rejects.toThrow(FutureRevisionError);
  });

  test('a watch from before ends with CompactedError, one from the compacted revision goes', async () => {
    const { store } = context;
    const prefix = context.prefix();
    const { revision } = await put(store, `${prefix}a`, '1');
    await put(store, `${prefix}a`, '2');
    await put(store, `${prefix}a`, '3');
    await store.compact(revision + 1);
    const early = record(store, prefix, revision);
    const error = await early.ended();
    expect(error).toBeInstanceOf(CompactedError);
    expect((error as CompactedError).compactRevision).toBe(revision + 1);
    expect(early.events).toEqual([]);
    await early.handle.ready;
    const exact = record(store, prefix, revision + 1);
    await exact.count(2);
    expect(exact.events.map((event) => line(event, prefix))).toEqual([
      `put a=2 @${revision + 1}`,
      `put a=3 @${revision + 2}`,
    ]);
    exact.handle.close();
    await exact.ended();
  });

  const lost = context.shared ? ' (older versions of etcd lose it: etcd-io/etcd issue 18089)' : '';
  test.skipIf(context.shared)(
    `a deletion at the compacted revision can still be watched${lost}`,
    async () => {
      const { store } = context;
      const prefix = context.prefix();
      await put(store, `${prefix}a`, '1');
      const { revision } = await remove(store, `${prefix}a`);
      await store.compact(revision);
      const watch = record(store, prefix, revision);
      await watch.count(1);
      expect(watch.events.map((event) => line(event, prefix))).toEqual([`delete a @${revision}`]);
      expect(await store.get(`${prefix}a`)).toBeUndefined();
      const later = await put(store, `${prefix}b`, '1');
      await store.compact(later.revision); // now it goes
      await watch.count(2);
      expect((await store.range({ start: prefix, end: prefixEnd(prefix) })).count).toBe(1);
      watch.handle.close();
      await watch.ended();
    },
  );

  test('a standing watch is not touched by compaction', async () => {
    const { store } = context;
    const prefix = context.prefix();
    const watch = record(store, prefix);
    await watch.handle.ready;
    for (let i = 0; i < 10; i++) {
      const { revision } = await put(store, `${prefix}a`, `${i}`);
      await store.compact(revision);
    }
    await watch.count(10);
    expect(watch.ends).toEqual([]);
    watch.handle.close();
    await watch.ended();
  });

  test('thousands of versions of thousands of keys are swept', async () => {
    const { store } = context;
    const prefix = context.prefix();
    const key = (i: number): string => `${prefix}${String(i).padStart(4, '0')}`;
    for (let round = 0; round < 3; round++)
      for (let i = 0; i < 2000; i += 100)
        await store.commit({
          conditions: [],
          operations: Array.from({ length: 100 }, (_, j) =>
            round === 2 && (i + j) % 2 === 0
              ? { type: 'delete', key: key(i + j) }
              : { type: 'put', key: key(i + j), value: Buffer.from(`${round}`) },
          ),
        });
    const { revision } = await put(store, `${prefix}zzz`, '');
    await store.compact(revision);
    const { items, count } = await store.range({ start: prefix, end: prefixEnd(prefix) });
    expect(count).toBe(1001);
    expect(items.map((kv) => kv.key)).toEqual([
      ...Array.from({ length: 1000 }, (_, i) => key(2 * i + 1)),
      `${prefix}zzz`,
    ]);
    expect(items.slice(0, 1000).every((kv) => kv.version === 3 && kv.value[0] === 0x32)).toBe(true);
  });
}
