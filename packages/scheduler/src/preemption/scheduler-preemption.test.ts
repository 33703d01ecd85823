import { corev1 } from '@k8ts/api';
import { serviceUnavailable } from '@k8ts/apimachinery';
import { createMetrics, seededRandom, silentLogger, VirtualClock } from '@k8ts/base';
import type { Metrics } from '@k8ts/base';
import { createEventRecorder, createInformerFactory } from '@k8ts/client';
import type { EventRecorder } from '@k8ts/client';
import { FakeApi } from '@k8ts/client/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startScheduler } from '../scheduler.ts';

let clock: VirtualClock;
let api: FakeApi;
let metrics: Metrics;
let scheduler: AsyncDisposable;
const disposables: AsyncDisposable[] = [];

beforeEach(async () => {
  clock = new VirtualClock();
  api = new FakeApi({ clock });
  metrics = createMetrics();
  const common = { client: api.client, clock, random: seededRandom(1), logger: silentLogger };
  const informers = createInformerFactory(common);
  const events: EventRecorder & AsyncDisposable = createEventRecorder({
    ...common,
    component: 'default-scheduler',
  });
  scheduler = startScheduler({ ...common, informers, events, metrics });
  disposables.push(scheduler, events, informers);
  await createNode('a');
});

afterEach(async () => {
  for (const each of disposables.splice(0)) await each[Symbol.asyncDispose]();
});

const pods = () => api.client.resource(corev1.pods, 'default');
const peek = (name: string): corev1.Pod | undefined => api.peek(corev1.pods, `default/${name}`);
const nodeOf = (name: string): string | undefined => peek(name)?.spec.nodeName;
const nominatedTo = (name: string): string | undefined => peek(name)?.status?.nominatedNodeName;
const condition = (name: string, type: string): corev1.PodCondition | undefined =>
  peek(name)?.status?.conditions?.find((each) => each.type === type);

async function createNode(name: string, cpu = '2'): Promise<void> {
  await api.client.resource(corev1.nodes).create({
    metadata: { name },
    spec: {},
    status: { allocatable: { cpu, memory: '4Gi', pods: '10' } },
  });
}

/** A pod that takes the whole node unless told otherwise. */
async function create(name: string, priority: number, spec: Partial<corev1.PodSpec> & { cpu?: string } = {}) {
  const { cpu = '2', ...rest } = spec;
  await pods().create({
    metadata: { name, namespace: 'default' },
    spec: {
      schedulerName: 'default-scheduler',
      priority,
      containers: [{ name: 'c', image: 'i', resources: { requests: { cpu } } }],
      ...rest,
    },
  });
  await clock.settle();
}

/** As its kubelet does when the containers have ended. */
async function finish(name: string): Promise<void> {
  await pods().delete(name, { gracePeriodSeconds: 0 });
  await clock.settle();
}

async function metric(name: string): Promise<string | undefined> {
  const line = (await metrics.text()).split('\n').find((each) => each.startsWith(`${name} `));
  return line?.slice(name.length + 1);
}

test('a pod of lower priority leaves, with reason and event, and the other takes its place when it is gone', async () => {
  await create('low', 1);
  expect(nodeOf('low')).toBe('a');
  await create('high', 100);
  expect(peek('low')?.metadata.deletionTimestamp).toBeDefined();
  expect(condition('low', 'DisruptionTarget')).toMatchObject({
    status: 'True',
    reason: 'PreemptionByScheduler',
    message: 'default-scheduler: preempting to accommodate a higher priority pod',
  });
  expect(nominatedTo('high')).toBe('a');
  expect(condition('high', 'PodScheduled')).toMatchObject({
    status: 'False',
    reason: 'Unschedulable',
    message: '0/1 nodes are available: 1 Insufficient cpu.',
  });
  const { uid } = peek('high')?.metadata ?? {};
  expect(api.all(corev1.events).filter(({ reason }) => reason === 'Preempted')).toMatchObject([
    {
      type: 'Normal',
      message: `Preempted by pod ${String(uid)} on node a`,
      action: 'Preempting',
      involvedObject: { kind: 'Pod', name: 'low' },
      related: { kind: 'Pod', name: 'high', uid },
    },
  ]);

  // It waits, however long that takes, and asks nobody else.
  await create('bystander', 1, { cpu: '0' });
  await clock.advance(5 * 60_000);
  expect(nodeOf('high')).toBeUndefined();
  expect(condition('high', 'PodScheduled')?.message).toBe(
    '0/1 nodes are available: 1 Insufficient cpu. ' +
      'preemption: not eligible due to a terminating pod on the nominated node.',
  );
  await finish('low');
  await clock.advance(10_000);
  expect(nodeOf('high')).toBe('a');
  expect(peek('bystander')?.metadata.deletionTimestamp).toBeUndefined();

  expect(Number(await metric('scheduler_preemption_attempts_total'))).toBeGreaterThan(1);
  expect(await metric('scheduler_preemption_victims_sum')).toBe('1');
  expect(await metric('scheduler_preemption_victims_count')).toBe('1');
  expect(await metric('scheduler_preemption_goroutines_execution_total{result="success"}')).toBe('1');
});

