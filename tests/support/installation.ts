import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { createClient, createHttpTransport, loadKubeconfig, type Client } from '@k8ts/client';

import { createKubectl, type Kubectl, type Outcome } from '../clients/kubectl/program.ts';
import { findKubectls } from '../clients/kubectl/versions.ts';
import { leftovers, traces, type Traces } from './leftovers.ts';

export const ROOT: string = fileURLToPath(new URL('../../', import.meta.url));
/** The built program (`npm run build`), or the one that is named. */
const PROGRAM = process.env['K8TS_PROGRAM'] ?? join(ROOT, 'bin/k8ts.mjs');

/** Whatever hangs is killed, and its test fails with what it had said. */
const START_LIMIT = 60_000;
const COMMAND_LIMIT = 90_000;

/** k8ts as a user has it: the built program, a data directory, a kubeconfig of its own, and kubectl. */
export interface Installation extends AsyncDisposable {
  readonly directory: string;
  readonly dataDir: string;
  readonly kubeconfig: string;
  /** The newest of the machine, in the namespace `default`. */
  readonly kubectl: Kubectl;
  /** Runs `k8ts COMMAND --data-dir …` to its end. */
  run(...args: readonly string[]): Promise<Outcome>;
  /** The same for a command that must succeed; its standard output. */
  ok(...args: readonly string[]): Promise<string>;
  /** `k8ts up` in the foreground; resolves when it says that it is ready. */
  up(...args: readonly string[]): Promise<UpProcess>;
  /** The same, without waiting. */
  launch(...args: readonly string[]): UpProcess;
  /** For asking often: kubectl takes a tenth of a second each time. As the administrator of the cluster that runs. */
  client(): Promise<Client>;
  /** What is on the machine now that was not when the installation was made. */
  leftovers(): Partial<Traces>;
}

export interface UpProcess {
  readonly pid: number;
  output(): string;
  /** Resolves when the cluster is ready; rejects when the program ends before, with what it said. */
  readonly ready: Promise<void>;
  readonly ended: Promise<Outcome & { readonly signal: NodeJS.Signals | null }>;
  /** Sends the signal and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<Outcome & { readonly signal: NodeJS.Signals | null }>;
}

export async function createInstallation(): Promise<Installation> {
  const kubectl = findKubectls().at(-1);
  if (kubectl === undefined) throw new Error('there is no kubectl here: run tools/upstream-binaries.sh');
  const directory = await mkdtemp(join(tmpdir(), 'k8ts-e2e-'));
  const dataDir = join(directory, 'data');
  const kubeconfig = join(directory, 'kubeconfig');
  const before = traces(dataDir);
  const started = new Set<ChildProcess>();
  const launch = (args: readonly string[]): ChildProcess => {
    const child = spawn(process.execPath, [PROGRAM, ...args, '--data-dir', dataDir], {
      cwd: directory,
      env: { ...process.env, KUBECONFIG: kubeconfig, HOME: directory },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    started.add(child);
    child.once('exit', () => started.delete(child));
    return child;
  };
  const run = async (...args: readonly string[]): Promise<Outcome> => {
    const child = launch(args);
    const limit = setTimeout(() => child.kill('SIGKILL'), COMMAND_LIMIT);
    try {
      return await watch(child).ended;
    } finally {
      clearTimeout(limit);
    }
  };
  const transports: AsyncDisposable[] = [];
  const up = (args: readonly string[]): UpProcess => upProcess(launch(['up', ...args]));
  return {
    directory,
    dataDir,
    kubeconfig,
    kubectl: createKubectl({ path: kubectl.path, kubeconfig, home: directory, namespace: 'default' }),
    run,
    async ok(...args) {
      const outcome = await run(...args);
      if (outcome.code !== 0) throw failure(args, outcome);
      return outcome.stdout;
    },
    launch: (...args) => up(args),
    async up(...args) {
      const process = up(args);
      await process.ready;
      return process;
    },
    async client() {
      const transport = createHttpTransport((await loadKubeconfig({ path: kubeconfig })).transport);
      transports.push(transport);
      return createClient(transport);
    },
    leftovers: () => leftovers(before, traces(dataDir)),
    async [Symbol.asyncDispose]() {
      for (const transport of transports) await transport[Symbol.asyncDispose]();
      for (const child of started) {
        const ended = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGKILL');
        await ended;
      }
      // After a test that failed, so that the next does not suffer from it.
      if (Object.keys(leftovers(before, traces(dataDir))).length > 0) await run('down');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

interface Watched {
  readonly ended: Promise<Outcome & { readonly signal: NodeJS.Signals | null }>;
  output(): string;
  onOutput(listener: () => void): void;
}

function watch(child: ChildProcess): Watched {
  let stdout = '';
  let stderr = '';
  const listeners: (() => void)[] = [];
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
    for (const listener of listeners) listener();
  });
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<Outcome & { readonly signal: NodeJS.Signals | null }>((resolve, reject) => {
    child.once('error', reject);
    // Not "close": what the program leaves running must not keep us waiting for its output.
    child.once('exit', (code, signal) => setTimeout(() => resolve({ code, stdout, stderr, signal }), 20));
  });
  return { ended, output: () => stdout + stderr, onOutput: (listener) => listeners.push(listener) };
}

function upProcess(child: ChildProcess): UpProcess {
  const { ended, output, onOutput } = watch(child);
  const ready = new Promise<void>((resolve, reject) => {
    const limit = setTimeout(() => {
      reject(new Error(`k8ts up is not ready in ${START_LIMIT} ms:\n${output()}`));
      child.kill('SIGKILL');
    }, START_LIMIT);
    onOutput(() => {
      if (!output().includes('The cluster is ready at ')) return;
      clearTimeout(limit);
      resolve();
    });
    ended.then((outcome) => {
      clearTimeout(limit);
      reject(failure(['up'], outcome));
    }, reject);
  });
  ready.catch(() => undefined); // told to whoever waits
  return {
    pid: child.pid as number,
    output,
    ready,
    ended,
    stop(signal = 'SIGINT') {
      child.kill(signal);
      return ended;
    },
  };
}

function failure(args: readonly string[], { code, stdout, stderr }: Outcome): Error {
  return new Error(`k8ts ${args.join(' ')} ended with ${code ?? 'no code'}\n${stdout}\n${stderr}`);
}
