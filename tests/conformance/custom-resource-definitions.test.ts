import type { apiextensionsv1 } from '@k8ts/api';
import type { ClientWatchEvent } from '@k8ts/client';
import { describe, expect, it } from 'vitest';

import { throughout, until } from '../support/waiting.ts';
import {
  ANYTHING,
  define,
  definitionOf,
  definitionsOf,
  resourceOf,
  undefine,
  versionsOf,
  type CustomObject,
  type Definition,
} from './custom-resources.ts';
import { changing, isGone, useSuite, watch, type Watcher } from './support.ts';

type Event = ClientWatchEvent<CustomObject>;

describe('custom resource definitions', () => {
  const suite = useSuite({ nodes: 0 });
  let names = 0;
  const randomDefinition = (labels: Readonly<Record<string, string>> = {}): Definition => {
    const kind = `foo${++names}a`;
    return definitionOf({
      plural: `${kind}s`,
      kind,
      names: { singular: kind, listKind: `${kind}List` },
      scope: 'Cluster',
      labels,
      versions: versionsOf(ANYTHING, 'v1beta1'),
    });
  };

  it('[sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin] Simple CustomResourceDefinition creating/deleting custom resource definition objects works [Conformance]', async () => {
    const definition = await define(suite.client, randomDefinition());
    const objects = suite.client.resource(resourceOf(definition));
    expect((await objects.list()).items).toEqual([]);
    await undefine(suite.client, definition);
    await until(() => isGone(objects.list()));
    await until(() => isGone(suite.client.raw(`/apis/${definition.spec.group}/v1beta1`)));
  });

  it('[sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin] Simple CustomResourceDefinition listing custom resource definition objects works [Conformance]', async () => {
    const labels = { 'e2e-list-test-uuid': 'these' };
    const labelled: Definition[] = [];
    for (let count = 0; count < 10; count++)
      labelled.push(await define(suite.client, randomDefinition(labels)));
    const other = await define(suite.client, randomDefinition());
    const definitions = definitionsOf(suite.client);

    const labelSelector = 'e2e-list-test-uuid=these';
    const { items } = await definitions.list({ labelSelector });
    const byName = (all: readonly Definition[]): Record<string, unknown> =>
      Object.fromEntries(all.map(({ metadata, spec }) => [metadata.name, spec]));
    expect(items).toHaveLength(10);
    expect(byName(items)).toEqual(byName(labelled));

    await definitions.deleteCollection({ labelSelector });
    await until(async () => (await definitions.list({ labelSelector })).items.length === 0);
    for (const { spec } of labelled)
      await until(async () => {
        if (await isGone(suite.client.raw(`/apis/${spec.group}/v1beta1`))) return true;
        const { resources } = await suite.client.raw<{ resources: { name: string }[] }>(
          `/apis/${spec.group}/v1beta1`,
        );
        return resources.every(({ name }) => name !== spec.names.plural);
      });
    expect((await definitions.get(other.metadata.name)).spec).toEqual(other.spec);
    await undefine(suite.client, other);
  });

  it('[sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin] Simple CustomResourceDefinition getting/updating/patching custom resource definition status sub-resource works [Conformance]', async () => {
    type Condition = apiextensionsv1.CustomResourceDefinitionCondition;
    const definition = await define(suite.client, randomDefinition());
    const { name } = definition.metadata;
    const definitions = definitionsOf(suite.client);
    // Only a message: the type of a condition is not asked for.
    const condition = (message: string): Condition => ({ message, type: '', status: '' });

    expect((await definitions.getSubresource<Definition>(name, 'status')).spec).toEqual(definition.spec);
    const updated = await changing(
      definitions,
      name,
      (current) => ({
        ...current,
        status: {
          ...current.status,
          conditions: [...(current.status?.conditions ?? []), condition('updated')],
        },
      }),
      'updateStatus',
    );
    expect(updated.status?.conditions).toContainEqual(condition('updated'));

    const patched = await definitions.patch(
      name,
      [{ op: 'add', path: '/status/conditions', value: [{ message: 'patched' }] }],
      { type: 'json', subresource: 'status' },
    );
    expect(patched.status?.conditions).toEqual([condition('patched')]);
    expect(patched.spec).toEqual(definition.spec);
    await undefine(suite.client, definition);
  });

  it('[sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin] should include custom resource definition resources in discovery documents [Conformance]', async () => {
    interface Group {
      readonly name: string;
      readonly versions: readonly { readonly groupVersion: string; readonly version: string }[];
    }
    const version = { groupVersion: 'apiextensions.k8s.io/v1', version: 'v1' };
    const { groups } = await suite.client.raw<{ readonly groups: readonly Group[] }>('/apis');
    const group = groups.find(({ name }) => name === 'apiextensions.k8s.io');
    expect(group?.versions).toContainEqual(version);
    const alone = await suite.client.raw<Group>('/apis/apiextensions.k8s.io');
    expect(alone.name).toBe('apiextensions.k8s.io');
    expect(alone.versions).toContainEqual(version);
    const list = await suite.client.raw<{
      readonly groupVersion: string;
      readonly resources: readonly { readonly name: string }[];
    }>('/apis/apiextensions.k8s.io/v1');
    expect(list.groupVersion).toBe('apiextensions.k8s.io/v1');
    expect(list.resources.map(({ name }) => name)).toContain('customresourcedefinitions');
  });

  it('[sig-api-machinery] CustomResourceDefinition resources [Privileged:ClusterAdmin] custom resource defaulting for requests and from storage works [Conformance]', async () => {
    const { metadata, spec } = randomDefinition();
    const schema = { ...ANYTHING, properties: { a: { type: 'string' }, b: { type: 'string' } } };
    const definition = await define(suite.client, {
      metadata,
      spec: { ...spec, versions: versionsOf(schema, 'v1beta1') },
    });
    const definitions = definitionsOf(suite.client);
    const objects = suite.client.resource(resourceOf(definition));
    const first = await objects.create({ metadata: { name: 'cr-1' } });
    expect(first['a']).toBeUndefined();

    const properties = '/spec/versions/0/schema/openAPIV3Schema/properties';
    await definitions.patch(metadata.name, [{ op: 'add', path: `${properties}/a/default`, value: 'A' }], {
      type: 'json',
    });
    await until(async () => {
      const { a } = await objects.get('cr-1');
      if (a !== undefined) expect(a).toBe('A');
      return a !== undefined;
    });
    expect((await objects.create({ metadata: { name: 'cr-2' } }))['a']).toBe('A');

    await definitions.patch(
      metadata.name,
      [
        { op: 'remove', path: `${properties}/a/default` },
        { op: 'add', path: `${properties}/b/default`, value: 'B' },
      ],
      { type: 'json' },
    );
    await until(async () => {
      const { a, b } = await objects.get('cr-2');
      if (b !== undefined) expect([a, b]).toEqual(['A', 'B']);
      return b !== undefined;
    });
    // What was only shown was never stored.
    expect((await objects.get('cr-1'))['a']).toBeUndefined();
    await undefine(suite.client, definition);
  });

  it('[sig-api-machinery] CustomResourceDefinition Watch [Privileged:ClusterAdmin] CustomResourceDefinition Watch watch on custom resource definition objects [Conformance]', async () => {
    const definition = await define(
      suite.client,
      definitionOf({
        plural: 'noxus',
        kind: 'WishIHadChosenNoxu',
        names: {
          singular: 'nonenglishnoxu',
          shortNames: ['foo', 'bar', 'abc', 'def'],
          listKind: 'NoxuItemList',
          categories: ['all'],
        },
        scope: 'Cluster',
        versions: versionsOf(ANYTHING, 'v1beta1'),
      }),
    );
    const objects = suite.client.resource(resourceOf(definition));
    const options = (name: string): object => ({
      fieldSelector: `metadata.name=${name}`,
      timeoutSeconds: 600,
    });
    await using watchA = await watch(objects, options('name1'));
    await using watchB = await watch(objects, options('name2'));
    const seen: Record<string, Event[]> = { name1: [], name2: [] };
    const follow = async (watcher: Watcher<CustomObject>, name: string): Promise<void> => {
      for (;;) seen[name]?.push(await watcher.next());
    };
    follow(watchA, 'name1').catch(() => undefined); // it ends with the test
    follow(watchB, 'name2').catch(() => undefined);

    const expected: Record<string, unknown[]> = { name1: [], name2: [] };
    const step = async (
      type: string,
      name: string,
      act: () => Promise<CustomObject | undefined>,
    ): Promise<void> => {
      const object = (await act()) ?? { metadata: { name } };
      expected[name]?.push({ type, object });
      await until(() => seen[name]?.length === expected[name]?.length);
      // Nothing of the one is heard by who watches the other.
      expect(seen).toMatchObject(expected);
    };
    for (const name of ['name1', 'name2'])
      await step('ADDED', name, async () => {
        const created = await objects.create({
          apiVersion: 'mygroup.example.com/v1beta1',
          kind: 'WishIHadChosenNoxu',
          metadata: { name },
          content: { key: 'value' },
          num: { num1: Number.MAX_SAFE_INTEGER, num2: 1000000 },
        });
        expect(created.metadata.uid).toBeTruthy();
        expect(created).toMatchObject({
          apiVersion: 'mygroup.example.com/v1beta1',
          kind: 'WishIHadChosenNoxu',
          content: { key: 'value' },
          num: { num1: Number.MAX_SAFE_INTEGER },
        });
        return created;
      });
    for (const name of ['name1', 'name2'])
      await step('MODIFIED', name, () =>
        objects.patch(name, [{ op: 'add', path: '/dummy', value: 'test' }], { type: 'json' }),
      );
    for (const name of ['name1', 'name2'])
      await step('DELETED', name, () => objects.delete(name).then(() => undefined));
    await throughout(200, async () => {
      await Promise.resolve();
      expect(seen).toMatchObject(expected);
    });
    await undefine(suite.client, definition);
  });
});
