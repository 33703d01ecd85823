import type { Draft, KubeObject, ResourceType } from '@k8ts/api';
import { notFound } from '@k8ts/apimachinery';
import type { UserInfo } from '../authentication/contract.ts';
import type { ObjectRecord } from '../storage/object-record.ts';
import type { ResourceStorage } from '../storage/resource-storage.ts';
import { copyJson } from './generic/copy-json.ts';
import { createObject } from './generic/create.ts';
import { deleteObject } from './generic/delete.ts';
import type { RegistryServices, WriteScope } from './generic/scope.ts';
import { updateObject } from './generic/update.ts';
import type { ResourceRegistry } from './resource-registry.ts';
import { withSchemaDefaults, type ServedResource } from './served-resource.ts';
import type { RegistryAccess } from './special-subresources.ts';

/** Who acts when the server does something by itself. */
export const APISERVER_USER: UserInfo = Object.freeze({
  name: 'system:apiserver',
  uid: '',
  groups: Object.freeze(['system:masters', 'system:authenticated']),
  extra: Object.freeze({}),
});

/** Access for handlers and hooks, in the name of `user` (which strategies may look at). */
export function createRegistryAccess(
  registry: ResourceRegistry,
  services: RegistryServices,
  user: UserInfo = APISERVER_USER,
  warn: (message: string) => void = () => undefined,
): RegistryAccess {
  const servedOf = (type: ResourceType<KubeObject>): ServedResource => {
    const served = registry.kept(type.group, type.version, type.resource);
    if (served === undefined) throw new Error(`${type.resource} is not served`);
    return served;
  };
  const scopeOf = (
    type: ResourceType<KubeObject>,
    namespace: string,
    name: string,
    dryRun: boolean,
  ): WriteScope => ({
    services,
    served: servedOf(type),
    subresource: '',
    namespace: type.namespaced ? namespace : '',
    name,
    user,
    dryRun,
    options: {},
    admit: false,
    warn,
  });
  const read = async (
    storage: ResourceStorage,
    namespace: string,
    name: string,
  ): Promise<ObjectRecord | undefined> => storage.get(namespace, name);

  return {
    async get<T extends KubeObject>(type: ResourceType<T>, namespace: string, name: string) {
      const { storage, groupResource } = servedOf(type);
      const record = await read(storage, namespace, name);
      if (record === undefined) throw notFound(groupResource, name);
      return record.object as T;
    },
    async find<T extends KubeObject>(type: ResourceType<T>, namespace: string, name: string) {
      return (await read(servedOf(type).storage, namespace, name))?.object as T | undefined;
    },
    async list<T extends KubeObject>(type: ResourceType<T>, namespace?: string) {
      await servedOf(type).storage.cache.load();
      return registry.lookUpAll(type, namespace);
    },
    async update<T extends KubeObject>(
      type: ResourceType<T>,
      namespace: string,
      name: string,
      change: (draft: Draft<T>, old: T) => void,
      options: Parameters<RegistryAccess['update']>[4] = {},
    ) {
      const outcome = await updateObject(scopeOf(type, namespace, name, options.dryRun === true), {
        draft: (old) => {
          const object = (old as ObjectRecord).object as T;
          const draft = copyJson(object) as Draft<T>;
          change(draft, object);
          return draft as Draft<KubeObject>;
        },
        allowCreate: false,
        followsOld: true,
        skipStrategy: true,
        ...(options.preconditions === undefined ? {} : { preconditions: options.preconditions }),
      });
      return (outcome.record?.object ?? outcome.object) as T;
    },
    async create<T extends KubeObject>(
      type: ResourceType<T>,
      object: T,
      options: { readonly dryRun?: boolean } = {},
    ) {
      const served = servedOf(type);
      const draft = withSchemaDefaults(served, copyJson(object) as Draft<KubeObject>);
      draft.apiVersion = served.storage.encoding.apiVersion;
      draft.kind = served.storage.info.kind;
      served.strategy?.setDefaults?.(draft);
      const { namespace = '', name } = draft.metadata;
      const written = await createObject(scopeOf(type, namespace, name, options.dryRun === true), draft);
      return (written.record?.object ?? written.object) as T;
    },
    async delete(type, namespace, name, options) {
      const { dryRun = false, ...rest } = options;
      await deleteObject(scopeOf(type, namespace, name, dryRun), rest);
    },
  };
}
