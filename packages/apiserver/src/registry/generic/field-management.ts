/**
 * Field management around writes: managers own fields as the version of their request shows them, while objects are stored
 * in one version; this is where the two meet.
 */
import type { Draft, KubeObject } from '@k8ts/api';
import {
  applyPatch,
  updateManagedFields,
  type ConvertedObject,
  type FieldSet,
  type JsonObject,
} from '@k8ts/apimachinery';
import type { ResourceRegistry } from '../resource-registry.ts';
import { toServed, type ServedResource } from '../served-resource.ts';

export interface FieldManagement {
  readonly registry: ResourceRegistry;
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
): void {
  const { served, subresource, manager, now } = management;
  const resetFields = resetFieldsOf(management);
  const { metadata } = updateManagedFields({
    liveObject: live === undefined ? undefined : json(toServed(served, live)),
    newObject: json(toServed(served, draft)),
    schema: served.schema(),
    manager,
    apiVersion: served.apiVersion,
    subresource,
    now,
    convert: (object, apiVersion) => convert(management, object, apiVersion),
    ...(resetFields === undefined ? {} : { resetFields }),
  });
  const { managedFields } = metadata as {
    readonly managedFields?: Draft<KubeObject>['metadata']['managedFields'];
  };
  if (managedFields === undefined) delete draft.metadata.managedFields;
  else draft.metadata.managedFields = managedFields;
}

/** Server-side apply: the merged object in the served version, neither defaulted nor in normal form yet. */
export function manageApply(
  management: FieldManagement,
  live: KubeObject | undefined,
  configuration: unknown,
  force: boolean,
): JsonObject {
  const { served, subresource, manager, now } = management;
  const resetFields = resetFieldsOf(management);
  return applyPatch({
    liveObject: live === undefined ? undefined : json(toServed(served, live)),
    patch: configuration,
    schema: served.schema(),
    manager,
    force,
    apiVersion: served.apiVersion,
    kind: served.info.kind,
    subresource,
    now,
    convert: (object, apiVersion) => convert(management, object, apiVersion),
    ...(resetFields === undefined ? {} : { resetFields }),
  }).object;
}

/** An object of the request's version as another served version shows it. */
function convert(
  { registry, served }: FieldManagement,
  object: JsonObject,
  apiVersion: string,
): ConvertedObject | undefined {
  const slash = apiVersion.indexOf('/');
  const group = slash < 0 ? '' : apiVersion.slice(0, slash);
  const other = registry.served(group, apiVersion.slice(slash + 1), served.info.resource);
  if (other === undefined || other.storage !== served.storage) return undefined;
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
