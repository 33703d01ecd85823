import type { Clock, Logger } from '@k8ts/base';
import type { EventRecorder } from '@k8ts/client';
import type { ContainerConfig, SimulatedRuntime } from '@k8ts/cri';

import { fieldValue } from '../container/field-ref.ts';
import { createImageManager } from '../images/image-manager.ts';
import { type BackOff } from '../pod/back-off.ts';
import { containerAnnotations, containerLabels, sandboxAnnotations, sandboxLabels } from '../pod/labels.ts';
import { createLifecycleRunner } from '../pod/lifecycle-hooks.ts';
import type { ContainerToStart } from '../pod/plan.ts';
import type { PodHost, SandboxRequest } from '../pod/pod-host.ts';
import { isHostNetwork, podName, podNamespace, podUid } from '../pod/pod-spec.ts';
import { RuntimeCache } from '../pod/runtime-cache.ts';
import type { PodEnding } from '../pod/pod-ending.ts';
import type { Container, Pod } from '../pod/types.ts';
import { ProbeManager } from '../probes/probe-manager.ts';
import { createSourceProber } from '../probes/prober.ts';
import type { StatusManager } from '../status-manager.ts';

export interface SimulatedHostOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: EventRecorder;
  readonly runtime: SimulatedRuntime;
  /** Shared by all simulated nodes of a process. */
  readonly statuses: StatusManager;
  readonly crashBackOff: BackOff;
  readonly hostIps: readonly string[];
  readonly admit: (pod: Pod) => PodEnding | undefined;
  readonly admitAlone?: (pod: Pod) => PodEnding | undefined;
  readonly wake: (podUid: string) => void;
}

/** A node without volumes, cgroups and network: pods live and die by the same code as on a real one. */
export function createSimulatedHost(options: SimulatedHostOptions): PodHost & Disposable {
  const { clock, logger, events, runtime, hostIps } = options;
  const { runtimeService, imageService } = runtime;
  const runtimeCache = new RuntimeCache(runtimeService, logger, options.wake);
  const probes = new ProbeManager({
    clock,
    logger,
    events,
    prober: createSourceProber(runtime.probes),
    onChange: options.wake,
  });
  return {
    clock,
    logger,
    events,
    runtime: runtimeService,
    runtimeName: 'simulated',
    runtimeCache,
    statuses: options.statuses,
    probes,
    images: createImageManager({ clock, images: imageService, events }),
    hooks: createLifecycleRunner({
      runtime: runtimeService,
      clock,
      fetch: async () => ({ status: 200, location: undefined, body: '' }), // nothing listens in a simulated pod
    }),
    crashBackOff: options.crashBackOff,
    hostIps: () => hostIps,
    admit: options.admit,
    admitAlone: options.admitAlone ?? (() => undefined),
    resize: async (_pod, resizes) => {
      for (const { status } of resizes) await runtimeService.updateContainerResources(status.id, {});
    },
    notReadyReason: () => undefined,
    prepare: () => DONE,
    sandboxConfig: async (pod, attempt) => sandboxRequest(pod, attempt),
    containerConfig: async (pod, start) => containerConfig(pod, start, hostIps),
    credentials: async () => [],
    release: () => DONE,
    forget: () => DONE,
    [Symbol.dispose]: () => {
      probes[Symbol.dispose]();
      runtimeCache[Symbol.dispose]();
    },
  };
}

const DONE: Promise<void> = Promise.resolve();
const POD_NAMESPACES = { network: 'POD', pid: 'CONTAINER', ipc: 'POD' } as const;
const HOST_NAMESPACES = { network: 'NODE', pid: 'CONTAINER', ipc: 'POD' } as const;

function sandboxRequest(pod: Pod, attempt: number): SandboxRequest {
  return {
    config: {
      metadata: { name: podName(pod), namespace: podNamespace(pod), uid: podUid(pod), attempt },
      hostname: pod.spec.hostname ?? podName(pod),
      logDirectory: '',
      portMappings: [],
      labels: sandboxLabels(pod),
      annotations: sandboxAnnotations(pod),
      linux: {
        cgroupParent: '',
        namespaces: isHostNetwork(pod) ? HOST_NAMESPACES : POD_NAMESPACES,
        sysctls: {},
      },
    },
  };
}

function containerConfig(
  pod: Pod,
  { container, restartCount }: ContainerToStart,
  hostIps: readonly string[],
): ContainerConfig {
  return {
    metadata: { name: container.name, attempt: restartCount },
    image: container.image ?? '',
    command: container.command ?? [],
    args: container.args ?? [],
    envs: container.env === undefined ? [] : environment(pod, container.env, hostIps),
    mounts: [],
    labels: containerLabels(pod, container),
    annotations: containerAnnotations(pod, container, restartCount),
    logPath: '',
    stdin: container.stdin ?? false,
    stdinOnce: container.stdinOnce ?? false,
    tty: container.tty ?? false,
    linux: {
      resources: {},
      securityContext: {
        addCapabilities: [],
        dropCapabilities: [],
        privileged: container.securityContext?.privileged ?? false,
        namespaces: isHostNetwork(pod) ? HOST_NAMESPACES : POD_NAMESPACES,
        readonlyRootfs: false,
        supplementalGroups: [],
        noNewPrivileges: false,
        maskedPaths: [],
        readonlyPaths: [],
      },
    },
  };
}

/** Values that are in the pod itself; a simulated node reads no ConfigMaps and Secrets. */
function environment(
  pod: Pod,
  variables: NonNullable<Container['env']>,
  hostIps: readonly string[],
): ContainerConfig['envs'] {
  const podIps = (pod.status?.podIPs ?? []).map(({ ip }) => ip);
  return variables.flatMap(({ name, value, valueFrom }) => {
    const fieldPath = valueFrom?.fieldRef?.fieldPath;
    if (valueFrom !== undefined && fieldPath === undefined) return [];
    const text = fieldPath === undefined ? (value ?? '') : fieldValue(pod, fieldPath, { podIps, hostIps });
    return [{ key: name, value: text }];
  });
}
