import { describe, expect, it } from 'vitest';

import type { Answer } from '../support/wire.ts';
import {
  ANYTHING,
  define,
  definitionOf,
  versionsOf,
  type Definition,
  type JsonSchema,
} from './custom-resources.ts';
import { useSuite } from './support.ts';

const PORTS: JsonSchema = {
  type: 'array',
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': ['containerPort', 'protocol'],
  items: {
    type: 'object',
    required: ['containerPort', 'protocol'],
    properties: {
      containerPort: { type: 'integer', format: 'int32' },
      hostIP: { type: 'string' },
      hostPort: { type: 'integer', format: 'int32' },
      name: { type: 'string' },
      protocol: { type: 'string' },
    },
  },
};
const SPEC: JsonSchema = {
  type: 'object',
  properties: {
    foo: { type: 'string' },
    cronSpec: { type: 'string', pattern: '^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$' },
    ports: PORTS,
  },
};
const preserving = (properties: NonNullable<JsonSchema['properties']> = {}): JsonSchema => ({
  ...ANYTHING,
  properties: { ...SPEC.properties, ...properties },
});
const schemaWith = (spec: JsonSchema): JsonSchema => ({ type: 'object', properties: { spec } });

describe('field validation of custom resources', () => {
  const suite = useSuite({ nodes: 0 });
  let names = 0;

  const multiVersion = (schema: JsonSchema): Promise<Definition> => {
    const kind = `foo${++names}a`;
    const [stored, ...served] = versionsOf(schema, 'v1', 'v1beta1').map((version) => ({
      ...version,
      subresources: { status: {} },
    }));
    return define(
      suite.client,
      definitionOf({
        plural: `${kind}s`,
        kind,
        names: { singular: kind, listKind: `${kind}List` },
        scope: 'Cluster',
        versions: [...served, ...(stored === undefined ? [] : [stored])],
      }),
    );
  };
  /** Applies an object, strictly, in the first version. */
  const apply = (definition: Definition, lines: string): Promise<Answer> => {
    const {
      group,
      versions,
      names: { plural, kind },
    } = definition.spec;
    const apiVersion = `${group}/${versions[0]?.name}`;
    return suite.wire.send(
      'PATCH',
      `/apis/${apiVersion}/${plural}/mytest?fieldManager=field_validation_mgr&fieldValidation=Strict`,
      {
        contentType: 'application/apply-patch+yaml',
        // Upstream's text begins with an empty line; messages count it.
        body: `\napiVersion: ${apiVersion}\nkind: ${kind}\nmetadata:\n  name: mytest\n${lines}`,
      },
    );
  };
  const FINALIZERS = '  finalizers:\n  - test-finalizer\n';
  const REST = `  cronSpec: "* * * * */5"
  ports:
  - name: x
    containerPort: 80
    protocol: TCP`;

  it('[sig-api-machinery] FieldValidation should create/apply a valid CR for CRD with validation schema [Conformance]', async () => {
    const definition = await multiVersion(schemaWith(SPEC));
    const answer = await apply(definition, `${FINALIZERS}spec:\n  foo: foo1\n${REST}`);
    expect(answer.code, answer.text).toBe(201);
    expect(answer.json()).toMatchObject({
      apiVersion: 'mygroup.example.com/v1beta1',
      metadata: { name: 'mytest', finalizers: ['test-finalizer'] },
      spec: {
        foo: 'foo1',
        cronSpec: '* * * * */5',
        ports: [{ name: 'x', containerPort: 80, protocol: 'TCP' }],
      },
    });
    const refused = await apply(definition, `${FINALIZERS}spec:\n  cronSpec: often\n`);
    expect(refused.code).toBe(422);
    expect(refused.text).toContain('spec.cronSpec in body should match');
  });

  it('[sig-api-machinery] FieldValidation should create/apply a CR with unknown fields for CRD with no validation schema [Conformance]', async () => {
    const definition = await multiVersion(ANYTHING);
    const answer = await apply(definition, `${FINALIZERS}spec:\n  unknown: uk1\n${REST}`);
    expect(answer.code, answer.text).toBe(201);
    expect(answer.json()).toMatchObject({ spec: { unknown: 'uk1', cronSpec: '* * * * */5' } });
  });

  it('[sig-api-machinery] FieldValidation should create/apply an invalid CR with extra properties for CRD with validation schema [Conformance]', async () => {
    const definition = await multiVersion(schemaWith(SPEC));
    const answer = await apply(definition, `${FINALIZERS}unknownField: unknown\nspec:\n  foo: foo1\n${REST}`);
    expect(answer.text).toContain('.unknownField: field not declared in schema');
    const path = `/apis/mygroup.example.com/v1/${definition.spec.names.plural}/mytest`;
    expect((await suite.wire.send('GET', path)).code).toBe(404);
  });

  it('[sig-api-machinery] FieldValidation should detect unknown metadata fields in both the root and embedded object of a CR [Conformance]', async () => {
    const template: JsonSchema = {
      type: 'object',
      'x-kubernetes-embedded-resource': true,
      properties: {
        metadata: { type: 'object', properties: { name: { type: 'string' } } },
        spec: { type: 'object' },
      },
    };
    const definition = await multiVersion(schemaWith(preserving({ template })));
    const embedded = (extra: string, apiVersion = 'apiVersion'): string => `spec:
  template:
    ${apiVersion}: foo/v1
    kind: Sub
    metadata:${extra}
        name: subobject
        namespace: default
  foo: foo1
${REST}`;
    const unknownSub = '\n        unknownSubMeta: unknown';
    // The typing error is upstream's.
    const both = await apply(
      definition,
      `  unknownMeta: unknown\n${FINALIZERS}${embedded(unknownSub, 'apiversion')}`,
    );
    expect(both.text).toContain('.metadata.unknownMeta: field not declared in schema');
    // Each of the two by itself.
    const root = await apply(definition, `  unknownMeta: unknown\n${FINALIZERS}spec:\n  foo: foo1\n${REST}`);
    expect(root.text).toContain('.metadata.unknownMeta: field not declared in schema');
    const below = await apply(definition, FINALIZERS + embedded(unknownSub));
    expect(below.text).toContain('.spec.template.metadata.unknownSubMeta: field not declared in schema');
    const neither = await apply(definition, FINALIZERS + embedded(''));
    expect(neither.code, neither.text).toBe(201);
    expect(neither.json()).toMatchObject({ spec: { template: { metadata: { namespace: 'default' } } } });
  });

  it('[sig-api-machinery] FieldValidation should detect duplicates in a CR when preserving unknown fields [Conformance]', async () => {
    const definition = await multiVersion(schemaWith(preserving()));
    const answer = await apply(
      definition,
      `${FINALIZERS}spec:\n  unknown: uk1\n  foo: foo1\n  foo: foo2\n${REST}`,
    );
    expect(answer.code).toBe(400);
    expect(answer.text).toContain('line 11: key \\"foo\\" already set in map');
  });
});
