import type { corev1 } from '@k8ts/api';
import { labelSelectorFromObject, formatLabelSelector } from '@k8ts/apimachinery';
import { DomainSums } from './domain-sums.ts';
import { grownInts } from './node-table.ts';
import type { NodeTable } from './node-table.ts';
import { selects } from './pod-counters.ts';
import type { PodSelection } from './pod-counters.ts';
import type { WorkloadLookup } from './workloads.ts';

const NO_TERMS: readonly string[] = [];

/** A term of pods that are on nodes already: whom it speaks of, and on how many pods of each node it stands. */
export interface PlacedTerm {
  readonly kind: 'required-anti' | 'required' | 'preferred' | 'preferred-anti';
  readonly selection: PodSelection;
  readonly topologyKey: string;
  /** Of preferred terms; 1 otherwise. */
  readonly weight: number;
  counts: Int32Array;
  /** The same by domain of `topologyKey`; to be refreshed before they are read. */
  readonly sums: DomainSums;
}

/**
 * The affinity terms of the pods on nodes, since they hold against newcomers too: nobody may come to a pod that wants to
 * be without them. Equal terms (those of one Deployment's pods) are one entry.
 */
export class AntiAffinityTerms {
  readonly #nodes: NodeTable;
  readonly #terms = new Map<string, { readonly term: PlacedTerm; users: number }>();

  constructor(nodes: NodeTable) {
    this.#nodes = nodes;
  }

  get size(): number {
    return this.#terms.size;
  }

  /** Makes the terms of a pod known, on no node yet; give what comes back to the other methods. */
  register(pod: corev1.Pod, workloads: WorkloadLookup): readonly string[] {
    if (pod.spec.affinity?.podAffinity === undefined && pod.spec.affinity?.podAntiAffinity === undefined)
      return NO_TERMS;
    return termsOf(pod, workloads).map((term) => {
      const key = keyOf(term);
      let entry = this.#terms.get(key);
      if (entry === undefined) this.#terms.set(key, (entry = { term: this.#place(term), users: 0 }));
      entry.users++;
      return key;
    });
  }

  /** A pod that was registered came to (`sign` 1) or left (-1) the node. */
  count(terms: readonly string[], node: number, sign: 1 | -1): void {
    for (const key of terms) {
      const counts = this.#terms.get(key)?.term.counts;
      if (counts !== undefined) counts[node] = (counts[node] as number) + sign;
    }
  }

  unregister(terms: readonly string[]): void {
    for (const key of terms) {
      const entry = this.#terms.get(key);
      if (entry !== undefined && --entry.users === 0) this.#terms.delete(key);
    }
  }

  #place(term: AffinityTerm): PlacedTerm {
    const nodes = this.#nodes;
    const counter = { counts: new Int32Array(nodes.capacity) };
    return Object.assign(counter, term, {
      sums: new DomainSums(nodes, nodes.domains(term.topologyKey), counter),
    });
  }

  /** The terms that speak of a pod. */
  speakingOf(pod: corev1.Pod): readonly PlacedTerm[] {
    const subject = { namespace: pod.metadata.namespace ?? '', labels: pod.metadata.labels };
    const found: PlacedTerm[] = [];
    for (const { term } of this.#terms.values()) if (selects(term.selection, subject)) found.push(term);
    return found;
  }

  grow(capacity: number): void {
    for (const { term } of this.#terms.values()) term.counts = grownInts(term.counts, capacity);
  }
}

export type AffinityTerm = Omit<PlacedTerm, 'counts' | 'sums'>;

/** All terms of a pod between it and other pods. */
export function termsOf(pod: corev1.Pod, workloads: WorkloadLookup): AffinityTerm[] {
  const { podAffinity, podAntiAffinity } = pod.spec.affinity ?? {};
  const make = (kind: PlacedTerm['kind'], term: corev1.PodAffinityTerm, weight = 1): AffinityTerm => ({
    kind,
    selection: selectionOf(pod, term, workloads),
    topologyKey: term.topologyKey ?? '',
    weight,
  });
  return [
    ...(podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).map((term) =>
      make('required', term),
    ),
    ...(podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).map((term) =>
      make('required-anti', term),
    ),
    ...(podAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(
      ({ podAffinityTerm, weight }) => make('preferred', podAffinityTerm, weight),
    ),
    ...(podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(
      ({ podAffinityTerm, weight }) => make('preferred-anti', podAffinityTerm, weight),
    ),
  ];
}

/** Without namespaces and without a selector of namespaces a term speaks of the pod's own namespace. */
function selectionOf(pod: corev1.Pod, term: corev1.PodAffinityTerm, workloads: WorkloadLookup): PodSelection {
  const selector = withLabelKeys(pod, term);
  const { namespaces = [], namespaceSelector } = term;
  if (namespaceSelector === undefined)
    return {
      namespaces: new Set(namespaces.length > 0 ? namespaces : [pod.metadata.namespace ?? '']),
      selector,
    };
  const chosen = labelSelectorFromObject(namespaceSelector);
  if (chosen.requirements.length === 0 && !chosen.nothing) return { namespaces: undefined, selector };
  return { namespaces: new Set([...namespaces, ...workloads.namespacesMatching(chosen)]), selector };
}

/** `matchLabelKeys` and `mismatchLabelKeys` compare with the pod's own labels (KEP-3633). */
function withLabelKeys(pod: corev1.Pod, term: corev1.PodAffinityTerm): PodSelection['selector'] {
  const extra = (keys: readonly string[] | undefined, operator: 'In' | 'NotIn') =>
    (keys ?? []).flatMap((key) => {
      const value = pod.metadata.labels?.[key];
      return value === undefined ? [] : [{ key, operator, values: [value] }];
    });
  const expressions = [...extra(term.matchLabelKeys, 'In'), ...extra(term.mismatchLabelKeys, 'NotIn')];
  if (term.labelSelector === undefined || expressions.length === 0)
    return labelSelectorFromObject(term.labelSelector);
  return labelSelectorFromObject({
    ...term.labelSelector,
    matchExpressions: [...(term.labelSelector.matchExpressions ?? []), ...expressions],
  });
}

function keyOf({ kind, selection, topologyKey, weight }: AffinityTerm): string {
  const where = selection.namespaces === undefined ? '*' : [...selection.namespaces].sort().join(',');
  const selector = selection.selector.nothing ? '<none>' : formatLabelSelector(selection.selector);
  return `${kind}|${topologyKey}|${String(weight)}|${where}|${selector}`;
}
