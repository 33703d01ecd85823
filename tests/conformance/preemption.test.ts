import { appsv1, corev1, schedulingv1 } from '@k8ts/api';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { throughout, until } from '../support/waiting.ts';
import { changing, isGone, podOf, replicaSetOf, useSuite, watch, type PodParts } from './support.ts';

/** What the pods fight for; nodes have it only while a test lasts. */
const RESOURCE = 'scheduling.k8s.io/foo';
const CLASSES = { 'low-priority': 1, 'medium-priority': 100, 'high-priority': 1000 };

describe('preemption', () => {
  const suite = useSuite();
  const nodes = () => suite.client.resource(corev1.nodes);
  const classes = () => suite.client.resource(schedulingv1.priorityClasses);
  const podsOf = (namespace: string) => suite.client.resource(corev1.pods, namespace);

  beforeAll(async () => {
    for (const [name, value] of Object.entries(CLASSES))
      await classes().create({ metadata: { name }, value });
  });
  afterAll(async () => {
    for (const name of Object.keys(CLASSES)) await classes().delete(name);
  });
  afterEach(async () => {
    for (const { metadata } of (await nodes().list()).items)
      await provide(metadata.name, RESOURCE, undefined);
  });

  /** Gives a node so much of an extended resource, or takes it away. */
  const provide = async (node: string, resource: string, amount: string | undefined): Promise<void> => {
    const change = (amounts: Readonly<Record<string, string>> = {}): Record<string, string> => {
      const { [resource]: _before, ...others } = amounts;
      return amount === undefined ? others : { ...others, [resource]: amount };
    };
    await changing(
      nodes(),
      node,
      (object) => ({
        ...object,
        status: {
          ...object.status,
          capacity: change(object.status?.capacity),
          allocatable: change(object.status?.allocatable),
        },
      }),
      'updateStatus',
    );
  };
  const parts = (
    priorityClassName: string,
    requests: Record<string, string>,
    spec: object = {},
  ): PodParts => ({
    spec: {
      priorityClassName,
      containers: [
        { name: 'main', image: 'registry.example/pause:1', resources: { requests, limits: requests } },
      ],
      ...spec,
    },
  });
  const onNode = (name: string): Partial<corev1.PodSpec> => ({
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [name] }] }],
        },
      },
    },
  });
  const run = async (namespace: string, name: string, init: PodParts): Promise<corev1.Pod> => {
    await podsOf(namespace).create(podOf(name, init));
    await until(async () => (await podsOf(namespace).get(name)).status?.phase === 'Running');
    return podsOf(namespace).get(name);
  };
  const isTerminating = async (namespace: string, name: string): Promise<boolean> =>
    (await isGone(podsOf(namespace).get(name))) ||
    (await podsOf(namespace).get(name)).metadata.deletionTimestamp !== undefined;

  /** Two thirds of each node are taken, on the first by the pod of low priority. */
  const occupy = async (namespace: string): Promise<readonly string[]> => {
    const names: string[] = [];
    for (const { metadata } of (await nodes().list()).items) {
      await provide(metadata.name, RESOURCE, '3');
      const priority = names.length === 0 ? 'low-priority' : 'medium-priority';
      const name = `pod${names.length}-${priority}`;
      await run(namespace, name, parts(priority, { [RESOURCE]: '2' }, onNode(metadata.name)));
      names.push(name);
    }
    expect(names).toHaveLength(2);
    return names;
  };

  it('[sig-scheduling] SchedulerPreemption [Serial] validates basic preemption works [Conformance]', async () => {
    const namespace = await suite.namespace();
    const [victim = '', ...others] = await occupy(namespace);
    await run(namespace, 'preemptor-pod', parts('high-priority', { [RESOURCE]: '2' }));
    expect(await isTerminating(namespace, victim)).toBe(true);
    for (const other of others) expect(await isTerminating(namespace, other)).toBe(false);
    await podsOf(namespace).deleteCollection({ gracePeriodSeconds: 0 });
  });

  it('[sig-scheduling] SchedulerPreemption [Serial] validates lower priority pod preemption by critical pod [Conformance]', async () => {
    const namespace = await suite.namespace();
    const [victim = '', ...others] = await occupy(namespace);
    await run('kube-system', 'critical-pod', parts('system-cluster-critical', { [RESOURCE]: '2' }));
    expect(await isTerminating(namespace, victim)).toBe(true);
    for (const other of others) expect(await isTerminating(namespace, other)).toBe(false);
    await podsOf('kube-system').delete('critical-pod', { gracePeriodSeconds: 0 });
    await podsOf(namespace).deleteCollection({ gracePeriodSeconds: 0 });
  });

  it('[sig-scheduling] SchedulerPreemption [Serial] validates pod disruption condition is added to the preempted pod [Conformance]', async () => {
    const namespace = await suite.namespace();
    await provide('node-0', RESOURCE, '1');
    const finalizers = ['example.com/test-finalizer'];
    const victim = podOf('victim-pod', parts('low-priority', { [RESOURCE]: '1' }, onNode('node-0')));
    await podsOf(namespace).create({ ...victim, metadata: { ...victim.metadata, finalizers } });
    await until(async () => (await podsOf(namespace).get('victim-pod')).status?.phase === 'Running');
    await podsOf(namespace).create(
      podOf('preemptor-pod', parts('high-priority', { [RESOURCE]: '1' }, onNode('node-0'))),
    );
    await until(() => isTerminating(namespace, 'victim-pod'));
    const { status } = await podsOf(namespace).get('victim-pod');
    expect(status?.conditions?.find(({ type }) => type === 'DisruptionTarget')).toMatchObject({
      status: 'True',
      reason: 'PreemptionByScheduler',
      message: 'default-scheduler: preempting to accommodate a higher priority pod',
    });
    await podsOf(namespace).patch('victim-pod', { metadata: { finalizers: null } }, { type: 'merge' });
    await until(async () => (await podsOf(namespace).get('preemptor-pod')).status?.phase === 'Running');
    await podsOf(namespace).deleteCollection({ gracePeriodSeconds: 0 });
  });

  it('[sig-scheduling] SchedulerPreemption [Serial] PreemptionExecutionPath runs ReplicaSets to verify preemption running path [Conformance]', async () => {
    const namespace = await suite.namespace();
    const fakecpu = 'example.com/fakecpu';
    const priorities = { p1: 1, p2: 2, p3: 3, p4: 4 };
    const { metadata } = await nodes().get('node-1');
    const nodeSelector = { 'kubernetes.io/hostname': metadata.labels?.['kubernetes.io/hostname'] ?? '' };
    await provide('node-1', fakecpu, '1000');
    for (const [name, value] of Object.entries(priorities))
      await classes().create({ metadata: { name }, value });

    const created = { pod1: 0, pod2: 0, pod3: 0 };
    await using watcher = await watch(podsOf(namespace));
    const counting = (async () => {
      for (;;) {
        const { type, object } = await watcher.next();
        const set = object.metadata.labels?.['name'] as keyof typeof created;
        if (type === 'ADDED' && set in created) created[set]++;
      }
    })().catch(() => undefined);

    // 950 of 1,000 are taken.
    const amounts = { pod1: '200', pod2: '300', pod3: '450' };
    const sets = suite.client.resource(appsv1.replicaSets, namespace);
    for (const [index, [name, amount]] of Object.entries(amounts).entries()) {
      const init = parts(`p${index + 1}`, { [fakecpu]: amount }, { nodeSelector });
      await sets.create(replicaSetOf(`rs-${name}`, 1, { ...init, labels: { name } }));
      await until(async () => (await sets.get(`rs-${name}`)).status?.availableReplicas === 1);
    }
    await podsOf(namespace).create(podOf('pod4', parts('p4', { [fakecpu]: '500' }, { nodeSelector })));
    await until(async () => (await podsOf(namespace).get('pod4')).spec.nodeName === 'node-1');

    // The first two lost a pod once, for which they made another; the third lost none. It stays so.
    const expected = { pod1: 2, pod2: 2, pod3: 1 };
    await until(() => JSON.stringify(created) === JSON.stringify(expected));
    await throughout(5_000, () => {
      expect(created).toEqual(expected);
      return Promise.resolve();
    });

    await watcher[Symbol.asyncDispose]();
    await counting;
    for (const name of Object.keys(amounts)) await sets.delete(`rs-${name}`);
    await podsOf(namespace).deleteCollection({ gracePeriodSeconds: 0 });
    for (const name of Object.keys(priorities)) await classes().delete(name);
    await provide('node-1', fakecpu, undefined);
  });
});
