import type { KubeObject } from '@k8ts/api';
import { fieldErrorText } from '@k8ts/apimachinery';
import { describe, expect, test } from 'vitest';
import { finalizerWarnings, validateScaleSpec, validateScaleStatus } from './custom-objects.ts';

const scale = {
  specReplicasPath: '.spec.replicas',
  statusReplicasPath: '.status.replicas',
  labelSelectorPath: '.status.selector',
};

function widget(content: object, finalizers: string[] = []): KubeObject {
  return { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'a', finalizers }, ...content };
}

describe('scale', () => {
  test.each<[object, string[]]>([
    [{}, []],
    [{ spec: { replicas: 3 }, status: { replicas: 2, selector: 'a=b' } }, []],
    [{ spec: null }, []],
    [{ spec: { replicas: -1 } }, ['.spec.replicas: Invalid value: -1: should be a non-negative integer']],
    [
      { spec: { replicas: 2 ** 31 } },
      ['.spec.replicas: Invalid value: 2147483648: should be less than or equal to 2147483647'],
    ],
    [
      { spec: { replicas: 'x' }, status: { replicas: 1.5, selector: ['a'] } },
      [
        '.spec.replicas: Invalid value: 0: .spec.replicas accessor error: x is of the type string, expected int64',
        '.status.replicas: Invalid value: 0: .status.replicas accessor error: 1.5 is of the type float64, expected int64',
        '.status.selector: Invalid value: "": .status.selector accessor error: [a] is of the type []interface {}, expected string',
      ],
    ],
    [
      { spec: true, status: { replicas: null } },
      [
        '.spec.replicas: Invalid value: 0: .spec.replicas accessor error: true is of the type bool, expected map[string]interface{}',
        '.status.replicas: Invalid value: 0: .status.replicas accessor error: <nil> is of the type <nil>, expected int64',
      ],
    ],
  ])('%j', (content, expected) => {
    const object = widget(content);
    const errors = [...validateScaleSpec(object, scale), ...validateScaleStatus(object, scale)];
    expect(errors.map(fieldErrorText)).toEqual(expected);
  });
});

test('finalizers that may clash', () => {
  const object = widget({}, ['example.com/ok', 'plain', 'with.dots', 'orphan', 'kept']);
  expect(finalizerWarnings(object, widget({}, ['kept']))).toEqual([
    'metadata.finalizers: "plain": prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers',
    'metadata.finalizers: "with.dots": prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers',
  ]);
  expect(finalizerWarnings(object, object)).toEqual([]);
});
