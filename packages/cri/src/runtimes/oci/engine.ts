import { randomBytes } from 'node:crypto';
import type { Clock, Logger } from '@k8ts/base';
import { RuntimeNotFoundError } from '../../contract.ts';
import type { ContainerEvent, PodNetwork } from '../../contract.ts';
import { writeFileAtomic } from '../../files/atomic-file.ts';
import type { ImageStore } from '../../images/image-store.ts';
import type { Host } from './host.ts';
import { containerPaths, sandboxPaths } from './layout.ts';
import type { Layout } from './layout.ts';
import type { ContainerRunner } from './container-runner.ts';
import type { ContainerRecord, SandboxRecord } from './records.ts';

/** What the parts of the embedded runtime share: what there is, and how it is kept. */
export class Engine {
  readonly host: Host;
  readonly layout: Layout;
  readonly runtime: ContainerRunner;
  readonly images: ImageStore;
  readonly network: PodNetwork;
  readonly clock: Clock;
  readonly logger: Logger;
  /** False: root file systems are copies. */
  readonly overlay: boolean;
  readonly sandboxes: Map<string, SandboxRecord> = new Map();
  readonly containers: Map<string, ContainerRecord> = new Map();
  readonly #listeners = new Set<(event: ContainerEvent) => void>();
  readonly #locks = new Map<string, Promise<unknown>>();
  readonly #exitWaiters = new Map<string, Set<() => void>>();

  constructor(parts: {
    readonly host: Host;
    readonly layout: Layout;
    readonly runtime: ContainerRunner;
    readonly images: ImageStore;
    readonly network: PodNetwork;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly overlay: boolean;
  }) {
    this.host = parts.host;
    this.layout = parts.layout;
    this.runtime = parts.runtime;
    this.images = parts.images;
    this.network = parts.network;
    this.clock = parts.clock;
    this.logger = parts.logger;
    this.overlay = parts.overlay;
  }

  /** What does not work here as it should, each in a sentence. */
  get shortcomings(): readonly string[] {
    const copies = this.overlay ? undefined : 'root file systems are copies: no overlay can be mounted here';
    return [this.runtime.shortcomings, copies].filter((text) => text !== undefined);
  }

  newId(): string {
    return randomBytes(32).toString('hex');
  }

  /** Throws `RuntimeNotFoundError`. */
  sandbox(id: string): SandboxRecord {
    const sandbox = this.sandboxes.get(id);
    if (sandbox === undefined) throw new RuntimeNotFoundError(`sandbox ${JSON.stringify(id)}: not found`);
    return sandbox;
  }

  /** Throws `RuntimeNotFoundError`. */
  container(id: string): ContainerRecord {
    const container = this.containers.get(id);
    if (container === undefined) throw new RuntimeNotFoundError(`container ${JSON.stringify(id)}: not found`);
    return container;
  }

  containersOf(sandboxId: string): readonly ContainerRecord[] {
    return [...this.containers.values()].filter((container) => container.sandboxId === sandboxId);
  }

  saveSandbox(sandbox: SandboxRecord): Promise<void> {
    return writeFileAtomic(sandboxPaths(this.layout, sandbox.id).record, JSON.stringify(sandbox));
  }

  saveContainer(container: ContainerRecord): Promise<void> {
    return writeFileAtomic(containerPaths(this.layout, container.id).record, JSON.stringify(container));
  }

  /** Runs `work` when all earlier work on the same thing has ended: one change of state at a time. */
  async exclusive<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.#locks.get(id) ?? Promise.resolve();
    const mine = before.then(work, work);
    const settled = mine.catch(() => undefined);
    this.#locks.set(id, settled);
    try {
      return await mine;
    } finally {
      if (this.#locks.get(id) === settled) this.#locks.delete(id);
    }
  }

  /** Resolves once the container is no longer running; at once when it is not. */
  async untilEnded(id: string): Promise<void> {
    if (this.containers.get(id)?.state !== 'CONTAINER_RUNNING') return;
    await new Promise<void>((resolve) => {
      let waiters = this.#exitWaiters.get(id);
      if (waiters === undefined) this.#exitWaiters.set(id, (waiters = new Set()));
      waiters.add(resolve);
    });
  }

  wakeExitWaiters(id: string): void {
    const waiters = this.#exitWaiters.get(id);
    this.#exitWaiters.delete(id);
    if (waiters !== undefined) for (const wake of waiters) wake();
  }

  onEvent(listener: (event: ContainerEvent) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  emit(container: ContainerRecord, type: ContainerEvent['type']): void {
    const event: ContainerEvent = {
      containerId: container.id,
      podSandboxId: container.sandboxId,
      podUid: this.sandboxes.get(container.sandboxId)?.config.metadata.uid ?? '',
      type,
      createdAt: this.clock.now(),
    };
    for (const listener of this.#listeners) listener(event);
  }

  /** Layers that containers stand on, whatever became of their images. */
  layersInUse(): ReadonlySet<string> {
    return new Set([...this.containers.values()].flatMap(({ diffIds }) => diffIds));
  }
}
