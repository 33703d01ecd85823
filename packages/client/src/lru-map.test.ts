import { expect, test } from 'vitest';

import { LruMap } from './lru-map.ts';

test('the keys set last are kept, and not many others', () => {
  const map = new LruMap<number, string>(10);
  for (let key = 0; key < 1000; key++) {
    map.set(key, `value ${String(key)}`);
    for (let age = 0; age < 10 && age <= key; age++)
      expect(map.get(key - age)).toBe(`value ${String(key - age)}`);
  }
  const kept = Array.from({ length: 1000 }, (_, key) => map.get(key)).filter((value) => value !== undefined);
  expect(kept.length).toBeLessThanOrEqual(20);
});

test('a key that is set again is new', () => {
  const map = new LruMap<string, number>(3);
  map.set('often', 0);
  for (let round = 1; round < 100; round++) {
    map.set(`once-${String(round)}`, round);
    map.set('often', round);
    expect(map.get('often')).toBe(round);
  }
  expect(map.get('once-1')).toBeUndefined();
});
