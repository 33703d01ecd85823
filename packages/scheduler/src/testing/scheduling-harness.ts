import type { corev1, policyv1 } from '@k8ts/api';
import { seededRandom } from '@k8ts/base';
import { ClusterState } from '../cluster-state/cluster-state.ts';
import type { WorkloadLookup } from '../cluster-state/workloads.ts';
import type { Verdict } from '../contract.ts';
import { SchedulingCycle } from '../cycle.ts';
import { defaultPlugins } from '../plugin-registry.ts';
import { groupByNamespace, splitByBudgets } from '../preemption/disruption-budgets.ts';
import { Preemption } from '../preemption/preemption.ts';

export const HOSTNAME = 'kubernetes.io/hostname';

/** A cluster without Services, controllers and labelled namespaces. */
export const alone: WorkloadLookup = { selectorOf: () => undefined, namespacesMatching: () => new Set() };

export function node(
  name: string,
  init: Partial<corev1.NodeSpec> & {
    labels?: Record<string, string>;
    cpu?: string;
    pods?: string;
    extra?: Record<string, string>;
  } = {},
): corev1.Node {
  const { labels, cpu = '4', pods = '110', extra, ...spec } = init;
  return {
    metadata: { name, labels: { [HOSTNAME]: name, ...labels } },
    spec,
    status: { allocatable: { cpu, memory: '8Gi', pods, 'ephemeral-storage': '10Gi', ...extra } },
  };
}

let serial = 0;
export function pod(
  spec: Partial<corev1.PodSpec> & {
    labels?: Record<string, string>;
    requests?: Record<string, string>;
    hostPort?: number;
    hostIP?: string;
    name?: string;
    startTime?: string;
  } = {},
): corev1.Pod {
  const { labels, requests, hostPort, hostIP, startTime, name = `pod-${String(serial++)}`, ...rest } = spec;
  return {
    metadata: { name, namespace: 'default', uid: name, ...(labels === undefined ? {} : { labels }) },
    spec: {
      containers: [
        {
          name: 'app',
          image: 'app',
          ...(requests === undefined ? {} : { resources: { requests } }),
          ...(hostPort === undefined
            ? {}
            : {
                ports: [{ containerPort: hostPort, hostPort, ...(hostIP === undefined ? {} : { hostIP }) }],
              }),
        },
      ],
      ...rest,
    },
    ...(startTime === undefined ? {} : { status: { startTime } }),
  };
}

/** The scheduler's decisions, without the API. */
export class Harness {
  readonly state: ClusterState;
  readonly cycle: SchedulingCycle;
  readonly leaving: Set<string> = new Set();
  #budgets: readonly policyv1.PodDisruptionBudget[] = [];
  #generation = 0;
  readonly preemption: Preemption;
  constructor(nodes: readonly corev1.Node[], workloads: WorkloadLookup = alone) {
    this.state = new ClusterState(workloads);
    this.cycle = new SchedulingCycle(defaultPlugins, this.state, seededRandom(7));
    for (const each of nodes) this.state.putNode(each);
    const generation = (): number => this.#generation;
    this.preemption = new Preemption({
      state: this.state,
      random: seededRandom(7),
      budgets: {
        get generation() {
          return generation();
        },
        split: (pods) => splitByBudgets(pods, groupByNamespace(this.#budgets)),
      },
      isBeingPreempted: (uid) => this.leaving.has(uid),
    });
  }
  set budgets(budgets: readonly policyv1.PodDisruptionBudget[]) {
    this.#budgets = budgets;
    this.#generation++;
  }
  decide(subject: corev1.Pod): Verdict {
    return this.cycle.decide(subject);
  }
  /** Who has to leave which node for a pod that has a place nowhere; or why nobody. */
  preempt(subject: corev1.Pod): { node: string; victims: string[] } | string {
    const verdict = this.decide(subject);
    if (verdict.kind === 'assigned') throw new Error(`there is room on ${verdict.node}`);
    const result = this.cycle.preempt(subject, this.preemption);
    return result.kind === 'refused'
      ? result.message
      : { node: result.node, victims: result.victims.map(({ pod: { metadata } }) => metadata.name) };
  }
  /** Decides and counts the pod there. */
  schedule(subject: corev1.Pod): string {
    const verdict = this.decide(subject);
    if (verdict.kind !== 'assigned') throw new Error(verdict.message);
    this.state.place(subject, verdict.node);
    return verdict.node;
  }
}
