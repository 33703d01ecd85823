import type { corev1 } from '@k8ts/api';
import { labelSelectorFromObject, matchesLabels, toleratesTaint } from '@k8ts/apimachinery';
import type { LabelSelector } from '@k8ts/apimachinery';
import type { ClusterState } from '../cluster-state/cluster-state.ts';
import { DomainSums } from '../cluster-state/domain-sums.ts';
import type { TopologyDomains } from '../cluster-state/node-table.ts';
import type { PodCounter } from '../cluster-state/pod-counters.ts';
import type { AcrossNodes, ClassPlugin, Plugin, Unresolvable } from '../contract.ts';
import { nodeMatcher } from './node-affinity.ts';

const HOSTNAME = 'kubernetes.io/hostname';
const MISMATCH = "node(s) didn't match pod topology spread constraints";
const MISSING_LABEL: Unresolvable = { unresolvable: `${MISMATCH} (missing required label)` };

/** For pods that say nothing themselves (upstream's system defaulting). */
const SYSTEM_DEFAULTS = [
  { topologyKey: HOSTNAME, maxSkew: 3 },
  { topologyKey: 'topology.kubernetes.io/zone', maxSkew: 5 },
] as const;

/**
 * Spreads pods of one kind over nodes, zones or other domains: by their `topologySpreadConstraints`, or else mildly over
 * hosts and zones by their Service and controller. (SelectorSpreadPriority in the scheduler policies of old.)
 */
export const podTopologySpread: Plugin = {
  name: 'PodTopologySpread',
  weight: 2,
  retryOn: ['NodeAdded', 'NodeChanged', 'AssignedPodAdded', 'AssignedPodChanged', 'AssignedPodDeleted'],
  classKey(pod, { workloads }) {
    const own = pod.spec.topologySpreadConstraints ?? [];
    if (own.length > 0)
      return [
        own,
        pod.metadata.namespace,
        pod.metadata.labels,
        pod.spec.nodeSelector,
        pod.spec.affinity?.nodeAffinity,
        pod.spec.tolerations,
      ];
    const selector = workloads.selectorOf(pod);
    return selector === undefined ? undefined : [pod.metadata.namespace, selector];
  },

  forClass(pod, state) {
    const own = pod.spec.topologySpreadConstraints ?? [];
    if (own.length === 0) return systemDefaults(pod, state);
    const make = (constraint: corev1.TopologySpreadConstraint): Constraint =>
      constraintOf(pod, constraint, state);
    const hard = own.filter(({ whenUnsatisfiable }) => whenUnsatisfiable !== 'ScheduleAnyway').map(make);
    const soft = own.filter(({ whenUnsatisfiable }) => whenUnsatisfiable === 'ScheduleAnyway').map(make);
    const filter = hard.length === 0 ? undefined : hardFilter(hard, state);
    const score = soft.length === 0 ? undefined : softScore(soft, state, true);
    return {
      acrossNodes: {
        begin() {
          filter?.begin();
          score?.begin();
        },
        ...(filter === undefined ? {} : { filter: filter.filter, recount: filter.recount }),
        ...(score === undefined ? {} : { score: score.score }),
      },
      release: () => releaseAll([...hard, ...soft], state),
    };
  },
};

interface Constraint {
  readonly maxSkew: number;
  readonly minDomains: number;
  readonly topologyKey: string;
  /** Whether the pod counts itself. */
  readonly self: 0 | 1;
  readonly counter: PodCounter;
  readonly domains: TopologyDomains;
  /** Whether the pods of a node are counted at all. */
  readonly counts: (node: number) => boolean;
}

function constraintOf(
  pod: corev1.Pod,
  constraint: corev1.TopologySpreadConstraint,
  state: ClusterState,
): Constraint {
  const labels = pod.metadata.labels;
  const keyed = (constraint.matchLabelKeys ?? []).flatMap((key) => {
    const value = labels?.[key];
    return value === undefined ? [] : [{ key, operator: 'In' as const, values: [value] }];
  });
  const selector = labelSelectorFromObject(
    constraint.labelSelector === undefined || keyed.length === 0
      ? constraint.labelSelector
      : {
          ...constraint.labelSelector,
          matchExpressions: [...(constraint.labelSelector.matchExpressions ?? []), ...keyed],
        },
  );
  const matches = nodeMatcher(pod, state);
  const honorsAffinity = constraint.nodeAffinityPolicy !== 'Ignore';
  const honorsTaints = constraint.nodeTaintsPolicy === 'Honor';
  const tolerations = pod.spec.tolerations ?? [];
  const isTainted = (node: number): boolean =>
    (state.nodes.taints[node] ?? []).some(
      (taint) =>
        taint.effect !== 'PreferNoSchedule' &&
        !tolerations.some((toleration) => toleratesTaint(toleration, taint)),
    );
  return {
    maxSkew: constraint.maxSkew,
    minDomains: constraint.minDomains ?? 1,
    topologyKey: constraint.topologyKey,
    self: matchesLabels(selector, labels) ? 1 : 0,
    counter: state.countPods({ namespaces: new Set([pod.metadata.namespace ?? '']), selector }),
    domains: state.nodes.domains(constraint.topologyKey),
    counts: (node) => (!honorsAffinity || matches(node)) && !(honorsTaints && isTainted(node)),
  };
}

function systemDefaults(pod: corev1.Pod, state: ClusterState): ClassPlugin | undefined {
  const selector: LabelSelector | undefined = state.workloads.selectorOf(pod);
  if (selector === undefined) return undefined;
  const constraints = SYSTEM_DEFAULTS.map(({ topologyKey, maxSkew }): Constraint => ({
    maxSkew,
    minDomains: 1,
    topologyKey,
    self: 1,
    counter: state.countPods({ namespaces: new Set([pod.metadata.namespace ?? '']), selector }),
    domains: state.nodes.domains(topologyKey),
    counts: () => true,
  }));
  return {
    acrossNodes: softScore(constraints, state, false),
    release: () => releaseAll(constraints, state),
  };
}

