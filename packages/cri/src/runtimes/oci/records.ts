import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@k8ts/base';
import { errorMessage } from '@k8ts/base';
import type { ContainerConfig, ContainerState, PodSandboxConfig, PodSandboxState } from '../../contract.ts';
import { isNotFound } from '../../files/atomic-file.ts';
import type { ProcessUser } from './users.ts';

/** What is known of a sandbox; kept in `sandbox.json`. */
export interface SandboxRecord {
  readonly version: 1;
  readonly id: string;
  readonly config: PodSandboxConfig;
  readonly runtimeHandler: string;
  readonly createdAt: number;
  state: PodSandboxState;
  ips: readonly string[];
  /** The network was asked for and has not been given back. */
  networked: boolean;
  /** Holds the shared process namespace. */
  pause: ProcessIdentity | undefined;
  /** Path of its cgroup. */
  readonly cgroup: string;
}

/** What is known of a container; kept in `container.json`. */
export interface ContainerRecord {
  readonly version: 1;
  readonly id: string;
  readonly sandboxId: string;
  config: ContainerConfig;
  readonly imageId: string;
  readonly imageRef: string;
  /** Layers its root file system stands on; they stay while it exists. */
  readonly diffIds: readonly string[];
  readonly createdAt: number;
  readonly user: ProcessUser;
  readonly stopSignal: string;
  /** Absolute. */
  readonly logPath: string;
  readonly cgroup: string;
  state: ContainerState;
  process: ProcessIdentity | undefined;
  startedAt: number;
  finishedAt: number;
  exitCode: number;
  signal: number;
  reason: string;
  message: string;
}

/** A process id alone may be another process later; with its start time (clock ticks since boot) it is one for ever. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTime: string;
}

/** The identity of a running process; undefined when there is none, or only its zombie. */
export async function identifyProcess(pid: number): Promise<ProcessIdentity | undefined> {
  let stat: string;
  try {
    stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The second field is the name in parentheses and may contain anything; the rest starts after the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state] = fields;
  const startTime = fields[19];
  if (startTime === undefined || state === 'Z' || state === 'X') return undefined;
  return { pid, startTime };
}

export async function isAlive(process: ProcessIdentity | undefined): Promise<boolean> {
  if (process === undefined) return false;
  return (await identifyProcess(process.pid))?.startTime === process.startTime;
}

/** Sends a signal to exactly this process; false when it is gone. */
export async function signalProcess(target: ProcessIdentity | undefined, signal: number): Promise<boolean> {
  if (target === undefined || !(await isAlive(target))) return false;
  try {
    process.kill(target.pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** Reads every `<directory>/<id>/<file>`. What cannot be read is reported and left alone. */
export async function readRecords<T extends { readonly id: string }>(
  directory: string,
  file: string,
  logger: Logger,
): Promise<{ readonly records: readonly T[]; readonly incomplete: readonly string[] }> {
  const records: T[] = [];
  const incomplete: string[] = [];
  for (const name of await readdir(directory)) {
    try {
      records.push(JSON.parse(await readFile(join(directory, name, file), 'utf8')) as T);
    } catch (error) {
      // Killed while it was being made: nobody has heard of it yet.
      if (!isNotFound(error))
        logger.error('state file is unreadable', { id: name, error: errorMessage(error) });
      incomplete.push(name);
    }
  }
  return { records, incomplete };
}

/** DiffIDs of the layers that the containers of a data directory stand on, whether or not a runtime has it open. */
export async function recordedLayers(dataDir: string, logger: Logger): Promise<ReadonlySet<string>> {
  const directory = join(dataDir, 'containers');
  try {
    const { records } = await readRecords<ContainerRecord>(directory, 'container.json', logger);
    return new Set(records.flatMap(({ diffIds }) => diffIds));
  } catch (error) {
    if (isNotFound(error)) return new Set(); // no container was ever made
    throw error;
  }
}
