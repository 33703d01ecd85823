import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { COMMAND_ENVIRONMENT, CommandError } from '@k8ts/base';
import type { CreateOptions } from './container-runner.ts';
import type { ContainerPaths } from './layout.ts';

/**
 * Creates the container of a bundle under a conmon of its own, which lives as long as the container: it calls `program
 * create`, writes the log, listens on the bundle's `attach` socket, and leaves the exit code in the exits directory.
 * Throws what the program said.
 */
export async function createUnderConmon(
  conmon: string,
  program: string,
  programArguments: readonly string[],
  id: string,
  paths: ContainerPaths,
  options: CreateOptions,
): Promise<{ readonly pid: number }> {
  const args = [
    ['--cid', id, '--cuuid', id, '--name', id],
    ['--runtime', program, ...programArguments.map((argument) => `--runtime-arg=${argument}`)],
    ['--bundle', paths.bundle, '--full-attach'],
    ['--container-pidfile', paths.pidFile, '--conmon-pidfile', paths.conmonPidFile],
    ['--exit-dir', dirname(paths.exitFile)],
    ['--log-path', `k8s-file:${options.logPath}`, '--log-level', 'warning'],
    options.terminal ? ['--terminal'] : [],
    options.stdin ? ['--stdin'] : [],
    options.stdin && !options.stdinOnce ? ['--leave-stdin-open'] : [],
  ].flat();
  const report = await new Promise<string>((resolve, reject) => {
    const child = spawn(conmon, args, {
      // conmon reports on the descriptor that the variable names, then goes to the background.
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      env: { ...COMMAND_ENVIRONMENT, _OCI_SYNCPIPE: '3' },
      cwd: paths.bundle,
      detached: true,
    });
    let text = '';
    let complaints = '';
    child.on('error', (error) => reject(new CommandError('conmon', undefined, error.message)));
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
      if (text === '') reject(new CommandError('conmon', child.exitCode ?? undefined, complaints));
      else resolve(text);
    };
  });
  const { pid, message } = JSON.parse(report) as { pid: number; message?: string };
  if (pid <= 0) throw new Error(`failed to create container: ${cleanMessage(message ?? 'unknown error')}`);
  return { pid };
}

/** Without the program's own time stamps and newlines. */
function cleanMessage(message: string): string {
  return message.replace(/^\d{4}-\d\d-\d\dT\S+\s+/gm, '').trim();
}
