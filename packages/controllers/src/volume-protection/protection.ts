import type { KubeObject, ResourceType } from '@k8ts/api';
import { isNotFound } from '@k8ts/apimachinery';
import { objectKey } from '@k8ts/client';

import type { Controller, ControllerContext } from '../contract.ts';

export interface Protection<T extends KubeObject> {
  readonly type: ResourceType<T>;
  readonly finalizer: string;
  /** Asked of what is being deleted only. */
  readonly isUsed: (object: T) => boolean | Promise<boolean>;
}

/**
 * Lets what is being deleted go once nobody uses it. Admission gives new objects the finalizer; those from before get it
 * here. Who uses objects tells by `recheck` when that ends.
 */
export function protect<T extends KubeObject>(
  { client, informers, queue }: ControllerContext,
  { type, finalizer, isUsed }: Protection<T>,
): { readonly controller: Controller; readonly recheck: (key: string) => void } {
  const objects = informers.of(type);
  const isHeld = ({ metadata }: KubeObject): boolean => metadata.finalizers?.includes(finalizer) === true;
  const isLeaving = ({ metadata }: KubeObject): boolean => metadata.deletionTimestamp !== undefined;
  const look = (object: T): void => {
    if (isHeld(object) === isLeaving(object)) queue.add(objectKey(object));
  };
  objects.addHandler({ added: look, updated: look });

  const setFinalizers = async (object: T, finalizers: readonly string[]): Promise<void> => {
    const api = client.resource(type, object.metadata.namespace ?? '');
    try {
      await api.update({ ...object, metadata: { ...object.metadata, finalizers } });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  };
  return {
    recheck: (key) => {
      const object = objects.lister.byKey(key);
      if (object !== undefined) look(object);
    },
    controller: {
      async reconcile(key) {
        const object = objects.lister.byKey(key);
        if (object === undefined) return;
        const { finalizers = [] } = object.metadata;
        if (!isLeaving(object)) {
          if (!isHeld(object)) await setFinalizers(object, [...finalizers, finalizer]);
        } else if (isHeld(object) && !(await isUsed(object)))
          await setFinalizers(
            object,
            finalizers.filter((each) => each !== finalizer),
          );
      },
    },
  };
}
