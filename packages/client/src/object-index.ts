import type { KubeObject } from '@k8ts/api';

import type { Lister } from './contract.ts';

type IndexValues<T> = (object: T) => readonly string[];

interface Index<T> {
  readonly values: IndexValues<T>;
  readonly byValue: Map<string, Map<string, T>>;
}

/**
 * Objects by key and by indexes. It holds the objects it is given, which are shared and immutable, and copies none.
 * The index of namespaces comes into being when somebody first lists one.
 */
export class ObjectIndex<T extends KubeObject> implements Lister<T> {
  readonly #objects = new Map<string, T>();
  readonly #indexes = new Map<string, Index<T>>();
  #byNamespace: Index<T> | undefined;

  get size(): number {
    return this.#objects.size;
  }

  /** Several readers may want the same index; whoever asks first makes it. */
  addIndex(name: string, values: IndexValues<T>): void {
    if (!this.#indexes.has(name)) this.#indexes.set(name, this.#build(values));
  }

  hasIndex(name: string): boolean {
    return this.#indexes.has(name);
  }

  get(namespace: string, name: string): T | undefined {
    return this.#objects.get(namespace === '' ? name : `${namespace}/${name}`);
  }

  byKey(key: string): T | undefined {
    return this.#objects.get(key);
  }

  list(namespace?: string): readonly T[] {
    if (namespace === undefined) return [...this.#objects.values()];
    this.#byNamespace ??= this.#build((object) => [object.metadata.namespace ?? '']);
    return [...(this.#byNamespace.byValue.get(namespace)?.values() ?? [])];
  }

  byIndex(name: string, value: string): readonly T[] {
    const index = this.#indexes.get(name);
    if (index === undefined) throw new Error(`there is no index "${name}"`);
    return [...(index.byValue.get(value)?.values() ?? [])];
  }

  keys(): IterableIterator<string> {
    return this.#objects.keys();
  }

  values(): IterableIterator<T> {
    return this.#objects.values();
  }

  /** `key` is the object's. Returns what was there before. */
  set(key: string, object: T): T | undefined {
    const previous = this.#objects.get(key);
    this.#objects.set(key, object);
    for (const index of this.#allIndexes()) {
      if (previous !== undefined) unlink(index, key, previous);
      link(index, key, object);
    }
    return previous;
  }

  /** Returns what was there. */
  delete(key: string): T | undefined {
    const previous = this.#objects.get(key);
    if (previous === undefined) return undefined;
    this.#objects.delete(key);
    for (const index of this.#allIndexes()) unlink(index, key, previous);
    return previous;
  }

  *#allIndexes(): IterableIterator<Index<T>> {
    yield* this.#indexes.values();
    if (this.#byNamespace !== undefined) yield this.#byNamespace;
  }

  #build(values: IndexValues<T>): Index<T> {
    const index: Index<T> = { values, byValue: new Map() };
    for (const [key, object] of this.#objects) link(index, key, object);
    return index;
  }
}

function link<T>(index: Index<T>, key: string, object: T): void {
  for (const value of index.values(object)) {
    let bucket = index.byValue.get(value);
    if (bucket === undefined) index.byValue.set(value, (bucket = new Map<string, T>()));
    bucket.set(key, object);
  }
}

function unlink<T>(index: Index<T>, key: string, object: T): void {
  for (const value of index.values(object)) {
    const bucket = index.byValue.get(value);
    if (bucket?.delete(key) === true && bucket.size === 0) index.byValue.delete(value);
  }
}
