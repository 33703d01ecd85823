/** After k8s.io/apiserver/pkg/audit/policy/reader_test.go and pkg/apis/audit/validation/validation_test.go. */
import { describe, expect, test } from 'vitest';
import { silentLogger, type Logger } from '@k8ts/base';
import { parseAuditPolicy } from './audit-policy-file.ts';

const HEAD = 'apiVersion: audit.k8s.io/v1\nkind: Policy\n';

function problemOf(text: string): string {
  try {
    parseAuditPolicy(text, silentLogger);
    return '';
  } catch (error) {
    return String(error);
  }
}

test('a policy is read', () => {
  const policy = parseAuditPolicy(
    `${HEAD}
omitStages: [RequestReceived]
omitManagedFields: true
rules:
  - level: None
    nonResourceURLs: [/healthz*, /version]
  - level: RequestResponse
    users: [tim]
    userGroups: [testers, developers]
    verbs: [patch, delete, create]
    omitManagedFields: false
    resources:
      - group: ""
      - group: rbac.authorization.k8s.io
        resources: [clusterroles, clusterrolebindings]
    namespaces: [default, kube-system]
  - level: Metadata
`,
    silentLogger,
  );
  expect(policy).toMatchObject({
    omitStages: ['RequestReceived'],
    omitManagedFields: true,
    rules: [
      { level: 'None', nonResourceURLs: ['/healthz*', '/version'] },
      {
        level: 'RequestResponse',
        users: ['tim'],
        userGroups: ['testers', 'developers'],
        verbs: ['patch', 'delete', 'create'],
        omitManagedFields: false,
        resources: [
          {},
          { group: 'rbac.authorization.k8s.io', resources: ['clusterroles', 'clusterrolebindings'] },
        ],
        namespaces: ['default', 'kube-system'],
      },
      { level: 'Metadata' },
    ],
  });
});

test('JSON is read too', () => {
  const text = '{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"Request"}]}';
  expect(parseAuditPolicy(text, silentLogger).rules).toEqual([{ level: 'Request' }]);
});

test('fields that there are not are warned of', () => {
  const warnings: unknown[] = [];
  const logger: Logger = { ...silentLogger, warn: (_, fields) => warnings.push(fields?.['error']) };
  const { rules } = parseAuditPolicy(
    `${HEAD}rules:\n- level: None\n  resources:\n  - group: coordination.k8s.io\n    verbs: [watch]\n  level: None\n`,
    logger,
  );
  expect(rules).toEqual([{ level: 'None', resources: [{ group: 'coordination.k8s.io' }] }]);
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toContain('unknown field "rules[0].resources[0].verbs"');
});

describe('refused is', () => {
  test.each([
    ['no policy at all', '', 'unknown group version field audit.k8s.io/__internal, Kind=Policy in policy'],
    [
      'one without version and kind',
      'rules: [{level: None}]',
      'unknown group version field audit.k8s.io/__internal, Kind=Policy in policy',
    ],
    [
      'another version',
      'apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules: [{level: None}]',
      'failed decoding: no kind "Policy" is registered for version "audit.k8s.io/v1beta1"',
    ],
    [
      'another kind',
      'apiVersion: audit.k8s.io/v1\nkind: Event',
      'failed decoding: no kind "Event" is registered',
    ],
    ['a version that is none', 'apiVersion: a/b/c\nkind: Policy', 'unexpected GroupVersion string: a/b/c'],
    [
      'a list',
      '- a',
      "failed decoding: couldn't get version/kind; json parse error: json: cannot unmarshal array",
    ],
    [
      'a number for a kind',
      `apiVersion: audit.k8s.io/v1\nkind: 3`,
      'json: cannot unmarshal number into Go struct',
    ],
    ['what is not YAML', '{', 'failed decoding: '],
    ['rules that are no list', `${HEAD}rules: {}`, 'failed decoding: '],
    ['a level that is no text', `${HEAD}rules: [{level: [1]}]`, 'failed decoding: '],
    ['one without rules', HEAD, 'loaded illegal policy with 0 rules'],
    ['one with an empty list of rules', `${HEAD}rules: []`, 'loaded illegal policy with 0 rules'],
  ])('%s', (_, text, problem) => {
    expect(problemOf(text)).toContain(problem);
  });

  test.each([
    ['{}', 'rules[0].level: Required value'],
    [
      '{level: FooBar}',
      'rules[0].level: Unsupported value: "FooBar": supported values: "None", "Metadata", "Request", "RequestResponse"',
    ],
    [
      '{level: None, namespaces: [default], nonResourceURLs: [/logs*]}',
      'rules[0].nonResourceURLs: Invalid value: ["/logs*"]: rules cannot apply to both regular resources and non-resource URLs',
    ],
    [
      '{level: None, resources: [{resources: [secrets]}], nonResourceURLs: [/logs*]}',
      'rules cannot apply to both regular resources and non-resource URLs',
    ],
    [
      '{level: None, resources: [{group: rbac.authorization.k8s.io/v1beta1}]}',
      'rules[0].resources.group: Invalid value: "rbac.authorization.k8s.io/v1beta1": a lowercase RFC 1123 subdomain must consist of',
    ],
    [
      '{level: None, nonResourceURLs: [logs, /healthz*]}',
      `rules[0].nonResourceURLs[0]: Invalid value: "logs": non-resource URL rules must begin with a '/' character`,
    ],
    ['{level: None, nonResourceURLs: [""]}', 'rules[0].nonResourceURLs[0]: Invalid value: ""'],
    [
      '{level: None, nonResourceURLs: [/a, /logs/*/*]}',
      `rules[0].nonResourceURLs[1]: Invalid value: "/logs/*/*": non-resource URL wildcards '*' must be the final character of the rule`,
    ],
    ['{level: None, nonResourceURLs: [/logs/*.log]}', 'must be the final character of the rule'],
    [
      '{level: None, resources: [{resourceNames: [leader]}]}',
      'rules[0].resources.resourceNames: Invalid value: ["leader"]: using resourceNames requires at least one resource',
    ],
    [
      '{level: None, omitStages: [foo]}',
      'rules[0].omitStages[0]: Invalid value: "foo": allowed stages are RequestReceived,ResponseStarted,ResponseComplete,Panic',
    ],
  ])('the rule %s', (rule, problem) => {
    expect(problemOf(`${HEAD}rules: [${rule}]`)).toContain(problem);
  });

  test('what is wrong in several places, all at once', () => {
    expect(problemOf(`${HEAD}omitStages: [foo]\nrules: [{level: None}, {}]`)).toBe(
      'AuditPolicyError: [omitStages[0]: Invalid value: "foo": allowed stages are RequestReceived,ResponseStarted,ResponseComplete,Panic, rules[1].level: Required value]',
    );
  });
});
