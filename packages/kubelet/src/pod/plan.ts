import type { ContainerStatus } from '@k8ts/cri';

import type { BackOff } from './back-off.ts';
import { containerHash, containerMarks } from './labels.ts';
import {
  containerShouldRestart,
  type ContainerKind,
  ephemeralAsContainer,
  isSidecar,
  podUid,
  restartPolicy,
} from './pod-spec.ts';
import { type Resize, resizeOf } from './resize.ts';
import {
  findStatus,
  hasAnyRegularContainerCreated,
  type PodRuntimeState,
  sandboxVerdict,
  shouldBeRestarted,
} from './runtime-state.ts';
import type { Container, Pod } from './types.ts';

/** What the probes say of a running container; undefined where there is no probe or no verdict yet. */
export interface ProbeVerdicts {
  liveness(containerId: string): ProbeVerdict | undefined;
  startup(containerId: string): ProbeVerdict | undefined;
}
export type ProbeVerdict = 'Success' | 'Failure' | 'Unknown';

export interface PlanInput {
  readonly pod: Pod;
  readonly state: PodRuntimeState;
  readonly probes: ProbeVerdicts;
  readonly backOff: BackOff;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** What a container was last resized to, see `resourceKey`. */
  readonly resized: (containerId: string) => string | undefined;
}

/** What is to be done for a pod that should run, in the order of the fields. */
export interface PodPlan {
  /** Kill what runs and the sandbox: it is replaced, or nothing of the pod will run again. */
  readonly killPod: boolean;
  readonly containersToKill: readonly ContainerToKill[];
  /** Those that get other limits while they run. */
  readonly containersToResize: readonly Resize[];
  readonly createSandbox: boolean;
  /** The sandbox there is; empty for none. */
  readonly sandboxId: string;
  /** Of the sandbox. */
  readonly attempt: number;
  readonly containersToStart: readonly ContainerToStart[];
  /** Those that wait for their back-off to end. */
  readonly backingOff: readonly ContainerInBackOff[];
}

export interface ContainerToStart {
  readonly kind: ContainerKind;
  readonly container: Container;
  readonly restartCount: number;
  /** When the run before ended; undefined for the first. Milliseconds since the epoch. */
  readonly lastFinishedAt: number | undefined;
}

interface ContainerInBackOff extends ContainerToStart {
  /** Milliseconds left, and the whole wait. */
  readonly remaining: number;
  readonly delay: number;
}

export interface ContainerToKill {
  readonly status: ContainerStatus;
  readonly container: Container;
  readonly message: string;
  /** Which probe's own grace period applies. */
  readonly reason: 'StartupProbe' | 'LivenessProbe' | 'Unknown' | '';
}

/** Names a container's back-off: it starts anew when the container changes. */
export function backOffKey(pod: Pod, container: Container): string {
  return `${podUid(pod)}/${container.name}/${containerHash(container)}`;
}

interface Draft {
  killPod: boolean;
  createSandbox: boolean;
  readonly kill: ContainerToKill[];
  readonly resize: Resize[];
  initToStart: number[];
  readonly containersToStart: number[];
  readonly ephemeralToStart: number[];
}

/**
 * Compares a pod with what runs of it. Pure: the same input gives the same plan. The rules are those of
 * computePodActions, computeInitContainerActions and doBackOff in pkg/kubelet/kuberuntime.
 */
export function planPod(input: PlanInput): PodPlan {
  const { pod, state } = input;
  const verdict = sandboxVerdict(pod, state);
  const draft: Draft = {
    killPod: verdict.changed,
    createSandbox: verdict.changed,
    kill: [],
    resize: [],
    initToStart: [],
    containersToStart: [],
    ephemeralToStart: [],
  };
  if (verdict.changed) draftNewSandbox(input, verdict.attempt, draft);
  else draftExistingSandbox(input, draft);
  return finish(input, draft, verdict.attempt, verdict.sandboxId);
}

function draftNewSandbox({ pod, state }: PlanInput, attempt: number, draft: Draft): void {
  const spec = pod.spec;
  // Never: what ran in the lost sandbox is not run a second time.
  if (restartPolicy(pod) === 'Never' && attempt !== 0 && state.containers.length > 0) {
    draft.createSandbox = false;
    return;
  }
  const toStart = spec.containers.flatMap((container, index) =>
    restartPolicy(pod) === 'OnFailure' && hasSucceeded(findStatus(state, container.name)) ? [] : [index],
  );
  if (toStart.length === 0 && hasAnyRegularContainerCreated(pod, state)) {
    draft.createSandbox = false;
    return;
  }
  if ((spec.initContainers ?? []).length > 0) draft.initToStart = [0];
  else draft.containersToStart.push(...toStart);
}

