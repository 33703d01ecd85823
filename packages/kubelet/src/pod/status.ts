import type { ContainerStatus as RuntimeContainer } from '@k8ts/cri';

import {
  condition,
  containersReadyCondition,
  initializedCondition,
  KUBELET_CONDITIONS,
  readyCondition,
  readyToStartContainersCondition,
} from './conditions.ts';
import { type StartFailure, containerStatuses } from './container-statuses.ts';
import { podPhase } from './phase.ts';
import type { PodEnding } from './pod-ending.ts';
import { ephemeralAsContainer, isHostNetwork, isSidecar, isTerminalPhase } from './pod-spec.ts';
import { podQos } from './qos.ts';
import { resizeOf } from './resize.ts';
import { findStatus, isRunning, podIps, type PodRuntimeState } from './runtime-state.ts';
import type { ApiContainerStatus, Container, Pod, PodCondition, PodStatus } from './types.ts';

/** The probes' part in a status: whether a running container has started and is ready. */
export interface ProbeReadiness {
  /** The startup probe has succeeded, or there is none. */
  started(container: Container, containerId: string): boolean;
  /** The readiness probe succeeds, or there is none. */
  ready(container: Container, containerId: string): boolean;
}

export interface PodStatusInput {
  readonly pod: Pod;
  readonly state: PodRuntimeState;
  /** The status made before, or the API's after a start of the kubelet. */
  readonly previous: PodStatus;
  readonly failures: ReadonlyMap<string, StartFailure>;
  readonly readiness: ProbeReadiness;
  readonly runtimeName: string;
  readonly hostIps: readonly string[];
  /** Nothing of the pod runs again. */
  readonly terminal: boolean;
  /** The kubelet ends the pod: evicted, over its deadline, not admitted. */
  readonly ended?: PodEnding | undefined;
  readonly resizePending?: PodCondition | undefined;
  /** What a container was last resized to, see `resourceKey`. */
  readonly resized?: (containerId: string) => string | undefined;
}

/**
 * A pod's status as it should be in the API, from what runs; conditions have no times yet. Pure. Rules and texts:
 * generateAPIPodStatus in pkg/kubelet/kubelet_pods.go.
 */
export function podStatus(input: PodStatusInput): PodStatus {
  const { pod, previous, state } = input;
  const { init, regular, ephemeral, all } = statusesOf(input);

  let phase: NonNullable<PodStatus['phase']> = podPhase({
    pod,
    statuses: all,
    terminal: input.terminal,
    initialized: hasAnyActiveRegularContainerStarted(pod, state),
  });
  if (!isTerminalPhase(phase)) {
    if (isTerminalPhase(previous.phase)) phase = previous.phase as NonNullable<PodStatus['phase']>;
    else if (isTerminalPhase(pod.status?.phase)) phase = pod.status?.phase as NonNullable<PodStatus['phase']>;
  }
  let reason = '';
  let message = '';
  if (phase === previous.phase) {
    reason = previous.reason ?? pod.status?.reason ?? '';
    message = previous.message ?? pod.status?.message ?? '';
  }
  if (input.ended !== undefined) {
    phase = 'Failed';
    ({ reason, message } = input.ended);
  }
  // What the API shows as ended stays ended.
  if (isTerminalPhase(pod.status?.phase)) phase = pod.status?.phase as NonNullable<PodStatus['phase']>;

  const conditions = conditionsOf(input, all, phase);
  const ips = isHostNetwork(pod)
    ? (previous.podIPs?.map(({ ip }) => ip) ?? input.hostIps)
    : podIps(state).length > 0
      ? podIps(state)
      : [];
  return {
    ...(pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
    phase,
    conditions,
    ...(message === '' ? {} : { message }),
    ...(reason === '' ? {} : { reason }),
    ...(input.hostIps[0] === undefined
      ? {}
      : { hostIP: input.hostIps[0], hostIPs: input.hostIps.map((ip) => ({ ip })) }),
    ...(ips[0] === undefined ? {} : { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) }),
    ...(previous.startTime === undefined ? {} : { startTime: previous.startTime }),
    ...(init.length === 0 ? {} : { initContainerStatuses: init }),
    containerStatuses: regular,
    qosClass: podQos(pod),
    ...(ephemeral.length === 0 ? {} : { ephemeralContainerStatuses: ephemeral }),
  };
}

interface Statuses {
  readonly init: ApiContainerStatus[];
  readonly regular: ApiContainerStatus[];
  readonly ephemeral: ApiContainerStatus[];
  /** Init and ordinary ones by name. */
  readonly all: ReadonlyMap<string, ApiContainerStatus>;
}

