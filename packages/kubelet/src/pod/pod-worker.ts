import { formatDurationMilliseconds } from '@k8ts/apimachinery';
import { type CancelTimer, errorMessage } from '@k8ts/base';

import { fromWireTime } from '../wire-time.ts';
import { startContainer, StartError } from './container-starter.ts';
import type { StartFailure } from './container-statuses.ts';
import { podIdentity, recordContainerEvent } from './events.ts';
import { planPod, type PodPlan } from './plan.ts';
import { podChanged } from './pod-changes.ts';
import type { PodEnding } from './pod-ending.ts';
import { type PodHost, PodPreparationError } from './pod-host.ts';
import { killContainer, killPod } from './pod-killer.ts';
import { formatPod, isHostNetwork, isSidecar, isTerminalPhase, podUid } from './pod-spec.ts';
import { isRunning, type PodRuntimeState } from './runtime-state.ts';
import { podStatus } from './status.ts';
import { resizePending, sameResources, withResourcesOf } from './resize.ts';
import { resourceKey } from './resource-key.ts';
import { superfluous } from './superfluous.ts';
import type { Pod, PodCondition } from './types.ts';

/** Milliseconds. */
const FIRST_RETRY = 1_000;
const LAST_RETRY = 10_000;
const NETWORK_RETRY = 1_000;
const RESIZE_RETRY = 10_000;

/** Reasons of aborts; made once, since each new Error writes down its stack. */
const TERMINATING = new Error('the pod is terminating');
const TERMINATE_FASTER = new Error('the pod is to terminate faster');

/**
 * The life of one pod on this node:
 *
 *     syncing ──(deleted, evicted, over its deadline, all containers done)──▶ terminating ──▶ terminated
 *
 * syncing: looks at what runs, plans, acts, reports; again whenever the spec, the runtime, a probe or a timer says so.
 * terminating: containers are stopped within their grace period. terminated: resources are taken back; the pod waits for
 * its removal from the API, which ends the worker. One worker a pod, one run at a time; waking is cheap and idempotent.
 */
export class PodWorker {
  readonly uid: string;
  readonly #host: PodHost;
  readonly #onGone: (worker: PodWorker) => void;
  #pod: Pod;
  #phase: 'syncing' | 'terminating' | 'terminated' = 'syncing';
  #containersStopped = false;
  #admitted = false;
  #ending: PodEnding | undefined;
  /** Seconds; set by those who end a pod faster than it asks (eviction, shutdown). */
  #gracePeriod: number | undefined;
  #removed = false;
  #stopped = false;
  #dirty = false;
  #running: Promise<void> | undefined;
  #timer: CancelTimer | undefined;
  #retries = 0;
  /** Ends what a sync waits for (pulls, hooks) when the pod is to end. */
  #syncAbort = new AbortController();
  /** Ends the waiting of a termination when it is to go faster. */
  #killAbort = new AbortController();
  #failures: ReadonlyMap<string, StartFailure> = NO_FAILURES;
  /** The pod with the resources that the node has allocated to it; its own, unless a resize waits. */
  #allocated: Pod;
  #resizePending: PodCondition | undefined;
  /** By container id: what it was resized to since its start. */
  readonly #resized = new Map<string, string>();

  constructor(host: PodHost, pod: Pod, onGone: (worker: PodWorker) => void) {
    this.#host = host;
    this.#pod = pod;
    this.#allocated = pod;
    this.uid = podUid(pod);
    this.#onGone = onGone;
  }

  get pod(): Pod {
    return this.#pod;
  }

  /**
   * Its containers are stopped for good, and what it had of the node is free for others. True before the API hears of it: the
   * scheduler may send the next pod at once.
   */
  get terminated(): boolean {
    return this.#containersStopped;
  }

  /** The node counts the pod's requests from its admission to its end. */
  get admitted(): boolean {
    return this.#admitted;
  }

