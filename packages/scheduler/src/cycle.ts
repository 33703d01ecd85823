import type { corev1 } from '@k8ts/api';
import type { Random } from '@k8ts/base';
import { ClassEvaluation } from './class-evaluation.ts';
import type { ClusterState } from './cluster-state/cluster-state.ts';
import type { Plugin, Verdict } from './contract.ts';
import type { Preemption, PreemptionResult } from './preemption/preemption.ts';

/** Classes kept; of those not used for longest, the evaluation is made anew when they come again. */
const MAX_CLASSES = 512;

/** Decides for one pod after another where it goes. */
export class SchedulingCycle {
  readonly #plugins: readonly Plugin[];
  readonly #state: ClusterState;
  readonly #random: Random;
  readonly #classes = new Map<string, ClassEvaluation>();

  constructor(plugins: readonly Plugin[], state: ClusterState, random: Random) {
    this.#plugins = plugins;
    this.#state = state;
    this.#random = random;
  }

  decide(pod: corev1.Pod): Verdict {
    return this.#classOf(pod).choose(pod, this.#random);
  }

  /** What preemption does for a pod, right after `decide` found no node for it. */
  preempt(pod: corev1.Pod, preemption: Preemption): PreemptionResult {
    return preemption.find(pod, this.#classOf(pod));
  }

  /** What pods belong to has changed (Services, controllers, namespaces): classes that ask for it are no longer right. */
  forgetClasses(): void {
    for (const evaluation of this.#classes.values()) evaluation.release();
    this.#classes.clear();
  }

  #classOf(pod: corev1.Pod): ClassEvaluation {
    const key = JSON.stringify(this.#plugins.map((plugin) => plugin.classKey(pod, this.#state) ?? null));
    let evaluation = this.#classes.get(key);
    if (evaluation === undefined) {
      evaluation = new ClassEvaluation(this.#plugins, pod, this.#state);
      if (this.#classes.size >= MAX_CLASSES) {
        const [oldest] = this.#classes.keys();
        this.#classes.get(oldest as string)?.release();
        this.#classes.delete(oldest as string);
      }
    } else {
      this.#classes.delete(key); // to the end: used last
    }
    this.#classes.set(key, evaluation);
    return evaluation;
  }
}