function statusesOf(input: PodStatusInput): Statuses {
  const { pod, previous } = input;
  const common = {
    pod,
    state: input.state,
    failures: input.failures,
    runtimeName: input.runtimeName,
    isResizing: (container: Container, status: RuntimeContainer) => isResizing(input, container, status),
  };
  const initContainers = pod.spec.initContainers ?? [];
  const init = containerStatuses({
    ...common,
    containers: initContainers,
    init: true,
    previous: previous.initContainerStatuses ?? [],
  }).map((status) => withInitReadiness(input, initContainers, status));
  const regular = containerStatuses({
    ...common,
    containers: pod.spec.containers,
    init: false,
    previous: previous.containerStatuses ?? [],
  }).map((status) => {
    const container = pod.spec.containers.find(({ name }) => name === status.name) as Container;
    return withReadiness(input, container, status);
  });
  const ephemeral = containerStatuses({
    ...common,
    containers: (pod.spec.ephemeralContainers ?? []).map(ephemeralAsContainer),
    init: false,
    previous: previous.ephemeralContainerStatuses ?? [],
  });
  return {
    init,
    regular,
    ephemeral,
    all: new Map([...init, ...regular].map((status) => [status.name, status])),
  };
}

/** It runs, and has not got what was allocated to it. */
function isResizing(
  { pod, resized }: PodStatusInput,
  container: Container,
  status: RuntimeContainer | undefined,
): boolean {
  if (status === undefined || !isRunning(status)) return false;
  return resizeOf(pod, container, status, resized?.(status.id)) !== undefined;
}

/** pkg/kubelet/prober: UpdatePodStatus. */
function withReadiness(
  { readiness }: PodStatusInput,
  container: Container,
  status: ApiContainerStatus,
): ApiContainerStatus {
  if (status.state?.running === undefined) return { ...status, ready: false, started: false };
  const id = bareId(status.containerID);
  const started = readiness.started(container, id);
  return { ...status, started, ready: started && readiness.ready(container, id) };
}

function withInitReadiness(
  input: PodStatusInput,
  initContainers: readonly Container[],
  status: ApiContainerStatus,
): ApiContainerStatus {
  const container = initContainers.find(({ name }) => name === status.name);
  if (container !== undefined && isSidecar(container)) return withReadiness(input, container, status);
  const { terminated, running } = status.state ?? {};
  return { ...status, started: running !== undefined, ready: terminated?.exitCode === 0 };
}

/** The id without the runtime's name before it. */
export function bareId(containerID: string | undefined): string {
  const text = containerID ?? '';
  const at = text.indexOf('://');
  return at < 0 ? text : text.slice(at + 3);
}

function conditionsOf(
  input: PodStatusInput,
  statuses: ReadonlyMap<string, ApiContainerStatus>,
  phase: string,
): PodCondition[] {
  const { pod, state, previous, ended } = input;
  const conditions = (pod.status?.conditions ?? []).filter(({ type }) => !KUBELET_CONDITIONS.has(type));
  const disruption = ended?.condition ?? previous.conditions?.find(({ type }) => type === 'DisruptionTarget');
  if (disruption !== undefined) {
    const at = conditions.findIndex(({ type }) => type === disruption.type);
    if (at >= 0) conditions[at] = disruption;
    else conditions.push(disruption);
  }
  if (input.resizePending !== undefined) conditions.push(input.resizePending);
  if (
    pod.spec.containers.some((container) => isResizing(input, container, findStatus(state, container.name)))
  )
    conditions.push(condition(pod, 'PodResizeInProgress', true));
  const containersReady = containersReadyCondition(pod, statuses, phase);
  conditions.push(
    readyToStartContainersCondition(pod, state),
    initializedCondition(pod, statuses, phase),
    readyCondition(pod, containersReady, conditions),
    containersReady,
    condition(pod, 'PodScheduled', true),
  );
  return conditions;
}

function hasAnyActiveRegularContainerStarted(pod: Pod, state: PodRuntimeState): boolean {
  const sandbox = state.sandboxes[0];
  if (sandbox === undefined) return false;
  return pod.spec.containers.some(({ name }) =>
    state.containers.some(
      (container) =>
        container.metadata.name === name &&
        container.sandboxId === sandbox.id &&
        (container.state === 'CONTAINER_RUNNING' || container.state === 'CONTAINER_EXITED'),
    ),
  );
}
