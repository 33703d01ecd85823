import type { ContainerStats, PodSandboxStats } from '../../contract.ts';
import type { SimulatedContainer, SimulatedSandbox } from './container.ts';

const IDLE_CORES = 0.001;
const IDLE_MEMORY = 10 * 1024 * 1024;

/** Use as the behaviour tells: so many cores for as long as it has run, so much memory while it runs. */
export function simulatedContainerStats(container: SimulatedContainer, now: number): ContainerStats {
  const { behaviour, snapshot } = container;
  const running = snapshot.state === 'CONTAINER_RUNNING';
  const until = container.finishedAt === 0 ? now : container.finishedAt;
  const ran = container.startedAt === 0 ? 0 : until - container.startedAt;
  const memory = running ? (behaviour.memory ?? IDLE_MEMORY) : 0;
  return {
    id: snapshot.id,
    metadata: snapshot.metadata,
    labels: snapshot.labels,
    timestamp: now,
    cpuUsageCoreNanoSeconds: Math.round(ran * 1e6 * (behaviour.cpu ?? IDLE_CORES)),
    memoryUsageBytes: memory,
    memoryWorkingSetBytes: memory,
    memoryRssBytes: memory,
    writableLayer: { mountpoint: '/simulated', usedBytes: 0, inodesUsed: 0 },
  };
}

export function simulatedSandboxStats(sandbox: SimulatedSandbox, now: number): PodSandboxStats {
  const containers = sandbox.containers
    .filter(({ snapshot }) => snapshot.state === 'CONTAINER_RUNNING')
    .map((container) => simulatedContainerStats(container, now));
  const sum = (value: (stats: ContainerStats) => number): number =>
    containers.reduce((total, stats) => total + value(stats), 0);
  return {
    id: sandbox.snapshot.id,
    timestamp: now,
    cpuUsageCoreNanoSeconds: sum((stats) => stats.cpuUsageCoreNanoSeconds),
    memoryUsageBytes: sum((stats) => stats.memoryUsageBytes),
    memoryWorkingSetBytes: sum((stats) => stats.memoryWorkingSetBytes),
    processCount: containers.length,
    containers,
  };
}
