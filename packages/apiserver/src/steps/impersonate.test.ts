import { describe, expect, test } from 'vitest';
import type { UserInfo } from '../authentication/contract.ts';
import { userInfo } from '../authentication/well-known-users.ts';
import type { AuthorizationAttributes } from '../authorization/contract.ts';
import { ask } from '../testing/attributes.ts';
import { impersonatedUser, type Impersonated } from './impersonation-modes.ts';

const text = ({ verb, apiGroup, resource, subresource, namespace, name }: AuthorizationAttributes): string =>
  [verb, `${apiGroup}/${resource}${subresource && `/${subresource}`}`, namespace && `in ${namespace}`, name]
    .filter((part) => part !== '')
    .join(' ');

/** Allows what is listed; says what was asked. */
function allowing(...allowed: readonly string[]) {
  const asked: string[] = [];
  return {
    asked,
    modes: new Map() as Parameters<typeof impersonatedUser>[3],
    authorize: (attributes: AuthorizationAttributes) => {
      asked.push(text(attributes));
      const verdict = allowed.includes(text(attributes)) ? ('allow' as const) : ('no-opinion' as const);
      return { verdict, reason: '' };
    },
  };
}

const A = 'authentication.k8s.io';
const wish = (name: string, more: Partial<UserInfo> = {}): UserInfo => ({ ...userInfo(name, []), ...more });
const listPods = (user: UserInfo = userInfo('bob', [])): AuthorizationAttributes =>
  ask(user, 'list pods', { namespace: 'default' });

const agent = userInfo('system:serviceaccount:kube-system:agent', [], {
  'authentication.kubernetes.io/node-name': ['n1'],
});

async function attempt(
  rules: ReturnType<typeof allowing>,
  wanted: UserInfo,
  requestor?: UserInfo,
): Promise<Impersonated | string> {
  return impersonatedUser(wanted, listPods(requestor), rules.authorize, rules.modes).catch(
    (error: Error) => error.message,
  );
}

describe('may act as', () => {
  test.each<[string, UserInfo, UserInfo | undefined, readonly string[], Impersonated]>([
    [
      'a user, in the old way',
      wish('jane', { groups: ['dev'], uid: 'u', extra: { scopes: ['a'] } }),
      undefined,
      [
        'impersonate /users jane',
        'impersonate /groups dev',
        `impersonate ${A}/uids u`,
        `impersonate ${A}/userextras/scopes a`,
      ],
      {
        user: wish('jane', { groups: ['dev', 'system:authenticated'], uid: 'u', extra: { scopes: ['a'] } }),
        constraint: '',
      },
    ],
    [
      'an account, in the old way',
      wish('system:serviceaccount:ns:a'),
      undefined,
      ['impersonate /serviceaccounts in ns a'],
      {
        user: wish('system:serviceaccount:ns:a', {
          groups: ['system:serviceaccounts', 'system:serviceaccounts:ns', 'system:authenticated'],
        }),
        constraint: '',
      },
    ],
    [
      'nobody',
      wish('system:anonymous'),
      undefined,
      ['impersonate /users system:anonymous'],
      { user: wish('system:anonymous', { groups: ['system:unauthenticated'] }), constraint: '' },
    ],
    [
      'a user, for one thing',
      wish('jane', { groups: ['dev'] }),
      undefined,
      [
        'impersonate-on:user-info:list /pods in default',
        `impersonate:user-info ${A}/users jane`,
        `impersonate:user-info ${A}/groups dev`,
      ],
      {
        user: wish('jane', { groups: ['dev', 'system:authenticated'] }),
        constraint: 'impersonate:user-info',
      },
    ],
    [
      'a user of many groups and extras',
      wish('jane', { groups: ['a', 'b', 'c', 'd'], extra: { 'x.io/y': ['1', '2', '3', '4'] } }),
      undefined,
      [
        'impersonate-on:user-info:list /pods in default',
        `impersonate:user-info ${A}/users jane`,
        `impersonate:user-info ${A}/groups *`,
        `impersonate:user-info ${A}/userextras/* *`,
      ],
      {
        user: wish('jane', {
          groups: ['a', 'b', 'c', 'd', 'system:authenticated'],
          extra: { 'x.io/y': ['1', '2', '3', '4'] },
        }),
        constraint: 'impersonate:user-info',
      },
    ],
    [
      'an account, for one thing',
      wish('system:serviceaccount:ns:a'),
      undefined,
      [
        'impersonate-on:serviceaccount:list /pods in default',
        `impersonate:serviceaccount ${A}/serviceaccounts in ns a`,
      ],
      {
        user: wish('system:serviceaccount:ns:a', {
          groups: ['system:serviceaccounts', 'system:serviceaccounts:ns', 'system:authenticated'],
        }),
        constraint: 'impersonate:serviceaccount',
      },
    ],
    [
      'any node',
      wish('system:node:n2'),
      undefined,
      ['impersonate-on:arbitrary-node:list /pods in default', `impersonate:arbitrary-node ${A}/nodes n2`],
      {
        user: wish('system:node:n2', { groups: ['system:nodes', 'system:authenticated'] }),
        constraint: 'impersonate:arbitrary-node',
      },
    ],
    [
      'the node it stands on',
      wish('system:node:n1'),
      agent,
      ['impersonate-on:associated-node:list /pods in default', `impersonate:associated-node ${A}/nodes *`],
      {
        user: wish('system:node:n1', { groups: ['system:nodes', 'system:authenticated'] }),
        constraint: 'impersonate:associated-node',
      },
    ],
  ])('%s', async (_title, wanted, requestor, allowed, expected) => {
    expect(await attempt(allowing(...allowed), wanted, requestor)).toEqual(expected);
    // Each of them is needed.
    for (const missing of allowed)
      expect(
        await attempt(allowing(...allowed.filter((one) => one !== missing)), wanted, requestor),
        missing,
      ).toContain('cannot impersonate');
  });
});

