import { expect, test } from 'vitest';
import { podInfo } from '../cluster-state/pod-info.ts';
import type { PodInfo } from '../cluster-state/pod-info.ts';
import { pod } from '../testing/scheduling-harness.ts';
import { candidatesWanted, pickCandidate } from './candidates.ts';
import type { Candidate } from './candidates.ts';

test.each([
  [1, 1],
  [99, 99],
  [500, 100],
  [1000, 100],
  [5009, 500],
])('of %i nodes, %i are compared', (nodes, wanted) => {
  expect(candidatesWanted(nodes)).toBe(wanted);
});

const victim = (priority: number, startTime?: string): PodInfo =>
  podInfo(pod({ priority, ...(startTime === undefined ? {} : { startTime }) }), 0, []);

const EARLY = '2026-01-01T00:00:00Z';
const LATE = '2026-01-02T00:00:00Z';

test.each<[why: string, worse: Omit<Candidate, 'node'>, better: Omit<Candidate, 'node'>]>([
  [
    'fewer violations of budgets, whatever else',
    { violations: 1, victims: [victim(1)] },
    { violations: 0, victims: [victim(9), victim(9)] },
  ],
  [
    'a lower highest priority, though the sum is higher',
    { violations: 0, victims: [victim(5)] },
    { violations: 0, victims: [victim(4), victim(4), victim(4)] },
  ],
  [
    'a lower sum of priorities',
    { violations: 0, victims: [victim(5), victim(4)] },
    { violations: 0, victims: [victim(5), victim(3)] },
  ],
  [
    'fewer victims of negative priority, though their sum is higher',
    { violations: 0, victims: [victim(-5), victim(-5)] },
    { violations: 0, victims: [victim(-5)] },
  ],
  [
    'a later start of the most important',
    { violations: 0, victims: [victim(5, EARLY), victim(1, LATE)] },
    { violations: 0, victims: [victim(5, LATE), victim(1, EARLY)] },
  ],
  [
    'the earliest start among those of the highest priority counts',
    { violations: 0, victims: [victim(5, LATE), victim(5, EARLY)] },
    { violations: 0, victims: [victim(5, LATE), victim(5, LATE)] },
  ],
  [
    'what has not started yet starts later than all else',
    { violations: 0, victims: [victim(5, LATE)] },
    { violations: 0, victims: [victim(5)] },
  ],
])('the better candidate has %s', (_why, worse, better) => {
  const [a, b] = [
    { node: 1, ...worse },
    { node: 2, ...better },
  ];
  expect(pickCandidate([a, b])).toBe(b);
  expect(pickCandidate([b, a])).toBe(b);
});

test('among equals the first is taken, and of none nothing', () => {
  const equal = (node: number): Candidate => ({ node, violations: 0, victims: [victim(1, EARLY)] });
  expect(pickCandidate([equal(3), equal(1)])?.node).toBe(3);
  expect(pickCandidate([])).toBeUndefined();
});
