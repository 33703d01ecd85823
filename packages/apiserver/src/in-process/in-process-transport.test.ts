import { createClient, type Transport } from '@k8ts/client';
import { corev1 } from '@k8ts/api';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AdmissionPlugin } from '../admission/contract.ts';
import { ADMIN } from '../testing/identities.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

let server: TestServer;
let release: () => void = () => undefined;

/** Holds creations of Secrets until the test lets them go. */
const slow: AdmissionPlugin = {
  name: 'slow',
  operations: ['CREATE'],
  handles: ({ resource }) => resource === 'secrets',
  validate: () =>
    new Promise((resolve) => {
      release = resolve;
    }),
};

beforeAll(async () => {
  server = await createTestServer({
    admission: [slow],
    authorizers: [
      {
        name: 'test',
        authorize: ({ user, verb, resource }) => ({
          verdict: user === ADMIN || (verb === 'get' && resource === 'configmaps') ? 'allow' : 'no-opinion',
          reason: '',
        }),
      },
    ],
  });
});
afterAll(() => server[Symbol.asyncDispose]());

const maps = (transport: Transport) => createClient(transport).resource(corev1.configMaps, 'default');

test('hands out the very object that everybody shares', async () => {
  const made = await maps(server.transport).create({ metadata: { name: 'shared' }, data: { a: 'b' } });
  const other = server.server.transportFor({ name: 'reader', uid: '', groups: [], extra: {} });
  expect(await maps(other).get('shared')).toBe(made);
  expect(Object.isFrozen(made.data)).toBe(true);
});

test('does not keep what it was given', async () => {
  const given = { metadata: { name: 'mine' }, data: { a: 'b' } };
  const made = await maps(server.transport).create(given);
  expect(given).toEqual({ metadata: { name: 'mine' }, data: { a: 'b' } });
  given.data.a = 'changed';
  expect(made.data).toEqual({ a: 'b' });
});

test('is held to the permissions of its identity', async () => {
  const other = server.server.transportFor({ name: 'reader', uid: '', groups: [], extra: {} });
  await expect(maps(other).delete('shared')).rejects.toMatchObject({
    code: 403,
    message:
      'configmaps "shared" is forbidden: User "reader" cannot delete resource "configmaps" in API group "" in the namespace "default"',
  });
});

test('lets the caller go when its signal aborts', async () => {
  const abort = new AbortController();
  const secrets = createClient(server.transport).resource(corev1.secrets, 'default');
  const pending = secrets.create({ metadata: { name: 'late' } }, { signal: abort.signal });
  await new Promise((resolve) => setTimeout(resolve, 20));
  abort.abort(new Error('enough'));
  await expect(pending).rejects.toThrow('enough');
  release();
  await expect(secrets.get('late', { signal: abort.signal })).rejects.toThrow('enough');
});

test('a watch ends with its signal, with the server, and by leaving the loop', async () => {
  const client = maps(server.transport);
  const abort = new AbortController();
  const ended = (async () => {
    for await (const events of await client.watch({ signal: abort.signal })) void events;
    return 'ended';
  })();
  abort.abort();
  expect(await ended).toBe('ended');

  for await (const events of await client.watch()) {
    expect(events[0]?.type).toBe('ADDED');
    break;
  }

  const short = await createTestServer();
  const watch = await maps(short.transport).watch();
  await short[Symbol.asyncDispose]();
  for await (const events of watch) expect(events).toEqual([]);
});

test('answers what is no resource too', async () => {
  expect(await createClient(server.transport).raw('/version')).toMatchObject({ minor: '36' });
  expect(await createClient(server.transport).raw('/livez')).toBe('ok');
});
