import { VirtualClock } from '@k8ts/base';
import { expect, test } from 'vitest';

import { CompactedError, prefixEnd } from '../../contract.ts';
import { put, remove } from '../../testing/contract-steps.ts';

import { describeStoreContract } from '../../testing/store-contract.ts';
import { impatientClock } from '../../testing/impatient-clock.ts';
import { createMemoryStore } from './memory-store.ts';

describeStoreContract(
  'memory',
  async () => {
    const clock = new VirtualClock();
    return { store: createMemoryStore({ clock }), advance: (milliseconds) => clock.advance(milliseconds) };
  },
  { historySteps: 600 },
);

describeStoreContract(
  'memory, yielding at every chance',
  async () => {
    const { clock, advance } = impatientClock();
    return { store: createMemoryStore({ clock }), advance };
  },
  { historySteps: 200 },
);

test('a long read of now goes on while the store changes and is compacted', async () => {
  const { clock } = impatientClock();
  await using store = createMemoryStore({ clock });
  const keys = Array.from({ length: 3000 }, (_, i) => `/k/${String(i).padStart(5, '0')}`);
  await Promise.all(keys.map((key) => put(store, key, '')));
  const then = await store.revision();
  const range = { start: '/k/', end: prefixEnd('/k/') };

  const now = store.range(range);
  const pinned = store.range({ ...range, revision: then });
  for (const key of keys.filter((_, i) => i % 2 === 0)) await remove(store, key);
  const undisturbed = await now;
  expect(undisturbed).toMatchObject({ count: 3000, revision: then });
  expect(undisturbed.items).toHaveLength(3000);
  expect((await pinned).items).toHaveLength(3000);

  const again = store.range(range);
  const lost = store.range({ ...range, revision: then + 1 });
  lost.catch(() => undefined);
  for (const key of keys.filter((_, i) => i % 4 === 1)) await remove(store, key);
  await store.compact(await store.revision());
  const restarted = await again;
  expect(restarted.items.length).toBe(restarted.count);
  expect(restarted.items.every(({ modRevision }) => modRevision <= restarted.revision)).toBe(true);
  await lost.then(
    (result) => expect(result.items).toHaveLength(2999),
    (error) => expect(error).toBeInstanceOf(CompactedError),
  );
});
