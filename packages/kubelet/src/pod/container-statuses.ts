import type { ContainerStatus as RuntimeContainer } from '@k8ts/cri';

import { formatTime } from '@k8ts/apimachinery';
import { containerMarks } from './labels.ts';
import { isSidecar } from './pod-spec.ts';
import {
  findStatus,
  hasAnyRegularContainerCreated,
  type PodRuntimeState,
  shouldBeRestarted,
} from './runtime-state.ts';
import type { ApiContainerStatus, Container, ContainerState, Pod } from './types.ts';

/** Why a container did not start: the waiting reason and message that its status shows. */
export interface StartFailure {
  readonly reason: string;
  readonly message: string;
}

export interface ContainerStatusesInput {
  readonly pod: Pod;
  readonly state: PodRuntimeState;
  /** All init, all ordinary or all ephemeral containers. */
  readonly containers: readonly Container[];
  readonly init: boolean;
  readonly previous: readonly ApiContainerStatus[];
  readonly failures: ReadonlyMap<string, StartFailure>;
  /** Before `://` in container ids. */
  readonly runtimeName: string;
  /** It runs with other resources than it is going to have. */
  readonly isResizing?: (container: Container, runtime: RuntimeContainer) => boolean;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };
type StatusDraft = Mutable<ApiContainerStatus>;

const UNKNOWN_REASON = 'ContainerStatusUnknown';

/**
 * The statuses of one sort of containers before the probes have had their say: `ready` is false and `started` absent or as
 * before (convertToAPIContainerStatuses in pkg/kubelet/kubelet_pods.go). Ordered as upstream orders them: init containers
 * as in the spec, others by name.
 */
