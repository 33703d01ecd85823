import type { ContainerPaths } from './layout.ts';
import type { OciProcess } from './oci-spec.ts';

/** How containers are run: by an OCI runtime program (`OciRuntime`), or by util-linux (`UtilLinuxRuntime`). */
export interface ContainerRunner {
  /** What it cannot do, in a sentence for logs and the runtime's status; undefined when nothing is missing. */
  readonly shortcomings: string | undefined;
  /** Creates the container of the bundle's `config.json`; its process exists then and waits for `start`. */
  create(id: string, paths: ContainerPaths, options: CreateOptions): Promise<{ readonly pid: number }>;
  start(id: string, paths: ContainerPaths): Promise<void>;
  /** Takes away state and control group, and kills what is left in it. Twice is harmless. */
  delete(id: string, paths: ContainerPaths): Promise<void>;
  update(id: string, paths: ContainerPaths, resources: Record<string, unknown>): Promise<void>;
  /** The program that runs a command in a container, for the caller to start and to connect its streams. */
  exec(id: string, paths: ContainerPaths, files: CommandFiles, process: OciProcess): ProgramCall;
}

export interface CreateOptions {
  readonly logPath: string;
  readonly terminal: boolean;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
}

/** The files of one command: what to run, and where its pid is to be written once it runs. */
export interface CommandFiles {
  readonly specFile: string;
  readonly pidFile: string;
}

export interface ProgramCall {
  readonly program: string;
  readonly args: readonly string[];
}
