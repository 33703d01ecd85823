import { formatLabelSelector, matchesLabels } from '@k8ts/apimachinery';
import type { LabelSelector } from '@k8ts/apimachinery';
import { grownInts } from './node-table.ts';

/** Which pods a rule counts: of these namespaces (undefined: all), with labels that match. */
export interface PodSelection {
  readonly namespaces: ReadonlySet<string> | undefined;
  readonly selector: LabelSelector;
}

/** How many pods of a selection are on each node, kept right as pods come and go. */
export interface PodCounter {
  readonly selection: PodSelection;
  counts: Int32Array;
}

/** A pod on a node, as far as rules between pods look at it. */
export interface PlacedPod {
  readonly node: number;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>> | undefined;
}

/**
 * Counters are shared by all classes of pods with the same rule and dropped with the last of them. A pod that comes or
 * goes is shown to the counters of its namespace only.
 */
export class PodCounters {
  readonly #entries = new Map<string, { readonly counter: PodCounter; users: number }>();
  readonly #byNamespace = new Map<string, Set<PodCounter>>();
  readonly #everywhere = new Set<PodCounter>();

  /** `placed` are all pods on nodes now. Call `release` once for each `acquire`. */
  acquire(selection: PodSelection, capacity: number, placed: Iterable<PlacedPod>): PodCounter {
    const key = keyOf(selection);
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      const counter: PodCounter = { selection, counts: new Int32Array(capacity) };
      for (const pod of placed) if (selects(selection, pod)) addTo(counter, pod.node, 1);
      this.#entries.set(key, (entry = { counter, users: 0 }));
      if (selection.namespaces === undefined) this.#everywhere.add(counter);
      for (const namespace of selection.namespaces ?? []) {
        const group = this.#byNamespace.get(namespace) ?? new Set<PodCounter>();
        this.#byNamespace.set(namespace, group.add(counter));
      }
    }
    entry.users++;
    return entry.counter;
  }

  release({ selection }: PodCounter): void {
    const key = keyOf(selection);
    const entry = this.#entries.get(key);
    if (entry === undefined || --entry.users > 0) return;
    this.#entries.delete(key);
    this.#everywhere.delete(entry.counter);
    for (const namespace of selection.namespaces ?? []) {
      const group = this.#byNamespace.get(namespace);
      group?.delete(entry.counter);
      if (group?.size === 0) this.#byNamespace.delete(namespace);
    }
  }

  /** A pod came to (`sign` 1) or left (-1) a node. */
  count(pod: Omit<PlacedPod, 'node'>, node: number, sign: 1 | -1): void {
    for (const group of [this.#byNamespace.get(pod.namespace), this.#everywhere])
      for (const counter of group ?? []) if (selects(counter.selection, pod)) addTo(counter, node, sign);
  }

  grow(capacity: number): void {
    for (const { counter } of this.#entries.values()) counter.counts = grownInts(counter.counts, capacity);
  }

  clearNode(node: number): void {
    for (const { counter } of this.#entries.values()) counter.counts[node] = 0;
  }
}

export function selects(
  { namespaces, selector }: PodSelection,
  pod: Pick<PlacedPod, 'namespace' | 'labels'>,
): boolean {
  return (namespaces === undefined || namespaces.has(pod.namespace)) && matchesLabels(selector, pod.labels);
}

function addTo(counter: PodCounter, node: number, amount: number): void {
  counter.counts[node] = (counter.counts[node] as number) + amount;
}

function keyOf({ namespaces, selector }: PodSelection): string {
  const where = namespaces === undefined ? '*' : [...namespaces].sort().join(',');
  return `${where}|${selector.nothing ? '<none>' : formatLabelSelector(selector)}`;
}
