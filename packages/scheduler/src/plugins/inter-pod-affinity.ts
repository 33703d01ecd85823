import { termsOf } from '../cluster-state/anti-affinity-terms.ts';
import type { AffinityTerm } from '../cluster-state/anti-affinity-terms.ts';
import type { ClusterState } from '../cluster-state/cluster-state.ts';
import type { TopologyDomains } from '../cluster-state/node-table.ts';
import { selects } from '../cluster-state/pod-counters.ts';
import type { PodCounter } from '../cluster-state/pod-counters.ts';
import type { Plugin } from '../contract.ts';

const AFFINITY = "node(s) didn't match pod affinity rules";
const ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules";
const EXISTING_ANTI_AFFINITY = "node(s) didn't satisfy existing pods anti-affinity rules";

/** How much weight a required affinity of a pod that is there gives to nodes for pods that it speaks of. */
const HARD_AFFINITY_WEIGHT = 1;

/** `affinity.podAffinity` and `podAntiAffinity`, of the pod itself and of those on the nodes already. */
export const interPodAffinity: Plugin = {
  name: 'InterPodAffinity',
  weight: 2,
  retryOn: ['NodeAdded', 'NodeChanged', 'AssignedPodAdded', 'AssignedPodChanged', 'AssignedPodDeleted'],
  // Any pod may be spoken of by the terms of others, so its labels matter as soon as there are such terms.
  classKey(pod, { antiAffinity }) {
    const own = pod.spec.affinity;
    if (own?.podAffinity === undefined && own?.podAntiAffinity === undefined && antiAffinity.size === 0)
      return undefined;
    return [pod.metadata.namespace, pod.metadata.labels, own?.podAffinity, own?.podAntiAffinity];
  },

  forClass(pod, state) {
    const terms = termsOf(pod, state.workloads).map((term): OwnTerm => ({
      ...term,
      counter: state.countPods(term.selection),
      domains: state.nodes.domains(term.topologyKey),
    }));
    if (terms.length === 0 && state.antiAffinity.size === 0) return undefined;
    const subject = { namespace: pod.metadata.namespace ?? '', labels: pod.metadata.labels };
    const required = terms.filter(({ kind }) => kind === 'required');
    const requiredAnti = terms.filter(({ kind }) => kind === 'required-anti');
    // The first of a group that wants to be together has nobody to join, and may go anywhere.
    const joinsItself = required.every(({ selection }) => selects(selection, subject));

    let affinity: readonly Float64Array[] = [];
    let antiAffinity: readonly Float64Array[] = [];
    let existing: readonly DomainSums[] = [];
    let preferences: readonly Preference[] = [];
    let nobodyThere = false;

    return {
      acrossNodes: {
        begin() {
          affinity = required.map((term) => sums(term.counter.counts, term.domains, state));
          antiAffinity = requiredAnti.map((term) => sums(term.counter.counts, term.domains, state));
          nobodyThere = affinity.every((ofDomain) => ofDomain.every((count) => count === 0));
          const speaking = state.antiAffinity.speakingOf(pod).map((term) => {
            const domains = state.nodes.domains(term.topologyKey);
            return { term, domains, sums: sums(term.counts, domains, state) };
          });
          existing = speaking.filter(({ term }) => term.kind === 'required-anti');
          preferences = [
            ...terms
              .filter(({ kind }) => kind === 'preferred' || kind === 'preferred-anti')
              .map((term) => ({
                weight: term.kind === 'preferred' ? term.weight : -term.weight,
                domains: term.domains,
                sums: sums(term.counter.counts, term.domains, state),
              })),
            ...speaking.flatMap(({ term, domains, sums: ofDomain }) =>
              term.kind === 'required-anti'
                ? []
                : [
                    {
                      weight:
                        term.kind === 'required'
                          ? HARD_AFFINITY_WEIGHT
                          : term.kind === 'preferred'
                            ? term.weight
                            : -term.weight,
                      domains,
                      sums: ofDomain,
                    },
                  ],
            ),
          ];
        },

        filter(node) {
          let joins = true;
          for (let i = 0; i < required.length; i++) {
            const domain = (required[i] as OwnTerm).domains.of[node] as number;
            if (domain < 0) return AFFINITY;
            if ((affinity[i]?.[domain] ?? 0) === 0) joins = false;
          }
          if (!joins && !(nobodyThere && joinsItself)) return AFFINITY;
          for (let i = 0; i < requiredAnti.length; i++) {
            const domain = (requiredAnti[i] as OwnTerm).domains.of[node] as number;
            if (domain >= 0 && (antiAffinity[i]?.[domain] ?? 0) > 0) return ANTI_AFFINITY;
          }
          for (const { domains, sums: ofDomain } of existing) {
            const domain = domains.of[node] as number;
            if (domain >= 0 && (ofDomain[domain] ?? 0) > 0) return EXISTING_ANTI_AFFINITY;
          }
          return undefined;
        },

        score(nodes, count, scores) {
          if (preferences.length === 0) {
            scores.fill(0, 0, count);
            return;
          }
          let [least, most] = [Infinity, -Infinity];
          for (let i = 0; i < count; i++) {
            let sum = 0;
            for (const { weight, domains, sums: ofDomain } of preferences) {
              const domain = domains.of[nodes[i] as number] as number;
              if (domain >= 0) sum += weight * (ofDomain[domain] ?? 0);
            }
            scores[i] = sum;
            least = Math.min(least, sum);
            most = Math.max(most, sum);
          }
          const range = most - least;
          for (let i = 0; i < count; i++)
            scores[i] = range === 0 ? 0 : Math.floor((100 * ((scores[i] as number) - least)) / range);
        },
      },
      release() {
        for (const { counter } of terms) state.releaseCounter(counter);
      },
    };
  },
};

interface OwnTerm extends AffinityTerm {
  readonly counter: PodCounter;
  readonly domains: TopologyDomains;
}

interface DomainSums {
  readonly domains: TopologyDomains;
  readonly sums: Float64Array;
}

interface Preference extends DomainSums {
  readonly weight: number;
}

function sums(counts: Int32Array, domains: TopologyDomains, { nodes }: ClusterState): Float64Array {
  const ofDomain = new Float64Array(domains.count);
  for (let node = 0; node < nodes.rows; node++) {
    const domain = domains.of[node] as number;
    if (domain >= 0) ofDomain[domain] = (ofDomain[domain] as number) + (counts[node] as number);
  }
  return ofDomain;
}
