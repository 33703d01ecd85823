import type { KubeObject, New, ResourceType } from '@k8ts/api';

/** The API as components see it. Every call rejects with `StatusError` when the server refuses. */
export interface Client {
  /** Resources of one type; in all namespaces, or in one. `client.resource(corev1.pods, 'default').get('web')` */
  resource<T extends KubeObject>(type: ResourceType<T>, namespace?: string): ResourceClient<T>;
  /** A GET of any path, for health, version and discovery. */
  raw<T>(path: string, query?: Readonly<Record<string, string>>, options?: RawOptions): Promise<T>;
}

export interface RawOptions {
  /** The media type wanted. */
  readonly accept?: string;
  readonly signal?: AbortSignal;
}

export interface ResourceClient<T extends KubeObject> {
  get(name: string, options?: GetOptions): Promise<T>;
  list(options?: ListOptions): Promise<ObjectList<T>>;
  watch(options?: WatchOptions): Promise<AsyncIterable<readonly ClientWatchEvent<T>[]>>;
  create(object: T | New<T>, options?: WriteOptions): Promise<T>;
  /** Replaces; `metadata.resourceVersion` set means: only if unchanged since. */
  update(object: T, options?: WriteOptions): Promise<T>;
  updateStatus(object: T, options?: WriteOptions): Promise<T>;
  patch(name: string, patch: unknown, options: PatchOptions): Promise<T>;
  /** Server-side apply. */
  apply(name: string, object: unknown, options: ApplyOptions): Promise<T>;
  delete(name: string, options?: DeleteOptions): Promise<void>;
  deleteCollection(options?: DeleteOptions & ListOptions): Promise<void>;
  /** POST to a subresource: `binding`, `eviction`, `token` … */
  createSubresource<R>(name: string, subresource: string, body: unknown, options?: WriteOptions): Promise<R>;
  getSubresource<R>(name: string, subresource: string, options?: GetOptions): Promise<R>;
  updateSubresource<R>(name: string, subresource: string, body: unknown, options?: WriteOptions): Promise<R>;
}

export interface ObjectList<T> {
  readonly metadata: {
    readonly resourceVersion: string;
    readonly continue?: string;
    readonly remainingItemCount?: number;
  };
  readonly items: readonly T[];
}

export interface ClientWatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: T;
}

export interface GetOptions {
  readonly resourceVersion?: string;
  /** Ask for `PartialObjectMetadata` only. */
  readonly metadataOnly?: boolean;
  readonly signal?: AbortSignal;
}

export interface ListOptions {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly limit?: number;
  readonly continue?: string;
  readonly resourceVersion?: string;
  readonly resourceVersionMatch?: 'Exact' | 'NotOlderThan';
  /** Ask for `PartialObjectMetadata` only: what the garbage collector needs of every kind. */
  readonly metadataOnly?: boolean;
  readonly signal?: AbortSignal;
}

export interface WatchOptions extends ListOptions {
  readonly allowWatchBookmarks?: boolean;
  readonly sendInitialEvents?: boolean;
  readonly timeoutSeconds?: number;
}

export interface WriteOptions {
  readonly fieldManager?: string;
  readonly fieldValidation?: 'Ignore' | 'Warn' | 'Strict';
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
}

export interface PatchOptions extends WriteOptions {
  readonly type: 'json' | 'merge' | 'strategic';
  readonly subresource?: string;
}

export interface ApplyOptions extends WriteOptions {
  readonly fieldManager: string;
  readonly force?: boolean;
  readonly subresource?: string;
}

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground';
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
}

/** Reads what an informer keeps. Keys are `namespace/name`, or `name` for what has no namespace. */
export interface Lister<T extends KubeObject> {
  get(namespace: string, name: string): T | undefined;
  byKey(key: string): T | undefined;
  /** All, or those of one namespace. */
  list(namespace?: string): readonly T[];
  /** What an index of the informer holds under `value`. */
  byIndex(index: string, value: string): readonly T[];
}

export interface InformerHandler<T extends KubeObject> {
  added?(object: T): void;
  updated?(object: T, previous: T): void;
  /** The last state known; it may be older than the one that was deleted, when the deletion was missed. */
  deleted?(object: T): void;
}

/** One list-and-watch shared by everything in the process that reads the resource. */
export interface Informer<T extends KubeObject> {
  readonly lister: Lister<T>;
  /** Gets `added` for all that is known already. Handlers run one after another and must not throw or block. */
  addHandler(handler: InformerHandler<T>, options?: HandlerOptions): Disposable;
  /** `values` gives under which values an object is found. A name used already keeps its first meaning. */
  addIndex(index: string, values: (object: T) => readonly string[]): void;
  readonly synced: boolean;
  /** Resolves once the first list has been handed to all handlers; rejects when the signal aborts. */
  waitForSync(signal: AbortSignal): Promise<void>;
}

export interface HandlerOptions {
  /** Milliseconds. Every so often the handler gets `updated(object, object)` for all that is known. Default: never. */
  readonly resyncPeriod?: number;
}

/** `of` gives the same informer for the same resource and selector. Informers start with the factory. */
export interface InformerFactory extends AsyncDisposable {
  of<T extends KubeObject>(type: ResourceType<T>, options?: InformerOptions): Informer<T>;
  /**
   * Stops the informer of a resource that is no longer served and forgets it. Does nothing when there is none, or while
   * somebody has a handler: the last one who leaves stops it.
   */
  stop(type: ResourceType<KubeObject>, options?: InformerOptions): Promise<void>;
  /** Starts those not yet started. */
  start(): void;
  waitForSync(signal: AbortSignal): Promise<void>;
}

export interface InformerOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Keep `PartialObjectMetadata` only. */
  readonly metadataOnly?: boolean;
}

/** Records Events about objects, correlated and rate-limited as client-go does. */
export interface EventRecorder {
  event(
    about: ObjectIdentity,
    type: 'Normal' | 'Warning',
    reason: string,
    message: string,
    details?: EventDetails,
  ): void;
}

export interface EventDetails {
  /** What was done, where it is not the reason: `Preempting`. */
  readonly action?: string;
  /** Another object that has part in it. */
  readonly related?: ObjectIdentity;
}

export interface ObjectIdentity {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  /** For example `spec.containers{web}`. */
  readonly fieldPath?: string;
}
