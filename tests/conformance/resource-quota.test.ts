import type { KubeObject, New, ResourceType } from '@k8ts/api';
import { appsv1, corev1 } from '@k8ts/api';
import { compareQuantities, parseQuantity } from '@k8ts/apimachinery';
import type { ResourceClient } from '@k8ts/client';
import { describe, expect, it } from 'vitest';

import { until } from '../support/waiting.ts';
import {
  changing,
  isGone,
  podOf,
  refusal,
  replicaSetOf,
  replicationControllerOf,
  useSuite,
  watch,
} from './support.ts';

type List = Readonly<Record<string, string>>;
type Quota = corev1.ResourceQuota;

const NAME = 'test-quota';
const GOLD = 'gold.storageclass.storage.k8s.io';

/** A little of everything. */
const EVERYTHING: List = {
  pods: '5',
  services: '10',
  'services.nodeports': '1',
  'services.loadbalancers': '1',
  replicationcontrollers: '10',
  resourcequotas: '1',
  cpu: '1',
  memory: '500Mi',
  configmaps: '10',
  secrets: '10',
  persistentvolumeclaims: '10',
  'requests.storage': '10Gi',
  'ephemeral-storage': '50Gi',
  [`${GOLD}/persistentvolumeclaims`]: '10',
  [`${GOLD}/requests.storage`]: '10Gi',
  'count/replicasets.apps': '5',
  'requests.example.com/dongle': '3',
};

const same = (left: string | undefined, right: string): boolean =>
  left !== undefined && compareQuantities(parseQuantity(left), parseQuantity(right)) === 0;
const includes = (list: List | undefined, part: List): boolean =>
  Object.entries(part).every(([name, amount]) => same(list?.[name], amount));

function quotaOf(name: string, hard: List, scopes?: readonly corev1.ResourceQuotaScope[]): New<Quota> {
  return { metadata: { name }, spec: { hard, ...(scopes === undefined ? {} : { scopes }) } };
}

/** Fits no node, so that it takes nothing from the others. */
function pendingPod(
  name: string,
  resources: corev1.ResourceRequirements,
  spec: Partial<corev1.PodSpec> = {},
): New<corev1.Pod> {
  const containers = [{ name: 'pause', image: 'registry.example/pause:1', resources }];
  const nodeSelector = { 'x-test.k8s.io/unsatisfiable': 'not-schedulable' };
  return podOf(name, { spec: { containers, nodeSelector, ...spec } });
}

function serviceOf(name: string, spec: Partial<corev1.ServiceSpec>): New<corev1.Service> {
  return { metadata: { name }, spec: { ports: [{ port: 80, targetPort: 80 }], ...spec }, status: {} };
}

