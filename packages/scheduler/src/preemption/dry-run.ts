import type { corev1 } from '@k8ts/api';
import type { ClassEvaluation } from '../class-evaluation.ts';
import type { ClusterState } from '../cluster-state/cluster-state.ts';
import { podPriority, uidOf } from '../cluster-state/pod-info.ts';
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
function dryRunPreemption(pod: corev1.Pod, node: number, context: DryRunContext): DryRun {
  const { state, evaluation, budgets } = context;
  const priority = podPriority(pod);
  if (state.lowestPriorityOn(node) >= priority) return NO_VICTIMS;
  const potential = [...state.podsOn(node)].filter((other) => other.priority < priority);
  const contenders = state.nominations.contenders(pod, state.nodes.names[node] as string);
  const gone = new Set<PodInfo>();
  const count = (info: PodInfo, sign: 1 | -1): void => {
    evaluation.suppose(info, node, sign);
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
    for (const info of gone) evaluation.suppose(info, node, 1);
    evaluation.recount(node);
  }
}

/** The higher priority first, then whoever runs longer (pkg/scheduler/util/utils.go, MoreImportantPod). */
function byImportance(a: PodInfo, b: PodInfo): number {
  if (a.priority !== b.priority) return b.priority - a.priority;
  return a.startTime === b.startTime ? 0 : a.startTime - b.startTime;
}

interface KeptDryRun {
  /** The node's version, its nominated pods and the budgets' generation for which it holds. */
  readonly version: number;
  readonly nominated: readonly PodInfo[];
  readonly budgets: number;
  readonly result: DryRun;
}

interface KeptDryRuns {
  readonly evaluation: ClassEvaluation;
  readonly priority: number;
  readonly byNode: (KeptDryRun | undefined)[];
}

/** Pairs of class and priority that are kept. */
const MAX_KEPT = 32;

/**
 * Dry runs are kept by class, priority and node until the node changes, as everything else that is known of a class. Not
 * kept are those of classes that look at other nodes, and of a pod for the node that it is nominated to.
 */
export class DryRuns {
  /** Used last: last. */
  #kept: readonly KeptDryRuns[] = [];

  /** Those of one pod, by node. */
  of(pod: corev1.Pod, context: DryRunContext): (node: number) => DryRun {
    const { state, evaluation, budgets } = context;
    const { nodes, nominations } = state;
    if (evaluation.looksAcross) return (node) => dryRunPreemption(pod, node, context);
    const byNode = this.#keptOf(evaluation, podPriority(pod));
    const promised = nominations.nodeOf(uidOf(pod));
    return (node) => {
      const name = nodes.names[node] as string;
      if (name === promised) return dryRunPreemption(pod, node, context);
      const nominated = nominations.on(name);
      const version = nodes.version[node] as number;
      const known = byNode[node];
      if (known?.version === version && known.nominated === nominated && known.budgets === budgets.generation)
        return known.result;
      const result = dryRunPreemption(pod, node, context);
      byNode[node] = { version, nominated, budgets: budgets.generation, result };
      return result;
    };
  }

  #keptOf(evaluation: ClassEvaluation, priority: number): (KeptDryRun | undefined)[] {
    const known = this.#kept.find((each) => each.evaluation === evaluation && each.priority === priority) ?? {
      evaluation,
      priority,
      byNode: [],
    };
    this.#kept = [...this.#kept.filter((each) => each !== known), known].slice(-MAX_KEPT);
    return known.byNode;
  }
}
