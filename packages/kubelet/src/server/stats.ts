import { formatTime } from '@k8ts/apimachinery';
import type { ContainerStats } from '@k8ts/cri';

import { CONTAINER_NAME_LABEL, POD_NAME_LABEL, POD_NAMESPACE_LABEL, POD_UID_LABEL } from '../pod/labels.ts';
import type { Pod } from '../pod/types.ts';
import { fromWireTime } from '../wire-time.ts';
import type { ServedNode } from './served-node.ts';

interface Sample {
  readonly timestamp: number;
  readonly cpu: number;
  /** Nanoseconds of processor a second. */
  readonly rate: number;
}

/** Remembers processor times, so that a rate can be told from the second question on. */
export class UsageRates {
  readonly #samples = new Map<string, Sample>();

  rate(key: string, timestamp: number, cpuNanoSeconds: number): number {
    const before = this.#samples.get(key);
    let rate = before?.rate ?? 0;
    if (before !== undefined && timestamp > before.timestamp)
      rate = Math.max(0, ((cpuNanoSeconds - before.cpu) * 1000) / (timestamp - before.timestamp));
    this.#samples.set(key, { timestamp, cpu: cpuNanoSeconds, rate: Math.round(rate) });
    return Math.round(rate);
  }

  /** Forgets all but these. */
  keep(keys: ReadonlySet<string>): void {
    for (const key of this.#samples.keys()) if (!keys.has(key)) this.#samples.delete(key);
  }
}

interface PodStats {
  readonly pod: Pod | undefined;
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly containers: ContainerStats[];
}

async function statsByPod(node: ServedNode): Promise<PodStats[]> {
  const pods = new Map<string, PodStats>();
  for (const stats of await node.runtime.runtimeService.listContainerStats()) {
    const uid = stats.labels[POD_UID_LABEL];
    if (uid === undefined) continue;
    let entry = pods.get(uid);
    if (entry === undefined) {
      entry = {
        pod: node.pods().find(({ metadata }) => metadata.uid === uid),
        name: stats.labels[POD_NAME_LABEL] ?? '',
        namespace: stats.labels[POD_NAMESPACE_LABEL] ?? '',
        uid,
        containers: [],
      };
      pods.set(uid, entry);
    }
    entry.containers.push(stats);
  }
  return [...pods.values()];
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** `/stats/summary` (k8s.io/kubelet/pkg/apis/stats/v1alpha1). */
export async function statsSummary(node: ServedNode, rates: UsageRates, now: number): Promise<object> {
  const pods = await statsByPod(node);
  const keys = new Set<string>(['node']);
  const usage = (key: string, time: number, cpu: number): object => {
    keys.add(key);
    return {
      time: formatTime(time),
      usageNanoCores: rates.rate(key, time, cpu),
      usageCoreNanoSeconds: Math.round(cpu),
    };
  };
  const memory = (time: number, stats: readonly ContainerStats[]): object => ({
    time: formatTime(time),
    usageBytes: sum(stats.map((one) => one.memoryUsageBytes)),
    workingSetBytes: sum(stats.map((one) => one.memoryWorkingSetBytes)),
    rssBytes: sum(stats.map((one) => one.memoryRssBytes)),
  });
  const podStats = pods.map(({ pod, name, namespace, uid, containers }) => ({
    podRef: { name, namespace, uid },
    startTime: pod?.status?.startTime ?? formatTime(now),
    containers: containers.map((stats) => ({
      name: stats.labels[CONTAINER_NAME_LABEL] ?? stats.metadata.name,
      startTime: containerStart(pod, stats) ?? formatTime(now),
      cpu: usage(stats.id, stats.timestamp, stats.cpuUsageCoreNanoSeconds),
      memory: memory(stats.timestamp, [stats]),
      rootfs: {
        time: formatTime(stats.timestamp),
        usedBytes: stats.writableLayer.usedBytes,
        inodesUsed: stats.writableLayer.inodesUsed,
      },
    })),
    cpu: usage(uid, now, sum(containers.map((stats) => stats.cpuUsageCoreNanoSeconds))),
    memory: memory(now, containers),
  }));
  const machine = node.machineUsage?.();
  const all = pods.flatMap(({ containers }) => containers);
  const nodeMemory =
    machine === undefined
      ? memory(now, all)
      : {
          time: formatTime(now),
          availableBytes: machine.memoryAvailableBytes,
          usageBytes: machine.memoryUsedBytes,
          workingSetBytes: machine.memoryUsedBytes,
        };
  const summary = {
    node: {
      nodeName: node.nodeName,
      startTime: node.node()?.metadata.creationTimestamp ?? formatTime(now),
      cpu: usage(
        'node',
        now,
        machine?.cpuNanoSeconds ?? sum(all.map((stats) => stats.cpuUsageCoreNanoSeconds)),
      ),
      memory: nodeMemory,
    },
    pods: podStats,
  };
  rates.keep(keys);
  return summary;
}

function containerStart(pod: Pod | undefined, stats: ContainerStats): string | undefined {
  const status = pod?.status?.containerStatuses?.find(({ name }) => name === stats.metadata.name);
  return status?.state?.running?.startedAt;
}

/** `/metrics/resource`, which metrics-server reads. */
export async function resourceMetrics(node: ServedNode, now: number): Promise<string> {
  const pods = await statsByPod(node);
  const text = new MetricText();
  const all = pods.flatMap(({ containers }) => containers);
  const machine = node.machineUsage?.();
  const cpuOf = (stats: readonly ContainerStats[]): number =>
    sum(stats.map((one) => one.cpuUsageCoreNanoSeconds)) / 1e9;
  const memoryOf = (stats: readonly ContainerStats[]): number =>
    sum(stats.map((one) => one.memoryWorkingSetBytes));
  text.begin(
    'container_cpu_usage_seconds_total',
    'counter',
    'Cumulative cpu time consumed by the container in core-seconds',
  );
  for (const stats of all) text.add(labelsOf(stats), cpuOf([stats]), stats.timestamp);
  text.begin('container_memory_working_set_bytes', 'gauge', 'Current working set of the container in bytes');
  for (const stats of all) text.add(labelsOf(stats), stats.memoryWorkingSetBytes, stats.timestamp);
  text.begin(
    'container_start_time_seconds',
    'gauge',
    'Start time of the container since unix epoch in seconds',
  );
  for (const { pod, containers } of pods)
    for (const stats of containers) {
      const started = fromWireTime(containerStart(pod, stats));
      if (started !== undefined) text.add(labelsOf(stats), started / 1000, undefined);
    }
  text.begin(
    'node_cpu_usage_seconds_total',
    'counter',
    'Cumulative cpu time consumed by the node in core-seconds',
  );
  text.add({}, machine === undefined ? cpuOf(all) : machine.cpuNanoSeconds / 1e9, now);
  text.begin('node_memory_working_set_bytes', 'gauge', 'Current working set of the node in bytes');
  text.add({}, machine?.memoryUsedBytes ?? memoryOf(all), now);
  text.begin(
    'pod_cpu_usage_seconds_total',
    'counter',
    'Cumulative cpu time consumed by the pod in core-seconds',
  );
  for (const { name, namespace, containers } of pods)
    text.add({ namespace, pod: name }, cpuOf(containers), now);
  text.begin('pod_memory_working_set_bytes', 'gauge', 'Current working set of the pod in bytes');
  for (const { name, namespace, containers } of pods)
    text.add({ namespace, pod: name }, memoryOf(containers), now);
  text.begin(
    'resource_scrape_error',
    'gauge',
    '1 if there was an error while getting container metrics, 0 otherwise',
  );
  text.add({}, 0, undefined);
  return text.toString();
}

/** `/metrics/cadvisor`: those of cAdvisor's metrics that a runtime's statistics give. */
export async function containerMetrics(node: ServedNode): Promise<string> {
  const stats = (await statsByPod(node)).flatMap(({ containers }) => containers);
  const text = new MetricText();
  const metric = (name: string, type: string, help: string, value: (one: ContainerStats) => number): void => {
    text.begin(name, type, help);
    for (const one of stats) text.add({ ...labelsOf(one), name: one.id }, value(one), one.timestamp);
  };
  metric(
    'container_cpu_usage_seconds_total',
    'counter',
    'Cumulative cpu time consumed in seconds.',
    (one) => one.cpuUsageCoreNanoSeconds / 1e9,
  );
  metric(
    'container_memory_usage_bytes',
    'gauge',
    'Current memory usage in bytes, including all memory regardless of when it was accessed',
    (one) => one.memoryUsageBytes,
  );
  metric(
    'container_memory_working_set_bytes',
    'gauge',
    'Current working set in bytes.',
    (one) => one.memoryWorkingSetBytes,
  );
  metric('container_memory_rss', 'gauge', 'Size of RSS in bytes.', (one) => one.memoryRssBytes);
  metric(
    'container_fs_usage_bytes',
    'gauge',
    'Number of bytes that are consumed by the container on this filesystem.',
    (one) => one.writableLayer.usedBytes,
  );
  return text.toString();
}

function labelsOf({ labels, metadata }: ContainerStats): Record<string, string> {
  return {
    container: labels[CONTAINER_NAME_LABEL] ?? metadata.name,
    namespace: labels[POD_NAMESPACE_LABEL] ?? '',
    pod: labels[POD_NAME_LABEL] ?? '',
  };
}

/** The Prometheus text format; a metric without samples is left out. */
class MetricText {
  #lines: string[] = [];
  #pending: string[] = [];
  #name = '';

  begin(name: string, type: string, help: string): void {
    this.#name = name;
    this.#pending = [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
  }

  add(labels: Readonly<Record<string, string>>, value: number, timestamp: number | undefined): void {
    const pairs = Object.entries(labels).map(
      ([name, text]) => `${name}="${text.replace(/["\\\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`))}"`,
    );
    this.#lines.push(...this.#pending);
    this.#pending = [];
    this.#lines.push(
      `${this.#name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}${timestamp === undefined ? '' : ` ${Math.round(timestamp)}`}`,
    );
  }

  toString(): string {
    return this.#lines.length === 0 ? '' : `${this.#lines.join('\n')}\n`;
  }
}
