import { appsv1, corev1, resourceType } from '@k8ts/api';
import type { KubeObject } from '@k8ts/api';
import { serviceUnavailable } from '@k8ts/apimachinery';
import { describe, expect, it } from 'vitest';

import { ControllerHarness } from '../testing/controller-harness.ts';
import { namespaceController } from './controller.ts';

const widgets = resourceType<KubeObject>('example.com', 'v1', 'widgets', 'Widget', true);

async function start(): Promise<ControllerHarness> {
  const harness = await ControllerHarness.start([namespaceController], {}, (api) => {
    api.addResource({ ...widgets, verbs: ['get', 'list', 'watch', 'delete'], subresources: [] });
  });
  const { client } = harness.api;
  await client.resource(corev1.namespaces).create({ metadata: { name: 'doomed' }, spec: {} });
  await client.resource(corev1.configMaps, 'doomed').create({ metadata: { name: 'a' } });
  await client.resource(corev1.configMaps, 'safe').create({ metadata: { name: 'a' } });
  await client.resource(widgets, 'doomed').create({ metadata: { name: 'w' } });
  return harness;
}

const conditions = ({ api }: ControllerHarness) =>
  Object.fromEntries(
    (api.peek(corev1.namespaces, 'doomed')?.status?.conditions ?? []).map(({ type, status, message }) => [
      type,
      `${status}: ${message ?? ''}`,
    ]),
  );

describe('namespace controller', () => {
  it('deletes everything in a namespace, custom kinds too, and then the namespace', async () => {
    await using harness = await start();
    await harness.api.client.resource(corev1.namespaces).delete('doomed');
    await harness.clock.advance(4000);
    expect(harness.api.all(widgets)).toHaveLength(1); // what is on its way may still arrive
    await harness.clock.advance(30_000);
    expect(harness.api.peek(corev1.namespaces, 'doomed')).toBeUndefined();
    expect(harness.api.all(widgets)).toEqual([]);
    expect(harness.api.all(corev1.configMaps).map(({ metadata }) => metadata.namespace)).toEqual(['safe']);
  });

  it('lets pods stop before it takes away what they use', async () => {
    await using harness = await start();
    harness.api.seed(corev1.pods, {
      metadata: { name: 'p', namespace: 'doomed' },
      spec: { containers: [], nodeName: 'n', terminationGracePeriodSeconds: 20 },
    });
    await harness.api.client.resource(corev1.namespaces).delete('doomed');
    await harness.clock.advance(15_000);
    expect(harness.api.peek(corev1.pods, 'doomed/p')?.metadata.deletionTimestamp).toBeDefined();
    expect(harness.api.peek(corev1.configMaps, 'doomed/a')).toBeDefined();
    expect(conditions(harness)).toEqual({
      NamespaceDeletionDiscoveryFailure: 'False: All resources successfully discovered',
      NamespaceDeletionGroupVersionParsingFailure: 'False: All legacy kube types successfully parsed',
      NamespaceDeletionContentFailure:
        'False: All content successfully deleted, may be waiting on finalization',
      NamespaceContentRemaining: 'True: Some resources are remaining: pods. has 1 resource instances',
      NamespaceFinalizersRemaining: 'False: All content successfully removed',
    });
    await harness.api.client.resource(corev1.pods, 'doomed').delete('p', { gracePeriodSeconds: 0 });
    await harness.clock.advance(30_000);
    expect(harness.api.peek(corev1.namespaces, 'doomed')).toBeUndefined();
    expect(harness.api.peek(corev1.configMaps, 'doomed/a')).toBeUndefined();
  });

  it('says what holds it up, and goes on when that is gone', async () => {
    await using harness = await start();
    const maps = harness.api.client.resource(corev1.configMaps, 'doomed');
    await maps.patch('a', { metadata: { finalizers: ['example.com/hold'] } }, { type: 'merge' });
    await harness.api.client.resource(corev1.namespaces).delete('doomed');
    await harness.clock.advance(60_000);
    expect(conditions(harness)).toMatchObject({
      NamespaceContentRemaining: 'True: Some resources are remaining: configmaps. has 1 resource instances',
      NamespaceFinalizersRemaining:
        'True: Some finalizers are remaining: example.com/hold in 1 resource instances',
    });
    await maps.patch('a', { metadata: { finalizers: null } }, { type: 'merge' });
    await harness.clock.advance(60_000);
    expect(harness.api.peek(corev1.namespaces, 'doomed')).toBeUndefined();
  });

  it('does not finish while part of the API cannot be asked', async () => {
    await using harness = await start();
    const down = harness.api.intercept(({ path }) => {
      if (path === '/apis/example.com/v1') throw serviceUnavailable('the aggregated API is down');
      return undefined;
    });
    await harness.api.client.resource(corev1.namespaces).delete('doomed');
    await harness.clock.advance(60_000);
    expect(conditions(harness)['NamespaceDeletionDiscoveryFailure']).toMatch(
      /^True: Discovery failed for some groups, 1 failing/,
    );
    expect(harness.api.peek(corev1.configMaps, 'doomed/a')).toBeUndefined();
    down[Symbol.dispose]();
    await harness.clock.advance(300_000);
    expect(harness.api.peek(corev1.namespaces, 'doomed')).toBeUndefined();
    expect(harness.api.all(widgets)).toEqual([]);
  });

  it('leaves a namespace alone that somebody else still finalizes', async () => {
    await using harness = await start();
    harness.api.seed(corev1.namespaces, {
      metadata: { name: 'theirs', deletionTimestamp: '2026-01-01T00:00:00Z' },
      spec: { finalizers: ['example.com/theirs'] },
      status: { phase: 'Terminating' },
    });
    await harness.clock.advance(60_000);
    expect(harness.api.requests.some((request) => request.includes('/namespaces/theirs'))).toBe(false);
    expect(harness.api.all(appsv1.deployments)).toEqual([]);
  });
});
