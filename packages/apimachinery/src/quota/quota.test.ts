import type { corev1, KubeObject } from '@k8ts/api';
import { describe, expect, test } from 'vitest';

import { resourceListOf } from '../resource-amounts.ts';
import type { QuotaEvaluator, ScopeRequirement } from './contract.ts';
import { quotaEvaluatorOf } from './evaluators.ts';
import { isInScope } from './matching.ts';

const NOW = Date.UTC(2026, 0, 1);

function evaluatorOf(resource: string, group = ''): QuotaEvaluator {
  const found = quotaEvaluatorOf(group, resource);
  if (found === undefined) throw new Error(`${resource} is not counted`);
  return found;
}

const pods = evaluatorOf('pods');
const services = evaluatorOf('services');
const claims = evaluatorOf('persistentvolumeclaims');
const resourceClaims = evaluatorOf('resourceclaims', 'resource.k8s.io');

type Resources = corev1.ResourceRequirements;

function container(resources: Resources, rest: Partial<corev1.Container> = {}): corev1.Container {
  return { name: 'main', image: 'i', resources, ...rest };
}

function podOf(spec: Partial<corev1.PodSpec>, rest: Partial<corev1.Pod> = {}): corev1.Pod {
  return { metadata: { name: 'p', namespace: 'a' }, spec: { containers: [], ...spec }, ...rest };
}

const usageOf = (evaluator: QuotaEvaluator, object: KubeObject) =>
  resourceListOf(evaluator.usage(object, NOW));

const cpu = (requests: string, limits?: string): Resources => ({
  requests: { cpu: requests },
  ...(limits === undefined ? {} : { limits: { cpu: limits } }),
});
const cpuUsage = (requests: string, limits?: string) => ({
  cpu: requests,
  'requests.cpu': requests,
  ...(limits === undefined ? {} : { 'limits.cpu': limits }),
});

