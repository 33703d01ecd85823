import { apiextensionsv1, corev1, resourceInfoByKind } from '@k8ts/api';
import type { Draft, KubeObject } from '@k8ts/api';
import { isDeepStrictEqual } from 'node:util';
import type { AuthorizationAttributes, Authorizer } from '../../authorization/contract.ts';
import type { ObjectReader } from '../../object-reader.ts';
import { createAuthorize } from '../../steps/authorize.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../contract.ts';
import { isResource, refuse } from '../refuse.ts';

type OwnerReference = NonNullable<KubeObject['metadata']['ownerReferences']>[number];

export interface OwnerReferencesPermissionEnforcementOptions {
  readonly objects: ObjectReader;
  readonly authorizers: readonly Authorizer[];
}

interface Owner {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly namespaced: boolean;
}

/**
 * An owner reference lets the garbage collector delete an object, so that who sets one must be allowed to; one that blocks
 * the owner's deletion takes what is as good as a finalizer on the owner.
 */
export function ownerReferencesPermissionEnforcement({
  objects,
  authorizers,
}: OwnerReferencesPermissionEnforcementOptions): AdmissionPlugin {
  const authorize = createAuthorize(authorizers);
  return {
    name: 'OwnerReferencesPermissionEnforcement',
    operations: ['CREATE', 'UPDATE'],
    // A pod's status cannot change them.
    handles: (resource, subresource) => !(subresource === 'status' && isResource(resource, corev1.pods)),

    validate(attributes) {
      const owners = ownersOf(attributes.object);
      const old = ownersOf(attributes.oldObject);
      return isDeepStrictEqual(owners, old) ? undefined : check(attributes, owners, old);
    },
  };

  async function check(
    attributes: AdmissionAttributes,
    owners: readonly OwnerReference[],
    old: readonly OwnerReference[],
  ): Promise<void> {
    const { group, version, resource } = attributes.resource;
    const refusal = await refusalOf(attributes, {
      verb: 'delete',
      apiGroup: group,
      apiVersion: version,
      resource,
      subresource: attributes.subresource,
      namespace: attributes.namespace,
      name: attributes.name,
    });
    if (refusal !== undefined)
      throw refuse(attributes, `cannot set an ownerRef on a resource you can't delete: ${refusal}`);
    for (const reference of owners) {
      if (reference.blockOwnerDeletion !== true) continue;
      if (old.some(({ uid, blockOwnerDeletion }) => uid === reference.uid && blockOwnerDeletion === true))
        continue;
      await checkBlocking(attributes, reference);
    }
  }

  async function checkBlocking(attributes: AdmissionAttributes, reference: OwnerReference): Promise<void> {
    const { apiVersion, kind, name } = reference;
    const owner = ownerOf(reference);
    if (owner === undefined)
      throw refuse(
        attributes,
        `cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion ${apiVersion} Kind ${kind}: no matches for kind "${kind}" in version "${apiVersion}"`,
      );
    const refusal = await refusalOf(attributes, {
      verb: 'update',
      apiGroup: owner.group,
      apiVersion: owner.version,
      resource: owner.resource,
      subresource: 'finalizers',
      namespace: owner.namespaced ? attributes.namespace : '',
      name,
    });
    if (refusal !== undefined)
      throw refuse(
        attributes,
        `cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: ${refusal}`,
      );
  }

  /** The reason and, in its place, that nothing went wrong; undefined: it is allowed. */
  async function refusalOf(
    { user }: AdmissionAttributes,
    question: Omit<AuthorizationAttributes, 'user' | 'isResourceRequest' | 'path'>,
  ): Promise<string | undefined> {
    const { verdict, reason } = await authorize({ ...question, user, isResourceRequest: true, path: '' });
    return verdict === 'allow' ? undefined : `${reason}, <nil>`;
  }

  function ownerOf({ apiVersion, kind }: OwnerReference): Owner | undefined {
    const slash = apiVersion.indexOf('/');
    const group = slash < 0 ? '' : apiVersion.slice(0, slash);
    const version = apiVersion.slice(slash + 1);
    const builtin = resourceInfoByKind(group, version, kind);
    if (builtin !== undefined) return builtin;
    const definition = objects
      .list(apiextensionsv1.customResourceDefinitions)
      .find(
        ({ spec }) =>
          spec.group === group &&
          spec.names.kind === kind &&
          spec.versions.some(({ name, served }) => name === version && served),
      );
    if (definition === undefined) return undefined;
    const { names, scope } = definition.spec;
    return { group, version, resource: names.plural, namespaced: scope === 'Namespaced' };
  }
}

function ownersOf(object: KubeObject | Draft<KubeObject> | undefined): readonly OwnerReference[] {
  // What is no object of its own, such as a Scale or a review, may be without metadata.
  const metadata = object?.metadata as KubeObject['metadata'] | undefined;
  return metadata?.ownerReferences ?? [];
}
