import type { ContainerStatus, PodSandboxStatus } from '@k8ts/cri';

import { containerShouldRestart, isHostNetwork } from './pod-spec.ts';
import type { Container, Pod } from './types.ts';

/** What the runtime has of one pod; the newest first in both lists. */
export interface PodRuntimeState {
  readonly sandboxes: readonly PodSandboxStatus[];
  readonly containers: readonly ContainerStatus[];
}

export const NOTHING_RUNS: PodRuntimeState = { sandboxes: [], containers: [] };

/** The newest container of that name. */
export function findStatus(state: PodRuntimeState, name: string): ContainerStatus | undefined {
  return state.containers.find((container) => container.metadata.name === name);
}

export function isRunning(status: ContainerStatus | undefined): boolean {
  return status?.state === 'CONTAINER_RUNNING';
}

/** pkg/kubelet/container: ShouldContainerBeRestarted. */
export function shouldBeRestarted(container: Container, pod: Pod, state: PodRuntimeState): boolean {
  if (pod.metadata.deletionTimestamp !== undefined) return false;
  const status = findStatus(state, container.name);
  if (status === undefined) return true;
  if (isRunning(status)) return false;
  if (status.state !== 'CONTAINER_EXITED') return true;
  return containerShouldRestart(container, pod, status.exitCode);
}

export function hasAnyRegularContainerCreated(pod: Pod, state: PodRuntimeState): boolean {
  return pod.spec.containers.some(({ name }) => {
    const status = findStatus(state, name);
    return status !== undefined && status.state !== 'CONTAINER_UNKNOWN';
  });
}

export function podIps(state: PodRuntimeState): readonly string[] {
  const ready = state.sandboxes.find((sandbox) => sandbox.state === 'SANDBOX_READY');
  return (ready ?? state.sandboxes[0])?.ips ?? [];
}

export interface SandboxVerdict {
  /** A new sandbox is needed. */
  readonly changed: boolean;
  /** Of the sandbox to make, or of the one that stays. */
  readonly attempt: number;
  /** The sandbox that stays or is replaced; empty for none. */
  readonly sandboxId: string;
}

/** pkg/kubelet/kuberuntime/util: PodSandboxChanged. */
export function sandboxVerdict(pod: Pod, state: PodRuntimeState): SandboxVerdict {
  const latest = state.sandboxes[0];
  if (latest === undefined) return { changed: true, attempt: 0, sandboxId: '' };
  const ready = state.sandboxes.filter((sandbox) => sandbox.state === 'SANDBOX_READY').length;
  const next = { changed: true, attempt: latest.metadata.attempt + 1, sandboxId: latest.id };
  if (ready > 1 || latest.state !== 'SANDBOX_READY') return next;
  const wantedNetwork = isHostNetwork(pod) ? 'NODE' : 'POD';
  if (latest.namespaces.network !== wantedNetwork) return { ...next, sandboxId: '' };
  if (!isHostNetwork(pod) && latest.ips.length === 0) return next;
  return { changed: false, attempt: latest.metadata.attempt, sandboxId: latest.id };
}

/** Newest first; of those made in the same millisecond the higher attempt is the newer. */
export function newestFirst<
  T extends { readonly createdAt: number; readonly metadata: { readonly attempt: number } },
>(items: Iterable<T>): T[] {
  return [...items].sort((a, b) => b.createdAt - a.createdAt || b.metadata.attempt - a.metadata.attempt);
}
