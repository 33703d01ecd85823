import type { apiextensionsv1 } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import type { JsonValue } from '../json.ts';
import { fieldErrorText } from '../validation/field-errors.ts';
import { coerceEmbeddedObjects } from './embedded-objects.ts';
import { compileStructuralSchema } from './compile-schema.ts';
import type { ValueValidationOptions } from './validate-value.ts';
import { compileValueValidator } from './value-validator.ts';

type Props = apiextensionsv1.JSONSchemaProps;

const string: Props = { type: 'string' };
const integer: Props = { type: 'integer' };
const object = (properties: Record<string, Props>, more: Props = {}): Props => ({
  type: 'object',
  properties,
  ...more,
});
/** The errors of `{ spec: { x: value } }` when `x` has the schema. */
function errorsOf(props: Props, value: JsonValue): string[] {
  const validate = compileValueValidator(object({ spec: object({ x: props }) }));
  return validate({ spec: { x: value } }).map(fieldErrorText);
}
function check(props: Props, value: JsonValue, options?: ValueValidationOptions): string[] {
  return compileValueValidator(props)(value, options).map(fieldErrorText);
}

describe('types', () => {
  const wrong = (type: string, found: string): string =>
    `spec.x: Invalid value: "${found}": spec.x in body must be of type ${type}: "${found}"`;
  test.each<[Props, JsonValue, string[]]>([
    [string, 'a', []],
    [string, 1, [wrong('string', 'integer')]],
    [string, null, [wrong('string', 'null')]],
    [string, true, [wrong('string', 'boolean')]],
    [string, [], [wrong('string', 'array')]],
    [string, {}, [wrong('string', 'object')]],
    [{ type: 'string', nullable: true }, null, []],
    [integer, 1, []],
    [integer, '1', [wrong('integer', 'string')]],
    [
      integer,
      1.5,
      [
        wrong('integer', 'number'),
        '<nil>: Invalid value: "": Checked value must be of type integer (default format) in spec.x',
      ],
    ],
    [{ type: 'number' }, 1, []],
    [{ type: 'number' }, 1.5, []],
    [{ type: 'boolean' }, 'true', [wrong('boolean', 'string')]],
    [{ type: 'object' }, 'a', [wrong('object', 'string')]],
    [{ type: 'array', items: string }, { a: 'b' }, [wrong('array', 'object')]],
    [{ 'x-kubernetes-int-or-string': true }, 1, []],
    [{ 'x-kubernetes-int-or-string': true }, '1', []],
    [{ 'x-kubernetes-int-or-string': true }, true, [wrong('integer,string', 'boolean')]],
    [{ 'x-kubernetes-preserve-unknown-fields': true }, [{ a: null }], []],
    [
      { 'x-kubernetes-int-or-string': true, anyOf: [integer, string] },
      true,
      [
        wrong('integer,string', 'boolean'),
        '<nil>: Invalid value: "": "spec.x" must validate at least one schema (anyOf)',
        wrong('integer', 'boolean'),
      ],
    ],
  ])('%j %j', (props, value, expected) => {
    expect(errorsOf(props, value)).toEqual(expected);
  });
});

