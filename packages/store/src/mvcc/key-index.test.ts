import { seededRandom } from '@k8ts/base';
import { expect, test } from 'vitest';

import { KeyIndex } from './key-index.ts';
import { nextVersion, type Version } from './version.ts';

function visited(index: KeyIndex, start: string, end: string): Version[] {
  const found: Version[] = [];
  index.visit(start, end, (head) => {
    found.push(head);
    return true;
  });
  return found;
}

test.each([1, 2, 3])('does what a sorted list does (seed %i)', (seed) => {
  const random = seededRandom(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const index = new KeyIndex();
  const model = new Map<string, Version>();
  const key = (): string => `/k/${String(below(3000)).padStart(4, '0')}`;
  for (let step = 0; step < 20_000; step++) {
    const name = key();
    if (below(5) === 0) {
      index.delete(name);
      model.delete(name);
    } else {
      const value = below(4) === 0 ? undefined : new Uint8Array(0);
      const version = nextVersion(index.get(name), name, step + 2, 0, value, 0n);
      index.set(version);
      model.set(name, version);
    }
    if (step % 500 !== 0) continue;
    const [start, end] = [key(), key()];
    const wanted = [...model.values()]
      .filter((version) => version.key >= start && version.key < end)
      .sort((a, b) => (a.key < b.key ? -1 : 1));
    expect(visited(index, start, end)).toEqual(wanted);
    expect(index.count(start, end)).toBe(wanted.filter(({ version }) => version > 0).length);
    expect(index.size).toBe(model.size);
    expect(index.get(name)).toBe(model.get(name));
  }
  for (const name of model.keys()) index.delete(name);
  expect(index.size).toBe(0);
  expect(visited(index, '', '\uffff')).toEqual([]);
  expect(index.count('', '\uffff')).toBe(0);
});

test('an empty index answers', () => {
  const index = new KeyIndex();
  expect(index.get('a')).toBeUndefined();
  expect(index.count('', 'z')).toBe(0);
  index.delete('a');
});

test('a visit ends where it is told to', () => {
  const index = new KeyIndex();
  for (const key of ['a', 'b', 'c']) index.set(nextVersion(undefined, key, 2, 0, new Uint8Array(0), 0n));
  const seen: string[] = [];
  index.visit('a', 'z', ({ key }) => seen.push(key) < 2);
  expect(seen).toEqual(['a', 'b']);
});
