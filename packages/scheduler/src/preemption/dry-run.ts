import type { corev1 } from '@k8ts/api';
import type { ClassEvaluation } from '../class-evaluation.ts';
import type { ClusterState } from '../cluster-state/cluster-state.ts';
import { podPriority } from '../cluster-state/pod-info.ts';
import type { PodInfo } from '../cluster-state/pod-info.ts';
import type { Reasons } from '../contract.ts';
import type { DisruptionBudgets } from './disruption-budgets.ts';

/** Who would have to leave a node for a pod, the most important first; or why it would not help. */
export type DryRun =
  | { readonly kind: 'victims'; readonly victims: readonly PodInfo[]; readonly violations: number }
  | { readonly kind: 'refused'; readonly reasons: Reasons };

export interface DryRunContext {
  readonly state: ClusterState;
  readonly evaluation: ClassEvaluation;
  readonly budgets: DisruptionBudgets;
}

const NO_VICTIMS: DryRun = {
  kind: 'refused',
  reasons: { unresolvable: 'No preemption victims found for incoming pod' },
};

/**
 * Takes all pods of lower priority from the node and, if the pod has a place then, gives back as many as can stay: first
 * those that are not to be disrupted, each group from its most important pod on (default_preemption.go,
 * SelectVictimsOnNode). The node is counted as before when it is done.
 */
export function dryRunPreemption(pod: corev1.Pod, node: number, context: DryRunContext): DryRun {
  const { state, evaluation, budgets } = context;
  const priority = podPriority(pod);
  if (state.lowestPriorityOn(node) >= priority) return NO_VICTIMS;
  const potential = [...state.podsOn(node)].filter((other) => other.priority < priority);
  const contenders = state.nominations.contenders(pod, state.nodes.names[node] as string);
  const gone = new Set<PodInfo>();
  const count = (info: PodInfo, sign: 1 | -1): void => {
    state.suppose(info, node, sign);
    if (sign === 1) gone.delete(info);
    else gone.add(info);
  };
  const admits = (): Reasons | undefined => {
    evaluation.recount(node);
    return evaluation.admits(node, contenders);
  };
  const staysBeside = (info: PodInfo): boolean => {
    count(info, 1);
    if (admits() === undefined) return true;
    count(info, -1);
    return false;
  };
  try {
    for (const info of potential) count(info, -1);
    const reasons = admits();
    if (reasons !== undefined) return { kind: 'refused', reasons };
    const { violating, others } = budgets.split(potential.sort(byImportance));
    const violations = violating.filter((info) => !staysBeside(info));
    const victims = [...violations, ...others.filter((info) => !staysBeside(info))];
    if (violating.length > 0) victims.sort(byImportance);
    return { kind: 'victims', victims, violations: violations.length };
  } finally {
    for (const info of gone) state.suppose(info, node, 1);
    evaluation.recount(node);
  }
}

/** The higher priority first, then whoever runs longer (pkg/scheduler/util/utils.go, MoreImportantPod). */
export function byImportance(a: PodInfo, b: PodInfo): number {
  if (a.priority !== b.priority) return b.priority - a.priority;
  return a.startTime === b.startTime ? 0 : a.startTime - b.startTime;
}

interface KeptDryRun {
  /** The node's version and the budgets' generation for which it holds. */
  readonly version: number;
  readonly budgets: number;
  readonly result: DryRun;
}

/** Priorities kept for one class; there are seldom more than one. */
const MAX_PRIORITIES = 4;

/**
 * Dry runs are kept by class, priority and node until the node changes, as everything else that is known of a class. Not
 * kept are those of classes that look at other nodes, and of nodes with nominated pods.
 */
export class DryRuns {
  readonly #kept = new WeakMap<ClassEvaluation, Map<number, (KeptDryRun | undefined)[]>>();

  run(pod: corev1.Pod, node: number, context: DryRunContext): DryRun {
    const { state, evaluation, budgets } = context;
    const { nodes, nominations } = state;
    if (evaluation.looksAcross || nominations.on(nodes.names[node] as string).length > 0)
      return dryRunPreemption(pod, node, context);
    const version = nodes.version[node] as number;
    const kept = this.#of(evaluation, podPriority(pod));
    const known = kept[node];
    if (known?.version === version && known.budgets === budgets.generation) return known.result;
    const result = dryRunPreemption(pod, node, context);
    kept[node] = { version, budgets: budgets.generation, result };
    return result;
  }

  #of(evaluation: ClassEvaluation, priority: number): (KeptDryRun | undefined)[] {
    let byPriority = this.#kept.get(evaluation);
    if (byPriority === undefined)
      this.#kept.set(evaluation, (byPriority = new Map<number, (KeptDryRun | undefined)[]>()));
    let kept = byPriority.get(priority);
    if (kept === undefined) {
      const [oldest] = byPriority.keys();
      if (byPriority.size >= MAX_PRIORITIES) byPriority.delete(oldest as number);
      byPriority.set(priority, (kept = []));
    }
    return kept;
  }
}
