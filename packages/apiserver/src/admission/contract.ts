import type { Draft, KubeObject, ResourceType, Schema } from '@k8ts/api';
import type { UserInfo } from '../authentication/contract.ts';

export type AdmissionOperation = 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';

/** What is about to happen to an object. */
export interface AdmissionAttributes {
  readonly operation: AdmissionOperation;
  readonly resource: ResourceType<KubeObject>;
  readonly subresource: string;
  readonly namespace: string;
  /** Empty for a creation whose name is still to be generated. */
  readonly name: string;
  readonly user: UserInfo;
  /**
   * The new object, already decoded and defaulted, private to this request. Mutating plugins change it in place.
   * Undefined for DELETE. For CONNECT: the options object.
   */
  readonly object: Draft<KubeObject> | undefined;
  /** What is stored now; immutable. Undefined for CREATE and CONNECT. */
  readonly oldObject: KubeObject | undefined;
  /** CreateOptions, UpdateOptions, PatchOptions or DeleteOptions, in wire form. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly dryRun: boolean;
  /** For plugins that ask others, who may know the resource in another version. */
  readonly versions: AdmissionVersions;
  /** Made by a plugin that wants the mutating plugins to run once more, over what it changed. */
  reinvocation: Reinvocation | undefined;
  /** Gives what aborts when nobody waits for the request any more. Absent: somebody always does. */
  readonly signal: (() => AbortSignal) | undefined;
  /** Adds a `Warning` header to the response. */
  warn(message: string): void;
  /** Absent where the request is not audited: then values need not be made up. */
  readonly annotate?: Annotate | undefined;
}

/**
 * Adds an annotation to the audit events of the request, from `level` on (default `Metadata`). The key is a qualified name,
 * `podsecuritypolicy.admission.k8s.io/admit-policy`; others are dropped with a line in the server's log. The first value
 * stays.
 */
export type Annotate = (key: string, value: string, level?: 'Metadata' | 'Request') => void;

export interface AdmissionVersions {
  /** The resource as the request named it. */
  readonly requested: ResourceType<KubeObject>;
  /** The same objects in other groups or versions, without `requested`. */
  readonly equivalents: readonly ResourceType<KubeObject>[];
  /**
   * Before objects are shown in a version that a webhook converts; good until they change. Rejects with a StatusError. Absent:
   * nobody need be asked.
   */
  prepare?(objects: readonly (KubeObject | undefined)[], type: ResourceType<KubeObject>): Promise<void>;
  /** `object` or `oldObject` as `type` shows it. */
  show(object: KubeObject, type: ResourceType<KubeObject>): KubeObject;
  /** The schema of objects so shown; absent: that of the built-in kind. */
  schema?(type: ResourceType<KubeObject>): Schema | undefined;
  /** What another has made of an object that was shown so: in normal form, with defaults, private to this request. */
  take(shown: unknown, type: ResourceType<KubeObject>): Draft<KubeObject> | Promise<Draft<KubeObject>>;
}

/** Makes the objects of a request ready to be shown in these versions. Undefined: they are. */
export function prepareVersions(
  { object, oldObject, versions }: AdmissionAttributes,
  types: readonly ResourceType<KubeObject>[],
): Promise<void> | undefined {
  if (versions.prepare === undefined) return undefined;
  const others = [...new Set(types)].filter((type) => type !== versions.requested);
  if (others.length === 0) return undefined;
  const prepare = versions.prepare.bind(versions);
  return others.reduce<Promise<void>>(
    (before, type) => before.then(() => prepare([object, oldObject], type)),
    Promise.resolve(),
  );
}

export interface Reinvocation {
  /** The plugins are to run again, or are running again. */
  state: 'none' | 'wanted' | 'running';
  /** What plugins remember, by their names. */
  readonly memories: Map<string, unknown>;
}

/**
 * An admission plugin. `admit` may change `attributes.object`; `validate` runs after all mutation and may not. Both refuse
 * by throwing a `StatusError` (usually `forbidden`). A plugin that has nothing to wait for returns nothing, so that the
 * hot path stays free of promises.
 */
export interface AdmissionPlugin {
  readonly name: string;
  /** Operations it wants to see. */
  readonly operations: readonly AdmissionOperation[];
  /** Whether it has anything to do with this resource; asked once per resource type and subresource, then remembered. */
  handles(resource: ResourceType<KubeObject>, subresource: string): boolean;
  admit?(attributes: AdmissionAttributes): void | Promise<void>;
  validate?(attributes: AdmissionAttributes): void | Promise<void>;
}
