import { corev1 } from '@k8ts/api';
import { isAlreadyExists, isConflict, isNotFound } from '@k8ts/apimachinery';
import { type Clock, errorMessage, type Logger } from '@k8ts/base';
import type { Client } from '@k8ts/client';

import { isMirrorPod, podKey, podName, podNamespace, podUid } from '../pod/pod-spec.ts';
import type { Node, Pod } from '../pod/types.ts';
import { isMirrorOf, mirrorPod } from './static-pod.ts';

export interface MirrorPodsOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly node: () => Node | undefined;
  /** The API's pod of a key (`namespace/name`), as the informer has it. */
  readonly apiPod: (key: string) => Pod | undefined;
}

/**
 * Keeps one mirror pod in the API for each static pod, and none without one. Whoever deletes a mirror gets a new one: what
 * runs is decided by the manifest.
 */
export class MirrorPods {
  readonly #options: MirrorPodsOptions;
  #working: Promise<void> = Promise.resolve();

  constructor(options: MirrorPodsOptions) {
    this.#options = options;
  }

  /** Brings the mirrors in line. `all` are the API's pods of this node. */
  reconcile(staticPods: readonly Pod[], all: readonly Pod[], signal: AbortSignal): Promise<void> {
    this.#working = this.#working.then(() => this.#reconcile(staticPods, all, signal));
    return this.#working;
  }

  async #reconcile(staticPods: readonly Pod[], all: readonly Pod[], signal: AbortSignal): Promise<void> {
    const byKey = new Map(staticPods.map((pod) => [podKey(pod), pod]));
    for (const mirror of all) {
      if (signal.aborted) return;
      const wanted = byKey.get(podKey(mirror));
      if (!isMirrorPod(mirror)) continue;
      if (
        wanted === undefined ||
        !isMirrorOf(mirror, wanted) ||
        mirror.metadata.deletionTimestamp !== undefined
      )
        await this.#delete(mirror, signal);
    }
    for (const pod of staticPods) {
      if (signal.aborted) return;
      const present = this.#options.apiPod(podKey(pod));
      if (present !== undefined && isMirrorPod(present) && isMirrorOf(present, pod)) continue;
      await this.#create(pod, signal);
    }
  }

  async #create(pod: Pod, signal: AbortSignal): Promise<void> {
    const { client, logger, node } = this.#options;
    try {
      await client.resource(corev1.pods, podNamespace(pod)).create(mirrorPod(pod, node()), { signal });
    } catch (error) {
      // The one before may still be going; the next turn finds it gone.
      if (!signal.aborted && !isAlreadyExists(error))
        logger.warn('Failed creating a mirror pod', { pod: podKey(pod), error: errorMessage(error) });
    }
  }

  async #delete(mirror: Pod, signal: AbortSignal): Promise<void> {
    const { client, logger } = this.#options;
    try {
      await client.resource(corev1.pods, podNamespace(mirror)).delete(podName(mirror), {
        gracePeriodSeconds: 0,
        preconditions: { uid: podUid(mirror) },
        signal,
      });
    } catch (error) {
      if (!signal.aborted && !isNotFound(error) && !isConflict(error))
        logger.warn('Failed deleting a mirror pod', { pod: podKey(mirror), error: errorMessage(error) });
    }
  }
}
