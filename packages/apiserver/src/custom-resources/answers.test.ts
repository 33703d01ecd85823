/** Answers about custom resources that are other than those about built-in ones. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { customResourcesHook } from '../post-start/custom-resources.ts';
import { builtinStrategies } from '../registry/builtin-strategies.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

interface Answer {
  readonly code: number;
  readonly message?: string;
  readonly spec?: object;
}

const FOOS = '/apis/example.com/v1/namespaces/a/foos';
let server: TestServer;

async function call(method: string, path: string, body?: object, type = 'application/json'): Promise<Answer> {
  const response = await fetch(server.url + path, {
    method,
    headers: { 'content-type': type },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { ...((await response.json()) as object), code: response.status };
}

beforeAll(async () => {
  server = await createTestServer({ strategies: builtinStrategies(), postStartHooks: [customResourcesHook] });
  await server.server.ready;
  await call('POST', '/api/v1/namespaces', { metadata: { name: 'a' } });
  const counts = { type: 'object', properties: { size: { type: 'integer' } } };
  await call('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
    metadata: { name: 'foos.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'foos', kind: 'Foo' },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', properties: { spec: counts, status: counts } } },
          subresources: { scale: { specReplicasPath: '.spec.size', statusReplicasPath: '.status.size' } },
        },
        {
          name: 'v2',
          served: true,
          storage: false,
          schema: { openAPIV3Schema: { type: 'object', properties: { spec: counts } } },
        },
      ],
    },
  });
  for (let turn = 0; turn < 200 && (await call('GET', FOOS).catch(() => ({ code: 0 }))).code !== 200; turn++)
    await sleep(25);
});
afterAll(() => server[Symbol.asyncDispose]());

test('an object that does not say its replicas has no Scale, and can be given one', async () => {
  await call('POST', FOOS, { metadata: { name: 'one' } });
  const scale = `${FOOS}/one/scale`;
  expect(await call('GET', scale)).toMatchObject({
    code: 500,
    message: 'Internal error occurred: the spec replicas field ".spec.size" does not exist',
  });
  const merge = 'application/merge-patch+json';
  expect(await call('PATCH', scale, { metadata: {} }, merge)).toMatchObject({
    code: 400,
    message: 'the spec replicas field ".spec.size" cannot be empty',
  });
  expect(await call('PATCH', scale, { spec: { replicas: 3 } }, merge)).toMatchObject({
    code: 200,
    spec: { replicas: 3 },
  });
  expect(await call('GET', `${FOOS}/one`)).toMatchObject({ spec: { size: 3 } });
  expect((await call('PATCH', scale, { spec: { replicas: -1 } }, merge)).code).toBe(422);
});

test('an update may set it too', async () => {
  await call('POST', FOOS, { metadata: { name: 'two' } });
  const body = {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name: 'two' },
    spec: { replicas: 2 },
  };
  expect((await call('PUT', `${FOOS}/two/scale`, body)).code).toBe(200);
  expect(await call('GET', `${FOOS}/two`)).toMatchObject({ spec: { size: 2 } });
});

test.each([
  ['application/json', FOOS],
  ['application/json', `${FOOS}?limit=1`],
  ['application/json', `${FOOS}?pretty=true`],
  ['application/json', FOOS.replace('v1', 'v2')],
])('the items of a list say what they are: %s of %s', async (accept, path) => {
  await call('POST', FOOS, { metadata: { name: 'listed' }, spec: { size: 1 } });
  const response = await fetch(server.url + path, { headers: { accept } });
  const list = (await response.json()) as { apiVersion: string; kind: string; items: object[] };
  expect(list).toMatchObject({ kind: 'FooList' });
  expect(list.items.length).toBeGreaterThan(0);
  for (const item of list.items)
    expect(item).toMatchObject({ kind: 'Foo', apiVersion: list.apiVersion, metadata: { namespace: 'a' } });
});
