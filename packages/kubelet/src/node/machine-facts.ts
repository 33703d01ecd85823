import { readFile, statfs } from 'node:fs/promises';
import { arch, cpus, freemem, networkInterfaces, platform, release, totalmem } from 'node:os';

import type { RuntimeVersion } from '@k8ts/cri';

import type { NodeStatus, ResourceList } from '../pod/types.ts';
import type { MachineUsage } from '../server/served-node.ts';
import type { NodeFacts } from './node-status.ts';

export interface MachineFactsOptions {
  readonly nodeName: string;
  /** The node's addresses, the primary first; none: the machine's first that is not a loopback one. */
  readonly nodeIps: readonly string[];
  readonly kubeletPort: number;
  readonly kubeletVersion: string;
  readonly maxPods: number;
  /** Whose file system counts as the node's storage. */
  readonly rootDir: string;
  /** Taken off the allocatable amounts, milli-cores and bytes. */
  readonly reserved: { readonly cpu: number; readonly memory: number };
  readonly runtime: RuntimeVersion;
}

/** Kept free before pods are evicted: upstream's default `memory.available<100Mi`, `nodefs.available<10%`. */
const MEMORY_THRESHOLD = 100 * 1024 * 1024;
const STORAGE_SHARE = 0.9;

/** What the kubelet says of its machine; read once at its start. */
export async function machineFacts(
  options: MachineFactsOptions,
): Promise<NodeFacts & { readonly memoryBytes: number }> {
  const memoryBytes = totalmem();
  const storageBytes = await statfs(options.rootDir).then(
    ({ blocks, bsize }) => blocks * bsize,
    () => 0,
  );
  const pods = String(options.maxPods);
  const huge = platform() === 'linux' ? { 'hugepages-1Gi': '0', 'hugepages-2Mi': '0' } : {};
  const milliCpu = cpus().length * 1000 - options.reserved.cpu;
  const capacity: ResourceList = {
    cpu: String(cpus().length),
    'ephemeral-storage': kibi(storageBytes),
    ...huge,
    memory: kibi(memoryBytes),
    pods,
  };
  const allocatable: ResourceList = {
    cpu: milliCpu % 1000 === 0 ? String(milliCpu / 1000) : `${milliCpu}m`,
    'ephemeral-storage': String(Math.floor(storageBytes * STORAGE_SHARE)),
    ...huge,
    memory: kibi(Math.max(0, memoryBytes - MEMORY_THRESHOLD - options.reserved.memory)),
    pods,
  };
  const ips = options.nodeIps.length > 0 ? options.nodeIps : machineIps();
  return {
    memoryBytes,
    capacity,
    allocatable,
    addresses: [
      ...ips.map((address) => ({ type: 'InternalIP', address })),
      { type: 'Hostname', address: options.nodeName },
    ],
    kubeletPort: options.kubeletPort,
    nodeInfo: await nodeInfo(options.kubeletVersion, options.runtime),
  };
}

function kibi(bytes: number): string {
  return `${Math.floor(bytes / 1024)}Ki`;
}

/** The machine's first IPv4 address that others can reach; the loopback one when there is no other. */
export function machineIps(): string[] {
  for (const addresses of Object.values(networkInterfaces()))
    for (const { address, family, internal } of addresses ?? [])
      if (family === 'IPv4' && !internal) return [address];
  return ['127.0.0.1'];
}

/** Go's word for the processor's architecture. */
export function goArch(): string {
  return { x64: 'amd64', ia32: '386', arm64: 'arm64', arm: 'arm' }[arch()] ?? arch();
}

export function goOs(): string {
  return platform() === 'win32' ? 'windows' : platform();
}

async function nodeInfo(
  kubeletVersion: string,
  runtime: RuntimeVersion,
): Promise<NonNullable<NodeStatus['nodeInfo']>> {
  const read = async (path: string): Promise<string> => (await readFile(path, 'utf8').catch(() => '')).trim();
  const osRelease = await read('/etc/os-release');
  const machineID = await read('/etc/machine-id');
  return {
    machineID,
    systemUUID: (await read('/sys/class/dmi/id/product_uuid')) || machineID,
    bootID: await read('/proc/sys/kernel/random/boot_id'),
    kernelVersion: release(),
    osImage: /^PRETTY_NAME="?([^"\n]*)/m.exec(osRelease)?.[1] ?? platform(),
    containerRuntimeVersion: `${runtime.runtimeName}://${runtime.runtimeVersion}`,
    kubeletVersion,
    kubeProxyVersion: '',
    operatingSystem: goOs(),
    architecture: goArch(),
  };
}

/** Of all processors since the machine's start, and of its memory now. */
export function machineUsage(): MachineUsage {
  const busy = cpus().reduce(
    (total, { times }) => total + times.user + times.nice + times.sys + times.irq,
    0,
  );
  const memoryAvailableBytes = freemem();
  return {
    cpuNanoSeconds: busy * 1e6,
    memoryUsedBytes: totalmem() - memoryAvailableBytes,
    memoryAvailableBytes,
  };
}
