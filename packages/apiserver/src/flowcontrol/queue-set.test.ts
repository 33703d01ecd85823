import { VirtualClock } from '@k8ts/base';
import { expect, describe, it } from 'vitest';
import { QueueSet, type Queueing, type Ticket } from './queue-set.ts';
import { hashFlow } from './shuffle-sharding.ts';

const QUEUES: Queueing = { kind: 'queue', queues: 64, handSize: 6, queueLengthLimit: 50 };

class Harness {
  readonly clock = new VirtualClock();
  readonly demands: number[] = [];
  readonly set: QueueSet;
  readonly running = new Map<string, Ticket>();
  readonly refused: string[] = [];
  readonly done: string[] = [];

  constructor(queueing: Queueing, limit: number) {
    this.set = new QueueSet(this.clock, queueing, limit, (seats) => this.demands.push(seats));
  }

  /** A request named `flow` and a number. */
  request(flow: string, seats = 1, name = flow): Ticket | undefined {
    const ticket = this.set.request(seats, hashFlow('schema', flow));
    if (typeof ticket === 'string') {
      this.refused.push(`${name}: ${ticket}`);
      return undefined;
    }
    if (ticket.decision === undefined) this.running.set(name, ticket);
    else
      void ticket.decision.then((runs) => {
        if (runs) this.running.set(name, ticket);
        else this.refused.push(`${name}: cancelled`);
      });
    return ticket;
  }

  async finish(name: string): Promise<void> {
    const ticket = this.running.get(name) as Ticket;
    this.running.delete(name);
    this.done.push(name);
    this.set.finish(ticket);
    await this.settle();
  }

  settle = (): Promise<void> => this.clock.advance(0);
}

