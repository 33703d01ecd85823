import type { PodSandboxStatus } from '@k8ts/cri';

import type { PodHost } from './pod-host.ts';
import { podUid } from './pod-spec.ts';
import { PodWorker } from './pod-worker.ts';
import type { PodEnding } from './pod-ending.ts';
import type { Pod } from './types.ts';

/** The workers of all pods of a node. */
export class PodWorkers {
  readonly #host: PodHost;
  readonly #workers = new Map<string, PodWorker>();
  readonly #onGone: ((pod: Pod) => void) | undefined;

  /** `onGone`: a pod that was removed from the API has left the node without a trace. */
  constructor(host: PodHost, onGone?: (pod: Pod) => void) {
    this.#host = host;
    this.#onGone = onGone;
  }

  /** A pod is new on this node, or changed. */
  sync(pod: Pod): void {
    const worker = this.#workers.get(podUid(pod));
    if (worker === undefined) this.#add(pod).wake();
    else worker.update(pod);
  }

  /** A pod is not in its source any more. */
  removed(pod: Pod): void {
    this.#workers.get(podUid(pod))?.remove();
  }

  evict(uid: string, ending: PodEnding, gracePeriod?: number): boolean {
    const worker = this.#workers.get(uid);
    worker?.evict(ending, gracePeriod);
    return worker !== undefined;
  }

  wake(uid: string): void {
    this.#workers.get(uid)?.wake();
  }

  get(uid: string): Pod | undefined {
    return this.#workers.get(uid)?.pod;
  }

  has(uid: string): boolean {
    return this.#workers.has(uid);
  }

  /** All pods that the node knows, the ended ones too. */
  pods(): Pod[] {
    return [...this.#workers.values()].map(({ pod }) => pod);
  }

  /** The pods that hold resources of the node. */
  active(): Pod[] {
    return [...this.#workers.values()]
      .filter((worker) => worker.admitted && !worker.terminated)
      .map(({ pod }) => pod);
  }

  /**
   * Ends what the runtime has of pods that no source knows: they were removed while the kubelet was down. To be called
   * only when all sources have been read.
   */
  async endOrphans(): Promise<void> {
    for (const uid of this.#host.runtimeCache.podUids()) {
      if (this.#workers.has(uid)) continue;
      const { sandboxes } = await this.#host.runtimeCache.state(uid);
      const sandbox = sandboxes[0];
      if (sandbox === undefined || this.#workers.has(uid)) continue;
      this.#host.logger.info('Killing unwanted pod', { podUid: uid, pod: sandbox.metadata.name });
      this.#add(podFromSandbox(sandbox)).remove();
    }
  }

  /** Ends all workers; the pods go on running. */
  async stop(): Promise<void> {
    await Promise.all([...this.#workers.values()].map((worker) => worker.stop()));
    this.#workers.clear();
  }

  #add(pod: Pod): PodWorker {
    const worker = new PodWorker(this.#host, pod, (gone) => {
      if (this.#workers.get(gone.uid) === gone) this.#workers.delete(gone.uid);
      this.#onGone?.(gone.pod);
    });
    this.#workers.set(worker.uid, worker);
    return worker;
  }
}

/** Enough of a pod to end it: its containers bring their grace period in their annotations. */
function podFromSandbox({ metadata }: PodSandboxStatus): Pod {
  const { name, namespace, uid } = metadata;
  return { metadata: { name, namespace, uid }, spec: { containers: [] } };
}
