import { isSidecar } from './pod-spec.ts';
import { type PodRuntimeState, sandboxVerdict } from './runtime-state.ts';
import type { ApiContainerStatus, Pod, PodCondition } from './types.ts';

/** The conditions of a pod that the kubelet owns; those of others are carried over untouched. */
export const KUBELET_CONDITIONS: ReadonlySet<string> = new Set([
  'PodScheduled',
  'Ready',
  'Initialized',
  'ContainersReady',
  'PodReadyToStartContainers',
  'PodResizePending',
  'PodResizeInProgress',
]);

/** A condition before the status manager has given it its times. Empty texts are left out. */
export function condition(pod: Pod, type: string, status: boolean, reason = '', message = ''): PodCondition {
  return {
    type,
    status: status ? 'True' : 'False',
    ...(pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
    ...(reason === '' ? {} : { reason }),
    ...(message === '' ? {} : { message }),
  };
}

/** Go's `%s` of a list of strings: `[a b]`. */
function goList(names: readonly string[]): string {
  return `[${names.join(' ')}]`;
}

type Statuses = ReadonlyMap<string, ApiContainerStatus>;

/** Texts and rules of this and the next three: pkg/kubelet/status/generate.go. */
export function containersReadyCondition(pod: Pod, statuses: Statuses, phase: string): PodCondition {
  const type = 'ContainersReady';
  const unknown: string[] = [];
  const unready: string[] = [];
  const counted = [...(pod.spec.initContainers ?? []).filter(isSidecar), ...pod.spec.containers];
  for (const { name } of counted) {
    const status = statuses.get(name);
    if (status === undefined) unknown.push(name);
    else if (!status.ready) unready.push(name);
  }
  if (phase === 'Succeeded' && unknown.length === 0) return condition(pod, type, false, 'PodCompleted');
  if (phase === 'Failed') return condition(pod, type, false, 'PodFailed');
  const messages = [
    ...(unknown.length > 0 ? [`containers with unknown status: ${goList(unknown)}`] : []),
    ...(unready.length > 0 ? [`containers with unready status: ${goList(unready)}`] : []),
  ];
  return messages.length > 0
    ? condition(pod, type, false, 'ContainersNotReady', messages.join(', '))
    : condition(pod, type, true);
}

/** `conditions` are those set so far; readiness gates are looked up in them. */
export function readyCondition(
  pod: Pod,
  containersReady: PodCondition,
  conditions: readonly PodCondition[],
): PodCondition {
  if (containersReady.status !== 'True') return { ...containersReady, type: 'Ready' };
  const messages: string[] = [];
  for (const { conditionType } of pod.spec.readinessGates ?? []) {
    const gate = conditions.find(({ type }) => type === conditionType);
    if (gate === undefined)
      messages.push(`corresponding condition of pod readiness gate "${conditionType}" does not exist.`);
    else if (gate.status !== 'True')
      messages.push(`the status of pod readiness gate "${conditionType}" is not "True", but ${gate.status}`);
  }
  return messages.length > 0
    ? condition(pod, 'Ready', false, 'ReadinessGatesNotReady', messages.join(', '))
    : condition(pod, 'Ready', true);
}

export function initializedCondition(pod: Pod, statuses: Statuses, phase: string): PodCondition {
  const type = 'Initialized';
  const unknown: string[] = [];
  const incomplete: string[] = [];
  for (const container of pod.spec.initContainers ?? []) {
    const status = statuses.get(container.name);
    if (status === undefined) unknown.push(container.name);
    else if (isSidecar(container) ? status.started !== true : !status.ready) incomplete.push(container.name);
  }
  if (phase === 'Succeeded' && unknown.length === 0) return condition(pod, type, true, 'PodCompleted');
  // Sidecars may restart later; that does not undo the initialization.
  if (hasAnyRegularContainerStarted(pod, statuses)) return condition(pod, type, true);
  const messages = [
    ...(unknown.length > 0 ? [`containers with unknown status: ${goList(unknown)}`] : []),
    ...(incomplete.length > 0 ? [`containers with incomplete status: ${goList(incomplete)}`] : []),
  ];
  return messages.length > 0
    ? condition(pod, type, false, 'ContainersNotInitialized', messages.join(', '))
    : condition(pod, type, true);
}

export function readyToStartContainersCondition(pod: Pod, state: PodRuntimeState): PodCondition {
  return condition(pod, 'PodReadyToStartContainers', !sandboxVerdict(pod, state).changed);
}

function hasAnyRegularContainerStarted(pod: Pod, statuses: Statuses): boolean {
  return pod.spec.containers.some(({ name }) => {
    const status = statuses.get(name);
    return (
      status?.started === true ||
      status?.state?.terminated !== undefined ||
      status?.lastState?.terminated !== undefined
    );
  });
}
