/**
 * The container runtime interface: what the kubelet asks of a runtime. Names and meanings are CRI v1's
 * (k8s.io/cri-api/pkg/apis/runtime/v1), in camel case; times are milliseconds since the Unix epoch, sizes are bytes.
 * Runtimes: `oci` (embedded), `containerd` (over gRPC), `simulated`.
 */
export interface Runtime extends AsyncDisposable {
  readonly runtimeService: RuntimeService;
  readonly imageService: ImageService;
  /** Present when the runtime keeps logs itself; then it writes no log files, and `ContainerStatus.logPath` is empty. */
  readonly logs?: LogSource;
  /** Present when probes cannot reach the containers over a network; then the kubelet asks here instead. */
  readonly probes?: ProbeSource;
}

/** Container logs of a runtime that has no disk. */
export interface LogSource {
  /**
   * The log so far in the CRI format, one line an item and each with its newline
   * (`2026-01-01T00:00:00.000000000Z stdout F text\n`). With `follow` it goes on until the container ends or `signal`
   * aborts. Throws `RuntimeNotFoundError` for an unknown container.
   */
  read(
    containerId: string,
    options: { readonly follow: boolean; readonly signal?: AbortSignal },
  ): AsyncIterable<string>;
}

export type ProbePurpose = 'startup' | 'readiness' | 'liveness';

/** Answers every probe (exec, HTTP, TCP, gRPC) of a container in the container's place. */
export interface ProbeSource {
  probe(containerId: string, purpose: ProbePurpose): Promise<ProbeAnswer>;
}

export interface ProbeAnswer {
  readonly success: boolean;
  /** What the probe's output would have been; part of the event's text. */
  readonly output: string;
}

export interface RuntimeService {
  version(): Promise<RuntimeVersion>;
  status(): Promise<RuntimeStatus>;

  /** Makes the sandbox (namespaces, cgroup parent, network) and starts it. Nothing is left behind when it throws. */
  runPodSandbox(config: PodSandboxConfig, runtimeHandler?: string): Promise<string>;
  /** Kills what runs in it and takes its network back. Stopping twice is harmless. */
  stopPodSandbox(id: string): Promise<void>;
  /** Removes it with its containers. Removing twice is harmless. */
  removePodSandbox(id: string): Promise<void>;
  podSandboxStatus(id: string): Promise<PodSandboxStatus>;
  listPodSandboxes(filter?: PodSandboxFilter): Promise<readonly PodSandbox[]>;

  createContainer(sandboxId: string, config: ContainerConfig, sandbox: PodSandboxConfig): Promise<string>;
  startContainer(id: string): Promise<void>;
  /** Sends the stop signal, and SIGKILL after `timeoutSeconds`. Resolves when it has stopped; twice is harmless. */
  stopContainer(id: string, timeoutSeconds: number): Promise<void>;
  /** Removes a stopped container, kills a running one first. Twice is harmless. */
  removeContainer(id: string): Promise<void>;
  containerStatus(id: string): Promise<ContainerStatus>;
  listContainers(filter?: ContainerFilter): Promise<readonly Container[]>;
  updateContainerResources(id: string, resources: LinuxContainerResources): Promise<void>;
  /** Called after the log file was moved away: opens the path anew. */
  reopenContainerLog(id: string): Promise<void>;

  /** Runs a command to its end. A run over `timeoutSeconds` (0: no limit) is killed and throws `ExecTimeoutError`. */
  execSync(id: string, command: readonly string[], timeoutSeconds: number): Promise<ExecSyncResult>;
  /** Runs a command with its streams connected; resolves to how it ended. Aborting the signal kills it. */
  exec(id: string, request: ExecRequest, streams: ContainerStreams, signal: AbortSignal): Promise<ExitStatus>;
  /** Connects to the streams of the container's own process until it ends or the signal aborts. */
  attach(id: string, request: AttachRequest, streams: ContainerStreams, signal: AbortSignal): Promise<void>;
  /** One connection to a port inside the sandbox's network; resolves when both sides have closed. */
  portForward(
    sandboxId: string,
    port: number,
    stream: NodeJS.ReadWriteStream,
    signal: AbortSignal,
  ): Promise<void>;