describe('resource quotas', () => {
  const suite = useSuite();

  async function prepare() {
    const namespace = await suite.namespace();
    // It counts, and comes a little later than its namespace.
    const configMaps = suite.client.resource(corev1.configMaps, namespace);
    await until(async () => !(await isGone(configMaps.get('kube-root-ca.crt'))));
    const quotas = suite.client.resource(corev1.resourceQuotas, namespace);
    const uses = async (used: List, name = NAME): Promise<void> =>
      until(async () => includes((await quotas.get(name)).status?.used, used));
    return { namespace, quotas, uses };
  }

  /** From the creation of an object to its deletion. */
  async function followLife<T extends KubeObject>(
    type: ResourceType<T>,
    object: New<T>,
    name: string,
    changes: List = {},
  ): Promise<void> {
    const { namespace, quotas, uses } = await prepare();
    const objects = suite.client.resource(type, namespace);
    const present = (await objects.list()).items.length;
    await quotas.create(quotaOf(NAME, { ...EVERYTHING, ...changes }));
    await uses({ resourcequotas: '1', [name]: String(present) });
    await objects.create(object);
    await uses({ resourcequotas: '1', [name]: String(present + 1) });
    await objects.delete(object.metadata.name ?? '', { propagationPolicy: 'Background' });
    await uses({ resourcequotas: '1', [name]: String(present) });
  }

  it('[sig-api-machinery] ResourceQuota should create a ResourceQuota and ensure its status is promptly calculated. [Conformance]', async () => {
    const { quotas, uses } = await prepare();
    await quotas.create(quotaOf(NAME, EVERYTHING));
    await uses({ resourcequotas: '1' });
    const { status } = await quotas.get(NAME);
    expect(status?.hard).toEqual(EVERYTHING);
    expect(Object.keys(status?.used ?? {}).sort()).toEqual(Object.keys(EVERYTHING).sort());
  });

  it('[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a service. [Conformance]', async () => {
    const { namespace, quotas, uses } = await prepare();
    await quotas.create(quotaOf(NAME, EVERYTHING));
    await uses({ resourcequotas: '1' });
    const services = suite.client.resource(corev1.services, namespace);
    await services.create(serviceOf('test-service', { type: 'ClusterIP' }));
    await services.create(serviceOf('test-service-np', { type: 'NodePort' }));
    const balanced = serviceOf('test-service-lb', {
      type: 'LoadBalancer',
      allocateLoadBalancerNodePorts: true,
    });
    expect(await refusal(services.create(balanced))).toMatchObject({
      code: 403,
      message:
        'services "test-service-lb" is forbidden: exceeded quota: test-quota, requested: services.nodeports=1, used: services.nodeports=1, limited: services.nodeports=1',
    });
    await uses({ resourcequotas: '1', services: '2', 'services.nodeports': '1' });
    await services.delete('test-service');
    await services.delete('test-service-np');
    await uses({ resourcequotas: '1', services: '0', 'services.nodeports': '0' });
  });

  it('[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a secret. [Conformance]', async () => {
    const secret = { metadata: { name: 'test-secret' }, data: { 'data-1': 'dmFsdWUtMQo=' } };
    await followLife(corev1.secrets, secret, 'secrets', { secrets: '1' });
  });

  it('[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a configMap. [Conformance]', async () => {
    await followLife(
      corev1.configMaps,
      { metadata: { name: 'test-configmap' }, data: { a: 'b' } },
      'configmaps',
    );
  });

  it('[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a replication controller. [Conformance]', async () => {
    await followLife(
      corev1.replicationControllers,
      replicationControllerOf('test-rc', 0),
      'replicationcontrollers',
    );
  });

  it('[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a replica set. [Conformance]', async () => {
    await followLife(appsv1.replicaSets, replicaSetOf('test-rs', 0), 'count/replicasets.apps');
  });

  it('[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a pod. [Conformance]', async () => {
    const { namespace, quotas, uses } = await prepare();
    const pods = suite.client.resource(corev1.pods, namespace);
    await quotas.create(quotaOf(NAME, EVERYTHING));
    await uses({ resourcequotas: '1' });
    const dongles = { 'example.com/dongle': '2' };
    const requests = { cpu: '500m', memory: '252Mi', 'ephemeral-storage': '30Gi', ...dongles };
    await pods.create(pendingPod('test-pod', { requests, limits: dongles }));
    const used = {
      resourcequotas: '1',
      pods: '1',
      cpu: '500m',
      memory: '252Mi',
      'ephemeral-storage': '30Gi',
      'requests.example.com/dongle': '2',
    };
    await uses(used);

    const tooMuch = pendingPod('fail-pod', { requests: { cpu: '600m', memory: '100Mi' } });
    expect((await refusal(pods.create(tooMuch))).message).toBe(
      'pods "fail-pod" is forbidden: exceeded quota: test-quota, requested: cpu=600m, used: cpu=500m, limited: cpu=1',
    );
    const tooMany = pendingPod('fail-pod-for-extended-resource', {
      requests: { cpu: '500m', memory: '100Mi', 'ephemeral-storage': '30Gi', ...dongles },
      limits: dongles,
    });
    expect((await refusal(pods.create(tooMany))).message).toBe(
      'pods "fail-pod-for-extended-resource" is forbidden: exceeded quota: test-quota, requested: ephemeral-storage=30Gi,requests.example.com/dongle=2, used: ephemeral-storage=30Gi,requests.example.com/dongle=2, limited: ephemeral-storage=50Gi,requests.example.com/dongle=3',
    );
    const less = { requests: { cpu: '100m', memory: '100Mi', 'ephemeral-storage': '10Gi' } };
    const change = changing(pods, 'test-pod', (found) => ({
      ...found,
      spec: {
        ...found.spec,
        containers: found.spec.containers.map((container) => ({ ...container, resources: less })),
      },
    }));
    expect((await refusal(change)).reason).toBe('Invalid');
    await uses(used);

    await pods.delete('test-pod', { gracePeriodSeconds: 0 });
    await uses({
      resourcequotas: '1',
      pods: '0',
      cpu: '0',
      memory: '0',
      'ephemeral-storage': '0',
      'requests.example.com/dongle': '0',
    });
  });

  const REQUIREMENTS = {
    requests: { cpu: '500m', memory: '200Mi' },
    limits: { cpu: '1', memory: '400Mi' },
  };

  /** A pod that one quota counts and the other does not. */
  async function countedBy(
    pods: ResourceClient<corev1.Pod>,
    pod: New<corev1.Pod>,
    uses: (used: List, name: string) => Promise<void>,
    counts: { readonly name: string; readonly used: List },
    ignores: string,
  ): Promise<void> {
    const nothing = Object.fromEntries(Object.keys(counts.used).map((name) => [name, '0']));
    await pods.create(pod);
    await uses(counts.used, counts.name);
    await uses(nothing, ignores);
    await pods.delete(pod.metadata.name ?? '', { gracePeriodSeconds: 0 });
    await uses(nothing, counts.name);
    await uses(nothing, ignores);
  }

  it('[sig-api-machinery] ResourceQuota should verify ResourceQuota with terminating scopes. [Conformance]', async () => {
    const { namespace, quotas, uses } = await prepare();
    const pods = suite.client.resource(corev1.pods, namespace);
    const hard = {
      pods: '5',
      'requests.cpu': '1',
      'requests.memory': '500Mi',
      'limits.cpu': '2',
      'limits.memory': '1Gi',
    };
    await quotas.create(quotaOf('quota-terminating', hard, ['Terminating']));
    await uses({ pods: '0' }, 'quota-terminating');
    await quotas.create(quotaOf('quota-not-terminating', hard, ['NotTerminating']));
    await uses({ pods: '0' }, 'quota-not-terminating');
    const used = {
      pods: '1',
      'requests.cpu': '500m',
      'requests.memory': '200Mi',
      'limits.cpu': '1',
      'limits.memory': '400Mi',
    };
    await countedBy(
      pods,
      pendingPod('test-pod', REQUIREMENTS),
      uses,
      { name: 'quota-not-terminating', used },
      'quota-terminating',
    );
    await countedBy(
      pods,
      pendingPod('terminating-pod', REQUIREMENTS, { activeDeadlineSeconds: 3600 }),
      uses,
      { name: 'quota-terminating', used },
      'quota-not-terminating',
    );
  });

  it('[sig-api-machinery] ResourceQuota should verify ResourceQuota with best effort scope. [Conformance]', async () => {
    const { namespace, quotas, uses } = await prepare();
    const pods = suite.client.resource(corev1.pods, namespace);
    await quotas.create(quotaOf('quota-besteffort', { pods: '5' }, ['BestEffort']));
    await uses({ pods: '0' }, 'quota-besteffort');
    await quotas.create(quotaOf('quota-not-besteffort', { pods: '5' }, ['NotBestEffort']));
    await uses({ pods: '0' }, 'quota-not-besteffort');
    const used = { pods: '1' };
    await countedBy(
      pods,
      pendingPod('pfpod', {}),
      uses,
      { name: 'quota-besteffort', used },
      'quota-not-besteffort',
    );
    await countedBy(
      pods,
      pendingPod('burstable-pod', REQUIREMENTS),
      uses,
      { name: 'quota-not-besteffort', used },
      'quota-besteffort',
    );
  });

  it('[sig-api-machinery] ResourceQuota should be able to update and delete ResourceQuota. [Conformance]', async () => {
    const { quotas } = await prepare();
    await quotas.create(quotaOf(NAME, { cpu: '1', memory: '500Mi' }));
    expect((await quotas.get(NAME)).spec.hard).toEqual({ cpu: '1', memory: '500Mi' });
    const hard = { cpu: '2', memory: '1Gi' };
    // Without a resource version: over whatever there is.
    const updated = await quotas.update(quotaOf(NAME, hard) as Quota);
    expect(updated.spec.hard).toEqual(hard);
    expect((await quotas.get(NAME)).spec.hard).toEqual(hard);
    await quotas.delete(NAME);
    expect(await isGone(quotas.get(NAME))).toBe(true);
  });

  it('[sig-api-machinery] ResourceQuota should manage the lifecycle of a ResourceQuota [Conformance]', async () => {
    const { namespace, quotas } = await prepare();
    const name = 'e2e-quota-lifecycle';
    const labelSelector = `${name}=${name}`;
    await quotas.create({
      metadata: { name, labels: { [name]: name } },
      spec: { hard: { cpu: '1', memory: '500Mi' } },
    });
    expect((await quotas.get(name)).spec.hard).toEqual({ cpu: '1', memory: '500Mi' });
    const { items } = await suite.client.resource(corev1.resourceQuotas).list({ labelSelector });
    expect(items.map(({ metadata }) => [metadata.namespace, metadata.name])).toEqual([[namespace, name]]);
    const patched = await quotas.patch(
      name,
      { metadata: { labels: { [name]: 'patched' } }, spec: { hard: { memory: '750Mi' } } },
      { type: 'strategic' },
    );
    expect(patched.metadata.labels).toEqual({ [name]: 'patched' });
    expect(patched.spec.hard).toEqual({ cpu: '1', memory: '750Mi' });
    expect(Number(patched.metadata.resourceVersion)).toBeGreaterThan(
      Number(items[0]?.metadata.resourceVersion),
    );
    await quotas.deleteCollection({ labelSelector: `${name}=patched` });
    expect(await isGone(quotas.get(name))).toBe(true);
  });

  it('[sig-api-machinery] ResourceQuota should apply changes to a resourcequota status [Conformance]', async () => {
    const { quotas } = await prepare();
    const name = 'e2e-rq-status';
    const labels = { 'e2e-rq-label': name };
    await using watcher = await watch(quotas, { labelSelector: `e2e-rq-label=${name}` });
    const limits = (hard: List) => (quota: Quota) => includes(quota.status?.hard, hard);
    const first = { cpu: '500m', memory: '500Mi' };
    await quotas.create({ metadata: { name, labels }, spec: { hard: first } });
    await changing(quotas, name, (quota) => ({ ...quota, status: { hard: first } }), 'updateStatus');
    await watcher.until('MODIFIED', limits(first));

    const second = { cpu: '1', memory: '1Gi' };
    const { spec } = await quotas.patch(name, { spec: { hard: second } }, { type: 'strategic' });
    expect(spec.hard).toEqual(second);
    const patchStatus = (hard: List): Promise<Quota> =>
      quotas.patch(name, { status: { hard } }, { type: 'strategic', subresource: 'status' });
    await patchStatus(second);
    await watcher.until('MODIFIED', limits(second));
    expect((await quotas.getSubresource<Quota>(name, 'status')).status?.hard).toEqual(second);

    // What the status says does not touch the spec, and is put right again.
    const third = { cpu: '2', memory: '2Gi' };
    const repatched = await patchStatus(third);
    expect(repatched.status?.hard).toEqual(third);
    expect(repatched.spec.hard).toEqual(second);
    await watcher.until('MODIFIED', limits(third));
    await watcher.until('MODIFIED', limits(second));
  });
});
