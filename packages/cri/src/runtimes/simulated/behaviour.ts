import type { ContainerConfig, Labels } from '../../contract.ts';

/** On a pod: how its simulated containers behave, as JSON (see `SimulatedBehaviour`). */
export const SIMULATE_ANNOTATION = 'k8ts.io/simulate';

/**
 * What a simulated container does. Times are seconds; absent values: it starts at once, is ready at once, runs for ever,
 * writes nothing, and ends with code 0 as soon as it is asked to.
 *
 *     k8ts.io/simulate: '{"exitAfter": 5, "exitCode": 1, "containers": {"sidecar": {"exitAfter": null}}}'
 */
export interface SimulatedBehaviour {
  /** How long starting takes. */
  readonly startDelay?: number | null;
  /** Starting fails with this text (reason `StartError`, code 128). */
  readonly startError?: string | null;
  /** Ends by itself this long after its start. */
  readonly exitAfter?: number | null;
  readonly exitCode?: number | null;
  /** Ended by itself, it was killed by the memory limit: reason `OOMKilled`, code 137. */
  readonly oomKilled?: boolean | null;
  /** Only the first so many attempts end by themselves (`exitAfter`) or fail to start; later ones run on. */
  readonly times?: number | null;
  /** Readiness and startup probes fail until this long after the start. */
  readonly readyAfter?: number | null;
  /** Liveness probes fail from this long after the start. */
  readonly aliveFor?: number | null;
  /** How long it takes to end after the stop signal; `"never"`: until it is killed. */
  readonly stopAfter?: number | 'never' | null;
  /** The code it ends with after the stop signal. */
  readonly stopExitCode?: number | null;
  /** Lines written to standard output at the start. */
  readonly log?: readonly string[] | null;
  /** A line written again and again. */
  readonly logEvery?: { readonly seconds: number; readonly line: string } | null;
  /** Processor use, in cores. */
  readonly cpu?: number | null;
  /** Memory use, in bytes. */
  readonly memory?: number | null;
  /** Answers to commands, by the command line joined by spaces. */
  readonly exec?: Readonly<Record<string, SimulatedAnswer>> | null;
  /** By container name, over the values of the pod. */
  readonly containers?: Readonly<Record<string, SimulatedBehaviour>> | null;
  /** The first that applies to a container goes over all other values. */
  readonly cases?: readonly SimulatedCase[] | null;
}

/**
 * What a container does in some attempts, or with some environment: the pods of a Job have one template and differ by these.
 *
 *     {"exitAfter": 1, "cases": [{"attempt": 0, "exitCode": 1}, {"env": {"JOB_COMPLETION_INDEX": "3"}, "exitCode": 2}]}
 */
