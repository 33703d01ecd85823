import type { PodInfo } from '../cluster-state/pod-info.ts';

/** A node on which a pod would fit if the victims, of which there is at least one, were gone; the most important first. */
export interface Candidate {
  readonly node: number;
  readonly victims: readonly PodInfo[];
  /** Victims whose disruption no budget allows. */
  readonly violations: number;
}

/** Upstream's DefaultPreemptionArgs: of the nodes where preemption may help, how many candidates are compared at least. */
const MIN_CANDIDATES_PERCENTAGE = 10;
const MIN_CANDIDATES = 100;

export function candidatesWanted(nodes: number): number {
  return Math.min(nodes, Math.max(Math.floor((nodes * MIN_CANDIDATES_PERCENTAGE) / 100), MIN_CANDIDATES));
}

/** From lower to higher, so that negative priorities weigh as well: one pod of -1 is better lost than two of -2. */
const PRIORITY_OFFSET = 2 ** 31;

/** What makes a candidate worse, in the order in which it counts. */
const COSTS: readonly ((candidate: Candidate) => number)[] = [
  ({ violations }) => violations,
  highestPriority,
  ({ victims }) => victims.reduce((sum, { priority }) => sum + priority + PRIORITY_OFFSET, 0),
  ({ victims }) => victims.length,
  (candidate) => -earliestStartOfHighest(candidate),
];

/**
 * The node where preemption does the least harm; among equals, the first (pkg/scheduler/framework/preemption,
 * pickOneNodeForPreemption).
 */
export function pickCandidate(candidates: readonly Candidate[]): Candidate | undefined {
  let left = candidates;
  for (const cost of COSTS) {
    if (left.length <= 1) break;
    const costs = left.map(cost);
    const least = costs.reduce((a, b) => Math.min(a, b), Infinity);
    left = left.filter((_, index) => costs[index] === least);
  }
  return left[0];
}

function highestPriority({ victims }: Candidate): number {
  return victims[0]?.priority ?? -Infinity;
}

function earliestStartOfHighest(candidate: Candidate): number {
  const highest = highestPriority(candidate);
  let earliest = Infinity;
  for (const { priority, startTime } of candidate.victims)
    if (priority === highest && startTime < earliest) earliest = startTime;
  return earliest;
}