function draftExistingSandbox(input: PlanInput, draft: Draft): void {
  const { pod, state } = input;
  const spec = pod.spec;
  // They may look at a pod whose initialization hangs, and are never run twice.
  for (const [index, ephemeral] of (spec.ephemeralContainers ?? []).entries())
    if (findStatus(state, ephemeral.name) === undefined) draft.ephemeralToStart.push(index);

  const initialized = draftInitContainers(input, draft);
  if (draft.killPod || !initialized) return;

  let keep = 0;
  for (const [index, container] of spec.containers.entries()) {
    const status = findStatus(state, container.name);
    if (status === undefined || status.state !== 'CONTAINER_RUNNING') {
      if (!shouldBeRestarted(container, pod, state)) continue;
      draft.containersToStart.push(index);
      if (status?.state === 'CONTAINER_UNKNOWN') draft.kill.push(killUnknown(container, status, 'Container'));
      continue;
    }
    const wrong = whatIsWrong(input, container, status);
    if (wrong === undefined) {
      const resize = resizeOf(pod, container, status, input.resized(status.id));
      if (resize !== undefined) draft.resize.push(resize);
      keep++;
      continue;
    }
    const restart = wrong.reason === '' || containerShouldRestart(container, pod, KILLED_EXIT_CODE);
    if (restart) draft.containersToStart.push(index);
    draft.kill.push({
      status,
      container,
      message: restart ? `${wrong.message}, will be restarted` : wrong.message,
      reason: wrong.reason,
    });
  }
  if (keep === 0 && draft.containersToStart.length === 0) {
    draft.killPod = true;
    draft.initToStart = []; // sidecars do not keep a pod alive
  }
}

/** A container that its probe condemned ends by a signal. */
const KILLED_EXIT_CODE = 137;

function whatIsWrong(
  { pod, probes, resized }: PlanInput,
  container: Container,
  status: ContainerStatus,
): { message: string; reason: ContainerToKill['reason'] } | undefined {
  if (hasChanged(container, status))
    return { message: `Container ${container.name} definition changed`, reason: '' };
  if (probes.liveness(status.id) === 'Failure')
    return { message: `Container ${container.name} failed liveness probe`, reason: 'LivenessProbe' };
  if (probes.startup(status.id) === 'Failure')
    return { message: `Container ${container.name} failed startup probe`, reason: 'StartupProbe' };
  if (resizeOf(pod, container, status, resized(status.id))?.restart === true)
    return { message: `Container ${container.name} resize requires restart`, reason: '' };
  return undefined;
}

/** Drafts starts and kills of init containers and sidecars; true when the ordinary containers may run. */
function draftInitContainers(input: PlanInput, draft: Draft): boolean {
  const { pod, state } = input;
  const initContainers = pod.spec.initContainers ?? [];
  if (initContainers.length === 0) return true;

  // An ordinary container that is there proves that initialization was done once; finished init containers may have been
  // removed since and must not run again.
  let initialized = pod.spec.containers.some(({ name }) => {
    const status = findStatus(state, name)?.state;
    return status === 'CONTAINER_CREATED' || status === 'CONTAINER_RUNNING';
  });
  let passed = initialized; // everything up to the one looked at has been initialized
  const starts: number[] = []; // in reverse order

  for (let index = initContainers.length - 1; index >= 0; index--) {
    const container = initContainers[index] as Container;
    const sidecar = isSidecar(container);
    const status = findStatus(state, container.name);
    if (status === undefined) {
      if (passed && sidecar) starts.push(index);
      continue;
    }
    if (passed && !sidecar) continue;
    const wasPassed = passed;
    passed = true;

    const proceed = (): void => {
      if (index === initContainers.length - 1) initialized = true;
      else if (!wasPassed) starts.push(index + 1);
    };
    switch (status.state) {
      case 'CONTAINER_CREATED':
        starts.push(index); // the runtime failed to start it
        break;
      case 'CONTAINER_RUNNING':
        if (sidecar) draftRunningSidecar(input, draft, container, status, proceed, () => starts.push(index));
        break;
      case 'CONTAINER_EXITED':
        if (sidecar) {
          starts.push(index);
        } else if (status.exitCode === 0) {
          proceed();
        } else if (containerShouldRestart(container, pod, status.exitCode)) {
          starts.push(index);
        } else {
          draft.killPod = true;
          draft.initToStart = [];
          return false;
        }
        break;
      default:
        if (!sidecar && restartPolicy(pod) === 'Never') {
          draft.killPod = true;
          draft.initToStart = [];
          return false;
        }
        draft.kill.push(killUnknown(container, status, 'Init container'));
        starts.push(index);
    }
  }
  if (!passed) starts.push(0);
  draft.initToStart = starts.reverse();
  return initialized;
}

