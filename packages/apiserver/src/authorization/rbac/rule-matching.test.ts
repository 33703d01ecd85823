import { expect, test } from 'vitest';
import { userInfo } from '../../authentication/well-known-users.ts';
import type { AuthorizationAttributes } from '../contract.ts';
import { bootstrapPolicy, parseRule } from './bootstrap-policy.ts';
import { ruleAllows, uncoveredRules } from './rule-matching.ts';

/** `verb group/resource[/subresource][#name]`, or `verb /path`. */
function asked(text: string): AuthorizationAttributes {
  const [verb = '', target = ''] = text.split(' ');
  const base = { user: userInfo('jane', []), verb, apiVersion: 'v1', namespace: '' };
  if (target.startsWith('/'))
    return {
      ...base,
      isResourceRequest: false,
      apiGroup: '',
      resource: '',
      subresource: '',
      name: '',
      path: target,
    };
  const [where = '', name = ''] = target.split('#');
  const [group = '', resource = '', subresource = ''] = where.split('/');
  return {
    ...base,
    isResourceRequest: true,
    apiGroup: group === 'core' ? '' : group,
    resource,
    subresource,
    name,
    path: '',
  };
}

test.each([
  ['get | core | pods', 'get core/pods', true],
  ['get | core | pods', 'list core/pods', false],
  ['get | core | pods', 'get core/pods/log', false],
  ['get | core | pods', 'get apps/pods', false],
  ['* | core | pods', 'deletecollection core/pods', true],
  ['get | * | *', 'get apps/deployments/scale', true],
  ['get | core | pods/log', 'get core/pods/log', true],
  ['get | core | pods/log', 'get core/pods', false],
  ['update | * | */scale', 'update apps/deployments/scale', true],
  ['update | * | */scale', 'update apps/deployments', false],
  ['update | * | */scale', 'update apps/scale', false],
  ['get | core | secrets | tls', 'get core/secrets#tls', true],
  ['get | core | secrets | tls', 'get core/secrets#other', false],
  ['list | core | secrets | tls', 'list core/secrets', false],
  ['get | /healthz', 'get /healthz', true],
  ['get | /healthz', 'get /healthz/ping', false],
  ['get | /healthz/*', 'get /healthz/ping', true],
  ['get | /healthz/*', 'get /healthz', false],
  ['* | /*', 'post /anything', true],
  ['get | * | *', 'get /healthz', false],
])('rule "%s", asked "%s": %s', (rule, question, allowed) => {
  expect(ruleAllows(parseRule(rule), asked(question))).toBe(allowed);
});

test.each([
  [['get list | core | pods'], ['get | core | pods'], []],
  [['get | core | pods'], ['get list | core | pods'], ['list | core | pods']],
  [['* | * | *'], ['delete | apps | deployments/scale'], []],
  [['get | core | */log'], ['get | core | pods/log'], []],
  [['get | core | */log'], ['get | core | pods'], ['get | core | pods']],
  [['get | core | secrets | a b'], ['get | core | secrets | a'], []],
  [['get | core | secrets | a'], ['get | core | secrets'], ['get | core | secrets']],
  [['get | core | pods', 'list | core | pods'], ['get list | core | pods'], []],
  [['get | core | pods'], ['* | core | pods'], ['* | core | pods']],
  [['get | /metrics/*'], ['get | /metrics/slis'], []],
  [['get | /metrics'], ['get | /metrics /healthz'], ['get | /healthz']],
])('who holds %j grants %j but for %j', (held, wanted, missing) => {
  expect(uncoveredRules(held.map(parseRule), wanted.map(parseRule))).toEqual(missing.map(parseRule));
});

test('the bootstrap policy binds only roles that it has, and names each once', () => {
  const policy = bootstrapPolicy();
  const names = policy.clusterRoles.map(({ metadata }) => metadata.name);
  expect(new Set(names).size).toBe(names.length);
  for (const { roleRef } of policy.clusterRoleBindings) expect(names).toContain(roleRef.name);
  const roles = policy.roles.map(({ metadata }) => `${metadata.namespace ?? ''}/${metadata.name ?? ''}`);
  for (const { metadata, roleRef } of policy.roleBindings)
    expect(roles).toContain(`${metadata.namespace ?? ''}/${roleRef.name}`);
  const rulesOf = (name: string) => policy.clusterRoles.find(({ metadata }) => metadata.name === name)?.rules;
  expect(rulesOf('cluster-admin')).toEqual([
    { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
    { verbs: ['*'], nonResourceURLs: ['*'] },
  ]);
});