  containerStats(id: string): Promise<ContainerStats>;
  listContainerStats(filter?: ContainerFilter): Promise<readonly ContainerStats[]>;
  podSandboxStats(id: string): Promise<PodSandboxStats>;

  /**
   * Called whenever a container or sandbox changed its state (CRI's GetContainerEvents), also for those that ended by
   * themselves. Events may be lost over a restart of the runtime; listing is the truth.
   */
  onContainerEvent(listener: (event: ContainerEvent) => void): Disposable;

  /** What the runtime learns from the cluster after its start (CRI's UpdateRuntimeConfig). Absent: it needs nothing. */
  updateRuntimeConfig?(config: RuntimeConfig): Promise<void>;
}

export interface RuntimeConfig {
  /** The node's range of pod addresses, `10.244.3.0/24`; several are joined by commas. */
  readonly podCidr: string;
}

export interface ImageService {
  listImages(filter?: { readonly image?: string }): Promise<readonly Image[]>;
  /** Undefined when the image is not here. */
  imageStatus(image: string): Promise<Image | undefined>;
  /** Resolves to the image's id. Throws `ImagePullError`. */
  pullImage(image: string, auth?: RegistryAuth, signal?: AbortSignal): Promise<string>;
  removeImage(image: string): Promise<void>;
  imageFsInfo(): Promise<FilesystemUsage>;
}

export interface RuntimeVersion {
  readonly runtimeName: string;
  readonly runtimeVersion: string;
  readonly runtimeApiVersion: string;
}

export interface RuntimeStatus {
  /** `RuntimeReady` and `NetworkReady`. */
  readonly conditions: readonly RuntimeCondition[];
}

export interface RuntimeCondition {
  readonly type: string;
  readonly status: boolean;
  readonly reason: string;
  readonly message: string;
}

export type Labels = Readonly<Record<string, string>>;

export interface PodSandboxMetadata {
  readonly name: string;
  readonly uid: string;
  readonly namespace: string;
  readonly attempt: number;
}

/** POD: shared in the sandbox. CONTAINER: one of its own. NODE: the machine's. */
export type NamespaceMode = 'POD' | 'CONTAINER' | 'NODE';

export interface NamespaceOptions {
  readonly network: NamespaceMode;
  readonly pid: NamespaceMode;
  readonly ipc: NamespaceMode;
}

export interface PodSandboxConfig {
  readonly metadata: PodSandboxMetadata;
  readonly hostname: string;
  readonly logDirectory: string;
  readonly dnsConfig?: DnsConfig;
  readonly portMappings: readonly PortMapping[];
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly linux: LinuxPodSandboxConfig;
}

export interface LinuxPodSandboxConfig {
  /** Path of the pod's cgroup below the cgroup root, made by the kubelet; the containers' are made below it. */
  readonly cgroupParent: string;
  readonly namespaces: NamespaceOptions;
  readonly sysctls: Labels;
  readonly supplementalGroups?: readonly number[];
  readonly fsGroup?: number;
  readonly privileged?: boolean;
}

