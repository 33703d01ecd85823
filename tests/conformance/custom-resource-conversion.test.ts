import type { ResourceClient } from '@k8ts/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { until } from '../support/waiting.ts';
import { hostPortVersions, startConversionService, type ConversionService } from './conversion-webhook.ts';
import {
  define,
  definitionOf,
  definitionsOf,
  resourceOf,
  undefine,
  type CustomObject,
  type Definition,
} from './custom-resources.ts';
import { changing, useSuite } from './support.ts';

describe('conversion webhooks', () => {
  const suite = useSuite({ nodes: 0 });
  let service: ConversionService;
  beforeAll(async () => {
    service = await startConversionService(suite.client);
  });
  afterAll(() => service[Symbol.asyncDispose]());

  interface Clients {
    readonly definition: Definition;
    readonly v1: ResourceClient<CustomObject>;
    readonly v2: ResourceClient<CustomObject>;
  }

  /** Ready, as upstream's tests wait for it: a stub can be made and deleted in v2. */
  async function defined(namespace: string): Promise<Clients> {
    const definition = await define(
      suite.client,
      definitionOf({
        group: 'stable.example.com',
        plural: 'multiversions',
        kind: 'MultiVersion',
        versions: hostPortVersions('v1'),
        conversion: service.conversion,
      }),
    );
    const [v1, v2] = ['v1', 'v2'].map((version) =>
      suite.client.resource(resourceOf(definition, version), namespace),
    ) as [ResourceClient<CustomObject>, ResourceClient<CustomObject>];
    await until(() =>
      v2.create({ metadata: { name: 'stub' } }).then(
        () => true,
        () => false,
      ),
    );
    await v2.delete('stub');
    return { definition, v1, v2 };
  }
  const V1 = { apiVersion: 'stable.example.com/v1', hostPort: 'localhost:8080' };
  const V2 = { apiVersion: 'stable.example.com/v2', host: 'localhost', port: '8080' };
  const expectV1 = (object: CustomObject): void => {
    expect(object).toMatchObject(V1);
    expect(object).not.toHaveProperty('host');
    expect(object).not.toHaveProperty('port');
  };
  const expectV2 = (object: CustomObject): void => {
    expect(object).toMatchObject(V2);
    expect(object).not.toHaveProperty('hostPort');
  };

  it('[sig-api-machinery] CustomResourceConversionWebhook [Privileged:ClusterAdmin] should be able to convert from CR v1 to CR v2 [Conformance]', async () => {
    const { definition, v1, v2 } = await defined(await suite.namespace());
    await v1.create({ metadata: { name: 'cr-instance-1' }, hostPort: 'localhost:8080' });
    expectV2(await v2.get('cr-instance-1'));
    await undefine(suite.client, definition);
  });

  it('[sig-api-machinery] CustomResourceConversionWebhook [Privileged:ClusterAdmin] should be able to convert a non homogeneous list of CRs [Conformance]', async () => {
    const { definition, v1, v2 } = await defined(await suite.namespace());
    await v1.create({ metadata: { name: 'cr-instance-1' }, hostPort: 'localhost:8080' });
    await changing(definitionsOf(suite.client), definition.metadata.name, (current) => ({
      ...current,
      spec: { ...current.spec, versions: hostPortVersions('v2') },
    }));
    await v1.create({ metadata: { name: 'cr-instance-2' }, hostPort: 'localhost:8080' });
    for (const [resource, check] of [
      [v1, expectV1],
      [v2, expectV2],
    ] as const) {
      const { items } = await resource.list();
      expect(items.map(({ metadata }) => metadata.name).sort()).toEqual(['cr-instance-1', 'cr-instance-2']);
      items.forEach(check);
    }
    await undefine(suite.client, definition);
  });
});
