import type { KubeObject, ResourceType } from '@k8ts/api';
import type { ObjectReader } from '../object-reader.ts';

/** An `ObjectReader` over what a test puts in. */
export interface ObjectTable extends ObjectReader {
  put<T extends KubeObject>(type: ResourceType<T>, object: T): void;
  remove(type: ResourceType<KubeObject>, namespace: string, name: string): void;
}

export function createObjectTable(): ObjectTable {
  const objects = new Map<string, Map<string, KubeObject>>();
  let version = 0;
  const of = (type: ResourceType<KubeObject>): Map<string, KubeObject> => {
    const key = `${type.group}/${type.resource}`;
    let found = objects.get(key);
    if (found === undefined) objects.set(key, (found = new Map<string, KubeObject>()));
    return found;
  };
  return {
    put(type, object) {
      version++;
      of(type).set(`${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`, object);
    },
    remove(type, namespace, name) {
      version++;
      of(type).delete(`${namespace}/${name}`);
    },
    get: <T extends KubeObject>(type: ResourceType<T>, namespace: string, name: string) =>
      of(type).get(`${namespace}/${name}`) as T | undefined,
    list: <T extends KubeObject>(type: ResourceType<T>, namespace?: string) =>
      [...of(type).values()].filter(
        ({ metadata }) => namespace === undefined || metadata.namespace === namespace,
      ) as unknown as T[],
    version: () => version,
  };
}