describe('what a pod uses', () => {
  test.each<[string, corev1.Pod, Readonly<Record<string, string>>]>([
    ['nothing but its place', podOf({ containers: [container({})] }), {}],
    [
      'its containers together',
      podOf({ containers: [container(cpu('250m', '1')), container(cpu('1', '2'))] }),
      cpuUsage('1250m', '3'),
    ],
    [
      'memory and ephemeral storage',
      podOf({
        containers: [
          container({
            requests: { memory: '64Mi', 'ephemeral-storage': '1Gi' },
            limits: { memory: '128Mi', 'ephemeral-storage': '2Gi' },
          }),
        ],
      }),
      {
        memory: '64Mi',
        'requests.memory': '64Mi',
        'limits.memory': '128Mi',
        'ephemeral-storage': '1Gi',
        'requests.ephemeral-storage': '1Gi',
        'limits.ephemeral-storage': '2Gi',
      },
    ],
    [
      'huge pages by both names, extended resources as requests only',
      podOf({
        containers: [
          container({
            requests: {
              'hugepages-2Mi': '100Mi',
              'example.com/dongle': '3',
              'deviceclass.resource.kubernetes.io/gpu': '1',
            },
            limits: { 'hugepages-2Mi': '100Mi', 'example.com/dongle': '3' },
          }),
        ],
      }),
      {
        'hugepages-2Mi': '100Mi',
        'requests.hugepages-2Mi': '100Mi',
        'requests.example.com/dongle': '3',
        'requests.deviceclass.resource.kubernetes.io/gpu': '1',
      },
    ],
    [
      'the largest init container, where that is more',
      podOf({
        containers: [container(cpu('1', '1'))],
        initContainers: [container(cpu('2', '3')), container(cpu('1', '1'))],
      }),
      cpuUsage('2', '3'),
    ],
    [
      'sidecars beside the containers and what starts after them',
      podOf({
        containers: [container(cpu('1'))],
        initContainers: [
          container(cpu('5')),
          container(cpu('2'), { restartPolicy: 'Always' }),
          container(cpu('4')),
        ],
      }),
      cpuUsage('6'),
    ],
    [
      'what is said of the pod as a whole',
      podOf({
        containers: [container({ requests: { cpu: '1', 'ephemeral-storage': '1Gi' } })],
        resources: { requests: { cpu: '3', memory: '1Gi' }, limits: { cpu: '4' } },
      }),
      {
        ...cpuUsage('3', '4'),
        memory: '1Gi',
        'requests.memory': '1Gi',
        'ephemeral-storage': '1Gi',
        'requests.ephemeral-storage': '1Gi',
      },
    ],
    [
      'its overhead, of limits only where there is one',
      podOf({ containers: [container(cpu('1', '2'))], overhead: { cpu: '100m', memory: '10Mi' } }),
      { ...cpuUsage('1100m', '2100m'), memory: '10Mi', 'requests.memory': '10Mi' },
    ],
    [
      'what is in force while a resize goes on',
      podOf(
        { containers: [container(cpu('1', '1'))] },
        {
          status: {
            containerStatuses: [
              {
                name: 'main',
                image: 'i',
                imageID: '',
                ready: true,
                restartCount: 0,
                resources: cpu('2', '3'),
                allocatedResources: { cpu: '1500m' },
              },
            ],
          },
        },
      ),
      cpuUsage('2', '3'),
    ],
    [
      'what is in force when a resize cannot be',
      podOf(
        { containers: [container(cpu('9', '9'))] },
        {
          status: {
            conditions: [{ type: 'PodResizePending', status: 'True', reason: 'Infeasible' }],
            containerStatuses: [
              {
                name: 'main',
                image: 'i',
                imageID: '',
                ready: true,
                restartCount: 0,
                resources: cpu('2', '3'),
                allocatedResources: { cpu: '1' },
              },
            ],
          },
        },
      ),
      cpuUsage('2', '3'),
    ],
  ])('%s', (_, pod, expected) => {
    expect(usageOf(pods, pod)).toEqual({ 'count/pods': '1', pods: '1', ...expected });
  });

  const containers = [container(cpu('1'))];
  const deleting = (secondsAgo: number): corev1.Pod =>
    podOf(
      { containers },
      {
        metadata: {
          name: 'p',
          deletionTimestamp: new Date(NOW - secondsAgo * 1000).toISOString().replace('.000', ''),
          deletionGracePeriodSeconds: 30,
        },
      },
    );
  test.each<[string, corev1.Pod]>([
    ['has succeeded', podOf({ containers }, { status: { phase: 'Succeeded' } })],
    ['has failed', podOf({ containers }, { status: { phase: 'Failed' } })],
    ['should have gone long ago', deleting(31)],
  ])('is only its existence when it %s', (_, pod) => {
    expect(usageOf(pods, pod)).toEqual({ 'count/pods': '1' });
  });
  test('stays while it is stopping', () => {
    expect(usageOf(pods, deleting(30))).toMatchObject({ pods: '1' });
  });
});

test.each<[string, corev1.ServiceSpec, string, string]>([
  ['a cluster IP', { type: 'ClusterIP', ports: [{ port: 80 }] }, '0', '0'],
  ['node ports', { type: 'NodePort', ports: [{ port: 80 }, { port: 81 }] }, '2', '0'],
  ['a load balancer', { type: 'LoadBalancer', ports: [{ port: 80 }, { port: 81 }] }, '2', '1'],
  [
    'a load balancer without node ports, but for one that is asked for',
    {
      type: 'LoadBalancer',
      allocateLoadBalancerNodePorts: false,
      ports: [{ port: 80, nodePort: 30080 }, { port: 81 }],
    },
    '1',
    '1',
  ],
])('a service with %s', (_, spec, nodePorts, loadBalancers) => {
  expect(usageOf(services, { metadata: { name: 's' }, spec } as KubeObject)).toEqual({
    'count/services': '1',
    services: '1',
    'services.nodeports': nodePorts,
    'services.loadbalancers': loadBalancers,
  });
});

