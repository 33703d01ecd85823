import { describe, expect, test } from 'vitest';
import type { JsonValue } from '../json.ts';
import { StatusError } from '../status-error.ts';
import { applyJsonMergePatch } from './json-merge-patch.ts';
import { applyJsonPatch, jsonPatchUnknownFields } from './json-patch.ts';

function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(frozen);
  }
  return value;
}

/** The status of what is thrown, and the reason that stays inside. */
function refusal(run: () => unknown): { code: number; message: string; cause: string } {
  try {
    run();
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    const { cause } = error;
    return { code: error.code, message: error.message, cause: cause instanceof Error ? cause.message : '' };
  }
  throw new Error('nothing was refused');
}

describe('JSON patch', () => {
  test.each<[string, JsonValue, JsonValue, JsonValue]>([
    ['adds a member', { a: 1 }, [{ op: 'add', path: '/b', value: 2 }], { a: 1, b: 2 }],
    ['inserts into a list', { a: [1, 3] }, [{ op: 'add', path: '/a/1', value: 2 }], { a: [1, 2, 3] }],
    ['appends', { a: [1] }, [{ op: 'add', path: '/a/-', value: 2 }], { a: [1, 2] }],
    ['counts from the end', { a: [1, 2] }, [{ op: 'remove', path: '/a/-1' }], { a: [1] }],
    ['removes', { a: 1, b: 2 }, [{ op: 'remove', path: '/a' }], { b: 2 }],
    ['replaces', { a: { b: 1 } }, [{ op: 'replace', path: '/a/b', value: 2 }], { a: { b: 2 } }],
    ['replaces what is not there', {}, [{ op: 'replace', path: '/a', value: 2 }], { a: 2 }],
    ['replaces the document', { a: 1 }, [{ op: 'replace', path: '', value: { b: 1 } }], { b: 1 }],
    ['moves', { a: { b: 1 }, c: {} }, [{ op: 'move', from: '/a/b', path: '/c/d' }], { a: {}, c: { d: 1 } }],
    [
      'copies, and the two are apart',
      { a: { x: 1 } },
      [
        { op: 'copy', from: '/a', path: '/b' },
        { op: 'add', path: '/b/y', value: 2 },
        { op: 'add', path: '/a/z', value: 3 },
      ],
      { a: { x: 1, z: 3 }, b: { x: 1, y: 2 } },
    ],
    [
      'tests',
      { a: { b: [1, { c: null }] } },
      [{ op: 'test', path: '/a/b', value: [1, { c: null }] }],
      { a: { b: [1, { c: null }] } },
    ],
    ['tests what is absent', {}, [{ op: 'test', path: '/a', value: null }], {}],
    [
      'unescapes',
      { 'a/b': { '~c': 1 } },
      [{ op: 'replace', path: '/a~1b/~0c', value: 2 }],
      { 'a/b': { '~c': 2 } },
    ],
  ])('%s', (_name, document, patch, expected) => {
    expect(applyJsonPatch(frozen(document), frozen(patch))).toEqual(expected);
  });

  test('shares what it does not touch', () => {
    const document = frozen({ metadata: { labels: { a: 'b' } }, spec: { x: 1 } });
    const patched = applyJsonPatch(document, [{ op: 'add', path: '/spec/y', value: 2 }]) as typeof document;
    expect(patched.metadata).toBe(document.metadata);
  });

  test.each<[string, unknown, number, string]>([
    ['an object', {}, 400, ''],
    ['a list of numbers', [1], 400, ''],
    [
      'a missing parent',
      [{ op: 'add', path: '/x/y', value: 1 }],
      422,
      'operation does not apply: doc is missing path: "/x/y": missing value',
    ],
    ['a failed test', [{ op: 'test', path: '/a', value: 2 }], 422, 'testing value /a failed: test failed'],
    [
      'a bad index',
      [{ op: 'add', path: '/l/7', value: 2 }],
      422,
      'Unable to access invalid index: 7: invalid index referenced',
    ],
    ['an unknown operation', [{ op: 'merge', path: '/a' }], 422, 'Unexpected kind: merge'],
    ['no path', [{ op: 'add' }], 422, 'operation missing path field: missing value'],
    [
      'members of Object',
      [{ op: 'add', path: '/constructor/x', value: 1 }],
      422,
      'operation does not apply: doc is missing path: "/constructor/x": missing value',
    ],
    [
      'too many operations',
      Array.from({ length: 10_001 }, () => ({ op: 'test', path: '/a', value: 1 })),
      413,
      '',
    ],
  ])('refuses %s', (_name, patch, code, cause) => {
    const document = frozen({ a: 1, l: [1] });
    expect(refusal(() => applyJsonPatch(document, patch))).toMatchObject({ code, cause });
  });

  test('copies cannot grow without limit', () => {
    const patch = Array.from({ length: 40 }, () => ({ op: 'copy', from: '/a', path: '/a/-' }));
    expect(refusal(() => applyJsonPatch({ a: [['x'.repeat(100)]] }, patch)).code).toBe(422);
  });

  test('deep documents are refused, not crashed upon', () => {
    let deep: JsonValue = 1;
    for (let i = 0; i < 100_000; i++) deep = [deep];
    expect(refusal(() => applyJsonPatch({ a: 1 }, [{ op: 'add', path: '/a', value: deep }])).code).toBe(400);
    expect(refusal(() => applyJsonMergePatch({}, { a: deep })).code).toBe(400);
  });

  test('__proto__ is a name like others', () => {
    const patched = applyJsonPatch({}, [{ op: 'add', path: '/__proto__', value: { polluted: 'x' } }]);
    expect(Object.keys(patched as object)).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect(refusal(() => applyJsonPatch({}, [{ op: 'add', path: '/__proto__/x', value: 1 }])).code).toBe(422);
  });

  test('unknown members are named', () => {
    expect(jsonPatchUnknownFields([{ op: 'add', path: '/a', foo: 1 }])).toEqual([
      'json patch unknown field "[0].foo"',
    ]);
  });
});

describe('JSON merge patch', () => {
  // The table of RFC 7386, appendix A, as far as documents are objects.
  test.each<[object, unknown, object]>([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('%j with %j is %j', (document, patch, expected) => {
    expect(applyJsonMergePatch(frozen(document) as never, frozen(patch))).toEqual(expected);
  });

  test('only objects are patches', () => {
    expect(refusal(() => applyJsonMergePatch({}, [])).message).toBe('Invalid JSON Patch');
  });

  test('__proto__ is a name like others', () => {
    const patched = applyJsonMergePatch({ a: {} }, JSON.parse('{"a":{"__proto__":{"polluted":1}}}'));
    expect(Object.keys(patched['a'] as object)).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});
