/** What the command line asks of the rest of k8ts; the composition root implements it. */
export interface ProgramActions {
  /**
   * Starts a cluster here. Resolves when it is ready; the caller decides when it stops. When the signal aborts before, what
   * was started is taken back, and the promise rejects with the signal's reason.
   */
  up(options: UpOptions, progress: Progress, signal: AbortSignal): Promise<RunningCluster>;
  /** Flags of `up` that the API server has, by upstream’s names; they are handed on as they are. */
  readonly apiserverFlags: readonly ComponentFlag[];
  /** Stops the cluster of a data directory and removes what it made on the machine; its data stay. */
  down(options: DirectoryOptions, progress: Progress): Promise<void>;
  status(options: DirectoryOptions): Promise<ClusterStatus>;
  /** `down`, and then the data are deleted too. */
  reset(options: DirectoryOptions, progress: Progress): Promise<void>;
  readonly images: ImageActions;
  /** The single components, by upstream's program name. */
  readonly components: readonly ComponentCommand[];
}

export interface DirectoryOptions {
  readonly dataDir: string;
}

export interface UpOptions extends DirectoryOptions {
  /** The user's kubeconfig, which the cluster is added to. */
  readonly kubeconfig: string;
  /** Of the API server; 0: any. */
  readonly port: number;
  /** `lmdb`, `memory`, or the URLs of an etcd cluster, separated by commas. */
  readonly store: string;
  /** This machine is a node. */
  readonly node: boolean;
  readonly nodeName: string;
  readonly runtime: 'auto' | 'oci' | 'simulated';
  /** How many simulated nodes there are besides. */
  readonly simulate: number;
  /** A directory of image archives to load. */
  readonly images: string | undefined;
  readonly staticPodPath: string | undefined;
  /** Seconds that a container which crashes again and again waits at most; 1 to 300. */
  readonly maxContainerRestartPeriod: number;
  /** Serve what older Kubernetes served and 1.36 does not: policy/v1beta1, batch/v1beta1 … */
  readonly legacyApis: boolean;
  /** Those of `apiserverFlags` that were given, by their names. */
  readonly apiserverFlags?: Readonly<Record<string, string>>;
}

export interface RunningCluster {
  readonly server: string;
  /** Resolves if the cluster ends by itself. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

export interface ClusterStatus {
  readonly state: 'running' | 'stopped' | 'absent';
  readonly pid?: number;
  readonly server?: string;
  /** One line each: what /readyz and the nodes say. */
  readonly details: readonly string[];
}

export interface ImageActions {
  import(options: DirectoryOptions, file: string): Promise<readonly string[]>;
  list(options: DirectoryOptions): Promise<readonly ImageRow[]>;
  remove(options: DirectoryOptions, image: string): Promise<void>;
  pull(options: DirectoryOptions, image: string): Promise<string>;
  tag(options: DirectoryOptions, image: string, tag: string): Promise<void>;
}

export interface ImageRow {
  readonly id: string;
  readonly tags: readonly string[];
  /** Bytes. */
  readonly size: number;
}

/** One component with upstream's flags. */
export interface ComponentCommand {
  readonly name: string;
  readonly description: string;
  readonly flags: readonly ComponentFlag[];
  /** Runs until the signal aborts. */
  run(flags: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void>;
}

export interface ComponentFlag {
  /** Without the dashes. */
  readonly name: string;
  readonly description: string;
  readonly default?: string;
  readonly required?: boolean;
  /** Given several times, it has all values, one per line. */
  readonly repeatable?: boolean;
}

/** Tells a person how far a start or stop is. */
export interface Progress {
  /** Begins a step; the one before is done. */
  step(text: string): void;
  /** A line beside the steps. */
  note(text: string): void;
  /** The last step is done, or has failed. */
  end(outcome: 'done' | 'failed'): void;
}

/** Something the user can mend; its message is shown without a stack. */
export class UserError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UserError';
  }
}
