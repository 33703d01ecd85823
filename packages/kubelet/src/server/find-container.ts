import type { ContainerStatus } from '@k8ts/cri';

import { specContainers } from '../pod/pod-spec.ts';
import { isRunning, type PodRuntimeState } from '../pod/runtime-state.ts';
import { bareId } from '../pod/status.ts';
import type { ApiContainerStatus, Pod } from '../pod/types.ts';

/** What a caller may see of a failure, with the HTTP status. */
export class ServerError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.name = 'ServerError';
    this.code = code;
  }
}

/** The running container of that name; commands need one. */
export function runningContainer(state: PodRuntimeState, name: string): ContainerStatus {
  const found = state.containers.find((status) => status.metadata.name === name && isRunning(status));
  if (found === undefined) throw new ServerError(500, `container not found ("${name}")`);
  return found;
}

/**
 * The run of a container whose log is asked for: the present or the last one, or with `previous` the one before (rules and
 * texts: validateContainerLogStatus in pkg/kubelet/kubelet_pods.go).
 */
export function containerForLogs(
  pod: Pod,
  state: PodRuntimeState,
  name: string,
  previous: boolean,
): ContainerStatus {
  if (!specContainers(pod).some(({ container }) => container.name === name))
    throw new ServerError(404, `container "${name}" not found in pod "${pod.metadata.name}"`);
  const {
    containerStatuses = [],
    initContainerStatuses = [],
    ephemeralContainerStatuses = [],
  } = pod.status ?? {};
  const status = [...containerStatuses, ...initContainerStatuses, ...ephemeralContainerStatuses].find(
    (candidate) => candidate.name === name,
  );
  const where = `container "${name}" in pod "${pod.metadata.name}"`;
  if (status === undefined) throw new ServerError(400, `${where} is not available`);
  const id = previous ? previousId(status, where, name, pod) : currentId(status, where);
  const found = state.containers.find((container) => container.id === id);
  if (found === undefined)
    throw new ServerError(500, `unable to retrieve container logs for ${status.containerID ?? id}`);
  return found;
}

function previousId(status: ApiContainerStatus, _where: string, name: string, pod: Pod): string {
  const id = status.lastState?.terminated?.containerID;
  if (id === undefined || id === '')
    throw new ServerError(
      400,
      `previous terminated container "${name}" in pod "${pod.metadata.name}" not found`,
    );
  return bareId(id);
}

function currentId({ state, lastState, containerID }: ApiContainerStatus, where: string): string {
  if (state?.running !== undefined) return bareId(containerID);
  if (state?.terminated !== undefined) {
    const id = state.terminated.containerID;
    if (id !== undefined && id !== '') return bareId(id);
    const before = lastState?.terminated?.containerID;
    if (before !== undefined) return bareId(before);
    throw new ServerError(400, `${where} is terminated`);
  }
  const last = lastState?.terminated?.containerID;
  if (last !== undefined && last !== '') return bareId(last);
  switch (state?.waiting?.reason) {
    case 'ErrImagePull':
      throw new ServerError(400, `${where} is waiting to start: image can't be pulled`);
    case 'ImagePullBackOff':
      throw new ServerError(400, `${where} is waiting to start: trying and failing to pull image`);
    case undefined:
      throw new ServerError(400, `${where} is not available`);
    default:
      throw new ServerError(400, `${where} is waiting to start: ${state?.waiting?.reason}`);
  }
}
