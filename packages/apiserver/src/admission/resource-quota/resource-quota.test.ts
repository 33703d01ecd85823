import { appsv1, corev1, type KubeObject, type New, type ResourceType } from '@k8ts/api';
import { StatusError } from '@k8ts/apimachinery';
import { realClock, silentLogger } from '@k8ts/base';
import { createClient, type Client } from '@k8ts/client';
import { createMemoryStore } from '@k8ts/store';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { builtinStrategies } from '../../registry/builtin-strategies.ts';
import type { ApiServerOptions } from '../../server-options.ts';
import { laggingStore } from '../../testing/lagging-store.ts';
import { createTestServer, type TestServer } from '../../testing/test-server.ts';
import type { AdmissionPlugin } from '../contract.ts';
import { resourceQuota } from './resource-quota.ts';

type List = Readonly<Record<string, string>>;

let server: TestServer;
let client: Client;
/** Of each request that the plugin saw, whether it had to wait. */
let waited: boolean[];

async function start(options: Partial<ApiServerOptions> = {}): Promise<TestServer> {
  const started = await createTestServer({ strategies: builtinStrategies(), ...options }, (objects) => {
    const plugin = resourceQuota({
      objects,
      clock: realClock,
      registry: () => Promise.resolve(started.server.registry),
    });
    const observed: AdmissionPlugin = {
      ...plugin,
      validate(attributes) {
        const pending = plugin.validate?.(attributes);
        waited.push(pending !== undefined);
        return pending;
      },
    };
    return { admission: [observed] };
  });
  return started;
}

beforeEach(async () => {
  waited = [];
  server = await start();
  client = createClient(server.transport);
  for (const name of ['a', 'b']) await client.resource(corev1.namespaces).create(named(name) as never);
});
afterEach(() => server[Symbol.asyncDispose]());

function named(name: string): { metadata: { name: string } } {
  return { metadata: { name } };
}

/** A quota as its controller leaves it: with nothing used, unless something is. */
async function limit(
  hard: List,
  { used, name = 'q', ...spec }: Partial<corev1.ResourceQuotaSpec> & { used?: List; name?: string } = {},
): Promise<void> {
  const quotas = client.resource(corev1.resourceQuotas, 'a');
  const quota = await quotas.create({ metadata: { name }, spec: { ...spec, hard } });
  const nothing = Object.fromEntries(Object.keys(hard).map((each) => [each, '0']));
  await quotas.updateStatus({ ...quota, status: { hard, used: used ?? nothing } });
}

const usedOf = async (name = 'q'): Promise<List | undefined> =>
  (await client.resource(corev1.resourceQuotas, 'a').get(name)).status?.used;

function podOf(
  name: string,
  resources: corev1.ResourceRequirements = {},
  spec: Partial<corev1.PodSpec> = {},
): New<corev1.Pod> {
  return { metadata: { name }, spec: { containers: [{ name: 'c', image: 'i', resources }], ...spec } };
}

async function refusal(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (error instanceof StatusError && error.status.code === 403) return error.message;
    throw error;
  }
  throw new Error('it was not refused');
}

const create = <T extends KubeObject>(type: ResourceType<T>, object: New<T>, dryRun = false): Promise<T> =>
  client.resource(type, 'a').create(object, { dryRun });

