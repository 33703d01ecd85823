import type { ContainerState, ContainerStatus, PodSandboxStatus } from '@k8ts/cri';

import { containerAnnotations } from '../pod/labels.ts';
import { findContainer } from '../pod/pod-spec.ts';
import { newestFirst, type PodRuntimeState } from '../pod/runtime-state.ts';
import type { Pod } from '../pod/types.ts';

/** A container in a few words: `app running`, `app exited 3 @20` (code 3, ended at second 20), `app created`, `app unknown`. */
export function runtimeState(pod: Pod, containers: readonly string[], sandbox = 'ready'): PodRuntimeState {
  return {
    sandboxes: sandbox === 'none' ? [] : [testSandbox(sandbox === 'ready')],
    containers: newestFirst(containers.map((text, index) => testStatus(pod, text, index))),
  };
}

function testSandbox(ready: boolean): PodSandboxStatus {
  return {
    id: 'sandbox',
    metadata: { name: 'web', namespace: 'default', uid: 'uid-web', attempt: 0 },
    state: ready ? 'SANDBOX_READY' : 'SANDBOX_NOTREADY',
    createdAt: 1,
    labels: {},
    annotations: {},
    runtimeHandler: '',
    ips: ['10.0.0.9'],
    namespaces: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' },
  };
}

/** Later in the list is newer; attempts count up by name. */
function testStatus(pod: Pod, text: string, index: number): ContainerStatus {
  const [name = '', state = 'running', code = '0', at = '@10'] = text.split(' ');
  const spec = findContainer(pod, name)?.container ?? { name };
  const states: Readonly<Record<string, ContainerState>> = {
    created: 'CONTAINER_CREATED',
    running: 'CONTAINER_RUNNING',
    exited: 'CONTAINER_EXITED',
    unknown: 'CONTAINER_UNKNOWN',
  };
  const current = states[state];
  if (current === undefined) throw new Error(`no container state ${state}`);
  const exited = current === 'CONTAINER_EXITED';
  return {
    id: `${name}-${index}`,
    sandboxId: 'sandbox',
    metadata: { name, attempt: index },
    image: spec.image ?? '',
    imageRef: 'sha256:1',
    state: current,
    createdAt: 1000 + index,
    labels: {},
    annotations: containerAnnotations(pod, spec, index),
    startedAt: 1000,
    finishedAt: exited ? Number(at.slice(1)) * 1000 : 0,
    exitCode: exited ? Number(code) : 0,
    signal: 0,
    reason: exited ? (code === '0' ? 'Completed' : 'Error') : '',
    message: '',
    mounts: [],
    logPath: '',
  };
}
