import type { KubeObject, ResourceType } from '@k8ts/api';

/**
 * How rules inside the API server read objects as they are now: authorization reads bindings, admission reads namespaces,
 * token checks read pods. Fed by the watch caches, so reads are synchronous and cost no request.
 */
export interface ObjectReader {
  get<T extends KubeObject>(type: ResourceType<T>, namespace: string, name: string): T | undefined;
  /** All objects of a type, or those of one namespace. */
  list<T extends KubeObject>(type: ResourceType<T>, namespace?: string): readonly T[];
  /** Changes whenever any object of the type does; what was derived from the type's objects is good while it stays. */
  version(type: ResourceType<KubeObject>): number;
}
