import { corev1, eventsv1, type KubeObject, type metav1, type ResourceType } from '@k8ts/api';
import { startOnVirtualTime, type VirtualCluster } from '@k8ts/cluster/testing';
import type { ResourceClient } from '@k8ts/client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import {
  ANYTHING,
  definitionOf,
  definitionsOf,
  resourceOf,
  versionsOf,
  type CustomObject,
  type Definition,
} from './custom-resources.ts';
import { isGone } from './support.ts';

/** What is true after longer than the garbage collector takes to hear of new kinds stays true. */
const LONG = 120_000;

const WIDGET = definitionOf({
  plural: 'widgets',
  kind: 'Widget',
  versions: versionsOf(ANYTHING, 'v2', 'v1'),
});
const FACTORY = definitionOf({
  plural: 'factories',
  kind: 'Factory',
  scope: 'Cluster',
  versions: versionsOf(ANYTHING, 'v1'),
});
const widgets = resourceOf(WIDGET);
const factories = resourceOf(FACTORY);

function ownedBy(
  type: ResourceType<KubeObject>,
  { metadata }: KubeObject,
  more: Partial<metav1.OwnerReference> = {},
): { readonly ownerReferences: readonly metav1.OwnerReference[] } {
  const apiVersion = type.group === '' ? type.version : `${type.group}/${type.version}`;
  return {
    ownerReferences: [{ apiVersion, kind: type.kind, name: metadata.name, uid: metadata.uid ?? '', ...more }],
  };
}

