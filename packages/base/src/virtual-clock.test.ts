import { expect, test } from 'vitest';
import { every, sleep } from './clock.ts';
import { VirtualClock } from './virtual-clock.ts';

test('timers fire in the order of their time, then of their making, and see the time they were due', async () => {
  const clock = new VirtualClock(1_000_000);
  const fired: [string, number][] = [];
  for (const [name, delay] of [
    ['c', 30],
    ['a', 10],
    ['b', 20],
    ['a2', 10],
  ] as const)
    clock.setTimeout(() => fired.push([name, clock.monotonic()]), delay);
  await clock.advance(25);
  expect(fired).toEqual([
    ['a', 10],
    ['a2', 10],
    ['b', 20],
  ]);
  expect(clock.now()).toBe(1_000_025);
  await clock.advance(5);
  expect(fired.at(-1)).toEqual(['c', 30]);
});

test('what a timer sets off comes to rest before the next one fires', async () => {
  const clock = new VirtualClock();
  const log: string[] = [];
  clock.setTimeout(() => {
    void (async () => {
      for (let i = 0; i < 5; i++) {
        await clock.yield();
        await Promise.resolve();
      }
      log.push('worked');
    })();
  }, 1);
  clock.setTimeout(() => log.push('next'), 2);
  await clock.advance(2);
  expect(log).toEqual(['worked', 'next']);
});

test('a cancelled timer does not fire, also when it is cancelled by one of the same instant', async () => {
  const clock = new VirtualClock();
  const fired: string[] = [];
  clock.setTimeout(() => cancel(), 5);
  const cancel = clock.setTimeout(() => fired.push('cancelled'), 5);
  await clock.advance(10);
  expect(fired).toEqual([]);
});

test('many timers in a random order fire in order', async () => {
  const clock = new VirtualClock();
  const delays = Array.from({ length: 500 }, (_, i) => (i * 7919) % 503);
  const fired: number[] = [];
  for (const delay of delays) clock.setTimeout(() => fired.push(delay), delay);
  await clock.advance(1000);
  expect(fired).toEqual([...delays].sort((a, b) => a - b));
});

test('advanceUntil stops at the timer that made the condition hold, and says when it never does', async () => {
  const clock = new VirtualClock();
  let done = false;
  clock.setTimeout(() => (done = true), 1234);
  await clock.advanceUntil(() => done, 10_000);
  expect(clock.monotonic()).toBe(1234);
  await expect(clock.advanceUntil(() => false, 500)).rejects.toThrow('condition does not hold after 500 ms');
  expect(clock.monotonic()).toBe(1734);
});

test('sleep ends early with the reason of the abort, and leaves no timer that matters', async () => {
  const clock = new VirtualClock();
  const controller = new AbortController();
  const sleeping = sleep(clock, 1000, controller.signal);
  controller.abort(new Error('stopped'));
  await expect(sleeping).rejects.toThrow('stopped');
  await expect(sleep(clock, 1, controller.signal)).rejects.toThrow('stopped');
});

test('every runs once an interval, not twice at a time, until it is aborted', async () => {
  const clock = new VirtualClock();
  const controller = new AbortController();
  const runs: number[] = [];
  const running = every(clock, 100, controller.signal, async () => {
    runs.push(clock.monotonic());
    await sleep(clock, 50);
  });
  await clock.advance(460);
  controller.abort();
  await running;
  expect(runs).toEqual([100, 250, 400]);
});
