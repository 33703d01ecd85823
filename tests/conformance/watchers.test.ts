import { corev1, type New } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { refusal, useSuite, watch } from './support.ts';

const configMap = (name: string, label: string): New<corev1.ConfigMap> => ({
  metadata: { name, labels: { 'watch-this-configmap': label } },
});

describe('watches', () => {
  const suite = useSuite({ nodes: 0 });
  const mutate = async (namespace: string, name: string, mutation: string): Promise<corev1.ConfigMap> =>
    suite.client
      .resource(corev1.configMaps, namespace)
      .patch(name, { data: { mutation } }, { type: 'merge' });

  it('[sig-api-machinery] Watchers should observe add, update, and delete watch notifications on configmaps [Conformance]', async () => {
    const namespace = await suite.namespace();
    const configMaps = suite.client.resource(corev1.configMaps, namespace);
    await using a = await watch(configMaps, { labelSelector: 'watch-this-configmap=a' });
    await using b = await watch(configMaps, { labelSelector: 'watch-this-configmap=b' });
    await using both = await watch(configMaps, { labelSelector: 'watch-this-configmap in (a,b)' });

    await configMaps.create(configMap('of-a', 'a'));
    await mutate(namespace, 'of-a', '1');
    await mutate(namespace, 'of-a', '2');
    await configMaps.delete('of-a');
    await configMaps.create(configMap('of-b', 'b'));
    await configMaps.delete('of-b');

    const ofA = [
      { type: 'ADDED', object: { metadata: { name: 'of-a' } } },
      { type: 'MODIFIED', object: { metadata: { name: 'of-a' }, data: { mutation: '1' } } },
      { type: 'MODIFIED', object: { metadata: { name: 'of-a' }, data: { mutation: '2' } } },
      { type: 'DELETED', object: { metadata: { name: 'of-a' }, data: { mutation: '2' } } },
    ];
    const ofB = [
      { type: 'ADDED', object: { metadata: { name: 'of-b' } } },
      { type: 'DELETED', object: { metadata: { name: 'of-b' } } },
    ];
    for (const event of ofA) expect(await a.next()).toMatchObject(event);
    for (const event of ofB) expect(await b.next()).toMatchObject(event);
    for (const event of [...ofA, ...ofB]) expect(await both.next()).toMatchObject(event);
  });

  it('[sig-api-machinery] Watchers should be able to start watching from a specific resource version [Conformance]', async () => {
    const namespace = await suite.namespace();
    const configMaps = suite.client.resource(corev1.configMaps, namespace);
    await configMaps.create(configMap('c', 'from-version'));
    const first = await mutate(namespace, 'c', '1');
    await mutate(namespace, 'c', '2');
    await configMaps.delete('c');
    const { resourceVersion } = first.metadata;
    await using watcher = await watch(configMaps, {
      labelSelector: 'watch-this-configmap=from-version',
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    });
    expect(await watcher.next()).toMatchObject({ type: 'MODIFIED', object: { data: { mutation: '2' } } });
    expect(await watcher.next()).toMatchObject({ type: 'DELETED', object: { data: { mutation: '2' } } });
  });

  it('[sig-api-machinery] Watchers should be able to restart watching from the last resource version observed by the previous watch [Conformance]', async () => {
    const namespace = await suite.namespace();
    const configMaps = suite.client.resource(corev1.configMaps, namespace);
    const labelSelector = 'watch-this-configmap=restarted';
    const first = await watch(configMaps, { labelSelector });
    await configMaps.create(configMap('c', 'restarted'));
    await mutate(namespace, 'c', '1');
    await first.until('ADDED');
    const { metadata } = await first.until('MODIFIED');
    await first[Symbol.asyncDispose]();

    await mutate(namespace, 'c', '2');
    await configMaps.delete('c');
    await using second = await watch(configMaps, {
      labelSelector,
      resourceVersion: metadata.resourceVersion ?? '',
    });
    expect(await second.next()).toMatchObject({ type: 'MODIFIED', object: { data: { mutation: '2' } } });
    expect(await second.next()).toMatchObject({ type: 'DELETED' });
  });

  it('[sig-api-machinery] Watchers should observe an object deletion if it stops meeting the requirements of the selector [Conformance]', async () => {
    const namespace = await suite.namespace();
    const configMaps = suite.client.resource(corev1.configMaps, namespace);
    const relabel = (value: string): Promise<unknown> =>
      configMaps.patch('c', { metadata: { labels: { 'watch-this-configmap': value } } }, { type: 'merge' });
    await using watcher = await watch(configMaps, { labelSelector: 'watch-this-configmap=wanted' });
    await configMaps.create(configMap('c', 'wanted'));
    await mutate(namespace, 'c', '1');
    await relabel('unwanted');
    await mutate(namespace, 'c', 'unseen');
    await relabel('wanted');
    await mutate(namespace, 'c', '3');
    await configMaps.delete('c');

    const events = [
      ['ADDED', undefined],
      ['MODIFIED', '1'],
      ['DELETED', '1'],
      ['ADDED', 'unseen'],
      ['MODIFIED', '3'],
      ['DELETED', '3'],
    ];
    for (const [type, mutation] of events) {
      const event = await watcher.next();
      expect([event.type, event.object.data?.['mutation']]).toEqual([type, mutation]);
    }
  });

  it('[sig-api-machinery] Watchers should receive events on concurrent watches in same order [Conformance]', async () => {
    const namespace = await suite.namespace();
    const configMaps = suite.client.resource(corev1.configMaps, namespace);
    const { metadata } = await configMaps.list();
    await using everything = await watch(configMaps, { resourceVersion: metadata.resourceVersion });
    const writes = Array.from({ length: 5 }, async (_, writer) => {
      const name = `writer-${writer}`;
      await configMaps.create(configMap(name, 'order'));
      for (let round = 0; round < 10; round++) {
        await mutate(namespace, name, String(round));
        if (round % 5 === 4) {
          await configMaps.delete(name);
          await configMaps.create(configMap(name, 'order'));
        }
      }
    });
    await Promise.all(writes);
    const versions: string[] = [];
    for (let event = 0; event < 5 * 15; event++)
      versions.push((await everything.next()).object.metadata.resourceVersion ?? '');
    expect(versions.map(Number)).toEqual(versions.map(Number).sort((a, b) => a - b));

    // A watch from the middle sees the same events in the same order from there on.
    for (const start of [0, 7, 30, 60]) {
      await using later = await watch(configMaps, { resourceVersion: versions[start] ?? '' });
      for (const version of versions.slice(start + 1))
        expect((await later.next()).object.metadata.resourceVersion).toBe(version);
    }
  });

  it('is refused for a version that is not one', async () => {
    expect(await refusal(watch(suite.client.resource(corev1.pods), { resourceVersion: 'x' }))).toMatchObject({
      code: 400,
    });
  });
});
