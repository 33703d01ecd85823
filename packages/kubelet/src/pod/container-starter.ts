import { errorMessage } from '@k8ts/base';
import type { ContainerConfig, Image, PodSandboxConfig } from '@k8ts/cri';

import { ImageError } from '../images/image-manager.ts';
import { containerIdentity, recordContainerEvent } from './events.ts';
import { killContainer } from './pod-killer.ts';
import { backOffKey, type ContainerToStart } from './plan.ts';
import type { PodHost } from './pod-host.ts';
import { podUid } from './pod-spec.ts';
import { podIps } from './runtime-state.ts';
import type { Pod } from './types.ts';

/** Why a container did not start; `reason` and `message` show as its waiting state. */
export class StartError extends Error {
  readonly reason: string;
  /** Milliseconds until a new attempt makes sense; undefined: the usual wait. */
  readonly retryAfter: number | undefined;
  constructor(reason: string, message: string, retryAfter?: number) {
    super(message);
    this.name = 'StartError';
    this.reason = reason;
    this.retryAfter = retryAfter;
  }
}

export interface StartRequest {
  readonly pod: Pod;
  readonly start: ContainerToStart;
  readonly sandboxId: string;
  readonly sandbox: PodSandboxConfig;
  readonly signal: AbortSignal;
}

/**
 * Image, configuration, creation, start, postStart hook: the steps, events and reasons of startContainer in
 * pkg/kubelet/kuberuntime/kuberuntime_container.go. Throws `StartError`.
 */
export async function startContainer(host: PodHost, request: StartRequest): Promise<void> {
  const { pod, start, sandboxId, sandbox, signal } = request;
  const event = (type: 'Normal' | 'Warning', reason: string, message: string): void =>
    recordContainerEvent(host.events, pod, start, type, reason, message);
  const fail = (reason: string, message: string, eventText = `Error: ${message}`): never => {
    event('Warning', 'Failed', eventText);
    throw new StartError(reason, message);
  };

  const image = await ensureImage(host, request);
  let config: ContainerConfig;
  try {
    config = await host.containerConfig(pod, start, {
      podIps: podIps(await host.runtimeCache.state(podUid(pod))),
      imageRef: image.id,
      sandboxId,
    });
  } catch (error) {
    return fail('CreateContainerConfigError', errorMessage(error));
  }
  signal.throwIfAborted();

  let id: string;
  try {
    id = await host.runtime.createContainer(sandboxId, config, sandbox);
  } catch (error) {
    return fail('CreateContainerError', errorMessage(error));
  }
  host.runtimeCache.touch(podUid(pod), { containerId: id });
  event('Normal', 'Created', 'Container created');
  // A crash counts from here on, whatever becomes of the start.
  if (start.lastFinishedAt !== undefined)
    host.crashBackOff.next(backOffKey(pod, start.container), start.lastFinishedAt, host.clock.now());
  try {
    await host.runtime.startContainer(id);
  } catch (error) {
    host.runtimeCache.touch(podUid(pod), { containerId: id });
    return fail('RunContainerError', errorMessage(error));
  }
  host.runtimeCache.touch(podUid(pod), { containerId: id });
  event('Normal', 'Started', 'Container started');
  await runPostStart(host, request, id);
}

async function ensureImage(host: PodHost, { pod, start, signal }: StartRequest): Promise<Image> {
  const { container, kind } = start;
  const image = container.image ?? '';
  try {
    return await host.images.ensure({
      pod,
      about: containerIdentity(pod, kind, container),
      image,
      pullPolicy: container.imagePullPolicy,
      credentials: () => host.credentials(pod, image),
      signal,
    });
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    recordContainerEvent(host.events, pod, start, 'Warning', 'Failed', `Error: ${error.reason}`);
    throw new StartError(error.reason, error.message, error.retryAfter);
  }
}

async function runPostStart(host: PodHost, { pod, start, signal }: StartRequest, id: string): Promise<void> {
  const handler = start.container.lifecycle?.postStart;
  if (handler === undefined) return;
  try {
    await host.hooks.run({
      pod,
      container: start.container,
      containerId: id,
      handler,
      state: host.runtimeCache.peek(podUid(pod)),
      hostIps: host.hostIps(),
      timeout: 0,
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    // The hook's output may hold secrets: not in the event.
    recordContainerEvent(host.events, pod, start, 'Warning', 'FailedPostStartHook', 'PostStartHook failed');
    const status = await host.runtime.containerStatus(id);
    await killContainer(host, pod, status, { message: 'FailedPostStartHook', signal });
    throw new StartError('PostStartHookError', errorMessage(error));
  }
}
