import { containerShouldRestart, isSidecar, isStaticPod } from './pod-spec.ts';
import type { ApiContainerStatus, Pod, PodPhase } from './types.ts';

export interface PhaseInput {
  readonly pod: Pod;
  readonly statuses: ReadonlyMap<string, ApiContainerStatus>;
  /** The kubelet has decided that nothing of the pod runs again. */
  readonly terminal: boolean;
  /** Ordinary containers have run before, so restarting sidecars do not make the pod Pending again. */
  readonly initialized: boolean;
}

/** Counts the containers and derives the phase: getPhase in pkg/kubelet/kubelet_pods.go. */
export function podPhase({ pod, statuses, terminal, initialized }: PhaseInput): PodPhase {
  let pendingInit = 0;
  let pendingSidecars = 0;
  let failedForGood = 0;
  let unknown = 0;
  let running = 0;
  let waiting = 0;
  let stopped = 0;
  let stoppedForGood = 0;
  let succeeded = 0;

  for (const container of pod.spec.initContainers ?? []) {
    const status = statuses.get(container.name);
    if (isSidecar(container)) {
      if (status?.state?.running !== undefined) {
        running++;
        if (status.started !== true) pendingSidecars++;
      } else if (status === undefined) {
        unknown++;
      } else if (status.state?.waiting !== undefined && status.lastState?.terminated === undefined) {
        pendingSidecars++;
        waiting++;
      }
      continue;
    }
    const ended = status?.state?.terminated ?? (status?.state?.waiting && status.lastState?.terminated);
    if (ended === undefined) pendingInit++;
    else if (ended.exitCode !== 0 && !containerShouldRestart(container, pod, ended.exitCode)) failedForGood++;
  }

  for (const container of pod.spec.containers) {
    const status = statuses.get(container.name);
    const state = status?.state;
    const before = state?.waiting === undefined ? undefined : status?.lastState?.terminated;
    const ended = state?.terminated ?? before;
    if (state?.running !== undefined) {
      running++;
    } else if (ended !== undefined) {
      stopped++;
      if (!containerShouldRestart(container, pod, ended.exitCode)) stoppedForGood++;
      if (state?.terminated?.exitCode === 0) succeeded++;
    } else if (state?.waiting !== undefined) {
      waiting++;
    } else {
      unknown++;
    }
  }

  if (failedForGood > 0) return 'Failed';
  if (pendingInit > 0 || (pendingSidecars > 0 && !initialized) || waiting > 0) return 'Pending';
  if (running > 0 && unknown === 0) return 'Running';
  if (running === 0 && stopped > 0 && unknown === 0) {
    const ending: PodPhase = stopped === succeeded ? 'Succeeded' : 'Failed';
    if (terminal && !isStaticPod(pod)) return ending;
    return stopped === stoppedForGood ? ending : 'Running';
  }
  return 'Pending';
}
