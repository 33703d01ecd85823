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
  RuntimeService,
  RuntimeStatus,
  RuntimeVersion,
} from '../../contract.ts';
import { matchesLabels } from '../filter.ts';
import { attachStreams, reopenLog } from './attach.ts';
import { createContainer, removeContainer, startContainer, stopContainer } from './containers.ts';
import type { Engine } from './engine.ts';
import { execStreams, execSync } from './exec.ts';
import type { ExecContext } from './exec.ts';
import { containerPaths, sandboxPaths } from './layout.ts';
import { ociResources } from './oci-spec.ts';
import { forwardPort } from './port-forward.ts';
import type { ContainerRecord, SandboxRecord } from './records.ts';
import { removeSandbox, runSandbox, stopSandbox } from './sandboxes.ts';
import { containerStats, sandboxStats } from './stats.ts';

/** The runtime interface over the parts that do the work. */
export class OciRuntimeService implements RuntimeService {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async version(): Promise<RuntimeVersion> {
    const { runtime } = this.#engine.host;
    return {
      runtimeName: 'k8ts-oci',
      runtimeVersion:
        runtime === undefined ? '0.1.0 (util-linux)' : `0.1.0 (${runtime.name} ${runtime.version})`,
      runtimeApiVersion: 'v1',
    };
  }

  async status(): Promise<RuntimeStatus> {
    const notReady = this.#engine.network.notReadyReason();
    return {
      conditions: [
        {
          type: 'RuntimeReady',
          status: true,
          reason: '',
          message: this.#engine.shortcomings.join('; '),
        },
        notReady === undefined
          ? { type: 'NetworkReady', status: true, reason: '', message: '' }
          : { type: 'NetworkReady', status: false, reason: 'NetworkPluginNotReady', message: notReady },
      ],
    };
  }