describe('custom resources on virtual time', () => {
  let virtual: VirtualCluster;
  const of = <T extends KubeObject>(type: ResourceType<T>, namespace = 'default'): ResourceClient<T> =>
    virtual.cluster.client.resource(type, type.namespaced ? namespace : undefined);
  const until = (condition: () => Promise<boolean>): Promise<unknown> =>
    virtual.clock.advanceUntil(condition, LONG);
  const names = async (type: ResourceType<KubeObject>): Promise<readonly string[]> =>
    (await of(type).list()).items
      .map(({ metadata }) => metadata.name)
      .filter((name) => name !== 'kube-root-ca.crt');
  const serve = async (definition: Definition): Promise<void> => {
    await definitionsOf(virtual.cluster.client).create(definition);
    await until(async () => !(await isGone(of(resourceOf(definition)).list())));
  };
  const custom = (
    type: ResourceType<CustomObject>,
    name: string,
    metadata: object = {},
  ): Promise<CustomObject> => of(type).create({ metadata: { name, ...metadata } });
  const config = (name: string, metadata: object = {}): Promise<corev1.ConfigMap> =>
    of(corev1.configMaps).create({ metadata: { name, ...metadata } });

  beforeEach(async () => {
    virtual = await startOnVirtualTime({ nodes: 0 });
    await serve(WIDGET);
    await serve(FACTORY);
  });
  afterEach(() => virtual[Symbol.asyncDispose]());

  describe('the garbage collector', () => {
    it('deletes what custom objects own, and what they are owned by owns', async () => {
      const owner = await config('owner');
      const widget = await custom(widgets, 'widget', ownedBy(corev1.configMaps, owner));
      await custom(widgets, 'part', ownedBy(widgets, widget));
      await config('dependent', ownedBy(widgets, widget));
      // Owners are named in any version that is served.
      await config('other', ownedBy({ ...widgets, version: 'v1' }, widget));
      await custom(widgets, 'bystander');
      await virtual.clock.advance(LONG);
      expect(await names(widgets)).toEqual(['bystander', 'part', 'widget']);
      await of(corev1.configMaps).delete('owner', { propagationPolicy: 'Background' });
      await until(async () => (await names(widgets)).length === 1);
      await until(async () => (await names(corev1.configMaps)).length === 0);
      expect(await names(widgets)).toEqual(['bystander']);
    });

    it('deletes what a cluster-scoped owner owns', async () => {
      const factory = await custom(factories, 'factory');
      await custom(factories, 'branch', ownedBy(factories, factory));
      await custom(widgets, 'widget', ownedBy(factories, factory));
      await config('config', ownedBy(factories, factory));
      await virtual.clock.advance(LONG);
      expect(await names(widgets)).toEqual(['widget']);
      await of(factories).delete('factory');
      await until(async () => (await names(factories)).length === 0);
      await until(async () => (await names(widgets)).length === 0);
      await until(async () => (await names(corev1.configMaps)).length === 0);
    });

    it('leaves cluster-scoped objects alone that name an owner in a namespace', async () => {
      const widget = await custom(widgets, 'widget');
      await custom(factories, 'factory', ownedBy(widgets, widget));
      await virtual.clock.advance(LONG);
      await of(widgets).delete('widget');
      await virtual.clock.advance(LONG);
      expect(await names(factories)).toEqual(['factory']);
      const { items } = await virtual.cluster.client.resource(eventsv1.events).list();
      expect(items.filter(({ reason }) => reason === 'OwnerRefInvalidNamespace')).toMatchObject([
        { regarding: { kind: 'Factory', name: 'factory' } },
      ]);
    });

    it('orphans when it is asked to', async () => {
      const widget = await custom(widgets, 'widget');
      await custom(widgets, 'part', ownedBy(widgets, widget));
      await config('dependent', ownedBy(widgets, widget));
      await virtual.clock.advance(LONG);
      await of(widgets).delete('widget', { propagationPolicy: 'Orphan' });
      await until(() => isGone(of(widgets).get('widget')));
      await virtual.clock.advance(LONG);
      expect((await of(widgets).get('part')).metadata.ownerReferences ?? []).toEqual([]);
      expect((await of(corev1.configMaps).get('dependent')).metadata.ownerReferences ?? []).toEqual([]);
    });

    it('keeps the owner until its dependents are gone, in the foreground', async () => {
      const widget = await custom(widgets, 'widget');
      const blocking = { blockOwnerDeletion: true };
      const finalizers = ['e2e.example.com/hold'];
      await custom(widgets, 'part', { ...ownedBy(widgets, widget, blocking), finalizers });
      await config('dependent', ownedBy(widgets, widget, blocking));
      await virtual.clock.advance(LONG);
      await of(widgets).delete('widget', { propagationPolicy: 'Foreground' });
      await until(() => isGone(of(corev1.configMaps).get('dependent')));
      await virtual.clock.advance(LONG);
      expect((await of(widgets).get('widget')).metadata).toMatchObject({
        deletionTimestamp: expect.any(String) as string,
        finalizers: ['foregroundDeletion'],
      });
      await of(widgets).patch('part', { metadata: { finalizers: null } }, { type: 'merge' });
      await until(async () => (await names(widgets)).length === 0);
    });

    it('follows when a definition takes its objects along', async () => {
      const widget = await custom(widgets, 'widget');
      await config('dependent', ownedBy(widgets, widget));
      await virtual.clock.advance(LONG);
      await definitionsOf(virtual.cluster.client).delete(WIDGET.metadata.name);
      await until(() => isGone(of(corev1.configMaps).get('dependent')));
      await until(() => isGone(of(widgets).list()));
      // A new definition of the same name begins anew.
      await serve(WIDGET);
      expect(await names(widgets)).toEqual([]);
      const again = await custom(widgets, 'widget');
      await config('dependent', ownedBy(widgets, again));
      await virtual.clock.advance(LONG);
      await of(widgets).delete('widget');
      await until(() => isGone(of(corev1.configMaps).get('dependent')));
    });
  });

  describe('a namespace that is deleted', () => {
    const namespaces = (): ResourceClient<corev1.Namespace> => of(corev1.namespaces);
    const inside = (): ResourceClient<CustomObject> => of(widgets, 'doomed');
    beforeEach(async () => {
      await namespaces().create({ metadata: { name: 'doomed' }, spec: {}, status: {} });
    });

    it('takes its custom objects along, in no other namespace', async () => {
      await inside().create({ metadata: { name: 'a' } });
      await custom(widgets, 'safe');
      await custom(factories, 'safe');
      await namespaces().delete('doomed');
      await until(() => isGone(namespaces().get('doomed')));
      expect((await virtual.cluster.client.resource(widgets).list()).items).toMatchObject([
        { metadata: { name: 'safe', namespace: 'default' } },
      ]);
      expect(await names(factories)).toEqual(['safe']);
    });

    it('says which custom objects hold it up, and takes no new ones', async () => {
      await inside().create({ metadata: { name: 'held', finalizers: ['e2e.example.com/hold'] } });
      await namespaces().delete('doomed');
      await expect(inside().create({ metadata: { name: 'late' } })).rejects.toThrow(
        'because it is being terminated',
      );
      await virtual.clock.advance(LONG);
      expect((await namespaces().get('doomed')).status?.conditions).toEqual(
        expect.arrayContaining([
          expect.objectContaining({
            type: 'NamespaceContentRemaining',
            status: 'True',
            message: 'Some resources are remaining: widgets.mygroup.example.com has 1 resource instances',
          }),
          expect.objectContaining({
            type: 'NamespaceFinalizersRemaining',
            status: 'True',
            message: 'Some finalizers are remaining: e2e.example.com/hold in 1 resource instances',
          }),
        ]),
      );
      await inside().patch('held', { metadata: { finalizers: null } }, { type: 'merge' });
      await until(() => isGone(namespaces().get('doomed')));
    });

    it('is gone in spite of a definition that went before', async () => {
      await inside().create({ metadata: { name: 'a' } });
      await Promise.all([
        namespaces().delete('doomed'),
        definitionsOf(virtual.cluster.client).delete(WIDGET.metadata.name),
      ]);
      await until(() => isGone(namespaces().get('doomed')));
      await until(() => isGone(definitionsOf(virtual.cluster.client).get(WIDGET.metadata.name)));
    });
  });
});
