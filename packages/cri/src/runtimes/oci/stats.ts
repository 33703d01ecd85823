import { readFile } from 'node:fs/promises';
import type { ContainerStats, FilesystemUsage, PodSandboxStats } from '../../contract.ts';
import { cgroupUsage } from './cgroups.ts';
import type { Engine } from './engine.ts';
import { containerPaths } from './layout.ts';
import type { ContainerRecord, SandboxRecord } from './records.ts';
import { writableLayerUsage } from './disk-usage.ts';

export async function containerStats(engine: Engine, container: ContainerRecord): Promise<ContainerStats> {
  const [usage, writableLayer] = await Promise.all([
    cgroupUsage(engine.host.cgroups, container.cgroup),
    writableLayerOf(engine, container),
  ]);
  return {
    id: container.id,
    metadata: container.config.metadata,
    labels: container.config.labels,
    timestamp: engine.clock.now(),
    cpuUsageCoreNanoSeconds: usage.cpuNanoseconds,
    memoryUsageBytes: usage.memoryBytes,
    memoryWorkingSetBytes: usage.workingSetBytes,
    memoryRssBytes: usage.rssBytes,
    writableLayer,
  };
}

export async function sandboxStats(engine: Engine, sandbox: SandboxRecord): Promise<PodSandboxStats> {
  const running = engine.containersOf(sandbox.id).filter(({ state }) => state === 'CONTAINER_RUNNING');
  const [usage, network, containers] = await Promise.all([
    cgroupUsage(engine.host.cgroups, sandbox.cgroup),
    networkUsage(running[0]?.process?.pid, sandbox),
    Promise.all(running.map((container) => containerStats(engine, container))),
  ]);
  return {
    id: sandbox.id,
    timestamp: engine.clock.now(),
    cpuUsageCoreNanoSeconds: usage.cpuNanoseconds,
    memoryUsageBytes: usage.memoryBytes,
    memoryWorkingSetBytes: usage.workingSetBytes,
    processCount: usage.processes,
    ...(network !== undefined && { network }),
    containers,
  };
}

/** Of the sandbox's first interface beside the loopback, as a process inside sees it. */
async function networkUsage(
  pid: number | undefined,
  sandbox: SandboxRecord,
): Promise<
  { readonly rxBytes: number; readonly txBytes: number; readonly interfaceName: string } | undefined
> {
  if (pid === undefined || sandbox.config.linux.namespaces.network === 'NODE') return undefined;
  const text = await readFile(`/proc/${pid}/net/dev`, 'utf8').catch(() => '');
  for (const line of text.split('\n').slice(2)) {
    const [name = '', numbers = ''] = line.split(':');
    const interfaceName = name.trim();
    if (interfaceName === '' || interfaceName === 'lo') continue;
    const fields = numbers.trim().split(/\s+/).map(Number);
    return { interfaceName, rxBytes: fields[0] ?? 0, txBytes: fields[8] ?? 0 };
  }
  return undefined;
}

function writableLayerOf(engine: Engine, container: ContainerRecord): Promise<FilesystemUsage> {
  const { state } = containerPaths(engine.layout, container.id);
  return writableLayerUsage(engine.clock, state, engine.overlay ? 'upper' : 'rootfs');
}
