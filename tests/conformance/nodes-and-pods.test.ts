import { coordinationv1, corev1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { until } from '../support/waiting.ts';
import { checkApiOperations } from './api-operations.ts';
import { isGone, podOf, podTemplate, refusal, useSuite, watch, type PodParts } from './support.ts';

describe('pods', () => {
  const suite = useSuite();
  const podsOf = (namespace: string) => suite.client.resource(corev1.pods, namespace);
  const inPhase = (namespace: string, name: string, phase: string): Promise<void> =>
    until(async () => (await podsOf(namespace).get(name)).status?.phase === phase);
  const start = async (name: string, parts: PodParts = {}, phase = 'Running'): Promise<string> => {
    const namespace = await suite.namespace();
    await podsOf(namespace).create(podOf(name, parts));
    await inPhase(namespace, name, phase);
    return namespace;
  };

  it('[sig-node] Pods should get a host IP [NodeConformance] [Conformance]', async () => {
    const namespace = await start('hosted');
    const { status } = await podsOf(namespace).get('hosted');
    expect(status?.hostIP).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
    expect(status?.hostIPs?.[0]?.ip).toBe(status?.hostIP);
  });

  it('[sig-node] Pods should be submitted and removed [NodeConformance] [Conformance]', async () => {
    const namespace = await suite.namespace();
    const pods = podsOf(namespace);
    const labelSelector = 'time=now';
    expect((await pods.list({ labelSelector })).items).toEqual([]);
    await using watcher = await watch(pods, { labelSelector });
    await pods.create(podOf('submitted', { labels: { time: 'now' }, behaviour: { stopAfter: 0.1 } }));
    await watcher.until('ADDED');
    await watcher.until('MODIFIED', ({ status }) => status?.phase === 'Running');
    await pods.delete('submitted', { gracePeriodSeconds: 30 });
    const going = await watcher.until('MODIFIED', ({ metadata }) => metadata.deletionTimestamp !== undefined);
    expect(going.metadata.deletionGracePeriodSeconds).toBe(30);
    await watcher.until('DELETED');
    expect((await pods.list({ labelSelector })).items).toEqual([]);
  });

  it('[sig-node] Pods should be updated [NodeConformance] [Conformance]', async () => {
    const namespace = await start('updated', { labels: { time: 'before' } });
    const pods = podsOf(namespace);
    await pods.patch('updated', { metadata: { labels: { time: 'after' } } }, { type: 'merge' });
    expect((await pods.list({ labelSelector: 'time=after' })).items).toHaveLength(1);
    expect((await pods.list({ labelSelector: 'time=before' })).items).toHaveLength(0);
  });

  it('[sig-node] Pods should allow activeDeadlineSeconds to be updated [NodeConformance] [Conformance]', async () => {
    const namespace = await start('deadline');
    const pods = podsOf(namespace);
    await pods.patch('deadline', { spec: { activeDeadlineSeconds: 1 } }, { type: 'merge' });
    await until(async () => (await pods.get('deadline')).status?.reason === 'DeadlineExceeded');
    expect((await pods.get('deadline')).status?.phase).toBe('Failed');
  });

  it('[sig-node] Pods should delete a collection of pods [Conformance]', async () => {
    const namespace = await suite.namespace();
    const pods = podsOf(namespace);
    for (const name of ['test-pod-1', 'test-pod-2', 'test-pod-3'])
      await pods.create(podOf(name, { labels: { type: 'Testing' } }));
    await pods.deleteCollection({ labelSelector: 'type=Testing', gracePeriodSeconds: 0 });
    await until(async () => (await pods.list({ labelSelector: 'type=Testing' })).items.length === 0);
  });

  it('[sig-node] Pods should patch a pod status [Conformance]', async () => {
    const namespace = await start('patched');
    const patched = await podsOf(namespace).patch(
      'patched',
      {
        metadata: { annotations: { 'patched-status': 'true' } },
        status: { message: 'Patched by e2e test', reason: 'E2E' },
      },
      { type: 'strategic', subresource: 'status' },
    );
    expect(patched.status).toMatchObject({ message: 'Patched by e2e test', reason: 'E2E' });
    expect(patched.metadata.annotations).toMatchObject({ 'patched-status': 'true' });
  });

  it('[sig-node] Pods should run through the lifecycle of Pods and PodStatus [Conformance]', async () => {
    const namespace = await suite.namespace();
    const pods = podsOf(namespace);
    const labelSelector = 'test-pod-static=true';
    await using watcher = await watch(pods, { labelSelector });
    await pods.create(podOf('pod-test', { labels: { 'test-pod-static': 'true' } }));
    await watcher.until('ADDED');
    await watcher.until('MODIFIED', ({ status }) => status?.phase === 'Running');
    await pods.patch(
      'pod-test',
      {
        metadata: { labels: { 'test-pod': 'patched' } },
        spec: { containers: [{ name: 'main', image: 'registry.example/app:2' }] },
      },
      { type: 'strategic' },
    );
    await watcher.until('MODIFIED', ({ metadata }) => metadata.labels?.['test-pod'] === 'patched');
    expect((await pods.get('pod-test')).spec?.containers[0]?.image).toBe('registry.example/app:2');
    // A condition of somebody else's is kept by the kubelet.
    await until(async () => {
      const read = await pods.getSubresource<corev1.Pod>('pod-test', 'status');
      const conditions = [...(read.status?.conditions ?? []), { type: 'example.org/Tested', status: 'True' }];
      return pods.updateStatus({ ...read, status: { ...read.status, conditions } }).then(
        () => true,
        () => false,
      );
    });
    await watcher.until('MODIFIED', ({ status }) =>
      (status?.conditions ?? []).some(({ type }) => type === 'example.org/Tested'),
    );
    await pods.deleteCollection({ labelSelector, gracePeriodSeconds: 1 });
    await watcher.until('DELETED');
  });

  it('[sig-node] Pods Extended Pods Set QOS Class should be set on Pods with matching resource requests and limits for memory and cpu [Conformance]', async () => {
    const namespace = await suite.namespace();
    const resources = { cpu: '100m', memory: '100Mi' };
    const created = await podsOf(namespace).create(
      podOf('qos', {
        spec: {
          containers: [{ name: 'c', image: 'x', resources: { limits: resources, requests: resources } }],
        },
      }),
    );
    expect(created.status?.qosClass).toBe('Guaranteed');
  });

  it('[sig-node] Pods Extended (pod generation) Pod Generation pod generation should start at 1 and increment per update [MinimumKubeletVersion:1.34] [Conformance]', async () => {
    const namespace = await start('generation');
    const pods = podsOf(namespace);
    expect((await pods.get('generation')).metadata.generation).toBe(1);
    const generationAfter = async (patch: object, subresource?: string): Promise<number | undefined> =>
      (
        await pods.patch('generation', patch, {
          type: 'strategic',
          ...(subresource === undefined ? {} : { subresource }),
        })
      ).metadata.generation;
    expect(
      await generationAfter({ spec: { containers: [{ name: 'main', image: 'registry.example/app:2' }] } }),
    ).toBe(2);
    expect(await generationAfter({ spec: { activeDeadlineSeconds: 5_000 } })).toBe(3);
    expect(await generationAfter({ spec: { tolerations: [{ key: 'a', operator: 'Exists' }] } })).toBe(4);
    // Neither metadata nor status count.
    expect(await generationAfter({ metadata: { annotations: { a: 'b' } } })).toBe(4);
    expect(await generationAfter({ status: { message: 'm' } }, 'status')).toBe(4);
    await until(async () => (await pods.get('generation')).status?.observedGeneration === 4);
  });

  it('[sig-node] Pods Extended (pod generation) Pod Generation custom-set generation on new pods and graceful delete [Conformance]', async () => {
    const namespace = await suite.namespace();
    const pods = podsOf(namespace);
    const example = podOf('custom', { behaviour: { stopAfter: 0.5 } });
    const created = await pods.create({ ...example, metadata: { ...example.metadata, generation: 100 } });
    expect(created.metadata.generation).toBe(1);
    await inPhase(namespace, 'custom', 'Running');
    await pods.delete('custom', { gracePeriodSeconds: 20 });
    expect((await pods.get('custom')).metadata.generation).toBe(2);
    await until(() => isGone(pods.get('custom')));
  });

  it('[sig-node] Pods Extended (pod generation) Pod Generation issue 500 podspec updates and verify generation and observedGeneration eventually converge [MinimumKubeletVersion:1.34] [Conformance]', async () => {
    const namespace = await start('many');
    const pods = podsOf(namespace);
    for (let count = 0; count < 500; count++)
      await pods.patch(
        'many',
        { spec: { containers: [{ name: 'main', image: `registry.example/app:${count}` }] } },
        { type: 'strategic' },
      );
    await until(async () => (await pods.get('many')).status?.observedGeneration === 501);
    expect((await pods.get('many')).metadata.generation).toBe(501);
  });

  const initParts = (restartPolicy: string, behaviours: object): PodParts => ({
    behaviour: { containers: behaviours },
    spec: {
      restartPolicy,
      initContainers: [
        { name: 'init1', image: 'x' },
        { name: 'init2', image: 'x' },
      ],
      containers: [{ name: 'run1', image: 'x' }],
    } as never,
  });
  const initialized = (pod: corev1.Pod): string | undefined =>
    pod.status?.conditions?.find(({ type }) => type === 'Initialized')?.status;

  it('[sig-node] InitContainer [NodeConformance] should invoke init containers on a RestartNever pod [Conformance]', async () => {
    const ends = { exitAfter: 0.02 };
    const namespace = await start(
      'init',
      initParts('Never', { init1: ends, init2: ends, run1: ends }),
      'Succeeded',
    );
    const pod = await podsOf(namespace).get('init');
    expect(initialized(pod)).toBe('True');
    expect(pod.status?.initContainerStatuses).toMatchObject([
      { name: 'init1', ready: true, state: { terminated: { exitCode: 0 } } },
      { name: 'init2', ready: true, state: { terminated: { exitCode: 0 } } },
    ]);
  });

  it('[sig-node] InitContainer [NodeConformance] should invoke init containers on a RestartAlways pod [Conformance]', async () => {
    const ends = { exitAfter: 0.02 };
    const namespace = await start('init', initParts('Always', { init1: ends, init2: ends }));
    const pod = await podsOf(namespace).get('init');
    expect(initialized(pod)).toBe('True');
    expect(pod.status?.initContainerStatuses?.map(({ ready }) => ready)).toEqual([true, true]);
  });

  it('[sig-node] InitContainer [NodeConformance] should not start app containers and fail the pod if init containers fail on a RestartNever pod [Conformance]', async () => {
    const behaviours = { init1: { exitAfter: 0.02 }, init2: { exitAfter: 0.02, exitCode: 1 } };
    const namespace = await start('init', initParts('Never', behaviours), 'Failed');
    const pod = await podsOf(namespace).get('init');
    expect(initialized(pod)).toBe('False');
    expect(pod.status?.initContainerStatuses).toMatchObject([
      { name: 'init1', state: { terminated: { exitCode: 0 } } },
      { name: 'init2', state: { terminated: { exitCode: 1 } } },
    ]);
    expect(pod.status?.containerStatuses).toMatchObject([
      { name: 'run1', state: { waiting: { reason: 'PodInitializing' } } },
    ]);
  });

  it('[sig-node] InitContainer [NodeConformance] should not start app containers if init containers fail on a RestartAlways pod [Conformance]', async () => {
    const namespace = await suite.namespace();
    const pods = podsOf(namespace);
    const behaviours = { init1: { exitAfter: 0.02, exitCode: 1 }, init2: { exitAfter: 0.02 } };
    await pods.create(podOf('init', initParts('Always', behaviours)));
    await until(
      async () => ((await pods.get('init')).status?.initContainerStatuses?.[0]?.restartCount ?? 0) >= 1,
    );
    const pod = await pods.get('init');
    expect(pod.status?.phase).toBe('Pending');
    expect(initialized(pod)).toBe('False');
    expect(pod.status?.initContainerStatuses?.[1]).toMatchObject({
      state: { waiting: { reason: 'PodInitializing' } },
    });
    expect(pod.status?.containerStatuses?.[0]).toMatchObject({
      state: { waiting: { reason: 'PodInitializing' } },
    });
  });

  it('[sig-node] Kubelet when scheduling a busybox command that always fails in a pod should have an terminated reason [NodeConformance] [Conformance]', async () => {
    const namespace = await suite.namespace();
    const pods = podsOf(namespace);
    await pods.create(podOf('bin-false', { behaviour: { exitAfter: 0.01, exitCode: 1 } }));
    await until(async () => {
      const [status] = (await pods.get('bin-false')).status?.containerStatuses ?? [];
      const terminated = status?.state?.terminated ?? status?.lastState?.terminated;
      return terminated?.exitCode === 1 && terminated.reason === 'Error';
    });
  });

  it('[sig-node] Kubelet when scheduling a busybox command that always fails in a pod should be possible to delete [NodeConformance] [Conformance]', async () => {
    const namespace = await suite.namespace();
    const pods = podsOf(namespace);
    await pods.create(podOf('bin-false', { behaviour: { exitAfter: 0.01, exitCode: 1 } }));
    await pods.delete('bin-false');
    await until(() => isGone(pods.get('bin-false')));
  });

  it('[sig-node] Kubelet when scheduling a busybox command in a pod should print the output to logs [NodeConformance] [Conformance]', async () => {
    const namespace = await start('logs', { behaviour: { log: ['Hello World'] } });
    const { text } = await suite.wire.send('GET', `/api/v1/namespaces/${namespace}/pods/logs/log`);
    expect(text).toBe('Hello World\n');
  });

  it('[sig-node] Sysctls [LinuxOnly] [NodeConformance] should reject invalid sysctls [Conformance]', async () => {
    const namespace = await suite.namespace();
    const sysctls = ['foo-', 'kernel.shmmax', 'safe-and-unsafe', 'bar..'].map((name) => ({
      name,
      value: 'bar',
    }));
    const status = await refusal(
      podsOf(namespace).create(podOf('bad', { spec: { securityContext: { sysctls } } })),
    );
    const fields = (status.details?.causes ?? []).map(({ field }) => field);
    expect(fields).toEqual(['spec.securityContext.sysctls[0].name', 'spec.securityContext.sysctls[3].name']);
  });

  it('[sig-node] ConfigMap should fail to create ConfigMap with empty key [Conformance]', async () => {
    const configMaps = suite.client.resource(corev1.configMaps, 'default');
    expect(
      await refusal(configMaps.create({ metadata: { name: 'empty-key' }, data: { '': 'value-1' } })),
    ).toMatchObject({ code: 422 });
  });

  it('[sig-node] ConfigMap should update ConfigMap successfully [NodeConformance] [Conformance]', async () => {
    const configMaps = suite.client.resource(corev1.configMaps, 'default');
    const created = await configMaps.create({ metadata: { name: 'to-update' } });
    await configMaps.update({ ...created, data: { data: 'value' } });
    expect((await configMaps.get('to-update')).data).toEqual({ data: 'value' });
  });

  it('[sig-node] ConfigMap should run through a ConfigMap lifecycle [Conformance]', () =>
    checkApiOperations(suite, {
      type: corev1.configMaps,
      example: () => ({ data: { valueName: 'value' } }),
    }));

  it('[sig-storage] ConfigMap should be immutable if `immutable` field is set [Conformance]', async () => {
    const configMaps = suite.client.resource(corev1.configMaps, 'default');
    const created = await configMaps.create({ metadata: { name: 'immutable' }, data: { a: '1' } });
    const frozen = await configMaps.update({ ...created, immutable: true });
    expect(await refusal(configMaps.update({ ...frozen, data: { a: '2' } }))).toMatchObject({ code: 422 });
    expect(await refusal(configMaps.update({ ...frozen, immutable: false }))).toMatchObject({ code: 422 });
    await configMaps.update({ ...frozen, metadata: { ...frozen.metadata, labels: { label1: 'value1' } } });
    await configMaps.delete('immutable');
  });

  it('[sig-storage] Secrets should be immutable if `immutable` field is set [Conformance]', async () => {
    const secrets = suite.client.resource(corev1.secrets, 'default');
    const created = await secrets.create({ metadata: { name: 'immutable' }, data: { a: 'MQ==' } });
    const frozen = await secrets.update({ ...created, immutable: true });
    expect(await refusal(secrets.update({ ...frozen, data: { a: 'Mg==' } }))).toMatchObject({ code: 422 });
    expect(await refusal(secrets.update({ ...frozen, immutable: false }))).toMatchObject({ code: 422 });
    await secrets.update({ ...frozen, metadata: { ...frozen.metadata, labels: { label1: 'value1' } } });
    await secrets.delete('immutable');
  });

  it('[sig-node] Secrets should fail to create secret due to empty secret key [Conformance]', async () => {
    const secrets = suite.client.resource(corev1.secrets, 'default');
    expect(
      await refusal(secrets.create({ metadata: { name: 'empty-key' }, data: { '': 'dmFsdWUtMQ==' } })),
    ).toMatchObject({ code: 422 });
  });

  it('[sig-node] Secrets should patch a secret [Conformance]', async () => {
    const namespace = await suite.namespace();
    const secrets = suite.client.resource(corev1.secrets, namespace);
    const labelSelector = 'testsecret-constant=true';
    await secrets.create({
      metadata: { name: 'patched', labels: { 'testsecret-constant': 'true' } },
      data: { key: 'dmFsdWU=' },
      type: 'Opaque',
    });
    await secrets.patch(
      'patched',
      { metadata: { labels: { testsecret: 'true' } }, data: { key: 'dmFsdWUx' } },
      { type: 'strategic' },
    );
    const { items } = await suite.client.resource(corev1.secrets).list({ labelSelector });
    expect(items).toMatchObject([
      { data: { key: 'dmFsdWUx' }, metadata: { labels: { testsecret: 'true' } } },
    ]);
    await secrets.deleteCollection({ labelSelector });
    expect((await secrets.list({ labelSelector })).items).toEqual([]);
  });

  it('[sig-node] Lease lease API should be available [Conformance]', async () => {
    await checkApiOperations(suite, {
      type: coordinationv1.leases,
      example: () => ({ spec: { holderIdentity: 'holder', leaseDurationSeconds: 30 } }),
    });
    const leases = suite.client.resource(coordinationv1.leases, 'default');
    const created = await leases.create({
      metadata: { name: 'lease' },
      spec: { holderIdentity: 'one', acquireTime: '2026-01-01T00:00:00.123456Z', leaseTransitions: 0 },
    });
    const updated = await leases.update({
      ...created,
      spec: { ...created.spec, holderIdentity: 'two', leaseTransitions: 1 },
    });
    expect(await leases.get('lease')).toEqual(updated);
    expect(updated.spec).toMatchObject({ holderIdentity: 'two', acquireTime: '2026-01-01T00:00:00.123456Z' });
  });

  const templates = {
    type: corev1.podTemplates,
    example: () => ({ template: podTemplate({ labels: { pod: 'template' } }) }),
  };
  it('[sig-node] PodTemplates should run the lifecycle of PodTemplates [Conformance]', () =>
    checkApiOperations(suite, templates));
  it('[sig-node] PodTemplates should delete a collection of pod templates [Conformance]', () =>
    checkApiOperations(suite, templates));
  it('[sig-node] PodTemplates should replace a pod template [Conformance]', async () => {
    const podTemplates = suite.client.resource(corev1.podTemplates, 'default');
    const created = await podTemplates.create({
      metadata: { name: 'replaced' },
      ...templates.example(),
    });
    await podTemplates.update({
      ...created,
      metadata: { ...created.metadata, annotations: { updated: 'true' } },
    });
    expect((await podTemplates.get('replaced')).metadata.annotations).toEqual({ updated: 'true' });
  });

  it('[sig-architecture] Conformance Tests should have at least two untainted nodes [Conformance]', async () => {
    const { items } = await suite.client.resource(corev1.nodes).list();
    expect(items.filter(({ spec }) => (spec?.taints ?? []).length === 0).length).toBeGreaterThanOrEqual(2);
  });

  it('[sig-node] Node Lifecycle should run through the lifecycle of a node [Conformance]', () =>
    checkApiOperations(suite, {
      type: corev1.nodes,
      example: () => ({ spec: { unschedulable: true } }),
      status: { phase: 'Terminated' },
    }));
});
