import { realClock, silentLogger, type Logger } from '@k8ts/base';
import { createMemoryStore } from '@k8ts/store';
import { corev1, type KubeObject } from '@k8ts/api';
import { expect, test } from 'vitest';
import type { Strategy } from '../registry/contract.ts';
import { apiCallers, type ApiCaller } from '../testing/api-callers.ts';
import { createTestServer } from '../testing/test-server.ts';

const MAPS = '/api/v1/namespaces/a/configmaps';

test('what is no object in the store is logged, and everything else is served', async () => {
  await using store = createMemoryStore({ clock: realClock, logger: silentLogger });
  const put = (name: string): Promise<unknown> =>
    store.commit({
      conditions: [],
      operations: [{ type: 'put', key: `/registry/configmaps/a/${name}`, value: Buffer.from('garbage') }],
    });
  await put('before');
  const errors: string[] = [];
  const logger: Logger = { ...silentLogger, error: (message) => errors.push(message) };
  await using server = await createTestServer({ store, logger });
  const [api] = apiCallers(() => server) as [ApiCaller];
  await api.call('POST', MAPS, { body: { metadata: { name: 'good' } } });
  await put('after');
  await api.call('POST', MAPS, { body: { metadata: { name: 'better' } } });
  expect((await api.call('GET', MAPS)).body.items.map(({ metadata }) => metadata.name)).toEqual([
    'better',
    'good',
  ]);
  expect(errors).toEqual(['the store holds what is no object', 'the store holds what is no object']);
});

test('a column that cannot show an object ends that watch only', async () => {
  const broken: Strategy<KubeObject> = {
    type: corev1.configMaps,
    columns: [
      {
        name: 'X',
        type: 'string',
        description: '',
        priority: 0,
        cell: ({ metadata }) => {
          if (metadata.name === 'bad') throw new Error('cannot be shown');
          return metadata.name;
        },
      },
    ],
  };
  await using server = await createTestServer({ strategies: [broken] });
  const [api] = apiCallers(() => server) as [ApiCaller];
  const table = await fetch(`${server.url}${MAPS}?watch=1`, {
    headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
  });
  const plain = api.watch(MAPS, {}, 2, async () => {
    await api.call('POST', MAPS, { body: { metadata: { name: 'bad' } } });
    await api.call('POST', MAPS, { body: { metadata: { name: 'fine' } } });
  });
  expect((await plain).map(({ object }) => object.metadata.name)).toEqual(['bad', 'fine']);
  const lines = (await table.text()).trim().split('\n');
  expect(JSON.parse(lines.at(-1) as string)).toMatchObject({
    type: 'ERROR',
    object: { kind: 'Status', code: 500, message: 'Internal error occurred: cannot be shown' },
  });
});
