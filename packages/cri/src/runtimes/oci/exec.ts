import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { COMMAND_ENVIRONMENT, runCommand, sleep } from '@k8ts/base';
import type { Clock, Logger } from '@k8ts/base';
import { ExecTimeoutError } from '../../contract.ts';
import type {
  ContainerStreams,
  ExecRequest,
  ExecSyncResult,
  ExitStatus,
  TerminalSize,
} from '../../contract.ts';
import type { CommandFiles, ContainerRunner, ProgramCall } from './container-runner.ts';
import type { ContainerPaths } from './layout.ts';
import type { OciProcess, OciSpec } from './oci-spec.ts';

const SIGKILL = 9;
/** As the kubelet's limit for what a probe or hook may say. */
const SYNC_OUTPUT_LIMIT = 16 * 1024 * 1024;

export interface ExecContext {
  readonly runtime: ContainerRunner;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The files of commands go into the container's bundle. */
  readonly paths: ContainerPaths;
  /** util-linux' `script`, which gives a command a terminal. */
  readonly script: string | undefined;
}

/** How much of a failure's text is kept. */
const COMPLAINT_LIMIT = 4096;

let commands = 0;

interface PreparedCommand extends CommandFiles {
  readonly call: ProgramCall;
}

/** A command runs as the container's own process does: user, groups, capabilities, environment, directory. */
async function prepareCommand(
  context: ExecContext,
  command: readonly string[],
  id: string,
  terminal: boolean,
): Promise<PreparedCommand> {
  if (command.length === 0) throw new Error('no command specified');
  const spec = JSON.parse(await readFile(join(context.paths.bundle, 'config.json'), 'utf8')) as OciSpec;
  const base = join(context.paths.bundle, `exec-${process.pid}-${commands++}`);
  const files = { specFile: `${base}.json`, pidFile: `${base}.pid` };
  const environment = spec.process.env.filter((variable) => !variable.startsWith('TERM='));
  const ofCommand: OciProcess = {
    ...spec.process,
    args: command,
    terminal,
    env: terminal ? [...environment, 'TERM=xterm'] : environment,
  };
  await writeFile(files.specFile, JSON.stringify(ofCommand), { mode: 0o600 });
  return { ...files, call: context.runtime.exec(id, context.paths, files, ofCommand) };
}

async function removeFiles(files: CommandFiles): Promise<void> {
  await Promise.all([rm(files.specFile, { force: true }), rm(files.pidFile, { force: true })]);
}

/** Runs a command in a container to its end, without input. */
export async function execSync(
  context: ExecContext,
  id: string,
  command: readonly string[],
  timeoutSeconds: number,
): Promise<ExecSyncResult> {
  const files = await prepareCommand(context, command, id, false);
  const { call } = files;
  const child = spawn(call.program, call.args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: COMMAND_ENVIRONMENT,
  });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  let timedOut = false;
  const cancelTimeout =
    timeoutSeconds > 0
      ? context.clock.setTimeout(() => {
          timedOut = true;
          void killCommand(context, child, files);
        }, timeoutSeconds * 1000)
      : undefined;
  try {
    const exitCode = await ended(child);
    if (timedOut) {
      throw new ExecTimeoutError(`command ${JSON.stringify(command.join(' '))} timed out`);
    }
    if (exitCode !== 0 && (await commandPid(files)) === 0) throw notStarted(stderr().toString());
    return { stdout: stdout(), stderr: stderr(), exitCode };
  } finally {
    cancelTimeout?.();
    await removeFiles(files);
  }
}

/** Without a pid the command was never there, and what was said on standard error was the OCI runtime's. */
function notStarted(complaint: string): Error {
  return new Error(`failed to start the command: ${complaint.trim() || 'the OCI runtime did not say why'}`);
}

/** Runs a command with its streams connected to a client's. Aborting kills it. */
export async function execStreams(
  context: ExecContext,
  id: string,
  request: ExecRequest,
  streams: ContainerStreams,
  signal: AbortSignal,
): Promise<ExitStatus> {
  signal.throwIfAborted();
  const files = await prepareCommand(context, request.command, id, request.tty);
  const child = request.tty ? spawnOnTerminal(context, files.call) : spawnPlain(files.call, streams);
  const onAbort = (): void => void killCommand(context, child, files);
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  const stopInput = connectInput(child, streams);
  let complaint = '';
  const listen = (chunk: Buffer): void => {
    if (complaint.length < COMPLAINT_LIMIT) complaint += chunk.toString();
  };
  child.stderr?.on('data', listen);
  if (request.tty) child.stdout?.on('data', listen);
  child.stdout?.on('data', (chunk: Buffer) => forward(chunk, streams.stdout, child.stdout));
  child.stderr?.on('data', (chunk: Buffer) => forward(chunk, streams.stderr, child.stderr));
  const resizing =
    request.tty && streams.resize !== undefined ? followSizes(context, files, streams.resize) : undefined;
  try {
    const exitCode = await ended(child);
    if (exitCode !== 0 && !signal.aborted && (await commandPid(files)) === 0) throw notStarted(complaint);
    return { exitCode };
  } finally {
    signal.removeEventListener('abort', onAbort);
    stopInput();
    resizing?.stop();
    await removeFiles(files);
  }
}

