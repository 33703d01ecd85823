import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { type Clock, errorMessage, type Logger, sleep } from '@k8ts/base';

import { podUid } from '../pod/pod-spec.ts';
import { podQos } from '../pod/qos.ts';
import type { Pod } from '../pod/types.ts';
import { podAmounts } from './amounts.ts';
import { CPU_PERIOD, cpuShares, cpuWeight, podCgroupResources } from './linux-resources.ts';

/** Makes and removes the cgroups of pods: `kubepods/pod<uid>`, `kubepods/burstable/pod<uid>`, `kubepods/besteffort/pod<uid>`. */
export interface CgroupManager {
  /** Path below the cgroup root, the pod's `cgroupParent`. */
  pathOf(pod: Pod): string;
  /** Twice is harmless; limits are brought up to date. */
  ensure(pod: Pod): Promise<void>;
  /**
   * Raises the limits that are lower than the pod's, and leaves the others: between this and `ensure` its containers may be
   * given more and less in any order. A cgroup of v1 takes no limit above its parent's nor below its children's.
   */
  makeRoom(pod: Pod): Promise<void>;
  /** Kills what is left in it. Twice is harmless. */
  remove(pod: Pod): Promise<void>;
  /** The weights of the classes follow the requests of their pods. */
  updateClasses(pods: readonly Pod[]): Promise<void>;
  /** Removes the cgroups of pods that are not known; asked after the cgroup was found, for new pods make theirs any time. */
  removeOrphans(isKnown: (podUid: string) => boolean): Promise<void>;
}

export interface CgroupManagerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where the hierarchies are mounted. Default `/sys/fs/cgroup`. */
  readonly mountpoint?: string;
  /** Below the root; several kubelets on one machine need different ones. Default `kubepods`. */
  readonly root?: string;
}

const V1_CONTROLLERS = [
  'cpu',
  'cpuacct',
  'cpuset',
  'memory',
  'devices',
  'freezer',
  'blkio',
  'pids',
  'hugetlb',
  'systemd',
];
const V2_CONTROLLERS = ['cpu', 'cpuset', 'memory', 'pids', 'io', 'hugetlb'];
const REMOVE_ATTEMPTS = 20;
const REMOVE_PAUSE = 50;

/** For machines without cgroups, and for runtimes that have none. */
export const noCgroups: CgroupManager = {
  pathOf: () => '',
  ensure: () => Promise.resolve(),
  makeRoom: () => Promise.resolve(),
  remove: () => Promise.resolve(),
  updateClasses: () => Promise.resolve(),
  removeOrphans: () => Promise.resolve(),
};

const DEFAULT_ROOT = 'kubepods';

interface Hierarchies {
  readonly unified: boolean;
  readonly mountpoints: readonly string[];
}

function findHierarchies(mountpoint = '/sys/fs/cgroup'): Hierarchies {
  const unified = existsSync(join(mountpoint, 'cgroup.controllers'));
  return {
    unified,
    mountpoints: unified
      ? [mountpoint]
      : V1_CONTROLLERS.map((name) => join(mountpoint, name)).filter((path) =>
          existsSync(join(path, 'tasks')),
        ),
  };
}

/** Finds out which version the machine has; `noCgroups` when it has none that can be written. */
export async function createCgroupManager(options: CgroupManagerOptions): Promise<CgroupManager> {
  const root = options.root ?? DEFAULT_ROOT;
  const { unified, mountpoints: hierarchies } = findHierarchies(options.mountpoint);
  if (hierarchies.length === 0) return noCgroups;
  const manager = new FileCgroupManager(options, hierarchies, unified, root);
  try {
    await manager.prepareRoot();
  } catch (error) {
    options.logger.warn('Cgroups cannot be written; pods run without limits', { error: errorMessage(error) });
    return noCgroups;
  }
  return manager;
}

/**
 * Removes what `createCgroupManager` made: the cgroups of pods with all that runs in them, the classes, and the root with
 * those above it that are empty then. For when no kubelet uses the root any more.
 */
export async function removeCgroups(options: CgroupManagerOptions): Promise<void> {
  const root = options.root ?? DEFAULT_ROOT;
  const { unified, mountpoints: hierarchies } = findHierarchies(options.mountpoint);
  if (hierarchies.length === 0) return;
  await new FileCgroupManager(options, hierarchies, unified, root).removeRoot();
}

