import { type CancelTimer, type Clock, errorMessage, type Logger } from '@k8ts/base';
import type { EventRecorder } from '@k8ts/client';
import type { ProbePurpose } from '@k8ts/cri';

import { recordContainerEvent } from '../pod/events.ts';
import type { ProbeVerdict, ProbeVerdicts } from '../pod/plan.ts';
import { isSidecar, podUid, type SpecContainer, specContainers } from '../pod/pod-spec.ts';
import { findStatus, isRunning, podIps, type PodRuntimeState } from '../pod/runtime-state.ts';
import { bareId, type ProbeReadiness } from '../pod/status.ts';
import type { Container, Pod, Probe } from '../pod/types.ts';

export interface ProbeRequest {
  readonly pod: Pod;
  readonly container: Container;
  readonly containerId: string;
  readonly purpose: ProbePurpose;
  readonly probe: Probe;
  readonly podIp: string;
  readonly signal: AbortSignal;
}

/** Throws when it cannot tell (verdict Unknown). `warning`: passed, with something to be said about it. */
export type Prober = (request: ProbeRequest) => Promise<ProbeOutcome>;
export interface ProbeOutcome {
  readonly verdict: 'Success' | 'Failure' | 'Warning';
  readonly output: string;
}

export interface ProbeManagerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: EventRecorder;
  readonly prober: Prober;
  /** A verdict changed. */
  readonly onChange: (podUid: string) => void;
}

const PROBER_RETRIES = 3;
const WORDS: Readonly<Record<ProbePurpose, string>> = {
  startup: 'Startup',
  readiness: 'Readiness',
  liveness: 'Liveness',
};
const PROBES: readonly [ProbePurpose, (container: Container) => Probe | undefined][] = [
  ['startup', (container) => container.startupProbe],
  ['readiness', (container) => container.readinessProbe],
  ['liveness', (container) => container.livenessProbe],
];

/**
 * Runs the probes of running containers and remembers their verdicts (pkg/kubelet/prober). A probe belongs to one run of
 * a container: a restarted container gets new ones. One timer a probe; a pod without probes costs nothing.
 */
export class ProbeManager implements ProbeVerdicts, ProbeReadiness {
  readonly #options: ProbeManagerOptions;
  /** By pod, then by `containerId/purpose`. */
  readonly #pods = new Map<string, Map<string, ProbeWorker>>();
  /** By `containerId/purpose`. */
  readonly #workers = new Map<string, ProbeWorker>();

  constructor(options: ProbeManagerOptions) {
    this.#options = options;
  }

  /** Starts the probes of containers that run now and ends those of containers that no longer do. */
  sync(pod: Pod, state: PodRuntimeState, hostIps: readonly string[]): void {
    const uid = podUid(pod);
    const known = this.#pods.get(uid);
    const wanted = new Set<string>();
    for (const spec of specContainers(pod)) {
      if (spec.kind === 'ephemeral' || (spec.kind === 'init' && !isSidecar(spec.container))) continue;
      const { container } = spec;
      if (!container.startupProbe && !container.readinessProbe && !container.livenessProbe) continue;
      const status = findStatus(state, container.name);
      if (status === undefined || !isRunning(status)) continue;
      const podIp = podIps(state)[0] ?? hostIps[0] ?? '';
      for (const [purpose, probeOf] of PROBES) {
        const probe = probeOf(container);
        if (probe === undefined) continue;
        const key = `${status.id}/${purpose}`;
        wanted.add(key);
        const worker = this.#workers.get(key);
        if (worker === undefined) this.#start(pod, spec, status.id, status.startedAt, purpose, probe, podIp);
        else worker.update(pod, podIp);
      }
    }
    if (known === undefined) return;
    for (const [key, worker] of known) {
      if (wanted.has(key)) continue;
      worker.stop();
      known.delete(key);
      this.#workers.delete(key);
    }
    if (known.size === 0) this.#pods.delete(uid);
  }

  /** The pod ends: it may still become unready, but liveness and startup have nothing more to say. */
  quiet(podUid: string): void {
    for (const worker of this.#pods.get(podUid)?.values() ?? [])
      if (worker.purpose !== 'readiness') worker.stop();
  }

  forget(podUid: string): void {
    const known = this.#pods.get(podUid);
    if (known === undefined) return;
    for (const [key, worker] of known) {
      worker.stop();
      this.#workers.delete(key);
    }
    this.#pods.delete(podUid);
  }

  liveness(containerId: string): ProbeVerdict | undefined {
    return this.#workers.get(`${containerId}/liveness`)?.verdict;
  }

  startup(containerId: string): ProbeVerdict | undefined {
    return this.#workers.get(`${containerId}/startup`)?.verdict;
  }

  started(container: Container, containerId: string): boolean {
    return container.startupProbe === undefined || this.startup(containerId) === 'Success';
  }

  ready(container: Container, containerId: string): boolean {
    if (container.readinessProbe === undefined) return true;
    return this.#workers.get(`${containerId}/readiness`)?.verdict === 'Success';
  }

  [Symbol.dispose](): void {
    for (const worker of this.#workers.values()) worker.stop();
    this.#workers.clear();
    this.#pods.clear();
  }

  #start(
    pod: Pod,
    spec: SpecContainer,
    containerId: string,
    startedAt: number,
    purpose: ProbePurpose,
    probe: Probe,
    podIp: string,
  ): void {
    const uid = podUid(pod);
    const worker = new ProbeWorker(this.#options, {
      spec,
      containerId,
      startedAt,
      purpose,
      probe,
      verdict: initialVerdict(pod, spec.container, containerId, purpose),
      started: () => this.started(spec.container, containerId),
      changed: () => {
        // Those that waited for the container to have started need not wait for their next period.
        if (purpose === 'startup')
          for (const other of ['readiness', 'liveness'] as const)
            this.#workers.get(`${containerId}/${other}`)?.now();
        this.#options.onChange(uid);
      },
    });
    let workers = this.#pods.get(uid);
    if (workers === undefined) this.#pods.set(uid, (workers = new Map<string, ProbeWorker>()));
    workers.set(`${containerId}/${purpose}`, worker);
    this.#workers.set(`${containerId}/${purpose}`, worker);
    worker.update(pod, podIp);
    worker.begin();
  }
}