describe('values', () => {
  test.each<[Props, JsonValue, string[]]>([
    [{ type: 'integer', maximum: 10 }, 10, []],
    [
      { type: 'integer', maximum: 10 },
      11,
      ['spec.x: Invalid value: 11: spec.x in body should be less than or equal to 10'],
    ],
    [
      { type: 'integer', minimum: 1 },
      0,
      ['spec.x: Invalid value: 0: spec.x in body should be greater than or equal to 1'],
    ],
    [
      { type: 'integer', minimum: 1, exclusiveMinimum: true },
      1,
      ['spec.x: Invalid value: 1: spec.x in body should be greater than 1'],
    ],
    [
      { type: 'number', maximum: 0.5, exclusiveMaximum: true },
      0.5,
      ['spec.x: Invalid value: 0.5: spec.x in body should be less than 0.5'],
    ],
    [
      { type: 'number', minimum: 0.00001 },
      0.000001,
      ['spec.x: Invalid value: 0.000001: spec.x in body should be greater than or equal to 1e-05'],
    ],
    // A whole number is compared with the whole part of the bound.
    [
      { type: 'number', maximum: 10.5 },
      11,
      ['spec.x: Invalid value: 11: spec.x in body should be less than or equal to 10'],
    ],
    [{ type: 'integer', multipleOf: 5 }, 10, []],
    [
      { type: 'integer', multipleOf: 5 },
      11,
      ['spec.x: Invalid value: 11: spec.x in body should be a multiple of 5'],
    ],
    [{ type: 'number', multipleOf: 0.1 }, 0.3, []],
    [
      { type: 'number', multipleOf: 0.5 },
      1,
      ['spec.x: Invalid value: 0: factor MultipleOf declared for spec.x must be positive: 0'],
    ],
    [
      { type: 'integer', format: 'int32' },
      2 ** 31,
      ['<nil>: Invalid value: "": Checked value must be of type integer with format int32 in spec.x'],
    ],
    [{ type: 'integer', format: 'int64' }, 2 ** 31, []],
    [
      { type: 'number', format: 'float' },
      1e39,
      ['<nil>: Invalid value: "": Checked value must be of type number with format float in spec.x'],
    ],
    [
      { type: 'integer', maximum: 1.5 },
      2,
      [
        '<nil>: Invalid value: "": Maximum boundary value must be of type integer (default format) in spec.x',
        'spec.x: Invalid value: 2: spec.x in body should be less than or equal to 1.5',
      ],
    ],
    [{ type: 'string', maxLength: 2 }, '😀😀', []],
    [{ type: 'string', maxLength: 5 }, 'abcdef', ['spec.x: Too long: may not be more than 5 bytes']],
    [{ type: 'string', maxLength: 1 }, 'ab', ['spec.x: Too long: may not be more than 1 byte']],
    [
      { type: 'string', minLength: 2 },
      '😀',
      ['spec.x: Invalid value: "😀": spec.x in body should be at least 2 chars long'],
    ],
    [{ type: 'string', pattern: '^a+$' }, 'aa', []],
    [
      { type: 'string', pattern: '^a+$' },
      'b"',
      [`spec.x: Invalid value: "b\\"": spec.x in body should match '^a+$'`],
    ],
    [{ type: 'string', pattern: 'b' }, 'abc', []],
    [
      { type: 'string', minLength: 3, pattern: 'x' },
      'a',
      ['spec.x: Invalid value: "a": spec.x in body should be at least 3 chars long'],
    ],
    [{ type: 'string', format: 'date-time' }, '2026-01-31T12:00:00Z', []],
    [
      { type: 'string', format: 'date-time' },
      'soon',
      ['spec.x: Invalid value: "soon": spec.x in body must be of type date-time: "soon"'],
    ],
    [{ type: 'string', format: 'unheard-of' }, 'soon', []],
    [
      { 'x-kubernetes-preserve-unknown-fields': true, format: 'date' },
      5,
      ['spec.x: Invalid value: "int64": spec.x in body must be of type date: "int64"'],
    ],
    [{ type: 'string', enum: ['a', 'b'] }, 'b', []],
    [
      { type: 'string', enum: ['a', 'b'] },
      'c',
      ['spec.x: Unsupported value: "c": supported values: "a", "b"'],
    ],
    [{ type: 'integer', enum: [1, 2] }, 3, ['spec.x: Unsupported value: 3: supported values: "1", "2"']],
    [{ type: 'number', enum: [5] }, 5.5, []],
    [
      { type: 'string', nullable: true, enum: ['a', null] },
      null,
      ['spec.x: Unsupported value: null: supported values: "a", "null"'],
    ],
    [{ type: 'object', enum: [{ a: [1] }] }, { a: [1] }, []],
    [
      { type: 'array', items: string, minItems: 2 },
      ['a'],
      ['spec.x: Invalid value: 1: spec.x in body should have at least 2 items'],
    ],
    [
      { type: 'array', items: string, maxItems: 1 },
      ['a', 'b'],
      ['spec.x: Too many: 2: must have at most 1 item'],
    ],
    [
      { type: 'array', items: integer },
      [1, 'a'],
      ['spec.x[1]: Invalid value: "string": spec.x[1] in body must be of type integer: "string"'],
    ],
    [
      { type: 'object', minProperties: 1 },
      {},
      ['spec.x: Invalid value: 0: spec.x in body should have at least 1 properties'],
    ],
    [
      { type: 'object', maxProperties: 1, additionalProperties: integer },
      { a: 1, b: 1 },
      ['spec.x: Too many: 2: must have at most 1 item'],
    ],
    [
      { type: 'object', additionalProperties: integer },
      { a: 'b' },
      ['spec.x.a: Invalid value: "string": spec.x.a in body must be of type integer: "string"'],
    ],
    [object({ a: string }, { required: ['a', 'b'] }), { a: '' }, ['spec.x.b: Required value']],
    [
      { type: 'object', additionalProperties: false },
      { a: 1 },
      ['spec.x: Invalid value: "a": spec.x.a in body is a forbidden property'],
    ],
  ])('%j %j', (props, value, expected) => {
    expect(errorsOf(props, value)).toEqual(expected);
  });
});

