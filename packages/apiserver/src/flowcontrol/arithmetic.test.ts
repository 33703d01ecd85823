import { describe, expect, it, test } from 'vitest';
import { allocateConcurrency } from './concurrency-allocation.ts';
import { RetryAfter } from './retry-after.ts';
import { SeatDemand } from './seat-demand.ts';
import { deal, hashFlow, requiredEntropyBits } from './shuffle-sharding.ts';

describe('seats are divided', () => {
  test.each<[string, number, [target: number, lower: number, upper: number][], number[], number]>([
    ['in proportion to the targets', 10, [[8, 0, 99], [2, 0, 99]], [8, 2], 1], // prettier-ignore
    ['all of them, also where less would do', 20, [[8, 0, 99], [2, 0, 99]], [16, 4], 2], // prettier-ignore
    ['not above an upper bound', 10, [[8, 0, 99], [2, 0, 99], [10, 0, 3]], [5.6, 1.4, 3], 0.7], // prettier-ignore
    ['not below a lower bound', 10, [[10, 6, 99], [5, 0, 99], [5, 0, 99]], [6, 2, 2], 0.4], // prettier-ignore
    ['as the lower bounds say, when they take all', 10, [[6, 6, 99], [4, 4, 99]], [6, 4], 1], // prettier-ignore
    ['as the upper bounds say, when all is needed', 10, [[1, 0, 6], [1, 0, 4]], [6, 4], 6], // prettier-ignore
    ['also to those who want nothing', 10, [[0, 0, 99], [0, 0, 99]], [5, 5], 5000], // prettier-ignore
    ['where there are none', 0, [[0, 0, 99]], [0], 0],
  ])('%s', (_, total, claims, seats, fraction) => {
    const allocation = allocateConcurrency(
      total,
      claims.map(([target, lower, upper]) => ({ target, lower, upper })),
    );
    allocation.seats.forEach((got, i) => expect(got).toBeCloseTo(seats[i] as number, 6));
    if (total > 0) expect(allocation.fairFraction).toBeCloseTo(fraction, 3);
  });

  it('only where the bounds allow it', () => {
    expect(() => allocateConcurrency(3, [{ target: 4, lower: 4, upper: 9 }])).toThrow('lower bounds');
    expect(() => allocateConcurrency(10, [{ target: 4, lower: 4, upper: 9 }])).toThrow('upper bounds');
  });
});

test('demand follows rises at once, and falls slowly', () => {
  const demand = new SeatDemand(0);
  demand.set(10, 0);
  demand.set(0, 5_000);
  demand.closePeriod(10_000);
  expect(demand).toMatchObject({ highWatermark: 10, average: 5, deviation: 5, smoothed: 10 });
  demand.closePeriod(20_000);
  expect(demand).toMatchObject({ highWatermark: 0, average: 0 });
  expect(demand.smoothed).toBeCloseTo(9.77, 5);
  demand.set(50, 29_999);
  demand.closePeriod(30_000);
  expect(demand.highWatermark).toBe(50);
});

test('clients are told to wait longer while many are refused', () => {
  const retryAfter = new RetryAfter();
  // Second, refusals in it, and what the last of them is told: as upstream's tracker does it.
  for (const [second, refusals, told] of [
    [0, 5, 1],
    [1, 11, 2],
    [2, 1, 2],
    [3, 11, 4],
    [4, 1, 4],
    [7, 1, 8],
    [11, 1, 8],
    [15, 1, 7],
    [17, 1, 6],
    [21, 14, 5],
    [22, 1, 10],
  ] as const) // prettier-ignore
  {
    for (let i = 0; i < refusals; i++) retryAfter.noteRefusal(1_700_000_000_000 + second * 1000);
    expect(retryAfter.value, `after ${second} s`).toBe(told);
  }
});

describe('shuffle sharding', () => {
  it('deals every flow a hand of different queues, always the same', () => {
    const hand: number[] = [];
    const used = new Array<number>(64).fill(0);
    for (let flow = 0; flow < 2_000; flow++) {
      deal(hashFlow('schema', `user-${flow}`), 64, 6, hand);
      expect(new Set(hand).size).toBe(6);
      for (const queue of hand) used[queue] = (used[queue] ?? 0) + 1;
      const again: number[] = [];
      deal(hashFlow('schema', `user-${flow}`), 64, 6, again);
      expect(again).toEqual(hand);
    }
    // 187.5 each, were it even.
    expect(Math.min(...used)).toBeGreaterThan(130);
    expect(Math.max(...used)).toBeLessThan(250);
  });

  it('deals the whole deck where hand and deck are equal', () => {
    const hand: number[] = [];
    deal(hashFlow('a', 'b'), 5, 5, hand);
    expect([...hand].sort()).toEqual([0, 1, 2, 3, 4]);
  });

  it('knows how many bits hands need', () => {
    expect(requiredEntropyBits(512, 8)).toBe(72);
    expect(requiredEntropyBits(64, 6)).toBe(36);
    expect(requiredEntropyBits(10_000_000, 2)).toBe(47);
  });
});
