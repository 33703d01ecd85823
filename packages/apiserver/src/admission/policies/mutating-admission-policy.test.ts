import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { builtinStrategies } from '../../registry/builtin-strategies.ts';
import { createTestServer, type TestServer } from '../../testing/test-server.ts';
import { mutatingAdmissionPolicy } from './mutating-admission-policy.ts';

const ADMISSION = '/apis/admissionregistration.k8s.io/v1';
const POLICIES = `${ADMISSION}/mutatingadmissionpolicies`;
const BINDINGS = `${ADMISSION}/mutatingadmissionpolicybindings`;
const MAPS = '/api/v1/namespaces/default/configmaps';
const PODS = '/api/v1/namespaces/default/pods';
const RULES = [
  {
    operations: ['CREATE', 'UPDATE'],
    apiGroups: [''],
    apiVersions: ['v1'],
    resources: ['configmaps', 'pods'],
  },
] as const;

let server: TestServer;

beforeAll(async () => {
  server = await createTestServer({ strategies: builtinStrategies() }, (objects) => ({
    admission: [mutatingAdmissionPolicy({ objects, authorize: () => ({ verdict: 'allow', reason: '' }) })],
  }));
  await server.server.ready;
  await call('POST', '/api/v1/namespaces', { metadata: { name: 'default' } });
});
afterAll(() => server[Symbol.asyncDispose]());
afterEach(async () => {
  for (const path of [BINDINGS, POLICIES, MAPS, PODS]) await call('DELETE', path);
});

interface Answer {
  readonly code: number;
  readonly message: string;
  readonly reason: string;
  readonly data: unknown;
  readonly metadata: { readonly labels?: unknown; readonly annotations?: unknown };
  readonly spec: { readonly containers: readonly object[] };
}

async function call(method: string, path: string, body?: object): Promise<Answer> {
  const response = await fetch(server.url + path, {
    method,
    headers: { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const parsed = (await response.json()) as Answer;
  return { ...parsed, code: response.status };
}

async function policy(name: string, spec: object, binding: object = {}): Promise<void> {
  const made = await call('POST', POLICIES, {
    metadata: { name },
    spec: { matchConstraints: { resourceRules: RULES }, reinvocationPolicy: 'Never', ...spec },
  });
  expect(made.code, made.message).toBe(201);
  const bound = await call('POST', BINDINGS, { metadata: { name }, spec: { policyName: name, ...binding } });
  expect(bound.code, bound.message).toBe(201);
}

const applying = (expression: string): object => ({
  mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression } }],
});
const patching = (expression: string): object => ({
  mutations: [{ patchType: 'JSONPatch', jsonPatch: { expression } }],
});
const map = (data: object = { a: '1' }): object => ({ metadata: { name: 'm' }, data });
const BY = "policy 'p' with binding 'p' denied request: ";

