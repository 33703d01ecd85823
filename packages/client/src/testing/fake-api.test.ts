import { appsv1, corev1 } from '@k8ts/api';
import { isAlreadyExists, isConflict, isExpired, isNotFound } from '@k8ts/apimachinery';
import { VirtualClock } from '@k8ts/base';
import { beforeEach, describe, expect, it } from 'vitest';

import type { Client } from '../contract.ts';
import { discoverResources } from '../discovery.ts';
import { FakeApi } from './fake-api.ts';

let api: FakeApi;
let client: Client;
beforeEach(() => {
  api = new FakeApi({ clock: new VirtualClock() });
  client = api.client;
});

const template = { metadata: { name: '', labels: { a: 'b' } }, spec: { containers: [] } };
const replicaSet = (replicas: number): appsv1.ReplicaSet => ({
  metadata: { name: 'web', namespace: 'default' },
  spec: { replicas, selector: { matchLabels: { a: 'b' } }, template },
});

describe('FakeApi', () => {
  it('gives new objects a version, a UID, a generation and a name', async () => {
    const pods = client.resource(corev1.pods, 'default');
    const created = await pods.create({ metadata: { generateName: 'web-' }, spec: { containers: [] } });
    expect(created).toMatchObject({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace: 'default', generation: 1, creationTimestamp: '2026-01-01T00:00:00Z' },
      status: { phase: 'Pending' },
    });
    expect(created.metadata.name).toMatch(/^web-[a-z0-9]{5}$/);
    await expect(pods.create({ ...created, metadata: { name: created.metadata.name } })).rejects.toSatisfy(
      isAlreadyExists,
    );
  });

  it('refuses a write over a newer version, and takes one without a version', async () => {
    const sets = client.resource(appsv1.replicaSets, 'default');
    const old = await sets.create(replicaSet(1));
    const changed = await sets.update({ ...old, spec: { ...old.spec, replicas: 2 } });
    expect(changed.metadata.generation).toBe(2);
    await expect(sets.update(old)).rejects.toSatisfy(isConflict);
    expect((await sets.update(replicaSet(3))).spec.replicas).toBe(3);
    await expect(sets.get('none')).rejects.toSatisfy(isNotFound);
  });

  it('keeps status and spec apart, and gives no new version for no change', async () => {
    const sets = client.resource(appsv1.replicaSets, 'default');
    const created = await sets.create(replicaSet(1));
    const withStatus = await sets.updateStatus({
      ...created,
      spec: { ...created.spec, replicas: 9 },
      status: { replicas: 1 },
    });
    expect(withStatus).toMatchObject({
      spec: { replicas: 1 },
      status: { replicas: 1 },
      metadata: { generation: 1 },
    });
    const again = await sets.update({ ...withStatus, status: { replicas: 5 } });
    expect(again.metadata.resourceVersion).toBe(withStatus.metadata.resourceVersion);
    expect(again.status).toEqual({ replicas: 1 });
  });

  it('holds objects with finalizers until the last one is gone', async () => {
    const maps = client.resource(corev1.configMaps, 'default');
    await maps.create({ metadata: { name: 'a', finalizers: ['x/y'] } });
    await maps.delete('a');
    const marked = await maps.get('a');
    expect(marked.metadata.deletionTimestamp).toBe('2026-01-01T00:00:00Z');
    await maps.update({ ...marked, metadata: { ...marked.metadata, finalizers: [] } });
    await expect(maps.get('a')).rejects.toSatisfy(isNotFound);
  });

  it('deletes under preconditions, and gives bound pods their grace', async () => {
    const pods = client.resource(corev1.pods, 'default');
    const pod = api.seed(corev1.pods, {
      metadata: { name: 'p', namespace: 'default' },
      spec: { containers: [], nodeName: 'n' },
    });
    await expect(pods.delete('p', { preconditions: { uid: 'other' } })).rejects.toSatisfy(isConflict);
    await pods.delete('p', { preconditions: { uid: pod.metadata.uid ?? '' } });
    expect((await pods.get('p')).metadata).toMatchObject({
      deletionTimestamp: '2026-01-01T00:00:30Z',
      deletionGracePeriodSeconds: 30,
    });
    await pods.delete('p', { gracePeriodSeconds: 0 });
    await expect(pods.get('p')).rejects.toSatisfy(isNotFound);
  });

  it('deletes a namespace only after it was finalized', async () => {
    const namespaces = client.resource(corev1.namespaces);
    await namespaces.create({ metadata: { name: 'n' }, spec: {} });
    await namespaces.delete('n');
    const terminating = await namespaces.get('n');
    expect(terminating.status?.phase).toBe('Terminating');
    await namespaces.updateSubresource('n', 'finalize', { ...terminating, spec: { finalizers: [] } });
    await expect(namespaces.get('n')).rejects.toSatisfy(isNotFound);
  });

  it('freezes what it holds', async () => {
    const created = await client.resource(appsv1.replicaSets, 'default').create(replicaSet(1));
    expect(() => ((created.spec as { replicas: number }).replicas = 5)).toThrow(TypeError);
  });

  it('pages, and refuses to resume behind a compaction', async () => {
    for (const name of ['a', 'b', 'c']) api.seed(corev1.configMaps, { metadata: { name, namespace: 'x' } });
    const maps = client.resource(corev1.configMaps);
    const page = await maps.list({ limit: 2 });
    const rest = await maps.list({ limit: 2, continue: page.metadata.continue ?? '' });
    expect([...page.items, ...rest.items].map(({ metadata }) => metadata.name)).toEqual(['a', 'b', 'c']);
    const { resourceVersion } = page.metadata;
    api.seed(corev1.configMaps, { metadata: { name: 'd', namespace: 'x' } });
    api.compact();
    await expect(maps.watch({ resourceVersion })).rejects.toSatisfy(isExpired);
  });

  it('is discovered, custom resources included', async () => {
    api.addResource({
      group: 'example.com',
      version: 'v1',
      resource: 'widgets',
      kind: 'Widget',
      namespaced: true,
      verbs: ['get', 'list', 'watch', 'delete'],
      subresources: [],
    });
    const { resources, failures } = await discoverResources(client);
    const find = (name: string) => resources.find(({ resource }) => resource === name);
    expect(failures.size).toBe(0);
    expect(find('widgets')).toMatchObject({
      group: 'example.com',
      version: 'v1',
      kind: 'Widget',
      preferred: true,
    });
    expect(find('pods')).toMatchObject({ group: '', version: 'v1', namespaced: true });
    expect(resources.some(({ resource }) => resource.includes('/'))).toBe(false);
  });
});
