import type { ApiGroupVersion } from '@k8ts/api';
import type { RequestContext } from '../request/request-context.ts';
import type { Result } from '../request/result.ts';

/** What this server says of groups and versions that other servers serve: it hands requests for them on. */
export interface Aggregation {
  /** Grows whenever what discovery or OpenAPI say changes. */
  readonly generation: number;
  /** Undefined: the request is this server's own. */
  route(context: RequestContext): Result | Promise<Result> | undefined;
  /** This server's groups and versions and those of others, with the priorities that APIServices give them. */
  groupVersions(own: readonly ApiGroupVersion[]): readonly ApiGroupVersion[];
  /** Undefined: this server's own. */
  discovery(group: string, version: string): VersionDiscovery | undefined;
  /** The swagger document with what other servers add to it. */
  swagger(own: JsonObject): JsonObject;
  /** `apis/wardle.example.com/v1alpha1` → where its document is. */
  openApiPaths(): Readonly<Record<string, { readonly serverRelativeURL: string }>>;
  /** The document of such a path; undefined: no other server has it. */
  openApi(path: string, context: RequestContext): Result | Promise<Result> | undefined;
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** apidiscovery.k8s.io: APIVersionDiscovery. */
export interface VersionDiscovery {
  readonly version: string;
  readonly resources?: readonly ResourceDiscovery[];
  /** Stale: its server could not be asked, and nothing is known of its resources. */
  readonly freshness: 'Current' | 'Stale';
}

export interface ResourceDiscovery {
  readonly resource: string;
  readonly responseKind: GroupVersionKind;
  readonly scope: 'Namespaced' | 'Cluster';
  readonly singularResource: string;
  readonly verbs: readonly string[];
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly subresources?: readonly SubresourceDiscovery[];
}

export interface SubresourceDiscovery {
  readonly subresource: string;
  readonly responseKind: GroupVersionKind;
  readonly verbs: readonly string[];
}

export interface GroupVersionKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}
