import type { Clock, Logger } from '@k8ts/base';
import type { EventRecorder } from '@k8ts/client';
import type { ContainerConfig, PodSandboxConfig, RegistryAuth, RuntimeService } from '@k8ts/cri';

import type { ImageManager } from '../images/image-manager.ts';
import type { ProbeManager } from '../probes/probe-manager.ts';
import type { StatusManager } from '../status-manager.ts';
import type { BackOff } from './back-off.ts';
import type { LifecycleRunner } from './lifecycle-hooks.ts';
import type { ContainerToStart } from './plan.ts';
import type { Resize } from './resize.ts';
import type { RuntimeCache } from './runtime-cache.ts';
import type { PodEnding } from './pod-ending.ts';
import type { Pod } from './types.ts';

/**
 * What a pod worker needs of its node. The real kubelet and the simulated node differ only here: the one prepares volumes,
 * cgroups and network names, the other nothing; the plan, the status and the life of a pod are the same code.
 */
export interface PodHost {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: EventRecorder;
  readonly runtime: RuntimeService;
  /** Before `://` in container ids. */
  readonly runtimeName: string;
  readonly runtimeCache: RuntimeCache;
  readonly statuses: StatusManager;
  readonly probes: ProbeManager;
  readonly images: ImageManager;
  readonly hooks: LifecycleRunner;
  /** For restarting containers. */
  readonly crashBackOff: BackOff;
  hostIps(): readonly string[];

  /** Undefined when the node takes the pod, else why not. Asked once, before anything of the pod exists. */
  admit(pod: Pod): PodEnding | undefined;
  /** Why no new pod can start now (network not ready), else undefined. Not asked for pods in the host's network. */
  notReadyReason(): string | undefined;
  /**
   * Makes directories, cgroups and volumes; called before every start of containers, so twice is harmless. Throws
   * `PodPreparationError`.
   */
  prepare(pod: Pod, signal: AbortSignal): Promise<void>;
  sandboxConfig(pod: Pod, attempt: number): Promise<SandboxRequest>;
  /** Throws an error whose message becomes that of `CreateContainerConfigError`. */
  containerConfig(pod: Pod, start: ContainerToStart, context: ContainerContext): Promise<ContainerConfig>;
  /** Gives running containers, and the pod as a whole, the resources of the spec. */
  resize(pod: Pod, resizes: readonly Resize[]): Promise<void>;
  /** Whether the pod would fit if it were the only one. */
  admitAlone(pod: Pod): PodEnding | undefined;
  /** For pulling the image, from the pod's pull secrets. */
  credentials(pod: Pod, image: string): Promise<readonly RegistryAuth[]>;
  /** Nothing of the pod runs any more: takes back what `prepare` made. Twice is harmless. */
  release(pod: Pod): Promise<void>;
  /** The pod is gone from the API and from the runtime: removes its logs and directories. */
  forget(pod: Pod): Promise<void>;
}

export interface SandboxRequest {
  readonly config: PodSandboxConfig;
  readonly runtimeHandler?: string;
}

export interface ContainerContext {
  readonly podIps: readonly string[];
  /** The reference that the image manager resolved the image to. */
  readonly imageRef: string;
  readonly sandboxId: string;
}

/** `reason` is that of the event; the message its text. */
export class PodPreparationError extends Error {
  readonly reason: string;
  constructor(reason: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PodPreparationError';
    this.reason = reason;
  }
}