  /** The spec or metadata changed. */
  update(pod: Pod): void {
    const changed = podChanged(this.#pod, pod);
    const before = this.#pod.metadata.deletionGracePeriodSeconds;
    const now = pod.metadata.deletionGracePeriodSeconds;
    this.#pod = pod;
    if (!changed) return;
    if (pod.metadata.deletionTimestamp !== undefined) this.#endSync();
    // A second, shorter deletion overtakes the first.
    if (now !== undefined && (before === undefined || now < before)) this.#hurry();
    this.wake();
  }

  /** The pod ends, whatever it wants: eviction, node shutdown. */
  evict(ending: PodEnding, gracePeriod?: number): void {
    this.#ending ??= ending;
    this.#gracePeriod = gracePeriod;
    this.#endSync();
    this.wake();
  }

  /** The pod is not in the API any more: stop and remove everything of it. */
  remove(): void {
    this.#removed = true;
    this.#endSync();
    this.#hurry();
    this.wake();
  }

  /** Something may have changed. */
  wake(): void {
    if (this.#stopped) return;
    this.#dirty = true;
    this.#running ??= this.#run();
  }

  /** Ends the worker and leaves the pod as it is. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.();
    this.#endSync();
    this.#hurry();
    await this.#running;
  }

  #endSync(): void {
    this.#syncAbort.abort(TERMINATING);
  }

  #hurry(): void {
    this.#killAbort.abort(TERMINATE_FASTER);
    this.#killAbort = new AbortController();
  }

  async #run(): Promise<void> {
    await Promise.resolve();
    while (this.#dirty && !this.#stopped) {
      this.#dirty = false;
      this.#timer?.();
      this.#timer = undefined;
      let next: number | undefined;
      try {
        next = await this.#step();
        this.#retries = 0;
      } catch (error) {
        if (this.#stopped) break;
        next = Math.min(FIRST_RETRY * 2 ** this.#retries++, LAST_RETRY);
        this.#host.logger.warn('Error syncing pod, skipping', {
          pod: formatPod(this.#pod),
          error: errorMessage(error),
        });
      }
      if (next !== undefined && !this.#stopped)
        this.#timer = this.#host.clock.setTimeout(() => this.wake(), Math.max(0, next));
    }
    this.#running = undefined;
  }

  /** One step of the pod's life. Returns in how many milliseconds to look again, undefined: when woken. */
  async #step(): Promise<number | undefined> {
    if (this.#phase === 'syncing') {
      if (this.#shouldEnd()) this.#phase = 'terminating';
      else return this.#sync();
    }
    if (this.#phase === 'terminating') await this.#terminate();
    if (this.#phase === 'terminated') await this.#settle();
    return undefined;
  }

  #shouldEnd(): boolean {
    return (
      this.#removed ||
      this.#ending !== undefined ||
      this.#pod.metadata.deletionTimestamp !== undefined ||
      isTerminalPhase(this.#pod.status?.phase)
    );
  }

  // ---- syncing

  async #sync(): Promise<number | undefined> {
    const host = this.#host;
    if (!this.#admitted && !this.#admit()) return this.#step();
    if (this.#syncAbort.signal.aborted) this.#syncAbort = new AbortController();
    const { signal } = this.#syncAbort;

    this.#allocate();
    let state = await host.runtimeCache.state(this.uid);
    const deadline = this.#deadline();
    if (deadline !== undefined && deadline <= host.clock.now()) {
      this.#ending = DEADLINE_EXCEEDED;
      host.events.event(
        podIdentity(this.#pod),
        'Normal',
        DEADLINE_EXCEEDED.reason,
        DEADLINE_EXCEEDED.message,
      );
      return this.#step();
    }
    const plan = this.#plan(state);
    host.probes.sync(this.#pod, state, host.hostIps());
    const idle = isIdle(plan);
    if (idle) this.#failures = NO_FAILURES;
    const reported = this.#report(state, false);
    if (isTerminalPhase(reported)) {
      this.#phase = 'terminating';
      return this.#step();
    }

    let retry: number | undefined;
    if (!idle) {
      try {
        retry = await this.#execute(plan, state, signal);
      } catch (error) {
        if (signal.aborted && this.#shouldEnd()) return this.#step();
        if (signal.aborted) return undefined;
        throw error;
      } finally {
        if (!this.#stopped && !this.#shouldEnd()) {
          state = await host.runtimeCache.state(this.uid);
          host.probes.sync(this.#pod, state, host.hostIps());
          this.#report(state, false);
        }
      }
    }
    const waits = [
      ...(this.#resizePending === undefined ? [] : [RESIZE_RETRY]),
      ...(retry === undefined ? [] : [retry]),
      ...plan.backingOff.map(({ remaining }) => remaining),
      ...(deadline === undefined ? [] : [deadline - host.clock.now()]),
    ];
    return waits.length === 0 ? undefined : Math.min(...waits);
  }

  /** False: the pod was refused and goes on to its end. Pods that already run were admitted by a kubelet before. */
  #admit(): boolean {
    const refusal = this.#host.admit(this.#pod);
    if (refusal === undefined) {
      this.#admitted = true;
      return true;
    }
    this.#host.events.event(podIdentity(this.#pod), 'Warning', refusal.reason, refusal.message);
    this.#ending = { ...refusal, message: `Pod was rejected: ${refusal.message}` };
    return false;
  }

  /** A resize is granted when the node has room for it; until then the pod keeps what it has. */
  #allocate(): void {
    this.#resizePending = undefined;
    if (!sameResources(this.#pod, this.#allocated)) {
      const refusal = this.#host.admit(this.#pod);
      if (refusal !== undefined) {
        this.#resizePending = resizePending(this.#pod, refusal, this.#host.admitAlone(this.#pod));
        this.#allocated = withResourcesOf(this.#pod, this.#allocated);
        return;
      }
    }
    this.#allocated = this.#pod;
  }

  #plan(state: PodRuntimeState): PodPlan {
    const { probes, crashBackOff, clock } = this.#host;
    return planPod({
      pod: this.#allocated,
      state,
      probes,
      backOff: crashBackOff,
      now: clock.now(),
      resized: (id) => this.#resized.get(id),
    });
  }

  /** When activeDeadlineSeconds ends, in milliseconds since the epoch. */
  #deadline(): number | undefined {
    const seconds = this.#pod.spec.activeDeadlineSeconds;
    const started = fromWireTime((this.#host.statuses.get(this.uid) ?? this.#pod.status)?.startTime);
    return seconds === undefined || started === undefined ? undefined : started + seconds * 1000;
  }

  /** Carries the plan out. Resolves to when a failed start is worth another try; throws what ends the whole attempt. */
  async #execute(plan: PodPlan, state: PodRuntimeState, signal: AbortSignal): Promise<number | undefined> {
    const host = this.#host;
    const pod = this.#allocated;
    if (plan.killPod) {
      if (plan.createSandbox && plan.sandboxId !== '')
        host.events.event(
          podIdentity(pod),
          'Normal',
          'SandboxChanged',
          'Pod sandbox changed, it will be killed and re-created.',
        );
      await killPod(host, pod, this.#killAbort.signal);
    } else {
      for (const { status, message, reason } of plan.containersToKill)
        await killContainer(host, pod, status, { message, reason, signal: this.#killAbort.signal });
    }
    if (plan.containersToResize.length > 0) {
      await host.resize(pod, plan.containersToResize);
      for (const { container, status } of plan.containersToResize)
        this.#resized.set(status.id, resourceKey(container));
    }
    await this.#removeSuperfluous(state, plan);
    this.#reportBackOff(plan);
    if (plan.containersToStart.length === 0 && !plan.createSandbox) {
      this.#forgetFailures(plan, new Map());
      return undefined;
    }

    const notReady = host.notReadyReason();
    if (notReady !== undefined && !isHostNetwork(pod)) {
      host.events.event(podIdentity(pod), 'Warning', 'NetworkNotReady', `network is not ready: ${notReady}`);
      return NETWORK_RETRY;
    }
    await this.#prepare(signal);
    const { config, runtimeHandler } = await host.sandboxConfig(pod, plan.attempt);
    let { sandboxId } = plan;
    if (plan.createSandbox) {
      try {
        sandboxId = await host.runtime.runPodSandbox(config, runtimeHandler);
      } catch (error) {
        const message = `Failed to create pod sandbox: ${errorMessage(error)}`;
        host.events.event(podIdentity(pod), 'Warning', 'FailedCreatePodSandBox', message);
        throw error;
      }
      host.runtimeCache.touch(this.uid, { sandboxId });
    }
    return this.#startAll(plan, sandboxId, config, signal);
  }

  async #prepare(signal: AbortSignal): Promise<void> {
    try {
      await this.#host.prepare(this.#allocated, signal);
    } catch (error) {
      if (error instanceof PodPreparationError)
        this.#host.events.event(podIdentity(this.#pod), 'Warning', error.reason, error.message);
      throw error;
    }
  }

  async #startAll(
    plan: PodPlan,
    sandboxId: string,
    sandbox: Awaited<ReturnType<PodHost['sandboxConfig']>>['config'],
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const failures = new Map<string, StartFailure>();
    let retry: number | undefined;
    for (const start of plan.containersToStart) {
      signal.throwIfAborted();
      try {
        await startContainer(this.#host, { pod: this.#allocated, start, sandboxId, sandbox, signal });
      } catch (error) {
        if (signal.aborted) throw error;
        if (!(error instanceof StartError)) throw error;
        failures.set(start.container.name, { reason: error.reason, message: error.message });
        const wait = error.retryAfter ?? Math.min(FIRST_RETRY * 2 ** this.#retries++, LAST_RETRY);
        retry = Math.min(retry ?? wait, wait);
        // The next init container depends on this one.
        if (start.kind === 'init' && !isSidecar(start.container)) break;
      }
    }
    if (retry === undefined) this.#retries = 0;
    this.#forgetFailures(plan, failures);
    return retry;
  }

  /** What failed now, what waits in its back-off; what was started is forgiven. */
  #forgetFailures(plan: PodPlan, failures: Map<string, StartFailure>): void {
    for (const { container, delay } of plan.backingOff)
      failures.set(container.name, {
        reason: 'CrashLoopBackOff',
        message: `back-off ${formatDurationMilliseconds(delay)} restarting failed container=${container.name} pod=${formatPod(this.#pod)}`,
      });
    this.#failures = failures;
  }

  #reportBackOff(plan: PodPlan): void {
    for (const waiting of plan.backingOff)
      recordContainerEvent(
        this.#host.events,
        this.#pod,
        waiting,
        'Warning',
        'BackOff',
        `Back-off restarting failed container ${waiting.container.name} in pod ${formatPod(this.#pod)}`,
      );
  }

  /** Keeps of each container the newest and one dead one before it, and of the sandboxes only the newest. */
  async #removeSuperfluous(state: PodRuntimeState, plan: PodPlan): Promise<void> {
    const { containers, sandboxes } = superfluous(this.#pod, state, plan);
    for (const id of containers) {
      await this.#host.runtime.removeContainer(id);
      this.#host.runtimeCache.touch(this.uid, { containerId: id });
    }
    for (const id of sandboxes) {
      await this.#host.runtime.removePodSandbox(id);
      this.#host.runtimeCache.touch(this.uid, { sandboxId: id });
    }
  }

  /** Hands the pod's status to the status manager; returns the phase. */
  #report(state: PodRuntimeState, terminal: boolean): string | undefined {
    const host = this.#host;
    const status = podStatus({
      pod: sameResources(this.#pod, this.#allocated)
        ? this.#pod
        : withResourcesOf(this.#pod, this.#allocated),
      state,
      previous: host.statuses.get(this.uid) ?? this.#pod.status ?? {},
      failures: this.#failures,
      readiness: host.probes,
      runtimeName: host.runtimeName,
      hostIps: host.hostIps(),
      terminal,
      ended: terminal ? this.#ending : undefined,
      resizePending: terminal ? undefined : this.#resizePending,
      resized: (id) => this.#resized.get(id),
    });
    return host.statuses.set(this.#pod, status).phase;
  }

  // ---- ending

  async #terminate(): Promise<void> {
    const host = this.#host;
    host.probes.quiet(this.uid);
    this.#report(await host.runtimeCache.state(this.uid), false);
    for (;;) {
      const { signal } = this.#killAbort;
      const kill = killPod(host, this.#pod, signal, this.#gracePeriod);
      // A shorter grace period does not wait for the longer one: the stop is asked for again, and both end together.
      const hurried = new Promise<'hurried'>((resolve) =>
        signal.addEventListener('abort', () => resolve('hurried'), { once: true }),
      );
      const outcome = await Promise.race([kill, hurried]);
      if (outcome === 'hurried') kill.catch(() => undefined);
      if (this.#stopped) return;
      if (outcome !== 'hurried') break;
    }
    const state = await host.runtimeCache.state(this.uid);
    if (state.containers.some(isRunning))
      throw new Error('detected running containers after a successful KillPod');
    host.probes.forget(this.uid);
    this.#containersStopped = true;
    this.#report(state, true);
    await host.release(this.#pod);
    host.images.forget(this.uid);
    host.crashBackOff.forget(`${this.uid}/`);
    this.#phase = 'terminated';
  }

  async #settle(): Promise<void> {
    const host = this.#host;
    host.statuses.finish(this.#pod);
    if (!this.#removed) return;
    const state = await host.runtimeCache.state(this.uid);
    for (const { id } of state.sandboxes) await host.runtime.removePodSandbox(id);
    for (const { id } of state.containers) await host.runtime.removeContainer(id);
    await host.forget(this.#pod);
    host.statuses.forget(this.uid);
    host.runtimeCache.forget(this.uid);
    this.#stopped = true;
    this.#onGone(this);
  }
}

const NO_FAILURES: ReadonlyMap<string, StartFailure> = new Map();

/** Everything is as it should be: the usual case of a pod that is looked at. */
function isIdle(plan: PodPlan): boolean {
  return (
    !plan.killPod &&
    !plan.createSandbox &&
    plan.containersToKill.length === 0 &&
    plan.containersToResize.length === 0 &&
    plan.containersToStart.length === 0 &&
    plan.backingOff.length === 0
  );
}

const DEADLINE_EXCEEDED: PodEnding = {
  reason: 'DeadlineExceeded',
  message: 'Pod was active on the node longer than the specified deadline',
};
