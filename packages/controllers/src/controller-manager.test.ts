import { appsv1, coordinationv1, corev1, discoveryv1 } from '@k8ts/api';
import type { rbacv1 } from '@k8ts/api';
import { forbidden } from '@k8ts/apimachinery';
import { VirtualClock, createMetrics, seededRandom, silentLogger } from '@k8ts/base';
import { createClient } from '@k8ts/client';
import type { ApiRequest, Client, Transport } from '@k8ts/client';
import { FakeApi } from '@k8ts/client/testing';
import { describe, expect, it } from 'vitest';

import type { ControllerDefinition } from './contract.ts';
import { runControllerManager } from './controller-manager.ts';
import type { ControllerManagerOptions } from './controller-manager.ts';
import { controllerPermissions } from './controller-permissions.ts';
import { controllerRegistry } from './controller-registry.ts';
import { runPods } from './testing/pod-runner.ts';

const VERBS: Readonly<Record<string, string>> = { POST: 'create', PUT: 'update', PATCH: 'patch' };

/** What a request needs, as RBAC sees it; undefined for discovery, which everybody may read. */
function needed({
  method,
  path,
  query,
}: ApiRequest): { verb: string; group: string; resource: string } | undefined {
  const parts = path.split('/').slice(1);
  const [group, rest] = parts[0] === 'api' ? ['', parts.slice(2)] : [parts[1] ?? '', parts.slice(3)];
  if (rest.length === 0) return undefined;
  const inNamespace =
    rest[0] === 'namespaces' && rest.length > 2 && rest[2] !== 'finalize' && rest[2] !== 'status';
  const [resource = '', name, subresource] = inNamespace ? rest.slice(2) : rest;
  const single = name !== undefined;
  const verb =
    VERBS[method] ??
    (method === 'DELETE'
      ? single
        ? 'delete'
        : 'deletecollection'
      : query?.['watch'] === 'true'
        ? 'watch'
        : single
          ? 'get'
          : 'list');
  return { verb, group, resource: subresource === undefined ? resource : `${resource}/${subresource}` };
}

function allows(rules: readonly rbacv1.PolicyRule[], request: ApiRequest): boolean {
  const need = needed(request);
  if (need === undefined) return true;
  const has = (list: readonly string[] | undefined, value: string): boolean =>
    list?.includes(value) === true || list?.includes('*') === true;
  return rules.some(
    ({ verbs, apiGroups, resources }) =>
      has(verbs, need.verb) && has(apiGroups, need.group) && has(resources, need.resource),
  );
}

/** The API as a controller's service account sees it: what its role does not allow is refused and noted. */
function restricted(api: FakeApi, account: string, refused: string[]): Client {
  const rules = controllerPermissions.find(({ name }) => name === account)?.rules ?? [];
  const check = (request: ApiRequest): void => {
    if (allows(rules, request)) return;
    refused.push(`${account}: ${request.method} ${request.path}`);
    throw forbidden({ group: '', resource: '' }, '', 'role');
  };
  const transport: Transport = {
    request: async (request) => {
      check(request);
      return api.request(request);
    },
    watch: async (request) => {
      check(request);
      return api.watch(request);
    },
  };
  return createClient(transport);
}

function managerOptions(api: FakeApi, clock: VirtualClock): ControllerManagerOptions {
  return {
    client: api.client,
    clock,
    random: seededRandom(3),
    logger: silentLogger,
    metrics: createMetrics(),
  };
}

