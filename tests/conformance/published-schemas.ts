import { expect } from 'vitest';

import { until } from '../support/waiting.ts';
import type { Wire } from '../support/wire.ts';
import { ANYTHING, definitionOf, versionsOf, type Definition, type JsonSchema } from './custom-resources.ts';

/** Schemas with all that upstream's tests of published OpenAPI have in theirs. */

const bars = (description: string, item: JsonSchema): JsonSchema => ({
  description,
  type: 'array',
  items: { type: 'object', ...item },
});

export const FOO: JsonSchema = {
  description: 'Foo CRD for Testing',
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      description: 'Specification of Foo',
      properties: {
        bars: bars('List of Bars and their specs.', {
          required: ['name'],
          properties: {
            name: { description: 'Name of Bar.', type: 'string' },
            age: { description: 'Age of Bar.', type: 'string' },
            feeling: {
              description: 'Whether Bar is feeling great.',
              type: 'string',
              enum: ['Great', 'Down'],
            },
            bazs: { description: 'List of Bazs.', type: 'array', items: { type: 'string' } },
          },
        }),
      },
    },
    status: {
      description: 'Status of Foo',
      type: 'object',
      properties: {
        bars: bars('List of Bars and their statuses.', {
          properties: {
            name: { description: 'Name of Bar.', type: 'string' },
            available: { description: 'Whether the Bar is installed.', type: 'boolean' },
            quxType: {
              description: 'Indicates to external qux type.',
              pattern: 'in-tree|out-of-tree',
              type: 'string',
            },
          },
        }),
      },
    },
  },
};

const waldo = (description: string, spec: JsonSchema = {}): JsonSchema => ({
  description,
  type: 'object',
  properties: {
    spec: {
      description: 'Specification of Waldo',
      type: 'object',
      properties: { dummy: { description: 'Dummy property.', type: 'object' } },
      ...spec,
    },
    status: {
      description: 'Status of Waldo',
      type: 'object',
      properties: { bars: bars('List of Bars and their statuses.', {}) },
    },
  },
});

const PRESERVE = { 'x-kubernetes-preserve-unknown-fields': true };

export const WALDO: JsonSchema = waldo('Waldo CRD for Testing');
export const PRESERVE_ROOT: JsonSchema = {
  ...waldo('preserve-unknown-properties at root for Testing'),
  ...PRESERVE,
};
export const PRESERVE_NESTED: JsonSchema = waldo(
  'preserve-unknown-properties in nested field for Testing',
  PRESERVE,
);

/** A definition in the group of this suffix; without a schema it takes anything. Each gets a kind of its own. */
export function publishedDefinition(
  kind: string,
  groupSuffix: string,
  schema: JsonSchema | undefined,
  ...versions: readonly string[]
): Definition {
  const name = kind.toLowerCase();
  return definitionOf({
    group: `crd-publish-openapi-test-${groupSuffix}.example.com`,
    plural: `${name}s`,
    kind,
    names: { singular: name, listKind: `${kind}List` },
    versions: versionsOf(schema ?? ANYTHING, ...versions),
  });
}

interface Swagger {
  readonly definitions: Readonly<Record<string, JsonSchema>>;
}

/** Resolves once ten looks at the published document, one after the other, satisfy. */
async function untilPublished(wire: Wire, fits: (swagger: Swagger) => boolean): Promise<void> {
  let etag: string | undefined;
  let swagger: Swagger = { definitions: {} };
  let satisfied = 0;
  await until(async () => {
    const headers: Record<string, string> = etag === undefined ? {} : { 'if-none-match': etag };
    const answer = await wire.send('GET', '/openapi/v2', { headers });
    if (answer.code !== 304) {
      expect(answer.code).toBe(200);
      swagger = answer.json<Swagger>();
      etag = String(answer.headers['etag']);
    }
    satisfied = fits(swagger) ? satisfied + 1 : 0;
    return satisfied === 10;
  });
}

function publishedName({ spec }: Definition, version: string): string {
  return [...spec.group.split('.').reverse(), version, spec.names.kind].join('.');
}

/** What every kind has is no part of the schema. */
function withoutEnvelope(definition: JsonSchema): JsonSchema {
  const { properties = {}, ...rest } = definition;
  const own = Object.entries(properties).filter(
    ([name]) => !['metadata', 'apiVersion', 'kind'].includes(name),
  );
  const shown: Record<string, unknown> = {
    ...rest,
    ...(own.length === 0 ? {} : { properties: Object.fromEntries(own) }),
  };
  delete shown['x-kubernetes-group-version-kind'];
  delete shown['x-kubernetes-selectable-fields'];
  return shown;
}

/** Waits until a version is published; with a schema, until it is published with this one. */
export async function untilShown(
  wire: Wire,
  definition: Definition,
  version: string,
  schema?: JsonSchema,
): Promise<void> {
  const name = publishedName(definition, version);
  let last: JsonSchema | undefined;
  try {
    await untilPublished(wire, ({ definitions }) => {
      last = definitions[name];
      return last !== undefined && (schema === undefined || same(withoutEnvelope(last), schema));
    });
  } catch (error) {
    expect(last, name).toBeDefined();
    if (schema !== undefined && last !== undefined) expect(withoutEnvelope(last)).toEqual(schema);
    throw error;
  }
}

export async function untilNotShown(wire: Wire, definition: Definition, version: string): Promise<void> {
  const name = publishedName(definition, version);
  await untilPublished(wire, ({ definitions }) => definitions[name] === undefined);
}

function same(a: unknown, b: unknown): boolean {
  try {
    expect(a).toEqual(b);
    return true;
  } catch {
    return false;
  }
}
