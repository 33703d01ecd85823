/**
 * How a client reaches the API: over HTTPS between processes, or as a direct call inside one. Both enter the same request
 * pipeline with the identity of the client; the in-process one passes objects, not text. Objects that come out are shared
 * and immutable.
 */
export interface Transport {
  /** Resolves to the response object. Rejects with `StatusError`, or with the network's error. */
  request<T>(request: ApiRequest): Promise<T>;
  /**
   * Opens a watch (`request` is a GET with `watch=true` among its query); resolves once the server has accepted it.
   * The iteration yields all events that were waiting, together; it ends when the server or `request.signal` ends the
   * watch, and throws `StatusError` for an ERROR event (410 Expired: list again).
   */
  watch<T>(request: ApiRequest): Promise<AsyncIterable<readonly WatchEvent<T>[]>>;
}

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** `/apis/apps/v1/namespaces/default/deployments/web` */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** An object in wire form. */
  readonly body?: unknown;
  /** Of the body; for patches the patch type. Default `application/json`. */
  readonly contentType?: string;
  /** The media type wanted in return; see `METADATA_ONLY`. Default `application/json`. */
  readonly accept?: string;
  readonly signal?: AbortSignal;
}

export interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: T;
}

/**
 * Objects as `PartialObjectMetadata`: apiVersion, kind and metadata only. A transport inside the process may hand out the
 * whole shared object instead, which costs less than cutting it down.
 */
export const METADATA_ONLY = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json';
/** The same for lists. */
export const METADATA_LIST_ONLY =
  'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json';