export function containerStatuses(input: ContainerStatusesInput): ApiContainerStatus[] {
  const { pod, state, containers, init } = input;
  const old = new Map(input.previous.map((status) => [status.name, status]));
  const drafts = new Map<string, StatusDraft>();
  for (const container of containers)
    drafts.set(container.name, defaultStatus(input, container, old.get(container.name)));
  for (const container of containers)
    if (findStatus(state, container.name) === undefined)
      inferLostContainer(pod, drafts.get(container.name), old.get(container.name));

  const seen = new Map<string, number>();
  for (const runtime of state.containers) {
    const { name } = runtime.metadata;
    const container = containers.find((candidate) => candidate.name === name);
    const times = seen.get(name) ?? 0;
    if (container === undefined || times >= 2) continue;
    const status = fromRuntime(input, container, runtime, old.get(name));
    const latest = drafts.get(name);
    if (times === 0) drafts.set(name, status);
    else if (latest !== undefined && status.state !== undefined) latest.lastState = status.state;
    seen.set(name, times + 1);
  }

  for (const container of containers) {
    const draft = drafts.get(container.name) as StatusDraft;
    const runtime = findStatus(state, container.name);
    if (init) {
      if (runtime?.state === 'CONTAINER_EXITED' && runtime.exitCode === 0 && !isSidecar(container)) continue;
      if (
        runtime === undefined &&
        !isSidecar(container) &&
        draft.state?.waiting !== undefined &&
        hasAnyRegularContainerCreated(pod, state)
      ) {
        draft.state = {
          terminated: {
            reason: 'Completed',
            message:
              'Unable to get init container status from container runtime and pod has been initialized, treat it as exited normally',
            exitCode: 0,
          },
        };
        continue;
      }
    }
    const failure = input.failures.get(container.name);
    if (failure === undefined || !shouldBeRestarted(container, pod, state)) continue;
    if (draft.state?.terminated !== undefined) draft.lastState = draft.state;
    draft.state = { waiting: waiting(failure.reason, failure.message) };
  }
  const result = containers.map(({ name }) => drafts.get(name) as ApiContainerStatus);
  return init ? result : result.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

function waiting(reason: string, message: string): { reason?: string; message?: string } {
  return { ...(reason === '' ? {} : { reason }), ...(message === '' ? {} : { message }) };
}

/** What is said of a container that the runtime knows nothing of. */
function defaultStatus(
  { pod }: ContainerStatusesInput,
  container: Container,
  old: ApiContainerStatus | undefined,
): StatusDraft {
  if (old?.state?.terminated !== undefined) return { ...old };
  const initializing = (pod.spec.initContainers ?? []).length > 0;
  const mounts = mountStatuses(container);
  return {
    name: container.name,
    image: container.image ?? '',
    imageID: '',
    ready: false,
    restartCount: old?.restartCount ?? 0,
    state: { waiting: { reason: initializing ? 'PodInitializing' : 'ContainerCreating' } },
    lastState: old?.lastState ?? {},
    ...(mounts.length === 0 ? {} : { volumeMounts: mounts }),
  };
}

/** It was running, and the runtime has lost it: it must have ended, so it does not count as never started. */
function inferLostContainer(
  pod: Pod,
  draft: StatusDraft | undefined,
  old: ApiContainerStatus | undefined,
): void {
  if (draft === undefined || old?.state?.running === undefined) return;
  if (draft.state?.waiting === undefined || draft.lastState?.terminated !== undefined) return;
  draft.lastState = {
    terminated: {
      reason: UNKNOWN_REASON,
      message:
        'The container could not be located when the pod was deleted.  The container used to be Running',
      exitCode: 137,
    },
  };
  if (pod.metadata.deletionTimestamp === undefined) draft.restartCount++;
}

function fromRuntime(
  { runtimeName, isResizing }: ContainerStatusesInput,
  container: Container,
  runtime: RuntimeContainer,
  old: ApiContainerStatus | undefined,
): StatusDraft {
  const containerID = `${runtimeName}://${runtime.id}`;
  const restartCount = containerMarks(runtime.annotations, runtime.metadata.attempt).restartCount;
  const mounts = old?.volumeMounts ?? mountStatuses(container);
  const resources =
    isResizing?.(container, runtime) === true && old?.containerID === containerID
      ? old.resources
      : container.resources;
  const status: StatusDraft = {
    name: container.name,
    image: runtime.image,
    imageID: runtime.imageRef,
    containerID,
    ready: false,
    restartCount,
    state: runtimeState(runtime, containerID, old),
    // Of the run before only the old status may still know, once the runtime has removed it.
    lastState: old?.containerID === containerID ? (old.lastState ?? {}) : endedState(old),
    ...(container.resources?.requests === undefined
      ? {}
      : { allocatedResources: container.resources.requests }),
    ...(resources === undefined ? {} : { resources }),
    ...(mounts.length === 0 ? {} : { volumeMounts: mounts }),
    ...(runtime.user === undefined
      ? {}
      : {
          user: {
            linux: {
              uid: runtime.user.uid,
              gid: runtime.user.gid,
              supplementalGroups: runtime.user.supplementalGroups,
            },
          },
        }),
  };
  if (runtime.state === 'CONTAINER_UNKNOWN' && old?.state?.running !== undefined)
    status.restartCount = old.restartCount + 1;
  return status;
}

function endedState(old: ApiContainerStatus | undefined): ContainerState {
  if (old?.state?.terminated !== undefined) return old.state;
  return old?.lastState ?? {};
}

function runtimeState(
  runtime: RuntimeContainer,
  containerID: string,
  old: ApiContainerStatus | undefined,
): ContainerState {
  switch (runtime.state) {
    case 'CONTAINER_RUNNING':
      return { running: { startedAt: formatTime(runtime.startedAt) } };
    case 'CONTAINER_EXITED':
      return {
        terminated: {
          exitCode: runtime.exitCode,
          ...(runtime.signal === 0 ? {} : { signal: runtime.signal }),
          ...(runtime.reason === '' ? {} : { reason: runtime.reason }),
          ...(runtime.message === '' ? {} : { message: runtime.message }),
          ...(runtime.startedAt === 0 ? {} : { startedAt: formatTime(runtime.startedAt) }),
          ...(runtime.finishedAt === 0 ? {} : { finishedAt: formatTime(runtime.finishedAt) }),
          containerID,
        },
      };
    case 'CONTAINER_UNKNOWN':
      if (old?.state?.running !== undefined)
        return {
          terminated: {
            reason: UNKNOWN_REASON,
            message: 'The container could not be located when the pod was terminated',
            exitCode: 137,
          },
        };
      return { waiting: {} };
    default:
      return { waiting: {} };
  }
}

function mountStatuses(
  container: Container,
): { name: string; mountPath: string; readOnly?: boolean; recursiveReadOnly?: string }[] {
  return (container.volumeMounts ?? []).map((mount) => ({
    name: mount.name,
    mountPath: mount.mountPath,
    ...(mount.readOnly === true
      ? {
          readOnly: true,
          recursiveReadOnly:
            mount.recursiveReadOnly === 'Enabled' || mount.recursiveReadOnly === 'IfPossible'
              ? 'Enabled'
              : 'Disabled',
        }
      : {}),
  }));
}
