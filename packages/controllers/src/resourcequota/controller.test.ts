import { corev1, resourceType } from '@k8ts/api';
import type { KubeObject } from '@k8ts/api';
import type { FakeApi } from '@k8ts/client/testing';
import { describe, expect, it } from 'vitest';

import { garbageCollectorController } from '../garbage-collector/controller.ts';
import { ControllerHarness } from '../testing/controller-harness.ts';
import { resourceQuotaController } from './controller.ts';

const widgets = resourceType<KubeObject>('example.com', 'v1', 'widgets', 'Widget', true);
const VERBS = ['get', 'list', 'watch', 'create', 'update', 'delete'];

type Hard = Readonly<Record<string, string>>;

function quotaOf(name: string, hard: Hard, spec: Partial<corev1.ResourceQuotaSpec> = {}) {
  return { metadata: { name, namespace: 'a' }, spec: { hard, ...spec } };
}

function podOf(name: string, requests: Hard = {}, spec: Partial<corev1.PodSpec> = {}): corev1.Pod {
  return {
    metadata: { name, namespace: 'a' },
    spec: { containers: [{ name: 'main', image: 'i', resources: { requests } }], ...spec },
  };
}

const statusOf = ({ api }: ControllerHarness, name = 'q') =>
  api.peek(corev1.resourceQuotas, `a/${name}`)?.status;
const usedOf = (harness: ControllerHarness, name = 'q') => statusOf(harness, name)?.used;

function start(prepare: (api: FakeApi) => void): Promise<ControllerHarness> {
  return ControllerHarness.start([resourceQuotaController], {}, prepare);
}

/** As admission does. */
async function charge(harness: ControllerHarness, used: Hard): Promise<void> {
  const quotas = harness.api.client.resource(corev1.resourceQuotas, 'a');
  const quota = await quotas.get('q');
  await quotas.updateStatus({ ...quota, status: { ...quota.status, used } });
}

