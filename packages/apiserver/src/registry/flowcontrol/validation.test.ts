import type { flowcontrolv1 } from '@k8ts/api';
import { fieldErrorText } from '@k8ts/apimachinery';
import { expect, test } from 'vitest';
import {
  MANDATORY_FLOW_SCHEMAS,
  MANDATORY_PRIORITY_LEVELS,
  SUGGESTED_FLOW_SCHEMAS,
  SUGGESTED_PRIORITY_LEVELS,
} from '../../flowcontrol/default-configuration.ts';
import { validateFlowSchema, validatePriorityLevel } from './validation.ts';

const RESOURCES = { verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'] };
const ANYBODY = { kind: 'Group', group: { name: '*' } };

const schemaWith = (spec: object, name = 'some'): flowcontrolv1.FlowSchema => ({
  metadata: { name },
  spec: { priorityLevelConfiguration: { name: 'level' }, matchingPrecedence: 50, ...spec },
});
const ruleWith = (rule: object): object => ({ rules: [{ subjects: [ANYBODY], ...rule }] });
const subject = (fields: object): object => ({
  rules: [{ subjects: [fields], resourceRules: [RESOURCES] }],
});
const resources = (changes: object): object => ruleWith({ resourceRules: [{ ...RESOURCES, ...changes }] });
const urls = (...nonResourceURLs: string[]): object =>
  ruleWith({ nonResourceRules: [{ verbs: ['get'], nonResourceURLs }] });

test('the default configuration is valid', () => {
  for (const schema of [...MANDATORY_FLOW_SCHEMAS, ...SUGGESTED_FLOW_SCHEMAS])
    expect(validateFlowSchema(schema)).toEqual([]);
  for (const level of [...MANDATORY_PRIORITY_LEVELS, ...SUGGESTED_PRIORITY_LEVELS])
    expect(validatePriorityLevel(level)).toEqual([]);
});

const VERBS = '"create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"';

test.each<[object, readonly string[]]>([
  [{}, []],
  [{ matchingPrecedence: 0 }, ['spec.matchingPrecedence: Invalid value: 0: must be a positive value']],
  [
    { matchingPrecedence: 10_001 },
    ['spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000'],
  ],
  [
    { matchingPrecedence: 1 },
    [
      "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
    ],
  ],
  [
    { distinguisherMethod: { type: 'ByMood' } },
    ['spec.distinguisherMethod.type: Unsupported value: "ByMood": supported values: "ByNamespace", "ByUser"'],
  ],
  [
    { priorityLevelConfiguration: { name: '' } },
    ['spec.priorityLevelConfiguration.name: Required value: must reference a priority level'],
  ],
  [
    { rules: [{}] },
    [
      'spec.rules[0].subjects: Required value: subjects must contain at least one value',
      'spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty',
    ],
  ],
  [
    subject({ kind: 'Robot' }),
    [
      'spec.rules[0].subjects[0].kind: Unsupported value: "Robot": supported values: "Group", "ServiceAccount", "User"',
    ],
  ],
  [
    subject({ kind: 'User' }),
    ["spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'"],
  ],
  [
    subject({ kind: 'User', user: { name: '' }, group: { name: 'g' } }),
    [
      'spec.rules[0].subjects[0].user.name: Required value',
      "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'",
    ],
  ],
  [
    subject({ kind: 'ServiceAccount', serviceAccount: { name: '*', namespace: '' } }),
    [
      'spec.rules[0].subjects[0].serviceAccount.namespace: Required value: must specify namespace for service account',
    ],
  ],
  [
    resources({ verbs: ['get', '*'] }),
    [
      `spec.rules[0].resourceRules[0].verbs: Invalid value: ["get","*"]: if '*' is present, must not specify other verbs`,
    ],
  ],
  [
    resources({ verbs: ['sing'] }),
    [`spec.rules[0].resourceRules[0].verbs: Unsupported value: ["sing"]: supported values: ${VERBS}`],
  ],
  [
    resources({ verbs: [], apiGroups: [], resources: [], namespaces: [] }),
    [
      'spec.rules[0].resourceRules[0].verbs: Required value: verbs must contain at least one value',
      'spec.rules[0].resourceRules[0].apiGroups: Required value: resource rules must supply at least one api group',
      'spec.rules[0].resourceRules[0].resources: Required value: resource rules must supply at least one resource',
      'spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace',
    ],
  ],
  [resources({ namespaces: [], clusterScope: true }), []],
  [urls('/healthz', '/debug/*', '/'), []],
  [
    urls('', 'a', '/a b', '/a//b', '/a/*/b', '/a*'),
    [
      'spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "": must not be empty',
      'spec.rules[0].nonResourceRules[0].nonResourceURLs[1]: Invalid value: "a": must start with slash',
      'spec.rules[0].nonResourceRules[0].nonResourceURLs[2]: Invalid value: "/a b": must not contain white-space',
      'spec.rules[0].nonResourceRules[0].nonResourceURLs[3]: Invalid value: "/a//b": must not contain double slash',
      'spec.rules[0].nonResourceRules[0].nonResourceURLs[4]: Invalid value: "/a/*/b": wildcard can only do suffix matching',
      'spec.rules[0].nonResourceRules[0].nonResourceURLs[5]: Invalid value: "/a*": wildcard can only do suffix matching',
    ],
  ],
  [
    urls('*', '/a'),
    [
      `spec.rules[0].nonResourceRules[0].nonResourceURLs: Invalid value: ["*","/a"]: if '*' is present, must not specify other non-resource URLs`,
    ],
  ],
])('a flow schema with %j', (spec, expected) => {
  expect(validateFlowSchema(schemaWith(spec)).map(fieldErrorText)).toEqual(expected);
});

test('mandatory flow schemas are as they are', () => {
  const errors = validateFlowSchema(schemaWith({}, 'catch-all')).map(fieldErrorText);
  expect(errors).toHaveLength(1);
  expect(errors[0]).toMatch(/^spec: Invalid value: .*: spec of 'catch-all' must equal the fixed value$/);
});

const queue = (queuing: object): object => ({
  type: 'Limited',
  limited: {
    nominalConcurrencyShares: 1,
    limitResponse: { type: 'Queue', queuing: { queues: 64, handSize: 4, queueLengthLimit: 10, ...queuing } },
  },
});
const limited = (changes: object): object => ({
  type: 'Limited',
  limited: { nominalConcurrencyShares: 1, limitResponse: { type: 'Reject' }, ...changes },
});
const HAND = 'spec.limited.limitResponse.queuing.handSize: Invalid value';

test.each<[string, object, readonly string[]]>([
  ['some', limited({}), []],
  ['some', limited({ nominalConcurrencyShares: 0 }), []],
  [
    'some',
    { type: 'Exempt', exempt: {} },
    [`spec.type: Invalid value: "Exempt": type must be 'Exempt' if and only if name is 'exempt'`],
  ],
  ['some', { type: 'Odd' }, ['spec.type: Unsupported value: "Odd": supported values: "Exempt", "Limited"']],
  [
    'some',
    { type: 'Limited', exempt: {} },
    [
      'spec.exempt: Forbidden: must be nil if the type is Limited',
      'spec.limited: Required value: must not be empty when type is Limited',
    ],
  ],
  [
    'some',
    limited({ nominalConcurrencyShares: -1, lendablePercent: 101, borrowingLimitPercent: -1 }),
    [
      'spec.limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer',
      'spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive',
      'spec.limited.borrowingLimitPercent: Invalid value: -1: if specified, must be a non-negative integer',
    ],
  ],
  [
    'some',
    limited({ limitResponse: { type: 'Reject', queuing: {} } }),
    [
      'spec.limited.limitResponse.queuing: Forbidden: must be nil if limited.limitResponse.type is not Limited',
    ],
  ],
  [
    'some',
    limited({ limitResponse: { type: 'Queue' } }),
    [
      'spec.limited.limitResponse.queuing: Required value: must not be empty if limited.limitResponse.type is Limited',
    ],
  ],
  ['some', queue({ queues: 512, handSize: 8 }), [`${HAND}: 8: required entropy bits of deckSize 512 and handSize 8 should not be greater than 60`]], // prettier-ignore
  ['some', queue({ queues: 7, handSize: 8 }), [`${HAND}: 8: should not be greater than queues (7)`]],
  ['some', queue({ queues: 10_000_000, handSize: 2 }), []],
  [
    'some',
    queue({ queues: -1, handSize: -1, queueLengthLimit: -1 }),
    [
      'spec.limited.limitResponse.queuing.queueLengthLimit: Invalid value: -1: must be positive',
      'spec.limited.limitResponse.queuing.queues: Invalid value: -1: must be positive',
      `${HAND}: -1: must be positive`,
    ],
  ],
  ['exempt', { type: 'Exempt', exempt: { nominalConcurrencyShares: 20, lendablePercent: 5 } }, []],
  [
    'exempt',
    { type: 'Exempt', exempt: { nominalConcurrencyShares: -1, lendablePercent: 101 } },
    [
      'spec.exempt.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer',
      'spec.exempt.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive',
    ],
  ],
])('the priority level %s with %j', (name, spec, expected) => {
  expect(validatePriorityLevel({ metadata: { name }, spec } as never).map(fieldErrorText)).toEqual(expected);
});

test('of the mandatory priority levels only the shares of the exempt one may be changed', () => {
  const texts = (name: string, spec: object): string[] =>
    validatePriorityLevel({ metadata: { name }, spec } as never).map(fieldErrorText);
  expect(texts('catch-all', limited({ nominalConcurrencyShares: 6 })).at(-1)).toMatch(
    /: spec of 'catch-all' must equal the fixed value$/,
  );
  const withLimited = { type: 'Exempt', exempt: {}, limited: {} };
  expect(texts('exempt', withLimited).at(-1)).toMatch(
    /: spec of 'exempt' except the 'spec.exempt' field must equal the fixed value$/,
  );
});

test('conditions are of different types', () => {
  const status = { conditions: [{ type: 'A' }, { type: 'A' }, { type: '' }] };
  expect(validateFlowSchema({ ...schemaWith({}), status }).map(fieldErrorText)).toEqual([
    'status.conditions[1].type: Duplicate value: "A"',
    'status.conditions[2].type: Required value: must not be empty',
  ]);
});
