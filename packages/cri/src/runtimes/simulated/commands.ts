import type { ContainerConfig } from '../../contract.ts';
import type { SimulatedBehaviour } from './behaviour.ts';

export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
  /** Seconds the command takes. */
  readonly duration: number;
  /** Copies its standard input to its standard output (`cat`). */
  readonly copiesInput?: boolean;
  /** What readiness probes say from now on. */
  readonly ready?: boolean;
}

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Runs a command in a simulated container. There is no process and no file system: only the commands below are known,
 * and those given in the `exec` field of the behaviour. Anything else says so and ends with 127, as a shell would.
 */
export function simulateCommand(
  command: readonly string[],
  config: ContainerConfig,
  hostname: string,
  behaviour: SimulatedBehaviour,
): CommandResult {
  const answers = behaviour.exec;
  const line = command.join(' ');
  if (answers && Object.hasOwn(answers, line)) {
    const answer = answers[line];
    return {
      ...result(answer?.stdout ?? '', answer?.exitCode ?? 0, answer?.stderr ?? ''),
      ...(answer?.ready === undefined ? {} : { ready: answer.ready }),
    };
  }
  const [program = '', ...args] = command;
  const name = program.slice(program.lastIndexOf('/') + 1);
  switch (name) {
    case 'true':
      return result('');
    case 'false':
      return result('', 1);
    case 'echo':
      return args[0] === '-n' ? result(args.slice(1).join(' ')) : result(`${args.join(' ')}\n`);
    case 'hostname':
      return result(`${hostname}\n`);
    case 'pwd':
      return result(`${config.workingDir ?? '/'}\n`);
    case 'env':
    case 'printenv':
      return printEnvironment(args, config, hostname);
    case 'sleep':
      return { ...result(''), duration: Math.max(0, Number.parseFloat(args[0] ?? '0') || 0) };
    case 'cat':
      if (args.length === 0 || args[0] === '-') return { ...result(''), copiesInput: true };
      return result('', 1, `cat: ${args[0]}: a simulated container has no files\n`);
    case 'sh':
    case 'bash':
      return simulateShell(args, config, hostname, behaviour);
    default:
      return result('', 127, `${program}: a simulated container cannot run this\n`);
  }
}

function result(stdout: string, exitCode = 0, stderr = ''): CommandResult {
  return { stdout, stderr, exitCode, duration: 0 };
}

function printEnvironment(args: readonly string[], config: ContainerConfig, hostname: string): CommandResult {
  const environment = new Map([
    ['PATH', DEFAULT_PATH],
    ['HOSTNAME', hostname],
  ]);
  for (const { key, value } of config.envs) environment.set(key, value);
  const [wanted] = args;
  if (wanted !== undefined) {
    const value = environment.get(wanted);
    return value === undefined ? result('', 1) : result(`${value}\n`);
  }
  return result([...environment].map(([key, value]) => `${key}=${value}\n`).join(''));
}

/** `sh -c` of one simple command, or of `exit N`: no quoting, no variables, no pipes. */
function simulateShell(
  args: readonly string[],
  config: ContainerConfig,
  hostname: string,
  behaviour: SimulatedBehaviour,
): CommandResult {
  const [flag, script = ''] = args;
  if (flag !== '-c') return { ...result(''), copiesInput: true };
  if (/[|&;<>()$`\\"'*?[\]#~=%{}\n]/.test(script)) {
    return result('', 127, 'sh: a simulated container runs simple commands only\n');
  }
  const words = script
    .trim()
    .split(/\s+/)
    .filter((word) => word !== '');
  if (words[0] === 'exit') return result('', Number.parseInt(words[1] ?? '0', 10) & 255);
  if (words.length === 0) return result('');
  if (words[0] === 'sh' || words[0] === 'bash') return result('', 127, 'sh: too deep\n');
  return simulateCommand(words, config, hostname, behaviour);
}
