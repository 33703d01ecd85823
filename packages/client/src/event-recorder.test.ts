import { corev1 } from '@k8ts/api';
import { VirtualClock, seededRandom, silentLogger } from '@k8ts/base';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { ObjectIdentity } from './contract.ts';
import { createEventRecorder } from './event-recorder.ts';
import { FakeApi } from './testing/fake-api.ts';

const web: ObjectIdentity = {
  apiVersion: 'v1',
  kind: 'Pod',
  namespace: 'default',
  name: 'web',
  uid: 'u1',
  fieldPath: 'spec.containers{web}',
};

let clock: VirtualClock;
let api: FakeApi;
let recorder: ReturnType<typeof createEventRecorder>;

beforeEach(() => {
  clock = new VirtualClock();
  api = new FakeApi({ clock });
  recorder = createEventRecorder({
    client: api.client,
    clock,
    random: seededRandom(1),
    logger: silentLogger,
    component: 'kubelet',
    host: 'node-1',
  });
});

afterEach(() => recorder[Symbol.asyncDispose]());

const events = () => api.all(corev1.events);

describe('event recorder', () => {
  it("writes upstream's fields", async () => {
    recorder.event(web, 'Normal', 'Started', 'Started container web');
    await clock.settle();
    expect(events()).toHaveLength(1);
    expect(events()[0]).toMatchObject({
      metadata: { namespace: 'default', name: expect.stringMatching(/^web\.[0-9a-f]{16}$/) as string },
      involvedObject: { ...web },
      type: 'Normal',
      reason: 'Started',
      message: 'Started container web',
      count: 1,
      firstTimestamp: '2026-01-01T00:00:00Z',
      lastTimestamp: '2026-01-01T00:00:00Z',
      source: { component: 'kubelet', host: 'node-1' },
      reportingComponent: 'kubelet',
      reportingInstance: 'node-1',
    });
  });

  it('puts events of objects without a namespace into default', async () => {
    recorder.event({ apiVersion: 'v1', kind: 'Node', name: 'node-1' }, 'Normal', 'Starting', '');
    await clock.settle();
    expect(events()[0]?.metadata.namespace).toBe('default');
    expect(events()[0]?.involvedObject.namespace).toBeUndefined();
  });

  it('counts the same event', async () => {
    for (let time = 0; time < 3; time++) {
      recorder.event(web, 'Warning', 'BackOff', 'Back-off restarting failed container');
      await clock.advance(10_000);
    }
    expect(events()).toHaveLength(1);
    expect(events()[0]).toMatchObject({
      count: 3,
      firstTimestamp: '2026-01-01T00:00:00Z',
      lastTimestamp: '2026-01-01T00:00:20Z',
    });
  });

  it('makes a new event when the one it counted on has expired', async () => {
    recorder.event(web, 'Warning', 'BackOff', 'x');
    await clock.settle();
    await api.client.resource(corev1.events, 'default').delete(events()[0]?.metadata.name ?? '');
    recorder.event(web, 'Warning', 'BackOff', 'x');
    await clock.settle();
    expect(events()[0]).toMatchObject({ count: 2 });
  });

  it('combines similar events from the tenth on', async () => {
    for (let index = 0; index < 15; index++) recorder.event(web, 'Warning', 'Unhealthy', `probe ${index}`);
    await clock.settle();
    expect(events()).toHaveLength(10);
    const combined = events().filter(({ message }) =>
      message?.startsWith('(combined from similar events): '),
    );
    expect(combined).toHaveLength(1);
    expect(combined[0]).toMatchObject({ count: 6, message: '(combined from similar events): probe 14' });
  });

  it('lets 25 events about an object through, then one every five minutes', async () => {
    for (let index = 0; index < 40; index++) recorder.event(web, 'Normal', `Reason${index}`, 'x');
    await clock.settle();
    expect(events()).toHaveLength(25);
    recorder.event({ ...web, name: 'other', uid: 'u2' }, 'Normal', 'Reason', 'x');
    await clock.advance(300_000);
    recorder.event(web, 'Normal', 'Later1', 'x');
    recorder.event(web, 'Normal', 'Later2', 'x');
    await clock.settle();
    expect(events()).toHaveLength(27);
  });

  it('tries again while the server is away, and keeps the order', async () => {
    const away = api.intercept(() => {
      throw new Error('connection refused');
    });
    recorder.event(web, 'Normal', 'First', '');
    recorder.event(web, 'Normal', 'Second', '');
    await clock.advance(25_000);
    away[Symbol.dispose]();
    await clock.advance(11_000);
    expect(events().map(({ reason }) => reason)).toEqual(['First', 'Second']);
  });

  it('gives up what the server refuses, and goes on', async () => {
    recorder.event({ ...web, name: '' }, 'Normal', 'First', '');
    api.seed(
      corev1.events,
      events()[0] ?? { metadata: { name: 'x', namespace: 'default' }, involvedObject: {} },
    );
    recorder.event(web, 'Normal', 'Second', '');
    await clock.settle();
    expect(events().some(({ reason }) => reason === 'Second')).toBe(true);
  });

  it('loses no event that comes just when the queue has run empty', async () => {
    for (let turn = 0; turn < 20; turn++) {
      recorder.event({ ...web, name: `pod-${turn}`, uid: `u${turn}` }, 'Normal', 'Started', '');
      for (let microtask = 0; microtask < turn; microtask++) await Promise.resolve();
    }
    await clock.settle();
    expect(events()).toHaveLength(20);
  });

  it('writes nothing more once it is disposed of', async () => {
    await recorder[Symbol.asyncDispose]();
    recorder.event(web, 'Normal', 'Late', '');
    await clock.settle();
    expect(events()).toEqual([]);
  });
});