describe('what a claim uses', () => {
  const claimOf = (
    spec: corev1.PersistentVolumeClaimSpec,
    rest: Partial<corev1.PersistentVolumeClaim> = {},
  ): corev1.PersistentVolumeClaim => ({ metadata: { name: 'c' }, spec, ...rest });
  const storage = (amount: string) => ({ resources: { requests: { storage: amount } } });
  const GOLD = 'gold.storageclass.storage.k8s.io';

  test.each<[string, corev1.PersistentVolumeClaim, Readonly<Record<string, string>>]>([
    ['storage', claimOf(storage('10Gi')), { 'requests.storage': '10Gi' }],
    ['whole bytes', claimOf(storage('1500m')), { 'requests.storage': '2' }],
    [
      'storage of a class',
      claimOf({ ...storage('10Gi'), storageClassName: 'gold' }),
      {
        'requests.storage': '10Gi',
        [`${GOLD}/persistentvolumeclaims`]: '1',
        [`${GOLD}/requests.storage`]: '10Gi',
      },
    ],
    [
      'storage of a class, said in the old way',
      claimOf(storage('1Gi'), {
        metadata: { name: 'c', annotations: { 'volume.beta.kubernetes.io/storage-class': 'gold' } },
      }),
      {
        'requests.storage': '1Gi',
        [`${GOLD}/persistentvolumeclaims`]: '1',
        [`${GOLD}/requests.storage`]: '1Gi',
      },
    ],
    [
      'what was allocated already, if that is more',
      claimOf(storage('1Gi'), { status: { allocatedResources: { storage: '2Gi' } } }),
      { 'requests.storage': '2Gi' },
    ],
  ])('%s', (_, claim, expected) => {
    expect(usageOf(claims, claim)).toEqual({
      persistentvolumeclaims: '1',
      'count/persistentvolumeclaims': '1',
      ...expected,
    });
  });

  test('the classes of its attributes are those wanted, in force and on the way', () => {
    const claim = claimOf(
      { ...storage('1Gi'), volumeAttributesClassName: 'new' },
      { status: { currentVolumeAttributesClassName: 'old' } },
    );
    const matches = (operator: ScopeRequirement['operator'], ...values: string[]) =>
      claims.matchesScope?.({ scopeName: 'VolumeAttributesClass', operator, values }, claim);
    expect(matches('In', 'old')).toBe(true);
    expect(matches('In', 'new')).toBe(true);
    expect(matches('In', 'other')).toBe(false);
    expect(matches('NotIn', 'old')).toBe(true);
    expect(matches('Exists')).toBe(true);
    expect(matches('DoesNotExist')).toBe(false);
  });
});

test('a claim of devices uses the most that its alternatives want', () => {
  const claim = {
    metadata: { name: 'c' },
    spec: {
      devices: {
        requests: [
          { name: 'a', exactly: { deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 2 } },
          { name: 'b', exactly: { deviceClassName: 'nic', allocationMode: 'All' } },
          {
            name: 'c',
            firstAvailable: [
              { name: 'x', deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 1 },
              { name: 'y', deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 3 },
            ],
          },
        ],
      },
    },
  };
  expect(usageOf(resourceClaims, claim as KubeObject)).toEqual({
    'count/resourceclaims.resource.k8s.io': '1',
    'gpu.deviceclass.resource.k8s.io/devices': '5',
    'nic.deviceclass.resource.k8s.io/devices': '32',
  });
});

