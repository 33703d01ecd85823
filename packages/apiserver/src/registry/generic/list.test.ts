import { realClock, silentLogger } from '@k8ts/base';
import { createMemoryStore, type Store } from '@k8ts/store';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { apiCallers, type ApiCaller } from '../../testing/api-callers.ts';
import { createTestServer, type TestServer } from '../../testing/test-server.ts';

const PATH = '/api/v1/namespaces/a/configmaps';
let store: Store;
let server: TestServer;
/** Resource versions after each of the changes below. */
const versions: string[] = [];

beforeAll(async () => {
  store = createMemoryStore({ clock: realClock, logger: silentLogger });
  server = await createTestServer({ store });
  const { transport } = server;
  const create = async (namespace: string, name: string, labels: Record<string, string>): Promise<void> => {
    const made = await transport.request<{ metadata: { resourceVersion: string } }>({
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/configmaps`,
      body: { metadata: { name, labels } },
    });
    versions.push(made.metadata.resourceVersion);
  };
  for (let at = 0; at < 5; at++) await create('a', `n${at}`, { parity: at % 2 === 0 ? 'even' : 'odd' });
  await create('b', 'other', {});
  await transport.request({ method: 'DELETE', path: `${PATH}/n1` });
  versions.push(String(await store.revision()));
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
});

interface ListBody {
  readonly metadata: {
    readonly resourceVersion: string;
    readonly continue?: string;
    readonly remainingItemCount?: number;
  };
  readonly items: readonly { readonly metadata: { readonly name: string } }[];
}
const names = (list: ListBody): string[] => list.items.map(({ metadata }) => metadata.name);
const all = ['n0', 'n2', 'n3', 'n4'];

describe.each(apiCallers(() => server).map((caller) => [caller.name, caller] as const))(
  '%s',
  (_, api: ApiCaller) => {
    const list = async (query: Record<string, string> = {}, path = PATH) => api.call('GET', path, { query });

    test.each<[string, Record<string, string>, string[]]>([
      ['the newest', {}, all],
      ['any', { resourceVersion: '0' }, all],
      ['not older than now', { resourceVersion: 'NOW' }, all],
      ['explicitly not older', { resourceVersion: 'V0', resourceVersionMatch: 'NotOlderThan' }, all],
      ['exactly the second', { resourceVersion: 'V1', resourceVersionMatch: 'Exact' }, ['n0', 'n1']],
      ['a page of an old version, without a match', { resourceVersion: 'V2', limit: '2' }, ['n0', 'n1']],
      ['any, whose limit is ignored', { resourceVersion: '0', limit: '1' }, all],
      ['by label', { labelSelector: 'parity=even' }, ['n0', 'n2', 'n4']],
      [
        'by label of an exact version',
        { labelSelector: 'parity=odd', resourceVersion: 'V3', resourceVersionMatch: 'Exact' },
        ['n1', 'n3'],
      ],
      ['by name', { fieldSelector: 'metadata.name=n3' }, ['n3']],
      ['by a name that is not there', { fieldSelector: 'metadata.name=n1' }, []],
      ['by a name and not', { fieldSelector: 'metadata.name!=n3' }, ['n0', 'n2', 'n4']],
    ])('%s', async (_name, query, expected) => {
      const resolved = Object.fromEntries(
        Object.entries(query).map(([key, value]) => {
          if (value === 'NOW') return [key, versions.at(-1) as string];
          const index = /^V(\d)$/.exec(value)?.[1];
          return [key, index === undefined ? value : (versions[Number(index)] as string)];
        }),
      );
      const { body } = await list(resolved);
      expect(names(body)).toEqual(expected);
      if (resolved['resourceVersionMatch'] === 'Exact')
        expect(body.metadata.resourceVersion).toBe(resolved['resourceVersion']);
    });

    test('all namespaces, or one by its field', async () => {
      const path = '/api/v1/configmaps';
      expect(names((await list({}, path)).body)).toEqual([...all, 'other']);
      expect(names((await list({ fieldSelector: 'metadata.namespace=b' }, path)).body)).toEqual(['other']);
    });

    test.each<[string, Record<string, string>, number | undefined]>([
      ['everything', {}, 2],
      ['a label', { labelSelector: 'parity' }, undefined],
    ])('pages over %s see one moment', async (_name, query, remaining) => {
      const first = (await list({ ...query, limit: '2' })).body as ListBody;
      expect(names(first)).toEqual(['n0', 'n2']);
      expect(first.metadata.remainingItemCount).toBe(remaining);
      await api.call('POST', PATH, { body: { metadata: { name: 'n5', labels: { parity: 'odd' } } } });
      await api.call('DELETE', `${PATH}/n5`);
      const second = (await list({ ...query, limit: '1', continue: first.metadata.continue as string }))
        .body as ListBody;
      expect(names(second)).toEqual(['n3']);
      expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
      const third = (await list({ ...query, limit: '5', continue: second.metadata.continue as string }))
        .body as ListBody;
      expect(names(third)).toEqual(['n4']);
      expect(third.metadata.continue).toBeUndefined();
    });

    const token = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    test.each<[string, Record<string, string>, number, string]>([
      [
        'no number',
        { resourceVersion: 'x' },
        400,
        'invalid resource version: resourceVersion: Invalid value: "x": strconv.ParseUint: parsing "x": invalid syntax',
      ],
      [
        'a match without version',
        { resourceVersionMatch: 'Exact' },
        422,
        'resourceVersionMatch is forbidden unless resourceVersion is provided',
      ],
      [
        'an unknown match',
        { resourceVersion: '1', resourceVersionMatch: 'Newest' },
        422,
        'Unsupported value: "Newest": supported values: "Exact", "NotOlderThan", ""',
      ],
      [
        'exactly any',
        { resourceVersion: '0', resourceVersionMatch: 'Exact' },
        422,
        'resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
      ],
      ['initial events', { sendInitialEvents: 'true' }, 422, 'sendInitialEvents is forbidden for list'],
      ['no base64', { continue: '*' }, 400, 'continue key is not valid'],
      ['no token', { continue: 'eA' }, 400, 'continue key is not valid'],
      ['a token of null', { continue: token(null) }, 400, 'continue key is not valid'],
      [
        'a token of another version',
        { continue: token({ v: 'v9', rv: 3, start: 'a' }) },
        400,
        'server does not recognize this encoded version v9',
      ],
      [
        'a token without a place',
        { continue: token({ v: 'meta.k8s.io/v1', rv: 3, start: '' }) },
        400,
        'encoded start key empty',
      ],
      [
        'a token without a version',
        { continue: token({ v: 'meta.k8s.io/v1', rv: 0, start: 'a' }) },
        400,
        'incorrect encoded start resourceVersion',
      ],
      [
        'a token that leads outside',
        { continue: token({ v: 'meta.k8s.io/v1', rv: 3, start: '../../secrets/x' }) },
        400,
        'continue key is not valid',
      ],
      [
        'a token and a version',
        { continue: token({ v: 'meta.k8s.io/v1', rv: 3, start: 'a' }), resourceVersion: '3' },
        400,
        'specifying resource version is not allowed when using continue',
      ],
      ['a bad label selector', { labelSelector: 'a in (' }, 400, 'unable to parse requirement'],
      ['a bad field selector', { fieldSelector: 'x' }, 400, "invalid selector: 'x'; can't understand 'x'"],
      ['an unknown field', { fieldSelector: 'spec.x=1' }, 400, 'spec.x'],
      ['a limit in words', { limit: 'ten' }, 400, 'strconv.ParseInt: parsing "ten": invalid syntax'],
    ])('refuses %s', async (_name, query, code, message) => {
      const answer = await list(query);
      expect(answer.code).toBe(code);
      expect(answer.body.message).toContain(message);
    });

    test('a version of the future is a timeout with a cause', async () => {
      const { code, body } = await list({ resourceVersion: '99999' });
      expect(code).toBe(504);
      expect(body.message).toMatch(/^Timeout: Too large resource version: 99999, current: \d+$/);
      expect(body.details).toMatchObject({
        retryAfterSeconds: 1,
        causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
      });
    });
  },
);

describe('after a compaction', () => {
  test('pages go on only with a token that says so', async () => {
    const [api] = apiCallers(() => server) as [ApiCaller];
    const first = (await api.call('GET', PATH, { query: { limit: '1' } })).body as ListBody;
    await api.call('POST', PATH, { body: { metadata: { name: 'n1late' } } });
    await store.compact(await store.revision());
    const gone = await api.call('GET', PATH, {
      query: { limit: '1', continue: first.metadata.continue as string },
    });
    expect(gone.code).toBe(410);
    expect(gone.body.reason).toBe('Expired');
    expect(gone.body.message).toContain('The provided continue parameter is too old');
    const rest = await api.call('GET', PATH, { query: { continue: gone.body.metadata.continue } });
    expect(names(rest.body)).toEqual(['n1late', 'n2', 'n3', 'n4']);
    const exact = await api.call('GET', PATH, {
      query: { resourceVersion: versions[0] as string, resourceVersionMatch: 'Exact' },
    });
    expect(exact).toMatchObject({
      code: 410,
      body: { message: 'The resourceVersion for the provided list is too old.' },
    });
  });
});
