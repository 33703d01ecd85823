import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';

/** Written by `k8ts up` for the other commands. */
export interface ProgramState {
  readonly pid: number;
  /** Tells the process from a later one with the same number. */
  readonly startedAt: string;
  /** Empty while the cluster starts. */
  readonly server: string;
  /** Containers were run here. */
  readonly node: boolean;
}

export async function writeState(file: string, state: ProgramState): Promise<void> {
  await writeFile(`${file}.new`, `${JSON.stringify(state, undefined, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

export async function readState(file: string): Promise<ProgramState | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as ProgramState;
  } catch (error) {
    // A state that cannot be read (cut off by a full disk) says as little as none.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export async function removeState(file: string): Promise<void> {
  await rm(file, { force: true });
}

/** Whether the process that wrote the state still runs. One that ended but that nobody waited for does not. */
export function isRunning(state: ProgramState): boolean {
  try {
    process.kill(state.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const fields = processFields(state.pid);
  return fields === undefined || (fields[START] === state.startedAt && fields[STATE] !== 'Z');
}

/** When a process started, in the kernel's ticks since boot; undefined where /proc does not tell. */
export function processStart(pid: number): string | undefined {
  return processFields(pid)?.[START];
}

const STATE = 0;
const START = 19;

/** Fields 3 and following of proc_pid_stat(5); the second, the program's name, may contain spaces and parentheses. */
function processFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}
