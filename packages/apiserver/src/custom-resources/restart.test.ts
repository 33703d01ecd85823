import { apiextensionsv1, resourceType, type KubeObject } from '@k8ts/api';
import { isNotFound } from '@k8ts/apimachinery';
import { realClock, silentLogger } from '@k8ts/base';
import { createClient } from '@k8ts/client';
import { createMemoryStore } from '@k8ts/store';
import { expect, test, vi } from 'vitest';
import type { PostStartHook } from '../post-start/contract.ts';
import { customResourcesHook } from '../post-start/custom-resources.ts';
import { builtinStrategies } from '../registry/builtin-strategies.ts';
import { createTestServer } from '../testing/test-server.ts';
import type { Definition } from './rows.ts';

const definition: Definition = {
  metadata: { name: 'things.gone.com' },
  spec: {
    group: 'gone.com',
    scope: 'Cluster',
    names: { plural: 'things', kind: 'Thing' },
    versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
  },
};
const things = resourceType<KubeObject>('gone.com', 'v1', 'things', 'Thing', false);

test('a definition whose deletion was under way when the server ended is gone for good with the next one', async () => {
  await using store = createMemoryStore({ clock: realClock, logger: silentLogger });
  const serve = (...postStartHooks: readonly PostStartHook[]): ReturnType<typeof createTestServer> =>
    createTestServer({ store, strategies: builtinStrategies(), postStartHooks });
  {
    await using first = await serve(customResourcesHook);
    const client = createClient(first.transport);
    await client.resource(apiextensionsv1.customResourceDefinitions).create(definition);
    await vi.waitFor(() => client.resource(things).create({ metadata: { name: 'one' } }));
  }
  {
    await using second = await serve(); // nobody acts on definitions
    await createClient(second.transport)
      .resource(apiextensionsv1.customResourceDefinitions)
      .delete('things.gone.com');
  }
  await using third = await serve(customResourcesHook);
  const client = createClient(third.transport);
  await vi.waitFor(async () => {
    await expect(
      client.resource(apiextensionsv1.customResourceDefinitions).get('things.gone.com'),
    ).rejects.toSatisfy(isNotFound);
    await expect(client.resource(things).list()).rejects.toSatisfy(isNotFound);
  }, 10_000);
});
