/** What the versions of a custom resource answer between which a webhook converts. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { customResourcesHook } from '../../post-start/custom-resources.ts';
import { builtinStrategies } from '../../registry/builtin-strategies.ts';
import { apiCallers, type Answer, type ApiCaller } from '../../testing/api-callers.ts';
import {
  answerTo,
  converted,
  convertEndpoint,
  defineEndpoints,
  endpoints,
  startConversionWebhook,
  type ConversionWebhook,
} from '../../testing/conversion-webhook.ts';
import { createTestServer, type TestServer } from '../../testing/test-server.ts';

const V1 = endpoints('v1');
const V2 = endpoints('v2');
const everywhere = (version: string): string => `/apis/example.com/${version}/endpoints`;
const MERGE = 'application/merge-patch+json';
const APPLY = 'application/apply-patch+yaml';
const JSON_PATCH = 'application/json-patch+json';

let webhook: ConversionWebhook;
let server: TestServer;

const api = apiCallers(() => server)[1] as ApiCaller;
const get = async (path: string, query?: Record<string, string>): Promise<Answer['body']> => {
  const { code, body } = await api.call('GET', path, query === undefined ? {} : { query });
  expect(code, body.message).toBe(200);
  return body;
};
const write = async (
  method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  body?: object,
  contentType?: string,
): Promise<Answer['body']> => {
  const answer = await api.call(method, path, {
    ...(body === undefined ? {} : { body }),
    ...(contentType === undefined ? {} : { contentType }),
  });
  expect(answer.code, answer.body.message).toBe(200);
  return answer.body;
};
const names = ({ items }: Answer['body']): string[] => items.map(({ metadata }) => metadata.name);
/** How many objects were in each question, of those for a version. */
const questions = (version = 'v2'): number[] =>
  webhook.asked
    .filter(({ request }) => request.desiredAPIVersion === `example.com/${version}`)
    .map(({ request }) => request.objects.length);

beforeAll(async () => {
  webhook = await startConversionWebhook();
  server = await createTestServer({ strategies: builtinStrategies(), postStartHooks: [customResourcesHook] });
  await server.server.ready;
  await api.call('POST', '/api/v1/namespaces', { body: { metadata: { name: 'a' } } });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await webhook[Symbol.asyncDispose]();
});
afterEach(async () => {
  webhook.behaviour = converted;
  await write('DELETE', V1);
});

