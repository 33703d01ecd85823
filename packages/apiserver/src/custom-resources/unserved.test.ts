import { afterAll, beforeAll, expect, test } from 'vitest';
import { customResourcesHook } from '../post-start/custom-resources.ts';
import { builtinStrategies } from '../registry/builtin-strategies.ts';
import { apiCallers, type ApiCaller } from '../testing/api-callers.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
let server: TestServer;
const api = apiCallers(() => server)[1] as ApiCaller;

/** The limit is a safety net. */
const eventually = <T>(work: () => T) => expect.poll(work, { timeout: 20_000 });

beforeAll(async () => {
  server = await createTestServer({ strategies: builtinStrategies(), postStartHooks: [customResourcesHook] });
  await server.server.ready;
});
afterAll(() => server[Symbol.asyncDispose]());

test('a definition whose stored version is not served takes its objects along', async () => {
  const schema = { openAPIV3Schema: { type: 'object' } };
  await api.call('POST', DEFINITIONS, {
    body: {
      metadata: { name: 'foos.example.com' },
      spec: {
        group: 'example.com',
        scope: 'Cluster',
        names: { plural: 'foos', kind: 'Foo' },
        versions: [
          { name: 'v1', served: true, storage: false, schema },
          { name: 'v2', served: false, storage: true, schema },
        ],
      },
    },
  });
  const path = '/apis/example.com/v1/foos';
  await eventually(
    async () => (await api.call('POST', path, { body: { metadata: { name: 'a' } } })).code,
  ).toBe(200);
  expect((await api.call('GET', '/apis/example.com/v2/foos')).code).toBe(404);
  await api.call('DELETE', `${DEFINITIONS}/foos.example.com`);
  await eventually(async () => (await api.call('GET', `${DEFINITIONS}/foos.example.com`)).code).toBe(404);
});