const CLASSES = ['burstable', 'besteffort'] as const;

interface CgroupLimit {
  readonly controller: string;
  readonly file: string;
  readonly limit: number | undefined;
  readonly text: string;
}

class FileCgroupManager implements CgroupManager {
  readonly #options: CgroupManagerOptions;
  readonly #hierarchies: readonly string[];
  readonly #unified: boolean;
  readonly #root: string;

  constructor(options: CgroupManagerOptions, hierarchies: readonly string[], unified: boolean, root: string) {
    this.#options = options;
    this.#hierarchies = hierarchies;
    this.#unified = unified;
    this.#root = root;
  }

  async prepareRoot(): Promise<void> {
    for (const path of [this.#root, ...CLASSES.map((name) => `${this.#root}/${name}`)])
      await this.#make(path);
    await this.#writeWeight(`${this.#root}/besteffort`, cpuShares(0));
  }

  pathOf(pod: Pod): string {
    const qos = podQos(pod);
    const parent = qos === 'Guaranteed' ? this.#root : `${this.#root}/${qos.toLowerCase()}`;
    return `${parent}/pod${podUid(pod)}`;
  }

  async ensure(pod: Pod): Promise<void> {
    const path = this.pathOf(pod);
    await this.#make(path);
    await this.#writeWeight(path, podCgroupResources(pod).cpuShares);
    if (!this.#unified) await this.#write(path, 'cpu', 'cpu.cfs_period_us', String(CPU_PERIOD));
    for (const { controller, file, text } of this.#limits(pod))
      await this.#write(path, controller, file, text);
  }

  async makeRoom(pod: Pod): Promise<void> {
    const path = this.pathOf(pod);
    for (const { controller, file, limit = Infinity, text } of this.#limits(pod)) {
      const hierarchy = this.#hierarchyOf(controller);
      if (hierarchy === undefined) continue;
      const [now = ''] = (await readFile(join(hierarchy, path, file), 'utf8').catch(() => 'max')).split(/\s/);
      const isUnlimited = now === 'max' || now === '-1';
      if (!isUnlimited && limit > Number(now)) await this.#write(path, controller, file, text);
    }
  }

  #limits(pod: Pod): readonly CgroupLimit[] {
    const { cpuQuota, memoryLimit } = podCgroupResources(pod);
    const cpu = { controller: 'cpu', limit: cpuQuota };
    const memory = { controller: 'memory', limit: memoryLimit };
    return this.#unified
      ? [
          { ...cpu, file: 'cpu.max', text: `${cpuQuota ?? 'max'} ${CPU_PERIOD}` },
          { ...memory, file: 'memory.max', text: String(memoryLimit ?? 'max') },
        ]
      : [
          { ...cpu, file: 'cpu.cfs_quota_us', text: String(cpuQuota ?? -1) },
          { ...memory, file: 'memory.limit_in_bytes', text: String(memoryLimit ?? -1) },
        ];
  }

  async remove(pod: Pod): Promise<void> {
    await this.#removeTree(this.pathOf(pod));
  }

  async updateClasses(pods: readonly Pod[]): Promise<void> {
    let burstable = 0;
    for (const pod of pods)
      if (podQos(pod) === 'Burstable') burstable += podAmounts(pod, 'requests')['cpu'] ?? 0;
    await this.#writeWeight(`${this.#root}/burstable`, cpuShares(burstable));
  }

  async removeOrphans(isKnown: (podUid: string) => boolean): Promise<void> {
    for (const parent of [this.#root, ...CLASSES.map((name) => `${this.#root}/${name}`)]) {
      const found = new Set<string>();
      for (const hierarchy of this.#hierarchies)
        for (const name of await readdir(join(hierarchy, parent)).catch(() => [])) found.add(name);
      for (const name of found)
        if (name.startsWith('pod') && !isKnown(name.slice(3))) await this.#removeTree(`${parent}/${name}`);
    }
  }

  async removeRoot(): Promise<void> {
    await this.removeOrphans(() => false);
    const above: string[] = [];
    for (let path = this.#root; path !== '.'; path = dirname(path)) above.push(path);
    for (const hierarchy of this.#hierarchies)
      for (const path of [...CLASSES.map((name) => `${this.#root}/${name}`), ...above])
        // One that is not there, or that has somebody else's cgroups in it, is left as it is.
        await rmdir(join(hierarchy, path)).catch(() => undefined);
  }

  async #make(path: string): Promise<void> {
    for (const hierarchy of this.#hierarchies) {
      await mkdir(join(hierarchy, path), { recursive: true });
      if (hierarchy.endsWith('/cpuset')) await this.#inheritCpuset(hierarchy, path);
    }
    if (this.#unified) await this.#enableControllers(path);
  }

  /** v2: a cgroup's children get the controllers that its `subtree_control` names, from the root down. */
  async #enableControllers(path: string): Promise<void> {
    const mountpoint = this.#hierarchies[0] as string;
    const parts = path.split('/');
    for (let depth = 0; depth < parts.length; depth++) {
      const directory = join(mountpoint, ...parts.slice(0, depth));
      const available = (await readFile(join(directory, 'cgroup.controllers'), 'utf8').catch(() => '')).split(
        /\s+/,
      );
      for (const controller of V2_CONTROLLERS)
        if (available.includes(controller))
          await writeFile(join(directory, 'cgroup.subtree_control'), `+${controller}`).catch(() => undefined);
    }
  }

  /** v1: a new cpuset is empty and takes no process until it has processors and memory nodes. */
  async #inheritCpuset(hierarchy: string, path: string): Promise<void> {
    const parts = path.split('/');
    for (let depth = 1; depth <= parts.length; depth++) {
      const own = join(hierarchy, ...parts.slice(0, depth));
      const parent = join(hierarchy, ...parts.slice(0, depth - 1));
      for (const file of ['cpuset.cpus', 'cpuset.mems']) {
        const value = (await readFile(join(own, file), 'utf8').catch(() => '')).trim();
        if (value !== '') continue;
        const inherited = (await readFile(join(parent, file), 'utf8').catch(() => '')).trim();
        if (inherited !== '') await writeFile(join(own, file), inherited).catch(() => undefined);
      }
    }
  }

  async #writeWeight(path: string, shares: number): Promise<void> {
    if (this.#unified) await this.#write(path, 'cpu', 'cpu.weight', String(cpuWeight(shares)));
    else await this.#write(path, 'cpu', 'cpu.shares', String(shares));
  }

  #hierarchyOf(controller: string): string | undefined {
    return this.#unified
      ? this.#hierarchies[0]
      : this.#hierarchies.find((candidate) => candidate.endsWith(`/${controller}`));
  }

  async #write(path: string, controller: string, file: string, value: string): Promise<void> {
    const hierarchy = this.#hierarchyOf(controller);
    if (hierarchy === undefined) return;
    try {
      await writeFile(join(hierarchy, path, file), value);
    } catch (error) {
      this.#options.logger.warn('Cannot write cgroup file', {
        path,
        file,
        value,
        error: errorMessage(error),
      });
    }
  }

  async #removeTree(path: string): Promise<void> {
    for (let attempt = 0; attempt < REMOVE_ATTEMPTS; attempt++) {
      let left = false;
      for (const hierarchy of this.#hierarchies) {
        if (!(await removeDirectories(join(hierarchy, path)))) left = true;
      }
      if (!left) return;
      await sleep(this.#options.clock, REMOVE_PAUSE);
    }
    this.#options.logger.warn('Cgroup of a pod could not be removed', { path });
  }
}

/** Kills what runs in a cgroup and removes it with its children; false when something is left. */
async function removeDirectories(path: string): Promise<boolean> {
  let entries;
  try {
    entries = await readdir(path, { withFileTypes: true });
  } catch {
    return true;
  }
  let clean = true;
  for (const entry of entries)
    if (entry.isDirectory() && !(await removeDirectories(join(path, entry.name)))) clean = false;
  const processes = (await readFile(join(path, 'cgroup.procs'), 'utf8').catch(() => ''))
    .split('\n')
    .map(Number)
    // 0 is a process outside our PID namespace, and to kill 0 would be to kill ourselves.
    .filter((pid) => pid > 0);
  for (const pid of processes) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // it has ended meanwhile
    }
  }
  try {
    await rmdir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') clean = false;
  }
  return clean;
}
