import { appsv1, corev1, rbacv1, resourceType } from '@k8ts/api';
import type { KubeObject, ResourceType, metav1 } from '@k8ts/api';
import { serviceUnavailable } from '@k8ts/apimachinery';
import { controllerRef } from '@k8ts/client';
import type { FakeApi } from '@k8ts/client/testing';
import { describe, expect, it } from 'vitest';

import { ControllerHarness } from '../testing/controller-harness.ts';
import { garbageCollectorController } from './controller.ts';

const widgets = resourceType<KubeObject>('example.com', 'v1', 'widgets', 'Widget', true);
const serveWidgets = (api: FakeApi): void =>
  api.addResource({ ...widgets, verbs: ['get', 'list', 'watch', 'delete'], subresources: [] });

async function start(prepare: (api: FakeApi) => void = () => undefined): Promise<ControllerHarness> {
  const harness = await ControllerHarness.start([garbageCollectorController], {}, prepare);
  await harness.clock.advance(100);
  return harness;
}

const template = { spec: { containers: [] } };

function add<T extends KubeObject>(
  { api }: ControllerHarness,
  type: ResourceType<T>,
  name: string,
  owners: readonly metav1.OwnerReference[] = [],
  extra: object = {},
): T {
  return api.seed(type, {
    metadata: {
      name,
      ...(type.namespaced ? { namespace: 'default' } : {}),
      ...(owners.length > 0 ? { ownerReferences: owners } : {}),
    },
    ...extra,
  } as unknown as T);
}

const deployment = (harness: ControllerHarness, name = 'web') =>
  add(harness, appsv1.deployments, name, [], { spec: { selector: {}, template } });
const replicaSet = (harness: ControllerHarness, name: string, ...owners: metav1.OwnerReference[]) =>
  add(harness, appsv1.replicaSets, name, owners, { spec: { selector: {} } });
const pod = (harness: ControllerHarness, name: string, ...owners: metav1.OwnerReference[]) =>
  add(harness, corev1.pods, name, owners, { spec: { containers: [] } });

const names = <T extends KubeObject>({ api }: ControllerHarness, type: ResourceType<T>): string[] =>
  api.all(type).map(({ metadata }) => metadata.name);

/** A Deployment with a ReplicaSet with two pods. */
function family(harness: ControllerHarness): appsv1.Deployment {
  const owner = deployment(harness);
  const set = replicaSet(harness, 'web-1', controllerRef(owner, appsv1.deployments));
  pod(harness, 'web-1-a', controllerRef(set, appsv1.replicaSets));
  pod(harness, 'web-1-b', controllerRef(set, appsv1.replicaSets));
  pod(harness, 'bystander');
  return owner;
}

const deployments = ({ api }: ControllerHarness) => api.client.resource(appsv1.deployments, 'default');

