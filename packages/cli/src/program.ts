import { homedir, hostname } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Clock } from '@k8ts/base';
import type {
  ClusterStatus,
  ComponentCommand,
  ComponentFlag,
  ImageRow,
  ProgramActions,
  RunningCluster,
  UpOptions,
} from './contract.ts';
import { UserError } from './contract.ts';
import { startDetached } from './detach.ts';
import { terminalProgress } from './progress.ts';

export interface ProgramOptions {
  readonly actions: ProgramActions;
  readonly version: string;
  readonly clock: Clock;
  /** How this program is started again in the background: the interpreter with its arguments, before ours. */
  readonly self: readonly string[];
}

/** Runs the command line to its end; resolves to the exit code. */
export async function runProgram(args: readonly string[], options: ProgramOptions): Promise<number> {
  const program = createProgram(options).exitOverride();
  try {
    await program.parseAsync([...args], { from: 'user' });
    return Number(process.exitCode ?? 0); // a command may have set it
  } catch (error) {
    if (isCommanderExit(error)) return error.exitCode;
    const text =
      error instanceof UserError || isSystemError(error)
        ? error.message
        : ((error as Error).stack ?? String(error));
    process.stderr.write(`error: ${text}\n`);
    return 1;
  }
}

/** A file that is no directory, a full disk: the message names the file, and a stack would tell no more. */
function isSystemError(error: unknown): error is Error {
  return error instanceof Error && 'syscall' in error && 'path' in error;
}

function isCommanderExit(error: unknown): error is { readonly exitCode: number } {
  return (
    error instanceof Error &&
    'exitCode' in error &&
    String((error as { code?: string }).code).startsWith('commander.')
  );
}

export function defaultDataDir(): string {
  return process.getuid?.() === 0 ? '/var/lib/k8ts' : join(homedir(), '.local', 'share', 'k8ts');
}

function defaultKubeconfig(): string {
  // kubectl writes to the first file of the list.
  const [first] = (process.env['KUBECONFIG'] ?? '').split(process.platform === 'win32' ? ';' : ':');
  return first === undefined || first === '' ? join(homedir(), '.kube', 'config') : first;
}

function createProgram({ actions, version, clock, self }: ProgramOptions): Command {
  const program = new Command('k8ts')
    .description('Kubernetes, whole, in one program')
    .version(version, '--version', 'print the version')
    .helpCommand('help [command]', 'show the help of a command')
    .showHelpAfterError('(k8ts help shows what there is)');
  const dataDir = (): Option =>
    new Option('--data-dir <dir>', 'where the cluster keeps what it must not lose').default(defaultDataDir());

  const up = program
    .command('up')
    .description('start a cluster here and wait until it is ready; Ctrl-C stops it')
    .option('--detach', 'leave it running in the background', false)
    .addOption(dataDir())
    .option('--kubeconfig <file>', 'the kubeconfig that the cluster is added to', defaultKubeconfig())
    .option('--port <number>', 'port of the API server; 0 takes any that is free', portNumber, 6443)
    .option('--store <kind>', 'lmdb, memory, or the URLs of an etcd cluster', 'lmdb')
    .option('--no-node', 'do not run pods on this machine')
    .option('--node-name <name>', 'name of this machine in the cluster', hostname().toLowerCase())
    .addOption(
      new Option('--runtime <name>', 'what runs the containers of this machine')
        .choices(['auto', 'oci', 'simulated'])
        .default('auto'),
    )
    .option('--simulate <number>', 'simulated nodes besides', wholeNumber, 0)
    .option('--images <dir>', 'image archives to load')
    .option('--static-pods <dir>', 'manifests of pods that this machine runs whatever the API server says')
    .option(
      '--max-container-restart-period <seconds>',
      'how long a container that crashes again and again waits at most, 1 to 300',
      restartPeriod,
      300,
    )
    .option('--legacy-apis', 'serve the beta versions that older clients still ask for', false)
    .action(async (given: UpFlags, command: Command) => {
      const { detach, staticPods, ...flags } = given;
      const up: UpOptions = {
        ...flags,
        images: given.images,
        staticPodPath: staticPods,
        apiserverFlags: givenFlags(command, actions.apiserverFlags),
      };
      const progress = terminalProgress(process.stdout, clock);
      if (detach) {
        await startDetached(self, up, progress);
        return;
      }
      const signal = nextSignal();
      const interrupted = new AbortController();
      void signal.then((name) => interrupted.abort(new UserError(`stopped by ${name} while it started`)));
      let cluster: RunningCluster;
      try {
        cluster = await actions.up(up, progress, interrupted.signal);
        progress.end('done');
      } catch (error) {
        progress.end('failed');
        throw error;
      }
      process.stdout.write(nextSteps(up, cluster));
      process.send?.('ready');
      if ((await Promise.race([signal, cluster.ended])) !== undefined) process.stdout.write(`\n`);
      progress.step('stopping the cluster');
      await cluster.stop();
      progress.end('done');
    });

  addFlags(up, actions.apiserverFlags);

  program
    .command('down')
    .description('stop the cluster; its data stay')
    .addOption(dataDir())
    .action(async (options: { dataDir: string }) => {
      const progress = terminalProgress(process.stdout, clock);
      await actions.down(options, progress);
      progress.end('done');
    });

  program
    .command('status')
    .description('say whether the cluster runs and how it does')
    .addOption(dataDir())
    .action(async (options: { dataDir: string }) => {
      const status = await actions.status(options);
      process.stdout.write(statusText(status));
      if (status.state !== 'running') process.exitCode = 3; // as `systemctl status` does
    });

  program
    .command('reset')
    .description('stop the cluster and delete its data')
    .addOption(dataDir())
    .action(async (options: { dataDir: string }) => {
      const progress = terminalProgress(process.stdout, clock);
      await actions.reset(options, progress);
      progress.end('done');
    });

  program.addCommand(imageCommand(actions, dataDir));
  for (const component of actions.components) program.addCommand(componentCommand(component));
  return program;
}

