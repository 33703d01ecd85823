import { flowcontrolv1 } from '@k8ts/api';
import { VirtualClock } from '@k8ts/base';
import { createClient } from '@k8ts/client';
import { expect, test } from 'vitest';
import { AUTO_UPDATE } from '../flowcontrol/default-configuration.ts';
import { builtinStrategies } from '../registry/builtin-strategies.ts';
import { createTestServer } from '../testing/test-server.ts';
import { flowConfigurationProducerHook } from './priority-and-fairness.ts';

test('the default configuration comes back; what an administrator has made his own stays', async () => {
  const clock = new VirtualClock();
  await using server = await createTestServer({
    clock,
    strategies: builtinStrategies(),
    postStartHooks: [flowConfigurationProducerHook],
  });
  await server.server.ready;
  const client = createClient(server.transport);
  const levels = client.resource(flowcontrolv1.priorityLevelConfigurations);
  const schemas = client.resource(flowcontrolv1.flowSchemas);
  const precedence = async (name: string): Promise<number | undefined> =>
    (await schemas.get(name)).spec.matchingPrecedence;
  const setPrecedence = (name: string, matchingPrecedence: number, annotation?: string): Promise<unknown> =>
    schemas.patch(
      name,
      {
        ...(annotation === undefined ? {} : { metadata: { annotations: { [AUTO_UPDATE]: annotation } } }),
        spec: { matchingPrecedence },
      },
      { type: 'merge' },
    );

  await schemas.delete('probes');
  await levels.delete('catch-all');
  await setPrecedence('system-nodes', 501); // but the annotation still says that it is the server's
  await setPrecedence('kube-scheduler', 801, 'false');
  await levels.patch('exempt', { spec: { exempt: { lendablePercent: 50 } } }, { type: 'merge' });
  const former = (name: string, autoUpdate: string): Promise<unknown> =>
    schemas.create({
      metadata: { name, annotations: { [AUTO_UPDATE]: autoUpdate } },
      spec: { priorityLevelConfiguration: { name: 'system' }, matchingPrecedence: 600 },
    });
  await former('of-an-old-version', 'true');
  await former('adopted', 'false');
  const untouched = (await schemas.get('global-default')).metadata.resourceVersion;

  await clock.advance(60_000);
  expect(await precedence('probes')).toBe(2);
  expect((await levels.get('catch-all')).spec?.limited?.nominalConcurrencyShares).toBe(5);
  expect(await precedence('system-nodes')).toBe(500);
  expect(await precedence('kube-scheduler')).toBe(801);
  expect((await levels.get('exempt')).spec?.exempt?.lendablePercent).toBe(50);
  const names = (await schemas.list()).items.map(({ metadata }) => metadata.name);
  expect(names).toContain('adopted');
  expect(names).not.toContain('of-an-old-version');
  expect((await schemas.get('global-default')).metadata.resourceVersion).toBe(untouched);
});
