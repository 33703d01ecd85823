import { setTimeout as sleep } from 'node:timers/promises';
import { realClock, silentLogger } from '@k8ts/base';
import { createMemoryStore } from '@k8ts/store';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { customResourcesHook } from '../post-start/custom-resources.ts';
import { builtinStrategies } from '../registry/builtin-strategies.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

// Whatever may be in an answer, as if it were: tests say what they expect, and find out when it is not there.
interface Body {
  readonly kind: string;
  readonly apiVersion: string;
  readonly metadata: {
    readonly name: string;
    readonly resourceVersion: string;
    readonly generation: number;
    readonly finalizers: readonly string[];
    readonly managedFields: readonly { readonly manager: string; readonly fieldsV1: object }[];
  };
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status: Readonly<Record<string, unknown>> & {
    readonly conditions: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason: string;
    }[];
  };
  readonly items: readonly Body[];
  readonly message: string;
  readonly reason: string;
  readonly columnDefinitions: readonly {
    readonly name: string;
    readonly type: string;
    readonly priority: number;
  }[];
  readonly rows: readonly { readonly cells: readonly unknown[] }[];
  readonly resources: readonly {
    readonly name: string;
    readonly verbs: readonly string[];
    readonly kind: string;
  }[];
  readonly paths: object;
  readonly components: { readonly schemas: Readonly<Record<string, { readonly properties: object }>> };
  readonly definitions: Readonly<Record<string, object>>;
  readonly groups: readonly {
    readonly name: string;
    readonly versions: readonly { readonly version: string }[];
  }[];
}

interface Answer {
  readonly code: number;
  readonly body: Body;
  readonly warning: string | null;
}

const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
let server: TestServer;

beforeAll(async () => {
  server = await createTestServer({ strategies: builtinStrategies(), postStartHooks: [customResourcesHook] });
  await server.server.ready;
  for (const name of ['a', 'b']) await call('POST', '/api/v1/namespaces', { metadata: { name } });
});
afterAll(() => server[Symbol.asyncDispose]());

async function call(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(server.url + path, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    code: response.status,
    body: (text.startsWith('{') ? JSON.parse(text) : { message: text }) as Body,
    warning: response.headers.get('warning'),
  };
}

const apply = (path: string, body: object, manager: string, force = false): Promise<Answer> =>
  call('PATCH', `${path}?fieldManager=${manager}&force=${force}`, body, {
    'content-type': 'application/apply-patch+yaml',
  });
const merge = (path: string, body: object): Promise<Answer> =>
  call('PATCH', path, body, { 'content-type': 'application/merge-patch+json' });

interface Named {
  readonly group?: string;
  readonly plural: string;
  readonly kind: string;
  readonly singular?: string;
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly listKind?: string;
}

const OBJECT = { type: 'object' };
const PRESERVE = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

