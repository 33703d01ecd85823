import type { Reasons } from './contract.ts';

/** Reasons for which nodes lost, each with on how many nodes. */
export type ReasonCounts = Map<string, number>;

export function countReasons(counts: ReasonCounts, reasons: Reasons, times = 1): void {
  for (const reason of reasonList(reasons)) counts.set(reason, (counts.get(reason) ?? 0) + times);
}

/** `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.` (pkg/scheduler/framework/types.go, FitError) */
export function fitErrorMessage(nodes: number, counts: ReasonCounts): string {
  const head = `0/${String(nodes)} nodes are available:`;
  const reasons = [...counts].map(([reason, count]) => `${String(count)} ${reason}`).sort();
  return reasons.length === 0 ? head : `${head} ${reasons.join(', ')}.`;
}

export function isUnresolvable(reasons: Reasons): boolean {
  return typeof reasons === 'object' && 'unresolvable' in reasons;
}

function reasonList(reasons: Reasons): readonly string[] {
  const plain = typeof reasons === 'object' && 'unresolvable' in reasons ? reasons.unresolvable : reasons;
  return typeof plain === 'string' ? [plain] : plain;
}
