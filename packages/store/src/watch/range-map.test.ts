import { seededRandom } from '@k8ts/base';
import { expect, test } from 'vitest';

import { type KeyRange, RangeMap } from './range-map.ts';

test.each([1, 2, 3])('finds what looking at all ranges would find (seed %i)', (seed) => {
  const random = seededRandom(seed);
  const letter = (): string => String.fromCharCode(97 + Math.floor(random() * 26));
  const map = new RangeMap<KeyRange>();
  const ranges = new Set<KeyRange>();
  for (let step = 0; step < 2000; step++) {
    if (random() < 0.55 || ranges.size === 0) {
      const [start, end] = [letter() + letter(), letter()];
      const range = { start, end };
      map.add(range);
      ranges.add(range);
    } else {
      const range = [...ranges][Math.floor(random() * ranges.size)] as KeyRange;
      map.delete(range);
      ranges.delete(range);
    }
    const key = letter() + letter();
    const wanted = [...ranges].filter(({ start, end }) => start <= key && key < end);
    expect(new Set(map.at(key))).toEqual(new Set(wanted));
    expect(map.at(key)).toHaveLength(wanted.length);
  }
  for (const range of ranges) map.delete(range);
  expect(map.size).toBe(0);
});

test('the same range can be there twice, as two objects', () => {
  const map = new RangeMap<KeyRange>();
  const [one, two] = [
    { start: 'a', end: 'c' },
    { start: 'a', end: 'c' },
  ];
  map.add(one);
  map.add(two);
  map.delete(one);
  expect(map.at('b')).toEqual([two]);
  expect(map.at('b')[0]).toBe(two);
  map.delete(two);
  expect(map.at('b')).toEqual([]);
});

test('an empty range holds nothing', () => {
  const map = new RangeMap<KeyRange>();
  const empty = { start: 'b', end: 'a' };
  map.add(empty);
  expect(map.size).toBe(0);
  map.delete(empty);
});
