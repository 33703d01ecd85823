import type { KubeObject, ResourceType, metav1 } from '@k8ts/api';

import { apiVersionOf } from './resource-path.ts';

/** The owner that manages the object: at most one of its owner references says `controller: true`. */
export function controllerOf(object: KubeObject): metav1.OwnerReference | undefined {
  const references = object.metadata.ownerReferences;
  if (references === undefined) return undefined;
  // Asked of every object with every event: a loop, since a closure for each question shows in profiles.
  for (const reference of references) if (reference.controller === true) return reference;
  return undefined;
}

export function isControlledBy(object: KubeObject, owner: KubeObject): boolean {
  const uid = owner.metadata.uid;
  return uid !== undefined && controllerOf(object)?.uid === uid;
}

/** The reference that a controller writes into what it makes. The owner must have been read from the API. */
export function controllerRef(owner: KubeObject, type: ResourceType<KubeObject>): metav1.OwnerReference {
  return {
    apiVersion: apiVersionOf(type),
    kind: type.kind,
    name: owner.metadata.name,
    uid: owner.metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}

/** `namespace/name`, or `name` for what has no namespace: how informers and queues name objects. */
export function objectKey(object: KubeObject): string {
  const { namespace, name } = object.metadata;
  return namespace === undefined || namespace === '' ? name : `${namespace}/${name}`;
}

/** The parts of an object's key. */
export function splitKey(key: string): { readonly namespace: string; readonly name: string } {
  const slash = key.indexOf('/');
  return slash < 0
    ? { namespace: '', name: key }
    : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
