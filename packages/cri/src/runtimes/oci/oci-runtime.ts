import { spawn } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { COMMAND_ENVIRONMENT, CommandError, run } from './command.ts';
import type { Host } from './host.ts';
import { runtimeStateDirectory } from './layout.ts';
import type { ContainerPaths, Layout } from './layout.ts';

/**
 * crun refuses to work when the cgroup2 tree beside the v1 trees has controllers of its own. In a mount namespace of its
 * own, with that tree covered, it sees plain v1. `slave` keeps the machine's mounts coming in and ours from going out.
 */
const HYBRID_WRAPPER = `#!/bin/sh
exec unshare --mount --propagation slave sh -c 'mount -t tmpfs none /sys/fs/cgroup/unified && exec "$0" "$@"' CRUN "$@"
`;

/** The OCI runtime program (crun, runc) and conmon, which starts containers through it and stays with each. */
export class OciRuntime {
  readonly #host: Host;
  readonly #layout: Layout;
  readonly #program: string;

  private constructor(host: Host, layout: Layout, program: string) {
    this.#host = host;
    this.#layout = layout;
    this.#program = program;
  }

  static async prepare(host: Host, layout: Layout): Promise<OciRuntime> {
    await mkdir(runtimeStateDirectory(layout), { recursive: true, mode: 0o700 });
    if (host.cgroups.mode !== 'hybrid' || host.runtime.name !== 'crun') {
      return new OciRuntime(host, layout, host.runtime.path);
    }
    const wrapper = join(layout.runDir, 'crun');
    await writeFile(wrapper, HYBRID_WRAPPER.replace('CRUN', host.runtime.path));
    await chmod(wrapper, 0o700);
    return new OciRuntime(host, layout, wrapper);
  }

  /** Program and arguments of a call, for those who connect its streams themselves. */
  command(...args: string[]): { readonly program: string; readonly args: readonly string[] } {
    return { program: this.#program, args: ['--root', runtimeStateDirectory(this.#layout), ...args] };
  }

  /**
   * Creates the container of a bundle under a conmon of its own, which lives as long as the container: it writes the log,
   * listens on the bundle's `attach` socket, and leaves the exit code in the exits directory. Throws what the runtime said.
   */
  async create(
    id: string,
    paths: ContainerPaths,
    options: {
      readonly logPath: string;
      readonly terminal: boolean;
      readonly stdin: boolean;
      readonly stdinOnce: boolean;
    },
  ): Promise<{ readonly pid: number }> {
    const args = [
      ['--cid', id, '--cuuid', id, '--name', id],
      ['--runtime', this.#program, `--runtime-arg=--root=${runtimeStateDirectory(this.#layout)}`],
      ['--bundle', paths.bundle, '--full-attach'],
      ['--container-pidfile', paths.pidFile, '--conmon-pidfile', paths.conmonPidFile],
      ['--exit-dir', join(this.#layout.runDir, 'exits')],
      ['--log-path', `k8s-file:${options.logPath}`, '--log-level', 'warning'],
      options.terminal ? ['--terminal'] : [],
      options.stdin ? ['--stdin'] : [],
      options.stdin && !options.stdinOnce ? ['--leave-stdin-open'] : [],
    ].flat();
    const report = await new Promise<string>((resolve, reject) => {
      const child = spawn(this.#host.conmon, args, {
        // conmon reports on the descriptor that the variable names, then goes to the background.
        stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
        env: { ...COMMAND_ENVIRONMENT, _OCI_SYNCPIPE: '3' },
        cwd: paths.bundle,
        detached: true,
      });
      let text = '';
      let complaints = '';
      child.on('error', (error) => reject(new CommandError('conmon', null, error.message)));
      child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (complaints += chunk));
      const sync = child.stdio[3] as NodeJS.ReadableStream;
      sync.setEncoding('utf8');
      sync.on('data', (chunk: string) => {
        text += chunk;
        if (text.includes('\n')) finish();
      });
      sync.on('end', () => finish());
      const finish = (): void => {
        // The conmon in the background keeps these open; what it says later nobody needs.
        (sync as unknown as { destroy(): void }).destroy();
        child.stderr?.destroy();
        if (text === '') reject(new CommandError('conmon', child.exitCode, complaints));
        else resolve(text);
      };
    });
    const { pid, message } = JSON.parse(report) as { pid: number; message?: string };
    if (pid <= 0) throw new Error(`failed to create container: ${cleanMessage(message ?? 'unknown error')}`);
    return { pid };
  }

  async start(id: string): Promise<void> {
    await this.#run('start', id);
  }

  /** Takes away the runtime's state and the container's control group; kills what is left of it. Twice is harmless. */
  async delete(id: string): Promise<void> {
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
    const { program, args } = this.command(...parts);
    await run(program, args);
  }
}

/** Without the program's own time stamps and newlines. */
function cleanMessage(message: string): string {
  return message.replace(/^\d{4}-\d\d-\d\dT\S+\s+/gm, '').trim();
}
