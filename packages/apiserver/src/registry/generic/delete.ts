/**
 * Deletion: at once, gracefully (the object stays until its grace period is over, for the kubelet to stop containers), or
 * pending until finalizers are gone; k8s.io/apiserver/pkg/registry/{rest/delete.go,generic/registry/store.go}.
 */
import type { Draft, KubeObject } from '@k8ts/api';
import {
  conflict,
  formatTime,
  invalid,
  invalidValue,
  notFound,
  notSupported,
  parseTime,
  type FieldError,
} from '@k8ts/apimachinery';
import type { ObjectRecord } from '../../storage/object-record.ts';
import { LostRace } from '../../storage/resource-storage.ts';
import type { ServedResource } from '../served-resource.ts';
import { validateDryRun } from './options.ts';
import { admissionAttributes, strategyContext, type WriteScope } from './scope.ts';
import { checkPreconditions, type Preconditions } from './update.ts';

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number | undefined;
  readonly propagationPolicy?: string | undefined;
  readonly orphanDependents?: boolean | undefined;
  readonly preconditions?: Preconditions | undefined;
  readonly dryRun?: readonly string[] | undefined;
}

export interface Deleted {
  /** The object is gone from the store. */
  readonly gone: boolean;
  /** As it was last, or as it waits for its end. */
  readonly record: ObjectRecord | undefined;
  readonly object: KubeObject;
  /** The answer is the object rather than a Status. */
  readonly showObject: boolean;
}

export function validateDeleteOptions(options: DeleteOptions): void {
  const errors: FieldError[] = [];
  const { propagationPolicy, orphanDependents } = options;
  if (propagationPolicy !== undefined && orphanDependents !== undefined)
    errors.push(
      invalidValue(
        'propagationPolicy',
        propagationPolicy,
        'orphanDependents and deletionPropagation cannot be both set',
      ),
    );
  if (propagationPolicy !== undefined && !POLICIES.includes(propagationPolicy))
    errors.push(
      notSupported('propagationPolicy', propagationPolicy, ['Foreground', 'Background', 'Orphan', 'nil']),
    );
  errors.push(...validateDryRun(options.dryRun ?? []));
  if (errors.length > 0) throw invalid({ group: 'meta.k8s.io', kind: 'DeleteOptions' }, '', errors);
}

const POLICIES = ['Foreground', 'Background', 'Orphan'];

/** What the next step is, for an object as it stands. `draft` is its next state where it must be kept for a while. */
type Step =
  | { readonly kind: 'remove' }
  | { readonly kind: 'pending' }
  | { readonly kind: 'mark'; readonly draft: Draft<KubeObject>; readonly thenRemove: boolean };

export async function deleteObject(scope: WriteScope, options: DeleteOptions): Promise<Deleted> {
  const { served, services } = scope;
  const { storage, strategy, groupResource } = served;
  const context = strategyContext(scope);
  let { preconditions } = options;
  let record = await storage.get(scope.namespace, scope.name);
  if (record === undefined) throw notFound(groupResource, scope.name);
  let admitted: ObjectRecord | undefined;
  /** What was last there, when somebody else removed it between our two steps. */
  let marked: ObjectRecord | undefined;

  for (;;) {
    checkDeletePreconditions(scope, preconditions, record);
    const step = nextStep(scope, options, record, marked !== undefined);
    if (step.kind === 'pending') return answer(served, false, record, false);
    if (admitted !== record && marked === undefined && scope.admit) {
      const attributes = admissionAttributes(scope, 'DELETE', scope.name, undefined, record.object);
      await services.admission.admit(attributes);
      await services.admission.validate(attributes);
      admitted = record;
    }
    checkPreconditions(scope, preconditions, record);
    let result: ObjectRecord | LostRace;
    if (step.kind === 'mark') {
      if (scope.dryRun)
        return { gone: step.thenRemove, record: undefined, object: step.draft, showObject: true };
      strategy?.prepareForDelete?.(step.draft, context);
      result = await storage.update(record, step.draft);
      if (!(result instanceof LostRace)) {
        if (!step.thenRemove) return answer(served, false, result, true);
        marked = record = result;
        if (preconditions?.resourceVersion !== undefined)
          preconditions = { ...preconditions, resourceVersion: String(result.revision) };
        continue;
      }
    } else {
      if (scope.dryRun) return answer(served, true, record, false);
      result = await storage.delete(record);
      if (!(result instanceof LostRace)) {
        await strategy?.released?.(record.object, context);
        return answer(served, true, result, false);
      }
    }
    if (result.current === undefined) {
      if (marked !== undefined) return answer(served, true, marked, false);
      throw notFound(groupResource, scope.name);
    }
    record = result.current;
  }
}

function nextStep(scope: WriteScope, options: DeleteOptions, record: ObjectRecord, isMarked: boolean): Step {
  if (isMarked) return { kind: 'remove' };
  const { strategy } = scope.served;
  const now = scope.services.clock.now();
  const old = record.object;
  const draft = {
    ...old,
    metadata: { ...old.metadata },
  } as Draft<KubeObject>;
  const graceful = strategy?.gracePeriod === undefined ? 'no' : beginGrace(scope, options, draft, now);
  if (graceful === 'pending') return { kind: 'pending' };

  const finalizers = finalizersFor(scope, options, old);
  if (finalizers.length > 0) draft.metadata.finalizers = finalizers;
  else delete draft.metadata.finalizers;
  if (graceful === 'no') {
    const waits = strategy?.mayBeRemoved?.(old) === false;
    if (finalizers.length === 0 && !waits) return { kind: 'remove' };
    markAsDeleting(draft, now);
    // A namespace waits for its content, not for a grace period to pass.
    if (waits && old.metadata.deletionGracePeriodSeconds === undefined)
      delete draft.metadata.deletionGracePeriodSeconds;
    return { kind: 'mark', draft, thenRemove: false };
  }
  const period = draft.metadata.deletionGracePeriodSeconds ?? 0;
  return { kind: 'mark', draft, thenRemove: period === 0 && finalizers.length === 0 };
}

