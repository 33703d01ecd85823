import type { KubeObject } from '@k8ts/api';
import { objectKey } from '@k8ts/client';
import type { Lister } from '@k8ts/client';

/**
 * A lister that sees at once what the controller itself has written. Between a write and its arrival by the watch, the next
 * claim would be given a volume that has just been given away; the write would be refused, but only after a detour.
 */
export class WrittenObjects<T extends KubeObject> {
  readonly #lister: Lister<T>;
  readonly #written = new Map<string, T>();

  constructor(lister: Lister<T>) {
    this.#lister = lister;
  }

  /** To be called with the answer of each write. */
  put(object: T): T {
    this.#written.set(objectKey(object), object);
    return object;
  }

  /** To be called when the object is gone. */
  forget(key: string): void {
    this.#written.delete(key);
  }

  byKey(key: string): T | undefined {
    return this.#newer(key, this.#lister.byKey(key));
  }

  list(): readonly T[] {
    const objects = this.#lister.list();
    return this.#written.size === 0
      ? objects
      : objects.map((object) => this.#newer(objectKey(object), object) as T);
  }

  #newer(key: string, observed: T | undefined): T | undefined {
    const written = this.#written.get(key);
    if (written === undefined || observed === undefined) return observed;
    if (written.metadata.uid === observed.metadata.uid && versionOf(written) > versionOf(observed))
      return written;
    this.#written.delete(key);
    return observed;
  }
}

function versionOf({ metadata: { resourceVersion = '0' } }: KubeObject): bigint {
  return BigInt(resourceVersion);
}
