import { access, constants, readFile, statfs } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { COMMAND_ENVIRONMENT, runCommand } from '@k8ts/base';
import { detectCgroups } from './cgroups.ts';
import type { Cgroups } from './cgroups.ts';

export type ContainerProgram = 'crun' | 'runc' | 'util-linux';

/** What this machine offers to run containers with. */
export interface Host {
  /** The OCI runtime program; undefined: containers are run by util-linux. */
  readonly runtime:
    { readonly name: 'crun' | 'runc'; readonly path: string; readonly version: string } | undefined;
  /** Watches over each container: https://github.com/containers/conmon */
  readonly conmon: string;
  readonly socat: string | undefined;
  readonly script: string | undefined;
  readonly cgroups: Cgroups;
  /** Bits of the capabilities that we have ourselves and so can give. */
  readonly capabilityBounds: bigint;
  readonly oomScoreAdj: number;
  /** The seccomp and apparmor support of the kernel. */
  readonly seccomp: boolean;
}

/** Which host programs containers need, with Debian's names of their packages. */
export const REQUIRED_PROGRAMS: readonly {
  readonly program: string;
  readonly alternatives?: readonly string[];
  readonly debianPackage: string;
  readonly purpose: string;
}[] = [
  { program: 'crun', alternatives: ['runc'], debianPackage: 'crun', purpose: 'runs containers' },
  { program: 'conmon', debianPackage: 'conmon', purpose: 'keeps logs and exit codes of containers' },
  { program: 'ip', debianPackage: 'iproute2', purpose: 'sets up pod networks' },
  { program: 'socat', debianPackage: 'socat', purpose: 'port forwarding and attach' },
];

export interface MissingProgram {
  readonly program: string;
  readonly debianPackage: string;
  readonly purpose: string;
}

/** The programs of `REQUIRED_PROGRAMS` that are not installed. */
export async function missingHostPrograms(): Promise<readonly MissingProgram[]> {
  const missing: MissingProgram[] = [];
  for (const { program, alternatives = [], debianPackage, purpose } of REQUIRED_PROGRAMS) {
    const found = await Promise.all([program, ...alternatives].map(findProgram));
    if (found.every((path) => path === undefined)) missing.push({ program, debianPackage, purpose });
  }
  return missing;
}

export async function findProgram(name: string): Promise<string | undefined> {
  const directories = (COMMAND_ENVIRONMENT['PATH'] ?? '').split(delimiter);
  for (const directory of [...directories, '/usr/sbin', '/sbin']) {
    const path = join(directory, name);
    const executable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (executable) return path;
  }
  return undefined;
}

/** Throws an `Error` that says in one sentence what is missing. */
export async function inspectHost(program?: ContainerProgram): Promise<Host> {
  if (process.platform !== 'linux') {
    throw new Error(`containers need Linux; this is ${process.platform}, where the simulated runtime works`);
  }
  if (process.getuid?.() !== 0)
    throw new Error('containers need root: start k8ts as root, or use --runtime simulated');
  const [crun, runc, conmon, socat, script] = await Promise.all(
    ['crun', 'runc', 'conmon', 'socat', 'script'].map(findProgram),
  );
  const wanted = { crun, runc, 'util-linux': undefined };
  const path = program === undefined ? (crun ?? runc) : wanted[program];
  if (path === undefined && program !== undefined && program !== 'util-linux') {
    throw new Error(`${program} is not installed (Debian: apt install ${program})`);
  }
  if (conmon === undefined) throw new Error('conmon is not installed (Debian: apt install conmon)');
  const status = await readFile('/proc/self/status', 'utf8');
  const bounds = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  return {
    runtime:
      path === undefined
        ? undefined
        : { name: path === crun ? 'crun' : 'runc', path, version: await programVersion(path) },
    conmon,
    socat,
    script,
    cgroups: await detectCgroups(),
    capabilityBounds: BigInt(`0x${bounds}`),
    oomScoreAdj: Number((await readFile('/proc/self/oom_score_adj', 'utf8')).trim()),
    seccomp: /^Seccomp:/m.test(status),
  };
}

async function programVersion(path: string): Promise<string> {
  return /version (\S+)/.exec(await runCommand(path, ['--version']))?.[1] ?? 'unknown';
}

const OVERLAY_MAGIC = 0x794c7630;

/** Overlay on overlay does not work: the upper directory must be on another kind of file system. */
export async function isOnOverlay(path: string): Promise<boolean> {
  return (await statfs(path)).type === OVERLAY_MAGIC;
}