describe('alternatives', () => {
  const has = (...required: string[]): Props => ({ required });
  const props = object({ a: string, b: integer, c: string });
  test.each<[Props, JsonValue, string[]]>([
    [{ anyOf: [has('a'), has('b')] }, { b: 1 }, []],
    [
      { anyOf: [has('a'), has('b')] },
      {},
      [
        '<nil>: Invalid value: "": "spec.x" must validate at least one schema (anyOf)',
        'spec.x.a: Required value',
      ],
    ],
    [
      { oneOf: [has('a'), has('b')] },
      { a: '', b: 1 },
      [
        '<nil>: Invalid value: "": "spec.x" must validate one and only one schema (oneOf). Found 2 valid alternatives',
      ],
    ],
    // The alternative that came closest is told.
    [
      {
        oneOf: [
          { properties: { a: { enum: ['x'] } }, required: ['b'] },
          { properties: { a: { minLength: 1 }, b: { minimum: 1 } }, required: ['c'] },
        ],
      },
      { a: 'y', b: 1 },
      [
        '<nil>: Invalid value: "": "spec.x" must validate one and only one schema (oneOf). Found none valid',
        'spec.x.c: Required value',
      ],
    ],
    [
      { allOf: [has('a'), has('b')] },
      { b: 1 },
      [
        'spec.x.a: Required value',
        '<nil>: Invalid value: "": "spec.x" must validate all the schemas (allOf)',
      ],
    ],
    [
      { allOf: [has('a')] },
      {},
      [
        'spec.x.a: Required value',
        '<nil>: Invalid value: "": "spec.x" must validate all the schemas (allOf). None validated',
      ],
    ],
    [{ not: has('a') }, { a: '' }, ['<nil>: Invalid value: "": "spec.x" must not validate the schema (not)']],
    [{ not: has('a') }, {}, []],
    // Told once, though it was found twice.
    [
      {
        properties: { a: { type: 'string', maxLength: 1 } },
        allOf: [{ properties: { a: { maxLength: 1 } } }],
      },
      { a: 'xx' },
      [
        'spec.x.a: Too long: may not be more than 1 byte',
        '<nil>: Invalid value: "": "spec.x" must validate all the schemas (allOf). None validated',
      ],
    ],
  ])('%j %j', (more, value, expected) => {
    expect(errorsOf({ ...props, ...more }, value)).toEqual(expected);
  });
});

test('the root, and parts of objects', () => {
  const props = object(
    { replicas: { type: 'integer', maximum: 1 } },
    { required: ['spec'], maxProperties: 3 },
  );
  expect(check(props, {})).toEqual(['spec: Required value']);
  expect(check(props, [])).toEqual([
    '<nil>: Invalid value: "array":  in body must be of type object: "array"',
  ]);
  expect(check(props, { spec: 1, replicas: 2 }, { path: 'status' })).toEqual([
    'status.replicas: Invalid value: 2: replicas in body should be less than or equal to 1',
  ]);
  expect(check({ type: 'object', additionalProperties: integer }, { a: '' })).toEqual([
    'a: Invalid value: "string": .a in body must be of type integer: "string"',
  ]);
});

test('causes have reasons', () => {
  const props = object(
    { a: string, b: { enum: ['x'] }, c: { maxLength: 1 }, d: { maxItems: 0 } },
    { required: ['e'] },
  );
  expect(compileValueValidator(props)({ a: 1, b: 'y', c: 'zz', d: [1] }).map(({ type }) => type)).toEqual([
    'FieldValueTypeInvalid',
    'FieldValueNotSupported',
    'FieldValueTooLong',
    'FieldValueTooMany',
    'FieldValueRequired',
  ]);
});

