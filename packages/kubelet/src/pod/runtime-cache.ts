import { errorMessage, type Logger } from '@k8ts/base';
import {
  type ContainerStatus,
  type PodSandboxStatus,
  RuntimeNotFoundError,
  type RuntimeService,
} from '@k8ts/cri';

import { POD_UID_LABEL } from './labels.ts';
import { newestFirst, NOTHING_RUNS, type PodRuntimeState } from './runtime-state.ts';

interface Entry {
  readonly sandboxes: Map<string, PodSandboxStatus>;
  readonly containers: Map<string, ContainerStatus>;
  readonly dirtySandboxes: Set<string>;
  readonly dirtyContainers: Set<string>;
  /** Sorted view; undefined after a change. */
  view: PodRuntimeState | undefined;
}

/**
 * What the runtime has, by pod: listed once, then kept by its events (the evented PLEG of KEP-3386). An event only marks
 * what changed; the pod's next `state()` asks the runtime about that and nothing else. A relist finds what events missed.
 */
export class RuntimeCache {
  readonly #runtime: RuntimeService;
  readonly #logger: Logger;
  readonly #entries = new Map<string, Entry>();
  readonly #onChange: (podUid: string) => void;
  readonly #subscription: Disposable;
  readonly #lastWords: ((status: ContainerStatus) => Promise<string>) | undefined;

  /**
   * `onChange` is told which pod changed; it must not throw. `lastWords` gives the message of a container that has ended.
   */
  constructor(
    runtime: RuntimeService,
    logger: Logger,
    onChange: (podUid: string) => void,
    lastWords?: (status: ContainerStatus) => Promise<string>,
  ) {
    this.#lastWords = lastWords;
    this.#runtime = runtime;
    this.#logger = logger;
    this.#onChange = onChange;
    this.#subscription = runtime.onContainerEvent((event) => {
      const entry = this.#entry(event.podUid);
      entry.dirtySandboxes.add(event.podSandboxId);
      if (event.containerId !== '' && event.containerId !== event.podSandboxId)
        entry.dirtyContainers.add(event.containerId);
      this.#onChange(event.podUid);
    });
  }

  /** Lists everything; pods whose containers are not as known are marked and announced. */
  async relist(): Promise<void> {
    const [sandboxes, containers] = await Promise.all([
      this.#runtime.listPodSandboxes(),
      this.#runtime.listContainers(),
    ]);
    const changed = new Set<string>();
    const seen = new Set<string>();
    const note = (uid: string, id: string, kind: 'sandboxes' | 'containers', state: string): void => {
      seen.add(id);
      const entry = this.#entry(uid);
      if (entry[kind].get(id)?.state === state) return;
      (kind === 'sandboxes' ? entry.dirtySandboxes : entry.dirtyContainers).add(id);
      changed.add(uid);
    };
    for (const sandbox of sandboxes) note(sandbox.metadata.uid, sandbox.id, 'sandboxes', sandbox.state);
    for (const container of containers) {
      const uid = container.labels[POD_UID_LABEL];
      if (uid !== undefined) note(uid, container.id, 'containers', container.state);
    }
    for (const [uid, entry] of this.#entries) {
      for (const id of entry.sandboxes.keys())
        if (!seen.has(id)) {
          entry.dirtySandboxes.add(id);
          changed.add(uid);
        }
      for (const id of entry.containers.keys())
        if (!seen.has(id)) {
          entry.dirtyContainers.add(id);
          changed.add(uid);
        }
    }
    for (const uid of changed) this.#onChange(uid);
  }

  /** What runs of the pod, as of now. Throws when the runtime does not answer. */
  async state(podUid: string): Promise<PodRuntimeState> {
    const entry = this.#entries.get(podUid);
    if (entry === undefined) return NOTHING_RUNS;
    if (entry.dirtySandboxes.size > 0) {
      for (const id of [...entry.dirtySandboxes]) {
        entry.dirtySandboxes.delete(id);
        await this.#refresh(entry, entry.sandboxes, id, entry.dirtySandboxes, () =>
          this.#runtime.podSandboxStatus(id),
        );
      }
    }
    if (entry.dirtyContainers.size > 0) {
      for (const id of [...entry.dirtyContainers]) {
        entry.dirtyContainers.delete(id);
        await this.#refresh(entry, entry.containers, id, entry.dirtyContainers, () =>
          this.#containerStatus(id),
        );
      }
    }
    entry.view ??= {
      sandboxes: newestFirst(entry.sandboxes.values()),
      containers: newestFirst(entry.containers.values()),
    };
    return entry.view;
  }

  /** As last seen, without asking. */
  peek(podUid: string): PodRuntimeState {
    const entry = this.#entries.get(podUid);
    if (entry === undefined) return NOTHING_RUNS;
    return {
      sandboxes: newestFirst(entry.sandboxes.values()),
      containers: newestFirst(entry.containers.values()),
    };
  }

  /** The kubelet itself changed something: the event may come late. */
  touch(podUid: string, ids: { readonly sandboxId?: string; readonly containerId?: string }): void {
    const entry = this.#entry(podUid);
    if (ids.sandboxId !== undefined) entry.dirtySandboxes.add(ids.sandboxId);
    if (ids.containerId !== undefined) entry.dirtyContainers.add(ids.containerId);
  }

  /** Pods of which the runtime has something. */
  podUids(): string[] {
    return [...this.#entries.keys()];
  }

  forget(podUid: string): void {
    this.#entries.delete(podUid);
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }

  async #containerStatus(id: string): Promise<ContainerStatus> {
    const status = await this.#runtime.containerStatus(id);
    if (this.#lastWords === undefined || status.state !== 'CONTAINER_EXITED') return status;
    const message = await this.#lastWords(status);
    return message === status.message ? status : { ...status, message };
  }

  async #refresh<T>(
    entry: Entry,
    known: Map<string, T>,
    id: string,
    dirty: Set<string>,
    ask: () => Promise<T>,
  ): Promise<void> {
    try {
      known.set(id, await ask());
    } catch (error) {
      if (!(error instanceof RuntimeNotFoundError)) {
        dirty.add(id);
        this.#logger.warn('Cannot get status from the container runtime', { id, error: errorMessage(error) });
        throw error;
      }
      known.delete(id);
    }
    entry.view = undefined;
  }

  #entry(podUid: string): Entry {
    let entry = this.#entries.get(podUid);
    if (entry === undefined) {
      entry = {
        sandboxes: new Map(),
        containers: new Map(),
        dirtySandboxes: new Set(),
        dirtyContainers: new Set(),
        view: undefined,
      };
      this.#entries.set(podUid, entry);
    }
    return entry;
  }
}
