import type { Clock, Random } from '@k8ts/base';
import type { Draft, KubeObject, ResourceType } from '@k8ts/api';
import type { FieldError, GroupVersion } from '@k8ts/apimachinery';
import type { UserInfo } from '../authentication/contract.ts';
import type { Column, TableRowCondition } from '../printing/contract.ts';

/**
 * What is special about a kind, and only that; everything a strategy leaves out is done by the generic registry from the
 * schema tables. One file per kind, `registry/<group>/<kind>.ts`, listed in `registry/builtin-strategies.ts`.
 *
 * Objects handed in as `Draft` are private to the request and changed in place; all others are shared and immutable.
 * All functions see the storage version (`type`).
 */
export interface Strategy<T extends KubeObject> {
  /** The resource in its storage version. */
  readonly type: ResourceType<T>;

  /** Defaults that the schema tables do not say (SetDefaults_*). Idempotent; runs on every decode of a client's object. */
  setDefaults?(object: Draft<T>): void;

  /** Before a creation: drops status where clients may not set it, sets generation, … */
  prepareForCreate?(object: Draft<T>, context: StrategyContext): void;
  /** Before an update of the object itself: keeps the status, bumps the generation if the spec changed, … */
  prepareForUpdate?(object: Draft<T>, old: T, context: StrategyContext): void;

  /** All wrong fields at once; metadata was validated already. May wait, for rules that need another object. */
  validate?(object: T, context: StrategyContext): readonly FieldError[];
  validateUpdate?(object: T, old: T, context: StrategyContext): readonly FieldError[];
  /** Texts for `Warning` headers. */
  warnings?(object: T, old: T | undefined): readonly string[];
  /** How names are checked; default: DNS subdomain. Returns the wrong things in upstream's words. */
  validateName?(name: string, prefix: boolean): readonly string[];

  /** Subresources that read and write the object itself, such as `status`, `resize`, `ephemeralcontainers`. */
  readonly subresources?: Readonly<Record<string, SubresourceStrategy<T>>>;
  /** Where `scale` finds its numbers; absent: no scale subresource. */
  readonly scale?: ScaleAccess<T>;

  /** PUT to a name that is not there creates it (Lease, Event, …). Default false. */
  readonly allowCreateOnUpdate?: boolean;
  /** PUT without resourceVersion overwrites. Default true; false for kinds that must name the version they replace. */
  readonly allowUnconditionalUpdate?: boolean;

  /** Grace period in seconds with which a deletion starts; 0 or absent: deleted at once. Pods use it. */
  gracePeriod?(object: T, requested: number | undefined): number;
  /** When set, a deletion with this much of the object done waits (status change before removal, e.g. Namespace). */
  prepareForDelete?(object: Draft<T>, context: StrategyContext): void;
  /**
   * Whether an object that is being deleted may go now; asked beside the emptiness of metadata.finalizers, on deletion
   * and after every update (a namespace waits for spec.finalizers). Absent: yes.
   */
  mayBeRemoved?(object: T): boolean;
  /** Which propagation a deletion without a policy uses; default `Background`. */
  readonly defaultPropagation?: 'Background' | 'Orphan';

  /** Values for field selectors beside metadata.name and metadata.namespace: `{'spec.nodeName': …}`. Keys are constant. */
  readonly selectableFields?: (object: T) => Readonly<Record<string, string>>;
  /** Seconds after which it vanishes; absent: never. Events use it. */
  readonly timeToLive?: number;

  /** Columns of `kubectl get`; absent: NAME and CREATED AT. */
  readonly columns?: readonly Column<T>[];
  /** What a row of the table says beside its cells: that a pod is done. */
  readonly rowConditions?: (object: T) => readonly TableRowCondition[] | undefined;

  /** Other served versions whose shape differs from the storage version, by version (or group/version). */
  readonly conversions?: Readonly<Record<string, Conversion<T>>>;

  /**
   * Takes and gives back what the object holds outside itself (cluster IPs, node ports). `allocate` changes the object;
   * its result is undone when the write fails, confirmed when it succeeded. Runs before `prepareForCreate` or
   * `prepareForUpdate` (and so before validation), after defaulting and admission, as upstream's BeginCreate and
   * BeginUpdate do; throws a StatusError when nothing can be taken.
   */
  allocate?(
    object: Draft<T>,
    old: T | undefined,
    context: StrategyContext,
  ): Promise<Allocation | undefined> | Allocation | undefined;
  /** After a removal was stored. */
  released?(object: T, context: StrategyContext): Promise<void> | void;
}

export interface Allocation {
  commit(): Promise<void> | void;
  rollback(): Promise<void> | void;
}

export interface SubresourceStrategy<T extends KubeObject> {
  /** Keeps everything that this subresource may not change. */
  prepareForUpdate(object: Draft<T>, old: T, context: StrategyContext): void;
  validateUpdate?(object: T, old: T, context: StrategyContext): readonly FieldError[];
  /** Texts for `Warning` headers. */
  warnings?(object: T, old: T): readonly string[];
}

export interface ScaleAccess<T extends KubeObject> {
  /** Undefined: the object does not say. It has no Scale to show then, and may be given replicas. */
  replicas(object: T): number | undefined;
  /** Where they are, for messages. Default `.spec.replicas`. */
  readonly replicasPath?: string;
  statusReplicas(object: T): number;
  /** In string form, as the Scale's status shows it. */
  selector(object: T): string;
  setReplicas(object: Draft<T>, replicas: number): void;
}

/** Between another served version's shape and the storage version's; both ways keep what the other cannot say. */
export interface Conversion<T extends KubeObject> {
  toStorage(object: Draft<KubeObject>): Draft<T>;
  fromStorage(object: T): KubeObject;
}

/** What strategies may use of the world. */
export interface StrategyContext {
  readonly clock: Clock;
  readonly random: Random;
  readonly user: UserInfo;
  readonly dryRun: boolean;
  /** The version that the request was made in; absent: the storage version. Rules of older versions are milder. */
  readonly requestVersion?: GroupVersion;
  /** Reads another object as it is now (from the watch cache); undefined when it is not there. */
  lookUp<R extends KubeObject>(type: ResourceType<R>, namespace: string, name: string): R | undefined;
  /** All objects of a type as they are now, or those of one namespace. */
  lookUpAll<R extends KubeObject>(type: ResourceType<R>, namespace?: string): readonly R[];
  /**
   * Writes objects that stand for what another one holds (IPAddress), past authorization and admission. `create` throws
   * AlreadyExists; `delete` of what is not there is no error. Absent: only this API server writes, and such objects are
   * not kept.
   */
  readonly objects?: ObjectWriter;
}

export interface ObjectWriter {
  create<R extends KubeObject>(type: ResourceType<R>, object: Draft<R>): Promise<void>;
  delete<R extends KubeObject>(type: ResourceType<R>, namespace: string, name: string): Promise<void>;
}
