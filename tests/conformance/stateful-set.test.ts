import type { autoscalingv1 } from '@k8ts/api';
import { appsv1, corev1, type New } from '@k8ts/api';
import type { ResourceClient } from '@k8ts/client';
import { describe, expect, it } from 'vitest';

import { throughout, until } from '../support/waiting.ts';
import { changing, podOf, podTemplate, useSuite, watch, type Watcher } from './support.ts';

const LABELS = { foo: 'bar', baz: 'blah' };
const SELECTOR = 'foo=bar,baz=blah';
const SERVICE = 'test';
const OLD = 'registry.example/app:1';
const NEW = 'registry.example/app:2';
const REVISION = 'controller-revision-hash';
/** How long nothing must happen, in milliseconds; the controller has seen the change by then. */
const QUIET = 1000;

const probed = {
  name: 'main',
  image: OLD,
  readinessProbe: { httpGet: { path: '/index.html', port: 80 }, periodSeconds: 1, failureThreshold: 1 },
};
/** What moving the probed file away and back does in upstream's pods. */
const behaviour = { exec: { break: { ready: false }, restore: { ready: true } } };

const statefulSetOf = (
  name: string,
  replicas: number,
  spec: Partial<appsv1.StatefulSetSpec> = {},
): New<appsv1.StatefulSet> => ({
  metadata: { name },
  spec: {
    replicas,
    serviceName: SERVICE,
    selector: { matchLabels: LABELS },
    template: podTemplate({ labels: LABELS, behaviour, spec: { containers: [probed] } }),
    ...spec,
  },
});

const isReady = ({ status, metadata }: corev1.Pod): boolean =>
  metadata.deletionTimestamp === undefined &&
  status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true;
const imageOf = ({ spec }: corev1.Pod): string | undefined => spec.containers[0]?.image;
const revisionOf = ({ metadata }: corev1.Pod): string | undefined => metadata.labels?.[REVISION];

