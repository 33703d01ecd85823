import type { KubeObject } from '@k8ts/api';
import { objectKey } from '@k8ts/client';
import type { Informer } from '@k8ts/client';

/**
 * An informer's objects, some of them as they are going to be: what was decided for one pod counts for the next one before
 * it is written. An assumption ends when the object changes in the API, or is taken back.
 */
export class AssumedObjects<T extends KubeObject> {
  readonly #informer: Informer<T>;
  readonly #assumed = new Map<string, T>();

  constructor(informer: Informer<T>) {
    this.#informer = informer;
  }

  assume(object: T): void {
    this.#assumed.set(objectKey(object), object);
  }

  /** Takes back what was assumed, unless the object has changed since. */
  restore(object: T): void {
    const key = objectKey(object);
    if (this.#assumed.get(key) === object) this.#assumed.delete(key);
  }

  /** To be called with what arrives, before anybody looks. */
  observe(object: T): void {
    const key = objectKey(object);
    const assumed = this.#assumed.get(key);
    if (assumed === undefined) return;
    if (assumed.metadata.uid !== object.metadata.uid || versionOf(object) > versionOf(assumed))
      this.#assumed.delete(key);
  }

  forget(object: T): void {
    this.#assumed.delete(objectKey(object));
  }

  get(key: string): T | undefined {
    return this.#assumed.get(key) ?? this.#informer.lister.byKey(key);
  }

  /** As the API has it. */
  observed(key: string): T | undefined {
    return this.#informer.lister.byKey(key);
  }

  list(): readonly T[] {
    const objects = this.#informer.lister.list();
    return this.#assumed.size === 0
      ? objects
      : objects.map((object) => this.#assumed.get(objectKey(object)) ?? object);
  }
}

export function versionOf({ metadata: { resourceVersion = '0' } }: KubeObject): bigint {
  return BigInt(resourceVersion);
}
