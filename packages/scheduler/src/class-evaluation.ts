/**
 * One class of pods held against all nodes. Guarded by bench/scheduler.bench.ts.
 *
 * Invariant: after `refresh`, `reasons`, `fixed` and `raw` are what the class's plugins say of every node as it is now.
 * A binding changes one node, so a refresh usually evaluates one.
 */
import type { corev1 } from '@k8ts/api';
import type { Random } from '@k8ts/base';
import type { ClusterState } from './cluster-state/cluster-state.ts';
import { uidOf } from './cluster-state/pod-info.ts';
import type { PodInfo } from './cluster-state/pod-info.ts';
import type { ClassPlugin, Plugin, Reasons, Verdict } from './contract.ts';
import { countReasons, fitErrorMessage } from './fit-error.ts';
import type { ReasonCounts } from './fit-error.ts';

interface ActivePlugin {
  readonly name: string;
  readonly weight: number;
  readonly does: ClassPlugin;
}

export class ClassEvaluation {
  readonly #state: ClusterState;
  readonly #plugins: readonly ActivePlugin[];
  readonly #local: readonly ActivePlugin[];
  readonly #scoring: readonly ActivePlugin[];
  readonly #relative: readonly ActivePlugin[];
  readonly #across: readonly ActivePlugin[];
  /** The plugin that refuses the class everywhere, if one does. */
  readonly #refusedBy: ActivePlugin | undefined;

  /** By node: which plugin refused it, and why; undefined for nodes that fit. */
  #refusals: (Refusal | undefined)[] = [];
  /** By node: 1 where no plugin that looks at the node alone refuses it. */
  #fits = new Uint8Array(0);
  /** By node: the weighted sum of the scores that depend on the node alone. */
  #fixed = new Float64Array(0);
  /** By relative plugin and node. */
  #raw: Float64Array[] = [];
  #position = -1;
  /** The across plugins that may refuse nodes in this cycle. */
  #refusing: readonly ActivePlugin[] = [];
  /** What `choose` found beyond `#refusals`: by rules across nodes, or because of pods nominated to the node. */
  #furtherRefusals = new Map<number, Refusal>();

  // Room for one cycle's work, kept between cycles.
  #feasible = new Int32Array(0);
  #totals = new Float64Array(0);
  #scores = new Float64Array(0);

  constructor(plugins: readonly Plugin[], pod: corev1.Pod, state: ClusterState) {
    this.#state = state;
    const active: ActivePlugin[] = [];
    for (const plugin of plugins) {
      const does = plugin.forClass(pod, state);
      if (does !== undefined) active.push({ name: plugin.name, weight: plugin.weight ?? 0, does });
    }
    this.#plugins = active;
    this.#refusedBy = active.find(({ does }) => does.refusal !== undefined);
    this.#local = active.filter(({ does }) => does.filter !== undefined);
    this.#scoring = active.filter(({ does }) => does.score !== undefined);
    this.#relative = active.filter(({ does }) => does.relativeScore !== undefined);
    this.#across = active.filter(({ does }) => does.acrossNodes !== undefined);
  }

  /** Whether, since the last `choose`, what the class fits depends on other nodes than the one in question. */
  get looksAcross(): boolean {
    return this.#refusing.length > 0;
  }