describe('may not act as', () => {
  const everything = [
    'impersonate-on:user-info:list /pods in default',
    'impersonate-on:associated-node:list /pods in default',
    `impersonate:associated-node ${A}/nodes *`,
    `impersonate:user-info ${A}/users jane`,
    `impersonate:user-info ${A}/groups *`,
    `impersonate:user-info ${A}/userextras/* *`,
  ];
  test.each<[UserInfo, UserInfo | undefined, string]>([
    [
      wish('jane', { groups: ['system:masters'] }),
      undefined,
      'impersonating the system:masters group is not allowed',
    ],
    [wish('jane', { groups: [''] }), undefined, 'impersonating the empty string group is not allowed'],
    [
      wish('jane', { extra: { scopes: ['a'] } }),
      undefined,
      'impersonating an invalid key in extra is not allowed: extra.key: Invalid value: "scopes": must be a domain-prefixed path',
    ],
    [
      wish('jane', { extra: { 'x.io/y': [''] } }),
      undefined,
      'impersonating the empty string value in extra is not allowed',
    ],
    [wish('system:node:n2'), agent, 'cannot impersonate-on:arbitrary-node:list resource "pods"'],
    [wish('system:node:n1'), userInfo('bob', [], agent.extra), 'cannot impersonate-on:arbitrary-node:list'],
    [
      wish('system:node:n1', { groups: ['x'] }),
      agent,
      'User "system:serviceaccount:kube-system:agent" cannot impersonate resource "users" in API group "" at the cluster scope',
    ],
    [
      wish('system:serviceaccount:ns:a'),
      undefined,
      'pods is forbidden: User "bob" cannot impersonate-on:serviceaccount:list resource "pods" in API group "" in the namespace "default"',
    ],
  ])('%o', async (wanted, requestor, message) => {
    expect(await attempt(allowing(...everything), wanted, requestor)).toContain(message);
  });
});

test('the way that was good last is tried first', async () => {
  const rules = allowing('impersonate /users jane');
  await attempt(rules, wish('jane'));
  expect(rules.asked).toEqual(['impersonate-on:user-info:list /pods in default', 'impersonate /users jane']);
  await attempt(rules, wish('jane'));
  expect(rules.asked.slice(2)).toEqual(['impersonate /users jane']);
});
