/** Several API servers over one store, of which each converts for itself and none sees at once what the others write. */
import { realClock, silentLogger } from '@k8ts/base';
import { createMemoryStore } from '@k8ts/store';
import { expect, test } from 'vitest';
import { customResourcesHook } from '../../post-start/custom-resources.ts';
import { builtinStrategies } from '../../registry/builtin-strategies.ts';
import { apiCallers, type ApiCaller } from '../../testing/api-callers.ts';
import { defineEndpoints, endpoints, startConversionWebhook } from '../../testing/conversion-webhook.ts';
import { laggingStore } from '../../testing/lagging-store.ts';
import { createTestServer } from '../../testing/test-server.ts';

const V1 = endpoints('v1');
const V2 = endpoints('v2');

test('reads see what was written just before, whoever wrote it, in whatever version', async () => {
  await using store = createMemoryStore({ clock: realClock, logger: silentLogger });
  await using webhook = await startConversionWebhook();
  const options = {
    store: laggingStore(store, 20),
    strategies: builtinStrategies(),
    postStartHooks: [customResourcesHook],
  };
  await using first = await createTestServer(options);
  await using second = await createTestServer(options);
  const [one, other] = [first, second].map((server) => apiCallers(() => server)[1]) as [ApiCaller, ApiCaller];
  await one.call('POST', '/api/v1/namespaces', { body: { metadata: { name: 'a' } } });
  await defineEndpoints(one, webhook, 'v1');
  await expect.poll(async () => (await other.call('GET', V2)).code, { timeout: 20_000 }).toBe(200);

  for (let port = 0; port < 5; port++) {
    const body = { metadata: { name: `n${port}` }, spec: { host: 'h', port: `${port}` } };
    const made = await one.call('POST', V2, { body });
    expect(made.code, made.body.message).toBe(200);
    expect((await other.call('GET', `${V1}/n${port}`)).body.spec).toEqual({ hostPort: `h:${port}` });
    expect((await other.call('GET', `${V2}/n${port}`)).body).toEqual(made.body);
    for (const path of [V2, '/apis/example.com/v2/endpoints'])
      expect((await other.call('GET', path)).body.items.at(-1)?.spec).toEqual({ host: 'h', port: `${port}` });
  }

  // Of those who write the same object in different versions each builds on what the others wrote.
  const patches = await Promise.all(
    [V1, V2, V1, V2].map((path, at) =>
      (at < 2 ? one : other).call('PATCH', `${path}/n0`, {
        body: { metadata: { labels: { [`by-${at}`]: 'x' } } },
        contentType: 'application/merge-patch+json',
      }),
    ),
  );
  expect(patches.map(({ code }) => code)).toEqual([200, 200, 200, 200]);
  const { metadata, spec } = (await other.call('GET', `${V2}/n0`)).body;
  expect(metadata.labels).toEqual({ 'by-0': 'x', 'by-1': 'x', 'by-2': 'x', 'by-3': 'x' });
  expect(spec).toEqual({ host: 'h', port: '0' });
});
