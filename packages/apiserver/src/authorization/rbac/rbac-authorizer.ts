import { rbacv1 } from '@k8ts/api';
import { aggregateText, notFound } from '@k8ts/apimachinery';
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

  const namespaceGrantsOf = (user: UserInfo, namespace: string): Grants => {
    if (namespace === '') return NO_GRANTS;
    const { namespaces } = grantsOf(user);
    let found = namespaces.get(namespace);
    if (found === undefined) namespaces.set(namespace, (found = namespaceGrants(objects, user, namespace)));
    return found;
  };

  return {
    name: 'RBAC',

    authorize(attributes): Decision {
      const cluster = grantsOf(attributes.user).cluster;
      for (const grant of cluster.rules)
        if (ruleAllows(grant.rule, attributes)) return { verdict: 'allow', reason: grant.reason };
      const own = namespaceGrantsOf(attributes.user, attributes.namespace);
      for (const grant of own.rules)
        if (ruleAllows(grant.rule, attributes)) return { verdict: 'allow', reason: grant.reason };
      if (cluster.errors.length === 0 && own.errors.length === 0) return NO_OPINION;
      const reason = `RBAC: ${aggregateText([...cluster.errors, ...own.errors])}`;
      return { verdict: 'no-opinion', reason };
    },

    heldRules(user, namespace) {
      return [...grantsOf(user).cluster.rules, ...namespaceGrantsOf(user, namespace).rules].map(
        ({ rule }) => rule,
      );
    },

    async rulesFor(user, namespace): Promise<ResolvedRules> {
      const rules = this.heldRules(user, namespace);
      const errors = [...grantsOf(user).cluster.errors, ...namespaceGrantsOf(user, namespace).errors];
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
        ...(errors.length === 0 ? {} : { evaluationError: aggregateText(errors) }),
      };
    },
  };
}

interface UserGrants {
  readonly cluster: Grants;
  readonly namespaces: Map<string, Grants>;
}

interface Grants {
  readonly rules: readonly Grant[];
  /** Of bindings whose role is not there. */
  readonly errors: readonly string[];
}

const NO_GRANTS: Grants = { rules: [], errors: [] };

interface Grant {
  readonly rule: rbacv1.PolicyRule;
  /** Upstream's text, for the audit log. */
  readonly reason: string;
}

function clusterGrants(objects: ObjectReader, user: UserInfo): Grants {
  const rules: Grant[] = [];
  const errors: string[] = [];
  for (const binding of objects.list(rbacv1.clusterRoleBindings)) {
    const subject = binding.subjects?.find((candidate) => isSubject(candidate, user, ''));
    if (subject === undefined) continue;
    const reason = `RBAC: allowed by ClusterRoleBinding ${quoted(binding)} of ${roleText(binding.roleRef)} to ${subjectText(subject)}`;
    const role = objects.get(rbacv1.clusterRoles, '', binding.roleRef.name);
    if (role === undefined) errors.push(notFound(rbacv1.clusterRoles, binding.roleRef.name).message);
    for (const rule of role?.rules ?? []) rules.push({ rule, reason });
  }
  return { rules, errors };
}

function namespaceGrants(objects: ObjectReader, user: UserInfo, namespace: string): Grants {
  const rules: Grant[] = [];
  const errors: string[] = [];
  for (const binding of objects.list(rbacv1.roleBindings, namespace)) {
    const subject = binding.subjects?.find((candidate) => isSubject(candidate, user, namespace));
    if (subject === undefined) continue;
    const { roleRef } = binding;
    const isCluster = roleRef.kind === 'ClusterRole';
    const role = isCluster
      ? objects.get(rbacv1.clusterRoles, '', roleRef.name)
      : objects.get(rbacv1.roles, namespace, roleRef.name);
    if (role === undefined)
      errors.push(notFound(isCluster ? rbacv1.clusterRoles : rbacv1.roles, roleRef.name).message);
    const reason = `RBAC: allowed by RoleBinding ${quoted(binding)} of ${roleText(roleRef)} to ${subjectText(subject)}`;
    for (const rule of role?.rules ?? []) rules.push({ rule, reason });
  }
  return { rules, errors };
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
