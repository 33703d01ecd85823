import { corev1 } from '@k8ts/api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { until } from '../support/waiting.ts';
import { hostPortVersions, startConversionService, type ConversionService } from './conversion-webhook.ts';
import { define, definitionOf, definitionsOf, resourceOf, type Definition } from './custom-resources.ts';
import { isGone, refusal, useSuite } from './support.ts';

/** The preferred version is v2, which controllers read; v1 is stored. Then nobody answers any more. */
describe('a cluster whose conversion webhook is down', () => {
  const suite = useSuite({ nodes: 0 });
  let service: ConversionService;
  let definition: Definition;
  let holder: string;

  beforeAll(async () => {
    service = await startConversionService(suite.client);
    holder = await suite.namespace();
    definition = await define(
      suite.client,
      definitionOf({
        group: 'down.example.com',
        plural: 'downs',
        kind: 'Down',
        versions: hostPortVersions('v1'),
        conversion: service.conversion,
      }),
    );
    const v1 = suite.client.resource(resourceOf(definition, 'v1'), holder);
    await v1.create({ metadata: { name: 'kept' }, hostPort: 'h:1' });
    await service[Symbol.asyncDispose]();
    await v1.create({ metadata: { name: 'added' }, hostPort: 'h:2' });
  });
  afterAll(async () => {
    // Without a webhook nothing is in the way of the definition's end.
    const definitions = definitionsOf(suite.client);
    await definitions.patch(
      definition.metadata.name,
      { spec: { conversion: { strategy: 'None', webhook: null } } },
      { type: 'merge' },
    );
    await definitions.delete(definition.metadata.name);
    await until(() => isGone(definitions.get(definition.metadata.name)));
  });

  it('collects garbage', async () => {
    const namespace = await suite.namespace();
    const maps = suite.client.resource(corev1.configMaps, namespace);
    const owner = await maps.create({ metadata: { name: 'owner' } });
    await maps.create({
      metadata: {
        name: 'owned',
        ownerReferences: [
          { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: owner.metadata.uid ?? '' },
        ],
      },
    });
    await maps.delete('owner');
    await until(() => isGone(maps.get('owned')));
  });

  it('deletes namespaces without such objects, and keeps the others until it is back', async () => {
    const namespaces = suite.client.resource(corev1.namespaces);
    const empty = await suite.namespace();
    await namespaces.delete(empty);
    await until(() => isGone(namespaces.get(empty)));

    const maps = suite.client.resource(corev1.configMaps, holder);
    await maps.create({ metadata: { name: 'map' } });
    await namespaces.delete(holder);
    await until(() => isGone(maps.get('map')));
    await until(async () =>
      ((await namespaces.get(holder)).status?.conditions ?? []).some(
        ({ type, status, message = '' }) =>
          type === 'NamespaceDeletionContentFailure' &&
          status === 'True' &&
          message.includes('conversion webhook for down.example.com/v1, Kind=Down failed'),
      ),
    );
    // Who knows what is stored may still clear it away.
    const v1 = suite.client.resource(resourceOf(definition, 'v1'), holder);
    expect((await v1.list()).items).toHaveLength(2);
    await v1.deleteCollection({});
    await until(() => isGone(namespaces.get(holder)));
  });

  it('is ready, and counts what it can', async () => {
    const namespace = await suite.namespace();
    const quotas = suite.client.resource(corev1.resourceQuotas, namespace);
    await quotas.create({ metadata: { name: 'quota' }, spec: { hard: { configmaps: '2' } } });
    await until(async () => (await quotas.get('quota')).status?.used?.['configmaps'] !== undefined);
    const maps = suite.client.resource(corev1.configMaps, namespace);
    await maps.create({ metadata: { name: 'second' } });
    expect(await refusal(maps.create({ metadata: { name: 'third' } }))).toMatchObject({ code: 403 });
    const v1 = suite.client.resource(resourceOf(definition, 'v1'), namespace);
    await v1.create({ metadata: { name: 'one' }, hostPort: 'h:1' });
    expect((await suite.wire.send('GET', '/readyz')).code).toBe(200);
  });
});