describe('when v1 is stored', () => {
  beforeAll(() => defineEndpoints(api, webhook, 'v1'));
  beforeEach(async () => {
    for (const name of ['one', 'two'])
      await write('POST', V1, {
        metadata: { name, labels: { name } },
        spec: { hostPort: `${name}:80`, replicas: 2 },
      });
    // Read by now, so that what is asked of their events does not come in between.
    await get(everywhere('v2'));
    webhook.asked.length = 0;
    webhook.paths.length = 0;
  });

  test('v2 is converted', async () => {
    const shown = await get(`${V2}/one`);
    expect(shown).toMatchObject({
      apiVersion: 'example.com/v2',
      kind: 'Endpoint',
      metadata: { name: 'one', namespace: 'a', generation: 1, labels: { name: 'one' } },
    });
    expect(shown.spec).toEqual({ host: 'one', port: '80', replicas: 2 });
    const { metadata } = await get(`${V1}/one`);
    expect(shown.metadata).toEqual(metadata);
    expect(webhook.paths).toEqual(['/convert?timeout=30s']);
    expect(webhook.asked).toMatchObject([
      {
        kind: 'ConversionReview',
        apiVersion: 'apiextensions.k8s.io/v1',
        request: { desiredAPIVersion: 'example.com/v2', objects: [{ apiVersion: 'example.com/v1' }] },
      },
    ]);
    expect(webhook.asked[0]?.request.objects[0]?.metadata).not.toHaveProperty('resourceVersion');
  });

  test('a get asks anew, a list only for what has changed', async () => {
    await get(`${V2}/one`);
    await get(`${V2}/one`);
    expect(questions()).toEqual([1, 1]);
    webhook.asked.length = 0;
    const list = await get(V2);
    expect(list).toMatchObject({ kind: 'EndpointList', apiVersion: 'example.com/v2' });
    expect(list.items).toMatchObject([
      { apiVersion: 'example.com/v2', kind: 'Endpoint', spec: { host: 'one', port: '80' } },
      { apiVersion: 'example.com/v2', kind: 'Endpoint', spec: { host: 'two', port: '80' } },
    ]);
    expect(questions()).toEqual([]);
    await write('PATCH', `${V1}/two`, { spec: { hostPort: 'two:81' } }, MERGE);
    expect((await get(V2)).items[1]?.spec).toMatchObject({ port: '81' });
    expect(questions()).toEqual([1]);
    expect((await get(`${V2}/one`, { resourceVersion: '0' })).spec).toMatchObject({ host: 'one' });
    expect(questions()).toEqual([1]);
  });

  test('pages, versions of the past, and selectors', async () => {
    await write('POST', V1, { metadata: { name: 'three' }, spec: { hostPort: 'three:8080' } });
    const first = await get(V2, { limit: '1' });
    expect(names(first)).toEqual(['one']);
    await write('DELETE', `${V1}/two`);
    const rest = await get(V2, { limit: '5', continue: first.metadata.continue });
    expect(names(rest)).toEqual(['three', 'two']);
    expect(rest.items).toMatchObject([{ spec: { port: '8080' } }, { spec: { host: 'two', port: '80' } }]);
    expect(names(await get(V2, { fieldSelector: 'spec.port=8080' }))).toEqual(['three']);
    expect(names(await get(V2, { fieldSelector: 'spec.host!=one' }))).toEqual(['three']);
    expect(names(await get(V2, { labelSelector: 'name=one' }))).toEqual(['one']);
    expect(names(await get(V1, { fieldSelector: 'spec.hostPort=three:8080' }))).toEqual(['three']);
    for (const [path, field] of [
      [V1, 'spec.port'],
      [V2, 'spec.hostPort'],
    ] as const)
      expect(await api.call('GET', path, { query: { fieldSelector: `${field}=80` } })).toMatchObject({
        code: 400,
        body: { message: expect.stringContaining(`field label not supported: ${field}`) as string },
      });
  });

  test('labels that the webhook changes are those of that version', async () => {
    webhook.behaviour = (review) =>
      answerTo(
        review,
        review.request.objects.map((object) => {
          const shown = convertEndpoint(object, review.request.desiredAPIVersion);
          return { ...shown, metadata: { ...shown.metadata, labels: { seen: 'v2' }, finalizers: ['x.y/z'] } };
        }),
      );
    await write('PATCH', `${V1}/one`, { spec: { replicas: 7 } }, MERGE);
    await write('PATCH', `${V1}/two`, { spec: { replicas: 7 } }, MERGE);
    expect(names(await get(V2, { labelSelector: 'seen=v2' }))).toEqual(['one', 'two']);
    expect(names(await get(V1, { labelSelector: 'seen=v2' }))).toEqual([]);
    const { metadata } = await get(`${V2}/one`);
    expect(metadata.labels).toEqual({ seen: 'v2' });
    expect(metadata).not.toHaveProperty('finalizers');
  });

  test('columns are of the version that is asked for', async () => {
    const table = async (path: string): Promise<unknown> => {
      const headers = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };
      const response = await fetch(`${server.url}${path}`, { headers });
      const { columnDefinitions, rows } = (await response.json()) as {
        readonly columnDefinitions: readonly { readonly name: string }[];
        readonly rows: readonly { readonly cells: readonly unknown[] }[];
      };
      return [columnDefinitions.map(({ name }) => name), ...rows.map(({ cells }) => cells)];
    };
    expect(await table(V1)).toEqual([
      ['Name', 'hostPort'],
      ['one', 'one:80'],
      ['two', 'two:80'],
    ]);
    expect(await table(`${V2}/two`)).toEqual([
      ['Name', 'host', 'port'],
      ['two', 'two', '80'],
    ]);
  });

  test('create', async () => {
    const made = await write('POST', V2, {
      metadata: { name: 'three' },
      spec: { host: 'three', port: '81' },
    });
    expect(made).toMatchObject({ apiVersion: 'example.com/v2', spec: { host: 'three', port: '81' } });
    expect((await get(`${V1}/three`)).spec).toEqual({ hostPort: 'three:81' });
    expect(await get(`${V2}/three`)).toEqual(made);
    expect(await api.call('POST', V2, { body: { metadata: { name: 'three' } } })).toMatchObject({
      code: 409,
      body: { reason: 'AlreadyExists' },
    });
    const generated = await write('POST', V2, { metadata: { generateName: 'g-' }, spec: { host: 'g' } });
    expect((await get(`${V1}/${generated.metadata.name}`)).spec).toEqual({ hostPort: 'g' });
  });

  test('what is written in v2 is checked by its schema and comes back as it was stored', async () => {
    expect(
      await api.call('POST', V2, { body: { metadata: { name: 'bad' }, spec: { port: 80 } } }),
    ).toMatchObject({
      code: 422,
      body: { message: expect.stringContaining('spec.port: Invalid value') as string },
    });
    // v1 has no place for a port without host.
    const made = await write('POST', V2, {
      metadata: { name: 'lossy' },
      spec: { port: '80', hostPort: 'x' },
    });
    expect(made.spec).toEqual({});
  });

  test('update, patches and apply', async () => {
    const body = await get(`${V2}/one`);
    const put = await write('PUT', `${V2}/one`, { ...body, spec: { ...body.spec, port: '82' } });
    expect(put).toMatchObject({ metadata: { generation: 2 }, spec: { host: 'one', port: '82' } });
    const stale = await api.call('PUT', `${V2}/one`, { body });
    expect(stale).toMatchObject({ code: 409, body: { reason: 'Conflict' } });
    const merged = await write('PATCH', `${V2}/one`, { spec: { host: 'uno' } }, MERGE);
    expect(merged).toMatchObject({ metadata: { generation: 3 }, spec: { host: 'uno', port: '82' } });
    const patched = await write(
      'PATCH',
      `${V2}/one`,
      [{ op: 'replace', path: '/spec/port', value: '83' }],
      JSON_PATCH,
    );
    expect(patched.spec).toMatchObject({ host: 'uno', port: '83' });
    expect((await get(`${V1}/one`)).spec).toEqual({ hostPort: 'uno:83', replicas: 2 });
    const applied = await write(
      'PATCH',
      `${V2}/one?fieldManager=me&force=true`,
      { apiVersion: 'example.com/v2', kind: 'Endpoint', metadata: { name: 'one' }, spec: { port: '84' } },
      APPLY,
    );
    expect(applied.spec).toMatchObject({ host: 'uno', port: '84' });
    const created = await write(
      'PATCH',
      `${V2}/three?fieldManager=me`,
      { apiVersion: 'example.com/v2', kind: 'Endpoint', metadata: { name: 'three' }, spec: { host: 'h' } },
      APPLY,
    );
    expect(created.spec).toEqual({ host: 'h' });
    expect((await get(`${V1}/three`)).spec).toEqual({ hostPort: 'h' });
  });

  test('a write that changes nothing stores nothing', async () => {
    const { metadata, spec } = await get(`${V2}/one`);
    const put = await write('PATCH', `${V2}/one`, { spec }, MERGE);
    // The first time this client is noted as a manager of what it says.
    const again = await write('PATCH', `${V2}/one`, { spec }, MERGE);
    expect(again.metadata.resourceVersion).toBe(put.metadata.resourceVersion);
    expect(again.metadata.generation).toBe(metadata.generation);
  });

  test('status and scale', async () => {
    const status = await write('PATCH', `${V2}/one/status`, { status: { replicas: 2, phase: 'Up' } }, MERGE);
    expect(status).toMatchObject({
      apiVersion: 'example.com/v2',
      status: { phase: 'Up' },
      spec: { host: 'one' },
    });
    expect(await get(`${V2}/one/scale`)).toMatchObject({
      kind: 'Scale',
      spec: { replicas: 2 },
      status: { replicas: 2 },
    });
    await write('PUT', `${V2}/one/scale`, { metadata: { name: 'one' }, spec: { replicas: 5 } });
    await write('PATCH', `${V2}/two/scale`, { spec: { replicas: 6 } }, MERGE);
    expect((await get(V1)).items).toMatchObject([
      { spec: { hostPort: 'one:80', replicas: 5 }, status: { phase: 'Up' } },
      { spec: { hostPort: 'two:80', replicas: 6 } },
    ]);
  });

  test('dry runs store nothing, and are converted there and back', async () => {
    const query = { dryRun: 'All' };
    const made = await api.call('POST', V2, {
      query,
      body: { metadata: { name: 'three' }, spec: { host: 'three', port: '81' } },
    });
    expect(made).toMatchObject({ code: 200, body: { apiVersion: 'example.com/v2', spec: { port: '81' } } });
    const about = webhook.asked.filter(({ request }) => request.objects[0]?.metadata.name === 'three');
    expect(about.map(({ request }) => request.desiredAPIVersion)).toEqual([
      'example.com/v1',
      'example.com/v2',
    ]);
    const patched = await api.call('PATCH', `${V2}/one`, {
      query,
      body: { spec: { port: '99' } },
      contentType: MERGE,
    });
    expect(patched).toMatchObject({ code: 200, body: { spec: { host: 'one', port: '99' } } });
    expect((await api.call('DELETE', `${V2}/one`, { query })).code).toBe(200);
    expect((await get(V1)).items).toMatchObject([
      { spec: { hostPort: 'one:80' } },
      { metadata: { name: 'two' } },
    ]);
  });

  test('delete, at once or when the last finalizer is gone', async () => {
    await write('DELETE', `${V2}/one`);
    expect((await api.call('GET', `${V1}/one`)).code).toBe(404);
    expect((await api.call('GET', `${V2}/one`)).code).toBe(404);
    expect((await api.call('DELETE', `${V2}/one`)).code).toBe(404);
    await write('PATCH', `${V2}/two`, { metadata: { finalizers: ['a.b/c'] } }, MERGE);
    const waiting = await write('DELETE', `${V2}/two`);
    expect(waiting).toMatchObject({ apiVersion: 'example.com/v2', spec: { host: 'two' } });
    expect(waiting.metadata.deletionTimestamp).toBeDefined();
    await write('PATCH', `${V2}/two`, { metadata: { finalizers: null } }, MERGE);
    expect(names(await get(V1))).toEqual([]);
  });

  test('a collection, by the fields of the version', async () => {
    await write('POST', V1, { metadata: { name: 'three' }, spec: { hostPort: 'three:8080' } });
    const gone = await api.call('DELETE', V2, { query: { fieldSelector: 'spec.port=80' } });
    expect(gone.body).toMatchObject({ kind: 'EndpointList', apiVersion: 'example.com/v2' });
    expect(names(gone.body)).toEqual(['one', 'two']);
    expect(names(await get(V1))).toEqual(['three']);
  });

  test('managers own fields of the version in which they said them', async () => {
    const apply = (version: string, manager: string, spec: object, force = false) =>
      api.call('PATCH', `${endpoints(version)}/owned`, {
        query: { fieldManager: manager, force: String(force) },
        body: {
          apiVersion: `example.com/${version}`,
          kind: 'Endpoint',
          metadata: { name: 'owned' },
          spec,
        },
        contentType: APPLY,
      });
    expect((await apply('v1', 'first', { hostPort: 'h:1', tags: { a: '1' } })).code).toBe(200);
    // In v1 the port is a part of what the first one owns.
    const refused = await apply('v2', 'second', { port: '2', replicas: 3 });
    expect(refused).toMatchObject({
      code: 409,
      body: { message: expect.stringContaining('.spec.hostPort') as string },
    });
    expect((await apply('v2', 'second', { replicas: 3 })).code).toBe(200);
    expect((await apply('v2', 'second', { port: '2', replicas: 3 }, true)).code).toBe(200);
    const { metadata, spec } = await get(`${V1}/owned`);
    expect(spec).toEqual({ hostPort: 'h:2', replicas: 3, tags: { a: '1' } });
    expect(metadata.managedFields).toMatchObject([
      { manager: 'first', apiVersion: 'example.com/v1', fieldsV1: { 'f:spec': { 'f:tags': { 'f:a': {} } } } },
      {
        manager: 'second',
        apiVersion: 'example.com/v2',
        fieldsV1: { 'f:spec': { 'f:port': {}, 'f:replicas': {} } },
      },
    ]);
    expect(JSON.stringify(metadata.managedFields[0])).not.toContain('hostPort');
    // What a plain write takes from a manager of another version, that one loses.
    await write('PATCH', `${V1}/owned`, { spec: { hostPort: 'h:3' } }, MERGE);
    const after = (await get(`${V2}/owned`)).metadata.managedFields;
    const second = after.find((entry) => JSON.stringify(entry).includes('"second"'));
    expect(JSON.stringify(second)).not.toContain('f:port');
    expect(JSON.stringify(second)).toContain('f:replicas');
  });
});

