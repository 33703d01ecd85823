import { expect, test } from 'vitest';

import { prefixEnd } from '../contract.ts';
import { bytes, eventually, line, plain, put, record, remove } from './contract-steps.ts';
import type { ContractContext } from './contract-context.ts';

export function testWatches(context: ContractContext): void {
  test('a watch sees what comes after it, with what was there before', async () => {
    const { store } = context;
    const prefix = context.prefix();
    await put(store, `${prefix}a`, '0');
    const watch = record(store, prefix);
    await watch.handle.ready;
    const { revision } = await put(store, `${prefix}a`, '1');
    await put(store, `${prefix}b`, '1');
    await remove(store, `${prefix}a`);
    await watch.count(3);
    expect(watch.events.map((event) => line(event, prefix))).toEqual([
      `put a=1 @${revision}`,
      `put b=1 @${revision + 1}`,
      `delete a @${revision + 2}`,
    ]);
    const [update, creation, deletion] = watch.events;
    expect(plain(update?.previous)).toMatchObject({ value: '0', modRevision: revision - 1, version: 1 });
    expect(creation).not.toHaveProperty('previous');
    expect(plain(deletion?.previous)).toMatchObject({ value: '1', modRevision: revision });
    expect(plain(deletion?.kv)).toEqual({
      key: `${prefix}a`,
      value: '',
      createRevision: 0,
      modRevision: revision + 2,
      version: 0,
    });
    watch.handle.close();
    expect(await watch.ended()).toBeUndefined();
  });

  test('a watch from an old revision replays it, then goes on without gap or repetition', async () => {
    const { store } = context;
    const prefix = context.prefix();
    const { revision } = await put(store, `${prefix}0`, 'x');
    for (let i = 1; i < 700; i++) await put(store, `${prefix}${i % 7}`, `${i}`);
    const watch = record(store, prefix, revision + 1);
    const writes = Array.from({ length: 100 }, (_, i) => put(store, `${prefix}${i % 7}`, `later ${i}`));
    await Promise.all(writes);
    await watch.count(799);
    expect(watch.events.map(({ kv }) => kv.modRevision)).toEqual(
      Array.from({ length: 799 }, (_, i) => revision + 1 + i),
    );
    expect(watch.events.every(({ kv, previous }) => previous !== undefined || kv.version === 1)).toBe(true);
    watch.handle.close();
    await watch.ended();
  });

  test('a watch from a revision to come stays silent until then', async () => {
    const { store } = context;
    const prefix = context.prefix();
    const revision = await store.revision();
    const watch = record(store, prefix, revision + 3);
    await watch.handle.ready;
    for (let i = 1; i <= 4; i++) await put(store, `${prefix}${i}`, '');
    await watch.count(2);
    expect(watch.events.map(({ kv }) => kv.modRevision)).toEqual([revision + 3, revision + 4]);
    watch.handle.close();
    await watch.ended();
  });

  test('ranges are kept apart', async () => {
    const { store } = context;
    const prefix = context.prefix();
    const all = record(store, prefix);
    const pods = record(store, `${prefix}pods/`);
    const one = record(store, `${prefix}pods/b`, undefined, `${prefix}pods/b\0`);
    const span = record(store, `${prefix}pods/b`, undefined, `${prefix}z`);
    await Promise.all([all, pods, one, span].map((watch) => watch.handle.ready));
    for (const name of ['nodes/a', 'pods/a', 'pods/b', 'pods/bb', 'pods0', 'z'])
      await put(store, prefix + name, '');
    await all.count(6);
    await eventually(() => expect([pods, one, span].map(({ events }) => events.length)).toEqual([3, 1, 3]));
    expect(pods.events.map(({ kv }) => kv.key.slice(prefix.length))).toEqual(['pods/a', 'pods/b', 'pods/bb']);
    expect(span.events.map(({ kv }) => kv.key.slice(prefix.length))).toEqual(['pods/b', 'pods/bb', 'pods0']);
    for (const watch of [all, pods, one, span]) watch.handle.close();
    await Promise.all([all, pods, one, span].map((watch) => watch.ended()));
  });

  test('a revision of many operations arrives whole', async () => {
    const { store } = context;
    const prefix = context.prefix();
    const watch = record(store, prefix);
    await watch.handle.ready;
    const sizes: number[] = [];
    const live = store.watch({
      start: prefix,
      end: prefixEnd(prefix),
      onEvents: (events) => sizes.push(events.length),
      onEnd: () => undefined,
    });
    await live.ready;
    const { revision } = await store.commit({
      conditions: [],
      operations: Array.from({ length: 100 }, (_, i) => ({
        type: 'put',
        key: `${prefix}${String(i).padStart(3, '0')}`,
        value: bytes('x'.repeat(1000)),
      })),
    });
    await watch.count(100);
    const replay = record(store, prefix, revision);
    await replay.count(100);
    await eventually(() => expect(sizes).toEqual([100]));
    expect(new Set(watch.events.map(({ kv }) => kv.modRevision))).toEqual(new Set([revision]));
    expect(replay.events.map(({ kv }) => kv.key)).toEqual(watch.events.map(({ kv }) => kv.key));
    expect(watch.revisions).toEqual([revision]);
    for (const handle of [watch.handle, replay.handle, live]) handle.close();
    await watch.ended();
  });

  test('progress comes after all events up to its revision', async () => {
    const { store } = context;
    const prefix = context.prefix();
    const first = await store.revision();
    for (let i = 0; i < 50; i++) await put(store, `${prefix}${i}`, '');
    await put(store, context.prefix(), 'elsewhere');
    const watch = record(store, prefix, first + 1);
    const newest = await store.revision();
    watch.handle.requestProgress();
    if (store.answersProgressRequests === false) {
      await watch.count(50);
      expect(watch.progress).toEqual([]); // better none than one that runs ahead
    } else {
      await eventually(() => expect(watch.progress.at(-1)).toBeGreaterThanOrEqual(newest));
      expect(watch.events).toHaveLength(50);
    }
    watch.handle.close();
    await watch.ended();
  });

  test('after close nothing more comes, and the end comes once', async () => {
    const { store } = context;
    const prefix = context.prefix();
    const watch = record(store, prefix);
    await watch.handle.ready;
    watch.handle.close();
    watch.handle.close();
    await put(store, `${prefix}a`, '');
    expect(await watch.ended()).toBeUndefined();
    await store.revision();
    expect(watch.events).toEqual([]);
    expect(watch.ends).toEqual([undefined]);
  });

  const promised = context.shared ? ' (a shared store promises nothing of the kind)' : '';
  test.skipIf(context.shared)(`events come before the commit resolves${promised}`, async () => {
    const { store } = context;
    expect(store.exclusive).toBe(true);
    const prefix = context.prefix();
    const watch = record(store, prefix);
    await watch.handle.ready;
    for (let i = 1; i <= 20; i++) {
      await put(store, `${prefix}${i}`, '');
      expect(watch.events).toHaveLength(i);
    }
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, i) => put(store, `${prefix}${i}`, 'again')),
    );
    expect(results.every(({ succeeded }) => succeeded)).toBe(true);
    expect(watch.events).toHaveLength(40);
    watch.handle.close();
    await watch.ended();
  });

  test('a watcher that fails ends alone; one that commits does not disturb the order of others', async () => {
    const { store } = context;
    const prefix = context.prefix();
    const end = prefixEnd(prefix);
    let failure: Error | undefined;
    const bad = store.watch({
      start: prefix,
      end,
      onEvents: () => {
        throw new Error('broken watcher');
      },
      onEnd: (error) => (failure = error),
    });
    const echoes: Promise<unknown>[] = [];
    const echo = store.watch({
      start: prefix,
      end,
      onEvents: (events) => {
        for (const { kv } of events) if (!kv.key.endsWith('!')) echoes.push(put(store, `${kv.key}!`, ''));
      },
      onEnd: () => undefined,
    });
    const watch = record(store, prefix);
    await Promise.all([bad.ready, echo.ready, watch.handle.ready]);
    for (let i = 0; i < 10; i++) await put(store, `${prefix}${i}`, '');
    await watch.count(20);
    await Promise.all(echoes);
    const revisions = watch.events.map(({ kv }) => kv.modRevision);
    expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
    await eventually(() => expect(failure?.message).toBe('broken watcher'));
    echo.close();
    watch.handle.close();
    await watch.ended();
  });
}
