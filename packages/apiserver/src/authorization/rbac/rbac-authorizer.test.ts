import { rbacv1 } from '@k8ts/api';
import { expect, test } from 'vitest';
import { serviceAccountUserName, userInfo } from '../../authentication/well-known-users.ts';
import type { UserInfo } from '../../authentication/contract.ts';
import { createObjectTable } from '../../testing/object-table.ts';
import { check } from '../../steps/authorize.ts';
import type { AuthorizationAttributes } from '../contract.ts';
import { parseRule } from './bootstrap-policy.ts';
import { rbacAuthorizer } from './rbac-authorizer.ts';

function question(
  user: UserInfo,
  verb: string,
  resource: string,
  namespace: string,
): AuthorizationAttributes {
  return {
    user,
    verb,
    isResourceRequest: true,
    apiGroup: '',
    apiVersion: 'v1',
    resource,
    subresource: '',
    namespace,
    name: '',
    path: '',
  };
}

const roleRef = (kind: string, name: string) => ({ apiGroup: 'rbac.authorization.k8s.io', kind, name });

test('bindings of cluster and namespace reach users, groups and service accounts', async () => {
  const objects = createObjectTable();
  objects.put(rbacv1.clusterRoles, {
    metadata: { name: 'reader' },
    rules: [parseRule('get list | core | pods')],
  });
  objects.put(rbacv1.roles, {
    metadata: { name: 'writer', namespace: 'dev' },
    rules: [parseRule('create | core | pods')],
  });
  objects.put(rbacv1.clusterRoleBindings, {
    metadata: { name: 'all' },
    roleRef: roleRef('ClusterRole', 'reader'),
    subjects: [{ kind: 'Group', name: 'ops' }],
  });
  objects.put(rbacv1.roleBindings, {
    metadata: { name: 'dev', namespace: 'dev' },
    roleRef: roleRef('Role', 'writer'),
    subjects: [
      { kind: 'User', name: 'jane' },
      { kind: 'ServiceAccount', name: 'ci', namespace: 'build' },
    ],
  });
  objects.put(rbacv1.roleBindings, {
    metadata: { name: 'borrowed', namespace: 'test' },
    roleRef: roleRef('ClusterRole', 'reader'),
    subjects: [{ kind: 'User', name: 'jane' }],
  });
  const rbac = rbacAuthorizer(objects);
  const jane = userInfo('jane', []);
  const operator = userInfo('otto', ['ops']);
  const ci = userInfo(serviceAccountUserName('build', 'ci'), []);
  const verdict = (user: UserInfo, verb: string, namespace: string) =>
    (rbac.authorize(question(user, verb, 'pods', namespace)) as { verdict: string }).verdict;

  expect(verdict(operator, 'list', '')).toBe('allow');
  expect(verdict(operator, 'list', 'dev')).toBe('allow');
  expect(verdict(operator, 'create', 'dev')).toBe('no-opinion');
  expect(verdict(jane, 'create', 'dev')).toBe('allow');
  expect(verdict(jane, 'create', 'test')).toBe('no-opinion');
  expect(verdict(jane, 'get', 'test')).toBe('allow');
  expect(verdict(jane, 'get', '')).toBe('no-opinion');
  expect(verdict(ci, 'create', 'dev')).toBe('allow');
  expect(verdict(userInfo('ci', []), 'create', 'dev')).toBe('no-opinion');

  expect(await rbac.rulesFor(jane, 'dev')).toMatchObject({
    resourceRules: [{ verbs: ['create'], apiGroups: [''], resources: ['pods'] }],
    incomplete: false,
  });

  // What was found is forgotten as soon as a role or binding changes.
  objects.remove(rbacv1.roleBindings, 'dev', 'dev');
  expect(verdict(jane, 'create', 'dev')).toBe('no-opinion');
});

test.each([
  ['default', 'User "jane" cannot list resource "pods" in API group "" in the namespace "default"'],
  ['', 'User "jane" cannot list resource "pods" in API group "" at the cluster scope'],
])('refusals in namespace "%s" have upstream\'s words', (namespace, text) => {
  const asked = question(userInfo('jane', []), 'list', 'pods', namespace);
  expect(() => check(asked, { verdict: 'no-opinion', reason: '' })).toThrow(`pods is forbidden: ${text}`);
});