describe('creations', () => {
  test.each<
    [string, List, Partial<corev1.ResourceQuotaSpec> & { used?: List }, New<corev1.Pod>, List | string]
  >([
    [
      'fit',
      { pods: '2', cpu: '1' },
      { used: { pods: '1', cpu: '250m' } },
      podOf('p', { requests: { cpu: '750m' } }),
      { pods: '2', cpu: '1' },
    ],
    [
      'too many',
      { pods: '1' },
      { used: { pods: '1' } },
      podOf('p'),
      'exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1',
    ],
    [
      'too large, in more than one way',
      { pods: '9', 'limits.cpu': '2', memory: '1Gi' },
      { used: { pods: '3', 'limits.cpu': '1500m', memory: '512Mi' } },
      podOf('p', { requests: { memory: '768Mi' }, limits: { cpu: '1' } }),
      'exceeded quota: q, requested: limits.cpu=1,memory=768Mi, used: limits.cpu=1500m,memory=512Mi, limited: limits.cpu=2,memory=1Gi',
    ],
    [
      'above a quota that others exceed already',
      { pods: '5', secrets: '1' },
      { used: { pods: '1', secrets: '7' } },
      podOf('p'),
      { pods: '2', secrets: '7' },
    ],
    [
      'without what is limited',
      { 'limits.cpu': '1' },
      {},
      podOf('p', { requests: { cpu: '1' } }),
      'failed quota: q: must specify limits.cpu for: c',
    ],
    [
      'before anything was counted',
      { pods: '1', cpu: '1' },
      { used: { cpu: '0' } },
      podOf('p', { requests: { cpu: '1' } }),
      'status unknown for quota: q, resources: cpu,pods',
    ],
    [
      'extended resources',
      { 'requests.example.com/gpu': '1' },
      {},
      podOf('p', { requests: { 'example.com/gpu': '2' }, limits: { 'example.com/gpu': '2' } }),
      'exceeded quota: q, requested: requests.example.com/gpu=2, used: requests.example.com/gpu=0, limited: requests.example.com/gpu=1',
    ],
    ['in another scope', { pods: '0' }, { scopes: ['Terminating'] }, podOf('p'), { pods: '0' }],
    [
      'in the scope',
      { pods: '0' },
      { scopes: ['Terminating'] },
      podOf('p', {}, { activeDeadlineSeconds: 5 }),
      'exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0',
    ],
  ])('of pods: %s', async (_, hard, rest, pod, expected) => {
    await limit(hard, rest);
    const creation = create(corev1.pods, pod);
    if (typeof expected === 'string') {
      expect(await refusal(creation)).toBe(`pods "p" is forbidden: ${expected}`);
      return;
    }
    await creation;
    expect(await usedOf()).toEqual(expected);
  });

  test.each<[string, ResourceType<KubeObject>, object]>([
    ['count/secrets', corev1.secrets, named('x')],
    ['secrets', corev1.secrets, named('x')],
    ['configmaps', corev1.configMaps, named('x')],
    ['count/serviceaccounts', corev1.serviceAccounts, named('x')],
    ['resourcequotas', corev1.resourceQuotas, { ...named('x'), spec: {} }],
    [
      'count/replicasets.apps',
      appsv1.replicaSets,
      {
        ...named('x'),
        spec: {
          selector: { matchLabels: { a: 'b' } },
          template: { metadata: { labels: { a: 'b' } }, spec: podOf('p').spec },
        },
      },
    ],
  ])('counted as %s', async (name, type, object) => {
    await limit({ [name]: '1' });
    await create(type, object as New<KubeObject>);
    expect(await usedOf()).toEqual({ [name]: '1' });
    const second = { ...object, metadata: { name: 'y' } } as New<KubeObject>;
    expect(await refusal(create(type, second))).toBe(
      `${type.group === '' ? type.resource : `${type.resource}.${type.group}`} "y" is forbidden: exceeded quota: q, requested: ${name}=1, used: ${name}=1, limited: ${name}=1`,
    );
  });

  test('have to fit every quota, and are charged to all of them or none', async () => {
    await limit({ pods: '5' }, { name: 'wide' });
    await limit({ pods: '1' }, { name: 'narrow' });
    await create(corev1.pods, podOf('p'));
    expect(await refusal(create(corev1.pods, podOf('p2')))).toContain('exceeded quota: narrow');
    expect([await usedOf('wide'), await usedOf('narrow')]).toEqual([{ pods: '1' }, { pods: '1' }]);
  });

  test('on trial are refused, and charged to nobody', async () => {
    await limit({ pods: '1' });
    await create(corev1.pods, podOf('p'), true);
    expect(await usedOf()).toEqual({ pods: '0' });
    await create(corev1.pods, podOf('p'));
    expect(await refusal(create(corev1.pods, podOf('p2'), true))).toContain('exceeded quota');
  });

  test('where there is no quota, or none that is concerned, wait for nothing', async () => {
    await create(corev1.pods, podOf('p'));
    await client.resource(corev1.secrets, 'b').create(named('s'));
    await limit({ pods: '1' }, { used: { pods: '1' } });
    await create(corev1.secrets, named('s'));
    expect(waited).toEqual(waited.map(() => false));
    expect(waited.length).toBeGreaterThan(2);
  });
});

