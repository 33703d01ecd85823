import type { flowcontrolv1 } from '@k8ts/api';
import { expect, test } from 'vitest';
import type { UserInfo } from '../authentication/contract.ts';
import { queryFromText } from '../request/query.ts';
import { parseRequestInfo } from '../request/request-info.ts';
import { flowDistinguisher, matchesFlowSchema } from './flow-schema-match.ts';

type Rules = flowcontrolv1.PolicyRulesWithSubjects;

const ALICE: UserInfo = { name: 'alice', uid: '', groups: ['devs', 'system:authenticated'], extra: {} };
const ROBOT: UserInfo = {
  name: 'system:serviceaccount:ci:robot',
  uid: '',
  groups: ['system:serviceaccounts', 'system:authenticated'],
  extra: {},
};

const user = (name: string): flowcontrolv1.Subject => ({ kind: 'User', user: { name } });
const group = (name: string): flowcontrolv1.Subject => ({ kind: 'Group', group: { name } });
const account = (namespace: string, name: string): flowcontrolv1.Subject => ({
  kind: 'ServiceAccount',
  serviceAccount: { namespace, name },
});
const anything = { verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'], clusterScope: true };
const of = (subject: flowcontrolv1.Subject): Rules => ({ subjects: [subject], resourceRules: [anything] });
const rule = (changes: object): Rules => ({
  subjects: [user('*')],
  resourceRules: [{ ...anything, ...changes }],
});
const paths = (...nonResourceURLs: string[]): Rules => ({
  subjects: [user('*')],
  nonResourceRules: [{ verbs: ['get'], nonResourceURLs }],
});

const schema = (rules: readonly Rules[], method?: string): flowcontrolv1.FlowSchema => ({
  metadata: { name: 's' },
  spec: {
    priorityLevelConfiguration: { name: 'p' },
    rules,
    ...(method === undefined ? {} : { distinguisherMethod: { type: method } }),
  },
});
const info = (request: string): ReturnType<typeof parseRequestInfo> => {
  const [method = '', path = ''] = request.split(' ');
  return parseRequestInfo(method, path, queryFromText(''));
};

test.each<[string, Rules[], UserInfo, string, boolean]>([
  ['a user by name', [of(user('alice'))], ALICE, 'GET /api/v1/pods', true],
  ['another user', [of(user('bob'))], ALICE, 'GET /api/v1/pods', false],
  ['any user', [of(user('*'))], ALICE, 'GET /api/v1/pods', true],
  ['a group', [of(group('devs'))], ALICE, 'GET /api/v1/pods', true],
  ['another group', [of(group('ops'))], ALICE, 'GET /api/v1/pods', false],
  ['any group', [of(group('*'))], ALICE, 'GET /api/v1/pods', true],
  ['an account', [of(account('ci', 'robot'))], ROBOT, 'GET /api/v1/pods', true],
  ['another account', [of(account('ci', 'rob'))], ROBOT, 'GET /api/v1/pods', false],
  ['all accounts of a namespace', [of(account('ci', '*'))], ROBOT, 'GET /api/v1/pods', true],
  ['accounts of a namespace that begins alike', [of(account('c', '*'))], ROBOT, 'GET /api/v1/pods', false],
  ['no rules', [], ALICE, 'GET /api/v1/pods', false],
  ['the second rule', [of(user('bob')), of(user('alice'))], ALICE, 'GET /api/v1/pods', true],
  ['a verb', [rule({ verbs: ['list'] })], ALICE, 'GET /api/v1/pods', true],
  ['another verb', [rule({ verbs: ['get'] })], ALICE, 'GET /api/v1/pods', false],
  ['the core group', [rule({ apiGroups: [''] })], ALICE, 'GET /api/v1/pods', true],
  ['another API group', [rule({ apiGroups: ['apps'] })], ALICE, 'GET /api/v1/pods', false],
  ['a subresource', [rule({ resources: ['pods/log'] })], ALICE, 'GET /api/v1/namespaces/a/pods/p/log', true],
  ['not without it', [rule({ resources: ['pods'] })], ALICE, 'GET /api/v1/namespaces/a/pods/p/log', false],
  ['a namespace', [rule({ namespaces: ['a'] })], ALICE, 'GET /api/v1/namespaces/a/pods', true],
  ['another namespace', [rule({ namespaces: ['b'] })], ALICE, 'GET /api/v1/namespaces/a/pods', false],
  ['cluster-wide', [rule({ clusterScope: false })], ALICE, 'GET /api/v1/nodes', false],
  ['resource rules and a path', [rule({})], ALICE, 'GET /healthz', false],
  ['a path', [paths('/healthz')], ALICE, 'GET /healthz', true],
  ['a path below', [paths('/healthz')], ALICE, 'GET /healthz/log', true],
  ['a path that begins alike', [paths('/health')], ALICE, 'GET /healthz', false],
  ['a wildcard below', [paths('/debug/*')], ALICE, 'GET /debug/a/b', true],
  ['any path', [paths('*')], ALICE, 'GET /anything', true],
  ['a path rule and a resource', [paths('*')], ALICE, 'GET /api/v1/pods', false],
])('%s', (_, rules, who, request, expected) => {
  expect(matchesFlowSchema(schema(rules), who, info(request))).toBe(expected);
});

test('flows are told apart by user, by namespace, or not at all', () => {
  const request = info('GET /api/v1/namespaces/a/pods');
  expect(flowDistinguisher(schema([], 'ByUser'), ALICE, request)).toBe('alice');
  expect(flowDistinguisher(schema([], 'ByNamespace'), ALICE, request)).toBe('a');
  expect(flowDistinguisher(schema([]), ALICE, request)).toBe('');
});
