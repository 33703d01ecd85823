import { errorMessage, sleep } from '@k8ts/base';
import type { ContainerStatus } from '@k8ts/cri';

import { recordContainerEvent } from './events.ts';
import { containerMarks } from './labels.ts';
import type { ContainerToKill } from './plan.ts';
import type { PodHost } from './pod-host.ts';
import { findContainer, hasSidecars, isSidecar, podUid, type SpecContainer } from './pod-spec.ts';
import { isRunning } from './runtime-state.ts';
import type { Pod } from './types.ts';

/** Containers always get this long after their stop signal, so that not each of them is killed. */
const MINIMUM_GRACE_SECONDS = 2;

export interface KillOptions {
  /** Of the event; default `Stopping container NAME`. */
  readonly message?: string;
  readonly reason?: ContainerToKill['reason'];
  /** Seconds; over everything the pod says. */
  readonly gracePeriod?: number | undefined;
  readonly order?: TerminationOrder | undefined;
  /** Ends the waiting (hook, turn): the stop signal is sent at once then. */
  readonly signal: AbortSignal;
}

/**
 * Runs the preStop hook, waits for the container's turn, and stops it; all within the grace period. Resolves when it has
 * stopped (killContainer in pkg/kubelet/kuberuntime/kuberuntime_container.go).
 */
export async function killContainer(
  host: PodHost,
  pod: Pod,
  status: ContainerStatus,
  options: KillOptions,
): Promise<void> {
  const spec = findContainer(pod, status.metadata.name);
  let grace = options.gracePeriod ?? gracePeriodOf(pod, status, spec, options.reason ?? '');
  if (spec !== undefined) {
    const message = options.message ?? `Stopping container ${spec.container.name}`;
    recordContainerEvent(host.events, pod, spec, 'Normal', 'Killing', message);
  }
  const preStop = spec?.container.lifecycle?.preStop;
  if (spec !== undefined && preStop !== undefined && grace > 0) {
    const begun = host.clock.monotonic();
    await runPreStop(host, pod, status, spec, grace, options.signal);
    grace -= Math.floor((host.clock.monotonic() - begun) / 1000);
  }
  if (options.order !== undefined && grace > 0) {
    const begun = host.clock.monotonic();
    await options.order.turn(status.metadata.name, grace, options.signal);
    grace -= Math.floor((host.clock.monotonic() - begun) / 1000);
  }
  // A grace period given from outside may be shorter than the minimum (a node that shuts down, an eviction).
  const minimum = options.gracePeriod === undefined ? MINIMUM_GRACE_SECONDS : 0;
  await host.runtime.stopContainer(status.id, Math.max(grace, minimum));
  host.runtimeCache.touch(podUid(pod), { containerId: status.id });
  options.order?.ended(status.metadata.name);
}

async function runPreStop(
  host: PodHost,
  pod: Pod,
  status: ContainerStatus,
  spec: SpecContainer,
  grace: number,
  signal: AbortSignal,
): Promise<void> {
  const handler = spec.container.lifecycle?.preStop;
  if (handler === undefined) return;
  const stop = new AbortController();
  const hook = host.hooks
    .run({
      pod,
      container: spec.container,
      containerId: status.id,
      handler,
      state: host.runtimeCache.peek(podUid(pod)),
      hostIps: host.hostIps(),
      timeout: grace,
      signal: AbortSignal.any([signal, stop.signal]),
    })
    .catch((error: unknown) => {
      if (signal.aborted || stop.signal.aborted) return;
      host.logger.warn('PreStop hook failed', { pod: pod.metadata.name, error: errorMessage(error) });
      // The hook's output may hold secrets: not in the event.
      recordContainerEvent(host.events, pod, spec, 'Warning', 'FailedPreStopHook', 'PreStopHook failed');
    });
  const limit = sleep(host.clock, grace * 1000, AbortSignal.any([signal, stop.signal])).catch(
    () => undefined,
  );
  await Promise.race([hook, limit]);
  stop.abort(new Error('preStop is over'));
}

/** setTerminationGracePeriod; a probe may bring a period of its own. */
function gracePeriodOf(
  pod: Pod,
  status: ContainerStatus,
  spec: SpecContainer | undefined,
  reason: ContainerToKill['reason'],
): number {
  if (pod.metadata.deletionGracePeriodSeconds !== undefined) return pod.metadata.deletionGracePeriodSeconds;
  const own =
    reason === 'StartupProbe'
      ? spec?.container.startupProbe?.terminationGracePeriodSeconds
      : reason === 'LivenessProbe'
        ? spec?.container.livenessProbe?.terminationGracePeriodSeconds
        : undefined;
  return (
    own ??
    pod.spec.terminationGracePeriodSeconds ??
    containerMarks(status.annotations, status.metadata.attempt).terminationGracePeriod
  );
}

/** Stops all running containers of the pod together, sidecars after the others and in reverse order, then its sandboxes. */
export async function killPod(
  host: PodHost,
  pod: Pod,
  signal: AbortSignal,
  gracePeriod?: number,
): Promise<void> {
  const state = await host.runtimeCache.state(podUid(pod));
  const running = state.containers.filter(
    (status) => isRunning(status) || status.state === 'CONTAINER_UNKNOWN',
  );
  const order = hasSidecars(pod) ? terminationOrder(host, pod, running) : undefined;
  await Promise.all(
    running.map((status) => killContainer(host, pod, status, { gracePeriod, order, signal })),
  );
  for (const sandbox of state.sandboxes) {
    if (sandbox.state !== 'SANDBOX_READY') continue;
    await host.runtime.stopPodSandbox(sandbox.id);
    host.runtimeCache.touch(podUid(pod), { sandboxId: sandbox.id });
  }
}

interface TerminationOrder {
  /** Resolves when it is the container's turn to stop, at the latest after `grace` seconds. */
  turn(name: string, grace: number, signal: AbortSignal): Promise<void>;
  ended(name: string): void;
}

/** KEP-753: sidecars stop after all ordinary containers, each after the sidecars that were started after it. */
function terminationOrder(
  host: Pick<PodHost, 'clock'>,
  pod: Pod,
  running: readonly ContainerStatus[],
): TerminationOrder {
  const gates = new Map<string, { promise: Promise<void>; open: () => void }>();
  for (const { metadata } of running) {
    let open = (): void => undefined;
    const promise = new Promise<void>((resolve) => (open = resolve));
    gates.set(metadata.name, { promise, open });
  }
  const sidecars = (pod.spec.initContainers ?? []).filter(isSidecar).map(({ name }) => name);
  const waitsFor = (name: string): string[] => {
    const at = sidecars.indexOf(name);
    if (at < 0) return [];
    return [...pod.spec.containers.map((container) => container.name), ...sidecars.slice(at + 1)];
  };
  return {
    async turn(name, grace, signal) {
      const before = waitsFor(name).flatMap((other) => gates.get(other)?.promise ?? []);
      if (before.length === 0) return;
      const done = new AbortController();
      const limit = sleep(host.clock, grace * 1000, AbortSignal.any([signal, done.signal])).catch(
        () => undefined,
      );
      await Promise.race([Promise.all(before), limit]);
      done.abort(new Error('it is the turn'));
    },
    ended: (name) => gates.get(name)?.open(),
  };
}
