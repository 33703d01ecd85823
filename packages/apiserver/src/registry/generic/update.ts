import type { Draft, KubeObject } from '@k8ts/api';
import {
  conflict,
  invalid,
  jsonEqual,
  modified,
  notFound,
  validateObjectMetaUpdate,
  type FieldError,
  type StatusError,
} from '@k8ts/apimachinery';
import type { ObjectRecord } from '../../storage/object-record.ts';
import { LostRace } from '../../storage/resource-storage.ts';
import { createObject, settle, type Written } from './create.ts';
import { ensureNamespace, prepareForUpdate } from './object-rules.ts';
import { admissionAttributes, strategyContext, type WriteScope } from './scope.ts';

export interface UpdatePlan {
  /**
   * The new object from the old one (undefined: there is none). Called again when somebody else was faster; must give a
   * new draft each time. Its `metadata.resourceVersion`, if any, is what it was made for.
   */
  draft(old: ObjectRecord | undefined): Draft<KubeObject> | Promise<Draft<KubeObject>>;
  /** The object may be created by this. */
  readonly allowCreate: boolean;
  /** Asks whether the user may create, before an update creates. Throws 403. */
  readonly authorizeCreate?: () => void | Promise<void>;
  readonly preconditions?: Preconditions;
  /** A draft without resource version was made from `old`, so it need not name it. */
  readonly followsOld?: boolean;
  /** A change by the server itself (a binding): nothing is put back, and only the metadata is validated. */
  readonly skipStrategy?: boolean;
  /** Goes through the rules of the object itself, whatever the subresource (scale). */
  readonly asObject?: boolean;
}

export interface Preconditions {
  readonly uid?: string;
  readonly resourceVersion?: string;
}

export type UpdateOutcome = Written & { readonly created: boolean };

/**
 * Compare-and-swap until it succeeds or what the draft was made for is no longer there
 * (k8s.io/apiserver/pkg/registry/generic/registry: Store.Update).
 */
export async function updateObject(scope: WriteScope, plan: UpdatePlan): Promise<UpdateOutcome> {
  const { served } = scope;
  const rules = plan.skipStrategy === true ? undefined : plan.asObject === true ? '' : scope.subresource;
  const { storage, groupResource } = served;
  let old = await storage.get(scope.namespace, scope.name);
  for (;;) {
    if (old === undefined) {
      if (!plan.allowCreate) throw notFound(groupResource, scope.name);
      const draft = await plan.draft(undefined);
      checkPreconditions(scope, plan.preconditions, undefined);
      if (plan.authorizeCreate !== undefined) await plan.authorizeCreate();
      // A PUT names its object, so nothing is generated, and a lost race is a plain 409.
      const written = await createObject(scope, draft);
      return { ...written, created: true };
    }
    checkPreconditions(scope, plan.preconditions, old);
    const draft = await plan.draft(old);
    checkResourceVersion(scope, plan, draft, old);
    const outcome = await updateOnce(scope, draft, old, rules);
    if (!(outcome instanceof LostRace)) return { ...outcome, created: false };
    old = outcome.current;
  }
}

function checkResourceVersion(
  { served, name }: WriteScope,
  plan: UpdatePlan,
  draft: Draft<KubeObject>,
  old: ObjectRecord,
): void {
  const { resourceVersion = '' } = draft.metadata;
  if (resourceVersion === '') {
    if (plan.followsOld === true || served.strategy?.allowUnconditionalUpdate !== false) return;
    const { group, resource } = served.groupResource;
    throw invalid({ group, kind: resource }, name, [
      {
        type: 'FieldValueInvalid',
        field: 'metadata.resourceVersion',
        body: 'Invalid value: 0: must be specified for an update',
      },
    ]);
  }
  if (resourceVersion !== String(old.revision)) throw modified(served.groupResource, name);
}