  /**
   * The best node for a pod of this class now; among equals, one at random. The node it is nominated to is taken before
   * all others if it has room (schedule_one.go, evaluateNominatedNode).
   */
  choose(pod: corev1.Pod, random: Random): Verdict {
    if (this.#refusedBy !== undefined) return this.#refuse(this.#refusedBy);
    this.#refresh();
    const { nodes, nominations } = this.#state;
    for (const { does } of this.#across) does.acrossNodes?.begin();
    this.#refusing = this.#across.filter(({ does }) => mayRefuse(does));
    this.#furtherRefusals.clear();

    const promised = nominations.size === 0 ? undefined : nominations.nodeOf(uidOf(pod));
    if (promised !== undefined) {
      const node = nodes.indexOf(promised);
      if (node !== undefined && this.admits(node, nominations.contenders(pod, promised)) === undefined) {
        this.#feasible[0] = node;
        return this.#assign(1, random);
      }
    }

    if (nominations.size > 0) this.#yieldToNominated(pod, 1);
    const [fits, feasible, further, { rows }] = [this.#fits, this.#feasible, this.#furtherRefusals, nodes];
    const looksAcross = this.looksAcross;
    let count = 0;
    for (let node = 0; node < rows; node++) {
      if (fits[node] === 0 || (further.size > 0 && further.has(node))) continue;
      const refusal = looksAcross ? this.#refuseAcross(node) : undefined;
      if (refusal === undefined) feasible[count++] = node;
      else further.set(node, refusal);
    }
    if (count > 0) return this.#assign(count, random);
    if (nominations.size > 0) this.#yieldToNominated(pod, 0);
    return this.#explain();
  }

  /** Why `choose` found that the node has no place for the pod. */
  refusalOf(node: number): Reasons | undefined {
    const refusal = this.#refusedBy?.does.refusal;
    if (refusal !== undefined) return { unresolvable: refusal };
    return (this.#furtherRefusals.get(node) ?? this.#refusals[node])?.reasons;
  }

  /**
   * Why a node, with its pods as they are counted at this moment, has no place for a pod of this class; undefined: it has.
   * It must have one with the contenders, who were promised room on the node, and without them, for they may end up
   * elsewhere (framework.go, RunFilterPluginsWithNominatedPods).
   */
  admits(node: number, contenders: readonly PodInfo[]): Reasons | undefined {
    return this.#judgeBeside(node, contenders)?.reasons;
  }

  /** `ClusterState.suppose`, as far as this class looks. */
  suppose(info: PodInfo, node: number, sign: 1 | -1): void {
    this.#state.suppose(info, node, sign, !this.looksAcross);
  }

  /** The pods of the node are counted otherwise than before (`suppose`), or as before again. */
  recount(node: number): void {
    for (const { does } of this.#refusing) does.acrossNodes?.recount?.(node);
  }

  release(): void {
    for (const { does } of this.#plugins) does.release?.();
  }

  /** The best of the first `count` feasible nodes. */
  #assign(count: number, random: Random): Verdict {
    this.#sumScores(count);
    const [chosen, score] = this.#pickBest(count, random);
    return { kind: 'assigned', node: this.#state.nodes.names[chosen] as string, feasible: count, score };
  }

  /**
   * Refuses the nodes, of those that fit (1) or do not fit (0) by themselves, where there is no room beside nominated pods.
   * For the latter it is a matter of which reasons are given.
   */
  #yieldToNominated(pod: corev1.Pod, fits: 0 | 1): void {
    for (const [nodeName, contenders] of this.#state.nominations.contendersOf(pod)) {
      const node = this.#state.nodes.indexOf(nodeName);
      if (node === undefined || this.#fits[node] !== fits) continue;
      const refusal = this.#judgeBeside(node, contenders);
      if (refusal !== undefined) this.#furtherRefusals.set(node, refusal);
    }
  }

  #judgeBeside(node: number, contenders: readonly PodInfo[]): Refusal | undefined {
    if (contenders.length === 0) return this.#judge(node);
    for (const contender of contenders) this.suppose(contender, node, 1);
    this.recount(node);
    let beside: Refusal | undefined;
    try {
      beside = this.#judge(node);
    } finally {
      for (const contender of contenders) this.suppose(contender, node, -1);
      this.recount(node);
    }
    return beside ?? this.#judge(node);
  }

  #judge(node: number): Refusal | undefined {
    return this.#refuseLocally(node) ?? this.#refuseAcross(node);
  }

  /** One of those with the highest total, and that total. */
  #pickBest(count: number, random: Random): [node: number, total: number] {
    const totals = this.#totals;
    let best = -Infinity;
    let equals = 0;
    for (let i = 0; i < count; i++) {
      const total = totals[i] as number;
      if (total > best) [best, equals] = [total, 1];
      else if (total === best) equals++;
    }
    let skip = Math.floor(random() * equals);
    let i = 0;
    while (totals[i] !== best || skip-- > 0) i++;
    return [this.#feasible[i] as number, best];
  }

  #refresh(): void {
    const { nodes } = this.#state;
    if (this.#fixed.length !== nodes.capacity) this.#allocate(nodes.capacity);
    const changed = this.#position < 0 ? undefined : nodes.changedSince(this.#position);
    if (changed === undefined) {
      for (let node = 0; node < nodes.rows; node++) this.#evaluate(node);
    } else {
      for (const node of changed) this.#evaluate(node);
    }
    this.#position = nodes.logEnd;
  }

  #allocate(capacity: number): void {
    this.#refusals = new Array<Refusal | undefined>(capacity).fill(undefined);
    this.#fits = new Uint8Array(capacity);
    this.#fixed = new Float64Array(capacity);
    this.#raw = this.#relative.map(() => new Float64Array(capacity));
    this.#feasible = new Int32Array(capacity);
    this.#totals = new Float64Array(capacity);
    this.#scores = new Float64Array(capacity);
    this.#position = -1;
  }

  #evaluate(node: number): void {
    this.#refusals[node] = undefined;
    this.#fits[node] = 0;
    if (this.#state.nodes.names[node] === undefined) return;
    const refusal = this.#refuseLocally(node);
    if (refusal !== undefined) {
      this.#refusals[node] = refusal;
      return;
    }
    this.#fits[node] = 1;
    let fixed = 0;
    for (const { weight, does } of this.#scoring) fixed += weight * (does.score?.(node) ?? 0);
    this.#fixed[node] = fixed;
    for (let i = 0; i < this.#relative.length; i++)
      (this.#raw[i] as Float64Array)[node] =
        (this.#relative[i] as ActivePlugin).does.relativeScore?.raw(node) ?? 0;
  }

  #refuseLocally(node: number): Refusal | undefined {
    for (const { name, does } of this.#local) {
      const reasons = does.filter?.(node);
      if (reasons !== undefined) return { plugin: name, reasons };
    }
    return undefined;
  }

  #refuseAcross(node: number): Refusal | undefined {
    for (const { name, does } of this.#refusing) {
      const reasons = does.acrossNodes?.filter?.(node);
      if (reasons !== undefined) return { plugin: name, reasons };
    }
    return undefined;
  }

  #sumScores(count: number): void {
    const [feasible, totals, scores, fixed] = [this.#feasible, this.#totals, this.#scores, this.#fixed];
    for (let i = 0; i < count; i++) totals[i] = fixed[feasible[i] as number] as number;
    for (let p = 0; p < this.#relative.length; p++) {
      const { weight, does } = this.#relative[p] as ActivePlugin;
      addRelative(totals, this.#raw[p] as Float64Array, feasible, count, {
        weight,
        reversed: does.relativeScore?.reversed === true,
      });
    }
    for (const { weight, does } of this.#across) {
      if (does.acrossNodes?.score === undefined) continue;
      does.acrossNodes.score(feasible, count, scores);
      for (let i = 0; i < count; i++) totals[i] = (totals[i] as number) + weight * (scores[i] as number);
    }
  }

  /** Whatever the nodes are like. */
  #refuse({ name, does }: ActivePlugin): Verdict {
    const { size } = this.#state.nodes;
    const message =
      size === 0
        ? 'no nodes available to schedule pods'
        : `${fitErrorMessage(size, new Map())} ${does.refusal ?? ''}.`;
    return { kind: 'unschedulable', message, refusedBy: new Set(size === 0 ? [] : [name]) };
  }

  /** Every node with why it lost, counted by reason. */
  #explain(): Verdict {
    const { nodes } = this.#state;
    const refusedBy = new Set<string>();
    if (nodes.size === 0)
      return { kind: 'unschedulable', message: 'no nodes available to schedule pods', refusedBy };
    const counts: ReasonCounts = new Map();
    for (let node = 0; node < nodes.rows; node++) {
      const refusal = this.#furtherRefusals.get(node) ?? this.#refusals[node];
      if (refusal === undefined || nodes.names[node] === undefined) continue;
      refusedBy.add(refusal.plugin);
      countReasons(counts, refusal.reasons);
    }
    return { kind: 'unschedulable', message: fitErrorMessage(nodes.size, counts), refusedBy };
  }
}

function mayRefuse({ acrossNodes }: ClassPlugin): boolean {
  return acrossNodes?.filter !== undefined && acrossNodes.refusesNone?.() !== true;
}

interface Refusal {
  readonly plugin: string;
  readonly reasons: Reasons;
}

/** Adds each node's share of the highest raw score, from 0 to 100; reversed, the highest gets 0 and nothing gets 100. */
function addRelative(
  totals: Float64Array,
  raw: Float64Array,
  nodes: Int32Array,
  count: number,
  { weight, reversed }: { readonly weight: number; readonly reversed: boolean },
): void {
  let most = 0;
  for (let i = 0; i < count; i++) most = Math.max(most, raw[nodes[i] as number] as number);
  const base = reversed ? weight * 100 : 0;
  const sign = reversed ? -weight : weight;
  for (let i = 0; i < count; i++) {
    const share = most === 0 ? 0 : Math.floor((100 * (raw[nodes[i] as number] as number)) / most);
    totals[i] = (totals[i] as number) + base + sign * share;
  }
}