describe('resource quota controller', () => {
  it('counts what is there', async () => {
    await using harness = await start((api) => {
      api.seed(corev1.pods, podOf('one', { cpu: '250m', 'example.com/dongle': '2' }));
      api.seed(corev1.pods, podOf('two', { cpu: '1' }));
      api.seed(corev1.pods, { ...podOf('done', { cpu: '8' }), status: { phase: 'Succeeded' } });
      api.seed(corev1.pods, { ...podOf('else', { cpu: '8' }), metadata: { name: 'else', namespace: 'b' } });
      api.seed(corev1.secrets, { metadata: { name: 's', namespace: 'a' } });
      api.seed(
        corev1.resourceQuotas,
        quotaOf('q', {
          pods: '5',
          'count/pods': '5',
          cpu: '2',
          memory: '1Gi',
          'requests.example.com/dongle': '3',
          secrets: '3',
          'count/secrets': '3',
          resourcequotas: '1',
          'count/replicasets.apps': '1',
          'count/unheard.example.com': '1',
        }),
      );
    });
    expect(statusOf(harness)).toEqual({
      hard: harness.api.peek(corev1.resourceQuotas, 'a/q')?.spec.hard,
      used: {
        pods: '2',
        'count/pods': '3',
        cpu: '1250m',
        memory: '0',
        'requests.example.com/dongle': '2',
        secrets: '1',
        'count/secrets': '1',
        resourcequotas: '1',
        'count/replicasets.apps': '0',
      },
    });
  });

  it('counts what is in all scopes of the quota', async () => {
    await using harness = await start((api) => {
      api.seed(corev1.pods, podOf('plain'));
      api.seed(corev1.pods, podOf('ending', { cpu: '1' }, { activeDeadlineSeconds: 5 }));
      api.seed(corev1.pods, podOf('important', { cpu: '1' }, { priorityClassName: 'high' }));
      for (const scope of ['Terminating', 'NotTerminating', 'BestEffort', 'NotBestEffort'] as const)
        api.seed(corev1.resourceQuotas, quotaOf(scope.toLowerCase(), { pods: '9' }, { scopes: [scope] }));
      const scopeSelector = {
        matchExpressions: [
          { scopeName: 'PriorityClass', operator: 'In', values: ['high'] },
          { scopeName: 'NotTerminating', operator: 'Exists' },
        ],
      } as const;
      api.seed(corev1.resourceQuotas, quotaOf('selected', { pods: '9', secrets: '1' }, { scopeSelector }));
      api.seed(corev1.secrets, { metadata: { name: 's', namespace: 'a' } });
    });
    expect(usedOf(harness, 'terminating')).toEqual({ pods: '1' });
    expect(usedOf(harness, 'notterminating')).toEqual({ pods: '2' });
    expect(usedOf(harness, 'besteffort')).toEqual({ pods: '1' });
    expect(usedOf(harness, 'notbesteffort')).toEqual({ pods: '2' });
    // Secrets know no scopes.
    expect(usedOf(harness, 'selected')).toEqual({ pods: '1', secrets: '0' });
  });

  it('gives back what is deleted, and what has ended', async () => {
    await using harness = await start((api) => {
      for (const name of ['one', 'two', 'three']) api.seed(corev1.pods, podOf(name, { cpu: '1' }));
      api.seed(corev1.resourceQuotas, quotaOf('q', { pods: '5', cpu: '5' }));
    });
    expect(usedOf(harness)).toEqual({ pods: '3', cpu: '3' });
    const pods = harness.api.client.resource(corev1.pods, 'a');
    await pods.delete('one', { gracePeriodSeconds: 0 });
    await harness.clock.advance(1000);
    expect(usedOf(harness)).toEqual({ pods: '2', cpu: '2' });
    await pods.updateStatus({ ...(await pods.get('two')), status: { phase: 'Failed' } });
    await harness.clock.advance(1000);
    expect(usedOf(harness)).toEqual({ pods: '1', cpu: '1' });
  });

  it('follows services that change their type', async () => {
    await using harness = await start((api) => {
      api.seed(corev1.services, {
        metadata: { name: 's', namespace: 'a' },
        spec: { type: 'NodePort', ports: [{ port: 80 }, { port: 81 }] },
      });
      api.seed(
        corev1.resourceQuotas,
        quotaOf('q', { 'services.nodeports': '5', 'services.loadbalancers': '1' }),
      );
    });
    expect(usedOf(harness)).toEqual({ 'services.nodeports': '2', 'services.loadbalancers': '0' });
    const services = harness.api.client.resource(corev1.services, 'a');
    const service = await services.get('s');
    await services.update({ ...service, spec: { ...service.spec, type: 'ClusterIP' } });
    await harness.clock.advance(1000);
    expect(usedOf(harness)).toEqual({ 'services.nodeports': '0', 'services.loadbalancers': '0' });
  });

  it('takes over what the spec says, and puts right what others make of the status', async () => {
    await using harness = await start((api) => api.seed(corev1.resourceQuotas, quotaOf('q', { pods: '5' })));
    const quotas = harness.api.client.resource(corev1.resourceQuotas, 'a');
    await quotas.patch('q', { spec: { hard: { secrets: '2' } } }, { type: 'merge' });
    await harness.clock.advance(100);
    expect(statusOf(harness)).toEqual({
      hard: { pods: '5', secrets: '2' },
      used: { pods: '0', secrets: '0' },
    });
    await quotas.updateStatus({ ...(await quotas.get('q')), status: { hard: { pods: '9' } } });
    await harness.clock.advance(100);
    expect(statusOf(harness)).toEqual({
      hard: { pods: '5', secrets: '2' },
      used: { pods: '0', secrets: '0' },
    });
  });

  it('lets a charge stand until its object can have been seen', async () => {
    await using harness = await start((api) => {
      api.seed(corev1.pods, podOf('one'));
      api.seed(corev1.resourceQuotas, quotaOf('q', { pods: '5' }));
    });
    await charge(harness, { pods: '2' });
    await harness.api.client.resource(corev1.pods, 'a').delete('one', { gracePeriodSeconds: 0 });
    await harness.clock.advance(300);
    expect(usedOf(harness)).toEqual({ pods: '2' });
    await harness.api.client.resource(corev1.pods, 'a').create(podOf('two'));
    await harness.clock.advance(1000);
    expect(usedOf(harness)).toEqual({ pods: '1' });
  });

  it('counts everything anew once in a while', async () => {
    await using harness = await start((api) => api.seed(corev1.resourceQuotas, quotaOf('q', { pods: '5' })));
    await charge(harness, { pods: '1' }); // the creation failed
    await harness.clock.advance(60_000);
    expect(usedOf(harness)).toEqual({ pods: '1' });
    await harness.clock.advance(300_000);
    expect(usedOf(harness)).toEqual({ pods: '0' });
  });

  it('writes nothing when nothing has changed', async () => {
    await using harness = await start((api) => api.seed(corev1.resourceQuotas, quotaOf('q', { pods: '5' })));
    harness.api.requests.length = 0;
    await harness.clock.advance(900_000);
    expect(harness.api.requests.filter((request) => request.startsWith('PUT'))).toEqual([]);
  });

  it('counts custom resources as soon as they are discovered', async () => {
    // The garbage collector watches the same objects, with the same informer.
    await using harness = await ControllerHarness.start(
      [garbageCollectorController, resourceQuotaController],
      {},
      (api) => {
        api.seed(corev1.resourceQuotas, quotaOf('q', { 'count/widgets.example.com': '5' }));
      },
    );
    expect(statusOf(harness)).toEqual({ hard: { 'count/widgets.example.com': '5' }, used: {} });
    harness.api.addResource({ ...widgets, verbs: VERBS, subresources: [] });
    const client = harness.api.client.resource(widgets, 'a');
    await client.create({ metadata: { name: 'w' } });
    await harness.clock.advance(31_000);
    expect(usedOf(harness)).toEqual({ 'count/widgets.example.com': '1' });
    await client.delete('w');
    await harness.clock.advance(2000);
    expect(usedOf(harness)).toEqual({ 'count/widgets.example.com': '0' });
  });
});
