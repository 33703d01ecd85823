import type { KubeObject, ResourceType } from '@k8ts/api';
import { formatGroupVersion } from '@k8ts/apimachinery';
import { abortable, sleep } from '@k8ts/base';
import type { DiscoveredResource, Discovery, Informer } from '@k8ts/client';

import type { ControllerContext } from '../contract.ts';

export interface MonitorEvents {
  observed(type: ResourceType<KubeObject>, object: KubeObject): void;
  deleted(type: ResourceType<KubeObject>, object: KubeObject): void;
  /** The type is no longer part of the API. */
  unserved(type: ResourceType<KubeObject>): void;
}

interface Monitor {
  readonly type: DiscoveredResource;
  readonly informer: Informer<KubeObject>;
  readonly registration: Disposable;
}

/** Events own nothing, belong to nobody for long, and are too many. */
const IGNORED: ReadonlySet<string> = new Set(['events.', 'events.events.k8s.io']);

/** One type whose API does not answer must not hold up all others for longer than this. */
const SYNC_TIMEOUT = 30_000;

/** Watches the metadata of all objects that can be deleted, whatever their kind. */
export class Monitors {
  readonly #context: ControllerContext;
  readonly #events: MonitorEvents;
  readonly #monitors = new Map<string, Monitor>();
  #started = false;
  readonly #waiters = new Set<() => void>();

  constructor(context: ControllerContext, events: MonitorEvents) {
    this.#context = context;
    this.#events = events;
  }

  /** Begins to watch what is new and ceases to watch what is gone. What could not be discovered stays as it is. */
  async follow({ resources, failures }: Discovery): Promise<void> {
    const { informers } = this.#context;
    const wanted = new Map<string, DiscoveredResource>();
    for (const type of resources) {
      const key = `${type.resource}.${type.group}`;
      if (!type.preferred || IGNORED.has(key)) continue;
      if (['delete', 'list', 'watch'].every((verb) => type.verbs.includes(verb))) wanted.set(key, type);
    }
    for (const [key, { type, registration }] of [...this.#monitors]) {
      const now = wanted.get(key);
      if (now?.version === type.version || failures.has(formatGroupVersion(type))) continue;
      this.#monitors.delete(key);
      registration[Symbol.dispose]();
      await informers.stop(type, { metadataOnly: true });
      // A new preferred version shows the same objects again, under the same UIDs.
      if (now === undefined) this.#events.unserved(type);
    }
    for (const [key, type] of wanted) {
      if (this.#monitors.has(key)) continue;
      const informer = informers.of<KubeObject>(type, { metadataOnly: true });
      const registration = informer.addHandler({
        added: (object) => this.#events.observed(type, object),
        updated: (object) => this.#events.observed(type, object),
        deleted: (object) => this.#events.deleted(type, object),
      });
      this.#monitors.set(key, { type, informer, registration });
    }
    informers.start();
    this.#started = true;
    for (const waiter of this.#waiters) waiter();
    this.#waiters.clear();
  }

  /** Resolves when all types have been listed, or have had long enough to be. */
  async waitForSync(signal: AbortSignal): Promise<void> {
    if (!this.#started) {
      const started = new Promise<void>((resolve) => this.#waiters.add(resolve));
      await abortable(started, signal).catch(() => undefined);
    }
    const missing = [...this.#monitors.values()].filter(({ informer }) => !informer.synced);
    if (missing.length === 0) return;
    const limit = new AbortController();
    const either = AbortSignal.any([signal, limit.signal]);
    const all = async (): Promise<void> => {
      for (const { informer } of missing) await informer.waitForSync(either);
    };
    await Promise.race([all(), sleep(this.#context.clock, SYNC_TIMEOUT, either)]).finally(() =>
      limit.abort(new Error('waited long enough')),
    );
  }
}