function definition(
  { group = 'example.com', ...names }: Named,
  versions: readonly object[],
  spec: object = {},
): object {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${names.plural}.${group}` },
    spec: { group, names, scope: 'Namespaced', versions, ...spec },
  };
}

function version(name: string, properties: object, further: object = {}): object {
  return {
    name,
    served: true,
    storage: true,
    schema: { openAPIV3Schema: { type: 'object', properties } },
    ...further,
  };
}

async function established(object: object): Promise<string> {
  const made = await call('POST', CRDS, object);
  expect(made.code, made.body.message).toBe(201);
  const { name } = made.body.metadata;
  await until(async () => isTrue((await call('GET', `${CRDS}/${name}`)).body, 'Established'));
  return name;
}

const isTrue = (body: Body, type: string): boolean =>
  body.status.conditions.some((condition) => condition.type === type && condition.status === 'True');

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 200; turn++) {
    if (await condition()) return;
    await sleep(25);
  }
  throw new Error('it did not come about');
}

const widgets = (namespace = 'a', name = ''): string =>
  `/apis/example.com/v1/namespaces/${namespace}/widgets${name === '' ? '' : `/${name}`}`;
const widget = (name: string, spec: object, further: object = {}): object => ({
  apiVersion: 'example.com/v1',
  kind: 'Widget',
  metadata: { name },
  spec,
  ...further,
});

const WIDGET = definition({ plural: 'widgets', kind: 'Widget', shortNames: ['wd'], categories: ['all'] }, [
  version(
    'v1',
    {
      spec: {
        type: 'object',
        required: ['size'],
        properties: {
          size: { type: 'integer', minimum: 1, maximum: 10 },
          color: { type: 'string', default: 'red', enum: ['red', 'blue'] },
          replicas: { type: 'integer', default: 1 },
          note: { type: 'string', nullable: true },
          ports: {
            type: 'array',
            'x-kubernetes-list-type': 'map',
            'x-kubernetes-list-map-keys': ['name'],
            items: {
              type: 'object',
              required: ['name'],
              properties: { name: { type: 'string' }, port: { type: 'integer' } },
            },
          },
          free: PRESERVE,
        },
      },
      status: { type: 'object', properties: { replicas: { type: 'integer' }, selector: { type: 'string' } } },
    },
    {
      subresources: {
        status: {},
        scale: {
          specReplicasPath: '.spec.replicas',
          statusReplicasPath: '.status.replicas',
          labelSelectorPath: '.status.selector',
        },
      },
      additionalPrinterColumns: [
        { name: 'Size', type: 'integer', jsonPath: '.spec.size' },
        { name: 'Ports', type: 'string', jsonPath: '.spec.ports[*].name', priority: 1 },
        { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
      ],
      selectableFields: [{ jsonPath: '.spec.color' }, { jsonPath: '.spec.size' }],
    },
  ),
]);

describe('a custom resource', () => {
  beforeAll(() => established(WIDGET));

  test('is in discovery', async () => {
    const { body } = await call('GET', '/apis/example.com/v1');
    expect(body.resources).toMatchObject([
      {
        name: 'widgets',
        singularName: 'widget',
        namespaced: true,
        kind: 'Widget',
        shortNames: ['wd'],
        categories: ['all'],
      },
      { name: 'widgets/status', kind: 'Widget' },
      { name: 'widgets/scale', group: 'autoscaling', version: 'v1', kind: 'Scale' },
    ]);
    expect((await call('GET', '/apis')).body.groups.map(({ name }) => name)).toContain('example.com');
    const aggregated = await call('GET', '/apis', undefined, {
      accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList',
    });
    expect(aggregated.body.items.at(-1)?.metadata.name).toBe('example.com');
  });

  test('is created with defaults, without what the schema does not know', async () => {
    const made = await call(
      'POST',
      `${widgets()}?fieldValidation=Warn`,
      widget('one', { size: 2, unknown: 1, free: { any: [1] } }, { status: { replicas: 9 }, extra: true }),
    );
    expect(made.code, made.body.message).toBe(201);
    expect(made.warning).toContain('unknown field \\"spec.unknown\\"');
    expect(made.warning).toContain('unknown field \\"extra\\"');
    expect(made.body).toMatchObject({ metadata: { generation: 1 } });
    expect(made.body.spec).toEqual({ size: 2, color: 'red', replicas: 1, free: { any: [1] } });
    expect(made.body).not.toHaveProperty('status');
    expect(made.body).not.toHaveProperty('extra');
    expect((await call('GET', widgets('a', 'one'))).body).toEqual(made.body);
  });

  test.each([
    [{}, 'spec.size: Required value'],
    [{ size: 11 }, 'spec.size: Invalid value: 11: spec.size in body should be less than or equal to 10'],
    [{ size: 0 }, 'spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1'],
    [
      { size: 'x' },
      'spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"',
    ],
    [{ size: 1, color: 'green' }, 'spec.color: Unsupported value: "green": supported values: "red", "blue"'],
    [{ size: 1, ports: [{ name: 'a' }, { name: 'a' }] }, 'spec.ports[1]: Duplicate value: {"name":"a"}'],
  ])('%j is refused: %s', async (spec, message) => {
    const { code, body } = await call('POST', widgets(), widget('bad', spec));
    expect(code).toBe(422);
    expect(body.message).toContain(`Widget.example.com "bad" is invalid: `);
    expect(body.message).toContain(message);
  });

  test.each([
    [
      'strict validation',
      `${widgets()}?fieldValidation=Strict`,
      widget('bad', { size: 1, x: 1 }),
      400,
      'strict decoding error: unknown field "spec.x"',
    ],
    [
      'bad metadata',
      widgets(),
      { ...widget('bad', { size: 1 }), metadata: { name: 1 } },
      400,
      'cannot unmarshal',
    ],
    ['another kind', widgets(), { ...widget('bad', { size: 1 }), kind: 'Other' }, 400, 'Other'],
    ['a bad name', widgets(), widget('Bad_', { size: 1 }), 422, 'metadata.name: Invalid value: "Bad_"'],
  ])('%s', async (_, path, body, code, message) => {
    const answer = await call('POST', path, body);
    expect(answer.code, answer.body.message).toBe(code);
    expect(answer.body.message).toContain(message);
  });

  test('a null is no value where it is not allowed', async () => {
    const made = await call('POST', widgets(), widget('null', { size: 1, color: null, note: null }));
    expect(made.body.spec).toEqual({ size: 1, color: 'red', note: null, replicas: 1 });
  });

  test('is updated: what changes counts, the status has its own way', async () => {
    const { body } = await call('POST', widgets(), widget('two', { size: 1 }));
    const without = await call('PUT', widgets('a', 'two'), widget('two', { size: 1 }));
    expect(without.code).toBe(422);
    expect(without.body.message).toContain(
      'metadata.resourceVersion: Invalid value: 0: must be specified for an update',
    );
    const updated = await call('PUT', widgets('a', 'two'), {
      ...body,
      spec: { ...body.spec, size: 2 },
      status: { replicas: 7 },
    });
    expect(updated.body).toMatchObject({ metadata: { generation: 2 }, spec: { size: 2 } });
    expect(updated.body).not.toHaveProperty('status');
    const labelled = await merge(widgets('a', 'two'), { metadata: { labels: { a: 'b' } } });
    expect(labelled.body.metadata.generation).toBe(2);
    const status = await call('PUT', `${widgets('a', 'two')}/status`, {
      ...labelled.body,
      metadata: { ...labelled.body.metadata, labels: {} },
      spec: { size: 9 },
      status: { replicas: 7 },
    });
    expect(status.body).toMatchObject({
      metadata: { generation: 2, labels: { a: 'b' } },
      spec: { size: 2 },
      status: { replicas: 7 },
    });
    const invalid = await merge(`${widgets('a', 'two')}/status`, { status: { replicas: 'x' } });
    expect(invalid.code).toBe(422);
  });

  test('patches', async () => {
    await call('POST', widgets(), widget('three', { size: 3 }));
    const json = await call(
      'PATCH',
      widgets('a', 'three'),
      [{ op: 'replace', path: '/spec/size', value: 4 }],
      {
        'content-type': 'application/json-patch+json',
      },
    );
    expect(json.body.spec['size']).toBe(4);
    expect((await merge(widgets('a', 'three'), { spec: { size: 12 } })).code).toBe(422);
    const strategic = await call(
      'PATCH',
      widgets('a', 'three'),
      {},
      {
        'content-type': 'application/strategic-merge-patch+json',
      },
    );
    expect(strategic.code).toBe(415);
    expect(strategic.body.message).toBe(
      'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml',
    );
  });

  test('server-side apply merges lists by their keys, and conflicts', async () => {
    const path = widgets('a', 'applied');
    const first = await apply(path, widget('applied', { size: 1, ports: [{ name: 'a', port: 1 }] }), 'first');
    expect(first.code, first.body.message).toBe(201);
    const second = await apply(path, { ...widget('applied', { ports: [{ name: 'b', port: 2 }] }) }, 'second');
    expect(second.body.spec['ports']).toEqual([
      { name: 'a', port: 1 },
      { name: 'b', port: 2 },
    ]);
    const conflict = await apply(path, widget('applied', { size: 2 }), 'second');
    expect(conflict).toMatchObject({ code: 409 });
    expect(conflict.body.message).toContain('conflict with "first": .spec.size');
    expect((await apply(path, widget('applied', { size: 2 }), 'second', true)).body.spec).toMatchObject({
      size: 2,
      ports: [{ name: 'a', port: 1 }],
    });
  });

  test('scale', async () => {
    await call('POST', widgets(), widget('scaled', { size: 1, replicas: 3 }));
    await merge(`${widgets('a', 'scaled')}/status`, { status: { replicas: 2, selector: 'a=b' } });
    expect((await call('GET', `${widgets('a', 'scaled')}/scale`)).body).toMatchObject({
      kind: 'Scale',
      apiVersion: 'autoscaling/v1',
      spec: { replicas: 3 },
      status: { replicas: 2, selector: 'a=b' },
    });
    expect((await merge(`${widgets('a', 'scaled')}/scale`, { spec: { replicas: 5 } })).body.spec).toEqual({
      replicas: 5,
    });
    expect((await call('GET', widgets('a', 'scaled'))).body.spec['replicas']).toBe(5);
  });

  test('tables', async () => {
    await call('POST', widgets('b'), widget('shown', { size: 7, ports: [{ name: 'x' }, { name: 'y' }] }));
    const { body } = await call('GET', widgets('b'), undefined, {
      accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
    });
    expect(body.columnDefinitions.map(({ name, type, priority }) => [name, type, priority])).toEqual([
      ['Name', 'string', 0],
      ['Size', 'integer', 0],
      ['Ports', 'string', 1],
      ['Age', 'date', 0],
    ]);
    expect(body.rows[0]?.cells).toEqual(['shown', 7, 'x', expect.stringMatching(/^\d+s$/)]);
  });

  test.each([
    ['spec.color=red', 200],
    ['spec.size=7', 200],
    ['metadata.name=shown', 200],
    ['spec.note=x', 400],
  ])('field selector %s: %s', async (selector, code) => {
    const { code: answered, body } = await call('GET', `${widgets('b')}?fieldSelector=${selector}`);
    expect(answered).toBe(code);
    if (code === 200) expect(body.items.map(({ metadata }) => metadata.name)).toEqual(['shown']);
  });

  test('is watched', async () => {
    const list = await call('GET', widgets('b'));
    const response = await fetch(
      `${server.url}${widgets('b')}?watch=true&resourceVersion=${list.body.metadata.resourceVersion}`,
    );
    await call('POST', widgets('b'), widget('watched', { size: 1 }));
    const read = await response.body?.getReader().read();
    const [line = ''] = Buffer.from((read?.value ?? new Uint8Array()) as Uint8Array)
      .toString()
      .split('\n');
    expect(JSON.parse(line)).toMatchObject({
      type: 'ADDED',
      object: { metadata: { name: 'watched' }, spec: { color: 'red' } },
    });
  });

  test.each([
    ['application/vnd.kubernetes.protobuf', 406],
    ['application/vnd.kubernetes.protobuf,application/json', 200],
    ['application/yaml', 200],
    ['application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1', 200],
  ])('Accept: %s', async (accept, code) => {
    expect((await call('GET', widgets('b'), undefined, { accept })).code).toBe(code);
  });

  test('OpenAPI', async () => {
    const { body } = await call('GET', '/openapi/v3/apis/example.com/v1');
    expect(Object.keys(body.paths)).toContain(
      '/apis/example.com/v1/namespaces/{namespace}/widgets/{name}/scale',
    );
    expect(Object.keys(body.components.schemas)).toContain('com.example.v1.WidgetList');
    expect(body.components.schemas['com.example.v1.Widget']).toMatchObject({
      type: 'object',
      'x-kubernetes-group-version-kind': [{ group: 'example.com', kind: 'Widget', version: 'v1' }],
      properties: { metadata: {}, spec: { required: ['size'], properties: { color: { default: 'red' } } } },
    });
    const v2 = await call('GET', '/openapi/v2');
    expect(v2.body.definitions['com.example.v1.Widget']).toMatchObject({
      properties: {
        spec: {
          properties: {
            size: { type: 'integer', maximum: 10 },
            free: { 'x-kubernetes-preserve-unknown-fields': true },
          },
        },
      },
    });
  });

  test('deletes, also all of them', async () => {
    expect((await call('DELETE', widgets('a', 'one'))).code).toBe(200);
    expect((await call('GET', widgets('a', 'one'))).code).toBe(404);
    expect((await call('DELETE', widgets('a'))).code).toBe(200);
    expect((await call('GET', widgets('a'))).body.items).toEqual([]);
  });
});

describe('rules', () => {
  const path = '/apis/rules.com/v1/namespaces/a/ruleds';
  const ruled = (name: string, spec: object): object => ({ metadata: { name }, spec });
  beforeAll(() =>
    established(
      definition({ group: 'rules.com', plural: 'ruleds', kind: 'Ruled' }, [
        version('v1', {
          spec: {
            type: 'object',
            properties: {
              min: { type: 'integer' },
              max: { type: 'integer' },
              class: {
                type: 'string',
                maxLength: 20,
                'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'class is immutable' }],
              },
            },
            'x-kubernetes-validations': [
              {
                rule: '!has(self.min) || !has(self.max) || self.min <= self.max',
                messageExpression:
                  "has(self.class) ? 'min is above max of ' + self.class : 'min is above max'",
                fieldPath: '.min',
              },
            ],
          },
        }),
      ]),
    ),
  );

  test('are asked when objects are created and changed', async () => {
    const refused = await call('POST', path, ruled('one', { min: 3, max: 2 }));
    expect(refused.code).toBe(422);
    expect(refused.body.message).toContain('min is above max');
    expect((await call('POST', path, ruled('one', { min: 1, max: 2, class: 'a' }))).code).toBe(201);
    expect((await merge(`${path}/one`, { spec: { max: 0 } })).body.message).toContain(
      'min is above max of a',
    );
    expect((await merge(`${path}/one`, { spec: { class: 'b' } })).body.message).toContain(
      'class is immutable',
    );
    expect((await merge(`${path}/one`, { spec: { max: 5 } })).code).toBe(200);
  });

  test('are not asked about what the schema refuses already', async () => {
    const { body } = await call('POST', path, ruled('two', { min: 'x', max: 2 }));
    expect(body.message).toContain('some validation rules were not checked because the object was invalid');
  });

  test.each([
    ['self.x > 1', 'undefined field'],
    ['self.min >', 'Syntax error'],
    ['self.min', 'cel expression must evaluate to a bool'],
    ['self.list.all(a, self.list.all(b, self.list.all(c, a + b != c)))', 'exceeds budget'],
  ])('that do not compile, or may cost too much, are refused: %s', async (rule, message) => {
    const schema = {
      type: 'object',
      properties: { min: { type: 'integer' }, list: { type: 'array', items: { type: 'string' } } },
      'x-kubernetes-validations': [{ rule }],
    };
    const { code, body } = await call(
      'POST',
      CRDS,
      definition({ group: 'bad.com', plural: 'bads', kind: 'Bad' }, [version('v1', { spec: schema })]),
    );
    expect(code).toBe(422);
    expect(body.message).toContain(message);
  });
});

describe('a definition', () => {
  test('whose names are taken waits for them', async () => {
    const first = await established(
      definition({ group: 'names.com', plural: 'firsts', kind: 'First', shortNames: ['nm'] }, [
        version('v1', {}),
      ]),
    );
    await call(
      'POST',
      CRDS,
      definition({ group: 'names.com', plural: 'seconds', kind: 'First', shortNames: ['nm'] }, [
        version('v1', {}),
      ]),
    );
    const second = `${CRDS}/seconds.names.com`;
    await until(async () => ((await call('GET', second)).body.status.conditions ?? []).length > 0);
    expect((await call('GET', second)).body.status).toMatchObject({
      acceptedNames: { plural: 'seconds' },
      conditions: [
        {
          type: 'NamesAccepted',
          status: 'False',
          reason: 'ListKindConflict',
          message: '"FirstList" is already in use',
        },
        { type: 'Established', status: 'False', reason: 'NotAccepted' },
      ],
    });
    expect((await call('GET', '/apis/names.com/v1/seconds')).code).toBe(404);
    await call('DELETE', `${CRDS}/${first}`);
    await until(async () => isTrue((await call('GET', second)).body, 'Established'));
    expect((await call('GET', '/apis/names.com/v1/seconds')).code).toBe(200);
  });

  test('that is deleted takes its objects along', async () => {
    const name = await established(
      definition({ group: 'gone.com', plural: 'things', kind: 'Thing' }, [version('v1', {})], {
        scope: 'Cluster',
      }),
    );
    const thing = {
      apiVersion: 'gone.com/v1',
      kind: 'Thing',
      metadata: { name: 'held', finalizers: ['gone.com/hold'] },
    };
    await call('POST', '/apis/gone.com/v1/things', thing);
    await call('POST', '/apis/gone.com/v1/things', { ...thing, metadata: { name: 'free' } });
    const deleted = await call('DELETE', `${CRDS}/${name}`);
    expect(deleted.body.metadata.finalizers).toEqual(['customresourcecleanup.apiextensions.k8s.io']);
    await until(async () => (await call('GET', '/apis/gone.com/v1/things')).body.items.length === 1);
    expect((await call('GET', `${CRDS}/${name}`)).body.status.conditions).toContainEqual(
      expect.objectContaining({ type: 'Terminating', status: 'True' }),
    );
    const refused = await call('POST', '/apis/gone.com/v1/things', { ...thing, metadata: { name: 'new' } });
    expect(refused).toMatchObject({ code: 405 });
    expect(refused.body.message).toBe('create not allowed while custom resource definition is terminating');
    await merge('/apis/gone.com/v1/things/held', { metadata: { finalizers: null } });
    await until(async () => (await call('GET', `${CRDS}/${name}`)).code === 404);
    await until(async () => (await call('GET', '/apis/gone.com/v1/things')).code === 404);
    expect((await call('GET', '/apis')).body.groups.map((group) => group.name)).not.toContain('gone.com');
    // Nothing of it comes back with a new definition of the same name.
    await established(
      definition({ group: 'gone.com', plural: 'things', kind: 'Thing' }, [version('v1', {})], {
        scope: 'Cluster',
      }),
    );
    expect((await call('GET', '/apis/gone.com/v1/things')).body.items).toEqual([]);
  });

  test('that is deleted tells who watches its objects, and ends the watch', async () => {
    const name = await established(
      definition({ group: 'told.com', plural: 'things', kind: 'Thing' }, [version('v1', {})]),
    );
    const things = '/apis/told.com/v1/namespaces/a/things';
    await call('POST', things, { metadata: { name: 'one' } });
    const response = await fetch(`${server.url}${things}?watch=true`);
    await call('DELETE', `${CRDS}/${name}`);
    const events = (await response.text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { readonly type: string; readonly object: Body });
    expect(events.map(({ type, object }) => [type, object.metadata.name])).toEqual([
      ['ADDED', 'one'],
      ['DELETED', 'one'],
    ]);
  });

  test('that changes: new defaults for old objects, other versions, no unserved ones', async () => {
    const v1 = version('v1', { spec: { type: 'object', properties: { a: { type: 'string' } } } });
    const name = await established(definition({ group: 'change.com', plural: 'cases', kind: 'Case' }, [v1]));
    const path = (at: string, object = ''): string => `/apis/change.com/${at}/namespaces/a/cases${object}`;
    await call('POST', path('v1'), { metadata: { name: 'one' }, spec: { a: 'x' } });
    const current = (await call('GET', `${CRDS}/${name}`)).body;
    const both = { a: { type: 'string' }, b: { type: 'string', default: 'new' } };
    const changed = await call('PUT', `${CRDS}/${name}`, {
      ...current,
      spec: {
        ...current.spec,
        versions: [
          { ...v1, storage: false },
          version('v2', { spec: { type: 'object', properties: both } }, { additionalPrinterColumns: [] }),
          version('v3', {}, { served: false, storage: false }),
        ],
      },
    });
    expect(changed.code, changed.body.message).toBe(200);
    expect(changed.body.status['storedVersions']).toEqual(['v1', 'v2']);
    await until(async () => (await call('GET', path('v2'))).code === 200);
    expect((await call('GET', path('v3'))).code).toBe(404);
    expect((await call('GET', '/apis/change.com')).body).toMatchObject({
      preferredVersion: { version: 'v2' },
      versions: [{ version: 'v2' }, { version: 'v1' }],
    });
    expect((await call('GET', path('v1', '/one'))).body).toMatchObject({
      apiVersion: 'change.com/v1',
      spec: { a: 'x' },
    });
    await call('POST', path('v2'), { metadata: { name: 'two' }, spec: { a: 'y' } });
    expect((await call('GET', path('v2', '/two'))).body.spec).toEqual({ a: 'y', b: 'new' });
    // The older version's schema does not know it.
    expect((await call('GET', path('v1', '/two'))).body.spec).toEqual({ a: 'y' });
    expect((await call('GET', path('v1'))).body.items.map(({ metadata }) => metadata.name)).toEqual([
      'one',
      'two',
    ]);
  });

  test.each([
    [{ deprecated: true }, '299 - "old.com/v1 Old is deprecated"'],
    [{ deprecated: true, deprecationWarning: 'use something else' }, '299 - "use something else"'],
  ])('warns of deprecated versions: %j', async (further, warning) => {
    const name = await established(
      definition({ group: 'old.com', plural: 'olds', kind: 'Old' }, [version('v1', {}, further)]),
    );
    expect((await call('GET', '/apis/old.com/v1/olds')).warning).toBe(warning);
    await call('DELETE', `${CRDS}/${name}`);
    await until(async () => (await call('GET', `${CRDS}/${name}`)).code === 404);
  });

  test('of a community group tells whether it was approved', async () => {
    const object = definition({ group: 'x.k8s.io', plural: 'approveds', kind: 'Approved' }, [
      version('v1', {}),
    ]) as {
      metadata: object;
    };
    expect((await call('POST', CRDS, object)).body.message).toContain(
      'protected groups must have approval annotation',
    );
    const annotations = { 'api-approved.kubernetes.io': 'https://github.com/kubernetes/kubernetes/pull/1' };
    const name = await established({ ...object, metadata: { ...object.metadata, annotations } });
    expect((await call('GET', `${CRDS}/${name}`)).body.status.conditions).toContainEqual(
      expect.objectContaining({
        type: 'KubernetesAPIApprovalPolicyConformant',
        status: 'True',
        reason: 'ApprovedAnnotation',
      }),
    );
  });

  test('survives its server', async () => {
    const store = createMemoryStore({ clock: realClock, logger: silentLogger });
    const options = { store, strategies: builtinStrategies(), postStartHooks: [customResourcesHook] };
    const before = server;
    server = await createTestServer(options);
    await established(
      definition({ group: 'kept.com', plural: 'keeps', kind: 'Keep' }, [version('v1', { spec: OBJECT })]),
    );
    await call('POST', '/apis/kept.com/v1/namespaces/a/keeps', { metadata: { name: 'one' } });
    await server[Symbol.asyncDispose]();
    server = await createTestServer(options);
    await server.server.ready;
    const { body } = await call('GET', '/apis/kept.com/v1/keeps');
    expect(body.items.map(({ metadata }) => metadata.name)).toEqual(['one']);
    await server[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
    server = before;
  });
});
