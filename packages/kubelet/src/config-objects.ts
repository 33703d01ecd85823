import { corev1, type KubeObject, type ResourceType } from '@k8ts/api';
import { notFound } from '@k8ts/apimachinery';
import { errorMessage, type Clock, type Logger, sleep } from '@k8ts/base';
import type { Client } from '@k8ts/client';

import type { ConfigSource } from './container/environment.ts';
import { podNamespace, podUid, specContainers } from './pod/pod-spec.ts';
import type { Pod } from './pod/types.ts';

type Kind = 'configMap' | 'secret';

interface Watched {
  readonly kind: Kind;
  readonly namespace: string;
  readonly name: string;
  readonly users: Set<string>;
  readonly stop: AbortController;
  object: KubeObject | undefined;
  /** The first list was read. */
  ready: Promise<void>;
}

const FIRST_RETRY = 500;
const LAST_RETRY = 30_000;

/**
 * The ConfigMaps and Secrets that pods of this node refer to, each watched by its name alone: a kubelet may see no others
 * (node authorization). A change wakes the pods that use it, so volumes follow at once.
 */
export class ConfigObjects implements ConfigSource {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #onChange: (podUid: string) => void;
  readonly #watched = new Map<string, Watched>();
  readonly #byPod = new Map<string, ReadonlySet<string>>();
  readonly #running = new Set<Promise<void>>();

  constructor(client: Client, clock: Clock, logger: Logger, onChange: (podUid: string) => void) {
    this.#client = client;
    this.#clock = clock;
    this.#logger = logger;
    this.#onChange = onChange;
  }

  /** Watches what the pod refers to now, and no longer what only it referred to before. */
  register(pod: Pod): void {
    const uid = podUid(pod);
    const wanted = new Set<string>();
    for (const [kind, name] of references(pod)) {
      const key = `${kind}/${podNamespace(pod)}/${name}`;
      wanted.add(key);
      this.#watch(key, kind, podNamespace(pod), name).users.add(uid);
    }
    for (const key of this.#byPod.get(uid) ?? []) if (!wanted.has(key)) this.#leave(key, uid);
    this.#byPod.set(uid, wanted);
  }

  unregister(uid: string): void {
    for (const key of this.#byPod.get(uid) ?? []) this.#leave(key, uid);
    this.#byPod.delete(uid);
  }

  async configMap(namespace: string, name: string): Promise<corev1.ConfigMap> {
    return await this.#get('configMap', namespace, name);
  }

  async secret(namespace: string, name: string): Promise<corev1.Secret> {
    return await this.#get('secret', namespace, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { stop } of this.#watched.values()) stop.abort(new Error('stopped'));
    this.#watched.clear();
    this.#byPod.clear();
    await Promise.all(this.#running);
  }

  async #get(kind: Kind, namespace: string, name: string): Promise<KubeObject> {
    const watched = this.#watched.get(`${kind}/${namespace}/${name}`);
    if (watched === undefined) return this.#client.resource(typeOf(kind), namespace).get(name);
    await watched.ready;
    if (watched.object === undefined) throw notFound({ group: '', resource: kind.toLowerCase() }, name);
    return watched.object;
  }

  #watch(key: string, kind: Kind, namespace: string, name: string): Watched {
    let watched = this.#watched.get(key);
    if (watched !== undefined) return watched;
    watched = {
      kind,
      namespace,
      name,
      users: new Set(),
      stop: new AbortController(),
      object: undefined,
      ready: Promise.resolve(),
    };
    this.#watched.set(key, watched);
    const entry = watched;
    entry.ready = new Promise((resolve, reject) => {
      const run = this.#run(entry, resolve, reject)
        .catch(() => undefined)
        .finally(() => this.#running.delete(run));
      this.#running.add(run);
    });
    entry.ready.catch(() => undefined);
    return entry;
  }

  async #run(entry: Watched, ready: () => void, failed: (error: unknown) => void): Promise<void> {
    const { signal } = entry.stop;
    const resource = this.#client.resource(typeOf(entry.kind), entry.namespace);
    const fieldSelector = `metadata.name=${entry.name}`;
    for (let failures = 0; !signal.aborted;) {
      try {
        const { items, metadata } = await resource.list({ fieldSelector, signal });
        this.#set(entry, items[0]);
        ready();
        const changes = await resource.watch({
          fieldSelector,
          resourceVersion: metadata.resourceVersion,
          signal,
        });
        failures = 0;
        for await (const batch of changes)
          for (const { type, object } of batch)
            if (type !== 'BOOKMARK') this.#set(entry, type === 'DELETED' ? undefined : object);
      } catch (error) {
        if (signal.aborted) return;
        // Whoever waits for the first answer gets the error, and asks again later.
        failed(error);
        entry.ready = entry.object === undefined ? rejected(error) : Promise.resolve();
        this.#logger.warn('Cannot watch an object that pods refer to', {
          kind: entry.kind,
          name: `${entry.namespace}/${entry.name}`,
          error: errorMessage(error),
        });
        failures++;
      }
      const delay = failures === 0 ? FIRST_RETRY : Math.min(FIRST_RETRY * 2 ** (failures - 1), LAST_RETRY);
      await sleep(this.#clock, delay, signal);
    }
  }

  #set(entry: Watched, object: KubeObject | undefined): void {
    const changed = entry.object?.metadata.resourceVersion !== object?.metadata.resourceVersion;
    const first = entry.object === undefined && object === undefined;
    entry.object = object;
    entry.ready = Promise.resolve();
    if (changed && !first) for (const uid of entry.users) this.#onChange(uid);
  }

  #leave(key: string, uid: string): void {
    const watched = this.#watched.get(key);
    if (watched === undefined) return;
    watched.users.delete(uid);
    if (watched.users.size > 0) return;
    watched.stop.abort(new Error('no pod refers to it any more'));
    this.#watched.delete(key);
  }
}

function rejected(error: unknown): Promise<never> {
  const promise = Promise.reject<never>(error);
  promise.catch(() => undefined);
  return promise;
}

function typeOf(kind: Kind): ResourceType<KubeObject> {
  return kind === 'configMap' ? corev1.configMaps : corev1.secrets;
}

/** All ConfigMaps and Secrets that a pod names: environment, volumes, pull secrets. */
function references(pod: Pod): [Kind, string][] {
  const found: [Kind, string][] = [];
  const add = (kind: Kind, name: string | undefined): void => {
    if (name !== undefined && name !== '') found.push([kind, name]);
  };
  for (const { container } of specContainers(pod)) {
    for (const { configMapRef, secretRef } of container.envFrom ?? []) {
      add('configMap', configMapRef?.name);
      add('secret', secretRef?.name);
    }
    for (const { valueFrom } of container.env ?? []) {
      add('configMap', valueFrom?.configMapKeyRef?.name);
      add('secret', valueFrom?.secretKeyRef?.name);
    }
  }
  for (const { configMap, secret, projected } of pod.spec.volumes ?? []) {
    add('configMap', configMap?.name);
    add('secret', secret?.secretName);
    for (const source of projected?.sources ?? []) {
      add('configMap', source.configMap?.name);
      add('secret', source.secret?.name);
    }
  }
  for (const { name } of pod.spec.imagePullSecrets ?? []) add('secret', name);
  return found;
}
