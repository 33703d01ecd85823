/** What discovery says about a resource, and how it is stored. */
export interface ResourceInfo {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  /** Plural, as in paths. */
  readonly resource: string;
  readonly singular: string;
  readonly kind: string;
  readonly listKind: string;
  readonly namespaced: boolean;
  readonly stage: Stage;
  readonly verbs: readonly string[];
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly subresources: readonly SubresourceInfo[];
  /** The group and version that objects are kept as; a version that is served without being stored differs. */
  readonly storage: { readonly group: string; readonly version: string };
  /** Discovery's `storageVersionHash`; empty for what is not stored (reviews, bindings). */
  readonly storageVersionHash: string;
  /** What clients are warned of that ask for it in this version; empty when it is not deprecated. */
  readonly deprecation: string;
}

/**
 * - `stable` is served; `beta` and `alpha` are served only when switched on (KEP-3136), as in Kubernetes 1.36.
 * - `legacy` is what older Kubernetes served and 1.36 does not; k8ts has it behind a switch, for older clients.
 * - `aggregated` comes from another API server (metrics.k8s.io).
 */
export type Stage = 'stable' | 'beta' | 'alpha' | 'legacy' | 'aggregated';

export interface SubresourceInfo {
  /** `status`, `scale`, `log`, … */
  readonly name: string;
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly verbs: readonly string[];
  readonly deprecation: string;
}

/** A version's place in discovery: higher comes first. The numbers are those of upstream's APIService objects. */
export interface ApiGroupVersion {
  readonly group: string;
  readonly version: string;
  readonly groupPriority: number;
  readonly versionPriority: number;
}

/** Makes a row of the generated table. */
export function resourceRow(
  group: string,
  version: string,
  resource: string,
  kind: string,
  namespaced: boolean,
  stage: Stage,
  verbs: readonly string[],
  shortNames: readonly string[],
  categories: readonly string[],
  subresources: readonly SubresourceInfo[],
  storageGroup: string,
  storageVersion: string,
  storageVersionHash: string,
  deprecation = '',
): ResourceInfo {
  return {
    group,
    version,
    resource,
    singular: kind.toLowerCase(),
    kind,
    listKind: `${kind}List`,
    namespaced,
    stage,
    verbs,
    shortNames,
    categories,
    subresources,
    storage: { group: storageGroup, version: storageVersion },
    storageVersionHash,
    deprecation,
  };
}

export function subresourceRow(
  name: string,
  group: string,
  version: string,
  kind: string,
  verbs: readonly string[],
  deprecation = '',
): SubresourceInfo {
  return { name, group, version, kind, verbs, deprecation };
}