async function updateOnce(
  scope: WriteScope,
  draft: Draft<KubeObject>,
  old: ObjectRecord,
  /** The subresource whose rules count; undefined: none do. */
  rules: string | undefined,
): Promise<Written | LostRace> {
  const { served, services } = scope;
  const { strategy, storage } = served;
  const before = old.object;
  const context = strategyContext(scope);
  const { metadata } = draft;
  metadata.resourceVersion = String(old.revision);
  ensureNamespace(metadata, storage.info.namespaced ? scope.namespace : '');

  if (scope.admit) {
    const pending = services.admission.admit(admissionAttributes(scope, 'UPDATE', scope.name, draft, before));
    if (pending !== undefined) await pending;
  }
  const pendingAllocation = rules === '' ? strategy?.allocate?.(draft, before, context) : undefined;
  const allocation = pendingAllocation instanceof Promise ? await pendingAllocation : pendingAllocation;
  let stored = false;
  try {
    keepSystemFields(draft, before);
    if (rules !== undefined) prepareForUpdate(served, rules, draft, before, context);
    fillFromOld(draft, before);
    validateChange(scope, draft, before, context, rules);
    if (rules === '') for (const text of strategy?.warnings?.(draft, before) ?? []) scope.warn(text);
    if (scope.admit) {
      const pending = services.admission.validate(
        admissionAttributes(scope, 'UPDATE', scope.name, draft, before),
      );
      if (pending !== undefined) await pending;
    }
    if (isFinalized(draft, before) && strategy?.mayBeRemoved?.(draft) !== false) {
      if (scope.dryRun) return { object: draft };
      const gone = await storage.delete(old);
      if (gone instanceof LostRace && gone.current !== undefined) return gone;
      stored = true;
      await strategy?.released?.(draft, context);
      return { object: draft };
    }
    if (scope.dryRun) return { object: await storage.preview(draft) };
    if (!old.isStale && sameButForTimes(draft, before)) return { record: old };
    const result = await storage.update(old, draft);
    if (result instanceof LostRace) return result;
    stored = true;
    return { record: result };
  } finally {
    if (allocation !== undefined) await settle(allocation, stored);
  }
}

/** Before the strategy: requests cannot set the generation. */
function keepSystemFields(draft: Draft<KubeObject>, old: KubeObject): void {
  const { metadata } = draft;
  if (old.metadata.generation === undefined) delete metadata.generation;
  else metadata.generation = old.metadata.generation;
}

/** After the strategy: what an update cannot change is as it was. */
function fillFromOld({ metadata }: Draft<KubeObject>, old: KubeObject): void {
  const before = old.metadata;
  if ((metadata.uid ?? '') === '' && before.uid !== undefined) metadata.uid = before.uid;
  if (before.creationTimestamp !== undefined) metadata.creationTimestamp = before.creationTimestamp;
  if (before.deletionTimestamp !== undefined) metadata.deletionTimestamp = before.deletionTimestamp;
  if (before.deletionGracePeriodSeconds !== undefined && metadata.deletionGracePeriodSeconds === undefined)
    metadata.deletionGracePeriodSeconds = before.deletionGracePeriodSeconds;
  if (metadata.selfLink !== undefined) delete metadata.selfLink;
}

function validateChange(
  { served }: WriteScope,
  draft: Draft<KubeObject>,
  old: KubeObject,
  context: ReturnType<typeof strategyContext>,
  rules: string | undefined,
): void {
  const { info, strategy } = served;
  const errors: FieldError[] = [...validateObjectMetaUpdate(draft.metadata, old.metadata)];
  const found =
    rules === undefined
      ? undefined
      : rules === ''
        ? strategy?.validateUpdate?.(draft, old, context)
        : strategy?.subresources?.[rules]?.validateUpdate?.(draft, old, context);
  if (found !== undefined) errors.push(...found);
  if (errors.length > 0) throw invalid({ group: info.group, kind: info.kind }, draft.metadata.name, errors);
}

/** The last finalizer is gone from an object that waits for its deletion (ShouldDeleteDuringUpdate). */
function isFinalized(draft: Draft<KubeObject>, old: KubeObject): boolean {
  return (
    (draft.metadata.finalizers ?? []).length === 0 &&
    old.metadata.deletionTimestamp !== undefined &&
    (old.metadata.deletionGracePeriodSeconds ?? 0) === 0
  );
}

export function checkPreconditions(
  scope: WriteScope,
  preconditions: Preconditions | undefined,
  record: ObjectRecord | undefined,
): void {
  if (preconditions === undefined) return;
  const { uid, resourceVersion } = preconditions;
  const foundUid = record?.object.metadata.uid ?? '';
  if (uid !== undefined && uid !== foundUid)
    throw preconditionFailed(scope, `UID in precondition: ${uid}, UID in object meta: ${foundUid}`);
  const foundVersion = String(record?.revision ?? '');
  if (resourceVersion !== undefined && resourceVersion !== foundVersion)
    throw preconditionFailed(
      scope,
      `ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${foundVersion}`,
    );
}

function preconditionFailed({ served, namespace, name }: WriteScope, message: string): StatusError {
  const key = served.storage.key(namespace, name);
  return conflict(
    served.groupResource,
    name,
    `StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: ${message}`,
  );
}

/** Whether two objects say the same apart from times in managed fields, which alone are no change. */
function sameButForTimes(left: KubeObject, right: KubeObject): boolean {
  return jsonEqual(withoutTimes(left), withoutTimes(right));
}

function withoutTimes(object: KubeObject): KubeObject {
  const { managedFields } = object.metadata;
  if (managedFields === undefined) return object;
  return {
    ...object,
    metadata: { ...object.metadata, managedFields: managedFields.map(({ time: _, ...entry }) => entry) },
  };
}