describe('mutations', () => {
  test.each<[string, object, object]>([
    [
      'apply what they make',
      applying("Object{metadata: Object.metadata{labels: {'by': object.data.a}}}"),
      { data: { a: '1' }, metadata: { labels: { by: '1' } } },
    ],
    [
      'keep what others wrote',
      applying("Object{data: {'b': object.data.a + '2'}}"),
      { data: { a: '1', b: '12' } },
    ],
    [
      'patch',
      patching("[JSONPatch{op: 'add', path: '/data/' + jsonpatch.escapeKey('b'), value: 'x'}]"),
      { data: { a: '1', b: 'x' } },
    ],
    [
      'patch with objects',
      patching("[JSONPatch{op: 'add', path: '/metadata/labels', value: {'a': 'b'}}]"),
      { metadata: { labels: { a: 'b' } } },
    ],
    [
      'stop at a test that fails',
      patching(
        "[JSONPatch{op: 'test', path: '/data/a', value: '2'}, JSONPatch{op: 'remove', path: '/data/a'}]",
      ),
      { data: { a: '1' } },
    ],
    [
      'follow each other',
      {
        mutations: [
          {
            patchType: 'JSONPatch',
            jsonPatch: { expression: "[JSONPatch{op: 'add', path: '/data/b', value: '2'}]" },
          },
          {
            patchType: 'ApplyConfiguration',
            applyConfiguration: { expression: "Object{data: {'c': object.data.b}}" },
          },
        ],
      },
      { data: { a: '1', b: '2', c: '2' } },
    ],
    [
      'use variables',
      {
        ...applying("Object{data: {'b': variables.b}}"),
        variables: [{ name: 'b', expression: "object.data.a + '!'" }],
      },
      { data: { a: '1', b: '1!' } },
    ],
    [
      'wait for their conditions',
      { ...applying("Object{data: {'b': '2'}}"), matchConditions: [{ name: 'c', expression: 'false' }] },
      { data: { a: '1' } },
    ],
    [
      'do not matter',
      { ...applying("Object{data: {'b': object.data.c}}"), failurePolicy: 'Ignore' },
      { data: { a: '1' } },
    ],
  ])('%s', async (_name, spec, expected) => {
    await policy('p', spec);
    expect(await call('POST', MAPS, map())).toMatchObject({ code: 201, ...expected });
  });

  test.each<[string, object, string]>([
    [
      'break',
      applying("Object{data: {'b': object.data.c}}"),
      "expression 'Object{data: {'b': object.data.c}}' resulted in error: no such key: c",
    ],
    [
      'name types wrongly',
      applying("Object{metadata: Object.spec{name: 'x'}}"),
      'type mismatch: unexpected type name "Object.spec", expected "Object.metadata", which matches field name path from root Object type',
    ],
    [
      'apply what is not there',
      applying('Object{nothing: 1}'),
      'error applying patch: failed to convert patch object to typed object: .nothing: field not declared in schema',
    ],
    [
      'patch what is not there',
      patching("[JSONPatch{op: 'remove', path: '/data/x'}]"),
      'JSON Patch: Unable to remove nonexistent key: x: missing value',
    ],
    [
      'have conditions that break',
      { ...applying('Object{}'), matchConditions: [{ name: 'c', expression: "object.data.c == 'x'" }] },
      "expression 'object.data.c == 'x'' resulted in error: no such key: c",
    ],
  ])('refuse when they %s', async (_name, spec, message) => {
    await policy('p', spec);
    expect(await call('POST', MAPS, map())).toMatchObject({
      code: 403,
      reason: 'Invalid',
      message: BY + message,
    });
  });

  test('merge lists by their keys, and leave atomic ones alone', async () => {
    const pod = {
      metadata: { name: 'p' },
      spec: { containers: [{ name: 'a', image: 'x:1', command: ['sh'] }] },
    };
    await policy(
      'p',
      applying("Object{spec: Object.spec{containers: [Object.spec.containers{name: 'b', image: 'y:1'}]}}"),
    );
    const { spec } = await call('POST', PODS, pod);
    expect(spec.containers).toMatchObject([
      { name: 'a', command: ['sh'] },
      { name: 'b', image: 'y:1' },
    ]);
    for (const path of [BINDINGS, POLICIES]) await call('DELETE', path);
    await policy(
      'p',
      applying("Object{spec: Object.spec{containers: [Object.spec.containers{name: 'a', command: ['ls']}]}}"),
    );
    expect((await call('POST', PODS, { ...pod, metadata: { name: 'q' } })).message).toBe(
      `${BY}error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.containers[0].command`,
    );
  });

  test('use parameters', async () => {
    await call('POST', MAPS, { metadata: { name: 'params' }, data: { value: 'v' } });
    await policy(
      'p',
      {
        ...applying("Object{data: {'b': params.data.value}}"),
        paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
      },
      { paramRef: { name: 'params', parameterNotFoundAction: 'Deny' } },
    );
    expect(await call('POST', MAPS, map())).toMatchObject({ code: 201, data: { a: '1', b: 'v' } });
  });

  test.each([
    ['Never', { a: '1', b: '2' }],
    ['IfNeeded', { a: '1', b: '2', seen: 'b' }],
  ])('run again: %s', async (reinvocationPolicy, data) => {
    await policy('first', {
      ...applying("Object{data: {'seen': 'b'}}"),
      matchConditions: [{ name: 'c', expression: 'true' }],
      mutations: [
        {
          patchType: 'ApplyConfiguration',
          applyConfiguration: { expression: "has(object.data.b) ? Object{data: {'seen': 'b'}} : Object{}" },
        },
      ],
      reinvocationPolicy,
    });
    await policy('second', applying("Object{data: {'b': '2'}}"));
    expect((await call('POST', MAPS, map())).data).toEqual(data);
  });
});

test.each<[string, object, string]>([
  [
    'no mutations',
    { mutations: [] },
    'spec.mutations: Required value: mutations must contain at least one item',
  ],
  ['no policy', { reinvocationPolicy: '' }, 'spec.reinvocationPolicy: Required value'],
  [
    'a wrong type',
    applying('1'),
    'spec.mutations[0].applyConfiguration.expression: Invalid value: "1": must evaluate to Object but got int',
  ],
  [
    'a wrong list',
    patching('[1]'),
    'spec.mutations[0].jsonPatch.expression: Invalid value: "[1]": must evaluate to list(JSONPatch) but got list(int)',
  ],
])('%s', async (_name, spec, message) => {
  const answer = await call('POST', POLICIES, {
    metadata: { name: 'p' },
    spec: {
      matchConstraints: { resourceRules: RULES },
      reinvocationPolicy: 'Never',
      ...applying('Object{}'),
      ...spec,
    },
  });
  expect(answer).toMatchObject({ code: 422 });
  expect(answer.message).toContain(message);
});
