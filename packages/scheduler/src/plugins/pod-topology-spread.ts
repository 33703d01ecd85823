import type { corev1 } from '@k8ts/api';
import { labelSelectorFromObject, matchesLabels } from '@k8ts/apimachinery';
import type { LabelSelector } from '@k8ts/apimachinery';
import type { ClusterState } from '../cluster-state/cluster-state.ts';
import type { TopologyDomains } from '../cluster-state/node-table.ts';
import type { PodCounter } from '../cluster-state/pod-counters.ts';
import type { AcrossNodes, ClassPlugin, Plugin } from '../contract.ts';
import { nodeMatcher } from './node-affinity.ts';
import { toleratesTaint } from './taint-toleration.ts';

const HOSTNAME = 'kubernetes.io/hostname';
const MISMATCH = "node(s) didn't match pod topology spread constraints";
const MISSING_LABEL = `${MISMATCH} (missing required label)`;

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
        begin: () => filter?.begin(),
        ...(filter === undefined ? {} : { filter: filter.filter }),
        ...(score === undefined ? {} : { score }),
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
  counts(node: number): boolean;
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
    acrossNodes: { begin: () => undefined, score: softScore(constraints, state, false) },
    release: () => releaseAll(constraints, state),
  };
}

function releaseAll(constraints: readonly Constraint[], state: ClusterState): void {
  for (const { counter } of constraints) state.releaseCounter(counter);
}

/** Pods by domain: -1 for domains without a node that counts. */
function domainSums(constraint: Constraint, all: readonly Constraint[], state: ClusterState): Float64Array {
  const { domains, counter } = constraint;
  const sums = new Float64Array(domains.count).fill(-1);
  for (let node = 0; node < state.nodes.rows; node++) {
    const domain = domains.of[node] as number;
    if (domain < 0 || state.nodes.names[node] === undefined || !constraint.counts(node)) continue;
    // A node counts only if it has a place in every constraint.
    if (all.some((other) => (other.domains.of[node] as number) < 0)) continue;
    sums[domain] = Math.max(0, sums[domain] as number) + (counter.counts[node] as number);
  }
  return sums;
}

/** `DoNotSchedule`: the domain's pods, with the new one, exceed the emptiest domain's by at most `maxSkew`. */
function hardFilter(
  constraints: readonly Constraint[],
  state: ClusterState,
): Required<Pick<AcrossNodes, 'begin' | 'filter'>> {
  let sums: readonly Float64Array[] = [];
  let minimums: readonly number[] = [];
  return {
    begin() {
      sums = constraints.map((constraint) => domainSums(constraint, constraints, state));
      minimums = sums.map((ofDomain, index) => {
        const present = ofDomain.filter((sum) => sum >= 0);
        // Too few domains: the missing ones count as empty.
        if (present.length < (constraints[index] as Constraint).minDomains || present.length === 0) return 0;
        return present.reduce((least, sum) => Math.min(least, sum), Infinity);
      });
    },
    filter(node) {
      for (const [index, constraint] of constraints.entries()) {
        const domain = constraint.domains.of[node] as number;
        if (domain < 0) return MISSING_LABEL;
        const count = Math.max(0, sums[index]?.[domain] ?? 0);
        if (count + constraint.self - (minimums[index] as number) > constraint.maxSkew) return MISMATCH;
      }
      return undefined;
    },
  };
}

/**
 * `ScheduleAnyway`: fewer pods in the domain are better. A constraint over many domains weighs more, by the logarithm of
 * their number, since its counts are smaller.
 */
function softScore(
  constraints: readonly Constraint[],
  state: ClusterState,
  requireAll: boolean,
): NonNullable<AcrossNodes['score']> {
  return (nodes, count, scores) => {
    const ignored = (node: number): boolean =>
      requireAll && constraints.some(({ domains }) => (domains.of[node] as number) < 0);
    const sums = constraints.map((constraint) =>
      constraint.topologyKey === HOSTNAME
        ? undefined
        : domainSums(constraint, requireAll ? constraints : [], state),
    );
    const weights = constraints.map(({ domains, topologyKey }) => {
      let size = 0;
      if (topologyKey === HOSTNAME) {
        for (let i = 0; i < count; i++) if (!ignored(nodes[i] as number)) size++;
      } else {
        const seen = new Set<number>();
        for (let i = 0; i < count; i++) {
          const node = nodes[i] as number;
          const domain = domains.of[node] as number;
          if (domain >= 0 && !ignored(node)) seen.add(domain);
        }
        size = seen.size;
      }
      return Math.log(size + 2);
    });

    let [least, most] = [Infinity, 0];
    for (let i = 0; i < count; i++) {
      const node = nodes[i] as number;
      if (ignored(node)) {
        scores[i] = -1;
        continue;
      }
      let sum = 0;
      for (let c = 0; c < constraints.length; c++) {
        const { domains, counter, maxSkew } = constraints[c] as Constraint;
        const domain = domains.of[node] as number;
        if (domain < 0) continue;
        const ofDomain = sums[c];
        const pods =
          ofDomain === undefined ? (counter.counts[node] as number) : Math.max(0, ofDomain[domain] as number);
        sum += pods * (weights[c] as number) + (maxSkew - 1);
      }
      const score = Math.round(sum);
      scores[i] = score;
      least = Math.min(least, score);
      most = Math.max(most, score);
    }
    for (let i = 0; i < count; i++) {
      const score = scores[i] as number;
      scores[i] = score < 0 ? 0 : most === 0 ? 100 : Math.floor((100 * (most + least - score)) / most);
    }
  };
}