function spawnPlain(call: ProgramCall, streams: ContainerStreams): ChildProcess {
  return spawn(call.program, call.args, {
    stdio: [streams.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: COMMAND_ENVIRONMENT,
  });
}

/**
 * Node cannot make a terminal. `script` can: it runs the command on a new one and copies between it and its own streams.
 * The OCI runtime then makes the container's terminal and copies between the two.
 */
function spawnOnTerminal(context: ExecContext, call: ProgramCall): ChildProcess {
  if (context.script === undefined) {
    throw new Error('a terminal needs the program "script" of util-linux (Debian: apt install bsdutils)');
  }
  const line = [call.program, ...call.args].map(shellQuote).join(' ');
  const args = [
    '--quiet',
    '--flush',
    '--return',
    '--echo',
    'never',
    '--command',
    `exec ${line}`,
    '/dev/null',
  ];
  return spawn(context.script, args, {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...COMMAND_ENVIRONMENT, SHELL: '/bin/sh', TERM: 'xterm' },
  });
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Passes the client's input on, with back pressure. Returns what ends it. */
function connectInput(child: ChildProcess, streams: ContainerStreams): () => void {
  const { stdin: from } = streams;
  const to = child.stdin;
  if (to === null) return () => undefined;
  to.on('error', () => undefined); // the command has ended or closed its input: no reason to fail
  if (from === undefined) return () => undefined; // a terminal without input stays open
  from.pipe(to);
  return () => {
    from.unpipe(to);
    to.destroy();
  };
}

function forward(
  chunk: Buffer,
  to: NodeJS.WritableStream | undefined,
  from: NodeJS.ReadableStream | null,
): void {
  if (to === undefined || !to.writable) return;
  if (!to.write(chunk) && from !== null) {
    from.pause();
    to.once('drain', () => from.resume());
    to.once('close', () => from.resume());
  }
}

/**
 * Sets the size of the command's terminal whenever the client's window changes. The OCI runtime copies the size only once,
 * so it is set on the terminal that the command itself has open.
 */
function followSizes(
  context: ExecContext,
  files: CommandFiles,
  sizes: AsyncIterable<TerminalSize>,
): { stop(): void } {
  let stopped = false;
  const iterator = sizes[Symbol.asyncIterator]();
  void (async () => {
    let pid = 0;
    for (;;) {
      const next = await iterator.next();
      for (let waited = 0; pid === 0 && waited < PID_PATIENCE && !stopped; waited += KILL_INTERVAL) {
        pid = await commandPid(files);
        if (pid === 0) await sleep(context.clock, KILL_INTERVAL);
      }
      if (stopped || next.done || pid === 0) return;
      const { width, height } = next.value;
      const size = ['rows', String(height), 'cols', String(width)];
      await runCommand('stty', ['-F', `/proc/${pid}/fd/0`, ...size]).catch(() => undefined); // ended meanwhile
    }
  })().catch(() => undefined); // the client's stream broke: the command's end is seen elsewhere
  return {
    stop: () => {
      stopped = true;
      void iterator.return?.();
    },
  };
}

/** The pid the runtime wrote down; 0 while it has not. */
async function commandPid(files: CommandFiles): Promise<number> {
  return Number((await readFile(files.pidFile, 'utf8').catch(() => '')).trim());
}

/** How long the runtime may take to start a command. */
const PID_PATIENCE = 10_000;
const KILL_PATIENCE = 2000;
const KILL_INTERVAL = 10;

/** Kills the command itself, by the pid the runtime wrote down, and then the runtime's process that waits for it. */
async function killCommand(context: ExecContext, child: ChildProcess, files: CommandFiles): Promise<void> {
  const running = (): boolean => child.exitCode === null && child.signalCode === null;
  // It may still be on its way into the container; killing the runtime now would leave the command behind.
  for (let waited = 0; running() && waited < KILL_PATIENCE; waited += KILL_INTERVAL) {
    const pid = await commandPid(files);
    if (pid > 0) await killTree(pid);
    // The runtime itself is left to notice: it must reap the command, or a zombie would hold the container's end up
    // wherever the machine's first process does not reap.
    await sleep(context.clock, KILL_INTERVAL);
  }
  if (running()) child.kill('SIGKILL');
  // What the command started in the background may hold its output open.
  child.stdout?.destroy();
  child.stderr?.destroy();
}

async function killTree(pid: number): Promise<void> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const children = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')),
  );
  try {
    process.kill(pid, SIGKILL);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
  for (const child of children.join(' ').split(' ').filter(Boolean)) await killTree(Number(child));
}

/** The exit code once the process has ended and its output is read. A signal counts as 128 and its number. */
function ended(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(code ?? (signal === 'SIGTERM' ? 143 : 137)));
  });
}

function collect(stream: NodeJS.ReadableStream | null): () => Buffer {
  const chunks: Buffer[] = [];
  let size = 0;
  stream?.on('data', (chunk: Buffer) => {
    if (size < SYNC_OUTPUT_LIMIT) chunks.push(chunk.subarray(0, SYNC_OUTPUT_LIMIT - size));
    size += chunk.length;
  });
  return () => Buffer.concat(chunks);
}
