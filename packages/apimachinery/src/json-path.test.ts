import { expect, test } from 'vitest';
import { JsonPathError, parseJsonPath } from './json-path.ts';

const OBJECT = {
  spec: { replicas: 3, 'a.b/c': 'dotted', list: [1, 2, 3, 4], nothing: null },
  status: {
    conditions: [
      { type: 'Ready', status: 'True', weight: 2 },
      { type: 'Done', status: 'False', weight: 1, ok: true },
    ],
  },
};

test.each([
  ['.spec.replicas', [3]],
  ['$.spec.replicas', [3]],
  ['spec.replicas', [3]],
  ['.spec.a\\.b/c', ['dotted']],
  [".spec['a.b/c']", ['dotted']],
  ['.spec["a.b/c"]', ['dotted']],
  ['.spec.none.at.all', []],
  ['.spec.nothing', [null]],
  ['.spec.list[0]', [1]],
  ['.spec.list[-1]', [4]],
  ['.spec.list[9]', []],
  ['.spec.list[1:3]', [2, 3]],
  ['.spec.list[-2:]', [3, 4]],
  ['.spec.list[::2]', [1, 3]],
  ['.spec.list[*]', [1, 2, 3, 4]],
  ['.spec.list.*', [1, 2, 3, 4]],
  ['.spec.list[0,2]', [1, 3]],
  [".spec['replicas','a.b/c']", [3, 'dotted']],
  ['.status.conditions[?(@.type=="Ready")].status', ['True']],
  [".status.conditions[?(@.type=='Done')].status", ['False']],
  ['.status.conditions[?(@.type != "Ready")].type', ['Done']],
  ['.status.conditions[?(@.weight > 1)].type', ['Ready']],
  ['.status.conditions[?(@.weight<=1)].type', ['Done']],
  ['.status.conditions[?(@.ok)].type', ['Done']],
  ['.status.conditions[?(@.ok==true)].type', ['Done']],
  ['.status.conditions[?(@.type=="None")].status', []],
  ['..weight', [2, 1]],
  ['.__proto__.x', []],
  ['.spec.constructor', []],
])('%s', (path, expected) => {
  expect(parseJsonPath(path).find(OBJECT)).toEqual(expected);
});

test.each(['.spec[', '.spec[a]', '.spec{', '.a[?(@.b==]', '.a[?(@.b=="x)]', '.a[?(@.b==x)]', '.a b'])(
  '%s is none',
  (path) => {
    expect(() => parseJsonPath(path)).toThrow(JsonPathError);
  },
);

test('hostile paths end', () => {
  const wide = Object.fromEntries(Array.from({ length: 2_000 }, (_, at) => [`k${at}`, { x: { x: 1 } }]));
  const started = performance.now();
  parseJsonPath('..*'.repeat(50)).find(wide);
  parseJsonPath('.*'.repeat(2_000)).find(wide);
  expect(performance.now() - started).toBeLessThan(5_000);
});