  runPodSandbox(config: PodSandboxConfig, runtimeHandler = ''): Promise<string> {
    return runSandbox(this.#engine, config, runtimeHandler);
  }

  stopPodSandbox(id: string): Promise<void> {
    return this.#engine.exclusive(`sandbox ${id}`, () => stopSandbox(this.#engine, id));
  }

  removePodSandbox(id: string): Promise<void> {
    return this.#engine.exclusive(`sandbox ${id}`, () => removeSandbox(this.#engine, id));
  }

  async podSandboxStatus(id: string): Promise<PodSandboxStatus> {
    const sandbox = this.#engine.sandbox(id);
    return { ...sandboxView(sandbox), ips: sandbox.ips, namespaces: sandbox.config.linux.namespaces };
  }

  async listPodSandboxes(filter: PodSandboxFilter = {}): Promise<readonly PodSandbox[]> {
    return [...this.#engine.sandboxes.values()]
      .filter(
        (sandbox) =>
          (filter.id === undefined || sandbox.id === filter.id) &&
          (filter.state === undefined || sandbox.state === filter.state) &&
          matchesLabels(sandbox.config.labels, filter.labelSelector),
      )
      .map(sandboxView);
  }

  createContainer(sandboxId: string, config: ContainerConfig, sandbox: PodSandboxConfig): Promise<string> {
    return createContainer(this.#engine, sandboxId, config, sandbox);
  }

  startContainer(id: string): Promise<void> {
    return startContainer(this.#engine, id);
  }

  stopContainer(id: string, timeoutSeconds: number): Promise<void> {
    return stopContainer(this.#engine, id, timeoutSeconds);
  }

  removeContainer(id: string): Promise<void> {
    return removeContainer(this.#engine, id);
  }

  async containerStatus(id: string): Promise<ContainerStatus> {
    const container = this.#engine.container(id);
    const { uid, gid, additionalGids } = container.user;
    return {
      ...containerView(container),
      startedAt: container.startedAt,
      finishedAt: container.finishedAt,
      exitCode: container.exitCode,
      signal: container.signal,
      reason: container.reason,
      message: container.message,
      mounts: container.config.mounts,
      logPath: container.logPath,
      resources: container.config.linux.resources,
      user: { uid, gid, supplementalGroups: additionalGids },
    };
  }

  async listContainers(filter: ContainerFilter = {}): Promise<readonly Container[]> {
    return this.#select(filter).map(containerView);
  }

  async updateContainerResources(id: string, resources: LinuxContainerResources): Promise<void> {
    await this.#engine.exclusive(id, async () => {
      const container = this.#engine.container(id);
      if (container.state === 'CONTAINER_RUNNING') {
        const paths = containerPaths(this.#engine.layout, id);
        await this.#engine.runtime.update(id, paths, ociResources(resources, this.#engine.host));
      } else if (container.state !== 'CONTAINER_CREATED') {
        throw new Error(`container is in ${container.state} state`);
      }
      const { linux } = container.config;
      container.config = {
        ...container.config,
        linux: { ...linux, resources: { ...linux.resources, ...resources } },
      };
      await this.#engine.saveContainer(container);
    });
  }

  async reopenContainerLog(id: string): Promise<void> {
    this.#running(id);
    await reopenLog(containerPaths(this.#engine.layout, id).control);
  }

  async execSync(id: string, command: readonly string[], timeoutSeconds: number): Promise<ExecSyncResult> {
    this.#running(id);
    return execSync(this.#execContext(id), id, command, timeoutSeconds);
  }

  async exec(
    id: string,
    request: ExecRequest,
    streams: ContainerStreams,
    signal: AbortSignal,
  ): Promise<ExitStatus> {
    this.#running(id);
    return execStreams(this.#execContext(id), id, request, streams, signal);
  }

  async attach(
    id: string,
    request: AttachRequest,
    streams: ContainerStreams,
    signal: AbortSignal,
  ): Promise<void> {
    const container = this.#running(id);
    const paths = containerPaths(this.#engine.layout, id);
    const context = {
      bundle: paths.bundle,
      control: paths.control,
      logPath: container.logPath,
      stdinOnce: container.config.stdinOnce,
      acceptsInput: container.config.stdin,
      socat: this.#engine.host.socat,
      ended: this.#engine.untilEnded(id),
    };
    await attachStreams(context, { tty: container.config.tty && request.tty }, streams, signal);
  }

  async portForward(
    sandboxId: string,
    port: number,
    stream: NodeJS.ReadWriteStream,
    signal: AbortSignal,
  ): Promise<void> {
    const sandbox = this.#engine.sandbox(sandboxId);
    if (sandbox.state !== 'SANDBOX_READY')
      throw new Error(`sandbox ${JSON.stringify(sandboxId)} is not running`);
    const onNode = sandbox.config.linux.namespaces.network === 'NODE';
    const netns = onNode ? undefined : sandboxPaths(this.#engine.layout, sandboxId).net;
    await forwardPort(netns, this.#engine.host.socat, port, stream, signal);
  }

  containerStats(id: string): Promise<ContainerStats> {
    return containerStats(this.#engine, this.#engine.container(id));
  }

  async listContainerStats(filter: ContainerFilter = {}): Promise<readonly ContainerStats[]> {
    const running = this.#select(filter).filter(({ state }) => state === 'CONTAINER_RUNNING');
    return Promise.all(running.map((container) => containerStats(this.#engine, container)));
  }

  podSandboxStats(id: string): Promise<PodSandboxStats> {
    return sandboxStats(this.#engine, this.#engine.sandbox(id));
  }

  onContainerEvent(listener: (event: ContainerEvent) => void): Disposable {
    return this.#engine.onEvent(listener);
  }

  #select(filter: ContainerFilter): readonly ContainerRecord[] {
    return [...this.#engine.containers.values()].filter(
      (container) =>
        (filter.id === undefined || container.id === filter.id) &&
        (filter.state === undefined || container.state === filter.state) &&
        (filter.podSandboxId === undefined || container.sandboxId === filter.podSandboxId) &&
        matchesLabels(container.config.labels, filter.labelSelector),
    );
  }

  #running(id: string): ContainerRecord {
    const container = this.#engine.container(id);
    if (container.state !== 'CONTAINER_RUNNING') throw new Error(`container is in ${container.state} state`);
    return container;
  }

  #execContext(id: string): ExecContext {
    const { runtime, clock, logger, host, layout } = this.#engine;
    return { runtime, clock, logger, paths: containerPaths(layout, id), script: host.script };
  }
}

function sandboxView(sandbox: SandboxRecord): PodSandbox {
  const { metadata, labels, annotations } = sandbox.config;
  return {
    id: sandbox.id,
    metadata,
    state: sandbox.state,
    createdAt: sandbox.createdAt,
    labels,
    annotations,
    runtimeHandler: sandbox.runtimeHandler,
  };
}

function containerView(container: ContainerRecord): Container {
  const { metadata, image, labels, annotations } = container.config;
  return {
    id: container.id,
    sandboxId: container.sandboxId,
    metadata,
    image,
    imageRef: container.imageRef,
    state: container.state,
    createdAt: container.createdAt,
    labels,
    annotations,
  };
}