describe('the controller manager', () => {
  it('has controllers of different names, queues and service accounts of their own', () => {
    const names = controllerRegistry.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(new Set(controllerRegistry.map(({ queue }) => queue)).size).toBe(names.length);
    for (const { name, rules } of controllerPermissions) {
      expect(name).toMatch(/^[a-z-]+$/);
      expect(rules.length).toBeGreaterThan(0);
    }
  });

  it('runs an application from its making to its end, each controller with no more than its role allows', async () => {
    const clock = new VirtualClock();
    const api = new FakeApi({ clock });
    const stop = new AbortController();
    const refused: string[] = [];
    let ready = false;
    const running = runControllerManager(
      {
        ...managerOptions(api, clock),
        clientFor: (account) => restricted(api, account, refused),
        options: { rootCA: 'CERT', signServiceAccountToken: () => Promise.resolve('token') },
        onReady: () => (ready = true),
      },
      stop.signal,
    );
    const pods = runPods(api, clock, stop.signal);
    await clock.settle();
    expect(ready).toBe(true);

    const { client } = api;
    for (const name of ['node-1', 'node-2'])
      api.seed(corev1.nodes, {
        metadata: { name },
        spec: {},
        status: {
          conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: '2026-01-01T00:00:00Z' }],
        },
      });
    await client.resource(corev1.namespaces).create({ metadata: { name: 'shop' }, spec: {} });
    const selector = { app: 'web' };
    const template = (image: string) => ({
      metadata: { labels: selector },
      spec: { containers: [{ name: 'c', image }] },
    });
    const deployments = client.resource(appsv1.deployments, 'shop');
    await deployments.create({
      metadata: { name: 'web' },
      spec: {
        replicas: 3,
        selector: { matchLabels: selector },
        template: template('v1'),
        progressDeadlineSeconds: 600,
      },
    });
    await client.resource(corev1.services, 'shop').create({
      metadata: { name: 'web' },
      spec: { selector, clusterIP: '10.0.0.1', ipFamilies: ['IPv4'], ports: [{ port: 80 }] },
    });
    await clock.advance(10_000);
    expect(api.peek(appsv1.deployments, 'shop/web')?.status?.availableReplicas).toBe(3);
    expect(api.peek(corev1.serviceAccounts, 'shop/default')).toBeDefined();
    expect(api.peek(corev1.configMaps, 'shop/kube-root-ca.crt')).toBeDefined();

    const current = await deployments.get('web');
    await deployments.update({ ...current, spec: { ...current.spec, template: template('v2') } });
    await clock.advance(20_000);
    expect(new Set(api.all(corev1.pods).map(({ spec }) => spec.containers[0]?.image))).toEqual(
      new Set(['v2']),
    );
    expect(api.all(discoveryv1.endpointSlices)).toHaveLength(1);

    // No heartbeats any more: both nodes fall silent, which must not lead to evictions.
    await clock.advance(120_000);
    expect(api.all(corev1.pods).every(({ metadata }) => metadata.deletionTimestamp === undefined)).toBe(true);

    await client.resource(corev1.namespaces).delete('shop');
    await clock.advance(60_000);
    expect(api.peek(corev1.namespaces, 'shop')).toBeUndefined();
    for (const type of [
      appsv1.deployments,
      appsv1.replicaSets,
      corev1.pods,
      corev1.services,
      discoveryv1.endpointSlices,
    ])
      expect(api.all<never>(type as never)).toEqual([]);
    expect(refused).toEqual([]);

    stop.abort();
    await Promise.all([running, pods]);
    expect(api.watcherCount).toBe(0);
  });

  it('starts only with leadership, and leaves nothing running when it is lost', async () => {
    const clock = new VirtualClock();
    const api = new FakeApi({ clock });
    const start = (identity: string, signal: AbortSignal) => {
      const options = managerOptions(api, clock);
      return { options, ended: runControllerManager({ ...options, leaderElection: { identity } }, signal) };
    };
    const [first, second] = [new AbortController(), new AbortController()];
    const leader = start('a', first.signal);
    await clock.settle();
    const watchers = api.watcherCount;
    expect(watchers).toBeGreaterThan(0);
    const standby = start('b', second.signal);
    await clock.advance(30_000);
    expect(await standby.options.metrics.text()).toContain(
      'leader_election_master_status{name="kube-controller-manager"} 0',
    );
    expect(await leader.options.metrics.text()).toContain(
      'leader_election_master_status{name="kube-controller-manager"} 1',
    );
    expect(api.peek(coordinationv1.leases, 'kube-system/kube-controller-manager')?.spec?.holderIdentity).toBe(
      'a',
    );
    first.abort();
    await leader.ended;
    expect(api.watcherCount).toBe(0);
    await clock.advance(10_000);
    expect(api.peek(coordinationv1.leases, 'kube-system/kube-controller-manager')?.spec?.holderIdentity).toBe(
      'b',
    );
    expect(api.watcherCount).toBeGreaterThan(0);
    second.abort();
    await standby.ended;
    expect(api.watcherCount).toBe(0);
  });

  describe('a reconcile that fails', () => {
    async function failing(
      maxRetries: number | undefined,
      run: (clock: VirtualClock, calls: number[], api: FakeApi) => Promise<void>,
    ) {
      const clock = new VirtualClock();
      const api = new FakeApi({ clock });
      const calls: number[] = [];
      const stop = new AbortController();
      const definition: ControllerDefinition = {
        name: 'test',
        account: 'test',
        permissions: [],
        queue: 'test',
        workers: 2,
        maxRetries,
        eventSource: 'test',
        create: ({ informers, queue }) => {
          informers.of(corev1.configMaps).addHandler({ added: ({ metadata }) => queue.add(metadata.name) });
          return {
            reconcile: () => {
              calls.push(clock.monotonic());
              return Promise.reject(new Error('no'));
            },
          };
        },
      };
      api.seed(corev1.configMaps, { metadata: { name: 'a', namespace: 'default' } });
      const ended = runControllerManager(
        { ...managerOptions(api, clock), controllers: [definition] },
        stop.signal,
      );
      await clock.settle();
      await run(clock, calls, api);
      stop.abort();
      await ended;
    }

    it('is tried again after a growing wait', async () => {
      await failing(undefined, async (clock, calls) => {
        await clock.advance(60_000);
        expect(calls.slice(0, 6)).toEqual([0, 5, 15, 35, 75, 155]);
        expect(calls.length).toBeGreaterThan(10);
      });
    });

    it('is given up after so many times, until something changes', async () => {
      await failing(3, async (clock, calls, api) => {
        await clock.advance(600_000);
        expect(calls).toHaveLength(4);
        api.seed(corev1.configMaps, { metadata: { name: 'b', namespace: 'default' } });
        await clock.advance(1);
        expect(calls).toHaveLength(5);
      });
    });
  });

  it('ends at once when it is stopped before its informers have synced', async () => {
    const clock = new VirtualClock();
    const api = new FakeApi({ clock });
    api.intercept(
      ({ signal }) =>
        new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error))),
    );
    const stop = new AbortController();
    const ended = runControllerManager(managerOptions(api, clock), stop.signal);
    await clock.settle();
    stop.abort();
    await ended;
    expect(api.watcherCount).toBe(0);
  });
});
