import { describe, expect, test } from 'vitest';
import { invalid } from '../status-error.ts';
import {
  child,
  duplicate,
  fieldErrorText,
  forbiddenField,
  index,
  internalField,
  invalidValue,
  key,
  notSupported,
  required,
  tooLong,
  tooMany,
} from './field-errors.ts';
import { validateConditions } from './conditions.ts';
import { validateLabelSelector } from './label-selector.ts';
import * as names from './names.ts';
import { validateFieldManager, validateObjectMeta, validateObjectMetaUpdate } from './object-meta.ts';

test('paths', () => {
  expect(child(index(child('', 'spec', 'containers'), 0), 'image')).toBe('spec.containers[0].image');
  expect(key('data', 'a.b')).toBe('data[a.b]');
});

test.each([
  [required('spec', ''), 'spec: Required value'],
  [required('spec', 'why'), 'spec: Required value: why'],
  [invalidValue('a', -1, 'no'), 'a: Invalid value: -1: no'],
  [invalidValue('a', 'x"y\n', ''), 'a: Invalid value: "x\\"y\\n"'],
  [invalidValue('a', { b: '<c>' }, 'no'), 'a: Invalid value: {"b":"\\u003cc\\u003e"}: no'],
  [invalidValue('a', undefined, 'no'), 'a: Invalid value: null: no'],
  [notSupported('a', 'x', ['A', 'B']), 'a: Unsupported value: "x": supported values: "A", "B"'],
  [duplicate('a[1]', 'n'), 'a[1]: Duplicate value: "n"'],
  [forbiddenField('a', 'no'), 'a: Forbidden: no'],
  [tooLong('a', 1), 'a: Too long: may not be more than 1 byte'],
  [tooMany('a', 3, 2), 'a: Too many: 3: must have at most 2 items'],
  [internalField('a', new Error('oh')), 'a: Internal error: oh'],
])('%j', (error, text) => {
  expect(fieldErrorText(error)).toBe(text);
});

test('an invalid object is told all its faults, each once', () => {
  const error = invalid({ group: 'apps', kind: 'Deployment' }, 'x', [
    required('a', ''),
    required('a', ''),
    required('b', 'c'),
  ]);
  expect(error.message).toBe('Deployment.apps "x" is invalid: [a: Required value, b: Required value: c]');
  expect(error.status.details?.causes).toHaveLength(3);
});

describe('names', () => {
  const label =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
  test.each([
    ['isDNS1123Label', 'a-b', []],
    ['isDNS1123Label', 'A', [label]],
    ['isDNS1123Label', 'a.b', ['must not contain dots']],
    ['isDNS1123Label', 'a'.repeat(64), ['must be no more than 63 characters']],
    ['isDNS1123Subdomain', 'a.b-c', []],
    ['isDNS1035Label', 'a1', []],
    ['isQualifiedName', 'example.com/a_b', []],
    ['isQualifiedName', '/a', ['prefix part must be non-empty']],
    ['isQualifiedName', 'a'.repeat(64), ['name part must be no more than 63 bytes']],
    ['isValidLabelValue', '', []],
    ['isValidLabelValue', 'a_b.c', []],
    ['isPathSegmentName', '..', ["may not be '..'"]],
    ['isPathSegmentName', 'a/b%', ["may not contain '/'", "may not contain '%'"]],
    ['isConfigMapKey', '..a', ["must not start with '..'"]],
    ['isConfigMapKey', 'a.b_c', []],
    ['isValidPortName', 'http', []],
    ['isValidPortName', '80', ['must contain at least one letter (a-z)']],
    [
      'isValidPortName',
      '-a--b',
      ['must not contain consecutive hyphens', 'must not begin or end with a hyphen'],
    ],
    ['isRelaxedEnvVarName', 'A B', []],
    ['isEnvVarName', 'MY.VAR', []],
  ] as const)('%s(%j)', (rule, value, messages) => {
    expect(names[rule](value)).toEqual(messages);
  });

  test.each(['isDNS1123Label', 'isDNS1123Subdomain', 'isQualifiedName', 'isValidLabelValue'] as const)(
    '%s answers hostile input quickly',
    (rule) => {
      for (const text of ['a'.repeat(1e6) + '!', 'a.'.repeat(5e5) + '!', '-'.repeat(1e6), 'a-'.repeat(5e5)]) {
        const start = performance.now();
        expect(names[rule](text).length).toBeGreaterThan(0);
        expect(performance.now() - start).toBeLessThan(500);
      }
    },
  );
});

