/**
 * A handle for a resource that carries the type of its objects, as `corev1.pods` does: what clients, informers and
 * registries take. `resourceInfo()` knows the rest (verbs, subresources, names).
 */
export interface ResourceType<T> {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  /** Plural, as in paths: `pods`. */
  readonly resource: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Never present: it only ties `T` to the handle. */
  readonly objectType?: T;
}

export function resourceType<T>(
  group: string,
  version: string,
  resource: string,
  kind: string,
  namespaced: boolean,
): ResourceType<T> {
  return { group, version, resource, kind, namespaced };
}