test('the room that is made is not taken by those of lower priority who come meanwhile', async () => {
  await create('low', 1);
  await create('high', 100);
  await finish('low');
  await create('quick', 1); // tried before the other's back-off is over
  expect([nodeOf('high'), nodeOf('quick')]).toEqual([undefined, undefined]);
  await clock.advance(1000);
  expect([nodeOf('high'), nodeOf('quick')]).toEqual(['a', undefined]);
});

test('a pod that is to preempt nobody says so', async () => {
  await create('low', 1);
  await create('high', 100, { preemptionPolicy: 'Never' });
  expect(peek('low')?.metadata.deletionTimestamp).toBeUndefined();
  expect(condition('high', 'PodScheduled')?.message).toBe(
    '0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.',
  );
  expect(nominatedTo('high')).toBeUndefined();
});

test('a node that is promised to one goes to a more important one, and the first looks elsewhere', async () => {
  await create('least', 1, { cpu: '500m' });
  await create('low', 2, { cpu: '1500m' });
  await create('high', 100, { cpu: '500m' });
  expect(peek('low')?.metadata.deletionTimestamp).toBeUndefined();
  expect(nominatedTo('high')).toBe('a');
  await create('higher', 1000);
  expect(peek('low')?.metadata.deletionTimestamp).toBeDefined();
  expect([nominatedTo('high'), nominatedTo('higher')]).toEqual([undefined, 'a']);
  await createNode('b', '1');
  await clock.advance(20_000);
  expect([nodeOf('high'), nodeOf('higher')]).toEqual(['b', undefined]);
  await finish('least');
  await finish('low');
  await clock.advance(20_000);
  expect(nodeOf('higher')).toBe('a');
});

test('when the promised node can no longer be had, the promise is taken back', async () => {
  await create('low', 1);
  await create('high', 100);
  const node = await api.client.resource(corev1.nodes).get('a');
  await api.client.resource(corev1.nodes).update({ ...node, spec: { unschedulable: true } });
  await clock.advance(20_000);
  expect(nominatedTo('high')).toBeUndefined();
  expect(condition('high', 'PodScheduled')?.message).toBe(
    '0/1 nodes are available: 1 node(s) were unschedulable. ' +
      'preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.',
  );
  await api.client
    .resource(corev1.nodes)
    .update({ ...(await api.client.resource(corev1.nodes).get('a')), spec: {} });
});

test('when the promised node is gone, the pod asks others elsewhere', async () => {
  await create('low', 1);
  await create('high', 100);
  expect(nominatedTo('high')).toBe('a');
  await createNode('b', '1');
  await create('least', 1, { cpu: '1' });
  expect(nodeOf('least')).toBe('b');
  await api.client.resource(corev1.nodes).delete('a');
  await clock.advance(1000);
  expect(nominatedTo('high')).toBeUndefined(); // b would be too small even without anybody
  await createNode('c');
  await clock.advance(20_000);
  expect(nodeOf('high')).toBe('c');
});

