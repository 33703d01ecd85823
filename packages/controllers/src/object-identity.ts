import type { KubeObject, ResourceType } from '@k8ts/api';
import { apiVersionOf } from '@k8ts/client';
import type { ObjectIdentity } from '@k8ts/client';

/** What an event is about. Objects of a cache may lack apiVersion and kind; their type has them. */
export function identityOf(object: KubeObject, type: ResourceType<KubeObject>): ObjectIdentity {
  const { namespace, name, uid, resourceVersion } = object.metadata;
  return {
    apiVersion: apiVersionOf(type),
    kind: type.kind,
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
}