describe('when the stored version changes', () => {
  test('objects of both are shown in both, and what is written is stored anew', async () => {
    await defineEndpoints(api, webhook, 'v1');
    for (const name of ['one', 'two'])
      await write('POST', V1, { metadata: { name }, spec: { hostPort: `${name}:80` } });
    await defineEndpoints(api, webhook, 'v2');
    await write('POST', V1, { metadata: { name: 'three' }, spec: { hostPort: 'three:80' } });
    const all = ['one', 'three', 'two'];
    webhook.asked.length = 0;
    const first = await get(everywhere('v1'));
    expect(first.items.map(({ spec }) => spec)).toEqual(all.map((name) => ({ hostPort: `${name}:80` })));
    // One object is of another version.
    expect(questions('v1')).toEqual([1]);
    webhook.asked.length = 0;
    const second = await get(everywhere('v2'));
    expect(second.items.map(({ spec }) => spec)).toEqual(all.map((host) => ({ host, port: '80' })));
    expect(questions()).toEqual([2]);

    webhook.asked.length = 0;
    await get(`${V1}/one`);
    expect(questions('v1')).toEqual([]);
    expect((await get(`${V2}/one`)).metadata.resourceVersion).toBe(first.items[0]?.metadata.resourceVersion);
    await get(`${V2}/three`);

    // A write that changes nothing brings the object into the stored version, through whatever version it comes.
    for (const [path, name] of [
      [V1, 'one'],
      [V2, 'two'],
    ] as const) {
      const before = await get(`${path}/${name}`);
      const after = await write('PUT', `${path}/${name}`, before);
      expect(after.metadata.resourceVersion).not.toBe(before.metadata.resourceVersion);
      webhook.asked.length = 0;
      await get(`${V2}/${name}`);
      expect(questions(), name).toEqual([]);
      const again = await write('PUT', `${path}/${name}`, after);
      expect(again.metadata.resourceVersion).toBe(after.metadata.resourceVersion);
    }
  });

  test('ConversionReview is of the first version that both know', async () => {
    await defineEndpoints(api, webhook, 'v1', ['v9', 'v1beta1', 'v1']);
    await write('POST', V1, { metadata: { name: 'one' }, spec: { hostPort: 'one:80' } });
    webhook.behaviour = (review) => {
      const { request } = review;
      const convertedObjects = request.objects.map((object) => convertEndpoint(object, 'example.com/v2'));
      // Nobody has ever looked at kind and uid of these.
      return { response: { convertedObjects, result: { status: 'Success' } } };
    };
    expect((await get(`${V2}/one`)).spec).toEqual({ host: 'one', port: '80' });
    expect(webhook.asked[0]?.apiVersion).toBe('apiextensions.k8s.io/v1beta1');
  });
});