describe('scopes', () => {
  const plain = podOf({ containers: [container({})] });
  const demanding = podOf({ containers: [container(cpu('1'))] });
  const ending = podOf({ containers: [container({})], activeDeadlineSeconds: 0 });
  const important = podOf({ containers: [container({})], priorityClassName: 'high' });
  const zero = podOf({ containers: [container(cpu('0'))] });
  const guaranteed = podOf({ containers: [container({})] }, { status: { qosClass: 'Guaranteed' } });
  const term = { topologyKey: 'zone' };
  const local = podOf({
    affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } },
  });
  const elsewhere = podOf({
    affinity: {
      podAntiAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          { weight: 1, podAffinityTerm: { ...term, namespaces: ['b'] } },
        ],
      },
    },
  });
  const anywhere = podOf({
    affinity: {
      podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ ...term, namespaceSelector: {} }] },
    },
  });

  test.each<[string, Partial<corev1.ResourceQuotaSpec>, readonly corev1.Pod[], readonly corev1.Pod[]]>([
    ['none', {}, [plain, ending], []],
    ['Terminating', { scopes: ['Terminating'] }, [ending], [plain]],
    ['NotTerminating', { scopes: ['NotTerminating'] }, [plain], [ending]],
    ['BestEffort', { scopes: ['BestEffort'] }, [plain, zero], [demanding, guaranteed]],
    ['NotBestEffort', { scopes: ['NotBestEffort'] }, [demanding, guaranteed], [plain, zero]],
    ['PriorityClass', { scopes: ['PriorityClass'] }, [important], [plain]],
    [
      'CrossNamespacePodAffinity',
      { scopes: ['CrossNamespacePodAffinity'] },
      [elsewhere, anywhere],
      [plain, local],
    ],
    ['one that pods do not know', { scopes: ['VolumeAttributesClass'] }, [], [plain]],
    ['both of two', { scopes: ['BestEffort', 'NotTerminating'] }, [plain], [ending, demanding]],
    ['PriorityClass In', selector('PriorityClass', 'In', 'high'), [important], [plain]],
    ['PriorityClass In others', selector('PriorityClass', 'In', 'low'), [], [important, plain]],
    ['PriorityClass NotIn', selector('PriorityClass', 'NotIn', 'high'), [plain], [important]],
    ['PriorityClass Exists', selector('PriorityClass', 'Exists'), [important], [plain]],
    ['PriorityClass DoesNotExist', selector('PriorityClass', 'DoesNotExist'), [plain], [important]],
  ])('%s', (_, spec, inside, outside) => {
    const quota = { metadata: { name: 'q' }, spec };
    for (const pod of inside) expect(isInScope(pods, quota, pod)).toBe(true);
    for (const pod of outside) expect(isInScope(pods, quota, pod)).toBe(false);
  });

  test('are unknown to what has none', () => {
    const quota: corev1.ResourceQuota = { metadata: { name: 'q' }, spec: { scopes: ['NotTerminating'] } };
    expect(isInScope(services, quota, { metadata: { name: 's' } })).toBe(false);
  });

  function selector(
    scopeName: corev1.ResourceQuotaScope,
    operator: ScopeRequirement['operator'],
    ...values: string[]
  ): Partial<corev1.ResourceQuotaSpec> {
    return { scopeSelector: { matchExpressions: [{ scopeName, operator, values }] } };
  }
});

describe('what quotas demand of pods', () => {
  const ALL = ['cpu', 'limits.cpu', 'limits.memory', 'memory', 'pods', 'requests.cpu', 'requests.memory'];
  const named = (name: string, resources: Resources): corev1.Container => container(resources, { name });

  test.each<[readonly string[], Partial<corev1.PodSpec>, string | undefined]>([
    [['pods', 'requests.ephemeral-storage'], { containers: [named('a', {})] }, undefined],
    [['limits.cpu'], { containers: [named('a', cpu('1', '1')), named('b', cpu('1'))] }, 'limits.cpu for: b'],
    [
      ['memory', 'cpu'],
      { containers: [named('b', {}), named('a', {})], initContainers: [named('init', cpu('1'))] },
      'cpu for: a,b; memory for: a,b,init',
    ],
    [ALL, { containers: [named('a', {})], resources: cpu('1') }, undefined],
  ])('%s', (names, spec, lacking) => {
    expect(pods.lacks?.(names, podOf(spec))).toBe(
      lacking === undefined ? undefined : `must specify ${lacking}`,
    );
  });
});

test.each([
  [
    '',
    'pods',
    ['pods', 'count/pods', 'cpu', 'limits.memory', 'requests.example.com/gpu', 'hugepages-2Mi'],
    ['services', 'example.com/gpu', 'requests.storage', 'count/services'],
  ],
  ['', 'services', ['services', 'services.nodeports', 'count/services'], ['pods']],
  [
    '',
    'persistentvolumeclaims',
    ['requests.storage', 'x.storageclass.storage.k8s.io/requests.storage'],
    ['x.storageclass.storage.k8s.io/pods'],
  ],
  ['', 'secrets', ['secrets', 'count/secrets'], ['configmaps']],
  ['', 'serviceaccounts', ['count/serviceaccounts'], ['serviceaccounts']],
  ['apps', 'deployments', ['count/deployments.apps'], ['count/deployments', 'deployments.apps']],
  ['example.com', 'widgets', ['count/widgets.example.com'], ['count/widgets']],
] as const)('%s %s are counted as %j', (group, resource, counted, others) => {
  const evaluator = evaluatorOf(resource, group);
  for (const name of counted) expect([name, evaluator.counts(name)]).toEqual([name, true]);
  for (const name of others) expect([name, evaluator.counts(name)]).toEqual([name, false]);
});

test('events are not counted', () => {
  expect(quotaEvaluatorOf('', 'events')).toBeUndefined();
  expect(quotaEvaluatorOf('events.k8s.io', 'events')).toBeUndefined();
});