interface SimulatedCase extends Omit<SimulatedBehaviour, 'containers' | 'cases'> {
  /** The number of the attempt within the pod, from 0. Absent: any. */
  readonly attempt?: number;
  /** Variables that have these values. Absent: any. */
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * What a command writes, ends with and brings about.
 *
 *     {"exec": {"rm /tmp/ready": {"ready": false}, "touch /tmp/ready": {"ready": true}}}
 */
interface SimulatedAnswer {
  readonly stdout?: string;
  readonly stderr?: string;
  readonly exitCode?: number;
  /** From then on the container's readiness probes fail (false) or succeed (true), whatever `readyAfter` says. */
  readonly ready?: boolean;
}

const RUNS_FOR_EVER: SimulatedBehaviour = {};

type FieldCheck = (value: unknown) => boolean;
const MAX_SECONDS = 10 * 365 * 24 * 3600;
const isSeconds: FieldCheck = (value) => typeof value === 'number' && value >= 0 && value <= MAX_SECONDS;
const isExitCode: FieldCheck = (value) =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 255;
const isText: FieldCheck = (value) => typeof value === 'string';
const isAmount: FieldCheck = (value) =>
  typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER;
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const FIELDS: Readonly<Record<string, readonly [expected: string, check: FieldCheck]>> = {
  startDelay: ['seconds', isSeconds],
  startError: ['a text', isText],
  exitAfter: ['seconds', isSeconds],
  exitCode: ['a number from 0 to 255', isExitCode],
  oomKilled: ['true or false', (value) => typeof value === 'boolean'],
  times: ['a number', isAmount],
  readyAfter: ['seconds', isSeconds],
  aliveFor: ['seconds', isSeconds],
  stopAfter: ['seconds or "never"', (value) => value === 'never' || isSeconds(value)],
  stopExitCode: ['a number from 0 to 255', isExitCode],
  log: ['a list of texts', (value) => Array.isArray(value) && value.every(isText)],
  logEvery: [
    '{"seconds": at least 0.001, "line": text}',
    (value) =>
      isRecord(value) &&
      isSeconds(value['seconds']) &&
      Number(value['seconds']) >= 0.001 &&
      isText(value['line']),
  ],
  cpu: ['cores', isAmount],
  memory: ['bytes', isAmount],
  exec: [
    'an object of {stdout, stderr, exitCode, ready}',
    (value) => isRecord(value) && Object.values(value).every(isAnswer),
  ],
};

function isAnswer(value: unknown): boolean {
  return (
    isRecord(value) &&
    (value['stdout'] === undefined || isText(value['stdout'])) &&
    (value['stderr'] === undefined || isText(value['stderr'])) &&
    (value['exitCode'] === undefined || isExitCode(value['exitCode'])) &&
    (value['ready'] === undefined || typeof value['ready'] === 'boolean')
  );
}

/** The behaviour of one container of a pod. Throws an `Error` that names the wrong field. */
export function simulatedBehaviour(
  annotations: Labels,
  { metadata, envs }: Pick<ContainerConfig, 'metadata' | 'envs'>,
): SimulatedBehaviour {
  const text = annotations[SIMULATE_ANNOTATION];
  if (text === undefined) return RUNS_FOR_EVER;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new Error(`annotation ${SIMULATE_ANNOTATION} is not JSON: ${(error as Error).message}`, {
      cause: error,
    });
  }
  const { containers, cases, ...shared } = checkFields(parsed, '');
  const special = cases?.find(
    ({ attempt, env = {} }) =>
      (attempt === undefined || attempt === metadata.attempt) &&
      Object.entries(env).every(([key, value]) =>
        envs.some((variable) => variable.key === key && variable.value === value),
      ),
  );
  const { attempt: _attempt, env: _env, ...over } = special ?? {};
  return { ...shared, ...containers?.[metadata.name], ...over };
}

function checkFields(value: unknown, path: string): SimulatedBehaviour {
  if (!isRecord(value)) throw new Error(`annotation ${SIMULATE_ANNOTATION}${path} is not an object`);
  for (const [name, field] of Object.entries(value)) {
    if (field === null) continue;
    if (name === 'containers' && path === '') {
      if (!isRecord(field)) throw new Error(`annotation ${SIMULATE_ANNOTATION}.containers is not an object`);
      for (const [container, own] of Object.entries(field)) checkFields(own, `.containers.${container}`);
      continue;
    }
    if (name === 'cases' && path === '') {
      if (!Array.isArray(field)) throw new Error(`annotation ${SIMULATE_ANNOTATION}.cases is not a list`);
      for (const [index, own] of field.entries()) checkCase(own, `.cases[${index}]`);
      continue;
    }
    const rule = FIELDS[name];
    if (rule === undefined || !Object.hasOwn(FIELDS, name)) {
      throw new Error(`annotation ${SIMULATE_ANNOTATION}${path} has an unknown field "${name}"`);
    }
    if (!rule[1](field)) {
      throw new Error(`annotation ${SIMULATE_ANNOTATION}${path}.${name} must be ${rule[0]}`);
    }
  }
  return value;
}

function checkCase(value: unknown, path: string): void {
  if (!isRecord(value)) throw new Error(`annotation ${SIMULATE_ANNOTATION}${path} is not an object`);
  const { attempt = 0, env = {}, ...behaviour } = value;
  if (!isAmount(attempt))
    throw new Error(`annotation ${SIMULATE_ANNOTATION}${path}.attempt must be a number`);
  if (!isRecord(env) || !Object.values(env).every(isText))
    throw new Error(`annotation ${SIMULATE_ANNOTATION}${path}.env must be an object of texts`);
  checkFields(behaviour, path);
}
