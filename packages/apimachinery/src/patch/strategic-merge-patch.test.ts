import { describe, expect, test } from 'vitest';
import { schemaOf } from '@k8ts/api';
import type { Schema } from '@k8ts/api';
import type { JsonObject } from '../json.ts';
import { applyStrategicMergePatch } from './strategic-merge-patch.ts';

const POD = schemaOf('', 'v1', 'Pod') as Schema;
const DEPLOYMENT = schemaOf('apps', 'v1', 'Deployment') as Schema;
const SERVICE = schemaOf('', 'v1', 'Service') as Schema;

function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(frozen);
  }
  return value;
}

function spec(schema: Schema, original: object, patch: object): unknown {
  const document = frozen({ spec: original }) as unknown as JsonObject;
  return applyStrategicMergePatch(document, frozen({ spec: patch }), schema)['spec'];
}

const names = (...list: string[]): { name: string }[] => list.map((name) => ({ name }));

describe('lists with a merge key', () => {
  test('merge by name; what is new comes first, as upstream orders it', () => {
    expect(
      spec(
        POD,
        {
          containers: [
            { name: 'a', image: 'x' },
            { name: 'b', image: 'y' },
          ],
        },
        {
          containers: [
            { name: 'b', image: 'z' },
            { name: 'c', image: 'w' },
          ],
        },
      ),
    ).toEqual({
      containers: [
        { name: 'a', image: 'x' },
        { name: 'b', image: 'z' },
        { name: 'c', image: 'w' },
      ],
    });
    expect(spec(POD, { containers: names('a') }, { containers: names('z') })).toEqual({
      containers: names('z', 'a'),
    });
  });

  test('$patch: delete', () => {
    expect(
      spec(POD, { containers: names('a', 'b') }, { containers: [{ name: 'a', $patch: 'delete' }] }),
    ).toEqual({ containers: names('b') });
  });

  test('$patch: replace', () => {
    expect(
      spec(POD, { containers: names('a', 'b') }, { containers: [...names('c'), { $patch: 'replace' }] }),
    ).toEqual({ containers: names('c') });
  });

  test('$setElementOrder', () => {
    expect(
      spec(
        POD,
        { containers: names('a', 'b', 'c', 'd') },
        { '$setElementOrder/containers': names('d', 'b'), containers: [{ name: 'd', image: 'x' }] },
      ),
    ).toEqual({ containers: [{ name: 'a' }, { name: 'c' }, { name: 'd', image: 'x' }, { name: 'b' }] });
  });

  test('$setElementOrder with a deletion: the new element takes the place that became free', () => {
    expect(
      spec(
        POD,
        { containers: names('a', 'b', 'd') },
        {
          '$setElementOrder/containers': names('b', 'c'),
          containers: [{ name: 'c' }, { name: 'a', $patch: 'delete' }],
        },
      ),
    ).toEqual({ containers: names('b', 'd', 'c') });
  });

  test('$setElementOrder alone reorders', () => {
    expect(
      spec(POD, { containers: names('a', 'b') }, { '$setElementOrder/containers': names('b', 'a') }),
    ).toEqual({ containers: names('b', 'a') });
  });

  test('$setElementOrder adds what was not there', () => {
    expect(
      spec(POD, {}, { '$setElementOrder/volumes': names('v'), volumes: [{ name: 'v', emptyDir: {} }] }),
    ).toEqual({ volumes: [{ name: 'v', emptyDir: {} }] });
  });

  test('numbers are keys too', () => {
    expect(
      spec(SERVICE, { ports: [{ port: 80 }, { port: 443 }] }, { ports: [{ port: 80, targetPort: 8080 }] }),
    ).toEqual({ ports: [{ port: 80, targetPort: 8080 }, { port: 443 }] });
  });
});

describe('lists of scalars', () => {
  const finalizers = (original: string[], patch: object): unknown =>
    applyStrategicMergePatch(
      frozen({ metadata: { finalizers: original } }),
      frozen({ metadata: patch }),
      POD,
    )['metadata'];

  test('merge without repetition', () => {
    expect(finalizers(['a', 'b'], { finalizers: ['b', 'c'] })).toEqual({ finalizers: ['a', 'b', 'c'] });
  });

  test('$deleteFromPrimitiveList', () => {
    expect(finalizers(['a', 'b', 'c'], { '$deleteFromPrimitiveList/finalizers': ['b'] })).toEqual({
      finalizers: ['a', 'c'],
    });
  });

  test('$setElementOrder', () => {
    expect(finalizers(['a', 'b'], { '$setElementOrder/finalizers': ['c', 'a'], finalizers: ['c'] })).toEqual({
      finalizers: ['c', 'a', 'b'],
    });
  });

  test('without a strategy they are replaced', () => {
    expect(
      spec(
        POD,
        { containers: [{ name: 'a', args: ['1', '2'] }] },
        { containers: [{ name: 'a', args: ['3'] }] },
      ),
    ).toEqual({ containers: [{ name: 'a', args: ['3'] }] });
  });
});

