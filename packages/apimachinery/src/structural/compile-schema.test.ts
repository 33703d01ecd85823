import type { apiextensionsv1 } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import type { JsonObject } from '../json.ts';
import { applyDefaults } from '../schema/default.ts';
import { dropNulls } from '../schema/nulls.ts';
import { pruneObject } from '../schema/prune.ts';
import { compileStructuralSchema } from './compile-schema.ts';

type Props = apiextensionsv1.JSONSchemaProps;

const OPEN = 'x-kubernetes-preserve-unknown-fields';
const string: Props = { type: 'string' };
const object = (properties: Record<string, Props>, more: Props = {}): Props => ({
  type: 'object',
  properties,
  ...more,
});

describe('the tree', () => {
  test.each<[Props, object]>([
    [
      { type: 'string', nullable: true, default: 'x' },
      { type: 'string', nullable: true, default: 'x' },
    ],
    [{ type: 'integer', format: 'int32' }, { type: 'int64' }],
    [{ type: 'number' }, { type: 'float64' }],
    [{ type: 'boolean' }, { type: 'boolean' }],
    [{ 'x-kubernetes-int-or-string': true }, { type: 'intOrString' }],
    [{ [OPEN]: true }, { type: 'json', preserveUnknownFields: true }],
    [
      { [OPEN]: true, properties: { a: string } },
      { type: 'object', preserveUnknownFields: true },
    ],
    [
      { type: 'object', additionalProperties: string },
      { type: 'map', items: { type: 'string' } },
    ],
    [
      { type: 'object', additionalProperties: true },
      { type: 'map', items: { type: 'json' } },
    ],
    [
      { type: 'object', 'x-kubernetes-map-type': 'atomic' },
      { type: 'object', mapType: 'atomic' },
    ],
    [
      { type: 'array', items: string, 'x-kubernetes-list-type': 'set' },
      { type: 'array', items: { type: 'string' }, listType: 'set' },
    ],
    [
      {
        type: 'array',
        items: object({ a: string }),
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['a'],
      },
      { type: 'array', listType: 'map', listMapKeys: ['a'] },
    ],
  ])('%j', (props, expected) => {
    expect(compileStructuralSchema(props)).toMatchObject(expected);
  });

  test('fields are as pointers, required where the schema says so', () => {
    const { fields } = compileStructuralSchema(object({ a: string, b: string }, { required: ['a'] }));
    expect(fields.get('a')).toMatchObject({ required: true, pointer: true, omitEmpty: true });
    expect(fields.get('b')?.required).toBe(false);
  });

  test('defaults are frozen copies', () => {
    const declared = { a: [1] };
    const schema = compileStructuralSchema(object({ x: { type: 'object', default: declared } }));
    const made = schema.fields.get('x')?.schema.default as typeof declared;
    expect(made).toEqual(declared);
    expect(Object.isFrozen(made.a)).toBe(true);
    expect(Object.isFrozen(declared)).toBe(false);
  });

  test('embedded resources have the metadata of every kind', () => {
    const schema = compileStructuralSchema({
      type: 'object',
      'x-kubernetes-embedded-resource': true,
      [OPEN]: true,
      properties: { metadata: { type: 'object', properties: { name: { type: 'string', default: 'x' } } } },
    });
    expect([...schema.fields.keys()].sort()).toEqual(['apiVersion', 'kind', 'metadata']);
    expect(schema.fields.get('metadata')?.schema.goName).toBe('ObjectMeta');
    expect(applyDefaults({ metadata: {} }, schema)).toEqual({ metadata: { name: 'x' } });
  });
});

describe('pruning', () => {
  test.each<[string, Props, JsonObject, JsonObject]>([
    ['nothing described', object({}), { a: 1, metadata: { b: 1 } }, { metadata: { b: 1 } }],
    ['an open root', object({ a: object({}) }, { [OPEN]: true }), { a: { b: 1 }, c: 1 }, { a: {}, c: 1 }],
    [
      'what is described closes again, and opens again',
      object({ a: { [OPEN]: true, properties: { b: object({ c: { [OPEN]: true } }) } } }),
      { a: { x: 1, b: { y: 1, c: { z: 1 } } } },
      { a: { x: 1, b: { c: { z: 1 } } } },
    ],
    [
      'an open list has open items',
      object({ a: { type: 'array', items: object({ b: object({}) }), [OPEN]: true } }),
      { a: [{ b: { x: 1 }, c: 1 }] },
      { a: [{ b: {}, c: 1 }] },
    ],
    [
      'an open map of closed values',
      object({ a: { type: 'object', additionalProperties: object({}), [OPEN]: true } }),
      { a: { b: { c: 1 } } },
      { a: { b: {} } },
    ],
    [
      'values of the wrong type',
      object({ a: string, b: { type: 'array', items: string }, c: object({ d: string }) }),
      { a: { x: 1 }, b: { y: 1 }, c: [{ d: '' }] },
      { a: {}, b: {}, c: [{}] },
    ],
    [
      'an embedded resource keeps its envelope',
      object({ t: object({ spec: object({}) }, { 'x-kubernetes-embedded-resource': true }) }),
      { t: { apiVersion: 'v1', kind: 'Pod', metadata: { a: 1 }, spec: { b: 1 }, c: 1 } },
      { t: { apiVersion: 'v1', kind: 'Pod', metadata: { a: 1 }, spec: {} } },
    ],
  ])('%s', (_name, props, value, expected) => {
    expect(pruneObject(value, compileStructuralSchema(props)).object).toEqual(expected);
  });

  test('int-or-string and null values stay', () => {
    const schema = compileStructuralSchema(object({ a: { 'x-kubernetes-int-or-string': true }, b: string }));
    const value = { a: 1, b: null };
    expect(pruneObject(value, schema).object).toBe(value);
  });
});

describe('nulls and defaults', () => {
  const props = object({
    plain: string,
    nullable: { type: 'string', nullable: true },
    defaulted: { type: 'string', default: 'd' },
    both: { type: 'string', default: 'd', nullable: true },
    open: { [OPEN]: true },
    list: { type: 'array', items: string },
    objects: { type: 'array', items: object({ a: string, b: { type: 'integer', default: 0 } }) },
    map: { type: 'object', additionalProperties: object({ a: string }) },
    any: { type: 'object', additionalProperties: true },
  });
  test.each<[JsonObject, JsonObject]>([
    [
      { plain: null, nullable: null, defaulted: null, both: null },
      { nullable: null, defaulted: 'd', both: null },
    ],
    [{ open: null }, {}],
    [{ open: { a: null } }, { open: { a: null } }],
    [{ list: [null, 'a'] }, { list: [null, 'a'] }],
    [{ objects: [{ a: null }, { b: 2 }] }, { objects: [{ b: 0 }, { b: 2 }] }],
    [{ map: { x: { a: null }, y: null } }, { map: { x: {} } }],
    [{ any: { x: null } }, { any: { x: null } }],
    [{ unknown: null }, { unknown: null }],
    [{ defaulted: '' }, { defaulted: '' }],
  ])('%j', (value, expected) => {
    const schema = compileStructuralSchema(props);
    const defaults = { defaulted: 'd', both: 'd' };
    expect(applyDefaults(dropNulls(value, schema), schema)).toEqual({ ...defaults, ...expected });
  });

  test('nothing null, nothing copied', () => {
    const value = { plain: 'x', map: { a: { a: 'b' } } };
    expect(dropNulls(value, compileStructuralSchema(props))).toBe(value);
  });
});