function releaseAll(constraints: readonly Constraint[], state: ClusterState): void {
  for (const { counter } of constraints) state.releaseCounter(counter);
}

/** A constraint's pods by domain. With `others`, a node counts only if it has a place in each of these too. */
function domainSums(
  { domains, counter, counts }: Constraint,
  others: readonly Constraint[],
  { nodes }: ClusterState,
): DomainSums {
  return new DomainSums(nodes, domains, counter, (node) => counts(node) && hasPlace(node, others));
}

/** Whether a node has the labels of all constraints. */
function hasPlace(node: number, constraints: readonly Constraint[]): boolean {
  for (const { domains } of constraints) if ((domains.of[node] as number) < 0) return false;
  return true;
}

/** `DoNotSchedule`: the domain's pods, with the new one, exceed the emptiest domain's by at most `maxSkew`. */
function hardFilter(
  constraints: readonly Constraint[],
  state: ClusterState,
): Required<Pick<AcrossNodes, 'begin' | 'recount' | 'filter'>> {
  const limits = constraints.map((constraint) => ({
    constraint,
    sums: domainSums(constraint, constraints, state),
    /** What the node's domain may have before the pod comes. */
    most: 0,
  }));
  const setMost = (limit: (typeof limits)[number]): void => {
    const { minDomains, maxSkew, self } = limit.constraint;
    limit.most = minimum(limit.sums, minDomains) + maxSkew - self;
  };
  return {
    begin() {
      for (const limit of limits) {
        limit.sums.refresh();
        setMost(limit);
      }
    },
    recount(node) {
      for (const limit of limits) {
        limit.sums.recount(node);
        setMost(limit);
      }
    },
    filter(node) {
      for (const { constraint, sums, most } of limits) {
        if ((constraint.domains.of[node] as number) < 0) return MISSING_LABEL;
        if (sums.at(node) > most) return MISMATCH;
      }
      return undefined;
    },
  };
}

/** The pods of the emptiest domain; with fewer than `minDomains` of them, the missing ones count as empty. */
function minimum({ sums, members }: DomainSums, minDomains: number): number {
  let present = 0;
  let least = Infinity;
  for (let domain = 0; domain < sums.length; domain++) {
    if (members[domain] === 0) continue;
    present++;
    least = Math.min(least, sums[domain] as number);
  }
  return present === 0 || present < minDomains ? 0 : least;
}

/**
 * `ScheduleAnyway`: fewer pods in the domain are better. A constraint over many domains weighs more, by the logarithm of
 * their number, since its counts are smaller. Done for every pod over all nodes that fit, so these are plain loops.
 */
function softScore(
  constraints: readonly Constraint[],
  state: ClusterState,
  requireAll: boolean,
): Required<Pick<AcrossNodes, 'begin' | 'score'>> {
  const rules = constraints.map((constraint) => ({
    ...constraint,
    // A host is its own domain.
    sums:
      constraint.topologyKey === HOSTNAME
        ? undefined
        : domainSums(constraint, requireAll ? constraints : [], state),
  }));
  return {
    begin() {
      for (const { sums } of rules) sums?.refresh();
    },
    score(nodes, count, scores) {
      for (let i = 0; i < count; i++)
        scores[i] = requireAll && !hasPlace(nodes[i] as number, constraints) ? IGNORED : 0;
      for (const { domains, counter, maxSkew, sums } of rules) {
        const size =
          sums === undefined ? placesIn(scores, count) : domainsAmong(domains, nodes, count, scores);
        const weight = Math.log(size + 2);
        const pods = sums === undefined ? counter.counts : sums.sums;
        for (let i = 0; i < count; i++) {
          const node = nodes[i] as number;
          const domain = domains.of[node] as number;
          if (domain < 0 || scores[i] === IGNORED) continue;
          const inDomain = pods[sums === undefined ? node : domain] as number;
          scores[i] = (scores[i] as number) + inDomain * weight + (maxSkew - 1);
        }
      }
      normalize(scores, count);
    },
  };
}

/** The score of nodes that lack a label, until all are compared. */
const IGNORED = -1;

function placesIn(scores: Float64Array, count: number): number {
  let places = 0;
  for (let i = 0; i < count; i++) if (scores[i] !== IGNORED) places++;
  return places;
}

function domainsAmong(
  domains: TopologyDomains,
  nodes: Int32Array,
  count: number,
  scores: Float64Array,
): number {
  const seen = new Uint8Array(domains.count);
  let size = 0;
  for (let i = 0; i < count; i++) {
    const domain = domains.of[nodes[i] as number] as number;
    if (domain < 0 || seen[domain] === 1 || scores[i] === IGNORED) continue;
    seen[domain] = 1;
    size++;
  }
  return size;
}

/** From "fewer pods are better" to 0–100, 100 being best. */
function normalize(scores: Float64Array, count: number): void {
  let [least, most] = [Infinity, 0];
  for (let i = 0; i < count; i++) {
    if (scores[i] === IGNORED) continue;
    const score = Math.round(scores[i] as number);
    scores[i] = score;
    if (score < least) least = score;
    if (score > most) most = score;
  }
  for (let i = 0; i < count; i++) {
    const score = scores[i] as number;
    if (score === IGNORED) scores[i] = 0;
    else scores[i] = most === 0 ? 100 : Math.floor((100 * (most + least - score)) / most);
  }
}
