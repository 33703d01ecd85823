import type { KubeObject, ResourceType } from '@k8ts/api';
import { formatGroupVersion } from '@k8ts/apimachinery';
import { abortable, sleep } from '@k8ts/base';
import type { DiscoveredResource, Discovery, Informer, InformerOptions } from '@k8ts/client';

import type { ControllerContext } from './contract.ts';

export interface MonitorRules {
  /** Which types are watched. */
  wants(type: DiscoveredResource): boolean;
  /** Whether more than the metadata is watched. Absent: no. */
  wholeObjects?(type: ResourceType<KubeObject>): boolean;
  added?(type: ResourceType<KubeObject>, object: KubeObject): void;
  updated?(type: ResourceType<KubeObject>, object: KubeObject, previous: KubeObject): void;
  deleted?(type: ResourceType<KubeObject>, object: KubeObject): void;
  /** The type is no longer part of the API. */
  unserved?(type: ResourceType<KubeObject>): void;
}

export interface Monitor {
  readonly type: DiscoveredResource;
  readonly informer: Informer<KubeObject>;
}

interface Entry extends Monitor {
  readonly options: InformerOptions;
  readonly registration: Disposable;
  /** It has had long enough, and is not waited for any more. */
  overdue: boolean;
}

/** One type whose API does not answer must not hold up all others for longer than this. */
const SYNC_TIMEOUT = 30_000;

/** Informers for all types that the rules want, built-in or custom; they come and go with discovery. */
export class ResourceMonitors {
  readonly #context: ControllerContext;
  readonly #rules: MonitorRules;
  readonly #monitors = new Map<string, Entry>();
  #started = false;
  readonly #waiters = new Set<() => void>();

  constructor(context: ControllerContext, rules: MonitorRules) {
    this.#context = context;
    this.#rules = rules;
  }

  /** Begins to watch what is new and ceases to watch what is gone. What could not be discovered stays as it is. */
  async follow({ resources, failures }: Discovery): Promise<void> {
    const { informers } = this.#context;
    const wanted = new Map<string, DiscoveredResource>();
    for (const type of resources) {
      const key = `${type.resource}.${type.group}`;
      if (type.preferred && this.#rules.wants(type)) wanted.set(key, type);
    }
    for (const [key, { type, options, registration }] of [...this.#monitors]) {
      const now = wanted.get(key);
      if (now?.version === type.version || failures.has(formatGroupVersion(type))) continue;
      this.#monitors.delete(key);
      registration[Symbol.dispose]();
      await informers.stop(type, options);
      // A new preferred version shows the same objects again, under the same UIDs.
      if (now === undefined) this.#rules.unserved?.(type);
    }
    for (const [key, type] of wanted) {
      if (this.#monitors.has(key)) continue;
      const options = this.#rules.wholeObjects?.(type) === true ? {} : { metadataOnly: true };
      const informer = informers.of<KubeObject>(type, options);
      const registration = informer.addHandler({
        added: (object) => this.#rules.added?.(type, object),
        updated: (object, previous) => this.#rules.updated?.(type, object, previous),
        deleted: (object) => this.#rules.deleted?.(type, object),
      });
      this.#monitors.set(key, { type, informer, options, registration, overdue: false });
    }
    informers.start();
    this.#started = true;
    for (const waiter of this.#waiters) waiter();
    this.#waiters.clear();
  }

  /** What is watched now. */
  get all(): Iterable<Monitor> {
    return this.#monitors.values();
  }

  /** Resolves when all types have been listed, or have had long enough to be. */
  async waitForSync(signal: AbortSignal): Promise<void> {
    if (!this.#started) {
      const started = new Promise<void>((resolve) => this.#waiters.add(resolve));
      await abortable(started, signal).catch(() => undefined);
    }
    const missing = [...this.#monitors.values()].filter(
      ({ informer, overdue }) => !informer.synced && !overdue,
    );
    if (missing.length === 0) return;
    const limit = new AbortController();
    const either = AbortSignal.any([signal, limit.signal]);
    const all = async (): Promise<void> => {
      for (const { informer } of missing) await informer.waitForSync(either);
    };
    await Promise.race([all(), sleep(this.#context.clock, SYNC_TIMEOUT, either)]).finally(() =>
      limit.abort(new Error('waited long enough')),
    );
    for (const entry of missing) entry.overdue = !entry.informer.synced;
  }
}
