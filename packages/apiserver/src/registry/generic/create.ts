import { randomUUID } from 'node:crypto';
import type { Draft, KubeObject } from '@k8ts/api';
import {
  alreadyExists,
  formatTime,
  generateNameConflict,
  invalid,
  StatusError,
  validateObjectMeta,
} from '@k8ts/apimachinery';
import { randomNameSuffix } from '@k8ts/base';
import type { Allocation } from '../contract.ts';
import { LostRace } from '../../storage/resource-storage.ts';
import type { ObjectRecord } from '../../storage/object-record.ts';
import {
  dedupOwnerReferences,
  generatedName,
  nameIsPathSegment,
  nameRuleOf,
  prepareForCreate,
} from './object-rules.ts';
import { admissionAttributes, strategyContext, type WriteScope } from './scope.ts';

/** How often a generated name is tried: with 8, a million names of one prefix meet a collision in 0.1 % of creations. */
const NAME_ATTEMPTS = 8;

/** A created object: stored, or what a dry run would have stored (without resource version). */
export type Written =
  | { readonly record: ObjectRecord; readonly object?: undefined }
  | { readonly record?: undefined; readonly object: KubeObject };

/**
 * Creates `draft`, which is decoded, defaulted and in the storage version. Admission mutates it, the strategy prepares and
 * validates it, admission validates it, and it is stored; upstream's order, which messages and webhooks can observe.
 */
export async function createObject(scope: WriteScope, draft: Draft<KubeObject>): Promise<Written> {
  const { services } = scope;
  const { metadata } = draft;
  metadata.name ??= ''; // every rule may read it; validation refuses it
  if (scope.admit) {
    const pending = services.admission.admit(
      admissionAttributes(scope, 'CREATE', metadata.name, draft, undefined),
    );
    if (pending !== undefined) await pending;
    dedupOwnerReferences(metadata, true, scope.warn);
  }
  const generate = metadata.name === '' && (metadata.generateName ?? '') !== '';
  for (let attempt = 1; ; attempt++) {
    if (generate)
      metadata.name = generatedName(metadata.generateName as string, randomNameSuffix(services.random));
    const written = await createOnce(scope, draft);
    if (!(written instanceof LostRace)) return written;
    if (generate && attempt < NAME_ATTEMPTS) continue;
    throw taken(scope, metadata, generate, written.current);
  }

  function taken(
    { served: { groupResource } }: WriteScope,
    { name }: { name: string },
    generated: boolean,
    holder: ObjectRecord | undefined,
  ): StatusError {
    const error =
      generated || (metadata.generateName ?? '') !== ''
        ? generateNameConflict(groupResource, name, 1)
        : alreadyExists(groupResource, name);
    if (holder?.object.metadata.deletionTimestamp === undefined) return error;
    return new StatusError({
      ...error.status,
      message: `object is being deleted: ${error.status.message}`,
    });
  }
}

async function createOnce(scope: WriteScope, draft: Draft<KubeObject>): Promise<Written | LostRace> {
  const { served, services } = scope;
  const { strategy, storage } = served;
  const { metadata } = draft;
  const context = strategyContext(scope);
  metadata.creationTimestamp = formatTime(services.clock.now());
  metadata.uid = randomUUID();

  // What has no name will be refused: nothing is set aside for it.
  const pendingAllocation =
    metadata.name === '' ? undefined : strategy?.allocate?.(draft, undefined, context);
  const allocation = pendingAllocation instanceof Promise ? await pendingAllocation : pendingAllocation;
  let stored = false;
  try {
    prepareForCreate(served, draft, context);
    validateNew(scope, draft, context);
    for (const text of strategy?.warnings?.(draft, undefined) ?? []) scope.warn(text);
    if (scope.admit) {
      const pending = services.admission.validate(
        admissionAttributes(scope, 'CREATE', metadata.name, draft, undefined),
      );
      if (pending !== undefined) await pending;
    }
    if ((metadata.resourceVersion ?? '') !== '') throw resourceVersionOnCreate();
    const key = storage.key(metadata.namespace ?? '', metadata.name);
    if (scope.dryRun) {
      const holder = await storage.get(metadata.namespace ?? '', metadata.name);
      return holder === undefined ? { object: await storage.preview(draft) } : new LostRace(holder);
    }
    const result = await storage.create(key, draft);
    if (result instanceof LostRace) return result;
    stored = true;
    return { record: result };
  } finally {
    if (allocation !== undefined) await settle(allocation, stored);
  }
}

function validateNew(
  { served }: WriteScope,
  draft: Draft<KubeObject>,
  context: ReturnType<typeof strategyContext>,
): void {
  const { metadata } = draft;
  const { info } = served;
  // Names first by the kind's own rule, so that its words are heard; then what holds for every key.
  const errors = [
    ...validateObjectMeta(metadata, info.namespaced, nameRuleOf(served)),
    ...(served.strategy?.validate?.(draft, context) ?? []),
  ];
  if (errors.length === 0 && metadata.name !== '') {
    for (const message of nameIsPathSegment(metadata.name, false))
      errors.push({
        type: 'FieldValueInvalid',
        field: 'metadata.name',
        body: `Invalid value: ${JSON.stringify(metadata.name)}: ${message}`,
      });
  }
  if (errors.length > 0) throw invalid({ group: info.group, kind: info.kind }, metadata.name, errors);
}

export async function settle(allocation: Allocation, stored: boolean): Promise<void> {
  const pending = stored ? allocation.commit() : allocation.rollback();
  if (pending !== undefined) await pending;
}

/** Upstream answers with a plain error here, which becomes a 500 without a reason. */
function resourceVersionOnCreate(): StatusError {
  return new StatusError({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'resourceVersion should not be set on objects to be created',
    code: 500,
  });
}
