import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError, runCommand } from '@k8ts/base';
import { createUnderConmon } from './conmon.ts';
import type { CommandFiles, ContainerRunner, CreateOptions, ProgramCall } from './container-runner.ts';
import type { Host } from './host.ts';
import { runtimeStateDirectory } from './layout.ts';
import type { ContainerPaths, Layout } from './layout.ts';
import type { OciProcess } from './oci-spec.ts';

/**
 * crun refuses to work when the cgroup2 tree beside the v1 trees has controllers of its own. In a mount namespace of its
 * own, with that tree covered, it sees plain v1. `slave` keeps the machine's mounts coming in and ours from going out.
 */
const HYBRID_WRAPPER = `#!/bin/sh
exec unshare --mount --propagation slave sh -c 'mount -t tmpfs none /sys/fs/cgroup/unified && exec "$0" "$@"' CRUN "$@"
`;

/** Runs containers with an OCI runtime program: crun or runc. */
export class OciRuntime implements ContainerRunner {
  readonly shortcomings: string | undefined;
  readonly #host: Host;
  readonly #layout: Layout;
  readonly #program: string;

  private constructor(host: Host, layout: Layout, program: string) {
    this.#host = host;
    this.#layout = layout;
    this.#program = program;
    this.shortcomings =
      program === host.runtime?.path
        ? undefined
        : 'mounts cannot propagate from containers to the node: the cgroup2 tree beside v1 has controllers';
  }

  static async prepare(host: Host, layout: Layout): Promise<OciRuntime> {
    const { runtime } = host;
    if (runtime === undefined) throw new Error('neither crun nor runc is installed');
    await mkdir(runtimeStateDirectory(layout), { recursive: true, mode: 0o700 });
    if (host.cgroups.mode !== 'hybrid' || runtime.name !== 'crun') {
      return new OciRuntime(host, layout, runtime.path);
    }
    const wrapper = join(layout.runDir, 'crun');
    await writeFile(wrapper, HYBRID_WRAPPER.replace('CRUN', runtime.path));
    await chmod(wrapper, 0o700);
    return new OciRuntime(host, layout, wrapper);
  }

  exec(id: string, _paths: ContainerPaths, files: CommandFiles, process: OciProcess): ProgramCall {
    const terminal = process.terminal ? ['--tty'] : [];
    return this.#call('exec', ...terminal, '--process', files.specFile, '--pid-file', files.pidFile, id);
  }

  create(id: string, paths: ContainerPaths, options: CreateOptions): Promise<{ readonly pid: number }> {
    const stateArgument = `--root=${runtimeStateDirectory(this.#layout)}`;
    return createUnderConmon(this.#host.conmon, this.#program, [stateArgument], id, paths, options);
  }

  async start(id: string, _paths: ContainerPaths): Promise<void> {
    await this.#run('start', id);
  }

  /** Takes away the runtime's state and the container's control group; kills what is left of it. Twice is harmless. */
  async delete(id: string, _paths: ContainerPaths): Promise<void> {
    try {
      await this.#run('delete', '--force', id);
    } catch (error) {
      if (!(error instanceof CommandError) || !/does not exist|No such file/.test(error.stderr)) throw error;
    }
  }

  async update(id: string, paths: ContainerPaths, resources: Record<string, unknown>): Promise<void> {
    // A file: crun cannot read a pipe of Node's, which is a socket.
    const file = join(paths.bundle, 'resources.json');
    await writeFile(file, JSON.stringify(resources), { mode: 0o600 });
    await this.#run('update', '--resources', file, id);
  }

  async #run(...parts: string[]): Promise<void> {
    const { program, args } = this.#call(...parts);
    await runCommand(program, args);
  }

  #call(...parts: string[]): ProgramCall {
    return { program: this.#program, args: ['--root', runtimeStateDirectory(this.#layout), ...parts] };
  }
}
