import { appsv1, corev1, type New } from '@k8ts/api';
import type { ResourceClient } from '@k8ts/client';
import { describe, expect, it } from 'vitest';

import { until } from '../support/waiting.ts';
import { changing, isGone, podTemplate, useSuite, watch } from './support.ts';

const NAME = 'daemon-set';
const LABELS = { 'daemonset-name': NAME };
const SELECTOR = `daemonset-name=${NAME}`;
const COLOR = 'daemonset-color';
const REVISION_HASH = 'controller-revision-hash';
const NODES = ['node-0', 'node-1'];
const IMAGE = 'registry.example/app:1';
const MISSING_IMAGE = 'registry.example/missing:1';

const daemonSetOf = (labels?: Readonly<Record<string, string>>): New<appsv1.DaemonSet> => ({
  metadata: { name: NAME, ...(labels === undefined ? {} : { labels }) },
  spec: { selector: { matchLabels: LABELS }, template: podTemplate({ labels: LABELS }) },
});

const isReady = ({ status }: corev1.Pod): boolean =>
  status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true;
const imageOf = ({ spec }: corev1.Pod): string | undefined => spec.containers[0]?.image;
const hashOf = ({ metadata }: corev1.Pod | appsv1.ControllerRevision): string | undefined =>
  metadata.labels?.[REVISION_HASH];
const imagePatch = (image: string): object => ({
  spec: { template: { spec: { containers: [{ name: 'main', image }] } } },
});