describe('garbage collector', () => {
  it('deletes what has lost its owner, all the way down', async () => {
    await using harness = await start();
    family(harness);
    await harness.clock.advance(100);
    await deployments(harness).delete('web', { propagationPolicy: 'Background' });
    expect(names(harness, appsv1.deployments)).toEqual([]);
    await harness.clock.advance(1000);
    expect(names(harness, appsv1.replicaSets)).toEqual([]);
    expect(names(harness, corev1.pods)).toEqual(['bystander']);
  });

  it('lets dependents go free when asked to orphan them', async () => {
    await using harness = await start();
    family(harness);
    await harness.clock.advance(100);
    await deployments(harness).delete('web', { propagationPolicy: 'Orphan' });
    await harness.clock.advance(1000);
    expect(names(harness, appsv1.deployments)).toEqual([]);
    expect(harness.api.peek(appsv1.replicaSets, 'default/web-1')?.metadata.ownerReferences).toBeUndefined();
    expect(names(harness, corev1.pods)).toHaveLength(3);
  });

  it('in the foreground deletes the dependents first, and waits for those that block', async () => {
    await using harness = await start();
    family(harness);
    await harness.api.client
      .resource(corev1.pods, 'default')
      .patch('web-1-a', { metadata: { finalizers: ['example.com/slow'] } }, { type: 'merge' });
    await harness.clock.advance(100);
    await deployments(harness).delete('web', { propagationPolicy: 'Foreground' });
    await harness.clock.advance(10_000);
    expect(names(harness, appsv1.deployments)).toEqual(['web']);
    expect(names(harness, appsv1.replicaSets)).toEqual(['web-1']);
    expect(names(harness, corev1.pods)).toEqual(['bystander', 'web-1-a']);
    await harness.api.client
      .resource(corev1.pods, 'default')
      .patch('web-1-a', { metadata: { finalizers: null } }, { type: 'merge' });
    await harness.clock.advance(10_000);
    expect(names(harness, appsv1.deployments)).toEqual([]);
    expect(names(harness, appsv1.replicaSets)).toEqual([]);
    expect(names(harness, corev1.pods)).toEqual(['bystander']);
  });

  it('in the foreground does not wait for dependents that do not block', async () => {
    await using harness = await start();
    const owner = deployment(harness);
    const set = replicaSet(harness, 'web-1', {
      ...controllerRef(owner, appsv1.deployments),
      blockOwnerDeletion: false,
    });
    await harness.api.client
      .resource(appsv1.replicaSets, 'default')
      .patch(set.metadata.name, { metadata: { finalizers: ['example.com/slow'] } }, { type: 'merge' });
    await harness.clock.advance(100);
    await deployments(harness).delete('web', { propagationPolicy: 'Foreground' });
    await harness.clock.advance(10_000);
    expect(names(harness, appsv1.deployments)).toEqual([]);
    expect(harness.api.peek(appsv1.replicaSets, 'default/web-1')?.metadata.deletionTimestamp).toBeDefined();
  });

  it('stops waiting when a dependent ceases to block', async () => {
    await using harness = await start();
    const owner = deployment(harness);
    const reference = controllerRef(owner, appsv1.deployments);
    replicaSet(harness, 'web-1', reference);
    const sets = harness.api.client.resource(appsv1.replicaSets, 'default');
    await sets.patch('web-1', { metadata: { finalizers: ['example.com/slow'] } }, { type: 'merge' });
    await harness.clock.advance(100);
    await deployments(harness).delete('web', { propagationPolicy: 'Foreground' });
    await harness.clock.advance(5000);
    expect(names(harness, appsv1.deployments)).toEqual(['web']);
    await sets.patch(
      'web-1',
      { metadata: { ownerReferences: [{ ...reference, blockOwnerDeletion: false }] } },
      { type: 'merge' },
    );
    await harness.clock.advance(5000);
    expect(names(harness, appsv1.deployments)).toEqual([]);
  });

  it('keeps what another owner still wants, and only removes the reference', async () => {
    await using harness = await start();
    const [first, second] = [deployment(harness, 'first'), deployment(harness, 'second')];
    const references = [first, second].map((owner) => ({
      ...controllerRef(owner, appsv1.deployments),
      controller: false,
    }));
    replicaSet(harness, 'shared', ...references);
    await harness.clock.advance(100);
    await deployments(harness).delete('first');
    await harness.clock.advance(1000);
    expect(harness.api.peek(appsv1.replicaSets, 'default/shared')?.metadata.ownerReferences).toEqual([
      references[1],
    ]);
    await deployments(harness).delete('second');
    await harness.clock.advance(1000);
    expect(names(harness, appsv1.replicaSets)).toEqual([]);
  });

  it('finds on its start what lost its owner while it did not run', async () => {
    await using harness = await start((api) => {
      const reference = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'gone', uid: 'gone' };
      api.seed(appsv1.replicaSets, {
        metadata: { name: 'left', namespace: 'default', ownerReferences: [reference] },
        spec: { selector: {} },
      });
    });
    await harness.clock.advance(1000);
    expect(names(harness, appsv1.replicaSets)).toEqual([]);
  });

  it('is not deceived by a new object of the same name as the owner', async () => {
    await using harness = await start();
    const owner = deployment(harness);
    replicaSet(harness, 'web-1', controllerRef(owner, appsv1.deployments));
    await harness.clock.advance(100);
    harness.api.pauseWatches();
    await deployments(harness).delete('web');
    await deployments(harness).create({ metadata: { name: 'web' }, spec: { selector: {}, template } });
    harness.api.resumeWatches();
    await harness.clock.advance(1000);
    expect(names(harness, appsv1.deployments)).toEqual(['web']);
    expect(names(harness, appsv1.replicaSets)).toEqual([]);
  });

  it('follows owners and dependents of custom kinds, as they come', async () => {
    await using harness = await start();
    serveWidgets(harness.api);
    const widget = add(harness, widgets, 'w');
    const configMap = add(harness, corev1.configMaps, 'of-widget', [controllerRef(widget, widgets)]);
    await harness.clock.advance(100);
    // The kind is not known yet: not knowing is no reason to delete.
    expect(harness.api.peek(corev1.configMaps, 'default/of-widget')).toBe(configMap);
    await harness.clock.advance(31_000);
    await harness.api.client.resource(widgets, 'default').delete('w');
    await harness.clock.advance(1000);
    expect(names(harness, corev1.configMaps)).toEqual([]);
  });

  it('deletes nothing because the API of an owner does not answer', async () => {
    await using harness = await start((api) => serveWidgets(api));
    const widget = add(harness, widgets, 'w');
    const reference = controllerRef(widget, widgets);
    await harness.clock.advance(100);
    const down = harness.api.intercept(({ path }) => {
      if (path.startsWith('/apis/example.com')) throw serviceUnavailable('down');
      return undefined;
    });
    add(harness, corev1.configMaps, 'a', [reference]);
    add(harness, corev1.configMaps, 'b', [{ ...reference, uid: 'other' }]);
    await harness.clock.advance(120_000);
    expect(names(harness, corev1.configMaps)).toEqual(['a', 'b']);
    down[Symbol.dispose]();
    await harness.clock.advance(2_000_000);
    expect(names(harness, corev1.configMaps)).toEqual(['a']);
  });

  it('opens circles in the foreground', async () => {
    await using harness = await start();
    const [a, b] = [deployment(harness, 'a'), deployment(harness, 'b')];
    const own = async (name: string, owner: appsv1.Deployment): Promise<void> => {
      await deployments(harness).patch(
        name,
        { metadata: { ownerReferences: [controllerRef(owner, appsv1.deployments)] } },
        { type: 'merge' },
      );
    };
    await own('a', b);
    await own('b', a);
    await harness.clock.advance(100);
    await deployments(harness).delete('a', { propagationPolicy: 'Foreground' });
    await harness.clock.advance(60_000);
    expect(names(harness, appsv1.deployments)).toEqual([]);
  });

  it('leaves a cluster-wide object with an owner inside a namespace alone, and says so', async () => {
    await using harness = await start();
    const reference = { apiVersion: 'v1', kind: 'ConfigMap', name: 'gone', uid: 'gone' };
    add(harness, rbacv1.clusterRoles, 'odd', [reference]);
    await harness.clock.advance(10_000);
    expect(names(harness, rbacv1.clusterRoles)).toEqual(['odd']);
    expect(harness.api.all(corev1.events).map(({ reason }) => reason)).toContain('OwnerRefInvalidNamespace');
  });

  it('looks for an owner only in the namespace of its dependent', async () => {
    await using harness = await start();
    const owner = deployment(harness);
    harness.api.seed(appsv1.replicaSets, {
      metadata: {
        name: 'elsewhere',
        namespace: 'other',
        ownerReferences: [controllerRef(owner, appsv1.deployments)],
      },
      spec: { selector: {} },
    });
    await harness.clock.advance(10_000);
    expect(names(harness, appsv1.replicaSets)).toEqual([]);
    expect(names(harness, appsv1.deployments)).toEqual(['web']);
  });

  it('does not delete what got a new owner in the last moment', async () => {
    await using harness = await start();
    const [first, second] = [deployment(harness, 'first'), deployment(harness, 'second')];
    replicaSet(harness, 'rs', controllerRef(first, appsv1.deployments));
    await harness.clock.advance(100);
    const rescue = harness.api.intercept(({ method, path }) => {
      if (method !== 'DELETE' || !path.endsWith('/replicasets/rs')) return undefined;
      rescue[Symbol.dispose]();
      const current = harness.api.peek(appsv1.replicaSets, 'default/rs') as appsv1.ReplicaSet;
      harness.api.seed(appsv1.replicaSets, {
        ...current,
        metadata: { ...current.metadata, ownerReferences: [controllerRef(second, appsv1.deployments)] },
      });
      return undefined;
    });
    await deployments(harness).delete('first');
    await harness.clock.advance(10_000);
    expect(names(harness, appsv1.replicaSets)).toEqual(['rs']);
  });

  it('asks once for the absent owner of many', async () => {
    await using harness = await start();
    const owner = replicaSet(harness, 'rs');
    for (let index = 0; index < 50; index++)
      pod(harness, `p${index}`, controllerRef(owner, appsv1.replicaSets));
    await harness.clock.advance(100);
    harness.api.requests.length = 0;
    await harness.api.client.resource(appsv1.replicaSets, 'default').delete('rs');
    await harness.clock.advance(10_000);
    expect(names(harness, corev1.pods)).toEqual([]);
    expect(
      harness.api.requests.filter(
        (request) => request === 'GET /apis/apps/v1/namespaces/default/replicasets/rs',
      ).length,
    ).toBeLessThan(3);
  });

  it('ceases to watch a kind that is no longer served', async () => {
    await using harness = await start((api) => serveWidgets(api));
    const before = harness.api.watcherCount;
    harness.api.removeResource(widgets);
    await harness.clock.advance(31_000);
    expect(harness.api.watcherCount).toBe(before - 1);
  });
});
