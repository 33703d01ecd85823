import { describe, expect, test } from 'vitest';
import { userInfo } from '../../authentication/well-known-users.ts';
import { ask } from '../../testing/attributes.ts';
import type { Decision } from '../contract.ts';
import { abacAuthorizer, AbacPolicyError, parseAbacPolicies } from './abac.ts';

const v1beta1 = (spec: object): string =>
  JSON.stringify({ apiVersion: 'abac.authorization.kubernetes.io/v1beta1', kind: 'Policy', spec });

const FILE = [
  '# comments and empty lines are passed over',
  '',
  v1beta1({ group: 'system:authenticated', nonResourcePath: '/version', readonly: true }),
  v1beta1({ user: 'admin', namespace: '*', resource: '*', apiGroup: '*' }),
  v1beta1({ user: 'alice', namespace: 'caribou', resource: '*', apiGroup: '*', readonly: true }),
  v1beta1({ group: 'ops', nonResourcePath: '/debug/*' }),
  v1beta1({ user: '*', namespace: 'public', resource: 'configmaps' }),
  v1beta1({ namespace: '*', resource: '*', apiGroup: '*' }),
  '{"user":"old", "resource": "pods", "readonly": true}',
  '{"user":"older"}',
].join('\r\n');

const authorizer = abacAuthorizer(parseAbacPolicies(FILE, 'policy.jsonl'));
const ops = userInfo('olaf', ['ops']);

describe('allows', () => {
  test.each([
    ['jane', 'get /version', {}],
    ['admin', 'delete deployments', { group: 'apps', namespace: 'x', name: 'y' }],
    ['alice', 'list pods', { namespace: 'caribou' }],
    [ops, 'post /debug/pprof', {}],
    ['jane', 'update configmaps', { namespace: 'public' }],
    ['old', 'watch pods', { group: 'anything', namespace: 'x' }],
    ['older', 'delete nodes', { name: 'n1' }],
    ['older', 'get /metrics', {}],
  ] as const)('%o %s %o', (user, question, what) => {
    expect(authorizer.authorize(ask(user, question, what))).toEqual({ verdict: 'allow', reason: '' });
  });
});

describe('has no opinion of', () => {
  test.each([
    ['jane', 'post /version', {}],
    ['jane', 'get /versions', {}],
    ['alice', 'create pods', { namespace: 'caribou' }],
    ['alice', 'list pods', { namespace: 'elk' }],
    [ops, 'get /debug', {}],
    [userInfo('system:anonymous', ['system:unauthenticated']), 'get configmaps', { namespace: 'public' }],
    ['jane', 'get configmaps', { namespace: 'public', group: 'apps' }],
    ['nobody', 'get pods', { namespace: 'x' }],
    ['old', 'delete pods', { namespace: 'x' }],
    ['old', 'get /metrics', {}],
  ] as const)('%o %s %o', (user, question, what) => {
    expect(authorizer.authorize(ask(user, question, what)) as Decision).toEqual({
      verdict: 'no-opinion',
      reason: 'No policy matched.',
    });
  });
});

test('lists what a user may do', async () => {
  expect(await authorizer.rulesFor(userInfo('alice', ['system:authenticated']), 'caribou')).toEqual({
    resourceRules: [{ verbs: ['get', 'list', 'watch'], apiGroups: ['*'], resources: ['*'] }],
    nonResourceRules: [],
    incomplete: false,
  });
});

test.each([
  ['{"user":', 'error reading policy file p, line 1: {"user":: '],
  ['{"user": 1}', 'json: cannot unmarshal number into Go struct field Policy.user of type string'],
  [v1beta1({ readonly: 'yes' }), 'struct field PolicySpec.spec.readonly of type bool'],
  ['[]', 'json: cannot unmarshal array into Go value of type v0.Policy'],
  [`# ${'x'.repeat(70_000)}`, 'error reading policy file p: bufio.Scanner: token too long'],
])('%# a line that is no policy is said', (line, message) => {
  expect(() => parseAbacPolicies(line, 'p')).toThrow(AbacPolicyError);
  expect(() => parseAbacPolicies(line, 'p')).toThrow(message);
});
