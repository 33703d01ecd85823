import { describe, expect, test } from 'vitest';
import { createSchema, schemaOf } from '@k8ts/api';
import type { FieldSchema, Schema, SchemaInit } from '@k8ts/api';
import type { JsonObject } from '../json.ts';
import { applyDefaults } from './default.ts';
import { pruneObject } from './prune.ts';
import { zeroObjectOf } from './zero-value.ts';

/** As custom resources are compiled: every field may be absent, and nothing is left out. */
function object(fields: Readonly<Record<string, Schema>>, init: Partial<SchemaInit> = {}): Schema {
  return createSchema({
    ...init,
    type: 'object',
    fields: new Map(
      Object.entries(fields).map(([name, schema]): [string, FieldSchema] => [
        name,
        { name, schema, required: false, omitEmpty: false, pointer: true, protoNumber: 0, protoEmbed: -1 },
      ]),
    ),
  });
}

const string = createSchema({ type: 'string' });

describe('zero values', () => {
  test('are what Go writes', () => {
    expect(zeroObjectOf(schemaOf('apps', 'v1', 'Deployment') as Schema)).toEqual({
      metadata: {},
      spec: { strategy: {}, template: { metadata: {}, spec: { containers: [] } } },
      status: {},
    });
    expect(zeroObjectOf(schemaOf('rbac.authorization.k8s.io', 'v1', 'ClusterRole') as Schema)).toEqual({
      metadata: {},
      rules: [],
    });
  });

  test('custom resources have none', () => {
    expect(zeroObjectOf(object({ spec: object({ a: string }) }))).toEqual({});
  });
});

describe('defaults', () => {
  test('of built-in types', () => {
    const service = schemaOf('', 'v1', 'Service') as Schema;
    const value: JsonObject = { spec: { ports: [{ port: 80 }, { port: 53, protocol: 'UDP' }] } };
    expect(applyDefaults(value, service)).toEqual({
      spec: {
        ports: [
          { port: 80, protocol: 'TCP' },
          { port: 53, protocol: 'UDP' },
        ],
      },
    });
    expect(value).toEqual({ spec: { ports: [{ port: 80 }, { port: 53, protocol: 'UDP' }] } });
  });

  test('inside of defaults, maps and lists; null is missing unless it is nullable', () => {
    const inner = object({ size: createSchema({ type: 'int64', default: 3 }), name: string });
    const schema = object({
      spec: { ...inner, default: {} },
      map: createSchema({ type: 'map', items: inner }),
      list: createSchema({ type: 'array', items: { ...inner, default: { name: 'x' } } }),
      nothing: createSchema({ type: 'string', default: 'a', nullable: true }),
      something: createSchema({ type: 'string', default: 'b' }),
      empty: createSchema({ type: 'string', default: 'c' }),
    });
    expect(
      applyDefaults(
        { map: { a: {} }, list: [{ size: 1 }, null], nothing: null, something: null, empty: '' },
        schema,
      ),
    ).toEqual({
      spec: { size: 3 },
      map: { a: { size: 3 } },
      list: [{ size: 1 }, { name: 'x', size: 3 }],
      nothing: null,
      something: 'b',
      empty: '',
    });
  });

  test('nothing missing, nothing copied', () => {
    const service = schemaOf('', 'v1', 'Service') as Schema;
    const value: JsonObject = { spec: { ports: [{ port: 80, protocol: 'TCP' }] } };
    expect(applyDefaults(value, service)).toBe(value);
  });

  test('types that contain themselves', () => {
    const crd = schemaOf('apiextensions.k8s.io', 'v1', 'CustomResourceDefinition') as Schema;
    const value: JsonObject = {
      spec: { versions: [{ schema: { openAPIV3Schema: { properties: { a: {} } } } }] },
    };
    expect(applyDefaults(value, crd)).toEqual(value);
  });
});

describe('pruning', () => {
  const schema = object({
    spec: object({
      known: string,
      open: object({ known: object({}) }, { preserveUnknownFields: true }),
      list: createSchema({ type: 'array', items: object({ a: string }) }),
      map: createSchema({ type: 'map', items: object({ a: string }) }),
      template: object({ spec: object({}) }, { embeddedResource: true }),
      any: createSchema({ type: 'json', preserveUnknownFields: true }),
      undescribed: createSchema({ type: 'map', items: createSchema({ type: 'json' }) }),
    }),
  });

  test('removes and names what is unknown', () => {
    const value = {
      apiVersion: 'a/v1',
      kind: 'B',
      metadata: { name: 'x' },
      extra: 1,
      spec: {
        known: 'x',
        unknown: 1,
        open: { anything: { goes: 1 }, known: { not: 1 } },
        list: [{ a: 'x', b: 1 }],
        map: { k: { b: 1 } },
        template: { kind: 'Pod', metadata: { name: 'y' }, spec: { x: 1 }, z: 1 },
        any: { x: [1] },
        undescribed: { a: 1, b: { c: 1 }, d: [{ e: 1 }] },
      },
    };
    expect(pruneObject(value, schema)).toEqual({
      object: {
        apiVersion: 'a/v1',
        kind: 'B',
        metadata: { name: 'x' },
        spec: {
          known: 'x',
          open: { anything: { goes: 1 }, known: {} },
          list: [{ a: 'x' }],
          map: { k: {} },
          template: { kind: 'Pod', metadata: { name: 'y' }, spec: {} },
          any: { x: [1] },
          undescribed: { a: 1, b: {}, d: [{}] },
        },
      },
      strictErrors: [
        'unknown field "extra"',
        'unknown field "spec.list[0].b"',
        'unknown field "spec.map.k.b"',
        'unknown field "spec.open.known.not"',
        'unknown field "spec.template.spec.x"',
        'unknown field "spec.template.z"',
        'unknown field "spec.undescribed.b.c"',
        'unknown field "spec.undescribed.d[0].e"',
        'unknown field "spec.unknown"',
      ],
    });
  });

  test('nothing unknown, nothing copied; __proto__ is unknown', () => {
    const value = { metadata: {}, spec: { known: 'x', list: [{ a: 'x' }] } };
    expect(pruneObject(value, schema).object).toBe(value);
    const hostile = JSON.parse('{"spec":{"__proto__":{"x":1},"constructor":1}}') as JsonObject;
    expect(pruneObject(hostile, schema)).toEqual({
      object: { spec: {} },
      strictErrors: ['unknown field "spec.__proto__"', 'unknown field "spec.constructor"'],
    });
  });
});
