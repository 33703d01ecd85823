import { expect, test } from 'vitest';
import { randomNameSuffix, seededRandom } from './random.ts';

test('a seed gives the same numbers, in [0, 1)', () => {
  const [first, second] = [seededRandom(42), seededRandom(42)];
  const numbers = Array.from({ length: 1000 }, first);
  expect(Array.from({ length: 1000 }, second)).toEqual(numbers);
  expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true);
  const mean = numbers.reduce((sum, number) => sum + number) / numbers.length;
  expect(Math.abs(mean - 0.5)).toBeLessThan(0.05);
});

test("generated names have Kubernetes' letters", () => {
  expect(randomNameSuffix(seededRandom(1), 200)).toMatch(/^[bcdfghjklmnpqrstvwxz2456789]{200}$/);
  expect(randomNameSuffix(seededRandom(1))).toHaveLength(5);
});
