import { realClock, silentLogger, systemRandom } from '@k8ts/base';
import { createInformerFactory, type ResourceClient } from '@k8ts/client';
import { describe, expect, it } from 'vitest';

import { until } from '../support/waiting.ts';
import { hostPortVersions, startConversionService, versionOf } from './conversion-webhook.ts';
import { define, definitionOf, resourceOf, undefine, type CustomObject } from './custom-resources.ts';
import { changing, refusal, useSuite, watch } from './support.ts';

interface Seen {
  readonly added: Set<string>;
  readonly deleted: Set<string>;
}

describe('field selectors of custom resources', () => {
  const suite = useSuite({ nodes: 0 });

  const follow = async (
    resource: ResourceClient<CustomObject>,
    fieldSelector: string,
  ): Promise<Seen & AsyncDisposable> => {
    const seen = { added: new Set<string>(), deleted: new Set<string>() };
    const watcher = await watch(resource, { fieldSelector });
    const run = async (): Promise<void> => {
      for (;;) {
        const { type, object } = await watcher.next();
        if (type === 'ADDED') seen.added.add(object.metadata.name);
        if (type === 'DELETED') seen.deleted.add(object.metadata.name);
      }
    };
    run().catch(() => undefined); // it ends with the test
    return { ...seen, [Symbol.asyncDispose]: () => watcher[Symbol.asyncDispose]() };
  };
  const names = (seen: Seen): readonly string[][] => [[...seen.added].sort(), [...seen.deleted].sort()];
  const listed = async (resource: ResourceClient<CustomObject>, fieldSelector: string): Promise<string[]> =>
    (await resource.list({ fieldSelector })).items.map(({ metadata }) => metadata.name).sort();
  const untilSeen = async (
    seen: Seen,
    added: readonly string[],
    deleted: readonly string[],
  ): Promise<void> => {
    await until(() => seen.added.size >= added.length && seen.deleted.size >= deleted.length);
    expect(names(seen)).toEqual([added, deleted]);
  };

  it('[sig-api-machinery] CustomResourceFieldSelectors [Privileged:ClusterAdmin] CustomResourceFieldSelectors MUST list and watch custom resources matching the field selector [Conformance]', async () => {
    const namespace = await suite.namespace();
    await using service = await startConversionService(suite.client);
    const definition = await define(
      suite.client,
      definitionOf({
        group: 'stable.example.com',
        plural: 'endpoints',
        kind: 'Endpoint',
        versions: hostPortVersions('v1'),
        conversion: service.conversion,
      }),
    );
    const v1 = suite.client.resource(resourceOf(definition, 'v1'), namespace);
    const v2 = suite.client.resource(resourceOf(definition, 'v2'), namespace);

    await using hostWatch = await follow(v2, 'host=host1');
    await using hostPortWatch = await follow(v2, 'host=host1,port=80');
    await using v1Watch = await follow(v1, 'hostPort=host1:80');
    await using informers = createInformerFactory({
      client: suite.client,
      clock: realClock,
      random: systemRandom,
      logger: silentLogger,
    });
    const informed = (fieldSelector: string): Seen => {
      const seen = { added: new Set<string>(), deleted: new Set<string>() };
      informers.of(resourceOf(definition, 'v2'), { namespace, fieldSelector }).addHandler({
        added: ({ metadata }) => seen.added.add(metadata.name),
        deleted: ({ metadata }) => seen.deleted.add(metadata.name),
      });
      return seen;
    };
    const hostInformer = informed('host=host1');
    const hostPortInformer = informed('host=host1,port=80');
    informers.start();

    const fields = [{ host: 'host1', port: '80' }, { host: 'host1', port: '8080' }, { host: 'host2' }];
    for (const [index, each] of fields.entries())
      await v2.create({ metadata: { name: `cr-${index}` }, ...each });
    expect(await listed(v2, 'host=host1')).toEqual(['cr-0', 'cr-1']);
    expect(await listed(v2, 'host=host1,port=80')).toEqual(['cr-0']);
    expect(await listed(v1, 'hostPort=host1:80')).toEqual(['cr-0']);
    expect(await listed(v1, 'hostPort=host1:8080')).toEqual(['cr-1']);

    await untilSeen(hostWatch, ['cr-0', 'cr-1'], []);
    await untilSeen(hostPortWatch, ['cr-0'], []);
    await untilSeen(v1Watch, ['cr-0'], []);
    await untilSeen(hostInformer, ['cr-0', 'cr-1'], []);
    await untilSeen(hostPortInformer, ['cr-0'], []);

    await v2.deleteCollection({ gracePeriodSeconds: 0, fieldSelector: 'host=host1,port=80' });
    await changing(v2, 'cr-1', (object) => ({ ...object, host: 'host2' }));
    expect(await listed(v2, 'host=host1')).toEqual([]);
    expect(await listed(v2, 'host=host1,port=80')).toEqual([]);

    await untilSeen(hostWatch, ['cr-0', 'cr-1'], ['cr-0', 'cr-1']);
    await untilSeen(hostPortWatch, ['cr-0'], ['cr-0']);
    await untilSeen(v1Watch, ['cr-0'], ['cr-0']);
    await untilSeen(hostInformer, ['cr-0', 'cr-1'], ['cr-0', 'cr-1']);
    await untilSeen(hostPortInformer, ['cr-0'], ['cr-0']);
    await undefine(suite.client, definition);
  });

  it('are those of the version, of any scalar type, where nothing converts', async () => {
    const namespace = await suite.namespace();
    const both = versionOf('v2', true, ['host', 'port']);
    const schema = { type: 'object', properties: { ...both.schema?.openAPIV3Schema?.properties } };
    const definition = await define(
      suite.client,
      definitionOf({
        group: 'stable.example.com',
        plural: 'servers',
        kind: 'Server',
        versions: [
          {
            ...versionOf('v1', false, ['port']),
            schema: { openAPIV3Schema: schema },
          },
          {
            ...both,
            schema: {
              openAPIV3Schema: {
                ...schema,
                properties: { ...schema.properties, secure: { type: 'boolean' } },
              },
            },
            selectableFields: ['host', 'port', 'secure'].map((field) => ({ jsonPath: `.${field}` })),
          },
        ],
      }),
    );
    const v1 = suite.client.resource(resourceOf(definition, 'v1'), namespace);
    const v2 = suite.client.resource(resourceOf(definition, 'v2'), namespace);
    const fields = [
      { host: 'host1', port: '80' },
      { host: 'host1', port: '8080', secure: true },
      { host: 'host2' },
    ];
    for (const [index, each] of fields.entries())
      await v2.create({ metadata: { name: `cr-${index}` }, ...each });
    expect(await listed(v2, 'host!=host1')).toEqual(['cr-2']);
    expect(await listed(v2, 'secure=true')).toEqual(['cr-1']);
    expect(await listed(v2, 'port=')).toEqual(['cr-2']);
    expect(await listed(v1, 'port=80')).toEqual(['cr-0']);
    expect(await listed(v1, 'metadata.name=cr-1,port=8080')).toEqual(['cr-1']);

    // Each version has its own selectable fields.
    for (const [resource, fieldSelector, label] of [
      [v1, 'host=host1', 'host'],
      [v2, 'spec.host=host1', 'spec.host'],
    ] as const) {
      expect(await refusal(resource.list({ fieldSelector }))).toMatchObject({
        code: 400,
        message: expect.stringContaining(`field label not supported: ${label}`) as string,
      });
      expect(await refusal(resource.watch({ fieldSelector }))).toMatchObject({ code: 400 });
      expect(await refusal(resource.deleteCollection({ fieldSelector }))).toMatchObject({ code: 400 });
    }
    await undefine(suite.client, definition);
  });
});