/** A kubelet that starts finds running containers; what the API says of them holds until a probe says otherwise. */
function initialVerdict(
  pod: Pod,
  container: Container,
  containerId: string,
  purpose: ProbePurpose,
): ProbeVerdict {
  const status = [
    ...(pod.status?.containerStatuses ?? []),
    ...(pod.status?.initContainerStatuses ?? []),
  ].find(({ name, containerID }) => name === container.name && bareId(containerID) === containerId);
  switch (purpose) {
    case 'liveness':
      return 'Success';
    case 'startup':
      return status?.started === true ? 'Success' : 'Unknown';
    case 'readiness':
      return status?.ready === true ? 'Success' : 'Failure';
  }
}

interface WorkerSubject {
  readonly spec: SpecContainer;
  readonly containerId: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly purpose: ProbePurpose;
  readonly probe: Probe;
  readonly verdict: ProbeVerdict;
  readonly started: () => boolean;
  readonly changed: () => void;
}

class ProbeWorker {
  readonly purpose: ProbePurpose;
  verdict: ProbeVerdict;
  readonly #options: ProbeManagerOptions;
  readonly #subject: WorkerSubject;
  readonly #abort = new AbortController();
  #pod: Pod | undefined;
  #podIp = '';
  #cancel: CancelTimer | undefined;
  #busy = false;
  #lastVerdict: ProbeVerdict | undefined;
  #run = 0;

  constructor(options: ProbeManagerOptions, subject: WorkerSubject) {
    this.#options = options;
    this.#subject = subject;
    this.purpose = subject.purpose;
    this.verdict = subject.verdict;
  }

  update(pod: Pod, podIp: string): void {
    this.#pod = pod;
    this.#podIp = podIp;
  }

  begin(): void {
    const { probe, startedAt } = this.#subject;
    const due = startedAt + (probe.initialDelaySeconds ?? 0) * 1000;
    this.#schedule(Math.max(0, due - this.#options.clock.now()));
  }

  /** Probes at once when it was only waiting for the container to have started. */
  now(): void {
    const { probe, startedAt } = this.#subject;
    const due = startedAt + (probe.initialDelaySeconds ?? 0) * 1000;
    if (!this.#busy) this.#schedule(Math.max(0, due - this.#options.clock.now()));
  }

  stop(): void {
    this.#cancel?.();
    this.#abort.abort(new Error('probe stopped'));
  }

  #schedule(delay: number): void {
    this.#cancel?.();
    if (this.#abort.signal.aborted) return;
    this.#cancel = this.#options.clock.setTimeout(() => void this.#tick(), delay);
  }

  async #tick(): Promise<void> {
    const { probe, started } = this.#subject;
    this.#busy = true;
    let goOn = true;
    // Startup ends with its first success; the others wait for it.
    if (this.purpose === 'startup' ? !started() : started()) goOn = await this.#probe();
    this.#busy = false;
    if (goOn && !(this.purpose === 'startup' && this.verdict === 'Success'))
      this.#schedule((probe.periodSeconds ?? 10) * 1000);
  }

  /** False: condemned, probing ends until there is a new container. */
  async #probe(): Promise<boolean> {
    const { probe, spec } = this.#subject;
    const pod = this.#pod as Pod;
    let outcome: ProbeOutcome | undefined;
    let failure: unknown;
    for (let attempt = 0; attempt < PROBER_RETRIES && outcome === undefined; attempt++) {
      if (this.#abort.signal.aborted) return false;
      try {
        outcome = await this.#options.prober({
          pod,
          container: spec.container,
          containerId: this.#subject.containerId,
          purpose: this.purpose,
          probe,
          podIp: this.#podIp,
          signal: this.#abort.signal,
        });
      } catch (error) {
        failure = error;
      }
    }
    if (this.#abort.signal.aborted) return false;
    const word = WORDS[this.purpose];
    const event = (reason: string, message: string): void =>
      recordContainerEvent(this.#options.events, pod, spec, 'Warning', reason, message);
    if (outcome === undefined) {
      event('Unhealthy', `${word} probe errored and resulted in unknown state: ${errorMessage(failure)}`);
      return true;
    }
    if (outcome.verdict === 'Failure') event('Unhealthy', `${word} probe failed: ${outcome.output}`);
    if (outcome.verdict === 'Warning') event('ProbeWarning', `${word} probe warning: ${outcome.output}`);
    return this.#judge(outcome.verdict === 'Failure' ? 'Failure' : 'Success');
  }

  #judge(verdict: ProbeVerdict): boolean {
    const { probe, changed } = this.#subject;
    this.#run = this.#lastVerdict === verdict ? this.#run + 1 : 1;
    this.#lastVerdict = verdict;
    const threshold = verdict === 'Failure' ? (probe.failureThreshold ?? 3) : (probe.successThreshold ?? 1);
    if (this.#run < threshold) return true;
    if (this.verdict !== verdict) {
      this.verdict = verdict;
      changed();
    }
    return verdict !== 'Failure' || this.purpose === 'readiness';
  }
}
