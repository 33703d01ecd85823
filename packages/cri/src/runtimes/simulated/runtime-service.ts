import type { Clock } from '@k8ts/base';
import { sleep } from '@k8ts/base';
import { ExecTimeoutError, RuntimeNotFoundError } from '../../contract.ts';
import type {
  AttachRequest,
  Container,
  ContainerConfig,
  ContainerEvent,
  ContainerFilter,
  ContainerStats,
  ContainerStatus,
  ContainerStreams,
  ExecRequest,
  ExecSyncResult,
  ExitStatus,
  LinuxContainerResources,
  PodSandbox,
  PodSandboxConfig,
  PodSandboxFilter,
  PodSandboxStats,
  PodSandboxStatus,
  ProbeAnswer,
  ProbePurpose,
  RuntimeConfig,
  RuntimeService,
  RuntimeStatus,
  RuntimeVersion,
} from '../../contract.ts';
import { parseLogRecord } from '../../logs/cri-log.ts';
import { matchesLabels } from '../filter.ts';
import { AddressRange } from './addresses.ts';
import { simulatedBehaviour } from './behaviour.ts';
import { simulateCommand } from './commands.ts';
import type { CommandResult } from './commands.ts';
import { nextLogTime, simulatedLog } from './container.ts';
import type { SimulatedContainer, SimulatedSandbox } from './container.ts';
import type { SimulatedImageCatalogue, SimulatedImageService } from './images.ts';
import { simulatedContainerStats, simulatedSandboxStats } from './stats.ts';

export interface SimulatedEnvironment {
  readonly clock: Clock;
  readonly catalogue: SimulatedImageCatalogue;
  nextId(): string;
}

export interface SimulatedExit {
  readonly exitCode: number;
  readonly signal?: number;
  readonly reason?: string;
  readonly message?: string;
}

const SIGKILL = 9;
const NODE_ADDRESSES: readonly string[] = [];

/**
 * Sandboxes and containers that are objects in memory. What a container does (how long it runs, how it ends, what it logs
 * and answers) is its behaviour's, see `behaviour.ts`; nothing happens between its changes of state, so thousands cost
 * little.
 */
export class SimulatedRuntimeService implements RuntimeService {
  readonly #environment: SimulatedEnvironment;
  readonly #clock: Clock;
  readonly #images: SimulatedImageService;
  #addresses: AddressRange;
  #podCidr: string;
  readonly #sandboxes = new Map<string, SimulatedSandbox>();
  readonly #containers = new Map<string, SimulatedContainer>();
  readonly #listeners = new Set<(event: ContainerEvent) => void>();

  constructor(environment: SimulatedEnvironment, images: SimulatedImageService, podCidr: string) {
    this.#environment = environment;
    this.#clock = environment.clock;
    this.#images = images;
    this.#podCidr = podCidr;
    this.#addresses = new AddressRange(podCidr);
  }

  version(): Promise<RuntimeVersion> {
    return Promise.resolve({ runtimeName: 'simulated', runtimeVersion: '0.1.0', runtimeApiVersion: 'v1' });
  }

  status(): Promise<RuntimeStatus> {
    const ready = { status: true, reason: '', message: '' };
    return Promise.resolve({
      conditions: [
        { type: 'RuntimeReady', ...ready },
        { type: 'NetworkReady', ...ready },
      ],
    });
  }

  updateRuntimeConfig(config: RuntimeConfig): Promise<void> {
    const cidr = config.podCidr.split(',').find((range) => range.includes('.'));
    if (cidr !== undefined && cidr !== this.#podCidr) {
      this.#addresses = new AddressRange(cidr);
      this.#podCidr = cidr;
    }
    return Promise.resolve();
  }

