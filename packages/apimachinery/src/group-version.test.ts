import { expect, test } from 'vitest';
import {
  compareVersionPriority,
  formatGroupVersion,
  formatGroupVersionKind,
  groupVersionKindOf,
  parseGroupVersion,
} from './group-version.ts';

test.each([
  ['v1', { group: '', version: 'v1' }],
  ['apps/v1', { group: 'apps', version: 'v1' }],
  ['', { group: '', version: '' }],
  ['/', { group: '', version: '' }],
  ['apps/', { group: 'apps', version: '' }],
  ['a/b/c', undefined],
])('%j', (text, expected) => {
  expect(parseGroupVersion(text)).toEqual(expected);
});

test('and back', () => {
  expect(formatGroupVersion({ group: '', version: 'v1' })).toBe('v1');
  expect(formatGroupVersion({ group: 'apps', version: 'v1' })).toBe('apps/v1');
  expect(formatGroupVersionKind(groupVersionKindOf({ apiVersion: 'apps/v1', kind: 'Deployment' }))).toBe(
    'apps/v1, Kind=Deployment',
  );
});

test('versions by priority', () => {
  // The example of the custom resource documentation.
  const sorted = [
    'v10',
    'v2',
    'v1',
    'v11beta2',
    'v10beta3',
    'v3beta1',
    'v12alpha1',
    'v11alpha2',
    'foo1',
    'foo10',
  ];
  expect([...sorted].reverse().sort(compareVersionPriority)).toEqual(sorted);
});
