import type { apiextensionsv1 } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import { customDefinition, customListDefinition } from './custom-definitions.ts';
import type { JsonObject } from './definitions.ts';

type Props = apiextensionsv1.JSONSchemaProps;

const META = { $ref: '#/ObjectMeta' };
const definition = (version: 2 | 3, schema: unknown, selectableFields: readonly string[] = []): JsonObject =>
  customDefinition(version, { schema: schema as Props, selectableFields }, META);
/** What a property `p` of this schema looks like. */
const property = (version: 2 | 3, schema: object): unknown =>
  (definition(version, { type: 'object', properties: { p: schema } })['properties'] as JsonObject)['p'];

const PRESERVE = 'x-kubernetes-preserve-unknown-fields';
const INT_OR_STRING = 'x-kubernetes-int-or-string';
const EITHER = [{ type: 'integer' }, { type: 'string' }];

describe('the definition of a custom resource', () => {
  test('has the fields of every kind', () => {
    expect(definition(2, { type: 'object' })['properties']).toMatchObject({
      apiVersion: { type: 'string', description: expect.stringContaining('APIVersion defines') as string },
      kind: { type: 'string' },
      metadata: { description: expect.any(String) as string, $ref: '#/ObjectMeta' },
    });
    expect(definition(3, { type: 'object' })['properties']).toMatchObject({
      metadata: { description: expect.any(String) as string, allOf: [META] },
    });
  });

  test('that takes anything says nothing more in version 2', () => {
    const schema = { type: 'object', description: 'd', [PRESERVE]: true, properties: { a: {} } };
    expect(definition(2, schema)).toEqual({ type: 'object' });
    expect(definition(3, schema)).toMatchObject({
      description: 'd',
      [PRESERVE]: true,
      properties: { a: {} },
    });
    expect(definition(3, undefined)).toEqual({ type: 'object' });
  });

  test('names the selectable fields, as does its list', () => {
    const fields = { 'x-kubernetes-selectable-fields': [{ fieldPath: 'spec.a' }] };
    expect(definition(2, { type: 'object' }, ['spec.a'])).toMatchObject(fields);
    const row = { kind: 'Foo', listKind: 'Foos', resource: 'foos' };
    expect(
      customListDefinition(3, { $ref: 'x' }, row, { schema: undefined, selectableFields: ['spec.a'] }, META),
    ).toMatchObject({
      ...fields,
      description: 'Foos is a list of Foo',
      properties: {
        items: { items: { $ref: 'x' }, description: expect.stringContaining('List of foos.') as string },
      },
    });
  });

  test.each<[string, object, object]>([
    ['no junctors', { type: 'string', anyOf: [{}], allOf: [{}], oneOf: [{}], not: {} }, { type: 'string' }],
    ['defaults', { type: 'boolean', default: false }, { type: 'boolean', default: false }],
    ['nothing for what may be null', { type: 'object', nullable: true, properties: { a: {} } }, {}],
    ['no list without items', { type: 'array', [PRESERVE]: true }, { [PRESERVE]: true }],
    [
      'no type for what takes anything',
      { type: 'object', [PRESERVE]: true, properties: { a: {} }, description: 'd' },
      { [PRESERVE]: true, description: 'd' },
    ],
    [
      'not required what may be null',
      { type: 'object', required: ['a', 'b'], properties: { a: { nullable: true }, b: {} } },
      { type: 'object', required: ['b'], properties: { a: {}, b: {} } },
    ],
    [
      'no embedded fields beside unknown ones',
      { type: 'object', 'x-kubernetes-embedded-resource': true, [PRESERVE]: true },
      { 'x-kubernetes-embedded-resource': true, [PRESERVE]: true },
    ],
  ])('version 2 has %s', (_, schema, expected) => {
    expect(property(2, schema)).toEqual(expected);
  });

  test.each<[string, object, object]>([
    [
      'a number or text',
      { [INT_OR_STRING]: true, nullable: false },
      { [INT_OR_STRING]: true, anyOf: EITHER },
    ],
    [
      'which the author may say himself',
      { [INT_OR_STRING]: true, allOf: [{ anyOf: EITHER }, { anyOf: [{ minimum: 1 }] }] },
      { [INT_OR_STRING]: true, allOf: [{ anyOf: EITHER }, { anyOf: [{ minimum: 1 }] }] },
    ],
    [
      'or add to',
      { [INT_OR_STRING]: true, anyOf: [{ minimum: 1 }] },
      { [INT_OR_STRING]: true, allOf: [{ anyOf: EITHER }], anyOf: [{ minimum: 1 }] },
    ],
  ])('version 3: %s', (_, schema, expected) => {
    expect(property(3, schema)).toEqual(expected);
  });

  test('embedded objects have the fields of every kind and need two of them', () => {
    expect(
      property(2, { type: 'object', 'x-kubernetes-embedded-resource': true, required: ['kind', 'spec'] }),
    ).toMatchObject({
      required: ['kind', 'spec', 'apiVersion'],
      properties: { metadata: { $ref: '#/ObjectMeta' }, kind: {}, apiVersion: {} },
    });
  });
});