interface UpFlags extends Omit<UpOptions, 'images' | 'staticPodPath'> {
  readonly detach: boolean;
  readonly images?: string;
  readonly staticPods?: string;
}

function imageCommand({ images }: ProgramActions, dataDir: () => Option): Command {
  const command = new Command('image').description('images of the embedded runtime');
  command
    .command('import <archive...>')
    .description('load images from docker or OCI archives')
    .addOption(dataDir())
    .action(async (archives: string[], options: { dataDir: string }) => {
      for (const archive of archives)
        for (const name of await images.import(options, archive)) process.stdout.write(`${name}\n`);
    });
  command
    .command('list')
    .alias('ls')
    .description('list the images')
    .addOption(dataDir())
    .action(async (options: { dataDir: string }) => {
      process.stdout.write(imageTable(await images.list(options)));
    });
  command
    .command('pull <image>')
    .description('load an image from its registry')
    .addOption(dataDir())
    .action(async (image: string, options: { dataDir: string }) => {
      process.stdout.write(`${await images.pull(options, image)}\n`);
    });
  command
    .command('tag <image> <tag>')
    .description('give an image another name')
    .addOption(dataDir())
    .action((image: string, tag: string, options: { dataDir: string }) => images.tag(options, image, tag));
  command
    .command('rm <image...>')
    .description('remove images')
    .addOption(dataDir())
    .action(async (names: string[], options: { dataDir: string }) => {
      for (const name of names) await images.remove(options, name);
    });
  return command;
}

function componentCommand(component: ComponentCommand): Command {
  const command = new Command(component.name).description(component.description);
  addFlags(command, component.flags);
  return command.action(async (_options: unknown, self: Command) => {
    const flags = givenFlags(self, component.flags);
    const controller = new AbortController();
    const stop = (): void => controller.abort(new Error('stopped'));
    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
    await component.run(flags, controller.signal);
  });
}

function addFlags(command: Command, flags: readonly ComponentFlag[]): void {
  for (const flag of flags) {
    const option = new Option(`--${flag.name} <value>`, flag.description);
    if (flag.default !== undefined) option.default(flag.default);
    if (flag.required === true) option.makeOptionMandatory();
    if (flag.repeatable === true)
      option.argParser((value: string, before?: string) =>
        before === undefined ? value : `${before}\n${value}`,
      );
    command.addOption(option);
  }
}

/** By their names; defaults count as given. */
function givenFlags(command: Command, flags: readonly ComponentFlag[]): Record<string, string> {
  return Object.fromEntries(
    flags.flatMap(({ name }) => {
      const value: unknown = command.getOptionValue(camelCase(name));
      return typeof value === 'string' ? [[name, value]] : [];
    }),
  );
}

function camelCase(flag: string): string {
  return flag.replace(/-(.)/g, (_match, letter: string) => letter.toUpperCase());
}

function portNumber(text: string): number {
  const port = wholeNumber(text);
  if (port > 65535) throw new InvalidArgumentError('A port is at most 65535.');
  return port;
}

function wholeNumber(text: string): number {
  if (!/^\d{1,7}$/.test(text)) throw new InvalidArgumentError('Not a whole number.');
  return Number(text);
}

function restartPeriod(text: string): number {
  const seconds = wholeNumber(text);
  if (seconds < 1 || seconds > 300) throw new InvalidArgumentError('It is 1 to 300 seconds.');
  return seconds;
}

/** The first one only: a person who sends a second does not want to wait for what the first began. */
function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.once(signal, () => resolve(signal));
  });
}

function nextSteps({ kubeconfig }: UpOptions, { server }: RunningCluster): string {
  return [
    '',
    `The cluster is ready at ${server}; the context "k8ts" in ${kubeconfig} is the current one. Now try:`,
    '',
    '    kubectl get nodes',
    '    kubectl apply -f examples/demo/demo.yaml',
    '    kubectl get pods --watch',
    '',
  ].join('\n');
}

function statusText({ state, pid, server, details }: ClusterStatus): string {
  const head =
    state === 'running'
      ? `running at ${server ?? '?'} (process ${String(pid)})`
      : state === 'stopped'
        ? 'stopped; `k8ts up` starts it again'
        : 'there is no cluster; `k8ts up` makes one';
  return [head, ...details.map((line) => `  ${line}`), ''].join('\n');
}

function imageTable(rows: readonly ImageRow[]): string {
  const lines = rows.flatMap(({ id, tags, size }) =>
    (tags.length === 0 ? ['<none>'] : tags).map((tag) => [
      tag,
      id.replace('sha256:', '').slice(0, 12),
      `${(size / 1e6).toFixed(1)} MB`,
    ]),
  );
  const all = [['IMAGE', 'ID', 'SIZE'], ...lines];
  const width = (column: number): number => Math.max(...all.map((line) => (line[column] ?? '').length));
  return `${all
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(width(i)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')}\n`;
}