describe('updates', () => {
  test('of a service are charged what is more than before', async () => {
    await limit({ services: '1', 'services.nodeports': '3', 'services.loadbalancers': '0' });
    const services = client.resource(corev1.services, 'a');
    const ports = (...numbers: readonly number[]): corev1.ServicePort[] =>
      numbers.map((port) => ({ name: `p${port}`, port }));
    let service = await services.create({ metadata: { name: 's' }, spec: { ports: ports(80) }, status: {} });
    expect(await usedOf()).toMatchObject({ services: '1', 'services.nodeports': '0' });
    service = await services.update({ ...service, spec: { ...service.spec, type: 'NodePort' } });
    expect(await usedOf()).toMatchObject({ services: '1', 'services.nodeports': '1' });
    service = await services.update({ ...service, spec: { ...service.spec, ports: ports(80, 81, 82) } });
    expect(await usedOf()).toMatchObject({ 'services.nodeports': '3' });
    expect(
      await refusal(services.update({ ...service, spec: { ...service.spec, ports: ports(80, 81, 82, 83) } })),
    ).toBe(
      'services "s" is forbidden: exceeded quota: q, requested: services.nodeports=1, used: services.nodeports=3, limited: services.nodeports=3',
    );
    expect(
      await refusal(services.update({ ...service, spec: { ...service.spec, type: 'LoadBalancer' } })),
    ).toContain('requested: services.loadbalancers=1, used: services.loadbalancers=0');
    // Less is given back by the controller.
    await services.update({ ...service, spec: { ...service.spec, ports: ports(80) } });
    expect(await usedOf()).toMatchObject({ 'services.nodeports': '3' });
  });

  test('of a claim are charged what it grows by', async () => {
    await limit({ persistentvolumeclaims: '1', 'requests.storage': '10Gi' });
    const claims = client.resource(corev1.persistentVolumeClaims, 'a');
    const claimOf = (storage: string): New<corev1.PersistentVolumeClaim> => ({
      metadata: { name: 'c' },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage } }, storageClassName: 'x' },
    });
    const claim = await claims.create(claimOf('4Gi'));
    const bound = await claims.updateStatus({ ...claim, status: { phase: 'Bound' } });
    const grow = (storage: string): Promise<unknown> =>
      claims.patch('c', { spec: { resources: { requests: { storage } } } }, { type: 'merge' });
    expect(bound.status?.phase).toBe('Bound');
    await grow('7Gi');
    expect(await usedOf()).toEqual({ persistentvolumeclaims: '1', 'requests.storage': '7Gi' });
    expect(await refusal(grow('11Gi'))).toBe(
      'persistentvolumeclaims "c" is forbidden: exceeded quota: q, requested: requests.storage=4Gi, used: requests.storage=7Gi, limited: requests.storage=10Gi',
    );
  });

  test('that give a pod an end move it into another quota', async () => {
    await limit({ pods: '1' }, { name: 'ending', scopes: ['Terminating'] });
    await limit({ pods: '1' }, { name: 'lasting', scopes: ['NotTerminating'] });
    await create(corev1.pods, podOf('p'));
    await client
      .resource(corev1.pods, 'a')
      .patch('p', { spec: { activeDeadlineSeconds: 60 } }, { type: 'merge' });
    expect([await usedOf('ending'), await usedOf('lasting')]).toEqual([{ pods: '1' }, { pods: '1' }]);
    await create(corev1.secrets, named('s'));
  });

  test('of a pod that is resized are charged what it grows by', async () => {
    await limit({ cpu: '2' });
    await create(corev1.pods, podOf('p', { requests: { cpu: '1' } }));
    const resize = (cpu: string): Promise<unknown> =>
      client
        .resource(corev1.pods, 'a')
        .patch(
          'p',
          { spec: { containers: [{ name: 'c', resources: { requests: { cpu } } }] } },
          { type: 'strategic', subresource: 'resize' },
        );
    await resize('1500m');
    expect(await usedOf()).toEqual({ cpu: '1500m' });
    expect(await refusal(resize('3'))).toBe(
      'pods "p" is forbidden: exceeded quota: q, requested: cpu=1500m, used: cpu=1500m, limited: cpu=2',
    );
  });

  test('of what is only counted are charged nothing', async () => {
    await limit({ secrets: '1' });
    const secret = await create(corev1.secrets, named('s'));
    await client.resource(corev1.secrets, 'a').update({ ...secret, data: { a: 'Yg==' } });
    expect(await usedOf()).toEqual({ secrets: '1' });
  });
});

