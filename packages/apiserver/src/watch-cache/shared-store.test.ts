/** A store that others write too: the cache lags behind, and nobody may notice. */
import { realClock, silentLogger } from '@k8ts/base';
import { CompactedError, createMemoryStore, type Store } from '@k8ts/store';
import { afterEach, expect, test } from 'vitest';
import { apiCallers, type Answer, type ApiCaller } from '../testing/api-callers.ts';
import { laggingStore } from '../testing/lagging-store.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

const PATH = '/api/v1/namespaces/a/configmaps';
let store: Store;
let servers: TestServer[] = [];
let endWatch: ((error: Error) => void) | undefined;

async function start(delay: number, count = 1): Promise<ApiCaller[]> {
  store = createMemoryStore({ clock: realClock, logger: silentLogger });
  const lagging = laggingStore(store, delay, (request) => {
    endWatch = request.onEnd;
  });
  for (let at = 0; at < count; at++) servers.push(await createTestServer({ store: lagging }));
  return servers.map((server) => apiCallers(() => server)[0] as ApiCaller);
}

afterEach(async () => {
  for (const server of servers.splice(0)) await server[Symbol.asyncDispose]();
  servers = [];
  await store[Symbol.asyncDispose]();
});

const create = (api: ApiCaller, name: string) =>
  api.call('POST', PATH, { body: { metadata: { name }, data: { a: '1' } } });
const names = (answer: Answer): string[] => answer.body.items.map(({ metadata }) => metadata.name);

test('reads see what was written just before, whoever wrote it', async () => {
  const [first, second] = (await start(40, 2)) as [ApiCaller, ApiCaller];
  for (let at = 0; at < 5; at++) {
    const made = await create(first, `n${at}`);
    expect((await second.call('GET', `${PATH}/n${at}`)).body.metadata.resourceVersion).toBe(
      made.body.metadata.resourceVersion,
    );
    expect(names(await second.call('GET', PATH))).toContain(`n${at}`);
    expect(names(await first.call('GET', PATH, { query: { limit: '100' } }))).toContain(`n${at}`);
  }
});

test('a list not older than a write waits for it', async () => {
  const [api] = (await start(60)) as [ApiCaller];
  const { body } = await create(api, 'late');
  const { resourceVersion } = body.metadata;
  expect(names(await api.call('GET', PATH, { query: { resourceVersion } }))).toEqual(['late']);
  expect((await api.call('GET', `${PATH}/late`, { query: { resourceVersion } })).code).toBe(200);
});

test('of writers on several servers exactly one wins', async () => {
  const apis = await start(10, 3);
  const made = await create(apis[0] as ApiCaller, 'race');
  const answers = await Promise.all(
    apis.map((api, at) =>
      api.call('PUT', `${PATH}/race`, { body: { ...made.body, data: { at: String(at) } } }),
    ),
  );
  expect(answers.map(({ code }) => code).sort()).toEqual([200, 409, 409]);
  const patched = await Promise.all(
    apis.map((api, at) =>
      api.call('PATCH', `${PATH}/race`, {
        body: { data: { [`p${at}`]: 'x' } },
        contentType: 'application/merge-patch+json',
      }),
    ),
  );
  expect(patched.map(({ code }) => code)).toEqual([200, 200, 200]);
  const { data } = (await (apis[1] as ApiCaller).call('GET', `${PATH}/race`)).body;
  expect(data).toMatchObject({ p0: 'x', p1: 'x', p2: 'x' });
});

test('a watch that the store broke off goes on; one that missed something starts anew', async () => {
  const [api] = (await start(5)) as [ApiCaller];
  const from = (await create(api, 'before')).body.metadata.resourceVersion;
  const seen = api.watch(PATH, { resourceVersion: from }, 2, async () => {
    await create(api, 'one');
    endWatch?.(new Error('connection lost'));
    await create(api, 'two');
  });
  expect((await seen).map(({ object }) => object.metadata.name)).toEqual(['one', 'two']);

  const gone = api.watch(PATH, { resourceVersion: from }, 100, async () => {
    endWatch?.(new CompactedError(99));
    return Promise.resolve();
  });
  await expect(gone).rejects.toMatchObject({ code: 410, reason: 'Expired' });
  expect(names(await api.call('GET', PATH))).toEqual(['before', 'one', 'two']);
});
