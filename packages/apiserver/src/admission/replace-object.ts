import type { Draft, KubeObject } from '@k8ts/api';
import { jsonEqual } from '@k8ts/apimachinery';

/** Makes the object of a request another one, in place. False: it is the same. */
export function replaceObject(object: Draft<KubeObject>, by: Draft<KubeObject>): boolean {
  if (jsonEqual(by, object)) return false;
  const target = object as unknown as Record<string, unknown>;
  for (const name of Object.keys(target)) delete target[name];
  Object.assign(target, by);
  return true;
}
