import type {
  ContainerConfig,
  LinuxContainerResources,
  LinuxContainerSecurityContext,
  Mount,
} from '@k8ts/cri';

import { containerAnnotations, containerLabels } from '../pod/labels.ts';
import type { ContainerToStart } from '../pod/plan.ts';
import type { Pod } from '../pod/types.ts';
import { expand } from './expansion.ts';

export interface ContainerConfigInput {
  readonly pod: Pod;
  readonly start: ContainerToStart;
  /** As the image manager resolved it. */
  readonly imageRef: string;
  readonly environment: ReadonlyMap<string, string>;
  readonly mounts: readonly Mount[];
  readonly resources: LinuxContainerResources;
  readonly securityContext: LinuxContainerSecurityContext;
}

/** Puts a container's configuration together; command and arguments may name variables of its environment. */
export function containerConfig(input: ContainerConfigInput): ContainerConfig {
  const { pod, environment } = input;
  const { container, restartCount } = input.start;
  const expanded = (texts: readonly string[] | undefined): string[] =>
    (texts ?? []).map((text) => expand(text, (name) => environment.get(name)));
  const stopSignal = container.lifecycle?.stopSignal;
  return {
    metadata: { name: container.name, attempt: restartCount },
    image: input.imageRef,
    command: expanded(container.command),
    args: expanded(container.args),
    ...(container.workingDir === undefined || container.workingDir === ''
      ? {}
      : { workingDir: container.workingDir }),
    envs: [...environment].map(([key, value]) => ({ key, value })),
    mounts: input.mounts,
    labels: containerLabels(pod, container),
    annotations: containerAnnotations(pod, container, restartCount),
    logPath: containerLogPath(container.name, restartCount),
    stdin: container.stdin ?? false,
    stdinOnce: container.stdinOnce ?? false,
    tty: container.tty ?? false,
    ...(stopSignal === undefined ? {} : { stopSignal }),
    linux: { resources: input.resources, securityContext: input.securityContext },
  };
}

/** Below the sandbox's log directory: `web/0.log`. */
function containerLogPath(name: string, restartCount: number): string {
  return `${name}/${restartCount}.log`;
}
