import { spawn } from 'node:child_process';

export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
}

const OUTPUT_LIMIT = 1024 * 1024;

/** The environment of every host program we run: nothing of ours leaks in, and messages are in English. */
export const COMMAND_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: process.env['PATH'] ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
};

/** A host program ended with an error; `message` has what it said. */
export class CommandError extends Error {
  readonly exitCode: number | null;
  readonly stderr: string;
  constructor(command: string, exitCode: number | null, stderr: string) {
    super(
      stderr.trim() === ''
        ? `${command} ended with ${exitCode ?? 'a signal'}`
        : `${command}: ${stderr.trim()}`,
    );
    this.name = 'CommandError';
    this.exitCode = exitCode;
    this.stderr = stderr;
  }
}

/** Runs a host program to its end. Throws `CommandError` when it fails. */
export function run(
  command: string,
  args: readonly string[],
  options: { readonly cwd?: string } = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: COMMAND_ENVIRONMENT,
      ...(options.cwd !== undefined && { cwd: options.cwd }),
    });
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    child.on('error', (error) => reject(new CommandError(command, null, error.message)));
    child.on('close', (code) => {
      if (code === 0) resolve({ stdout: stdout(), stderr: stderr() });
      else reject(new CommandError(command, code, stderr()));
    });
  });
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream?.on('data', (chunk: Buffer) => {
    if (size < OUTPUT_LIMIT) chunks.push(chunk);
    size += chunk.length;
  });
  return () => Buffer.concat(chunks).toString('utf8').slice(0, OUTPUT_LIMIT);
}
