import { constants } from 'node:fs';
import { chmod, mkdir, open, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorMessage, sleep } from '@k8ts/base';
import type { Clock } from '@k8ts/base';
import { removeCgroup, processesBelow, writeLimits } from './cgroups.ts';
import { createUnderConmon } from './conmon.ts';
import type { CommandFiles, ContainerRunner, CreateOptions, ProgramCall } from './container-runner.ts';
import { findProgram } from './host.ts';
import type { Host } from './host.ts';
import type { ContainerPaths, Layout } from './layout.ts';
import type { OciProcess, OciSpec } from './oci-spec.ts';
import { identifyProcess, signalProcess } from './records.ts';
import { resolveInside } from './users.ts';
import { commandLine, createScript, execScript, initScript } from './util-linux-scripts.ts';

/** What conmon calls instead of an OCI runtime program: the bundle has a script of what to do. */
const PROGRAM = `#!/bin/sh
set -e
while [ "$#" -gt 1 ]; do
  case "$1" in
    --bundle) bundle=$2; shift 2 ;;
    --pid-file) pid_file=$2; shift 2 ;;
    *) shift ;;
  esac
done
exec sh "$bundle/create.sh" "$pid_file"
`;

const SIGKILL = 9;
const START_PATIENCE = 5000;
const START_INTERVAL = 5;

/**
 * Runs containers with what util-linux and coreutils have: `unshare`, `nsenter`, `mount`, `setpriv`. For machines on which
 * neither crun nor runc is installed. Its shortcomings are said; what would be unsafe in silence is refused.
 */
export class UtilLinuxRuntime implements ContainerRunner {
  readonly shortcomings: string =
    'neither crun nor runc is installed and containers are run by util-linux: they have no terminal of their own, ' +
    'no seccomp and no device rules, change their root by chroot, and keep the capabilities SYS_CHROOT and SETUID as root';
  readonly #host: Host;
  readonly #clock: Clock;
  readonly #program: string;

  private constructor(host: Host, clock: Clock, program: string) {
    this.#host = host;
    this.#clock = clock;
    this.#program = program;
  }

  static async prepare(host: Host, layout: Layout, clock: Clock): Promise<UtilLinuxRuntime> {
    for (const name of ['unshare', 'nsenter', 'setpriv']) {
      if ((await findProgram(name)) === undefined)
        throw new Error(`neither crun, runc nor ${name} is installed`);
    }
    const program = join(layout.runDir, 'util-linux-runtime');
    await writeFile(program, PROGRAM);
    await chmod(program, 0o700);
    return new UtilLinuxRuntime(host, clock, program);
  }

  async create(id: string, paths: ContainerPaths, options: CreateOptions): Promise<{ readonly pid: number }> {
    const spec = await readSpec(paths);
    refuseUnsupported(spec, options);
    const mounts = [];
    for (const mount of spec.mounts) {
      const target = await resolveInside(paths.rootfs, mount.destination);
      if (mount.type === 'bind') await prepareTarget(mount.source, target);
      mounts.push({ ...mount, target });
    }
    const directory = await resolveInside(paths.rootfs, spec.process.cwd);
    await mkdir(directory, { recursive: true, mode: 0o755 });
    const groups = await writeLimits(this.#host.cgroups, cgroupOf(spec), spec.linux['resources'] as object);
    await writeFile(join(paths.bundle, 'groups'), groups.map((group) => `${group}\n`).join(''));
    const init = join(paths.bundle, 'init.sh');
    await writeFile(init, initScript(spec, mounts, paths, groups), { mode: 0o600 });
    await writeFile(join(paths.bundle, 'create.sh'), createScript(spec, init), { mode: 0o600 });
    return createUnderConmon(this.#host.conmon, this.#program, [], id, paths, options);
  }

  /** The first process waits at a FIFO; opening its other end lets it go on. */
  async start(_id: string, paths: ContainerPaths): Promise<void> {
    const pid = Number((await readFile(paths.pidFile, 'utf8')).trim());
    for (let waited = 0; ; waited += START_INTERVAL) {
      try {
        const gate = await open(join(paths.bundle, 'start'), constants.O_WRONLY | constants.O_NONBLOCK);
        await gate.write('\n');
        await gate.close();
        return;
      } catch (error) {
        // ENOENT, ENXIO: it has not come that far.
        if (waited > START_PATIENCE || (await identifyProcess(pid)) === undefined) {
          throw new Error(
            `the container ended while it was set up; its log says why (${errorMessage(error)})`,
            {
              cause: error,
            },
          );
        }
        await sleep(this.#clock, START_INTERVAL);
      }
    }
  }

  async delete(_id: string, paths: ContainerPaths): Promise<void> {
    const spec = await readSpec(paths).catch(() => undefined);
    if (spec === undefined) return;
    const cgroup = cgroupOf(spec);
    for (const pid of await processesBelow(this.#host.cgroups, cgroup)) {
      await signalProcess(await identifyProcess(pid), SIGKILL);
    }
    await removeCgroup(this.#clock, this.#host.cgroups, cgroup);
  }

  async update(_id: string, paths: ContainerPaths, resources: Record<string, unknown>): Promise<void> {
    await writeLimits(this.#host.cgroups, cgroupOf(await readSpec(paths)), resources);
  }

  exec(_id: string, paths: ContainerPaths, files: CommandFiles, process: OciProcess): ProgramCall {
    return {
      program: 'sh',
      args: ['-c', execScript(paths, files.pidFile, commandLine(process, paths.rootfs))],
    };
  }
}

async function readSpec(paths: ContainerPaths): Promise<OciSpec> {
  return JSON.parse(await readFile(join(paths.bundle, 'config.json'), 'utf8')) as OciSpec;
}

function cgroupOf(spec: OciSpec): string {
  return spec.linux['cgroupsPath'] as string;
}

function refuseUnsupported(spec: OciSpec, options: CreateOptions): void {
  const missing = options.terminal
    ? 'a terminal'
    : spec.linux['seccomp'] !== undefined
      ? 'a seccomp profile'
      : spec.process.apparmorProfile !== undefined
        ? 'an AppArmor profile'
        : undefined;
  if (missing !== undefined) throw new Error(`${missing} needs crun or runc, which are not installed`);
}

/** Makes the place for a mount inside the root file system, of the kind that its source is. */
async function prepareTarget(source: string, target: string): Promise<void> {
  if ((await stat(source)).isDirectory()) {
    await mkdir(target, { recursive: true, mode: 0o755 });
    return;
  }
  await mkdir(dirname(target), { recursive: true, mode: 0o755 });
  const file = await open(target, constants.O_CREAT | constants.O_WRONLY | constants.O_NOFOLLOW, 0o644);
  await file.close();
}
