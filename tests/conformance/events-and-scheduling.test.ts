import { corev1, eventsv1, type New } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { until } from '../support/waiting.ts';
import { checkApiOperations } from './api-operations.ts';
import { isGone, podOf, useSuite } from './support.ts';

describe('events', () => {
  const suite = useSuite({ nodes: 0 });
  const coreEvent = (name: string, namespace: string): New<corev1.Event> => ({
    metadata: { name, labels: { 'testevent-constant': 'true' } },
    message: 'This is a test event',
    reason: 'Test',
    type: 'Normal',
    count: 1,
    involvedObject: { namespace },
  });
  const newEvent = (name: string, namespace: string): New<eventsv1.Event> => ({
    metadata: { name, labels: { 'testevent-set': 'true' } },
    eventTime: '2026-01-01T00:00:00.000001Z',
    note: 'This is a test event',
    reason: 'Test',
    action: 'Do',
    type: 'Normal',
    reportingController: 'test-controller',
    reportingInstance: 'test-node',
    regarding: { namespace },
  });

  it('[sig-instrumentation] Events should manage the lifecycle of an event [Conformance]', async () => {
    const namespace = await suite.namespace();
    const events = suite.client.resource(corev1.events, namespace);
    const created = await events.create(coreEvent('event-test', namespace));
    const { items } = await suite.client
      .resource(corev1.events)
      .list({ labelSelector: 'testevent-constant=true' });
    expect(items.map(({ metadata }) => metadata.name)).toEqual(['event-test']);
    await events.patch('event-test', { message: 'This is a test event - patched' }, { type: 'strategic' });
    expect((await events.get('event-test')).message).toBe('This is a test event - patched');
    const read = await events.get('event-test');
    const series = { count: 100, lastObservedTime: '2026-01-01T00:00:00.000000Z' };
    await events.update({ ...read, series });
    expect((await events.get('event-test')).series).toEqual(series);
    expect(created.metadata.uid).toBe(read.metadata.uid);
    await events.delete('event-test');
    expect(await isGone(events.get('event-test'))).toBe(true);
  });

  it('[sig-instrumentation] Events should delete a collection of events [Conformance]', async () => {
    const namespace = await suite.namespace();
    const events = suite.client.resource(corev1.events, namespace);
    for (const name of ['one', 'two', 'three']) await events.create(coreEvent(name, namespace));
    await events.deleteCollection({ labelSelector: 'testevent-constant=true' });
    expect((await events.list({ labelSelector: 'testevent-constant=true' })).items).toEqual([]);
  });

  it('[sig-instrumentation] Events API should ensure that an event can be fetched, patched, deleted, and listed [Conformance]', async () => {
    const namespace = await suite.namespace();
    const events = suite.client.resource(eventsv1.events, namespace);
    await events.create(newEvent('event-test', namespace));
    const everywhere = await suite.client
      .resource(eventsv1.events)
      .list({ labelSelector: 'testevent-set=true' });
    expect(everywhere.items.map(({ metadata }) => metadata.name)).toContain('event-test');
    // The older API shows the same event.
    expect(await suite.client.resource(corev1.events, namespace).get('event-test')).toMatchObject({
      message: 'This is a test event',
      involvedObject: { namespace },
      reportingComponent: 'test-controller',
    });
    const series = { count: 2, lastObservedTime: '2026-01-01T00:00:00.000005Z' };
    await events.patch('event-test', { series }, { type: 'strategic' });
    expect((await events.get('event-test')).series).toEqual(series);
    const read = await events.get('event-test');
    const next = { count: 100, lastObservedTime: '2026-01-01T00:00:00.000007Z' };
    await events.update({ ...read, series: next });
    expect((await events.get('event-test')).series).toEqual(next);
    await events.delete('event-test');
    expect(await isGone(events.get('event-test'))).toBe(true);
  });

  it('[sig-instrumentation] Events API should delete a collection of events [Conformance]', async () => {
    const namespace = await suite.namespace();
    const events = suite.client.resource(eventsv1.events, namespace);
    for (const name of ['one', 'two', 'three']) await events.create(newEvent(name, namespace));
    await events.deleteCollection({ labelSelector: 'testevent-set=true' });
    expect((await events.list({ labelSelector: 'testevent-set=true' })).items).toEqual([]);
  });
});

