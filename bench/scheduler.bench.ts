/**
 * How many pods a second the scheduler decides, without the API: 5,000 nodes in three zones, pods of ten Deployments.
 * Run with `npx tsx bench/scheduler.bench.ts`.
 */
import type { corev1 } from '@k8ts/api';
import { selectorFromLabels } from '@k8ts/apimachinery';
import { seededRandom } from '@k8ts/base';
import { ClusterState, defaultPlugins, SchedulingCycle } from '@k8ts/scheduler';
import { report } from './report.ts';

const NODES = 5000;
const PODS = 20_000;

const state = new ClusterState({
  selectorOf: (pod) => selectorFromLabels({ app: pod.metadata.labels?.['app'] ?? '' }),
  namespacesMatching: () => new Set(),
});
const cycle = new SchedulingCycle(defaultPlugins, state, seededRandom(1));
for (let i = 0; i < NODES; i++) {
  const name = `node-${String(i)}`;
  const labels = { 'kubernetes.io/hostname': name, 'topology.kubernetes.io/zone': `zone-${String(i % 3)}` };
  state.putNode({
    metadata: { name, labels },
    spec: {},
    status: { allocatable: { cpu: '8', memory: '32Gi', pods: '110' } },
  });
}

function pod(index: number): corev1.Pod {
  const name = `pod-${String(index)}`;
  return {
    metadata: { name, namespace: 'default', uid: name, labels: { app: `app-${String(index % 10)}` } },
    spec: {
      containers: [{ name: 'app', image: 'app', resources: { requests: { cpu: '100m', memory: '128Mi' } } }],
    },
  };
}

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
  {
    name: 'one decision',
    value: (seconds * 1e6) / PODS,
    unit: 'µs',
  },
]);
