/**
 * How many pods a second the scheduler decides, without the API: 5,000 nodes in three zones, pods of ten Deployments; and
 * for how many a second it finds others who have to leave: 500 pods of high priority, 1,000 nodes that are full.
 * Run with `npx tsx bench/scheduler.bench.ts`.
 */
import type { corev1 } from '@k8ts/api';
import { selectorFromLabels } from '@k8ts/apimachinery';
import { seededRandom } from '@k8ts/base';
import { ClusterState, defaultPlugins, Preemption, SchedulingCycle } from '@k8ts/scheduler';
import { report } from './report.ts';

const NODES = 5000;
const PODS = 20_000;
const FULL_NODES = 1000;
const PODS_ON_FULL_NODE = 10;
const PREEMPTORS = 500;

const random = seededRandom(1);
const workloads = {
  selectorOf: (pod: corev1.Pod) => selectorFromLabels({ app: pod.metadata.labels?.['app'] ?? '' }),
  namespacesMatching: () => new Set<string>(),
};

function cluster(nodes: number): ClusterState {
  const state = new ClusterState(workloads);
  for (let i = 0; i < nodes; i++) {
    const name = `node-${String(i)}`;
    const labels = { 'kubernetes.io/hostname': name, 'topology.kubernetes.io/zone': `zone-${String(i % 3)}` };
    state.putNode({
      metadata: { name, labels },
      spec: {},
      status: { allocatable: { cpu: '8', memory: '32Gi', pods: '110' } },
    });
  }
  return state;
}

function pod(index: number, spec: { readonly priority?: number; readonly cpu?: string } = {}): corev1.Pod {
  const { cpu = '100m', priority = 0 } = spec;
  const name = `pod-${String(index)}`;
  return {
    metadata: { name, namespace: 'default', uid: name, labels: { app: `app-${String(index % 10)}` } },
    spec: {
      priority,
      containers: [{ name: 'app', image: 'app', resources: { requests: { cpu, memory: '128Mi' } } }],
    },
  };
}

function decide(): void {
  const state = cluster(NODES);
  const cycle = new SchedulingCycle(defaultPlugins, state, random);
  const started = performance.now();
  let assigned = 0;
  for (let i = 0; i < PODS; i++) {
    const subject = pod(i);
    const verdict = cycle.decide(subject);
    if (verdict.kind !== 'assigned') continue;
    state.place(subject, verdict.node);
    assigned++;
  }
  const seconds = (performance.now() - started) / 1000;
  if (assigned !== PODS) throw new Error(`only ${String(assigned)} of ${String(PODS)} pods found a node`);
  report([
    { name: 'pods decided on 5,000 nodes', value: PODS / seconds, unit: '/s' },
    { name: 'one decision', value: (seconds * 1e6) / PODS, unit: 'µs' },
  ]);
}

function preempt(): void {
  const state = cluster(FULL_NODES);
  for (let i = 0; i < FULL_NODES * PODS_ON_FULL_NODE; i++)
    state.place(
      pod(i, { cpu: '800m', priority: Math.floor(i / FULL_NODES) % 5 }),
      `node-${String(i % FULL_NODES)}`,
    );
  const cycle = new SchedulingCycle(defaultPlugins, state, random);
  const preemption = new Preemption({
    state,
    random,
    budgets: { generation: 0, split: (pods) => ({ violating: [], others: pods }) },
    isBeingPreempted: () => false,
  });
  const started = performance.now();
  let victims = 0;
  for (let i = 0; i < PREEMPTORS; i++) {
    const subject = pod(1_000_000 + i, { cpu: '1500m', priority: 1000 });
    if (cycle.decide(subject).kind === 'assigned') throw new Error('there is room');
    const result = cycle.preempt(subject, preemption);
    if (result.kind !== 'nominated') throw new Error(result.message);
    state.nominations.nominate(subject, result.node);
    victims += result.victims.length;
  }
  const seconds = (performance.now() - started) / 1000;
  if (victims !== 2 * PREEMPTORS) throw new Error(`${String(victims)} victims`);
  report([{ name: 'preemptions on 1,000 full nodes', value: PREEMPTORS / seconds, unit: '/s' }]);
}

decide();
preempt();
