/**
 * Field management around writes: managers own fields as the version of their request shows them, while objects are stored
 * in one version; this is where the two meet.
 */
import type { Draft, KubeObject } from '@k8ts/api';
import {
  applyPatch,
  StatusError,
  updateManagedFields,
  type ConvertedObject,
  type FieldSet,
  type JsonObject,
} from '@k8ts/apimachinery';
import { toServed, type ServedResource } from '../served-resource.ts';

export interface FieldManagement {
  readonly served: ServedResource;
  readonly subresource: string;
  readonly manager: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

const LEAF: FieldSet = Object.freeze({});
const STATUS_ONLY: FieldSet = Object.freeze({ 'f:status': LEAF });
const ALL_BUT_STATUS: FieldSet = Object.freeze({ 'f:spec': LEAF });

/** What an endpoint ignores is not owned through it (upstream: GetResetFields). */
function resetFieldsOf({ served, subresource }: FieldManagement): FieldSet | undefined {
  if (subresource === 'status') return ALL_BUT_STATUS;
  const hasStatus = served.info.subresources.some(({ name }) => name === 'status');
  return hasStatus ? STATUS_ONLY : undefined;
}

/** After a create, update or patch was decoded: brings `draft.metadata.managedFields` up to date. */
export function manageUpdate(
  management: FieldManagement,
  live: KubeObject | undefined,
  draft: Draft<KubeObject>,
): void | Promise<void> {
  const { served, subresource, manager, now } = management;
  const resetFields = resetFieldsOf(management);
  const update = (conversion: ConvertObject): void => {
    const { metadata } = updateManagedFields({
      liveObject: live === undefined ? undefined : json(toServed(served, live)),
      newObject: json(toServed(served, draft)),
      schema: served.schema(),
      manager,
      apiVersion: served.apiVersion,
      subresource,
      now,
      convert: conversion,
      ...(resetFields === undefined ? {} : { resetFields }),
    });
    const { managedFields } = metadata as {
      readonly managedFields?: Draft<KubeObject>['metadata']['managedFields'];
    };
    if (managedFields === undefined) delete draft.metadata.managedFields;
    else draft.metadata.managedFields = managedFields;
  };
  if (served.convert === undefined)
    return update((object, apiVersion) => convert(management, object, apiVersion));
  return withConversions(management, update).catch((error: unknown) => {
    if (!(error instanceof StatusError)) throw error;
    // As upstream: nobody is known to own what, rather than somebody what he does not own.
    delete draft.metadata.managedFields;
  });
}

/** Server-side apply: the merged object in the served version, neither defaulted nor in normal form yet. */
export function manageApply(
  management: FieldManagement,
  live: KubeObject | undefined,
  configuration: unknown,
  force: boolean,
): JsonObject | Promise<JsonObject> {
  const { served, subresource, manager, now } = management;
  const resetFields = resetFieldsOf(management);
  const apply = (conversion: ConvertObject): JsonObject =>
    applyPatch({
      liveObject: live === undefined ? undefined : json(toServed(served, live)),
      patch: configuration,
      schema: served.schema(),
      manager,
      force,
      apiVersion: served.apiVersion,
      kind: served.info.kind,
      subresource,
      now,
      convert: conversion,
      ...(resetFields === undefined ? {} : { resetFields }),
    }).object;
  if (served.convert === undefined)
    return apply((object, apiVersion) => convert(management, object, apiVersion));
  return withConversions(management, apply);
}

type ConvertObject = NonNullable<Parameters<typeof updateManagedFields>[0]['convert']>;

/** Stands for a conversion that has to be waited for. */
class Wanted extends Error {
  readonly key: string;
  readonly object: JsonObject;
  readonly to: ServedResource;
  constructor(key: string, object: JsonObject, to: ServedResource) {
    super('a conversion is wanted');
    this.key = key;
    this.object = object;
    this.to = to;
  }
}

/**
 * `work` with conversions that have to be waited for: it is begun again whenever it wants one more. It must change nothing
 * before it has had them all.
 */
async function withConversions<T>(
  { served }: FieldManagement,
  work: (conversion: ConvertObject) => T,
): Promise<T> {
  const known = new Map<string, JsonObject>();
  for (;;) {
    try {
      return work((object, apiVersion) => {
        const other = equivalentIn(served, apiVersion);
        if (other === undefined) return undefined;
        const key = `${apiVersion} ${JSON.stringify(object)}`;
        const converted = known.get(key);
        if (converted === undefined) throw new Wanted(key, object, other);
        return { object: converted, schema: other.schema() };
      });
    } catch (error) {
      if (!(error instanceof Wanted)) throw error;
      const { key, object, to } = error;
      const from = { ...object, apiVersion: served.apiVersion, kind: served.info.kind };
      known.set(key, json(await served.convert?.(from as unknown as KubeObject, to)));
    }
  }
}

/** The same objects in another version: undefined where none of that name is served. */
function equivalentIn({ equivalents }: ServedResource, apiVersion: string): ServedResource | undefined {
  return equivalents.find((each) => each.apiVersion === apiVersion);
}

/** An object of the request's version as another served version shows it. */
function convert(
  { served }: FieldManagement,
  object: JsonObject,
  apiVersion: string,
): ConvertedObject | undefined {
  const other = equivalentIn(served, apiVersion);
  if (other === undefined) return undefined;
  const stored =
    served.conversion === undefined
      ? object
      : served.conversion.toStorage(structuredClone(object) as unknown as Draft<KubeObject>);
  return {
    object: json(toServed(other, stored as unknown as KubeObject)),
    schema: other.schema(),
  };
}

function json(object: unknown): JsonObject {
  return object as JsonObject;
}