describe('daemon sets', () => {
  const suite = useSuite({
    nodes: NODES.length,
    simulation: { images: { stateOf: (image) => (image === MISSING_IMAGE ? 'missing' : 'present') } },
  });
  const of = (namespace: string): ResourceClient<appsv1.DaemonSet> =>
    suite.client.resource(appsv1.daemonSets, namespace);
  /** Those that neither failed nor are on their way out. */
  const pods = async (namespace: string): Promise<readonly corev1.Pod[]> => {
    const fieldSelector = 'status.phase!=Failed,status.phase!=Succeeded';
    const { items } = await suite.client
      .resource(corev1.pods, namespace)
      .list({ labelSelector: SELECTOR, fieldSelector });
    return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  };
  const readyNodes = async (namespace: string): Promise<readonly (string | undefined)[]> =>
    (await pods(namespace))
      .filter(isReady)
      .map(({ spec }) => spec.nodeName)
      .sort();
  /** One ready pod on each of these nodes, none on another, and the status says so. */
  const runsOn = async (namespace: string, nodes: readonly string[]): Promise<void> => {
    await until(async () => (await readyNodes(namespace)).join() === nodes.join());
    await until(async () => {
      const { status } = await of(namespace).get(NAME);
      return (
        status?.desiredNumberScheduled === nodes.length &&
        status.currentNumberScheduled === nodes.length &&
        status.numberReady === nodes.length
      );
    });
  };
  const created = async (labels?: Readonly<Record<string, string>>): Promise<string> => {
    const namespace = await suite.namespace();
    const { metadata } = await of(namespace).create(daemonSetOf(labels));
    await runsOn(namespace, NODES);
    for (const { metadata: pod } of await pods(namespace))
      expect(pod.ownerReferences).toMatchObject([{ kind: 'DaemonSet', uid: metadata.uid, controller: true }]);
    return namespace;
  };
  /** The present revision, after `count` templates; all pods are of it. */
  const currentRevision = async (namespace: string, count: number): Promise<appsv1.ControllerRevision> => {
    const revisions = suite.client.resource(appsv1.controllerRevisions, namespace);
    await until(async () => (await revisions.list({ labelSelector: SELECTOR })).items.length === count);
    const { items } = await revisions.list({ labelSelector: SELECTOR });
    for (const revision of items) expect(hashOf(revision)).toMatch(/./);
    const { spec } = await of(namespace).get(NAME);
    const image = spec.template.spec.containers[0]?.image;
    const current = items.filter(({ data }) => JSON.stringify(data).includes(`"image":"${image ?? ''}"`));
    expect(current).toHaveLength(1);
    const [revision] = current as [appsv1.ControllerRevision];
    for (const pod of await pods(namespace)) expect(hashOf(pod)).toBe(hashOf(revision));
    return revision;
  };
  /** All nodes have a pod of this image; meanwhile never more than one pod is unavailable. */
  const rolledTo = (namespace: string, image: string): Promise<void> =>
    until(async () => {
      const all = await pods(namespace);
      expect(all.filter((pod) => !isReady(pod)).length).toBeLessThanOrEqual(1);
      const updated = all.filter((pod) => imageOf(pod) === image).map(({ spec }) => spec.nodeName);
      return NODES.every((node) => updated.includes(node));
    });

  it('[sig-apps] Daemon set [Serial] should run and stop simple daemon [Conformance]', async () => {
    const namespace = await created();
    const [stopped] = (await pods(namespace)) as [corev1.Pod];
    await suite.client.resource(corev1.pods, namespace).delete(stopped.metadata.name);
    await runsOn(namespace, NODES);
    const names = (await pods(namespace)).map(({ metadata }) => metadata.name);
    expect(names).not.toContain(stopped.metadata.name);
  });

  it('[sig-apps] Daemon set [Serial] should run and stop complex daemon [Conformance]', async () => {
    const namespace = await suite.namespace();
    const daemonSets = of(namespace);
    const color = (value: string | null): Promise<corev1.Node> =>
      suite.client
        .resource(corev1.nodes)
        .patch('node-1', { metadata: { labels: { [COLOR]: value } } }, { type: 'merge' });
    const blue = podTemplate({ labels: LABELS, spec: { nodeSelector: { [COLOR]: 'blue' } } });
    const wanted = daemonSetOf();
    await daemonSets.create({ ...wanted, spec: { ...wanted.spec, template: blue } });
    await until(async () => ((await daemonSets.get(NAME)).status?.observedGeneration ?? 0) === 1);
    expect(await pods(namespace)).toEqual([]);
    await color('blue');
    await runsOn(namespace, ['node-1']);
    await color('green');
    await until(async () => (await pods(namespace)).length === 0);
    await daemonSets.patch(
      NAME,
      {
        spec: {
          template: { spec: { nodeSelector: { [COLOR]: 'green' } } },
          updateStrategy: { type: 'RollingUpdate' },
        },
      },
      { type: 'strategic' },
    );
    await runsOn(namespace, ['node-1']);
    await color(null);
    await until(async () => (await pods(namespace)).length === 0);
  });

  it('[sig-apps] Daemon set [Serial] should retry creating failed daemon pods [Conformance]', async () => {
    const namespace = await created();
    const api = suite.client.resource(corev1.pods, namespace);
    const [failed] = (await pods(namespace)) as [corev1.Pod];
    const { resourceVersion: _, ...metadata } = failed.metadata;
    await api.updateStatus({ ...failed, metadata, status: { ...failed.status, phase: 'Failed' } });
    await until(() => isGone(api.get(failed.metadata.name)));
    await runsOn(namespace, NODES);
  });

  it('[sig-apps] Daemon set [Serial] should update pod when spec was updated and update strategy is RollingUpdate [Conformance]', async () => {
    const namespace = await created();
    expect((await currentRevision(namespace, 1)).revision).toBe(1);
    const before = await of(namespace).get(NAME);
    expect(before.spec.updateStrategy?.type).toBe('RollingUpdate');
    const image = 'registry.example/app:2';
    const patched = await of(namespace).patch(NAME, imagePatch(image), { type: 'strategic' });
    expect(BigInt(patched.metadata.resourceVersion ?? '')).toBeGreaterThan(
      BigInt(before.metadata.resourceVersion ?? ''),
    );
    await rolledTo(namespace, image);
    await runsOn(namespace, NODES);
    expect((await currentRevision(namespace, 2)).revision).toBe(2);
  });

  it('[sig-apps] Daemon set [Serial] should rollback without unnecessary restarts [Conformance]', async () => {
    const namespace = await created();
    const setImage = (image: string): Promise<unknown> =>
      of(namespace).patch(NAME, imagePatch(image), { type: 'strategic' });
    // An image that cannot be had, so that the rollout stops in its middle.
    await setImage(MISSING_IMAGE);
    await until(async () => (await pods(namespace)).some((pod) => imageOf(pod) === MISSING_IMAGE));
    const untouched = (await pods(namespace)).filter((pod) => imageOf(pod) === IMAGE);
    expect(untouched).toHaveLength(1);
    await setImage(IMAGE);
    await rolledTo(namespace, IMAGE);
    await runsOn(namespace, NODES);
    const uids = (await pods(namespace)).map(({ metadata }) => metadata.uid);
    expect(uids).toContain(untouched[0]?.metadata.uid);
  });

  it('[sig-apps] Daemon set [Serial] should list and delete a collection of DaemonSets [Conformance]', async () => {
    const namespace = await created(LABELS);
    const everywhere = suite.client.resource(appsv1.daemonSets);
    const found = await everywhere.list({ labelSelector: SELECTOR });
    expect(found.items.map(({ metadata }) => metadata.namespace)).toEqual([namespace]);
    await of(namespace).deleteCollection({ labelSelector: SELECTOR, gracePeriodSeconds: 1 });
    expect((await everywhere.list({ labelSelector: SELECTOR })).items).toEqual([]);
    await until(async () => (await pods(namespace)).length === 0);
  });

  it('[sig-apps] Daemon set [Serial] should verify changes to a daemon set status [Conformance]', async () => {
    const { metadata } = await suite.client.resource(appsv1.daemonSets).list({ labelSelector: SELECTOR });
    const namespace = await created(LABELS);
    const daemonSets = of(namespace);
    await using watcher = await watch(daemonSets, {
      labelSelector: SELECTOR,
      resourceVersion: metadata.resourceVersion,
    });
    const has = (type: string) => (object: appsv1.DaemonSet) =>
      object.metadata.namespace === namespace &&
      object.status?.conditions?.some((condition) => condition.type === type) === true;
    const read = await daemonSets.getSubresource<appsv1.DaemonSet>(NAME, 'status');
    expect(read).toMatchObject({ kind: 'DaemonSet', status: { numberReady: NODES.length } });
    const condition = {
      type: 'StatusUpdate',
      status: 'True',
      reason: 'E2E',
      message: 'Set by a test',
    } as const;
    await changing(
      daemonSets,
      NAME,
      (object) => ({
        ...object,
        status: { ...object.status, conditions: [condition] } as appsv1.DaemonSetStatus,
      }),
      'updateStatus',
    );
    const updated = await watcher.until('MODIFIED', has('StatusUpdate'));
    expect(updated.status?.conditions).toMatchObject([condition]);
    await daemonSets.patch(
      NAME,
      { status: { conditions: [{ type: 'StatusPatched', status: 'True' }] } },
      { type: 'merge', subresource: 'status' },
    );
    const patched = await watcher.until('MODIFIED', has('StatusPatched'));
    expect(patched.status).toMatchObject({ numberReady: NODES.length });
    // The controller writes its counts and nothing else.
    await suite.client.resource(corev1.pods, namespace).deleteCollection();
    await watcher.until('MODIFIED', ({ status }) => (status?.numberReady ?? 0) < NODES.length);
    await runsOn(namespace, NODES);
    expect((await daemonSets.get(NAME)).status?.conditions).toMatchObject([{ type: 'StatusPatched' }]);
  });
});
