import { describe, expect, test } from 'vitest';
import { convertToV3 } from './convert-to-v3.ts';
import { filteredSwagger, mergedSwagger } from './merge-swagger.ts';

const ref = (name: string) => ({ $ref: `#/definitions/${name}` });
const path = (name: string) => ({ get: { responses: { 200: { schema: ref(name) } } } });

describe('filtered', () => {
  test('keeps the paths, what they lead to, and what nobody used', () => {
    const swagger = {
      paths: { '/a/x': path('A'), '/b/x': path('B') },
      definitions: {
        A: { properties: { inner: ref('Inner') } },
        Inner: { properties: { self: ref('Inner') } },
        B: { properties: { only: ref('OnlyB') } },
        OnlyB: {},
        Unused: {},
      },
    };
    expect(filteredSwagger(swagger, ['/a/'])).toEqual({
      paths: { '/a/x': path('A') },
      definitions: { A: swagger.definitions.A, Inner: swagger.definitions.Inner, Unused: {} },
    });
    expect(filteredSwagger(swagger, ['/'])).toBe(swagger);
  });
});

describe('merged', () => {
  test('what means something else is renamed, with what leads to it', () => {
    const first = {
      paths: { '/a': path('X') },
      definitions: { X: { type: 'object' }, X_v2: { type: 'number' } },
    };
    const other = { paths: { '/b': path('X') }, definitions: { X: { type: 'string' } } };
    expect(mergedSwagger(first, [other])).toEqual({
      paths: { '/a': path('X'), '/b': path('X_v3') },
      definitions: { X: { type: 'object' }, X_v2: { type: 'number' }, X_v3: { type: 'string' } },
    });
    expect(Object.keys(first.paths)).toEqual(['/a']);
  });

  test('what is the same but for its kinds is there once, for all of them', () => {
    const kinds = (group: string) => ({
      type: 'object',
      'x-kubernetes-group-version-kind': [{ group, version: 'v1', kind: 'DeleteOptions' }],
    });
    const first = { paths: { '/a': path('D') }, definitions: { D: kinds('a') } };
    const other = { paths: { '/b': path('D') }, definitions: { D: kinds('b') } };
    expect(mergedSwagger(first, [other]).definitions).toEqual({
      D: {
        type: 'object',
        'x-kubernetes-group-version-kind': [
          ...kinds('a')['x-kubernetes-group-version-kind'],
          ...kinds('b')['x-kubernetes-group-version-kind'],
        ],
      },
    });
  });

  test('paths that are there already stay as they are', () => {
    const first = { paths: { '/a': path('X') }, definitions: { X: {} } };
    const other = { paths: { '/a': path('Y') }, definitions: { Y: {} } };
    expect(mergedSwagger(first, [other])).toBe(first);
  });

  test('parameters are renamed as well', () => {
    const parameter = { get: { parameters: [{ $ref: '#/parameters/p' }] } };
    const first = { paths: { '/a': parameter }, parameters: { p: { name: 'p' } } };
    const other = { paths: { '/b': parameter }, parameters: { p: { name: 'q' } } };
    expect(mergedSwagger(first, [other])).toMatchObject({
      paths: { '/b': { get: { parameters: [{ $ref: '#/parameters/p_v2' }] } } },
      parameters: { p: { name: 'p' }, p_v2: { name: 'q' } },
    });
  });

  test('names of JavaScript’s own are names like others', () => {
    const hostile = JSON.parse(
      '{"paths":{"/b":{},"__proto__":{"x":1}},"definitions":{"constructor":{},"__proto__":{"y":1}}}',
    ) as Readonly<Record<string, unknown>>;
    const merged = mergedSwagger({ paths: {}, definitions: {} }, [hostile]);
    expect(JSON.parse(JSON.stringify(merged))).toEqual(hostile);
    expect(({} as { x?: number }).x).toBeUndefined();
  });
});

test('version 2 becomes version 3', () => {
  expect(
    convertToV3({
      swagger: '2.0',
      info: { title: 'Wardle' },
      paths: {
        '/a': {
          parameters: [{ name: 'name', in: 'path', required: true, type: 'string' }],
          post: {
            operationId: 'create',
            'x-kubernetes-action': 'post',
            consumes: ['application/json'],
            produces: ['application/json', 'application/yaml'],
            parameters: [{ name: 'body', in: 'body', schema: ref('A') }, { $ref: '#/parameters/p' }],
            responses: { 200: { description: 'OK', schema: ref('A') }, 401: { description: 'No' } },
          },
        },
      },
      definitions: {
        A: {
          type: 'object',
          properties: { b: { description: 'B', ...ref('B') }, items: { items: ref('B') } },
        },
      },
      securityDefinitions: { BearerToken: { type: 'apiKey', name: 'authorization', in: 'header' } },
    }),
  ).toEqual({
    openapi: '3.0.0',
    info: { title: 'Wardle' },
    paths: {
      '/a': {
        parameters: [{ name: 'name', in: 'path', required: true, schema: { type: 'string' } }],
        post: {
          operationId: 'create',
          'x-kubernetes-action': 'post',
          parameters: [{ $ref: '#/components/parameters/p' }],
          requestBody: { content: { 'application/json': { schema: { $ref: '#/components/schemas/A' } } } },
          responses: {
            200: {
              description: 'OK',
              content: {
                'application/json': { schema: { $ref: '#/components/schemas/A' } },
                'application/yaml': { schema: { $ref: '#/components/schemas/A' } },
              },
            },
            401: { description: 'No' },
          },
        },
      },
    },
    components: {
      schemas: {
        A: {
          type: 'object',
          properties: {
            b: { description: 'B', allOf: [{ $ref: '#/components/schemas/B' }] },
            items: { items: { $ref: '#/components/schemas/B' } },
          },
        },
      },
      securitySchemes: { BearerToken: { type: 'apiKey', name: 'authorization', in: 'header' } },
    },
  });
});