describe('many at once', () => {
  test('never exceed a quota, and use exactly what was made', async () => {
    await limit({ pods: '40', cpu: '30' }, { name: 'one' });
    await limit({ 'count/pods': '35' }, { name: 'two' });
    const pods = client.resource(corev1.pods, 'a');
    const outcomes = await Promise.allSettled(
      Array.from({ length: 200 }, (_, i) =>
        pods.create(podOf(`p${i}`, { requests: { cpu: i % 2 === 0 ? '500m' : '1500m' } })),
      ),
    );
    const { items } = await pods.list();
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(items.length);
    const cpu = items.reduce(
      (sum, { spec }) => sum + (spec.containers[0]?.resources?.requests?.['cpu'] === '500m' ? 500 : 1500),
      0,
    );
    expect(cpu).toBeLessThanOrEqual(30_000);
    expect(cpu).toBeGreaterThan(28_000);
    const one = await usedOf('one');
    expect(one?.['pods']).toBe(String(items.length));
    expect(one?.['cpu']).toBe(cpu % 1000 === 0 ? String(cpu / 1000) : `${cpu}m`);
    expect(await usedOf('two')).toEqual({ 'count/pods': String(items.length) });
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') expect(String(outcome.reason)).toContain('exceeded quota');
  });

  test('are charged while others write the same quota', async () => {
    await limit({ secrets: '50' });
    const quotas = client.resource(corev1.resourceQuotas, 'a');
    let isOver = false;
    const disturb = async (): Promise<void> => {
      for (let i = 0; !isOver; i++)
        await quotas.patch('q', { metadata: { labels: { i: String(i) } } }, { type: 'merge' });
    };
    const disturbance = disturb();
    const creations = await Promise.allSettled(
      Array.from({ length: 100 }, (_, i) => create(corev1.secrets, named(`s${i}`))),
    );
    isOver = true;
    await disturbance;
    expect(creations.filter(({ status }) => status === 'fulfilled')).toHaveLength(50);
    expect(await usedOf()).toEqual({ secrets: '50' });
    expect((await client.resource(corev1.secrets, 'a').list()).items).toHaveLength(50);
  });

  test('at several servers, none of which knows the newest state, exceed nothing either', async () => {
    await using store = createMemoryStore({ clock: realClock, logger: silentLogger });
    await using one = await start({ store: laggingStore(store, 20) });
    await using other = await start({ store: laggingStore(store, 20) });
    client = createClient(one.transport);
    await client.resource(corev1.namespaces).create(named('a') as never);
    await limit({ secrets: '30' });
    await new Promise((resolve) => setTimeout(resolve, 100)); // both have seen the quota
    const clients = [one, other].map(({ transport }) => createClient(transport));
    const creations = await Promise.allSettled(
      Array.from({ length: 100 }, (_, i) =>
        (clients[i % 2] as Client).resource(corev1.secrets, 'a').create(named(`s${i}`)),
      ),
    );
    expect(creations.filter(({ status }) => status === 'fulfilled')).toHaveLength(30);
    expect(await usedOf()).toEqual({ secrets: '30' });
  });

  test('go on when the quota is deleted meanwhile', async () => {
    await limit({ secrets: '10' });
    const creations = Array.from({ length: 20 }, (_, i) =>
      create(corev1.secrets, named(`s${i}`)).catch((error: unknown) => {
        expect(String(error)).toContain('exceeded quota');
      }),
    );
    await client.resource(corev1.resourceQuotas, 'a').delete('q');
    await Promise.all(creations);
    await create(corev1.secrets, named('last'));
  });
});
