import { corev1 } from '@k8ts/api';
import { conflict } from '@k8ts/apimachinery';
import { createMetrics, seededRandom, silentLogger, VirtualClock } from '@k8ts/base';
import { createEventRecorder, createInformerFactory } from '@k8ts/client';
import type { EventRecorder } from '@k8ts/client';
import { FakeApi } from '@k8ts/client/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startScheduler } from './scheduler.ts';

const NO_ROOM =
  '0/1 nodes are available: 1 Insufficient cpu. ' +
  'preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.';

let clock: VirtualClock;
let api: FakeApi;
const disposables: AsyncDisposable[] = [];

beforeEach(() => {
  clock = new VirtualClock();
  api = new FakeApi({ clock });
  const common = { client: api.client, clock, random: seededRandom(1), logger: silentLogger };
  const informers = createInformerFactory(common);
  const events: EventRecorder & AsyncDisposable = createEventRecorder({
    ...common,
    component: 'default-scheduler',
  });
  const scheduler = startScheduler({ ...common, informers, events, metrics: createMetrics() });
  disposables.push(scheduler, events, informers);
});

afterEach(async () => {
  for (const each of disposables.splice(0)) await each[Symbol.asyncDispose]();
});

async function createNode(name: string, cpu = '2', spec: corev1.NodeSpec = {}): Promise<void> {
  await api.client.resource(corev1.nodes).create({
    metadata: { name },
    spec,
    status: { allocatable: { cpu, memory: '4Gi', pods: '10' } },
  });
}

function newPod(name: string, spec: Partial<corev1.PodSpec> = {}): corev1.Pod {
  const resources = { requests: { cpu: '1' } };
  return {
    metadata: { name, namespace: 'default' },
    spec: { schedulerName: 'default-scheduler', containers: [{ name: 'c', image: 'i', resources }], ...spec },
  };
}

const pods = () => api.client.resource(corev1.pods, 'default');
const nodeOf = async (name: string): Promise<string | undefined> => (await pods().get(name)).spec.nodeName;

test('pods go to nodes with room; those that find none say why, and go when room is made', async () => {
  await createNode('a');
  for (const name of ['one', 'two', 'three']) await pods().create(newPod(name));
  await clock.settle();
  expect([await nodeOf('one'), await nodeOf('two'), await nodeOf('three')]).toEqual(['a', 'a', undefined]);
  const waiting = await pods().get('three');
  expect(waiting.status?.conditions).toMatchObject([
    {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message: NO_ROOM,
    },
  ]);
  const { items } = await api.client.resource(corev1.events, 'default').list();
  expect(items.map(({ reason, message }) => [reason, message])).toEqual([
    ['Scheduled', 'Successfully assigned default/one to a'],
    ['FailedScheduling', NO_ROOM],
    ['Scheduled', 'Successfully assigned default/two to a'],
  ]);

  await pods().delete('one', { gracePeriodSeconds: 0 });
  await clock.advance(1000); // its back-off
  expect(await nodeOf('three')).toBe('a');
});

test('a new node is used at once by pods out of their back-off', async () => {
  await pods().create(newPod('early'));
  await clock.advance(5000);
  await createNode('late');
  await clock.settle();
  expect(await nodeOf('early')).toBe('late');
});

test('uncordoning wakes what the cordon refused', async () => {
  await createNode('a', '2', { unschedulable: true });
  await pods().create(newPod('p'));
  await clock.advance(5000);
  const node = await api.client.resource(corev1.nodes).get('a');
  await api.client.resource(corev1.nodes).update({ ...node, spec: {} });
  await clock.settle();
  expect(await nodeOf('p')).toBe('a');
});

test('the higher priority goes first', async () => {
  await pods().create(
    newPod('low', {
      priority: 1,
      containers: [{ name: 'c', image: 'i', resources: { requests: { cpu: '2' } } }],
    }),
  );
  await pods().create(
    newPod('high', {
      priority: 9,
      containers: [{ name: 'c', image: 'i', resources: { requests: { cpu: '2' } } }],
    }),
  );
  await clock.advance(5000);
  await createNode('a');
  await clock.settle();
  expect([await nodeOf('high'), await nodeOf('low')]).toEqual(['a', undefined]);
});

test('gates hold a pod, and other schedulers keep theirs', async () => {
  await createNode('a');
  await pods().create(newPod('gated', { schedulingGates: [{ name: 'wait' }] }));
  await pods().create(newPod('theirs', { schedulerName: 'other' }));
  await clock.advance(60_000);
  expect([await nodeOf('gated'), await nodeOf('theirs')]).toEqual([undefined, undefined]);
  const gated = await pods().get('gated');
  await pods().update({ ...gated, spec: { ...gated.spec, schedulingGates: [] } });
  await clock.settle();
  expect(await nodeOf('gated')).toBe('a');
});

test('a binding that fails is tried again, and takes no room meanwhile', async () => {
  await createNode('a');
  let failures = 2;
  using _fault = api.intercept(({ path }) => {
    if (path.endsWith('/binding') && failures-- > 0)
      throw conflict({ group: '', resource: 'pods' }, 'p', 'injected');
    return undefined;
  });
  await pods().create(
    newPod('p', { containers: [{ name: 'c', image: 'i', resources: { requests: { cpu: '2' } } }] }),
  );
  await clock.settle();
  expect(await nodeOf('p')).toBeUndefined();
  await clock.advance(1000);
  expect(await nodeOf('p')).toBeUndefined();
  await clock.advance(2000);
  expect(await nodeOf('p')).toBe('a');
});

test('nobody waits for ever, even if an event was missed', async () => {
  await createNode('a', '0');
  await pods().create(newPod('p'));
  await clock.advance(60_000);
  const attempts = api.requests.length;
  await clock.advance(5 * 60_000);
  expect(api.requests.length).toBeGreaterThan(attempts); // tried again: its event is counted up
});
