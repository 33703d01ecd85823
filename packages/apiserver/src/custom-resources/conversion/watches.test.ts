/** Watches of a version that a webhook converts: each event once, in order, for all who watch. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { customResourcesHook } from '../../post-start/custom-resources.ts';
import { builtinStrategies } from '../../registry/builtin-strategies.ts';
import { apiCallers, type Answer, type ApiCaller } from '../../testing/api-callers.ts';
import {
  converted,
  defineEndpoints,
  endpoints,
  startConversionWebhook,
  type ConversionWebhook,
} from '../../testing/conversion-webhook.ts';
import { createTestServer, type TestServer } from '../../testing/test-server.ts';

const V1 = endpoints('v1');
const V2 = endpoints('v2');
const MERGE = 'application/merge-patch+json';

let webhook: ConversionWebhook;
let server: TestServer;
const callers = apiCallers(() => server);
const api = callers[1] as ApiCaller;

const write = async (
  method: 'POST' | 'PATCH' | 'DELETE',
  path: string,
  body?: object,
): Promise<Answer['body']> => {
  const contentType = method === 'PATCH' ? MERGE : 'application/json';
  const answer = await api.call(method, path, { ...(body === undefined ? {} : { body }), contentType });
  expect(answer.code, answer.body.message).toBe(200);
  return answer.body;
};
/** How many objects were converted, and with how many questions. */
const counts = (): readonly [objects: number, questions: number] => [
  webhook.asked.reduce((sum, { request }) => sum + request.objects.length, 0),
  webhook.asked.length,
];

beforeAll(async () => {
  webhook = await startConversionWebhook();
  server = await createTestServer({ strategies: builtinStrategies(), postStartHooks: [customResourcesHook] });
  await server.server.ready;
  await api.call('POST', '/api/v1/namespaces', { body: { metadata: { name: 'a' } } });
  await defineEndpoints(api, webhook, 'v1');
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await webhook[Symbol.asyncDispose]();
});
afterEach(async () => {
  webhook.behaviour = converted;
  await write('DELETE', V1);
});

test('an event is converted once, however many watch, in whatever form', async () => {
  const { body } = await api.call('GET', V2);
  const from = { resourceVersion: body.metadata.resourceVersion };
  webhook.asked.length = 0;
  const hosts = Array.from({ length: 10 }, (_, at) => `h${at}`);
  let writing: Promise<void> | undefined;
  const writeAll = (): Promise<void> =>
    (writing ??= (async () => {
      await sleep(50); // all watch by now
      for (const host of hosts)
        await write('POST', V1, { metadata: { name: host }, spec: { hostPort: host } });
    })());
  const watches = await Promise.all(
    callers.flatMap((caller) => [
      caller.watch(V2, from, hosts.length, writeAll),
      caller.watch(V2, { ...from, labelSelector: '!none' }, hosts.length, writeAll),
      caller.watch(V2, { ...from, fieldSelector: 'metadata.namespace=a' }, hosts.length, writeAll),
      caller.watch('/apis/example.com/v2/endpoints', from, hosts.length, writeAll),
    ]),
  );
  for (const events of watches) {
    expect(events.map(({ type }) => type)).toEqual(hosts.map(() => 'ADDED'));
    expect(events.map(({ object }) => object.spec)).toEqual(hosts.map((host) => ({ host })));
  }
  expect(counts()[0]).toBe(hosts.length);
});

test('what happens while the webhook thinks waits, in order, and is asked together', async () => {
  const { body } = await api.call('GET', V2);
  let answer = (): void => undefined;
  const first = new Promise<void>((resolve) => (answer = resolve));
  webhook.behaviour = async (review) => {
    await first;
    return converted(review);
  };
  webhook.asked.length = 0;
  const from = { resourceVersion: body.metadata.resourceVersion };
  const events = await api.watch(V2, from, 43, async () => {
    await write('POST', V1, { metadata: { name: 'one' }, spec: { hostPort: 'h:0' } });
    for (let port = 1; port <= 40; port++)
      await write('PATCH', `${V1}/one`, { spec: { hostPort: `h:${port}` } });
    await write('DELETE', `${V1}/one`);
    await write('POST', V1, { metadata: { name: 'one' }, spec: { hostPort: 'h:41' } });
    // A list waits for what it must show.
    const list = api.call('GET', V2);
    answer();
    expect((await list).body.items.map(({ spec }) => spec)).toEqual([{ host: 'h', port: '41' }]);
  });
  expect(events.map(({ type }) => type)).toEqual([
    'ADDED',
    ...Array.from({ length: 40 }, () => 'MODIFIED'),
    'DELETED',
    'ADDED',
  ]);
  expect(events.map(({ object }) => (object.spec as { port: string }).port)).toEqual(
    [...Array.from({ length: 41 }, (_, port) => port), 40, 41].map(String),
  );
  const revisions = events.map(({ object }) => Number(object.metadata.resourceVersion));
  expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
  expect(counts()).toEqual([42, 2]);
});

test('selections are by the fields of the version, and a change of them is seen', async () => {
  const { body } = await api.call('GET', V2);
  const from = { resourceVersion: body.metadata.resourceVersion, fieldSelector: 'spec.port=80' };
  const events = await api.watch(V2, from, 4, async () => {
    await write('POST', V1, { metadata: { name: 'other' }, spec: { hostPort: 'h:81' } });
    await write('POST', V1, { metadata: { name: 'one' }, spec: { hostPort: 'h:80' } });
    await write('PATCH', `${V1}/one`, { spec: { hostPort: 'i:80' } });
    await write('PATCH', `${V1}/one`, { spec: { hostPort: 'i:81' } });
    await write('PATCH', `${V1}/other`, { spec: { hostPort: 'h:80' } });
  });
  expect(events.map(({ type, object }) => [type, object.metadata.name, object.spec])).toEqual([
    ['ADDED', 'one', { host: 'h', port: '80' }],
    ['MODIFIED', 'one', { host: 'i', port: '80' }],
    ['DELETED', 'one', { host: 'i', port: '80' }],
    ['ADDED', 'other', { host: 'h', port: '80' }],
  ]);
});

test('initial events are what is there', async () => {
  for (const name of ['one', 'two'])
    await write('POST', V1, { metadata: { name }, spec: { hostPort: name } });
  const query = {
    sendInitialEvents: 'true',
    resourceVersionMatch: 'NotOlderThan',
    allowWatchBookmarks: 'true',
  };
  const events = await api.watch(V2, query, 3);
  expect(events.map(({ type }) => type)).toEqual(['ADDED', 'ADDED', 'BOOKMARK']);
  expect(events.slice(0, 2).map(({ object }) => object.spec)).toEqual([{ host: 'one' }, { host: 'two' }]);
});

test('many objects are asked for in parts', async () => {
  const made = Array.from({ length: 1_100 }, (_, at) => `o${at}`);
  await Promise.all(made.map((name) => write('POST', V1, { metadata: { name }, spec: { hostPort: name } })));
  // Another storage has read nothing yet.
  await defineEndpoints(api, webhook, 'v1', ['v1']);
  const { body } = await api.call('GET', '/apis/example.com/v2/endpoints');
  expect(body.items).toHaveLength(made.length);
  expect(webhook.asked.map(({ request }) => request.objects.length)).toEqual([500, 500, 100]);
});