/** rest.BeforeDelete for kinds with a grace period: sets deletionTimestamp and deletionGracePeriodSeconds on the draft. */
function beginGrace(
  { served }: WriteScope,
  options: DeleteOptions,
  { metadata, ...rest }: Draft<KubeObject>,
  now: number,
): 'no' | 'pending' | 'yes' {
  const requested =
    options.gracePeriodSeconds === undefined
      ? undefined
      : options.gracePeriodSeconds < 0
        ? 1
        : options.gracePeriodSeconds;
  if (metadata.deletionTimestamp !== undefined) {
    const current = metadata.deletionGracePeriodSeconds ?? 0;
    if (current === 0) return 'no';
    if (requested === undefined || requested >= current) return 'pending';
    // The end moves back, but not into the past.
    let end = parseTime(metadata.deletionTimestamp) + (requested - current) * 1_000;
    let period = requested;
    if (end < now) {
      end = now;
      if (period !== 0) period = 1;
    }
    metadata.deletionTimestamp = formatTime(end);
    metadata.deletionGracePeriodSeconds = period;
    return 'yes';
  }
  const period = served.strategy?.gracePeriod?.({ ...rest, metadata }, requested) ?? 0;
  metadata.deletionTimestamp = formatTime(now + period * 1_000);
  metadata.deletionGracePeriodSeconds = period;
  if ((metadata.generation ?? 0) > 0) metadata.generation = (metadata.generation as number) + 1;
  return 'yes';
}

/** For kinds without grace that wait for finalizers. */
function markAsDeleting({ metadata }: Draft<KubeObject>, now: number): void {
  if (metadata.deletionTimestamp === undefined && (metadata.generation ?? 0) > 0)
    metadata.generation = (metadata.generation as number) + 1;
  if (metadata.deletionTimestamp === undefined || parseTime(metadata.deletionTimestamp) > now)
    metadata.deletionTimestamp = formatTime(now);
  metadata.deletionGracePeriodSeconds = 0;
}

const ORPHAN = 'orphan';
const FOREGROUND = 'foregroundDeletion';

/** The object's finalizers with the garbage collector's own as the policy wants them. */
function finalizersFor(scope: WriteScope, options: DeleteOptions, old: KubeObject): string[] {
  const finalizers = old.metadata.finalizers ?? [];
  if (NOT_COLLECTED.has(resourceName(scope.served))) return [...finalizers];
  const policy = propagation(scope, options, finalizers);
  const kept = finalizers.filter((finalizer) => finalizer !== ORPHAN && finalizer !== FOREGROUND);
  if (policy === 'Orphan') kept.push(ORPHAN);
  if (policy === 'Foreground') kept.push(FOREGROUND);
  return kept;
}

/** An explicit policy, else the finalizers that are there, else the kind's default. */
function propagation(
  { served }: WriteScope,
  { orphanDependents, propagationPolicy }: DeleteOptions,
  finalizers: readonly string[],
): string {
  if (orphanDependents !== undefined) return orphanDependents ? 'Orphan' : 'Background';
  if (propagationPolicy !== undefined) return propagationPolicy;
  for (const finalizer of finalizers) {
    if (finalizer === ORPHAN) return 'Orphan';
    if (finalizer === FOREGROUND) return 'Foreground';
  }
  return served.strategy?.defaultPropagation ?? 'Background';
}

/** Kinds without dependents (upstream: GarbageCollectionPolicy Unsupported). */
const NOT_COLLECTED = new Set(['events']);

function checkDeletePreconditions(
  { served }: WriteScope,
  preconditions: Preconditions | undefined,
  record: ObjectRecord,
): void {
  if (preconditions === undefined) return;
  const { uid, resourceVersion } = preconditions;
  const { group, kind } = served.storage.info;
  const found = record.object.metadata;
  // Upstream names the kind here where a resource belongs.
  const about = { group, resource: kind };
  if (uid !== undefined && uid !== found.uid)
    throw conflict(
      about,
      found.name,
      `the UID in the precondition (${uid}) does not match the UID in record (${found.uid}). The object might have been deleted and then recreated`,
    );
  if (resourceVersion !== undefined && resourceVersion !== String(record.revision))
    throw conflict(
      about,
      found.name,
      `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${record.revision}). The object might have been modified`,
    );
}

/** Kinds whose deletion answers with the object (upstream: ReturnDeletedObject). */
const RETURN_DELETED = new Set([
  'namespaces',
  'persistentvolumeclaims',
  'persistentvolumes',
  'pods',
  'podtemplates',
  'resourcequotas',
  'serviceaccounts',
  'services',
  'csidrivers.storage.k8s.io',
  'csinodes.storage.k8s.io',
  'storageclasses.storage.k8s.io',
  'volumeattachments.storage.k8s.io',
  'volumeattributesclasses.storage.k8s.io',
  'deviceclasses.resource.k8s.io',
  'resourceclaims.resource.k8s.io',
  'resourceclaimtemplates.resource.k8s.io',
  'resourceslices.resource.k8s.io',
]);

function resourceName({ groupResource: { group, resource } }: ServedResource): string {
  return group === '' ? resource : `${resource}.${group}`;
}

function answer(served: ServedResource, gone: boolean, record: ObjectRecord, isWaiting: boolean): Deleted {
  return {
    gone,
    record,
    object: record.object,
    showObject: isWaiting || RETURN_DELETED.has(resourceName(served)),
  };
}
