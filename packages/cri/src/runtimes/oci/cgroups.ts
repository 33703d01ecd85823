import { mkdir, readFile, readdir, rmdir, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '@k8ts/base';
import type { Clock } from '@k8ts/base';
import { isNotFound } from '../../files/atomic-file.ts';

const ROOT = '/sys/fs/cgroup';
const CGROUP2_MAGIC = 0x63677270;
const TMPFS_MAGIC = 0x01021994;

/**
 * The control groups of the machine. `v2`: one tree. `v1`: one tree a controller. `hybrid`: v1 beside a v2 tree in
 * `unified` that holds controllers too, which crun refuses to work with; it is then shown the v1 trees alone.
 */
export interface Cgroups {
  readonly mode: 'v2' | 'v1' | 'hybrid';
  /** Directory of a controller's tree (`memory`, `cpu`, `pids` …); with v2 always the same one. */
  readonly trees: ReadonlyMap<string, string>;
  /** The v2 tree beside v1 trees: runc makes groups there too. */
  readonly unified?: string;
}

export interface CgroupUsage {
  readonly cpuNanoseconds: number;
  readonly memoryBytes: number;
  readonly workingSetBytes: number;
  readonly rssBytes: number;
  readonly processes: number;
}

export async function detectCgroups(): Promise<Cgroups> {
  const { type } = await statfs(ROOT);
  if (type === CGROUP2_MAGIC) {
    const controllers = (await readFile(join(ROOT, 'cgroup.controllers'), 'utf8')).trim().split(' ');
    return { mode: 'v2', trees: new Map(controllers.map((name) => [name, ROOT])) };
  }
  if (type !== TMPFS_MAGIC) throw new Error(`no control groups are mounted at ${ROOT}`);
  const trees = new Map<string, string>();
  for (const line of (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')) {
    // 31 23 0:26 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
    const [before = '', after = ''] = line.split(' - ');
    const mountpoint = before.split(' ')[4];
    const [fileSystem, , options = ''] = after.split(' ');
    if (fileSystem !== 'cgroup' || mountpoint === undefined) continue;
    for (const option of options.split(',')) {
      if (!['rw', 'ro', 'xattr'].includes(option)) trees.set(option, mountpoint);
    }
  }
  const unified = await readFile(join(ROOT, 'unified/cgroup.controllers'), 'utf8').catch(() => '');
  const besides = await statfs(join(ROOT, 'unified')).catch(() => undefined);
  return {
    mode: unified.trim() === '' ? 'v1' : 'hybrid',
    trees,
    ...(besides?.type === CGROUP2_MAGIC && { unified: join(ROOT, 'unified') }),
  };
}

/** Directories of one group in all trees. */
function directories(cgroups: Cgroups, path: string): string[] {
  return [...new Set(cgroups.trees.values())].map((tree) => join(tree, path));
}

/** The same, and where else the OCI runtime may have made it. */
function allDirectories(cgroups: Cgroups, path: string): string[] {
  const { unified } = cgroups;
  return [...directories(cgroups, path), ...(unified === undefined ? [] : [join(unified, path)])];
}

function directory(cgroups: Cgroups, controller: string, path: string): string | undefined {
  const tree = cgroups.trees.get(controller);
  return tree === undefined ? undefined : join(tree, path);
}

/** What the group and those below it use; zeros for a group that is not there. */
export async function cgroupUsage(cgroups: Cgroups, path: string): Promise<CgroupUsage> {
  const memory = directory(cgroups, 'memory', path);
  const pids = directory(cgroups, 'pids', path);
  const v2 = cgroups.mode === 'v2';
  const [cpuNanoseconds, memoryBytes, memoryStat, processes] = await Promise.all([
    cpuTime(cgroups, path),
    memory === undefined ? 0 : numberIn(join(memory, v2 ? 'memory.current' : 'memory.usage_in_bytes')),
    memory === undefined ? new Map<string, number>() : table(join(memory, 'memory.stat')),
    pids === undefined ? 0 : numberIn(join(pids, 'pids.current')),
  ]);
  const inactive = memoryStat.get(v2 ? 'inactive_file' : 'total_inactive_file') ?? 0;
  return {
    cpuNanoseconds,
    memoryBytes,
    // As cAdvisor: what cannot be given back at once.
    workingSetBytes: Math.max(0, memoryBytes - inactive),
    rssBytes: memoryStat.get(v2 ? 'anon' : 'total_rss') ?? 0,
    processes,
  };
}

async function cpuTime(cgroups: Cgroups, path: string): Promise<number> {
  if (cgroups.mode === 'v2') {
    const stat = await table(join(ROOT, path, 'cpu.stat'));
    return (stat.get('usage_usec') ?? 0) * 1000;
  }
  const accounting = directory(cgroups, 'cpuacct', path);
  return accounting === undefined ? 0 : numberIn(join(accounting, 'cpuacct.usage'));
}

/** How many processes of the group the kernel killed for want of memory. */
export async function oomKills(cgroups: Cgroups, path: string): Promise<number> {
  const memory = directory(cgroups, 'memory', path);
  if (memory === undefined) return 0;
  const file = cgroups.mode === 'v2' ? 'memory.events' : 'memory.oom_control';
  return (await table(join(memory, file))).get('oom_kill') ?? 0;
}

/** Any tree shows which processes are in a group. */
function processTree(cgroups: Cgroups): string | undefined {
  return cgroups.trees.get('pids') ?? cgroups.trees.get('memory') ?? [...cgroups.trees.values()][0];
}

/** Processes of the group itself. */
async function cgroupProcesses(cgroups: Cgroups, path: string): Promise<readonly number[]> {
  const tree = processTree(cgroups);
  if (tree === undefined) return [];
  const text = await readIfThere(join(tree, path, 'cgroup.procs'));
  return text.split('\n').filter(Boolean).map(Number);
}

/** Processes of a group and of all below it. */
export async function processesBelow(cgroups: Cgroups, path: string): Promise<readonly number[]> {
  const pids = new Set(await cgroupProcesses(cgroups, path));
  const tree = processTree(cgroups);
  if (tree === undefined) return [];
  const entries = await readdir(join(tree, path), { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (!entry.isDirectory()) continue;
    for (const pid of await processesBelow(cgroups, join(path, entry.name))) pids.add(pid);
  }
  return [...pids];
}

const REMOVAL_ATTEMPTS = 100;
const REMOVAL_INTERVAL = 10;

/** Removes a group with those below it, once the processes in it, which must have been killed, are gone. */
export async function removeCgroup(clock: Clock, cgroups: Cgroups, path: string): Promise<void> {
  for (const each of allDirectories(cgroups, path)) {
    for (let attempt = 1; ; attempt++) {
      try {
        await removeTree(each);
        break;
      } catch (error) {
        // Busy: the last process is on its way out.
        if ((error as NodeJS.ErrnoException).code !== 'EBUSY' || attempt === REMOVAL_ATTEMPTS) throw error;
        await sleep(clock, REMOVAL_INTERVAL);
      }
    }
  }
}

/** Removes a group that has nothing below it; one that has stays. */
export async function removeEmptyCgroup(cgroups: Cgroups, path: string): Promise<void> {
  for (const each of allDirectories(cgroups, path)) await rmdir(each).catch(() => undefined);
}

async function removeTree(path: string): Promise<void> {
  let entries;
  try {
    entries = await readdir(path, { withFileTypes: true });
  } catch (error) {
    if (isNotFound(error)) return;
    throw error;
  }
  for (const entry of entries) if (entry.isDirectory()) await removeTree(join(path, entry.name));
  await rmdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

async function numberIn(path: string): Promise<number> {
  return Number((await readIfThere(path)).trim()) || 0;
}

/** A file of `name number` lines. */
async function table(path: string): Promise<Map<string, number>> {
  const rows = new Map<string, number>();
  for (const line of (await readIfThere(path)).split('\n')) {
    const [name, value] = line.split(' ');
    if (name !== undefined && value !== undefined) rows.set(name, Number(value));
  }
  return rows;
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENODEV') return ''; // ENODEV: removed between opening and reading
    throw error;
  }
}

/** A part of the OCI specification's `linux.resources`. */
interface OciLimits {
  readonly cpu?: { readonly shares?: number; readonly quota?: number; readonly period?: number };
  readonly memory?: { readonly limit?: number };
  readonly pids?: { readonly limit?: number };
}

/** Makes a group and sets limits, for runs without an OCI runtime. Returns its directories. */
export async function writeLimits(
  cgroups: Cgroups,
  path: string,
  resources: object,
): Promise<readonly string[]> {
  const { cpu, memory, pids } = resources as OciLimits;
  const groups = directories(cgroups, path);
  for (const each of groups) await mkdir(each, { recursive: true });
  const set = async (controller: string, file: string, value: string | number | undefined): Promise<void> => {
    const tree = directory(cgroups, controller, path);
    if (tree !== undefined && value !== undefined) await writeFile(join(tree, file), String(value));
  };
  if (cgroups.mode === 'v2') {
    const quota = cpu?.quota === undefined ? undefined : cpu.quota > 0 ? String(cpu.quota) : 'max';
    await set('cpu', 'cpu.max', quota && `${quota} ${cpu?.period ?? 100_000}`);
    // The kernel's ranges are 2–262144 and 1–10000 (KEP-2254).
    await set('cpu', 'cpu.weight', cpu?.shares && Math.floor(1 + ((cpu.shares - 2) * 9999) / 262_142));
    await set('memory', 'memory.max', memory?.limit);
    await set('pids', 'pids.max', pids?.limit);
  } else {
    await set('cpu', 'cpu.cfs_period_us', cpu?.period);
    await set('cpu', 'cpu.cfs_quota_us', cpu?.quota);
    await set('cpu', 'cpu.shares', cpu?.shares);
    await set('memory', 'memory.limit_in_bytes', memory?.limit);
    await set('pids', 'pids.max', pids?.limit);
    const parent = directory(cgroups, 'cpuset', path);
    if (parent !== undefined) await inheritCpuset(cgroups, path);
  }
  return groups;
}

/** A v1 cpuset group takes no process before it has processors and memory nodes, which it does not get by itself. */
async function inheritCpuset(cgroups: Cgroups, path: string): Promise<void> {
  const tree = cgroups.trees.get('cpuset') ?? '';
  let current = tree;
  for (const part of path.split('/').filter(Boolean)) {
    const parent = current;
    current = join(current, part);
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      if ((await readIfThere(join(current, file))).trim() !== '') continue;
      await writeFile(join(current, file), (await readIfThere(join(parent, file))).trim());
    }
  }
}
