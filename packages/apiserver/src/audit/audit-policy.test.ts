/** After k8s.io/apiserver/pkg/audit/policy/checker_test.go, and further. */
import { describe, expect, test } from 'vitest';
import type { auditv1 } from '@k8ts/api';
import { userInfo } from '../authentication/well-known-users.ts';
import { queryFromText } from '../request/query.ts';
import { parseRequestInfo } from '../request/request-info.ts';
import { auditPolicyEvaluator } from './audit-policy.ts';

type Rule = Omit<auditv1.PolicyRule, 'level'>;

const tim = userInfo('tim@k8s.io', ['humans', 'developers']);

const policyOf = (
  rules: readonly auditv1.PolicyRule[],
  rest: Partial<auditv1.Policy> = {},
): auditv1.Policy => ({
  metadata: { name: '' },
  rules,
  ...rest,
});

/** `GET /api/v1/namespaces/default/pods/busybox` */
function settingsFor(policy: auditv1.Policy, request: string, user: typeof tim | undefined = tim) {
  const [method = '', path = ''] = request.split(' ');
  const [plain = '', query = ''] = path.split('?');
  return auditPolicyEvaluator(policy)(parseRequestInfo(method, plain, queryFromText(query)), user);
}

const POD = '/api/v1/namespaces/default/pods/busybox';
const ROLE = '/apis/rbac.authorization.k8s.io/v1/clusterroles/edit';

describe('a rule', () => {
  test.each<readonly [string, Rule, string, boolean]>([
    ['says nothing', {}, `GET ${POD}`, true],
    ['says nothing', {}, 'GET /logs', true],
    ['names the user', { users: ['tim@k8s.io'] }, `GET ${POD}`, true],
    ['names another user', { users: ['ann@k8s.io'] }, `GET ${POD}`, false],
    ['names a group of the user', { userGroups: ['ops', 'developers'] }, `GET ${POD}`, true],
    ['names other groups', { userGroups: ['ops'] }, `GET ${POD}`, false],
    ['names user and another group', { users: ['tim@k8s.io'], userGroups: ['ops'] }, `GET ${POD}`, false],
    ['names the verb', { verbs: ['get'] }, `GET ${POD}`, true],
    ['names another verb', { verbs: ['create'] }, `GET ${POD}`, false],
    ['knows watches', { verbs: ['watch'] }, 'GET /api/v1/pods?watch=true', true],
    ['knows deletions of collections', { verbs: ['delete'] }, 'DELETE /api/v1/namespaces/a/pods', false],
    ['names the verb of a path', { verbs: ['get'] }, 'GET /logs', true],
    ['names the namespace', { namespaces: ['default'] }, `GET ${POD}`, true],
    ['names another namespace', { namespaces: ['kube-system'] }, `GET ${POD}`, false],
    ['names no namespace', { namespaces: [''] }, `GET ${ROLE}`, true],
    ['names no namespace', { namespaces: [''] }, `GET ${POD}`, false],
    ['names a namespace, and is asked of a path', { namespaces: [''] }, 'GET /logs', false],
    ['names the core group', { resources: [{}] }, `GET ${POD}`, true],
    ['names the core group', { resources: [{}] }, `GET ${ROLE}`, false],
    ['names all groups', { resources: [{ group: '*' }] }, `GET ${ROLE}`, true],
    ['names resources, and is asked of a path', { resources: [{ group: '*' }] }, 'GET /logs', false],
    ['names the resource', { resources: [{ resources: ['pods'] }] }, `GET ${POD}`, true],
    [
      'names the resource in another group',
      { resources: [{ group: 'x', resources: ['pods'] }] },
      `GET ${POD}`,
      false,
    ],
    ['names the resource only', { resources: [{ resources: ['pods'] }] }, `GET ${POD}/log`, false],
    ['names the subresource', { resources: [{ resources: ['pods/log'] }] }, `GET ${POD}/log`, true],
    ['names the subresource only', { resources: [{ resources: ['pods/log'] }] }, `GET ${POD}`, false],
    ['names all subresources of one', { resources: [{ resources: ['pods/*'] }] }, `GET ${POD}/log`, true],
    [
      'names all subresources of one, and itself',
      { resources: [{ resources: ['pods/*'] }] },
      `GET ${POD}`,
      true,
    ],
    ['names a subresource of all', { resources: [{ resources: ['*/log'] }] }, `GET ${POD}/log`, true],
    ['names a subresource of all', { resources: [{ resources: ['*/log'] }] }, `GET ${POD}`, false],
    [
      'names another subresource of all',
      { resources: [{ resources: ['*/status'] }] },
      `GET ${POD}/log`,
      false,
    ],
    ['names everything', { resources: [{ resources: ['*'] }] }, `GET ${POD}/log`, true],
    [
      'names the object',
      { resources: [{ resources: ['pods'], resourceNames: ['busybox'] }] },
      `GET ${POD}`,
      true,
    ],
    [
      'names another object',
      { resources: [{ resources: ['pods'], resourceNames: ['x'] }] },
      `GET ${POD}`,
      false,
    ],
    [
      'names the object of a list',
      { resources: [{ resources: ['pods'], resourceNames: ['busybox'] }] },
      'GET /api/v1/namespaces/default/pods?fieldSelector=metadata.name%3Dbusybox',
      true,
    ],
    ['names the second of two', { resources: [{ group: 'x' }, { resources: ['pods'] }] }, `GET ${POD}`, true],
    ['names the path', { nonResourceURLs: ['/logs'] }, 'GET /logs', true],
    ['names another path', { nonResourceURLs: ['/metrics'] }, 'GET /logs', false],
    ['names what is below', { nonResourceURLs: ['/logs*'] }, 'GET /logs/a/b', true],
    ['names all paths', { nonResourceURLs: ['*'] }, 'GET /logs', true],
    ['has stars to spare', { nonResourceURLs: ['/logs**'] }, 'GET /logs/a', true],
    ['names paths, and is asked of an object', { nonResourceURLs: ['*'] }, `GET ${POD}`, false],
  ])('that %s %j: %s', (_, rule, request, isMatch) => {
    expect(settingsFor(policyOf([{ ...rule, level: 'Request' }]), request).level).toBe(
      isMatch ? 'Request' : 'None',
    );
  });

  test.each<readonly [string, Rule, boolean]>([
    ['users', { users: [''] }, false],
    ['groups', { userGroups: ['system:unauthenticated'] }, false],
    ['neither', { verbs: ['get'] }, true],
  ])('that names %s, for a request of nobody', (_, rule, isMatch) => {
    const evaluate = auditPolicyEvaluator(policyOf([{ ...rule, level: 'Metadata' }]));
    expect(evaluate(parseRequestInfo('GET', POD, queryFromText('')), undefined).level).toBe(
      isMatch ? 'Metadata' : 'None',
    );
  });
});

