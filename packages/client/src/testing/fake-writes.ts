import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';

import type { KubeObject, ResourceType, corev1, metav1 } from '@k8ts/api';
import {
  alreadyExists,
  badRequest,
  conflict,
  forbidden,
  formatTime,
  fromStatus,
  modified,
  notFound,
} from '@k8ts/apimachinery';
import { randomNameSuffix, seededRandom } from '@k8ts/base';
import type { Clock, Random } from '@k8ts/base';

import { objectKey } from '../controller-ref.ts';
import type { FakeStore, StoredObject } from './fake-store.ts';

/** What is written besides the object itself. */
export type WritePart = 'main' | 'status' | 'finalize';

export interface DeleteRequest {
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: string;
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
}

const ORPHAN = 'orphan';
const FOREGROUND = 'foregroundDeletion';

/** The rules of writing: versions, conflicts, generations, status apart from spec, finalizers, grace. */
export class FakeWrites {
  readonly #store: FakeStore;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(store: FakeStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#random = seededRandom(1);
  }

  create(type: ResourceType<KubeObject>, namespace: string | undefined, body: StoredObject): StoredObject {
    if (body.metadata.resourceVersion)
      throw badRequest('resourceVersion should not be set on objects to be created');
    if (type.namespaced && namespace !== undefined)
      this.#refuseWhenTerminating(type, namespace, body.metadata.name);
    const name = body.metadata.name || generateName(body.metadata.generateName, this.#random);
    const object: StoredObject = {
      ...body,
      metadata: {
        ...body.metadata,
        name,
        ...(type.namespaced && namespace !== undefined ? { namespace } : {}),
        uid: randomUUID(),
        creationTimestamp: formatTime(this.#clock.now()),
        generation: 1,
      },
    };
    const key = objectKey(object);
    if (this.#store.get(resourceName(type), key) !== undefined) throw alreadyExists(type, name);
    return this.#store.put(resourceName(type), key, prepareForCreate(type, object));
  }

  update(
    type: ResourceType<KubeObject>,
    key: string,
    body: StoredObject,
    part: WritePart,
    hasStatus: boolean,
  ): StoredObject {
    const current = this.#current(type, key);
    const { name, uid } = current.metadata;
    if (body.metadata.uid !== undefined && body.metadata.uid !== '' && body.metadata.uid !== uid)
      throw conflict(
        type,
        name,
        `Precondition failed: UID in precondition: ${body.metadata.uid}, UID in object meta: ${uid ?? ''}`,
      );
    if (body.metadata.resourceVersion && body.metadata.resourceVersion !== current.metadata.resourceVersion)
      throw modified(type, name);
    const updated = merge(current, body, part, hasStatus);
    if (isDeepStrictEqual(updated, current)) return current;
    const resource = resourceName(type);
    if (updated.metadata.deletionTimestamp !== undefined && isFinished(type, updated)) {
      const last = this.#store.put(resource, key, updated);
      this.#store.delete(resource, key);
      return last;
    }
    return this.#store.put(resource, key, updated);
  }

  delete(type: ResourceType<KubeObject>, key: string, options: DeleteRequest): StoredObject {
    const resource = resourceName(type);
    const current = this.#current(type, key);
    const { metadata } = current;
    const { uid, resourceVersion } = options.preconditions ?? {};
    if (uid !== undefined && uid !== metadata.uid)
      throw conflict(
        type,
        metadata.name,
        `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${metadata.uid ?? ''}`,
      );
    if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion)
      throw conflict(
        type,
        metadata.name,
        `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${metadata.resourceVersion ?? ''}`,
      );
    const finalizers = finalizersFor(metadata.finalizers ?? [], options.propagationPolicy);
    const grace = type.resource === 'pods' && type.group === '' ? podGrace(current, options) : 0;
    const marked = withMetadata(current, {
      finalizers,
      // A second deletion may shorten the grace, never lengthen it.
      deletionTimestamp:
        metadata.deletionTimestamp !== undefined && grace >= (metadata.deletionGracePeriodSeconds ?? 0)
          ? metadata.deletionTimestamp
          : formatTime(this.#clock.now() + grace * 1000),
      deletionGracePeriodSeconds: Math.min(grace, metadata.deletionGracePeriodSeconds ?? grace),
      generation: (metadata.generation ?? 0) + (metadata.deletionTimestamp === undefined ? 1 : 0),
    });
    const object = isNamespace(type) ? { ...marked, status: { phase: 'Terminating' } } : marked;
    if (grace === 0 && isFinished(type, object)) {
      this.#store.delete(resource, key);
      return current;
    }
    return isDeepStrictEqual(object, current) ? current : this.#store.put(resource, key, object);
  }

  /** As NamespaceLifecycle admission: a namespace that is being deleted takes nothing new. */
  #refuseWhenTerminating(type: ResourceType<KubeObject>, namespace: string, name: string): void {
    if (this.#store.get('namespaces.', namespace)?.metadata.deletionTimestamp === undefined) return;
    const message = `unable to create new content in namespace ${namespace} because it is being terminated`;
    const { status } = forbidden(type, name, message);
    const cause = {
      reason: 'NamespaceTerminating',
      message: `namespace ${namespace} is being terminated`,
      field: 'metadata.namespace',
    };
    throw fromStatus({ ...status, details: { ...status.details, causes: [cause] } });
  }

  #current(type: ResourceType<KubeObject>, key: string): StoredObject {
    const current = this.#store.get(resourceName(type), key);
    if (current === undefined) throw notFound(type, key.slice(key.indexOf('/') + 1));
    return current;
  }
}

/** Versions of one resource share their objects: `deployments.apps`. */
export function resourceName(type: ResourceType<KubeObject>): string {
  return `${type.resource}.${type.group}`;
}

function generateName(base: string | undefined, random: Random): string {
  if (base === undefined || base === '') throw badRequest('name or generateName is required');
  return base + randomNameSuffix(random);
}

function isNamespace(type: ResourceType<KubeObject>): boolean {
  return type.group === '' && type.resource === 'namespaces';
}

function prepareForCreate(type: ResourceType<KubeObject>, object: StoredObject): StoredObject {
  if (isNamespace(type))
    return { ...object, spec: { finalizers: ['kubernetes'] }, status: { phase: 'Active' } };
  if (type.group === '' && type.resource === 'pods' && object['status'] === undefined)
    return { ...object, status: { phase: 'Pending' } };
  return object;
}

/** Nothing holds the object back any more. */
function isFinished(type: ResourceType<KubeObject>, object: StoredObject): boolean {
  if ((object.metadata.finalizers ?? []).length > 0) return false;
  if (isNamespace(type)) return ((object as unknown as corev1.Namespace).spec.finalizers ?? []).length === 0;
  return (object.metadata.deletionGracePeriodSeconds ?? 0) === 0;
}

function podGrace(object: StoredObject, options: DeleteRequest): number {
  const pod = object as unknown as corev1.Pod;
  if (!pod.spec?.nodeName || pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed') return 0;
  return options.gracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30;
}

function finalizersFor(present: readonly string[], policy: string | undefined): readonly string[] {
  if (policy === undefined) return present;
  const others = present.filter((finalizer) => finalizer !== ORPHAN && finalizer !== FOREGROUND);
  if (policy === 'Orphan') return [...others, ORPHAN];
  return policy === 'Foreground' ? [...others, FOREGROUND] : others;
}

function withMetadata(object: StoredObject, change: Partial<metav1.ObjectMeta>): StoredObject {
  const metadata = { ...object.metadata, ...change };
  if (metadata.finalizers?.length === 0) delete (metadata as { finalizers?: unknown }).finalizers;
  return { ...object, metadata };
}

function merge(current: StoredObject, body: StoredObject, part: WritePart, hasStatus: boolean): StoredObject {
  if (part === 'finalize') return { ...current, spec: body['spec'] };
  if (part === 'status') {
    const { status: _, ...rest } = current;
    // As for most built-in kinds, annotations may be written together with the status; labels and spec may not.
    const { annotations } = body.metadata;
    const { annotations: __, ...metadata } = rest.metadata;
    return {
      ...rest,
      metadata: annotations === undefined ? metadata : { ...metadata, annotations },
      ...(body['status'] === undefined ? {} : { status: body['status'] }),
    };
  }
  const { status: _, ...bodyWithoutStatus } = body;
  const { status } = current;
  const next = hasStatus ? { ...bodyWithoutStatus, ...(status === undefined ? {} : { status }) } : body;
  const changed = !isDeepStrictEqual(withoutMeta(next), withoutMeta(current));
  const kept = current.metadata;
  return withMetadata(next, {
    uid: kept.uid,
    resourceVersion: kept.resourceVersion,
    creationTimestamp: kept.creationTimestamp,
    ...(kept.namespace === undefined ? {} : { namespace: kept.namespace }),
    ...(kept.deletionTimestamp === undefined
      ? {}
      : {
          deletionTimestamp: kept.deletionTimestamp,
          deletionGracePeriodSeconds: kept.deletionGracePeriodSeconds,
        }),
    generation: (kept.generation ?? 0) + (changed ? 1 : 0),
  } as Partial<metav1.ObjectMeta>);
}

/** What the generation counts changes of: all but metadata and status. */
function withoutMeta(object: StoredObject): object {
  const { metadata: _metadata, status: _status, apiVersion: _apiVersion, kind: _kind, ...rest } = object;
  return rest;
}
