import { realClock, seededRandom, silentLogger } from '@k8ts/base';
import { createMemoryStore } from '@k8ts/store';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { apiCallers, type ApiCaller } from '../../testing/api-callers.ts';
import { createTestServer, type TestServer } from '../../testing/test-server.ts';

const store = createMemoryStore({ clock: realClock, logger: silentLogger });
let server: TestServer;
beforeAll(async () => {
  server = await createTestServer({ store });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
});

const ALL = '/api/v1/configmaps';
const pathOf = (namespace: string, name = ''): string =>
  `/api/v1/namespaces/${namespace}/configmaps${name === '' ? '' : `/${name}`}`;

describe.each(apiCallers(() => server).map((caller) => [caller.name, caller] as const))(
  '%s',
  (transport, api: ApiCaller) => {
    const ns = transport.replace(' ', '-').toLowerCase();
    const now = async (): Promise<string> => (await api.call('GET', ALL)).body.metadata.resourceVersion;
    const create = async (
      name: string,
      labels: Record<string, string> = {},
      namespace = ns,
    ): Promise<string> =>
      (await api.call('POST', pathOf(namespace), { body: { metadata: { name, labels } } })).body.metadata
        .resourceVersion;
    const label = (name: string, labels: Record<string, string | null>) =>
      api.call('PATCH', pathOf(ns, name), {
        body: { metadata: { labels } },
        contentType: 'application/merge-patch+json',
      });
    const brief = (events: readonly { type: string; object: { metadata: { name?: string } } }[]): string[] =>
      events.map(({ type, object }) => `${type} ${object.metadata.name ?? ''}`.trim());

    test('starts after a version, without gaps and in order', async () => {
      await create('order-0');
      const from = await now();
      await create('order-1');
      await label('order-1', { a: 'b' });
      await api.call('DELETE', pathOf(ns, 'order-1'));
      const events = await api.watch(pathOf(ns), { resourceVersion: from }, 4, () => create('order-2'));
      expect(brief(events)).toEqual([
        'ADDED order-1',
        'MODIFIED order-1',
        'DELETED order-1',
        'ADDED order-2',
      ]);
      const versions = events.map(({ object }) => Number(object.metadata.resourceVersion));
      expect(versions).toEqual([...versions].sort((a, b) => a - b));
      expect(new Set(versions).size).toBe(4);
      expect(events[2]?.object.metadata.labels).toEqual({ a: 'b' });
    });

    test.each([{}, { resourceVersion: '0' }])(
      'shows what there is first when asked for %j',
      async (query) => {
        const name = `initial-${Object.keys(query).length}`;
        await create(name, { group: name });
        const events = await api.watch(pathOf(ns), { ...query, labelSelector: `group=${name}` }, 2, () =>
          label(name, { more: 'x' }),
        );
        expect(brief(events)).toEqual([`ADDED ${name}`, `MODIFIED ${name}`]);
      },
    );

    test('a watch list ends its first part with a bookmark', async () => {
      await create('wl', { group: 'wl' });
      const query = {
        sendInitialEvents: 'true',
        resourceVersionMatch: 'NotOlderThan',
        allowWatchBookmarks: 'true',
        labelSelector: 'group=wl',
      };
      const events = await api.watch(pathOf(ns), query, 2);
      expect(brief(events)).toEqual(['ADDED wl', 'BOOKMARK']);
      expect(events[1]?.object).toEqual({
        kind: 'ConfigMap',
        apiVersion: 'v1',
        metadata: {
          resourceVersion: await now(),
          creationTimestamp: null,
          annotations: { 'k8s.io/initial-events-end': 'true' },
        },
      });
    });

    test('objects that enter or leave a selection are added or deleted', async () => {
      const from = await now();
      await create('moving', { stage: 'one' });
      await label('moving', { stage: 'two' });
      await label('moving', { other: 'x' });
      await label('moving', { stage: 'one' });
      await label('moving', { third: 'y' });
      await api.call('DELETE', pathOf(ns, 'moving'));
      const query = { resourceVersion: from, labelSelector: 'stage=one' };
      const replayed = await api.watch(ALL, query, 5);
      expect(brief(replayed)).toEqual([
        'ADDED moving',
        'DELETED moving',
        'ADDED moving',
        'MODIFIED moving',
        'DELETED moving',
      ]);
      // As it last matched, at the version at which it left.
      expect(replayed[1]?.object.metadata.labels).toEqual({ stage: 'one' });
      expect(Number(replayed[1]?.object.metadata.resourceVersion)).toBeGreaterThan(
        Number(replayed[0]?.object.metadata.resourceVersion),
      );
    });

    test('sees only its namespace or its name', async () => {
      const from = await now();
      await create('here');
      await create('here', {}, 'elsewhere');
      await create('last');
      expect(brief(await api.watch(pathOf(ns), { resourceVersion: from }, 2))).toEqual([
        'ADDED here',
        'ADDED last',
      ]);
      const byName = await api.watch(ALL, { resourceVersion: from, fieldSelector: 'metadata.name=here' }, 2);
      expect(byName.map(({ object }) => object.metadata.namespace)).toEqual([ns, 'elsewhere']);
      await api.call('DELETE', pathOf('elsewhere', 'here'));
    });

    test('many watchers of different selections each see what a model says', async () => {
      const random = seededRandom(3);
      const from = await now();
      const selections = ['c=0', 'c=1', 'c!=0', 'c in (0,1)', ''];
      const changes = 60;
      const history: { readonly name: string; readonly color: string | undefined }[] = [];
      const live = new Map<string, string>();
      for (let at = 0; at < changes; at++) {
        const name = `m${Math.floor(random() * 6)}`;
        const color = random() < 0.2 ? undefined : String(Math.floor(random() * 3));
        if (!live.has(name)) {
          if (color === undefined) continue;
          await create(name, { c: color });
        } else if (color === undefined) await api.call('DELETE', pathOf(ns, name));
        else if (live.get(name) === color) continue;
        else await label(name, { c: color });
        history.push({ name, color });
        if (color === undefined) live.delete(name);
        else live.set(name, color);
      }
      const matches: Record<string, (color: string) => boolean> = {
        'c=0': (color) => color === '0',
        'c=1': (color) => color === '1',
        'c!=0': (color) => color !== '0',
        'c in (0,1)': (color) => color !== '2',
        '': () => true,
      };
      for (const selection of selections) {
        const expected: string[] = [];
        const known = new Map<string, string>();
        for (const { name, color } of history) {
          const before = known.get(name);
          const was = before !== undefined && (matches[selection] as (color: string) => boolean)(before);
          const is = color !== undefined && (matches[selection] as (color: string) => boolean)(color);
          if (is) expected.push(`${was ? 'MODIFIED' : 'ADDED'} ${name}`);
          else if (was) expected.push(`DELETED ${name}`);
          if (color === undefined) known.delete(name);
          else known.set(name, color);
        }
        const query = { resourceVersion: from, ...(selection === '' ? {} : { labelSelector: selection }) };
        expect(brief(await api.watch(pathOf(ns), query, expected.length))).toEqual(expected);
      }
      for (const name of live.keys()) await api.call('DELETE', pathOf(ns, name));
    });

    test('a version that is too old is told as an event', async () => {
      await expect(api.watch(pathOf(ns), { resourceVersion: '1' }, 1)).resolves.toBeDefined();
      // Ten thousand events fit; a server that started later knows none of those before.
      await using late = await createTestServer({ store });
      const [inProcess, http] = apiCallers(() => late) as [ApiCaller, ApiCaller];
      const caller = api.name === 'in process' ? inProcess : http;
      await expect(caller.watch(pathOf(ns), { resourceVersion: '1' }, 1)).rejects.toMatchObject({
        code: 410,
        reason: 'Expired',
        message: expect.stringMatching(/^too old resource version: 1 \(\d+\)$/) as string,
      });
    });

    test.each<[Record<string, string>, string]>([
      [
        { resourceVersionMatch: 'NotOlderThan' },
        'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
      ],
      [
        { sendInitialEvents: 'true' },
        'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan',
      ],
      [{ resourceVersion: 'x' }, 'invalid resource version'],
    ])('refuses %j', async (query, message) => {
      await expect(api.watch(ALL, query, 1)).rejects.toThrow(message);
    });

    test('ends after its time', async () => {
      const started = performance.now();
      await api.watch(pathOf(ns), { resourceVersion: await now(), timeoutSeconds: '1' }, 1_000);
      expect(performance.now() - started).toBeGreaterThan(900);
    });
  },
);