describe('ratcheting', () => {
  const keyed: Props = {
    type: 'array',
    items: object({ name: string, size: { type: 'integer', maximum: 5 } }),
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['name'],
  };
  const props = object({
    kind: { type: 'string', pattern: '^[a-z]+$' },
    n: { type: 'integer', maximum: 5 },
    o: object({ a: { type: 'string', minLength: 3 }, b: string }, { required: ['c'] }),
    list: { type: 'array', items: { type: 'integer', maximum: 5 } },
    keyed,
    open: object({ a: string }, { 'x-kubernetes-preserve-unknown-fields': true, maxProperties: 1 }),
    any: { anyOf: [{ minimum: 10 }, { maxLength: 1 }], 'x-kubernetes-preserve-unknown-fields': true },
  });
  const tooBig = (path: string, value: number): string =>
    `${path}: Invalid value: ${value}: ${path} in body should be less than or equal to 5`;
  test.each<[string, JsonValue, JsonValue, string[]]>([
    ['unchanged', { n: 7 }, { n: 7 }, []],
    ['changed', { n: 7 }, { n: 8 }, [tooBig('n', 8)]],
    ['new', {}, { n: 7 }, [tooBig('n', 7)]],
    [
      'a changed object, the unchanged field of it',
      { o: { a: 'x' } },
      { o: { a: 'x', b: '' } },
      ['o.c: Required value'],
    ],
    ['an unchanged object', { o: { a: 'x' } }, { n: 1, o: { a: 'x' } }, []],
    ['an unchanged list', { list: [7] }, { list: [7] }, []],
    ['items of lists follow nothing', { list: [7] }, { list: [7, 1] }, [tooBig('list[0]', 7)]],
    [
      'items with keys follow their like',
      { keyed: [{ name: 'a', size: 7 }, { name: 'b' }] },
      {
        keyed: [
          { name: 'b', size: 8 },
          { name: 'a', size: 7 },
        ],
      },
      [tooBig('keyed[0].size', 8)],
    ],
    [
      'objects with fields that no schema describes always changed',
      { open: { a: '', x: 1 } },
      { open: { a: '', x: 1 } },
      ['open: Too many: 2: must have at most 1 item'],
    ],
    ['alternatives of an unchanged value', { any: 5 }, { any: 5 }, []],
    [
      'the kind is not let pass',
      { kind: 'A' },
      { kind: 'A', n: 1 },
      [`kind: Invalid value: "A": kind in body should match '^[a-z]+$'`],
    ],
  ])('%s', (_name, old, value, expected) => {
    expect(check(props, value, { old })).toEqual(expected);
  });

  test('lists that held something twice may go on', () => {
    const old = { keyed: [{ name: 'a' }, { name: 'a' }] };
    expect(check(props, old)).toEqual(['keyed[1]: Duplicate value: {"name":"a"}']);
    expect(check(props, { keyed: [{ name: 'a' }, { name: 'a' }, { name: 'b' }] }, { old })).toEqual([]);
    expect(check(props, old, { old: {} })).toHaveLength(1);
  });
});

describe('lists', () => {
  const set = (items: Props): Props => ({ type: 'array', items, 'x-kubernetes-list-type': 'set' });
  const map = (...keys: string[]): Props => ({
    type: 'array',
    items: object({ a: string, b: integer, tags: set(string) }),
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': keys,
  });
  test.each<[Props, JsonValue, string[]]>([
    [set(string), ['a', 'b'], []],
    [
      set(string),
      ['a', 'b', 'a', 'a', 'b'],
      ['spec.x[2]: Duplicate value: "a"', 'spec.x[4]: Duplicate value: "b"'],
    ],
    [set({ 'x-kubernetes-int-or-string': true }), [1, '1'], []],
    [set(object({ a: string })), [{ a: '' }, { a: '' }], ['spec.x[1]: Duplicate value: {"a":""}']],
    [map('a'), [{ a: 'x' }, { a: 'y' }], []],
    [
      map('a'),
      [
        { a: 'x', b: 1 },
        { a: 'x', b: 2 },
      ],
      ['spec.x[1]: Duplicate value: {"a":"x"}'],
    ],
    [map('a'), [{}, {}], ['spec.x[1]: Duplicate value: {}']],
    [
      map('a', 'b'),
      [
        { a: 'x', b: 1 },
        { a: 'x', b: 2 },
      ],
      [],
    ],
    [
      map('a', 'b'),
      [
        { a: 'x', b: 1 },
        { b: 1, a: 'x' },
      ],
      ['spec.x[1]: Duplicate value: {"a":"x","b":1}'],
    ],
    [
      map('a'),
      ['x'],
      [
        'spec.x[0]: Invalid value: "string": spec.x[0] in body must be of type object: "string"',
        'spec.x[0]: Invalid value: "x": must be an object for an array of list-type map',
      ],
    ],
    [map('a'), [{ a: 'x', tags: ['t', 't'] }], ['spec.x[0].tags[1]: Duplicate value: "t"']],
    [
      { type: 'object', additionalProperties: set(string) },
      { k: ['t', 't'] },
      ['spec.x[k][1]: Duplicate value: "t"'],
    ],
  ])('%j %j', (props, value, expected) => {
    expect(errorsOf(props, value)).toEqual(expected);
  });
});

