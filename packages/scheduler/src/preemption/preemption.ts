import type { corev1 } from '@k8ts/api';
import type { Random } from '@k8ts/base';
import type { ClassEvaluation } from '../class-evaluation.ts';
import type { ClusterState } from '../cluster-state/cluster-state.ts';
import { podPriority, uidOf } from '../cluster-state/pod-info.ts';
import type { PodInfo } from '../cluster-state/pod-info.ts';
import { countReasons, fitErrorMessage, isUnresolvable } from '../fit-error.ts';
import type { ReasonCounts } from '../fit-error.ts';
import { candidatesWanted, pickCandidate } from './candidates.ts';
import type { Candidate } from './candidates.ts';
import type { DisruptionBudgets } from './disruption-budgets.ts';
import { DryRuns } from './dry-run.ts';

/** What preemption does for a pod that no node has a place for. */
export type PreemptionResult =
  | { readonly kind: 'nominated'; readonly node: string; readonly victims: readonly PodInfo[] }
  | {
      readonly kind: 'refused';
      /** `preemption: not eligible due to preemptionPolicy=Never.` */
      readonly message: string;
      /** The pod waits for no node any more. */
      readonly clearsNomination: boolean;
    };

export interface PreemptionOptions {
  readonly state: ClusterState;
  readonly random: Random;
  readonly budgets: DisruptionBudgets;
  /** Pods that are being preempted, though their deletion may not have been seen yet. */
  readonly isBeingPreempted: (uid: string) => boolean;
}

const NOT_HELPFUL = 'Preemption is not helpful for scheduling';

/**
 * Decides who is preempted for whom; does nothing (pkg/scheduler/framework/plugins/defaultpreemption and
 * pkg/scheduler/framework/preemption, with upstream's words).
 */
export class Preemption {
  readonly #options: PreemptionOptions;
  readonly #dryRuns = new DryRuns();

  constructor(options: PreemptionOptions) {
    this.#options = options;
  }

  /** To be asked right after `evaluation.choose` found no node for the pod. */
  find(pod: corev1.Pod, evaluation: ClassEvaluation): PreemptionResult {
    const ineligible = this.#whyNotEligible(pod, evaluation);
    if (ineligible !== undefined)
      return { kind: 'refused', message: `preemption: ${ineligible}`, clearsNomination: false };
    const { names, size } = this.#options.state.nodes;
    const { candidates, refusals } = this.#candidates(pod, evaluation);
    const chosen = pickCandidate(candidates);
    if (chosen !== undefined)
      return { kind: 'nominated', node: names[chosen.node] as string, victims: chosen.victims };
    return {
      kind: 'refused',
      message: `preemption: ${fitErrorMessage(size, refusals)}`,
      clearsNomination: true,
    };
  }

  #whyNotEligible(pod: corev1.Pod, evaluation: ClassEvaluation): string | undefined {
    if (pod.spec.preemptionPolicy === 'Never') return 'not eligible due to preemptionPolicy=Never.';
    const { state, isBeingPreempted } = this.#options;
    const nominated = state.nominations.nodeOf(uidOf(pod));
    const node = nominated === undefined ? undefined : state.nodes.indexOf(nominated);
    if (node === undefined) return undefined;
    const reasons = evaluation.refusalOf(node);
    if (reasons !== undefined && isUnresolvable(reasons)) return undefined; // it waits there in vain
    const priority = podPriority(pod);
    for (const other of state.podsOn(node))
      if (
        other.priority < priority &&
        (isBeingPreempted(uidOf(other.pod)) || isTerminatingByPreemption(other.latest))
      )
        return 'not eligible due to a terminating pod on the nominated node.';
    return undefined;
  }

  /** Candidates, those first that keep to all budgets; if there are none, why every node refused. */
  #candidates(
    pod: corev1.Pod,
    evaluation: ClassEvaluation,
  ): { readonly candidates: readonly Candidate[]; readonly refusals: ReasonCounts } {
    const { state, random, budgets } = this.#options;
    const potential = potentialNodes(state, evaluation);
    const wanted = candidatesWanted(potential.length);
    const offset = Math.floor(random() * potential.length);
    const dryRun = this.#dryRuns.of(pod, { state, evaluation, budgets });
    const respecting: Candidate[] = [];
    const violating: Candidate[] = [];
    const refusals: ReasonCounts = new Map();
    if (potential.length < state.nodes.size)
      countReasons(refusals, NOT_HELPFUL, state.nodes.size - potential.length);
    for (let i = 0; i < potential.length; i++) {
      const node = potential[(offset + i) % potential.length] as number;
      const result = dryRun(node);
      if (result.kind === 'refused') {
        countReasons(refusals, result.reasons);
        continue;
      }
      const { victims, violations } = result;
      if (victims.length === 0) {
        const name = state.nodes.names[node] as string;
        countReasons(refusals, `expected at least one victim pod on node "${name}"`);
        continue;
      }
      (violations === 0 ? respecting : violating).push({ node, victims, violations });
      if (respecting.length > 0 && respecting.length + violating.length >= wanted) break;
    }
    return { candidates: [...respecting, ...violating.slice(0, wanted)], refusals };
  }
}

/** Where it may help that pods go. */
function potentialNodes({ nodes }: ClusterState, evaluation: ClassEvaluation): readonly number[] {
  const potential: number[] = [];
  for (let node = 0; node < nodes.rows; node++) {
    if (nodes.names[node] === undefined) continue;
    const reasons = evaluation.refusalOf(node);
    if (reasons !== undefined && !isUnresolvable(reasons)) potential.push(node);
  }
  return potential;
}

function isTerminatingByPreemption({ metadata, status }: corev1.Pod): boolean {
  if (metadata.deletionTimestamp === undefined) return false;
  const condition = status?.conditions?.find(({ type }) => type === 'DisruptionTarget');
  return condition?.status === 'True' && condition.reason === 'PreemptionByScheduler';
}
