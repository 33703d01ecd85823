import { VirtualClock, createMetrics } from '@k8ts/base';
import type { Clock } from '@k8ts/base';
import { describe, expect, it } from 'vitest';

import { createQueueMetrics } from './queue-metrics.ts';
import { TokenBucket, defaultRateLimiter, exponentialRateLimiter } from './rate-limiter.ts';
import { createWorkQueue } from './work-queue.ts';

describe('work queue', () => {
  it('holds a key once, in order of arrival', async () => {
    const queue = createWorkQueue({ clock: new VirtualClock() });
    for (const key of ['a', 'b', 'a', 'c', 'b']) queue.add(key);
    expect(queue.length).toBe(3);
    expect([await queue.get(), await queue.get(), await queue.get()]).toEqual(['a', 'b', 'c']);
  });

  it('gives a key that comes while it is worked on again after done, not before', async () => {
    const queue = createWorkQueue({ clock: new VirtualClock() });
    queue.add('a');
    expect(await queue.get()).toBe('a');
    queue.add('a');
    queue.add('a');
    expect(queue.length).toBe(0);
    queue.done('a');
    expect(queue.length).toBe(1);
    expect(await queue.get()).toBe('a');
    queue.done('a');
    expect(queue.length).toBe(0);
  });

  it('hands a key to a worker that waits', async () => {
    const queue = createWorkQueue({ clock: new VirtualClock() });
    const first = queue.get();
    const second = queue.get();
    queue.add('a');
    queue.add('b');
    expect(await Promise.all([first, second])).toEqual(['a', 'b']);
  });

  it('drains what waits when it shuts down, then says so', async () => {
    const clock = new VirtualClock();
    const queue = createWorkQueue({ clock });
    queue.add('a');
    queue.addAfter('late', 10);
    queue.shutDown();
    queue.add('b');
    expect(await queue.get()).toBe('a');
    expect(await queue.get()).toBeUndefined();
    await clock.advance(1000);
    expect(queue.length).toBe(0);
  });

  it('wakes the workers that wait when it shuts down', async () => {
    const queue = createWorkQueue({ clock: new VirtualClock() });
    const worker = queue.get();
    queue.shutDown();
    expect(await worker).toBeUndefined();
  });

  it('of several delays for one key counts the earliest', async () => {
    const clock = new VirtualClock();
    const queue = createWorkQueue({ clock });
    queue.addAfter('a', 100);
    queue.addAfter('a', 50);
    queue.addAfter('a', 200);
    await clock.advance(49);
    expect(queue.length).toBe(0);
    await clock.advance(1);
    expect(await queue.get()).toBe('a');
    queue.done('a');
    await clock.advance(1000);
    expect(queue.length).toBe(0);
  });

  it('backs off per key: 5 ms, doubled each time, forgotten on success', async () => {
    const clock = new VirtualClock();
    const queue = createWorkQueue({ clock });
    for (const delay of [5, 10, 20, 40]) {
      queue.addRateLimited('a');
      await clock.advance(delay - 1);
      expect(queue.length).toBe(0);
      await clock.advance(1);
      expect(await queue.get()).toBe('a');
      queue.done('a');
    }
    expect(queue.retries('a')).toBe(4);
    queue.forget('a');
    expect(queue.retries('a')).toBe(0);
  });

  it("reports under upstream's names", async () => {
    const clock = new VirtualClock();
    const metrics = createMetrics();
    const queue = createWorkQueue({ clock, metrics: createQueueMetrics(metrics, clock, 'deployment') });
    queue.add('a');
    queue.add('b');
    await clock.advance(2000);
    await queue.get();
    await clock.advance(3000);
    queue.addRateLimited('c');
    const text = await metrics.text();
    expect(text).toContain('workqueue_depth{name="deployment"} 1');
    expect(text).toContain('workqueue_adds_total{name="deployment"} 2');
    expect(text).toContain('workqueue_retries_total{name="deployment"} 1');
    expect(text).toContain('workqueue_queue_duration_seconds_sum{name="deployment"} 2');
    expect(text).toMatch(/workqueue_unfinished_work_seconds\{name="deployment"\} (2\.5|3)/);
    queue.done('a');
    expect(await metrics.text()).toContain('workqueue_work_duration_seconds_sum{name="deployment"} 3');
    await clock.advance(500);
    expect(await metrics.text()).toContain('workqueue_unfinished_work_seconds{name="deployment"} 0');
    queue.shutDown();
  });

  it('has no timer when nothing is worked on, nor after its end', async () => {
    const virtual = new VirtualClock();
    let timers = 0;
    const clock: Clock = {
      now: () => virtual.now(),
      monotonic: () => virtual.monotonic(),
      yield: () => virtual.yield(),
      setTimeout(callback, delay) {
        timers++;
        let pending = true;
        const settle = (): void => {
          if (pending) timers--;
          pending = false;
        };
        const cancel = virtual.setTimeout(() => {
          settle();
          callback();
        }, delay);
        return () => {
          settle();
          cancel();
        };
      },
    };
    const queue = createWorkQueue({
      clock,
      metrics: createQueueMetrics(createMetrics(), clock, 'deployment'),
    });
    for (const key of ['a', 'b', 'c']) queue.add(key);
    queue.done((await queue.get()) as string);
    await virtual.advance(1000);
    expect(timers).toBe(0);
    queue.done((await queue.get()) as string);
    queue.shutDown();
    expect(await queue.get()).toBe('c'); // what waits is still handed out
    expect(timers).toBe(0);
  });

  it('hands out in order of arrival, however adding and taking alternate', async () => {
    const queue = createWorkQueue({ clock: new VirtualClock() });
    const taken: (string | undefined)[] = [];
    let added = 0;
    for (let round = 0; round < 50; round++) {
      for (let i = 0; i < round % 7; i++) queue.add(`key-${String(added++)}`);
      for (let i = 0; i < round % 5 && queue.length > 0; i++) taken.push(await queue.get());
    }
    while (queue.length > 0) taken.push(await queue.get());
    expect(taken).toEqual(Array.from({ length: added }, (_, index) => `key-${String(index)}`));
  });
});

describe('rate limiters', () => {
  it('exponential stops at its maximum', () => {
    const limiter = exponentialRateLimiter(5, 1_000_000);
    const waits = Array.from({ length: 100 }, () => limiter.when('a'));
    expect(waits.slice(0, 4)).toEqual([5, 10, 20, 40]);
    expect(waits[17]).toBe(655_360);
    expect(waits[18]).toBe(1_000_000);
    expect(waits.at(-1)).toBe(1_000_000);
  });

  it('the default lets 100 through and then 10 a second', () => {
    const limiter = defaultRateLimiter(new VirtualClock());
    const waits = Array.from({ length: 102 }, (_, index) => limiter.when(`key-${index}`));
    expect(waits.slice(0, 100).every((wait) => wait === 5)).toBe(true);
    expect(Math.round(waits[100] as number)).toBe(100);
    expect(Math.round(waits[101] as number)).toBe(200);
  });

  it('a bucket refills up to its burst', async () => {
    const clock = new VirtualClock();
    const bucket = new TokenBucket(clock, 2, 3);
    expect([1, 2, 3, 4].map(() => bucket.tryTake())).toEqual([true, true, true, false]);
    await clock.advance(500);
    expect([bucket.tryTake(), bucket.tryTake()]).toEqual([true, false]);
    await clock.advance(60_000);
    expect([1, 2, 3, 4].map(() => bucket.tryTake())).toEqual([true, true, true, false]);
  });
});