describe('embedded objects', () => {
  const props: Props = {
    type: 'object',
    'x-kubernetes-embedded-resource': true,
    'x-kubernetes-preserve-unknown-fields': true,
  };
  test.each<[JsonValue, string[]]>([
    [{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'any:thing' } }, []],
    [{ apiVersion: 'v1', kind: 'Pod' }, []],
    [{}, ['spec.x.apiVersion: Required value', 'spec.x.kind: Required value']],
    [
      { apiVersion: '', kind: '' },
      [
        'spec.x.apiVersion: Invalid value: "": must not be empty',
        'spec.x.kind: Invalid value: "": must not be empty',
      ],
    ],
    [
      { apiVersion: 'a/b/c', kind: 'No_Kind' },
      [
        'spec.x.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c',
        `spec.x.kind: Invalid value: "No_Kind": may have mixed case, but should otherwise match: a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')`,
      ],
    ],
    [
      { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a/b', labels: { '': 'x' } } },
      [
        `spec.x.metadata.name: Invalid value: "a/b": may not contain '/'`,
        'spec.x.metadata.labels: Invalid value: "": name part must be non-empty',
        expect.stringMatching(
          /^spec\.x\.metadata\.labels: Invalid value: "": name part must consist of/,
        ) as string,
      ],
    ],
  ])('%j', (value, expected) => {
    expect(errorsOf(props, value)).toEqual(expected);
  });

  test('are coerced', () => {
    const schema = compileStructuralSchema(object({ list: { type: 'array', items: props } }));
    const item = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'a', creationTimestamp: null, foo: 1 },
      spec: {},
    };
    expect(coerceEmbeddedObjects({ list: [item] }, schema)).toEqual({
      value: { list: [{ ...item, metadata: { name: 'a' } }] },
      strictErrors: ['unknown field "list[0].metadata.foo"'],
      error: undefined,
    });
    const wrong = { list: [{ ...item, metadata: { name: 'a', labels: 1 } }] };
    expect(coerceEmbeddedObjects(wrong, schema).error?.field).toBe('list[0].metadata');
    expect(coerceEmbeddedObjects(wrong, schema, { dropInvalid: true }).value).toEqual({
      list: [{ ...item, metadata: { name: 'a' } }],
    });
    const good = { list: [{ apiVersion: 'v1', kind: 'Pod' }] };
    expect(coerceEmbeddedObjects(good, schema).value).toBe(good);
  });
});

describe('hostile values', () => {
  test.each<[string, Props, JsonValue]>([
    ['a pattern that would backtrack', { type: 'string', pattern: '^(a+)+$' }, 'a'.repeat(200_000) + '!'],
    ['a million wrong items', { type: 'array', items: string }, new Array<number>(1e6).fill(1)],
    [
      'a set of many items',
      { type: 'array', items: { type: 'integer' }, 'x-kubernetes-list-type': 'set' },
      Array.from({ length: 2e5 }, (_, i) => i % 1e5),
    ],
    [
      'alternatives',
      { items: { oneOf: [string, integer, { type: 'boolean' }] } },
      new Array<string>(1e5).fill('a'),
    ],
  ])('%s', (_name, props, value) => {
    const start = performance.now();
    expect(errorsOf(props, value).length).toBeLessThanOrEqual(2000);
    expect(performance.now() - start).toBeLessThan(3000);
  });

  test('names of JavaScript are names', () => {
    const props = object({ constructor: string, toString: string }, { required: ['hasOwnProperty'] });
    expect(check(props, JSON.parse('{"__proto__":1,"constructor":1}') as JsonValue)).toEqual([
      'constructor: Invalid value: "integer": constructor in body must be of type string: "integer"',
      'hasOwnProperty: Required value',
    ]);
  });
});
