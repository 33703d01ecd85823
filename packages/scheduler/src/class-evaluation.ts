/**
 * One class of pods held against all nodes. Guarded by bench/scheduler.bench.ts.
 *
 * Invariant: after `refresh`, `reasons`, `fixed` and `raw` are what the class's plugins say of every node as it is now.
 * A binding changes one node, so a refresh usually evaluates one.
 */
import type { corev1 } from '@k8ts/api';
import type { Random } from '@k8ts/base';
import type { ClusterState } from './cluster-state/cluster-state.ts';
import type { ClassPlugin, Plugin, Reasons, Verdict } from './contract.ts';

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

  /** By node: which plugin refused it, and why; undefined for nodes that fit. */
  #refusals: (Refusal | undefined)[] = [];
  /** By node: 1 where no plugin that looks at the node alone refuses it. */
  #fits = new Uint8Array(0);
  /** By node: the weighted sum of the scores that depend on the node alone. */
  #fixed = new Float64Array(0);
  /** By relative plugin and node. */
  #raw: Float64Array[] = [];
  #position = -1;

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
    this.#local = active.filter(({ does }) => does.filter !== undefined);
    this.#scoring = active.filter(({ does }) => does.score !== undefined);
    this.#relative = active.filter(({ does }) => does.relativeScore !== undefined);
    this.#across = active.filter(({ does }) => does.acrossNodes !== undefined);
  }

  /** The best node for a pod of this class now; among equals, one at random. */
  choose(random: Random): Verdict {
    this.#refresh();
    const { nodes } = this.#state;
    for (const { does } of this.#across) does.acrossNodes?.begin();

    const [fits, feasible, { rows }] = [this.#fits, this.#feasible, nodes];
    const refusesAcross = this.#across.some(({ does }) => does.acrossNodes?.filter !== undefined);
    let count = 0;
    let acrossRefusals: Map<number, Refusal> | undefined;
    for (let node = 0; node < rows; node++) {
      if (fits[node] === 0) continue;
      const refusal = refusesAcross ? this.#refuseAcross(node) : undefined;
      if (refusal === undefined) feasible[count++] = node;
      else (acrossRefusals ??= new Map<number, Refusal>()).set(node, refusal);
    }
    if (count === 0) return this.#explain(acrossRefusals);

    this.#sumScores(count);
    const [chosen, score] = this.#pickBest(count, random);
    return { kind: 'assigned', node: nodes.names[chosen] as string, feasible: count, score };
  }

  release(): void {
    for (const { does } of this.#plugins) does.release?.();
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
    for (const { name, does } of this.#local) {
      const reasons = does.filter?.(node);
      if (reasons !== undefined) {
        this.#refusals[node] = { plugin: name, reasons };
        return;
      }
    }
    this.#fits[node] = 1;
    let fixed = 0;
    for (const { weight, does } of this.#scoring) fixed += weight * (does.score?.(node) ?? 0);
    this.#fixed[node] = fixed;
    for (let i = 0; i < this.#relative.length; i++)
      (this.#raw[i] as Float64Array)[node] =
        (this.#relative[i] as ActivePlugin).does.relativeScore?.raw(node) ?? 0;
  }

  #refuseAcross(node: number): Refusal | undefined {
    for (const { name, does } of this.#across) {
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

  /** Every node with why it lost, counted by reason, in upstream's form. */
  #explain(acrossRefusals: ReadonlyMap<number, Refusal> | undefined): Verdict {
    const { nodes } = this.#state;
    const counts = new Map<string, number>();
    const refusedBy = new Set<string>();
    for (let node = 0; node < nodes.rows; node++) {
      const refusal = this.#refusals[node] ?? acrossRefusals?.get(node);
      if (refusal === undefined || nodes.names[node] === undefined) continue;
      refusedBy.add(refusal.plugin);
      for (const reason of typeof refusal.reasons === 'string' ? [refusal.reasons] : refusal.reasons)
        counts.set(reason, (counts.get(reason) ?? 0) + 1);
    }
    const head =
      nodes.size === 0
        ? 'no nodes available to schedule pods'
        : `0/${String(nodes.size)} nodes are available`;
    const reasons = [...counts].map(([reason, count]) => `${String(count)} ${reason}`).sort();
    const message = reasons.length === 0 ? head : `${head}: ${reasons.join(', ')}.`;
    return { kind: 'unschedulable', message, refusedBy };
  }
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
