import { rbacv1 } from '@k8ts/api';
import type { UserInfo } from '../../authentication/contract.ts';
import { parseServiceAccountUserName } from '../../authentication/well-known-users.ts';
import type { ObjectReader } from '../../object-reader.ts';
import type { Authorizer, Decision, ResolvedRules, RuleResolver } from '../contract.ts';
import { ruleAllows } from './rule-matching.ts';

const NO_OPINION: Decision = { verdict: 'no-opinion', reason: '' };

export interface RbacAuthorizer extends Authorizer, RuleResolver {
  /** Every rule that holds for the user in the namespace, cluster-wide ones included. */
  heldRules(user: UserInfo, namespace: string): readonly rbacv1.PolicyRule[];
}

/**
 * Role-based access control. What a user holds is found once and kept until a role or a binding changes: a request then
 * walks the few rules of its own user, and not the bindings of everybody.
 */
export function rbacAuthorizer(objects: ObjectReader): RbacAuthorizer {
  let version = '';
  let grants = new WeakMap<UserInfo, UserGrants>();

  const grantsOf = (user: UserInfo): UserGrants => {
    const current =
      `${String(objects.version(rbacv1.clusterRoles))},${String(objects.version(rbacv1.clusterRoleBindings))},` +
      `${String(objects.version(rbacv1.roles))},${String(objects.version(rbacv1.roleBindings))}`;
    if (current !== version) {
      version = current;
      grants = new WeakMap();
    }
    let found = grants.get(user);
    if (found === undefined)
      grants.set(user, (found = { cluster: clusterGrants(objects, user), namespaces: new Map() }));
    return found;
  };

  const namespaceGrantsOf = (user: UserInfo, namespace: string): readonly Grant[] => {
    if (namespace === '') return [];
    const { namespaces } = grantsOf(user);
    let found = namespaces.get(namespace);
    if (found === undefined) namespaces.set(namespace, (found = namespaceGrants(objects, user, namespace)));
    return found;
  };

  return {
    name: 'RBAC',

    authorize(attributes): Decision {
      for (const grant of grantsOf(attributes.user).cluster)
        if (ruleAllows(grant.rule, attributes)) return { verdict: 'allow', reason: grant.reason };
      for (const grant of namespaceGrantsOf(attributes.user, attributes.namespace))
        if (ruleAllows(grant.rule, attributes)) return { verdict: 'allow', reason: grant.reason };
      return NO_OPINION;
    },

    heldRules(user, namespace) {
      return [...grantsOf(user).cluster, ...namespaceGrantsOf(user, namespace)].map(({ rule }) => rule);
    },

    async rulesFor(user, namespace): Promise<ResolvedRules> {
      const rules = this.heldRules(user, namespace);
      return {
        resourceRules: rules
          .filter((rule) => (rule.resources ?? []).length > 0)
          .map((rule) => ({
            verbs: rule.verbs,
            apiGroups: rule.apiGroups ?? [],
            resources: rule.resources ?? [],
            ...(rule.resourceNames === undefined ? {} : { resourceNames: rule.resourceNames }),
          })),
        nonResourceRules: rules
          .filter((rule) => (rule.nonResourceURLs ?? []).length > 0)
          .map((rule) => ({ verbs: rule.verbs, nonResourceURLs: rule.nonResourceURLs ?? [] })),
        incomplete: false,
      };
    },
  };
}

interface UserGrants {
  readonly cluster: readonly Grant[];
  readonly namespaces: Map<string, readonly Grant[]>;
}

interface Grant {
  readonly rule: rbacv1.PolicyRule;
  /** Upstream's text, for the audit log. */
  readonly reason: string;
}

function clusterGrants(objects: ObjectReader, user: UserInfo): readonly Grant[] {
  const grants: Grant[] = [];
  for (const binding of objects.list(rbacv1.clusterRoleBindings)) {
    const subject = binding.subjects?.find((candidate) => isSubject(candidate, user, ''));
    if (subject === undefined) continue;
    const reason = `RBAC: allowed by ClusterRoleBinding ${quoted(binding)} of ${roleText(binding.roleRef)} to ${subjectText(subject)}`;
    for (const rule of objects.get(rbacv1.clusterRoles, '', binding.roleRef.name)?.rules ?? [])
      grants.push({ rule, reason });
  }
  return grants;
}

function namespaceGrants(objects: ObjectReader, user: UserInfo, namespace: string): readonly Grant[] {
  const grants: Grant[] = [];
  for (const binding of objects.list(rbacv1.roleBindings, namespace)) {
    const subject = binding.subjects?.find((candidate) => isSubject(candidate, user, namespace));
    if (subject === undefined) continue;
    const { roleRef } = binding;
    const role =
      roleRef.kind === 'ClusterRole'
        ? objects.get(rbacv1.clusterRoles, '', roleRef.name)
        : objects.get(rbacv1.roles, namespace, roleRef.name);
    const reason = `RBAC: allowed by RoleBinding ${quoted(binding)} of ${roleText(roleRef)} to ${subjectText(subject)}`;
    for (const rule of role?.rules ?? []) grants.push({ rule, reason });
  }
  return grants;
}

function isSubject(subject: rbacv1.Subject, user: UserInfo, bindingNamespace: string): boolean {
  switch (subject.kind) {
    case 'User':
      return subject.name === user.name;
    case 'Group':
      return user.groups.includes(subject.name);
    case 'ServiceAccount': {
      const account = parseServiceAccountUserName(user.name);
      const namespace = subject.namespace ?? bindingNamespace;
      return account !== undefined && account.name === subject.name && account.namespace === namespace;
    }
    default:
      return false;
  }
}

function quoted({
  metadata,
}: {
  readonly metadata: { readonly name?: string; readonly namespace?: string };
}): string {
  const name = metadata.name ?? '';
  return metadata.namespace === undefined
    ? JSON.stringify(name)
    : JSON.stringify(`${name}/${metadata.namespace}`);
}

function roleText(roleRef: rbacv1.RoleRef): string {
  return `${roleRef.kind} ${JSON.stringify(roleRef.name)}`;
}

function subjectText(subject: rbacv1.Subject): string {
  return subject.kind === 'ServiceAccount'
    ? `ServiceAccount ${JSON.stringify(`${subject.name}/${subject.namespace ?? ''}`)}`
    : `${subject.kind} ${JSON.stringify(subject.name)}`;
}