  async runPodSandbox(config: PodSandboxConfig, runtimeHandler = ''): Promise<string> {
    const id = this.#environment.nextId();
    this.#sandboxes.set(id, {
      snapshot: {
        id,
        metadata: config.metadata,
        state: 'SANDBOX_READY',
        createdAt: this.#clock.now(),
        labels: config.labels,
        annotations: config.annotations,
        runtimeHandler,
      },
      config,
      ip: config.linux.namespaces.network === 'NODE' ? '' : this.#addresses.allocate(),
      containers: [],
    });
    return id;
  }

  async stopPodSandbox(id: string): Promise<void> {
    const sandbox = this.#sandboxes.get(id);
    if (sandbox === undefined || sandbox.snapshot.state === 'SANDBOX_NOTREADY') return;
    sandbox.snapshot = { ...sandbox.snapshot, state: 'SANDBOX_NOTREADY' };
    for (const container of sandbox.containers) this.#kill(container);
    if (sandbox.ip !== '') this.#addresses.release(sandbox.ip);
  }

  async removePodSandbox(id: string): Promise<void> {
    await this.stopPodSandbox(id);
    const sandbox = this.#sandboxes.get(id);
    if (sandbox === undefined) return;
    for (const container of [...sandbox.containers]) this.#remove(container);
    this.#sandboxes.delete(id);
  }

  async podSandboxStatus(id: string): Promise<PodSandboxStatus> {
    const sandbox = this.#sandbox(id);
    return {
      ...sandbox.snapshot,
      ips: sandbox.ip === '' ? NODE_ADDRESSES : [sandbox.ip],
      namespaces: sandbox.config.linux.namespaces,
    };
  }

  async listPodSandboxes(filter: PodSandboxFilter = {}): Promise<readonly PodSandbox[]> {
    const found: PodSandbox[] = [];
    for (const { snapshot } of this.#sandboxes.values()) {
      if (filter.id !== undefined && snapshot.id !== filter.id) continue;
      if (filter.state !== undefined && snapshot.state !== filter.state) continue;
      if (!matchesLabels(snapshot.labels, filter.labelSelector)) continue;
      found.push(snapshot);
    }
    return found;
  }

  async createContainer(
    sandboxId: string,
    config: ContainerConfig,
    sandboxConfig: PodSandboxConfig,
  ): Promise<string> {
    const sandbox = this.#sandbox(sandboxId);
    if (sandbox.snapshot.state !== 'SANDBOX_READY') {
      throw new Error(`sandbox ${JSON.stringify(sandboxId)} is not running`);
    }
    const image = this.#images.find(config.image);
    if (image === undefined)
      throw new RuntimeNotFoundError(`image ${JSON.stringify(config.image)}: not found`);
    const id = this.#environment.nextId();
    const container: SimulatedContainer = {
      snapshot: {
        id,
        sandboxId,
        metadata: config.metadata,
        image: config.image,
        imageRef: image.repoDigests[0] ?? image.id,
        state: 'CONTAINER_CREATED',
        createdAt: this.#clock.now(),
        labels: config.labels,
        annotations: config.annotations,
      },
      config,
      sandbox,
      behaviour: simulatedBehaviour(sandboxConfig.annotations, config),
      startedAt: 0,
      finishedAt: 0,
      exitCode: 0,
      signal: 0,
      reason: '',
      message: '',
      ready: undefined,
      cancelExit: undefined,
      waiters: undefined,
    };
    sandbox.containers.push(container);
    this.#containers.set(id, container);
    this.#emit(container, 'CONTAINER_CREATED_EVENT');
    return id;
  }

  async startContainer(id: string): Promise<void> {
    const container = this.#container(id);
    this.#mustBeCreated(container);
    const { behaviour } = container;
    if (behaviour.startDelay) {
      await sleep(this.#clock, behaviour.startDelay * 1000);
      this.#mustBeCreated(this.#container(id)); // it may have been removed or killed meanwhile
    }
    const misbehaves = container.config.metadata.attempt < (behaviour.times ?? Infinity);
    if (behaviour.startError && misbehaves) {
      this.#exit(container, { exitCode: 128, reason: 'StartError', message: behaviour.startError });
      throw new Error(behaviour.startError);
    }
    container.startedAt = this.#clock.now();
    container.snapshot = { ...container.snapshot, state: 'CONTAINER_RUNNING' };
    this.#emit(container, 'CONTAINER_STARTED_EVENT');
    if (typeof behaviour.exitAfter === 'number' && misbehaves) {
      const exit: SimulatedExit = behaviour.oomKilled
        ? { exitCode: 137, signal: SIGKILL, reason: 'OOMKilled' }
        : { exitCode: behaviour.exitCode ?? 0 };
      container.cancelExit = this.#clock.setTimeout(
        () => this.#exit(container, exit),
        behaviour.exitAfter * 1000,
      );
    }
  }

  async stopContainer(id: string, timeoutSeconds: number): Promise<void> {
    const container = this.#containers.get(id);
    if (container?.snapshot.state !== 'CONTAINER_RUNNING') return;
    const { stopAfter, stopExitCode } = container.behaviour;
    const grace = Math.max(0, timeoutSeconds);
    const takes = stopAfter === 'never' ? Infinity : (stopAfter ?? 0);
    if (takes === 0 && grace > 0) {
      this.#exit(container, { exitCode: stopExitCode ?? 0 });
      return;
    }
    const exit: SimulatedExit =
      takes > grace || grace === 0 ? { exitCode: 137, signal: SIGKILL } : { exitCode: stopExitCode ?? 0 };
    const ended = this.#untilChange(container);
    const cancel = this.#clock.setTimeout(() => this.#exit(container, exit), Math.min(takes, grace) * 1000);
    await ended;
    cancel();
  }

  async removeContainer(id: string): Promise<void> {
    const container = this.#containers.get(id);
    if (container !== undefined) this.#remove(container);
  }

  async containerStatus(id: string): Promise<ContainerStatus> {
    const container = this.#container(id);
    const { config } = container;
    return {
      ...container.snapshot,
      startedAt: container.startedAt,
      finishedAt: container.finishedAt,
      exitCode: container.exitCode,
      signal: container.signal,
      reason: container.reason,
      message: container.message,
      mounts: config.mounts,
      logPath: '',
      resources: config.linux.resources,
      user: {
        uid: config.linux.securityContext.runAsUser ?? 0,
        gid: config.linux.securityContext.runAsGroup ?? 0,
        supplementalGroups: config.linux.securityContext.supplementalGroups,
      },
    };
  }

  async listContainers(filter: ContainerFilter = {}): Promise<readonly Container[]> {
    return this.#select(filter).map(({ snapshot }) => snapshot);
  }

  /** Nothing is enforced; the values show in the status. */
  async updateContainerResources(id: string, resources: LinuxContainerResources): Promise<void> {
    const container = this.#container(id);
    const { linux } = container.config;
    container.config = {
      ...container.config,
      linux: { ...linux, resources: { ...linux.resources, ...resources } },
    };
  }

  async reopenContainerLog(id: string): Promise<void> {
    this.#running(id);
  }

  async execSync(id: string, command: readonly string[], timeoutSeconds: number): Promise<ExecSyncResult> {
    const container = this.#running(id);
    const result = this.#command(container, command);
    if (timeoutSeconds > 0 && result.duration > timeoutSeconds) {
      await sleep(this.#clock, timeoutSeconds * 1000);
      throw new ExecTimeoutError(`command ${JSON.stringify(command.join(' '))} timed out`);
    }
    if (result.duration > 0) await sleep(this.#clock, result.duration * 1000);
    return {
      stdout: Buffer.from(result.stdout),
      stderr: Buffer.from(result.stderr),
      exitCode: result.exitCode,
    };
  }

  async exec(
    id: string,
    request: ExecRequest,
    streams: ContainerStreams,
    signal: AbortSignal,
  ): Promise<ExitStatus> {
    const container = this.#running(id);
    const result = this.#command(container, request.command);
    const newline = request.tty ? '\r\n' : '\n';
    streams.stdout?.write(result.stdout.replaceAll('\n', newline));
    (request.tty ? streams.stdout : streams.stderr)?.write(result.stderr.replaceAll('\n', newline));
    if (result.duration > 0) await sleep(this.#clock, result.duration * 1000, signal);
    if (result.copiesInput && streams.stdin !== undefined) {
      await copyInput(streams.stdin, streams.stdout, signal);
    }
    return { exitCode: result.exitCode };
  }

  async attach(
    id: string,
    _request: AttachRequest,
    streams: ContainerStreams,
    signal: AbortSignal,
  ): Promise<void> {
    const container = this.#running(id);
    const skipped = simulatedLog(container, this.#clock.now()).next;
    for await (const record of this.#followLog(container, skipped, signal)) {
      const content = parseLogRecord(Buffer.from(record.slice(0, -1)))?.content;
      if (content !== undefined) streams.stdout?.write(Buffer.concat([content, Buffer.from('\n')]));
    }
  }

  async portForward(sandboxId: string, port: number): Promise<void> {
    this.#sandbox(sandboxId);
    throw new Error(`cannot forward port ${port}: a simulated pod has no network`);
  }

  async containerStats(id: string): Promise<ContainerStats> {
    return simulatedContainerStats(this.#container(id), this.#clock.now());
  }

  async listContainerStats(filter: ContainerFilter = {}): Promise<readonly ContainerStats[]> {
    const now = this.#clock.now();
    return this.#select(filter)
      .filter(({ snapshot }) => snapshot.state === 'CONTAINER_RUNNING')
      .map((container) => simulatedContainerStats(container, now));
  }

  async podSandboxStats(id: string): Promise<PodSandboxStats> {
    return simulatedSandboxStats(this.#sandbox(id), this.#clock.now());
  }

  onContainerEvent(listener: (event: ContainerEvent) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** `LogSource.read`. */
  async *readLog(
    id: string,
    options: { readonly follow: boolean; readonly signal?: AbortSignal },
  ): AsyncGenerator<string, void, undefined> {
    const container = this.#container(id);
    if (options.follow) yield* this.#followLog(container, 0, options.signal);
    else yield* simulatedLog(container, this.#clock.now()).lines;
  }

  /** `ProbeSource.probe`. */
  async probe(id: string, purpose: ProbePurpose): Promise<ProbeAnswer> {
    const container = this.#running(id);
    const { readyAfter, aliveFor } = container.behaviour;
    const age = this.#clock.now() - container.startedAt;
    const told = purpose === 'readiness' ? container.ready : undefined;
    if (told === false) return { success: false, output: 'simulated: not ready' };
    if (typeof aliveFor === 'number' && age >= aliveFor * 1000)
      return { success: false, output: 'simulated: not alive' };
    const early = typeof readyAfter === 'number' && age < readyAfter * 1000;
    if (purpose !== 'liveness' && told === undefined && early) {
      return { success: false, output: 'simulated: not ready yet' };
    }
    return { success: true, output: '' };
  }

  exitContainer(id: string, exit: SimulatedExit): void {
    this.#exit(this.#running(id), exit);
  }

  dispose(): void {
    for (const container of this.#containers.values()) {
      container.cancelExit?.();
      this.#wake(container);
    }
    this.#listeners.clear();
  }

  async *#followLog(
    container: SimulatedContainer,
    from: number,
    signal?: AbortSignal,
  ): AsyncGenerator<string, void, undefined> {
    for (let position = from; ;) {
      const { lines, next } = simulatedLog(container, this.#clock.now(), position);
      yield* lines;
      position = next;
      if (container.snapshot.state === 'CONTAINER_EXITED' || signal?.aborted) return;
      if (!this.#containers.has(container.snapshot.id)) return;
      await this.#untilChange(container, signal, nextLogTime(container, this.#clock.now()));
    }
  }

  /** Resolves at the container's next change of state, at `time`, or when the signal aborts. */
  #untilChange(container: SimulatedContainer, signal?: AbortSignal, time?: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = time === undefined ? undefined : this.#clock.setTimeout(done, time - this.#clock.now());
      function done(): void {
        cancel?.();
        signal?.removeEventListener('abort', done);
        if (container.waiters !== undefined) {
          container.waiters = container.waiters.filter((waiter) => waiter !== done);
        }
        resolve();
      }
      (container.waiters ??= []).push(done);
      signal?.addEventListener('abort', done, { once: true });
    });
  }

  #command(container: SimulatedContainer, command: readonly string[]): CommandResult {
    const { config, sandbox, behaviour } = container;
    const result = simulateCommand(command, config, sandbox.config.hostname, behaviour);
    if (result.ready !== undefined) container.ready = result.ready;
    return result;
  }

  #exit(container: SimulatedContainer, exit: SimulatedExit): void {
    if (container.snapshot.state === 'CONTAINER_EXITED') return;
    container.cancelExit?.();
    container.cancelExit = undefined;
    container.finishedAt = this.#clock.now();
    container.exitCode = exit.exitCode;
    container.signal = exit.signal ?? 0;
    container.reason = exit.reason ?? (exit.exitCode === 0 ? 'Completed' : 'Error');
    container.message = exit.message ?? '';
    container.snapshot = { ...container.snapshot, state: 'CONTAINER_EXITED' };
    this.#emit(container, 'CONTAINER_STOPPED_EVENT');
    this.#wake(container);
  }

  #kill(container: SimulatedContainer): void {
    if (container.snapshot.state === 'CONTAINER_RUNNING') {
      this.#exit(container, { exitCode: 137, signal: SIGKILL });
    }
  }

  #remove(container: SimulatedContainer): void {
    this.#kill(container);
    container.cancelExit?.();
    const { id } = container.snapshot;
    if (!this.#containers.delete(id)) return;
    const siblings = container.sandbox.containers;
    siblings.splice(siblings.indexOf(container), 1);
    this.#emit(container, 'CONTAINER_DELETED_EVENT');
    this.#wake(container);
  }

  #wake(container: SimulatedContainer): void {
    const { waiters } = container;
    container.waiters = undefined;
    if (waiters !== undefined) for (const waiter of waiters) waiter();
  }

  #select(filter: ContainerFilter): SimulatedContainer[] {
    const found: SimulatedContainer[] = [];
    for (const container of this.#containers.values()) {
      const { snapshot } = container;
      if (filter.id !== undefined && snapshot.id !== filter.id) continue;
      if (filter.state !== undefined && snapshot.state !== filter.state) continue;
      if (filter.podSandboxId !== undefined && snapshot.sandboxId !== filter.podSandboxId) continue;
      if (!matchesLabels(snapshot.labels, filter.labelSelector)) continue;
      found.push(container);
    }
    return found;
  }

  #sandbox(id: string): SimulatedSandbox {
    const sandbox = this.#sandboxes.get(id);
    if (sandbox === undefined) throw new RuntimeNotFoundError(`sandbox ${JSON.stringify(id)}: not found`);
    return sandbox;
  }

  #container(id: string): SimulatedContainer {
    const container = this.#containers.get(id);
    if (container === undefined) throw new RuntimeNotFoundError(`container ${JSON.stringify(id)}: not found`);
    return container;
  }

  #running(id: string): SimulatedContainer {
    const container = this.#container(id);
    if (container.snapshot.state !== 'CONTAINER_RUNNING') {
      throw new Error(`container is in ${container.snapshot.state} state`);
    }
    return container;
  }

  #mustBeCreated(container: SimulatedContainer): void {
    if (container.snapshot.state !== 'CONTAINER_CREATED') {
      throw new Error(`container is in ${container.snapshot.state} state`);
    }
  }

  #emit(container: SimulatedContainer, type: ContainerEvent['type']): void {
    if (this.#listeners.size === 0) return;
    const event: ContainerEvent = {
      containerId: container.snapshot.id,
      podSandboxId: container.snapshot.sandboxId,
      podUid: container.sandbox.config.metadata.uid,
      type,
      createdAt: this.#clock.now(),
    };
    for (const listener of this.#listeners) listener(event);
  }
}

/** Resolves when the input has ended or the signal aborts. */
function copyInput(
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream | undefined,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    const write = (chunk: Buffer | string): void => void output?.write(chunk);
    const done = (): void => {
      input.off('data', write);
      signal.removeEventListener('abort', done);
      resolve();
    };
    if (signal.aborted) return done();
    signal.addEventListener('abort', done, { once: true });
    input.on('data', write);
    for (const event of ['end', 'close', 'error']) input.once(event, done);
  });
}