test('a deletion that fails is tried again by choosing again', async () => {
  let failures = 6;
  using _fault = api.intercept(({ method, path }) => {
    if (method === 'DELETE' && path.endsWith('/low') && failures-- > 0) throw serviceUnavailable('injected');
    return undefined;
  });
  await create('low', 1);
  await create('high', 100);
  expect(peek('low')?.metadata.deletionTimestamp).toBeUndefined();
  expect(await metric('scheduler_preemption_goroutines_execution_total{result="error"}')).toBe('1');
  await clock.advance(60_000);
  expect(peek('low')?.metadata.deletionTimestamp).toBeDefined();
});

test('nothing else is decided for a pod while its victims are being deleted', async () => {
  let open = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  using _slow = api.intercept(({ method, path }) =>
    method === 'DELETE' && path.endsWith('/low') ? gate.then(() => undefined) : undefined,
  );
  await create('low', 1);
  await create('high', 100);
  await createNode('b', '4');
  await clock.advance(60_000);
  expect(nodeOf('high')).toBeUndefined();
  expect(nominatedTo('high')).toBe('a');
  open();
  await clock.advance(1000);
  // Another node has come meanwhile: it need not wait for its victim.
  expect(nodeOf('high')).toBe('b');
});

test('whoever is deleted while others are being deleted for it gives the node back', async () => {
  let open = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  using _slow = api.intercept(({ method, path }) =>
    method === 'DELETE' && path.endsWith('/low') ? gate.then(() => undefined) : undefined,
  );
  await create('low', 1);
  await create('high', 100);
  await create('equal', 100, { cpu: '1', preemptionPolicy: 'Never' });
  await finish('high');
  open();
  await clock.settle();
  await finish('low');
  await clock.advance(20_000);
  expect(nodeOf('equal')).toBe('a');
});

test('after a new start it is known who waits for which node', async () => {
  await create('low', 1);
  await create('high', 100);
  await scheduler[Symbol.asyncDispose]();
  await finish('low');
  const common = { client: api.client, clock, random: seededRandom(2), logger: silentLogger };
  const informers = createInformerFactory(common);
  const events = createEventRecorder({ ...common, component: 'default-scheduler' });
  disposables.push(
    startScheduler({ ...common, informers, events, metrics: createMetrics() }),
    events,
    informers,
  );
  await create('quick', 1);
  await clock.advance(20_000);
  expect([nodeOf('high'), nodeOf('quick')]).toEqual(['a', undefined]);
});

test('a pod that came in the place of a victim stays', async () => {
  await create('low', 1);
  const { uid } = peek('low')?.metadata ?? {};
  let replaced = false;
  using _race = api.intercept(({ method, path }) => {
    if (method !== 'DELETE' || !path.endsWith('/low') || replaced) return undefined;
    replaced = true;
    return pods()
      .delete('low', { gracePeriodSeconds: 0 })
      .then(() => create('low', 1, { nodeName: 'a' }))
      .then(() => undefined);
  });
  await create('high', 100);
  expect(replaced).toBe(true);
  expect(peek('low')?.metadata.uid).not.toBe(uid);
  expect(peek('low')?.metadata.deletionTimestamp).toBeUndefined();
});

test('stopping in the middle ends', async () => {
  using _slow = api.intercept(({ method, path, signal }) =>
    method === 'DELETE' && path.endsWith('/low')
      ? new Promise((_resolve, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason as Error));
        })
      : undefined,
  );
  await create('low', 1);
  await create('high', 100);
  await scheduler[Symbol.asyncDispose]();
  expect(peek('low')?.metadata.deletionTimestamp).toBeUndefined();
});

test('a message that is longer than an event takes is cut off there, but not in the condition', async () => {
  const resources = {
    requests: Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`example.com/r${String(i)}`, '1'])),
  };
  await create('greedy', 1, { containers: [{ name: 'c', image: 'i', resources }] });
  const [event] = api.all(corev1.events).filter(({ reason }) => reason === 'FailedScheduling');
  expect(event?.message).toHaveLength(1024);
  expect(event?.message?.endsWith(' ...')).toBe(true);
  expect(condition('greedy', 'PodScheduled')?.message?.length).toBeGreaterThan(1024);
});
