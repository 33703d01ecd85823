import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

/** Together far more than a client may have waiting for it. */
const COUNT = 60;
const SIZE = 800_000;
const ALL = '/api/v1/configmaps';
const MAPS = '/api/v1/namespaces/default/configmaps';
const INITIAL = `${ALL}?watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan`;

interface Seen {
  readonly type: string;
  readonly object: {
    readonly metadata: { readonly name?: string; readonly annotations?: Readonly<Record<string, string>> };
    readonly data?: Readonly<Record<string, string>>;
  };
}

let server: TestServer;
beforeAll(async () => {
  server = await createTestServer();
  const namespace = { metadata: { name: 'default' } };
  await server.transport.request({ method: 'POST', path: '/api/v1/namespaces', body: namespace });
  for (let number = 0; number < COUNT; number++) {
    const body = { metadata: { name: `large-${number}` }, data: { value: 'x'.repeat(SIZE) } };
    await server.transport.request({ method: 'POST', path: MAPS, body });
  }
});
afterAll(() => server[Symbol.asyncDispose]());

async function open(path: string): Promise<IncomingMessage> {
  const [response] = (await once(get(server.url + path), 'response')) as [IncomingMessage];
  return response;
}

/** Reads `count` events and leaves. */
async function read(response: IncomingMessage, count: number): Promise<string[]> {
  const seen: string[] = [];
  for await (const line of createInterface({ input: response })) {
    const { type, object } = JSON.parse(line) as Seen;
    const { name = '', annotations } = object.metadata;
    const isEnd = annotations?.['k8s.io/initial-events-end'] === 'true';
    seen.push(`${type} ${isEnd ? 'END' : name} ${object.data?.['turn'] ?? ''}`.trim());
    if (seen.length === count) break;
  }
  response.destroy();
  return seen;
}

const ADDED = Array.from({ length: COUNT }, (_, number) => `ADDED large-${number}`).sort();

async function change(name: string, turn: number): Promise<void> {
  await server.transport.request({
    method: 'PATCH',
    path: `${MAPS}/${name}`,
    contentType: 'application/merge-patch+json',
    body: { data: { turn: String(turn) } },
  });
}

test('all initial events arrive, however many', async () => {
  const seen = await read(await open(INITIAL), COUNT + 1);
  expect(seen.slice(0, COUNT).sort()).toEqual(ADDED);
  expect(seen.at(-1)).toBe('BOOKMARK END');
});

test('a slow client gets them too, and then what happened meanwhile', async () => {
  const response = await open(INITIAL);
  await sleep(200);
  for (let turn = 0; turn < 5; turn++) await change('large-7', turn);
  await sleep(200);
  const seen = await read(response, COUNT + 6);
  expect(seen.slice(0, COUNT).sort()).toEqual(ADDED);
  expect(seen.slice(COUNT)).toEqual([
    'BOOKMARK END',
    ...[0, 1, 2, 3, 4].map((turn) => `MODIFIED large-7 ${turn}`),
  ]);
});

test('what was missed since a version arrives at the pace of the client', async () => {
  const list = (await (await fetch(`${server.url}${ALL}?limit=1`)).json()) as {
    metadata: { resourceVersion: string };
  };
  for (let turn = 0; turn < 15; turn++) await change('large-8', turn);
  const response = await open(`${ALL}?watch=true&resourceVersion=${list.metadata.resourceVersion}`);
  await sleep(200);
  for (let turn = 15; turn < 40; turn++) await change('large-8', turn);
  const seen = await read(response, 40);
  expect(seen).toEqual(Array.from({ length: 40 }, (_, turn) => `MODIFIED large-8 ${turn}`));
});

test.each([
  ['from the beginning', ''],
  ['from now on', 'now'],
])('who reads nothing at all is ended, in the end: %s', async (_, from) => {
  const list = (await (await fetch(`${server.url}${ALL}?limit=1`)).json()) as {
    metadata: { resourceVersion: string };
  };
  const version = from === 'now' ? list.metadata.resourceVersion : '';
  const response = await open(`${ALL}?watch=true&resourceVersion=${version}`);
  response.on('error', () => undefined);
  const closed = new Promise((resolve) => void response.once('close', resolve));
  for (let turn = 0; turn < 100; turn++) await change('large-9', turn);
  response.resume();
  await closed;
});
