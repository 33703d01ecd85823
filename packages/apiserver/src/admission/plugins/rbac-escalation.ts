import { rbacv1 } from '@k8ts/api';
import type { Draft } from '@k8ts/api';
import { isDeepStrictEqual } from 'node:util';
import type { AuthorizationAttributes, Authorizer } from '../../authorization/contract.ts';
import { createAuthorize } from '../../steps/authorize.ts';
import type { RbacAuthorizer } from '../../authorization/rbac/rbac-authorizer.ts';
import { uncoveredRules } from '../../authorization/rbac/rule-matching.ts';
import type { ObjectReader } from '../../object-reader.ts';
import { isResource, refuse } from '../refuse.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../contract.ts';

const GROUP = 'rbac.authorization.k8s.io';

export interface RbacEscalationOptions {
  readonly objects: ObjectReader;
  readonly rbac: RbacAuthorizer;
  readonly authorizers: readonly Authorizer[];
}

/**
 * Nobody grants what they do not have: who writes a role must hold its rules or the verb `escalate`, who writes a binding
 * must hold the role's rules or the verb `bind` (upstream does this in the registries of the four kinds, under policybased).
 */
export function rbacEscalation({ objects, rbac, authorizers }: RbacEscalationOptions): AdmissionPlugin {
  const authorize = createAuthorize(authorizers);
  return {
    name: 'RBACEscalation',
    operations: ['CREATE', 'UPDATE'],
    handles: (resource, subresource) =>
      subresource === '' &&
      isResource(
        resource,
        rbacv1.roles,
        rbacv1.clusterRoles,
        rbacv1.roleBindings,
        rbacv1.clusterRoleBindings,
      ),

    async validate(attributes) {
      if (attributes.user.groups.includes('system:masters')) return;
      if (isResource(attributes.resource, rbacv1.roles, rbacv1.clusterRoles)) await checkRole(attributes);
      else await checkBinding(attributes);
    },
  };

  async function checkRole(attributes: AdmissionAttributes): Promise<void> {
    const role = attributes.object as Draft<rbacv1.ClusterRole>;
    const old = attributes.oldObject as rbacv1.ClusterRole | undefined;
    const unchanged =
      old !== undefined &&
      isDeepStrictEqual(old.rules ?? [], role.rules ?? []) &&
      isDeepStrictEqual(old.aggregationRule, role.aggregationRule);
    if (unchanged) return;
    if (
      await mayUse(
        attributes,
        'escalate',
        attributes.resource.resource,
        attributes.namespace,
        nameOf(attributes),
      )
    )
      return;
    // Whoever sets an aggregation rule may end up with any rule at all.
    const wanted: readonly rbacv1.PolicyRule[] =
      role.aggregationRule === undefined
        ? (role.rules ?? [])
        : [
            ...(role.rules ?? []),
            { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
            { verbs: ['*'], nonResourceURLs: ['*'] },
          ];
    refuseUncovered(attributes, wanted);
  }

  async function checkBinding(attributes: AdmissionAttributes): Promise<void> {
    const binding = attributes.object as Draft<rbacv1.RoleBinding>;
    const old = attributes.oldObject as rbacv1.RoleBinding | undefined;
    if (
      old !== undefined &&
      isDeepStrictEqual(old.roleRef, binding.roleRef) &&
      isDeepStrictEqual(old.subjects ?? [], binding.subjects ?? [])
    )
      return;
    const { kind, name } = binding.roleRef;
    const resource = kind === 'ClusterRole' ? 'clusterroles' : 'roles';
    if (await mayUse(attributes, 'bind', resource, attributes.namespace, name)) return;
    const role =
      kind === 'ClusterRole'
        ? objects.get(rbacv1.clusterRoles, '', name)
        : objects.get(rbacv1.roles, attributes.namespace, name);
    if (role === undefined)
      throw refuse(attributes, `${resource}.${GROUP} ${JSON.stringify(name)} not found`);
    refuseUncovered(attributes, role.rules ?? []);
  }

  async function mayUse(
    attributes: AdmissionAttributes,
    verb: string,
    resource: string,
    namespace: string,
    name: string,
  ): Promise<boolean> {
    const question: AuthorizationAttributes = {
      user: attributes.user,
      verb,
      isResourceRequest: true,
      apiGroup: GROUP,
      apiVersion: '*',
      resource,
      subresource: '',
      namespace,
      name,
      path: '',
    };
    return (await authorize(question)).verdict === 'allow';
  }

  function refuseUncovered(attributes: AdmissionAttributes, wanted: readonly rbacv1.PolicyRule[]): void {
    const missing = uncoveredRules(rbac.heldRules(attributes.user, attributes.namespace), wanted);
    if (missing.length === 0) return;
    const { name, groups } = attributes.user;
    throw refuse(
      attributes,
      `user ${JSON.stringify(name)} (groups=${goStrings(groups)}) is attempting to grant RBAC permissions not currently held:\n${missing.map(ruleText).join('\n')}`,
    );
  }
}

function nameOf(attributes: AdmissionAttributes): string {
  return attributes.name || (attributes.object?.metadata.name ?? '');
}

/** Rules as upstream prints them: `{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}`. */
function ruleText(rule: rbacv1.PolicyRule): string {
  const parts = [
    ['APIGroups', rule.apiGroups],
    ['Resources', rule.resources],
    ['ResourceNames', rule.resourceNames],
    ['NonResourceURLs', rule.nonResourceURLs],
    ['Verbs', rule.verbs],
  ] as const;
  return `{${parts
    .filter(([, values]) => values !== undefined && values.length > 0)
    .map(([label, values]) => `${label}:[${(values ?? []).map((value) => JSON.stringify(value)).join(' ')}]`)
    .join(', ')}}`;
}

function goStrings(values: readonly string[]): string {
  return `[${values.map((value) => JSON.stringify(value)).join(' ')}]`;
}
