import { spawn } from 'node:child_process';

/** The environment of every host program we run: nothing of ours leaks in, and messages are in English. */
export const COMMAND_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: process.env['PATH'] ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
};

/** The rules of a large cluster are listed in tens of megabytes; more than this is a mistake. */
const OUTPUT_LIMIT = 256 * 1024 * 1024;
const ERROR_LIMIT = 64 * 1024;

/** A host program failed; `message` has the first lines of what it said. */
export class CommandError extends Error {
  /** Undefined when it could not be started or was killed. */
  readonly exitCode: number | undefined;
  readonly stderr: string;

  constructor(program: string, exitCode: number | undefined, stderr: string) {
    const said = stderr.trim().split('\n').slice(0, 5).join('\n');
    super(said === '' ? `${program} ended with ${exitCode ?? 'a signal'}` : `${program}: ${said}`);
    this.name = 'CommandError';
    this.exitCode = exitCode;
    this.stderr = stderr;
  }
}

export interface CommandOptions {
  /** Standard input; absent: none. */
  readonly input?: string;
  readonly cwd?: string;
  readonly signal?: AbortSignal;
}

/** Runs host programs. A port, so that what is run can be seen in tests. */
export type RunCommand = (
  program: string,
  args: readonly string[],
  options?: CommandOptions,
) => Promise<string>;

/** Runs a host program to its end and gives its standard output. Throws `CommandError`. */
export const runCommand: RunCommand = (program, args, options = {}) =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      env: COMMAND_ENVIRONMENT,
      ...(options.cwd !== undefined && { cwd: options.cwd }),
      ...(options.signal !== undefined && { signal: options.signal }),
    });
    const stdout = collect(child.stdout, OUTPUT_LIMIT);
    const stderr = collect(child.stderr, ERROR_LIMIT);
    child.on('error', (error) => reject(new CommandError(program, undefined, error.message)));
    child.on('close', (code) => {
      if (code === 0) resolve(stdout());
      else reject(new CommandError(program, code ?? undefined, stderr()));
    });
    child.stdin?.on('error', () => undefined); // it ended without reading: its exit code says why
    child.stdin?.end(options.input);
  });

function collect(stream: NodeJS.ReadableStream | null, limit: number): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream?.on('data', (chunk: Buffer) => {
    if (size < limit) chunks.push(chunk);
    size += chunk.length;
  });
  return () => Buffer.concat(chunks).toString('utf8');
}
