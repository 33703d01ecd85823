import { describe, expect, test } from 'vitest';
import { seededRandom } from '@k8ts/base';
import {
  difference,
  forEachPath,
  intersection,
  isEmptySet,
  parseFieldSet,
  recursiveDifference,
  union,
} from './field-set.ts';
import type { FieldSet } from './field-set.ts';

function paths(set: FieldSet): Set<string> {
  const found = new Set<string>();
  forEachPath(set, (path) => found.add(path));
  return found;
}

test('paths as upstream prints them', () => {
  const set = parseFieldSet({
    'f:spec': {
      'f:ports': { 'k:{"port":80,"protocol":"TCP"}': { '.': {}, 'f:name': {} } },
      'f:x': { 'v:"a\\"b"': {}, 'i:3': {} },
    },
  });
  expect([...paths(set)].sort()).toEqual([
    '.spec.ports[port=80,protocol="TCP"]',
    '.spec.ports[port=80,protocol="TCP"].name',
    '.spec.x[3]',
    '.spec.x[="a\\"b"]',
  ]);
});

test('what does not change is shared', () => {
  const set: FieldSet = { 'f:a': { 'f:b': {} }, 'f:c': {} };
  expect(union(set, { 'f:c': {} })).toBe(set);
  expect(difference(set, { 'f:x': {} })).toBe(set);
  expect(difference(set, { 'f:c': {} })['f:a']).toBe(set['f:a']);
  expect(isEmptySet(difference(set, set))).toBe(true);
});

test('a removed parent takes its children along only when asked to', () => {
  const set: FieldSet = { 'f:a': { '.': {}, 'f:b': {} } };
  expect(difference(set, { 'f:a': {} })).toEqual({ 'f:a': { 'f:b': {} } });
  expect(recursiveDifference(set, { 'f:a': {} })).toEqual({});
});

describe('random sets behave as sets of paths', () => {
  const random = seededRandom(11);
  const randomSet = (depth: number): FieldSet => {
    const node: Record<string, FieldSet> = {};
    for (const name of ['a', 'b', 'c']) {
      if (random() < 0.4) continue;
      const below = depth > 0 && random() < 0.6 ? randomSet(depth - 1) : {};
      node[`f:${name}`] = !isEmptySet(below) && random() < 0.5 ? { '.': {}, ...below } : below;
    }
    return node;
  };
  test.each(Array.from({ length: 20 }, (_, i) => i))('round %i', () => {
    for (let i = 0; i < 50; i++) {
      const a = randomSet(3);
      const b = randomSet(3);
      const [pathsA, pathsB] = [paths(a), paths(b)];
      expect(paths(union(a, b))).toEqual(new Set([...pathsA, ...pathsB]));
      expect(paths(intersection(a, b))).toEqual(new Set([...pathsA].filter((path) => pathsB.has(path))));
      expect(paths(difference(a, b))).toEqual(new Set([...pathsA].filter((path) => !pathsB.has(path))));
      expect(parseFieldSet(union(a, b))).toEqual(union(a, b));
      expect(JSON.stringify(union(a, b))).toBe(JSON.stringify(union(b, a)));
    }
  });
});