function draftRunningSidecar(
  input: PlanInput,
  draft: Draft,
  container: Container,
  status: ContainerStatus,
  proceed: () => void,
  restart: () => void,
): void {
  const kill = (message: string, reason: ContainerToKill['reason']): void => {
    draft.kill.push({ status, container, message: `Init container ${container.name} ${message}`, reason });
    restart();
  };
  if (container.startupProbe !== undefined) {
    const startup = input.probes.startup(status.id);
    if (startup === 'Failure') kill('failed startup probe', 'StartupProbe');
    if (startup !== 'Success') return;
  }
  proceed();
  if (hasChanged(container, status)) kill('definition changed', '');
  else if (container.livenessProbe !== undefined && input.probes.liveness(status.id) === 'Failure')
    kill('failed liveness probe', 'LivenessProbe');
}

/** Splits what is to start into what may start now and what waits for its back-off. */
function finish(input: PlanInput, draft: Draft, attempt: number, sandboxId: string): PodPlan {
  const { pod, state, backOff, now } = input;
  const spec = pod.spec;
  const starts: ContainerToStart[] = [];
  const backingOff: ContainerInBackOff[] = [];
  const consider = (kind: ContainerKind, container: Container): boolean => {
    const last = findStatus(state, container.name);
    const restartCount =
      last === undefined ? 0 : containerMarks(last.annotations, last.metadata.attempt).restartCount + 1;
    const exited = state.containers.find(
      ({ metadata, state: current }) => metadata.name === container.name && current === 'CONTAINER_EXITED',
    );
    const start: ContainerToStart = { kind, container, restartCount, lastFinishedAt: exited?.finishedAt };
    const key = backOffKey(pod, container);
    const remaining = exited === undefined ? undefined : backOff.remaining(key, exited.finishedAt, now);
    if (remaining === undefined) starts.push(start);
    else backingOff.push({ ...start, remaining, delay: backOff.delay(key) });
    return remaining === undefined;
  };
  for (const index of draft.ephemeralToStart) {
    const ephemeral = spec.ephemeralContainers?.[index];
    if (ephemeral !== undefined) consider('ephemeral', ephemeralAsContainer(ephemeral));
  }
  let blocked = false;
  for (const index of draft.initToStart) {
    const container = spec.initContainers?.[index];
    if (container === undefined) continue;
    // What comes after an init container that cannot start waits; a sidecar in back-off holds nothing up.
    if (!consider('init', container) && !isSidecar(container)) {
      blocked = true;
      break;
    }
  }
  if (!blocked)
    for (const index of draft.containersToStart) consider('container', spec.containers[index] as Container);
  return {
    killPod: draft.killPod,
    containersToKill: draft.kill,
    containersToResize: draft.resize,
    createSandbox: draft.createSandbox,
    sandboxId,
    attempt,
    containersToStart: starts,
    backingOff,
  };
}

function hasSucceeded(status: ContainerStatus | undefined): boolean {
  return status?.state === 'CONTAINER_EXITED' && status.exitCode === 0;
}

function hasChanged(container: Container, status: ContainerStatus): boolean {
  const { hash } = containerMarks(status.annotations, status.metadata.attempt);
  return hash !== '' && hash !== containerHash(container);
}

const STATE_WORDS: Readonly<Record<string, string>> = { CONTAINER_UNKNOWN: 'unknown' };

function killUnknown(container: Container, status: ContainerStatus, what: string): ContainerToKill {
  const word = STATE_WORDS[status.state] ?? status.state;
  return {
    status,
    container,
    message: `${what} is in "${word}" state, try killing it before restart`,
    reason: 'Unknown',
  };
}