describe('stateful sets', () => {
  const suite = useSuite();
  const of = (namespace: string): ResourceClient<appsv1.StatefulSet> =>
    suite.client.resource(appsv1.statefulSets, namespace);
  const podsOf = (namespace: string): ResourceClient<corev1.Pod> =>
    suite.client.resource(corev1.pods, namespace);
  const pods = async (namespace: string): Promise<readonly corev1.Pod[]> =>
    (await podsOf(namespace).list({ labelSelector: SELECTOR })).items;
  /** A namespace with the service that names the pods. */
  const namespaceWithService = async (): Promise<string> => {
    const namespace = await suite.namespace();
    await suite.client.resource(corev1.services, namespace).create({
      metadata: { name: SERVICE },
      spec: { clusterIP: 'None', selector: LABELS, ports: [{ name: 'http', port: 80 }] },
      status: {},
    });
    return namespace;
  };
  const ready = (namespace: string, replicas: number): Promise<void> =>
    until(async () => {
      const all = await pods(namespace);
      return all.length === replicas && all.every(isReady);
    });
  /** The set, once its controller has seen what was last written. */
  const observed = async (
    namespace: string,
    name: string,
    holds: (status: appsv1.StatefulSetStatus) => boolean = () => true,
  ): Promise<appsv1.StatefulSetStatus> => {
    let seen: appsv1.StatefulSetStatus | undefined;
    await until(async () => {
      const { metadata, status } = await of(namespace).get(name);
      seen = status;
      return (
        (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0) &&
        status !== undefined &&
        holds(status)
      );
    });
    return seen as appsv1.StatefulSetStatus;
  };
  const created = async (set: New<appsv1.StatefulSet>): Promise<string> => {
    const namespace = await namespaceWithService();
    await of(namespace).create(set);
    await ready(namespace, set.spec.replicas ?? 1);
    return namespace;
  };
  const scale = (namespace: string, name: string, replicas: number): Promise<unknown> =>
    changing(of(namespace), name, (set) => ({ ...set, spec: { ...set.spec, replicas } }));
  const setImage = (namespace: string, name: string, image: string): Promise<unknown> =>
    of(namespace).patch(
      name,
      { spec: { template: { spec: { containers: [{ name: 'main', image }] } } } },
      { type: 'strategic' },
    );
  /** Runs a command in pods: `break` and `restore` decide what their readiness probes find. */
  const run = async (command: 'break' | 'restore', targets: readonly corev1.Pod[]): Promise<void> => {
    for (const { spec, status } of targets) {
      const { runtimeService } = suite.cluster.nodes.node(spec.nodeName ?? '').runtime;
      const [container] = status?.containerStatuses ?? [];
      const id = container?.containerID?.replace(/^.*:\/\//, '') ?? '';
      expect(await runtimeService.execSync(id, [command], 5)).toMatchObject({ exitCode: 0 });
    }
  };
  const unready = async (namespace: string, name: string, replicas: number): Promise<void> => {
    await run('break', await pods(namespace));
    await until(async () => {
      const all = await pods(namespace);
      return all.length === replicas && all.every((pod) => pod.status?.phase === 'Running' && !isReady(pod));
    });
    await observed(namespace, name, ({ readyReplicas = 0 }) => readyReplicas === 0);
  };
  const staysAt = async (namespace: string, name: string, count: number): Promise<void> => {
    await observed(namespace, name);
    await throughout(QUIET, async () => {
      const all = await pods(namespace);
      expect(all).toHaveLength(count);
      for (const { metadata } of all) expect(metadata.deletionTimestamp).toBeUndefined();
    });
  };
  const watchPods = async (namespace: string): Promise<Watcher<corev1.Pod>> => {
    const { metadata } = await podsOf(namespace).list({ labelSelector: SELECTOR });
    return watch(podsOf(namespace), { labelSelector: SELECTOR, resourceVersion: metadata.resourceVersion });
  };
  /** The names in the next events of this type. */
  const namesOf = async (
    watcher: Watcher<corev1.Pod>,
    type: 'ADDED' | 'DELETED',
    count: number,
  ): Promise<readonly string[]> => {
    const names: string[] = [];
    while (names.length < count) names.push((await watcher.until(type)).metadata.name);
    return names;
  };
  /** By ordinal: image and revision of each pod. */
  const versions = async (namespace: string): Promise<readonly (readonly (string | undefined)[])[]> =>
    (await pods(namespace)).map((pod) => [imageOf(pod), revisionOf(pod)]);

  it('[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should perform rolling updates and roll backs of template modifications [Conformance]', async () => {
    const namespace = await created(statefulSetOf('ss2', 3));
    const first = await observed(namespace, 'ss2', ({ readyReplicas }) => readyReplicas === 3);
    expect(first.currentRevision).toBe(first.updateRevision);
    for (const pod of await pods(namespace)) expect(revisionOf(pod)).toBe(first.currentRevision);
    const revisions: string[] = [first.currentRevision ?? ''];
    for (const image of [NEW, OLD]) {
      // An unready pod holds the update up before it has begun.
      const [, second] = (await pods(namespace)) as [corev1.Pod, corev1.Pod];
      await run('break', [second]);
      await until(async () => !isReady(await podsOf(namespace).get(second.metadata.name)));
      await setImage(namespace, 'ss2', image);
      const { currentRevision, updateRevision = '' } = await observed(namespace, 'ss2');
      expect(currentRevision).toBe(revisions.at(-1));
      expect(updateRevision).not.toBe(currentRevision);
      revisions.push(updateRevision);
      for (const pod of await pods(namespace)) expect(revisionOf(pod)).toBe(currentRevision);
      await using watcher = await watchPods(namespace);
      await run('restore', [second]);
      expect(await namesOf(watcher, 'DELETED', 3)).toEqual(['ss2-2', 'ss2-1', 'ss2-0']);
      await observed(namespace, 'ss2', (status) => status.currentRevision === updateRevision);
      await ready(namespace, 3);
      expect(await versions(namespace)).toEqual(Array(3).fill([image, updateRevision]));
    }
    // Going back makes no new revision: the first one is the latest again.
    expect(revisions[2]).toBe(revisions[0]);
    const { items } = await suite.client.resource(appsv1.controllerRevisions, namespace).list();
    const numbers = new Map(items.map(({ metadata, revision }) => [metadata.name, revision]));
    expect(numbers).toEqual(
      new Map([
        [revisions[0], 3],
        [revisions[1], 2],
      ]),
    );
  });

  it('[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should perform canary updates and phased rolling updates of template modifications [Conformance]', async () => {
    const updateStrategy = { type: 'RollingUpdate', rollingUpdate: { partition: 3 } } as const;
    const namespace = await created(statefulSetOf('ss2', 3, { updateStrategy }));
    const before = await observed(namespace, 'ss2', ({ readyReplicas }) => readyReplicas === 3);
    expect(before.currentRevision).toBe(before.updateRevision);
    await setImage(namespace, 'ss2', NEW);
    const { currentRevision, updateRevision } = await observed(namespace, 'ss2');
    expect(currentRevision).toBe(before.currentRevision);
    expect(updateRevision).not.toBe(currentRevision);
    const split = (partition: number): readonly (readonly (string | undefined)[])[] =>
      [0, 1, 2].map((ordinal) => (ordinal < partition ? [OLD, currentRevision] : [NEW, updateRevision]));
    await staysAt(namespace, 'ss2', 3);
    expect(await versions(namespace)).toEqual(split(3));

    const rolled = async (partition: number): Promise<void> => {
      const change = { spec: { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition } } } };
      await of(namespace).patch('ss2', change, { type: 'strategic' });
      const wanted = JSON.stringify(split(partition));
      await until(async () => JSON.stringify(await versions(namespace)) === wanted);
      await ready(namespace, 3);
    };
    await rolled(2);
    // Pods that are deleted meanwhile come back as what they were.
    for (const name of ['ss2-0', 'ss2-2']) await podsOf(namespace).delete(name, { gracePeriodSeconds: 0 });
    await ready(namespace, 3);
    expect(await versions(namespace)).toEqual(split(2));
    await rolled(1);
    await rolled(0);
    await observed(namespace, 'ss2', (status) => status.currentRevision === updateRevision);
  });

  it('[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Scaling should happen in predictable order and halt if any stateful pod is unhealthy [Slow] [Conformance]', async () => {
    const namespace = await namespaceWithService();
    await using watcher = await watchPods(namespace);
    await of(namespace).create(statefulSetOf('ss', 1));
    await ready(namespace, 1);
    await unready(namespace, 'ss', 1);
    await scale(namespace, 'ss', 3);
    await staysAt(namespace, 'ss', 1);
    await run('restore', await pods(namespace));
    await ready(namespace, 3);
    expect(await namesOf(watcher, 'ADDED', 3)).toEqual(['ss-0', 'ss-1', 'ss-2']);

    await unready(namespace, 'ss', 3);
    await scale(namespace, 'ss', 0);
    await staysAt(namespace, 'ss', 3);
    await run('restore', await pods(namespace));
    expect(await namesOf(watcher, 'DELETED', 3)).toEqual(['ss-2', 'ss-1', 'ss-0']);
    await observed(namespace, 'ss', ({ replicas }) => replicas === 0);
  });

  it('[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Burst scaling should run to completion even with unhealthy pods [Slow] [Conformance]', async () => {
    const namespace = await created(statefulSetOf('ss', 1, { podManagementPolicy: 'Parallel' }));
    await unready(namespace, 'ss', 1);
    await scale(namespace, 'ss', 3);
    await until(async () => (await pods(namespace)).length === 3);
    await staysAt(namespace, 'ss', 3);
    expect(isReady(await podsOf(namespace).get('ss-0'))).toBe(false);
    await run('restore', [await podsOf(namespace).get('ss-0')]);
    await ready(namespace, 3);
    await unready(namespace, 'ss', 3);
    await scale(namespace, 'ss', 0);
    await until(async () => (await pods(namespace)).length === 0);
    await observed(namespace, 'ss', ({ replicas }) => replicas === 0);
  });

  it('[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Should recreate evicted statefulset [Conformance]', async () => {
    const namespace = await namespaceWithService();
    const ports = [{ name: 'conflict', hostPort: 21017, containerPort: 21017 }];
    const spec = { nodeName: 'node-1', containers: [{ ...probed, ports }] };
    await podsOf(namespace).create(
      podOf('test-pod', { spec: { ...spec, containers: [{ name: 'main', image: OLD, ports }] } }),
    );
    await until(async () => (await podsOf(namespace).get('test-pod')).status?.phase === 'Running');
    await using watcher = await watchPods(namespace);
    await of(namespace).create(statefulSetOf('ss', 1, { template: podTemplate({ labels: LABELS, spec }) }));
    // The node refuses it, for its port is taken; so it is made anew.
    const refused = await watcher.until('MODIFIED', ({ status }) => status?.phase === 'Failed');
    expect(refused.metadata.name).toBe('ss-0');
    expect(refused.status?.reason).toBe('NodePorts');
    const deleted = await watcher.until('DELETED');
    expect(deleted.metadata.uid).toBe(refused.metadata.uid);
    await podsOf(namespace).delete('test-pod', { gracePeriodSeconds: 0 });
    await ready(namespace, 1);
    const [pod] = (await pods(namespace)) as [corev1.Pod];
    expect(pod.metadata.name).toBe('ss-0');
    expect(pod.metadata.uid).not.toBe(refused.metadata.uid);
  });

  it('[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should have a working scale subresource [Conformance]', async () => {
    const namespace = await created(statefulSetOf('ss', 1));
    await observed(namespace, 'ss');
    const sets = of(namespace);
    const read = await sets.getSubresource<autoscalingv1.Scale>('ss', 'scale');
    expect(read).toMatchObject({ kind: 'Scale', spec: { replicas: 1 }, status: { replicas: 1 } });
    const { resourceVersion: _, ...metadata } = read.metadata;
    const written = { ...read, metadata, spec: { replicas: 2 } };
    const updated = await sets.updateSubresource<autoscalingv1.Scale>('ss', 'scale', written);
    expect(updated.spec?.replicas).toBe(2);
    expect((await sets.get('ss')).spec.replicas).toBe(2);
    // Go writes a Scale whole, zeros and all.
    const patch = { metadata: {}, spec: { replicas: 4 }, status: { replicas: 0 } };
    await sets.patch('ss', patch, { type: 'strategic', subresource: 'scale' });
    expect((await sets.get('ss')).spec.replicas).toBe(4);
    await ready(namespace, 4);
  });

  it('[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should list, patch and delete a collection of StatefulSets [Conformance]', async () => {
    const namespace = await created(statefulSetOf('test-ss', 1));
    await observed(namespace, 'test-ss');
    const before = await of(namespace).get('test-ss');
    const added = { name: 'test-ss', image: 'registry.example/pause:1' };
    const patched = await of(namespace).patch(
      'test-ss',
      {
        metadata: { labels: { 'test-ss': 'patched' } },
        spec: {
          replicas: 2,
          template: { spec: { terminationGracePeriodSeconds: 1, containers: [added] } },
        },
      },
      { type: 'strategic' },
    );
    expect(BigInt(patched.metadata.resourceVersion ?? '')).toBeGreaterThan(
      BigInt(before.metadata.resourceVersion ?? ''),
    );
    const { spec } = await of(namespace).get('test-ss');
    expect(spec.replicas).toBe(2);
    // A container of another name joins the others, before them.
    expect(spec.template.spec.containers).toMatchObject([added, probed]);
    await ready(namespace, 2);
    await observed(namespace, 'test-ss', ({ updatedReplicas }) => updatedReplicas === 2);
    const labelSelector = 'test-ss=patched';
    const everywhere = suite.client.resource(appsv1.statefulSets);
    expect((await everywhere.list({ labelSelector })).items).toHaveLength(1);
    await of(namespace).deleteCollection({ labelSelector, gracePeriodSeconds: 1 });
    expect((await everywhere.list({ labelSelector })).items).toEqual([]);
  });

  it('[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should validate Statefulset Status endpoints [Conformance]', async () => {
    const labelSelector = 'e2e=testing';
    const { metadata } = await suite.client.resource(appsv1.statefulSets).list({ labelSelector });
    const namespace = await created(statefulSetOf('ss', 1));
    await observed(namespace, 'ss');
    const sets = of(namespace);
    await using watcher = await watch(sets, { labelSelector, resourceVersion: metadata.resourceVersion });
    await sets.patch('ss', { metadata: { labels: { e2e: 'testing' } } }, { type: 'strategic' });
    const has = (type: string) => (set: appsv1.StatefulSet) =>
      set.status?.conditions?.some((condition) => condition.type === type) === true;
    const read = await sets.getSubresource<appsv1.StatefulSet>('ss', 'status');
    expect(read).toMatchObject({ kind: 'StatefulSet', status: { replicas: 1 } });
    const condition = {
      type: 'StatusUpdate',
      status: 'True',
      reason: 'E2E',
      message: 'Set by a test',
    } as const;
    await changing(
      sets,
      'ss',
      (set) => ({ ...set, status: { replicas: 0, ...set.status, conditions: [condition] } }),
      'updateStatus',
    );
    const updated = await watcher.until('MODIFIED', has('StatusUpdate'));
    expect(updated.status?.conditions).toMatchObject([condition]);
    const patched = await sets.patch(
      'ss',
      { status: { conditions: [{ type: 'StatusPatched', status: 'True' }] } },
      { type: 'merge', subresource: 'status' },
    );
    expect(patched.status?.conditions).toMatchObject([{ type: 'StatusPatched' }]);
    await watcher.until('MODIFIED', has('StatusPatched'));
    // What others say stays when the controller writes its counts.
    await scale(namespace, 'ss', 2);
    const { conditions } = await observed(namespace, 'ss', ({ readyReplicas }) => readyReplicas === 2);
    expect(conditions).toMatchObject([{ type: 'StatusPatched' }]);
  });
});