test('the first rule that matches decides', () => {
  const policy = policyOf([
    { level: 'None', users: ['ann@k8s.io'] },
    { level: 'Metadata', verbs: ['get'] },
    { level: 'RequestResponse' },
  ]);
  expect(settingsFor(policy, `GET ${POD}`).level).toBe('Metadata');
  expect(settingsFor(policy, `PUT ${POD}`).level).toBe('RequestResponse');
});

test('a request that no rule matches is not written down', () => {
  const policy = policyOf([{ level: 'Request', users: ['ann@k8s.io'] }], { omitStages: ['Panic'] });
  const { level, omitStages } = settingsFor(policy, `GET ${POD}`);
  expect(level).toBe('None');
  expect([...omitStages]).toEqual(['Panic']);
});

test('stages are left out that the policy or the rule leaves out', () => {
  const policy = policyOf([{ level: 'Metadata', omitStages: ['Panic', 'RequestReceived'] }], {
    omitStages: ['ResponseStarted', 'Panic'],
  });
  expect([...settingsFor(policy, `GET ${POD}`).omitStages].sort()).toEqual([
    'Panic',
    'RequestReceived',
    'ResponseStarted',
  ]);
});

test.each([
  [undefined, undefined, false],
  [true, undefined, true],
  [true, false, false],
  [false, true, true],
])('omitManagedFields: policy %s, rule %s', (general, own, expected) => {
  const rule: auditv1.PolicyRule = {
    level: 'Request',
    ...(own === undefined ? {} : { omitManagedFields: own }),
  };
  const policy = policyOf([rule], general === undefined ? {} : { omitManagedFields: general });
  expect(settingsFor(policy, `GET ${POD}`).omitManagedFields).toBe(expected);
});
