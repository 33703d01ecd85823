import { corev1 } from '@k8ts/api';
import { expect, test } from 'vitest';
import type { ObjectReader } from '../../object-reader.ts';
import { collectParams, PolicyConfigurationError } from './policy-params.ts';

const maps = ['b', 'a'].map((name) => ({ metadata: { name, labels: { a: name } } }));
const objects = { version: () => 1, list: () => maps } as unknown as ObjectReader;
const select = (operator: string): readonly unknown[] =>
  collectParams(
    { apiVersion: 'v1', kind: corev1.configMaps.kind },
    { selector: { matchExpressions: [{ key: 'a', operator }] } },
    'default',
    objects,
  );

test('params by selector, in the order of their names', () => {
  expect(select('Exists')).toEqual([maps[1], maps[0]]);
});

test('a selector that is none is a problem of its binding, for the failure policy to judge', () => {
  expect(() => select('Nonsense')).toThrow(PolicyConfigurationError);
});