describe('maps', () => {
  test('null removes, and is not written', () => {
    expect(
      spec(
        POD,
        { nodeName: 'n', nodeSelector: { a: 'b' } },
        { nodeName: null, nodeSelector: { a: null, c: 'd' } },
      ),
    ).toEqual({ nodeSelector: { c: 'd' } });
    expect(spec(POD, {}, { securityContext: { runAsUser: null, fsGroup: 1 } })).toEqual({
      securityContext: { fsGroup: 1 },
    });
  });

  test('$patch: replace and delete', () => {
    expect(spec(POD, { nodeSelector: { a: 'b' } }, { nodeSelector: { c: 'd', $patch: 'replace' } })).toEqual({
      nodeSelector: { c: 'd' },
    });
    expect(spec(POD, { nodeSelector: { a: 'b' } }, { nodeSelector: { $patch: 'delete' } })).toEqual({
      nodeSelector: {},
    });
  });

  test('$retainKeys', () => {
    expect(
      spec(
        DEPLOYMENT,
        { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } },
        { strategy: { $retainKeys: ['type'], type: 'Recreate' } },
      ),
    ).toEqual({ strategy: { type: 'Recreate' } });
  });

  test('volumes change their source with $retainKeys', () => {
    expect(
      spec(
        POD,
        { volumes: [{ name: 'v', emptyDir: {} }] },
        { volumes: [{ name: 'v', $retainKeys: ['name', 'hostPath'], hostPath: { path: '/x' } }] },
      ),
    ).toEqual({ volumes: [{ name: 'v', hostPath: { path: '/x' } }] });
  });
});

test('what is not touched is shared', () => {
  const document = frozen({ metadata: { name: 'a' }, spec: { containers: [{ name: 'a' }], nodeName: 'n' } });
  const patched = applyStrategicMergePatch(document, { spec: { nodeName: 'm' } }, POD);
  expect(patched['metadata']).toBe(document.metadata);
  expect((patched['spec'] as JsonObject)['containers']).toBe(document.spec.containers);
});

test.each<[string, object, object, string]>([
  [
    'an unknown directive',
    { nodeSelector: {} },
    { nodeSelector: { $patch: 'explode' } },
    'unknown patch type: explode in map: map[$patch:explode]',
  ],
  [
    'an element without its key',
    { containers: names('a') },
    { containers: [{ image: 'x' }] },
    'map: map[image:x] does not contain declared merge key: name',
  ],
  [
    'a field that does not exist',
    { nope: {} },
    { nope: {} },
    'unable to find api field in struct PodSpec for the json field "nope"',
  ],
  [
    'an order that contradicts the list',
    { containers: names('a', 'b') },
    { '$setElementOrder/containers': names('a', 'b'), containers: names('b', 'a') },
    'The order in patch list',
  ],
  [
    '$retainKeys that misses a key',
    { securityContext: {} },
    { securityContext: { $retainKeys: ['a'], fsGroup: 1 } },
    'invalid patch format of retainKeys',
  ],
  [
    '$retainKeys that is no list',
    { securityContext: {} },
    { securityContext: { $retainKeys: 'a' } },
    'invalid patch format of retainKeys',
  ],
  ['mixed lists', { containers: names('a') }, { containers: ['a'] }, 'list element types are not identical'],
  [
    'an order that is no list',
    {},
    { '$setElementOrder/containers': 'a' },
    'expected a []interface {}, but received a string',
  ],
])('%s is refused', (_name, original, patch, message) => {
  expect(() => spec(POD, original, patch)).toThrow(message);
});

test('hostile keys', () => {
  const patch = JSON.parse('{"spec":{"nodeSelector":{"__proto__":"x","constructor":"y"}}}') as object;
  const patched = applyStrategicMergePatch({ spec: { nodeSelector: { a: 'b' } } }, patch, POD);
  expect(Object.entries((patched['spec'] as JsonObject)['nodeSelector'] as object)).toEqual([
    ['a', 'b'],
    ['__proto__', 'x'],
    ['constructor', 'y'],
  ]);
  expect(({} as Record<string, unknown>)['x']).toBeUndefined();
});