describe('object metadata', () => {
  const check = (meta: object, namespaced = true): readonly string[] =>
    validateObjectMeta(meta, namespaced, names.nameIsDNSSubdomain).map(fieldErrorText);

  test('a good one', () => {
    expect(
      check({
        name: 'a',
        namespace: 'b',
        labels: { a: 'b' },
        annotations: { 'A/b': 'x' },
        finalizers: ['x/y'],
      }),
    ).toEqual([]);
  });

  test.each([
    [{ namespace: 'x' }, true, ['metadata.name: Required value: name or generateName is required']],
    [{ name: 'a' }, true, ['metadata.namespace: Required value']],
    [{ name: 'a', namespace: 'x' }, false, ['metadata.namespace: Forbidden: not allowed on this type']],
    [
      { name: 'a', ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'p' }] },
      false,
      ['metadata.ownerReferences.uid: Invalid value: "": must not be empty'],
    ],
    [
      { name: 'a', finalizers: ['orphan', 'foregroundDeletion'] },
      false,
      [
        'metadata.finalizers: Invalid value: ["orphan","foregroundDeletion"]: finalizer orphan and foregroundDeletion cannot be both set',
      ],
    ],
    [
      { name: 'a', annotations: { a: 'x'.repeat(300_000) } },
      false,
      ['metadata.annotations: Too long: may not be more than 262144 bytes'],
    ],
    [
      { name: 'a', managedFields: [{ manager: 'm\u0007', operation: 'Create' }] },
      false,
      [
        'metadata.managedFields[0].operation: Invalid value: "Create": must be `Apply` or `Update`',
        'metadata.managedFields[0].manager: Invalid value: "m\\a": invalid character U+0007 (at position 1)',
      ],
    ],
  ])('%j', (meta, namespaced, messages) => {
    expect(check(meta, namespaced)).toEqual(messages);
  });

  test('what may not change', () => {
    const old = {
      name: 'a',
      namespace: 'b',
      uid: 'u',
      resourceVersion: '1',
      creationTimestamp: 't',
      generation: 2,
    };
    const texts = (next: object, previous: object = old): readonly string[] =>
      validateObjectMetaUpdate(next, previous).map(fieldErrorText);
    expect(texts(old)).toEqual([]);
    expect(texts({ ...old, uid: 'v', generation: 1, resourceVersion: '' })).toEqual([
      'metadata.resourceVersion: Invalid value: "": must be specified for an update',
      'metadata.generation: Invalid value: 1: must not be decremented',
      'metadata.uid: Invalid value: "v": field is immutable',
    ]);
    expect(
      texts({ ...old, deletionTimestamp: 't', finalizers: ['b/c'] }, { ...old, deletionTimestamp: 't' }),
    ).toEqual([
      'metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"b/c"}',
    ]);
  });

  test('field managers are short and printable', () => {
    expect(validateFieldManager('x'.repeat(129), 'fieldManager').map(fieldErrorText)).toEqual([
      'fieldManager: Too long: may not be more than 128 bytes',
    ]);
    expect(validateFieldManager('größe', 'fieldManager')).toEqual([]);
  });
});

test('conditions', () => {
  const good = { type: 'Ready', status: 'True', lastTransitionTime: '2026-01-31T12:00:00Z', reason: 'Fine' };
  const bad = { type: 'Ready', status: 'Maybe', reason: '1', observedGeneration: -1 };
  expect(validateConditions([good], 'c')).toEqual([]);
  expect(validateConditions([good, bad], 'c').map(fieldErrorText)).toEqual([
    'c[1].type: Duplicate value: "Ready"',
    'c[1].status: Unsupported value: "Maybe": supported values: "False", "True", "Unknown"',
    'c[1].observedGeneration: Invalid value: -1: must be greater than or equal to zero',
    'c[1].lastTransitionTime: Required value',
    expect.stringMatching(/^c\[1\]\.reason: Invalid value: "1": a condition reason must start with/),
  ]);
});

test('label selectors', () => {
  const check = (selector: object, options = {}): readonly string[] =>
    validateLabelSelector(selector, 's', options).map(fieldErrorText);
  expect(check({ matchLabels: { a: 'b' }, matchExpressions: [{ key: 'a', operator: 'Exists' }] })).toEqual(
    [],
  );
  expect(
    check({
      matchExpressions: [
        { key: 'a', operator: 'In' },
        { key: 'a', operator: 'Exists', values: ['x'] },
        { key: 'a', operator: 'Like' },
      ],
    }),
  ).toEqual([
    "s.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
    "s.matchExpressions[1].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
    's.matchExpressions[2].operator: Invalid value: "Like": not a valid selector operator',
  ]);
  const stored = { matchExpressions: [{ key: 'a', operator: 'In', values: ['b c'] }] };
  expect(check(stored)).toHaveLength(1);
  expect(check(stored, { allowInvalidValues: true })).toEqual([]);
});
