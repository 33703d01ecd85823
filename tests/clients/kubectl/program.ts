import { spawn, type ChildProcess } from 'node:child_process';

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A program that runs on beside the test. */
export interface Running extends AsyncDisposable {
  readonly output: () => string;
  /** Resolves once the output matches, with what matched. Rejects when the program ends first. */
  until(pattern: RegExp): Promise<RegExpExecArray>;
  write(text: string): void;
  /** Closes its standard input and waits for its end. */
  finish(): Promise<Outcome>;
}

/** One kubectl of one user, in one namespace. */
export interface Kubectl {
  run(args: readonly string[], options?: RunOptions): Promise<Outcome>;
  /** Standard output of a command that must succeed. */
  ok(...args: readonly string[]): Promise<string>;
  /** The same with a manifest as standard input. */
  feed(manifest: unknown, ...args: readonly string[]): Promise<string>;
  /** Standard error of a command that must fail. */
  fails(...args: readonly string[]): Promise<string>;
  start(...args: readonly string[]): Running;
  in(namespace: string): Kubectl;
}

export interface KubectlOptions {
  readonly path: string;
  readonly kubeconfig: string;
  /** Its home directory, for the discovery cache. */
  readonly home: string;
  readonly namespace: string;
}

/** Whatever hangs is ended, and its test fails with what the program had said. */
const LIMIT = 30_000;

export function createKubectl(options: KubectlOptions): Kubectl {
  const launch = (args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess =>
    spawn(options.path, ['--namespace', options.namespace, ...args], {
      env: { PATH: process.env['PATH'], HOME: options.home, KUBECONFIG: options.kubeconfig, ...env },
      stdio: 'pipe',
      timeout: LIMIT,
      killSignal: 'SIGKILL',
    });
  const run = (args: readonly string[], { stdin, env }: RunOptions = {}): Promise<Outcome> => {
    const child = launch(args, env);
    const outcome = collect(child);
    child.stdin?.on('error', () => undefined); // it may end without reading
    child.stdin?.end(stdin ?? '');
    return outcome.ended;
  };
  const succeed = async (args: readonly string[], runOptions?: RunOptions): Promise<string> => {
    const outcome = await run(args, runOptions);
    if (outcome.code !== 0) throw failure(args, outcome);
    return outcome.stdout;
  };
  return {
    run,
    ok: (...args) => succeed(args),
    feed: (manifest, ...args) =>
      succeed(args, { stdin: typeof manifest === 'string' ? manifest : JSON.stringify(manifest) }),
    async fails(...args) {
      const outcome = await run(args);
      if (outcome.code === 0) throw failure(args, outcome);
      return outcome.stderr;
    },
    start: (...args) => running(args, launch(args)),
    in: (namespace) => createKubectl({ ...options, namespace }),
  };
}

function failure(args: readonly string[], { code, stdout, stderr }: Outcome): Error {
  return new Error(`kubectl ${args.join(' ')} ended with ${code ?? 'no code'}\n${stdout}\n${stderr}`);
}

function collect(child: ChildProcess): {
  readonly ended: Promise<Outcome>;
  readonly output: () => string;
  readonly onOutput: Set<() => void>;
} {
  let stdout = '';
  let stderr = '';
  const onOutput = new Set<() => void>();
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
    for (const listener of onOutput) listener();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
    for (const listener of onOutput) listener();
  });
  const ended = new Promise<Outcome>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { ended, output: () => stdout + stderr, onOutput };
}

function running(args: readonly string[], child: ChildProcess): Running {
  const { ended, output, onOutput } = collect(child);
  ended.catch(() => undefined); // told to whoever waits
  child.stdin?.on('error', () => undefined);
  return {
    output,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const match = pattern.exec(output());
          if (match === null) return;
          onOutput.delete(look);
          resolve(match);
        };
        onOutput.add(look);
        look();
        ended.then((outcome) => reject(failure(args, outcome)), reject);
      }),
    write: (text) => child.stdin?.write(text),
    finish: () => {
      child.stdin?.end();
      return ended;
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await ended.catch(() => undefined);
    },
  };
}