describe('scheduling', () => {
  const suite = useSuite();
  const podsOf = (namespace: string) => suite.client.resource(corev1.pods, namespace);
  const create = (namespace: string, name: string, spec: object): Promise<corev1.Pod> =>
    podsOf(namespace).create(podOf(name, { spec: spec }));
  const running = (namespace: string, name: string): Promise<void> =>
    until(async () => (await podsOf(namespace).get(name)).status?.phase === 'Running');
  /** The scheduler's reason, once it has given the pod up for now. */
  const unschedulable = async (namespace: string, name: string): Promise<string> => {
    let message = '';
    await until(async () => {
      const { status } = await podsOf(namespace).get(name);
      const condition = (status?.conditions ?? []).find(({ type }) => type === 'PodScheduled');
      message = condition?.message ?? '';
      return condition?.reason === 'Unschedulable';
    });
    return message;
  };
  const container = (more: object): object => ({ containers: [{ name: 'c', image: 'x', ...more }] });

  it('[sig-scheduling] SchedulerPredicates [Serial] validates that NodeSelector is respected if not matching [Conformance]', async () => {
    const namespace = await suite.namespace();
    await create(namespace, 'restricted', { nodeSelector: { label: 'nonempty' } });
    expect(await unschedulable(namespace, 'restricted')).toMatch(
      /^0\/2 nodes are available: 2 node\(s\) didn't match Pod's node affinity\/selector\./,
    );
  });

  it('[sig-scheduling] SchedulerPredicates [Serial] validates that NodeSelector is respected if matching [Conformance]', async () => {
    const namespace = await suite.namespace();
    const nodes = suite.client.resource(corev1.nodes);
    await nodes.patch('node-1', { metadata: { labels: { 'e2e/chosen': '42' } } }, { type: 'merge' });
    await create(namespace, 'with-labels', { nodeSelector: { 'e2e/chosen': '42' } });
    await running(namespace, 'with-labels');
    expect((await podsOf(namespace).get('with-labels')).spec?.nodeName).toBe('node-1');
    await nodes.patch('node-1', { metadata: { labels: { 'e2e/chosen': null } } }, { type: 'merge' });
  });

  it('[sig-scheduling] SchedulerPredicates [Serial] validates resource limits of pods that are allowed to run [Conformance]', async () => {
    const namespace = await suite.namespace();
    const nodes = (await suite.client.resource(corev1.nodes).list()).items;
    // Pods that together take most of every node's processors …
    for (const [index, { metadata, status }] of nodes.entries()) {
      const millis = Math.floor(milliCpu(status?.allocatable?.['cpu']) * 0.7);
      const requests = { cpu: `${millis}m` };
      await create(namespace, `filler-${index}`, {
        ...container({ resources: { requests, limits: requests } }),
        nodeSelector: { 'kubernetes.io/hostname': metadata.name },
      });
      await running(namespace, `filler-${index}`);
    }
    // … leave no place for another that wants half of one.
    const half = `${Math.floor(milliCpu(nodes[0]?.status?.allocatable?.['cpu']) * 0.5)}m`;
    await create(
      namespace,
      'additional',
      container({ resources: { requests: { cpu: half }, limits: { cpu: half } } }),
    );
    expect(await unschedulable(namespace, 'additional')).toMatch(
      /^0\/2 nodes are available: 2 Insufficient cpu\./,
    );
    await podsOf(namespace).delete('filler-0', { gracePeriodSeconds: 0 });
    await running(namespace, 'additional');
    await podsOf(namespace).deleteCollection({ gracePeriodSeconds: 0 });
  });

  it('[sig-scheduling] SchedulerPredicates [Serial] validates that there exists conflict between pods with same hostPort and protocol but one using 0.0.0.0 hostIP [Conformance]', async () => {
    const namespace = await suite.namespace();
    const onNode0 = { nodeSelector: { 'kubernetes.io/hostname': 'node-0' } };
    const port = (hostIP?: string): object => ({
      ports: [
        {
          containerPort: 8080,
          hostPort: 54_322,
          protocol: 'TCP',
          ...(hostIP === undefined ? {} : { hostIP }),
        },
      ],
    });
    await create(namespace, 'pod4', { ...container(port()), ...onNode0 });
    await running(namespace, 'pod4');
    await create(namespace, 'pod5', { ...container(port('127.0.0.1')), ...onNode0 });
    expect(await unschedulable(namespace, 'pod5')).toContain(
      "didn't have free ports for the requested pod ports",
    );
  });

  it('[sig-scheduling] LimitRange should list, patch and delete a LimitRange by collection [Conformance]', () =>
    checkApiOperations(suite, {
      type: corev1.limitRanges,
      example: () => ({
        spec: { limits: [{ type: 'Container', default: { cpu: '500m' }, defaultRequest: { cpu: '50m' } }] },
      }),
    }));

  it('[sig-node] NoExecuteTaintManager Single Pod [Serial] removing taint cancels eviction [Disruptive] [Conformance]', async () => {
    const namespace = await suite.namespace();
    const pods = podsOf(namespace);
    const nodes = suite.client.resource(corev1.nodes);
    const key = 'kubernetes.io/e2e-evict-taint-key';
    const toleration = { key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 2 };
    await create(namespace, 'tolerating', { nodeName: 'node-0', tolerations: [toleration] });
    await running(namespace, 'tolerating');
    await nodes.patch(
      'node-0',
      { spec: { taints: [{ key, value: 'evict', effect: 'NoExecute' }] } },
      { type: 'strategic' },
    );
    await new Promise((resolve) => setTimeout(resolve, 500));
    await nodes.patch('node-0', { spec: { taints: null } }, { type: 'merge' });
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect((await pods.get('tolerating')).metadata.deletionTimestamp).toBeUndefined();
  });

  it('[sig-node] NoExecuteTaintManager Multiple Pods [Serial] evicts pods with minTolerationSeconds [Disruptive] [Conformance]', async () => {
    const namespace = await suite.namespace();
    const pods = podsOf(namespace);
    const nodes = suite.client.resource(corev1.nodes);
    const key = 'kubernetes.io/e2e-evict-taint-key';
    const toleration = (tolerationSeconds: number): object => ({
      key,
      operator: 'Exists',
      effect: 'NoExecute',
      tolerationSeconds,
    });
    await create(namespace, 'soon', { nodeName: 'node-0', tolerations: [toleration(1)] });
    await create(namespace, 'later', { nodeName: 'node-0', tolerations: [toleration(3)] });
    await running(namespace, 'soon');
    await running(namespace, 'later');
    await nodes.patch(
      'node-0',
      { spec: { taints: [{ key, value: 'evict', effect: 'NoExecute' }] } },
      { type: 'strategic' },
    );
    await until(() => isGone(pods.get('soon')));
    expect((await pods.get('later')).metadata.deletionTimestamp).toBeUndefined();
    await until(() => isGone(pods.get('later')));
    await nodes.patch('node-0', { spec: { taints: null } }, { type: 'merge' });
  });

  it('[sig-storage] PersistentVolumes CSI Conformance should run through the lifecycle of a PV and a PVC [Conformance]', async () => {
    await checkApiOperations(suite, {
      type: corev1.persistentVolumes,
      example: () => ({
        spec: {
          capacity: { storage: '2Gi' },
          accessModes: ['ReadWriteOnce'],
          storageClassName: 'none',
          csi: { driver: 'example.org', volumeHandle: 'handle' },
        },
      }),
    });
    await checkApiOperations(suite, {
      type: corev1.persistentVolumeClaims,
      example: () => ({
        spec: {
          accessModes: ['ReadWriteOnce'],
          storageClassName: 'none',
          resources: { requests: { storage: '1Gi' } },
        },
      }),
    });
  });
});

function milliCpu(quantity: string | undefined): number {
  const text = quantity ?? '0';
  return text.endsWith('m') ? Number(text.slice(0, -1)) : Number(text) * 1_000;
}
