import type { KubeObject, ResourceType } from '@k8ts/api';
import { isInvalid, isNotFound, matchesLabels } from '@k8ts/apimachinery';
import type { LabelSelector } from '@k8ts/apimachinery';
import { controllerOf, controllerRef } from '@k8ts/client';
import type { Client } from '@k8ts/client';

export interface ClaimOptions<T extends KubeObject> {
  readonly client: Client;
  readonly owner: KubeObject;
  readonly ownerType: ResourceType<KubeObject>;
  readonly type: ResourceType<T>;
  readonly selector: LabelSelector;
  /** Candidates: all of the namespace that match the selector, and all that the owner controls. */
  readonly objects: readonly T[];
  /** Added to what is adopted and taken from what is released. */
  readonly finalizer?: string;
  /** What else must hold for an object to be adopted; pods must be active. */
  readonly adoptable?: (object: T) => boolean;
}

/**
 * Sorts out what belongs to an owner (upstream's controller_ref_manager.go): adopts what its selector matches and nobody
 * controls, releases what it controls and its selector no longer matches, and returns what is its own then.
 */
export async function claimObjects<T extends KubeObject>(options: ClaimOptions<T>): Promise<T[]> {
  const { owner, selector, objects } = options;
  const claimed: T[] = [];
  const errors: unknown[] = [];
  let mayAdopt: Promise<void> | undefined;
  for (const object of objects) {
    const controller = controllerOf(object);
    const matches = matchesLabels(selector, object.metadata.labels);
    try {
      if (controller !== undefined) {
        if (controller.uid !== owner.metadata.uid) continue;
        if (matches) claimed.push(object);
        else if (owner.metadata.deletionTimestamp === undefined) await release(options, object);
        continue;
      }
      if (
        !matches ||
        owner.metadata.deletionTimestamp !== undefined ||
        object.metadata.deletionTimestamp !== undefined ||
        object.metadata.namespace !== owner.metadata.namespace ||
        options.adoptable?.(object) === false
      )
        continue;
      // The cached owner may be out of date: one that is being deleted must not adopt. Asked once, and only when needed.
      mayAdopt ??= recheckDeletion(options);
      await mayAdopt;
      if (await adopt(options, object)) claimed.push(object);
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
  return claimed;
}

async function recheckDeletion<T extends KubeObject>({
  client,
  owner,
  ownerType,
}: ClaimOptions<T>): Promise<void> {
  const { namespace, name, uid } = owner.metadata;
  const fresh = await client.resource(ownerType, namespace).get(name);
  if (fresh.metadata.uid !== uid)
    throw new Error(
      `original ${ownerType.kind} ${namespace ?? ''}/${name} is gone: got uid ${fresh.metadata.uid ?? ''}, wanted ${uid ?? ''}`,
    );
  if (fresh.metadata.deletionTimestamp !== undefined)
    throw new Error(
      `${namespace ?? ''}/${name} has just been deleted at ${fresh.metadata.deletionTimestamp}`,
    );
}

/** False when the object went away meanwhile. `metadata.uid` in the patch is a precondition. */
async function adopt<T extends KubeObject>(options: ClaimOptions<T>, object: T): Promise<boolean> {
  const { client, owner, ownerType, type, finalizer } = options;
  const patch = {
    metadata: {
      uid: object.metadata.uid,
      ownerReferences: [controllerRef(owner, ownerType)],
      ...(finalizer === undefined ? {} : { finalizers: [finalizer] }),
    },
  };
  try {
    await client
      .resource(type, object.metadata.namespace)
      .patch(object.metadata.name, patch, { type: 'strategic' });
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

async function release<T extends KubeObject>(options: ClaimOptions<T>, object: T): Promise<void> {
  const { client, owner, type, finalizer } = options;
  const patch = {
    metadata: {
      uid: object.metadata.uid,
      ownerReferences: [{ $patch: 'delete', uid: owner.metadata.uid }],
      ...(finalizer === undefined ? {} : { '$deleteFromPrimitiveList/finalizers': [finalizer] }),
    },
  };
  try {
    await client
      .resource(type, object.metadata.namespace)
      .patch(object.metadata.name, patch, { type: 'strategic' });
  } catch (error) {
    // Gone, or without owner references by now (then the patch is invalid): released either way.
    if (!isNotFound(error) && !isInvalid(error)) throw error;
  }
}
