import { corev1 } from '@k8ts/api';
import { isNotFound, jsonEqual, StatusError } from '@k8ts/apimachinery';
import { type CancelTimer, type Clock, errorMessage, type Logger } from '@k8ts/base';
import type { Client } from '@k8ts/client';

import { isMirrorPod, podName, podNamespace, podUid } from './pod/pod-spec.ts';
import type { Pod, PodStatus } from './pod/types.ts';
import { stampStatus, statusPatch } from './status-patch.ts';

export interface StatusManagerOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The API's copy of a pod: the pod itself, the mirror of a static one, or undefined when there is none (yet). */
  readonly apiPod: (pod: Pod) => Pod | undefined;
}

interface Entry {
  pod: Pod;
  status: PodStatus;
  /** What the API had after the last patch of ours; the informer may be behind it. */
  sent: PodStatus | undefined;
  /** Nothing of the pod runs any more and its resources are taken back. */
  finished: boolean;
  deleted: boolean;
  running: boolean;
  again: boolean;
  retry: CancelTimer | undefined;
  failures: number;
}

const FIRST_RETRY = 500;
const LAST_RETRY = 10_000;

/**
 * Brings the pods' statuses to the API: at most one write a pod under way, the newest status always wins, failures are
 * tried again. A pod that is being deleted and whose containers are all gone is deleted for good here, and only here.
 */
export class StatusManager {
  readonly #options: StatusManagerOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #abort = new AbortController();
  readonly #syncs = new Set<Promise<void>>();

  constructor(options: StatusManagerOptions) {
    this.#options = options;
  }

  /** The newest status set; undefined before the first. */
  get(uid: string): PodStatus | undefined {
    return this.#entries.get(uid)?.status;
  }

  /** Conditions get their times here; returns the status as it will be in the API. */
  set(pod: Pod, status: PodStatus): PodStatus {
    const uid = podUid(pod);
    const known = this.#entries.get(uid);
    const previous = known?.status ?? pod.status;
    const stamped = stampStatus(status, previous, this.#options.clock.now());
    if (known === undefined) {
      const entry: Entry = {
        pod,
        status: stamped,
        sent: undefined,
        finished: false,
        deleted: false,
        running: false,
        again: false,
        retry: undefined,
        failures: 0,
      };
      this.#entries.set(uid, entry);
      this.#start(entry);
      return stamped;
    }
    known.pod = pod;
    if (jsonEqual(known.status, stamped)) return known.status;
    known.status = stamped;
    this.#start(known);
    return stamped;
  }

  /** All that the pod had on the node is taken back. With a deletion timestamp it is now deleted from the API. */
  finish(pod: Pod): void {
    const entry = this.#entries.get(podUid(pod));
    if (entry === undefined) return;
    entry.pod = pod;
    entry.finished = true;
    this.#start(entry);
  }

  /** The API's copy changed (a mirror pod was made or replaced): what was sent counts for nothing. */
  resend(uid: string): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    entry.sent = undefined;
    this.#start(entry);
  }

  forget(uid: string): void {
    const entry = this.#entries.get(uid);
    entry?.retry?.();
    this.#entries.delete(uid);
  }

  /** Resolves when no write is under way; those that wait for a retry are left. */
  async idle(): Promise<void> {
    while (this.#syncs.size > 0) await Promise.all(this.#syncs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const entry of this.#entries.values()) entry.retry?.();
    this.#abort.abort(new Error('stopped'));
    await this.idle();
  }

  #start(entry: Entry): void {
    if (this.#abort.signal.aborted) return;
    if (entry.running) {
      entry.again = true;
      return;
    }
    entry.retry?.();
    entry.retry = undefined;
    entry.running = true;
    const sync = this.#sync(entry).finally(() => {
      this.#syncs.delete(sync);
      entry.running = false;
      const { again } = entry;
      entry.again = false;
      if (again && this.#entries.get(podUid(entry.pod)) === entry) this.#start(entry);
    });
    this.#syncs.add(sync);
  }

  async #sync(entry: Entry): Promise<void> {
    await Promise.resolve(); // what is set in the same turn goes out as one write
    try {
      await this.#write(entry);
      entry.failures = 0;
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      const { clock, logger } = this.#options;
      const delay = Math.min(FIRST_RETRY * 2 ** entry.failures++, LAST_RETRY);
      logger.warn('Failed to update status for pod', {
        pod: `${podNamespace(entry.pod)}/${podName(entry.pod)}`,
        error: errorMessage(error),
      });
      entry.sent = undefined;
      entry.retry = clock.setTimeout(() => this.#start(entry), delay);
    }
  }

  async #write(entry: Entry): Promise<void> {
    const { signal } = this.#abort;
    const target = this.#options.apiPod(entry.pod);
    if (target === undefined || entry.deleted) return;
    // The end may come while this status is on its way: the last one has to be there before the pod goes, for a finalizer
    // may keep it, and somebody wait to read how it ended. `again` leads back here.
    const { finished } = entry;
    const pods = this.#options.client.resource(corev1.pods, podNamespace(target));
    const patch = statusPatch(entry.sent ?? target.status ?? {}, entry.status, podUid(target));
    if (patch !== undefined) {
      try {
        const { status } = await pods.patch(podName(target), patch, {
          type: 'strategic',
          subresource: 'status',
          signal,
        });
        entry.sent = status ?? {};
      } catch (error) {
        if (isGone(error)) return;
        throw error;
      }
    }
    if (!finished || isMirrorPod(target) || entry.pod.metadata.deletionTimestamp === undefined) return;
    try {
      await pods.delete(podName(target), {
        gracePeriodSeconds: 0,
        preconditions: { uid: podUid(target) },
        signal,
      });
    } catch (error) {
      if (!isGone(error)) throw error;
    }
    entry.deleted = true;
  }
}

/** The pod is not there any more, or one of the same name is another pod. */
function isGone(error: unknown): boolean {
  return (
    isNotFound(error) || (error instanceof StatusError && error.code === 409 && /uid/i.test(error.message))
  );
}
