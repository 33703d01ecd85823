/**
 * Whole clusters in this process, over the in-process API and a store in memory: how fast pods find nodes and become
 * ready, how fast they go, what a pod costs in memory and an idle cluster in CPU. All of it on one thread: the API server,
 * scheduler, controllers, simulated kubelets and the load. `npx tsx bench/cluster.bench.ts [figure name part]`.
 */
import { appsv1, Cluster, corev1 } from '@k8ts/cluster';
import type { New } from '@k8ts/cluster';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { report } from './report.ts';

const short = process.env['K8TS_BENCH_SHORT'] === '1';
const NODES = short ? 300 : 5000;
const PODS = short ? 600 : 10_000;
const REPLICAS = short ? 500 : 5000;
const DEPLOYMENT_NODES = short ? 50 : 500;
const IDLE_SECONDS = short ? 2 : 20;
/** Pods created at once; the API takes them faster than they are scheduled. */
const CREATORS = 64;

const TEMPLATE: New<corev1.Pod>['spec'] = {
  containers: [{ name: 'app', image: 'app:1', resources: { requests: { cpu: '100m', memory: '128Mi' } } }],
};

const nodeCount = NODES.toLocaleString('en-US');
const podCount = PODS.toLocaleString('en-US');

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const only = process.argv[2] ?? '';
if ('scheduling'.includes(only)) await scheduling();
if ('manypods'.includes(only)) await manyPods();
if ('deployment'.includes(only)) await oneDeployment();

/** What the control plane does alone, as where kubelets are other machines: the nodes are there and do nothing. */
async function scheduling(): Promise<void> {
  const started = performance.now();
  await using cluster = await Cluster.start({ nodes: NODES, serve: false });
  await cluster.nodes.ready();
  const registration = performance.now() - started;
  await Promise.all(cluster.nodes.names.map((name) => cluster.nodes.fail(name)));
  await using pods = await watchPods(cluster);
  const begun = performance.now();
  const cpu = process.cpuUsage();
  const created = createPods(cluster).then(() => performance.now() - begun);
  const bound = await pods.until(({ bound }) => bound === PODS, begun);
  report([
    { name: `simulated nodes registered, ${nodeCount}`, value: NODES / (registration / 1000), unit: '/s' },
    { name: 'pods created while they are scheduled', value: PODS / ((await created) / 1000), unit: '/s' },
    { name: `pods scheduled, ${nodeCount} nodes`, value: PODS / (bound / 1000), unit: '/s' },
    { name: 'one pod created and scheduled: CPU', value: (cpuSeconds(cpu) * 1e6) / PODS, unit: 'µs' },
  ]);
}

/** Single pods on nodes that run them; then what they cost while nothing happens. */
async function manyPods(): Promise<void> {
  await using cluster = await Cluster.start({ nodes: NODES, serve: false });
  await cluster.nodes.ready();
  await using pods = await watchPods(cluster);
  const before = heap();

  const begun = performance.now();
  let cpu = process.cpuUsage();
  const created = createPods(cluster);
  const ready = await pods.until(({ ready }) => ready === PODS, begun);
  const toReady = cpuSeconds(cpu);
  await created;
  await sleep(short ? 500 : 5000); // events are written after what they tell of
  const bytes = heap() - before;

  cpu = process.cpuUsage();
  const idleFrom = performance.now();
  await sleep(IDLE_SECONDS * 1000);
  const load = cpuSeconds(cpu) / ((performance.now() - idleFrom) / 1000);
  report([
    {
      name: `pods created, scheduled and made ready, ${nodeCount} nodes`,
      value: PODS / (ready / 1000),
      unit: '/s',
    },
    { name: 'one pod until it is ready: CPU', value: (toReady * 1e6) / PODS, unit: 'µs' },
    { name: 'memory per pod, with its events, all components', value: bytes / PODS / 1024, unit: 'KiB' },
    {
      name: `idle with ${nodeCount} nodes and ${podCount} pods: CPU`,
      value: load * 100,
      unit: '% of a core',
    },
  ]);
}