export interface DnsConfig {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

export interface PortMapping {
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  readonly containerPort: number;
  readonly hostPort: number;
  readonly hostIp: string;
}

export type PodSandboxState = 'SANDBOX_READY' | 'SANDBOX_NOTREADY';

export interface PodSandbox {
  readonly id: string;
  readonly metadata: PodSandboxMetadata;
  readonly state: PodSandboxState;
  readonly createdAt: number;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly runtimeHandler: string;
}

export interface PodSandboxStatus extends PodSandbox {
  /** First the primary address; empty for the node's network. */
  readonly ips: readonly string[];
  readonly namespaces: NamespaceOptions;
}

export interface PodSandboxFilter {
  readonly id?: string;
  readonly state?: PodSandboxState;
  readonly labelSelector?: Labels;
}

export interface ContainerMetadata {
  readonly name: string;
  readonly attempt: number;
}

export interface ContainerConfig {
  readonly metadata: ContainerMetadata;
  readonly image: string;
  /** Replaces the image's entrypoint and with it its arguments; empty: the image's. */
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly workingDir?: string;
  readonly envs: readonly { readonly key: string; readonly value: string }[];
  readonly mounts: readonly Mount[];
  readonly devices?: readonly Device[];
  readonly labels: Labels;
  readonly annotations: Labels;
  /** Relative to the sandbox's log directory. */
  readonly logPath: string;
  readonly stdin: boolean;
  /** Standard input is closed when the first attached client leaves. */
  readonly stdinOnce: boolean;
  readonly tty: boolean;
  /** For example SIGTERM; absent: the image's, else SIGTERM. */
  readonly stopSignal?: string;
  readonly linux: LinuxContainerConfig;
}

export interface Mount {
  readonly containerPath: string;
  readonly hostPath: string;
  readonly readonly: boolean;
  readonly propagation?: 'PRIVATE' | 'HOST_TO_CONTAINER' | 'BIDIRECTIONAL';
  /** Only this image's content is mounted (image volumes); `hostPath` is empty then. */
  readonly image?: string;
  readonly imageSubPath?: string;
  /** Makes the mounts below a read-only one read-only too (KEP-3857). */
  readonly recursiveReadonly?: boolean;
}

/** A device node of the machine that the container may use. */
export interface Device {
  readonly containerPath: string;
  readonly hostPath: string;
  /** Of `r` (read), `w` (write) and `m` (mknod). */
  readonly permissions: string;
}

export interface LinuxContainerConfig {
  readonly resources: LinuxContainerResources;
  readonly securityContext: LinuxContainerSecurityContext;
}

/** Units of the kernel's cgroup files; absent values are left as they are. */
export interface LinuxContainerResources {
  /** Microseconds. */
  readonly cpuPeriod?: number;
  /** Microseconds a period; -1: no limit. */
  readonly cpuQuota?: number;
  readonly cpuShares?: number;
  /** Bytes; 0: no limit. */
  readonly memoryLimitInBytes?: number;
  readonly oomScoreAdj?: number;
  readonly cpusetCpus?: string;
  readonly pidsLimit?: number;
  readonly hugepageLimits?: readonly { readonly pageSize: string; readonly limit: number }[];
  readonly unified?: Labels;
}

export interface LinuxContainerSecurityContext {
  readonly addCapabilities: readonly string[];
  readonly dropCapabilities: readonly string[];
  readonly privileged: boolean;
  readonly namespaces: NamespaceOptions;
  /** Container whose process namespace an ephemeral container shares. */
  readonly targetContainerId?: string;
  readonly runAsUser?: number;
  readonly runAsUserName?: string;
  readonly runAsGroup?: number;
  readonly readonlyRootfs: boolean;
  readonly supplementalGroups: readonly number[];
  readonly noNewPrivileges: boolean;
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  readonly seccompProfile?: SecurityProfile;
  readonly apparmorProfile?: SecurityProfile;
}

export interface SecurityProfile {
  readonly type: 'RuntimeDefault' | 'Unconfined' | 'Localhost';
  readonly localhostRef?: string;
}

export type ContainerState =
  'CONTAINER_CREATED' | 'CONTAINER_RUNNING' | 'CONTAINER_EXITED' | 'CONTAINER_UNKNOWN';

export interface Container {
  readonly id: string;
  readonly sandboxId: string;
  readonly metadata: ContainerMetadata;
  readonly image: string;
  readonly imageRef: string;
  readonly state: ContainerState;
  readonly createdAt: number;
  readonly labels: Labels;
  readonly annotations: Labels;
}

export interface ContainerStatus extends Container {
  /** 0 while not started. */
  readonly startedAt: number;
  /** 0 while not ended. */
  readonly finishedAt: number;
  readonly exitCode: number;
  /** Signal that ended it, 0 for none. */
  readonly signal: number;
  /** `Completed`, `Error`, `OOMKilled`, `ContainerCannotRun`, `StartError` … */
  readonly reason: string;
  readonly message: string;
  readonly mounts: readonly Mount[];
  /** Absolute; empty when `Runtime.logs` keeps the log. */
  readonly logPath: string;
  readonly resources?: LinuxContainerResources;
  readonly user?: {
    readonly uid: number;
    readonly gid: number;
    readonly supplementalGroups: readonly number[];
  };
}

export interface ContainerFilter {
  readonly id?: string;
  readonly state?: ContainerState;
  readonly podSandboxId?: string;
  readonly labelSelector?: Labels;
}

export interface ExecSyncResult {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly exitCode: number;
}

export interface ExecRequest {
  readonly command: readonly string[];
  readonly tty: boolean;
}

export interface AttachRequest {
  readonly tty: boolean;
}

export interface ExitStatus {
  readonly exitCode: number;
}

/** The near ends of a remote client's streams; absent ones were not asked for. With a terminal there is no `stderr`. */
export interface ContainerStreams {
  readonly stdin?: NodeJS.ReadableStream;
  readonly stdout?: NodeJS.WritableStream;
  readonly stderr?: NodeJS.WritableStream;
  /** Terminal sizes as the client's window changes; the first one at once. */
  readonly resize?: AsyncIterable<TerminalSize>;
}

export interface TerminalSize {
  readonly width: number;
  readonly height: number;
}

export interface ContainerStats {
  readonly id: string;
  readonly metadata: ContainerMetadata;
  readonly labels: Labels;
  readonly timestamp: number;
  readonly cpuUsageCoreNanoSeconds: number;
  readonly memoryUsageBytes: number;
  readonly memoryWorkingSetBytes: number;
  readonly memoryRssBytes: number;
  readonly writableLayer: FilesystemUsage;
}

export interface PodSandboxStats {
  readonly id: string;
  readonly timestamp: number;
  readonly cpuUsageCoreNanoSeconds: number;
  readonly memoryUsageBytes: number;
  readonly memoryWorkingSetBytes: number;
  readonly processCount: number;
  readonly network?: { readonly rxBytes: number; readonly txBytes: number; readonly interfaceName: string };
  readonly containers: readonly ContainerStats[];
}

export interface FilesystemUsage {
  readonly mountpoint: string;
  readonly usedBytes: number;
  readonly inodesUsed: number;
}

export interface ContainerEvent {
  readonly containerId: string;
  readonly podSandboxId: string;
  readonly podUid: string;
  readonly type:
    | 'CONTAINER_CREATED_EVENT'
    | 'CONTAINER_STARTED_EVENT'
    | 'CONTAINER_STOPPED_EVENT'
    | 'CONTAINER_DELETED_EVENT';
  readonly createdAt: number;
}

export interface Image {
  /** `sha256:…` of the image's configuration. */
  readonly id: string;
  readonly repoTags: readonly string[];
  readonly repoDigests: readonly string[];
  readonly size: number;
  /** From the image's configuration; at most one of the two. */
  readonly uid?: number;
  readonly username?: string;
  readonly pinned: boolean;
}

export interface RegistryAuth {
  readonly username?: string;
  readonly password?: string;
  readonly identityToken?: string;
  readonly registryToken?: string;
  readonly serverAddress?: string;
}

/** The thing named is not there (gRPC NotFound). */
export class RuntimeNotFoundError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RuntimeNotFoundError';
  }
}

export class ExecTimeoutError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ExecTimeoutError';
  }
}

/** `reason` is the kubelet's word for it: `ErrImagePull`, `InvalidImageName`, `RegistryUnavailable`, `ErrImageNeverPull`. */
export class ImagePullError extends Error {
  readonly reason: string;
  constructor(reason: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ImagePullError';
    this.reason = reason;
  }
}

/**
 * How a runtime gives a sandbox its network. The node's network component (or CNI) implements it; `netns` is the path of
 * the sandbox's network namespace.
 */
export interface PodNetwork {
  /** Undefined when ready, else why not. */
  notReadyReason(): string | undefined;
  setUp(pod: PodNetworkRequest): Promise<{ readonly ips: readonly string[] }>;
  /** Twice is harmless, also when the namespace is gone. */
  tearDown(pod: PodNetworkRequest): Promise<void>;
}

export interface PodNetworkRequest {
  readonly sandboxId: string;
  readonly netns: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly portMappings: readonly PortMapping[];
}
