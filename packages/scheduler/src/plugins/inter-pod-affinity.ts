import { termsOf } from '../cluster-state/anti-affinity-terms.ts';
import type { AffinityTerm } from '../cluster-state/anti-affinity-terms.ts';
import { DomainSums } from '../cluster-state/domain-sums.ts';
import { selects } from '../cluster-state/pod-counters.ts';
import type { PodCounter } from '../cluster-state/pod-counters.ts';
import type { Plugin, Unresolvable } from '../contract.ts';

const AFFINITY: Unresolvable = { unresolvable: "node(s) didn't match pod affinity rules" };
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
    const terms = termsOf(pod, state.workloads).map((term): OwnTerm => {
      const counter = state.countPods(term.selection);
      const domains = state.nodes.domains(term.topologyKey);
      return { ...term, counter, sums: new DomainSums(state.nodes, domains, counter) };
    });
    if (terms.length === 0 && state.antiAffinity.size === 0) return undefined;
    const subject = { namespace: pod.metadata.namespace ?? '', labels: pod.metadata.labels };
    const required = terms.filter(({ kind }) => kind === 'required').map(({ sums }) => sums);
    const requiredAnti = terms.filter(({ kind }) => kind === 'required-anti').map(({ sums }) => sums);
    const ownPreferences = terms.filter(({ kind }) => kind === 'preferred' || kind === 'preferred-anti');
    // The first of a group that wants to be together has nobody to join, and may go anywhere.
    const joinsItself = terms.every(
      ({ kind, selection }) => kind !== 'required' || selects(selection, subject),
    );

    let counted: readonly DomainSums[] = [];
    let existing: readonly DomainSums[] = [];
    let preferences: readonly Preference[] = [];
    let nobodyThere = false;
    const isNobodyThere = (): boolean => required.every((sums) => sums.sums.every((count) => count === 0));

    return {
      acrossNodes: {
        begin() {
          const speaking = state.antiAffinity.speakingOf(pod);
          counted = [...terms, ...speaking].map(({ sums }) => sums);
          for (const sums of counted) sums.refresh();
          nobodyThere = isNobodyThere();
          existing = speaking.filter(({ kind }) => kind === 'required-anti').map(({ sums }) => sums);
          preferences = [...ownPreferences, ...speaking.filter(({ kind }) => kind !== 'required-anti')].map(
            (term) => ({ weight: preferenceOf(term), sums: term.sums }),
          );
        },

        refusesNone: () => required.length + requiredAnti.length + existing.length === 0,

        recount(node) {
          for (const sums of counted) sums.recount(node);
          nobodyThere = isNobodyThere();
        },

        filter(node) {
          let joins = true;
          for (const sums of required) {
            if ((sums.domains.of[node] as number) < 0) return AFFINITY;
            if (sums.at(node) === 0) joins = false;
          }
          if (!joins && !(nobodyThere && joinsItself)) return AFFINITY;
          for (const sums of requiredAnti) if (sums.at(node) > 0) return ANTI_AFFINITY;
          for (const sums of existing) if (sums.at(node) > 0) return EXISTING_ANTI_AFFINITY;
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
            for (const { weight, sums } of preferences) sum += weight * sums.at(nodes[i] as number);
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
  readonly sums: DomainSums;
}

interface Preference {
  readonly weight: number;
  readonly sums: DomainSums;
}

function preferenceOf({ kind, weight }: AffinityTerm): number {
  if (kind === 'required') return HARD_AFFINITY_WEIGHT;
  return kind === 'preferred' ? weight : -weight;
}