describe('a level with queues', () => {
  it('runs what has seats, and the rest in turn', async () => {
    const harness = new Harness(QUEUES, 2);
    for (const name of ['a', 'b', 'c', 'd']) harness.request('flow', 1, name);
    expect([...harness.running.keys()]).toEqual(['a', 'b']);
    await harness.finish('b');
    expect([...harness.running.keys()]).toEqual(['a', 'c']);
    await harness.finish('a');
    await harness.finish('c');
    await harness.finish('d');
    expect(harness.set.isIdle).toBe(true);
    expect(harness.demands).toEqual([1, 2, 3, 4, 3, 2, 1, 0]);
  });

  it('serves small flows while a heavy one has filled its queues', async () => {
    const harness = new Harness(QUEUES, 4);
    for (let i = 0; i < 400; i++) harness.request('heavy', 1, `heavy-${i}`);
    expect(harness.refused[0]).toBe('heavy-304: queue-full'); // 4 run, 6 queues of 50 wait
    expect(harness.refused).toHaveLength(96);
    for (let i = 0; i < 10; i++) harness.request(`small-${i}`, 1, `small-${i}`);
    expect(harness.refused).toHaveLength(96);
    // Of the next few seats, most go to the small ones: each has a queue of its own, the heavy one six.
    for (let turn = 0; turn < 8; turn++) {
      await harness.clock.advance(10);
      for (const name of [...harness.running.keys()]) await harness.finish(name);
    }
    expect(harness.done.filter((name) => name.startsWith('small'))).toHaveLength(10);
    expect(harness.done.filter((name) => name.startsWith('heavy')).length).toBeGreaterThan(15);
  });

  it('gives flows of short and of long requests the same part of the seats', async () => {
    const harness = new Harness({ ...QUEUES, handSize: 1, queueLengthLimit: 10_000 }, 2);
    // Flows that are dealt different queues.
    const [short, long] = ['short', 'longer'];
    for (let i = 0; i < 1000; i++) {
      harness.request(short, 1, `s${i}`);
      harness.request(long, 1, `l${i}`);
    }
    const since = new Map<string, number>();
    const used = { s: 0, l: 0 };
    for (let time = 0; time < 2_000; time++) {
      for (const name of [...harness.running.keys()]) {
        const begun = since.get(name) ?? (since.set(name, time), time);
        const kind = name[0] as 's' | 'l';
        used[kind]++;
        if (time - begun >= (kind === 's' ? 4 : 40)) await harness.finish(name);
      }
      await harness.clock.advance(1);
    }
    expect(used.s / used.l).toBeGreaterThan(0.8);
    expect(used.s / used.l).toBeLessThan(1.25);
  });

  it('lets wide requests wait for their seats, and those that are too wide run alone', async () => {
    const harness = new Harness({ ...QUEUES, queues: 1, handSize: 1 }, 4);
    harness.request('f', 3, 'a');
    harness.request('f', 2, 'b');
    harness.request('f', 1, 'c'); // behind b in the queue, although there would be a seat
    await harness.settle();
    expect([...harness.running.keys()]).toEqual(['a']);
    await harness.finish('a');
    expect([...harness.running.keys()]).toEqual(['b', 'c']);
    harness.request('f', 9, 'wide');
    await harness.finish('b');
    expect([...harness.running.keys()]).toEqual(['c']);
    await harness.finish('c');
    expect([...harness.running.keys()]).toEqual(['wide']);
    harness.request('f', 1, 'd');
    await harness.settle();
    expect([...harness.running.keys()]).toEqual(['wide']);
    await harness.finish('wide');
    expect([...harness.running.keys()]).toEqual(['d']);
  });

  it('forgets what nobody waits for any more, and goes on behind it', async () => {
    const harness = new Harness({ ...QUEUES, queues: 1, handSize: 1 }, 2);
    const running = harness.request('f', 1, 'a') as Ticket;
    const waiting = harness.request('f', 2, 'b') as Ticket;
    harness.request('f', 1, 'c');
    expect(harness.set.queueLength(waiting)).toBe(2);
    expect(harness.set.cancel(running)).toBe(false);
    expect(harness.set.cancel(waiting)).toBe(true);
    expect(harness.set.cancel(waiting)).toBe(false);
    await harness.settle();
    expect(harness.refused).toEqual(['b: cancelled']);
    expect([...harness.running.keys()]).toEqual(['a', 'c']);
    await harness.finish('a');
    await harness.finish('c');
    expect(harness.set.isIdle).toBe(true);
  });

  it('runs more at once when it gets more seats, and none without', async () => {
    const harness = new Harness(QUEUES, 0);
    harness.request('f', 1, 'a');
    harness.request('f', 1, 'b');
    await harness.settle();
    expect(harness.running.size).toBe(0);
    harness.set.configure(QUEUES, 1);
    await harness.settle();
    expect([...harness.running.keys()]).toEqual(['a']);
    // Fewer queues than before: what waits is still served.
    harness.set.configure({ ...QUEUES, queues: 1, handSize: 1 }, 2);
    await harness.settle();
    expect([...harness.running.keys()]).toEqual(['a', 'b']);
    harness.set.configure({ kind: 'reject' }, 2);
    expect(harness.request('f', 1, 'c')).toBeUndefined();
    await harness.finish('a');
    expect(harness.request('f', 1, 'd')).toBeDefined();
  });
});

it('a level without queues refuses what has no seat', async () => {
  const harness = new Harness({ kind: 'reject' }, 1);
  harness.request('f', 1, 'a');
  harness.request('f', 1, 'b');
  expect(harness.refused).toEqual(['b: concurrency-limit']);
  await harness.finish('a');
  expect(harness.request('f', 1, 'c')?.decision).toBeUndefined();
});

it('an exempt level refuses nothing', () => {
  const harness = new Harness({ kind: 'exempt' }, 0);
  for (let i = 0; i < 100; i++) harness.request('f', 10, `r${i}`);
  expect(harness.running.size).toBe(100);
  expect(harness.demands.at(-1)).toBe(1000);
});