async function createPods(cluster: Cluster): Promise<void> {
  const client = cluster.client.resource(corev1.pods, 'default');
  let next = 0;
  const creator = async (): Promise<void> => {
    while (next < PODS) await client.create(newPod(next++));
  };
  await Promise.all(Array.from({ length: CREATORS }, creator));
}

/** One Deployment from its creation to all ready, and from its deletion to the last pod's end. */
async function oneDeployment(): Promise<void> {
  await using cluster = await Cluster.start({ nodes: DEPLOYMENT_NODES, serve: false });
  await cluster.nodes.ready();
  await using pods = await watchPods(cluster);
  const deployments = cluster.client.resource(appsv1.deployments, 'default');
  const what = `Deployment of ${REPLICAS.toLocaleString('en-US')} on ${DEPLOYMENT_NODES.toLocaleString('en-US')} nodes`;

  let begun = performance.now();
  let cpu = process.cpuUsage();
  await deployments.create(newDeployment('web', REPLICAS));
  const bound = await pods.until(({ bound }) => bound === REPLICAS, begun);
  const ready = await pods.until(({ ready }) => ready === REPLICAS, begun);
  const toReady = cpuSeconds(cpu);
  begun = performance.now();
  cpu = process.cpuUsage();
  await deployments.delete('web', { propagationPolicy: 'Background' });
  const gone = await pods.until(({ present }) => present === 0, begun);
  const toGone = cpuSeconds(cpu);
  report([
    { name: `${what}, all bound`, value: bound / 1000, unit: 's' },
    { name: `${what}, all ready`, value: ready / 1000, unit: 's' },
    { name: `${what}, all ready: CPU`, value: toReady, unit: 's' },
    { name: `${what}, deleted with its pods`, value: gone / 1000, unit: 's' },
    { name: `${what}, deleted with its pods: CPU`, value: toGone, unit: 's' },
  ]);
}

/** Of this process since `from`: the machine may be busy with other things, too. */
function cpuSeconds(from: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(from);
  return (user + system) / 1e6;
}

interface PodCounts {
  readonly present: number;
  readonly bound: number;
  readonly ready: number;
}

interface PodWatch extends AsyncDisposable {
  /** Milliseconds from `begun` to the first event after which `reached` holds. */
  until(reached: (counts: PodCounts) => boolean, begun: number): Promise<number>;
}

/** Counts the pods of the default namespace as a watch tells of them. */
async function watchPods({ client }: Cluster): Promise<PodWatch> {
  const abort = new AbortController();
  const events = await client.resource(corev1.pods, 'default').watch({ signal: abort.signal });
  const bound = new Set<string>();
  const ready = new Set<string>();
  const present = new Set<string>();
  const waiters = new Set<() => void>();
  const ended = (async () => {
    for await (const batch of events) {
      for (const { type, object } of batch) {
        const name = object.metadata.name;
        const exists = type !== 'DELETED';
        put(present, name, exists);
        put(bound, name, exists && object.spec.nodeName !== undefined);
        put(ready, name, exists && isReady(object));
      }
      for (const waiter of waiters) waiter();
    }
  })().catch((error: unknown) => {
    if (!abort.signal.aborted) throw error;
  });
  return {
    until: (reached, begun) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (!reached({ present: present.size, bound: bound.size, ready: ready.size })) return;
          waiters.delete(check);
          resolve(performance.now() - begun);
        };
        waiters.add(check);
        check();
      }),
    async [Symbol.asyncDispose]() {
      abort.abort();
      await ended;
    },
  };
}

function put(set: Set<string>, name: string, present: boolean): void {
  if (present) set.add(name);
  else set.delete(name);
}

function isReady({ status }: corev1.Pod): boolean {
  return status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true;
}

/** Bytes in use after a collection. */
function heap(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

function newPod(index: number): New<corev1.Pod> {
  const labels = { app: `app-${String(index % 10)}` };
  return { metadata: { name: `pod-${String(index)}`, namespace: 'default', labels }, spec: TEMPLATE };
}

function newDeployment(name: string, replicas: number): New<appsv1.Deployment> {
  const labels = { app: name };
  return {
    metadata: { name, namespace: 'default' },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: TEMPLATE },
    },
  };
}
