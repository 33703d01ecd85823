import { describe, expect, it } from 'vitest';
import type { JsonValue } from '../../json.ts';
import { literal } from '../testing/evaluate.ts';
import {
  AdmissionBudgetError,
  AdmissionExpressions,
  RETURNS_ANYTHING,
  RETURNS_BOOL,
  RETURNS_JSON_PATCH,
  RETURNS_STRING_OR_NULL,
} from './admission-expressions.ts';
import type { AdmissionValues } from './admission-expressions.ts';

const SCOPE = { params: true, authorizer: true };
const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'default', labels: { app: 'web' } },
  spec: { replicas: 3, share: 0.5, containers: [{ name: 'a', image: 'x:1' }] },
} as unknown as JsonValue;

const VALUES: AdmissionValues = {
  object: POD,
  oldObject: null,
  request: {
    kind: { group: '', version: 'v1', kind: 'Pod' },
    operation: 'CREATE',
    namespace: 'default',
    userInfo: { username: 'ann', groups: ['devs'] },
    options: { kind: 'CreateOptions' },
  },
  namespaceObject: { metadata: { name: 'default', labels: { team: 'a' } } },
  params: null,
  authorizer: {
    authorize: ({ verb, resource, path, serviceAccount }) => ({
      allowed: verb === 'get' && (resource?.resource === 'pods' || path === '/healthz'),
      reason: `${serviceAccount === undefined ? '' : `${serviceAccount.namespace}:${serviceAccount.name} `}${verb} ${path ?? `${resource?.group ?? ''}/${resource?.resource ?? ''}/${resource?.namespace ?? ''}/${resource?.name ?? ''}`}`,
      ...(verb === 'fail' ? { error: 'broken' } : {}),
    }),
    requestResource: { group: '', resource: 'pods', subresource: '', namespace: 'default', name: 'web' },
  },
};

function evaluated(expression: string, variables: Readonly<Record<string, string>> = {}): string {
  const expressions = new AdmissionExpressions();
  for (const [name, text] of Object.entries(variables)) expressions.addVariable(name, text, SCOPE);
  const compiled = expressions.compile(expression, SCOPE, RETURNS_ANYTHING);
  if (compiled.issue !== undefined) return compiled.issue.message.split('\n')[0] ?? '';
  const outcome = expressions.run(VALUES, 10_000_000).evaluate(compiled);
  return 'error' in outcome ? outcome.error : literal(outcome.value);
}

describe('admission expressions', () => {
  it.each([
    ['object.spec.replicas + 1', '4'],
    ['object.spec.share * 2.0', '1.0'],
    ['oldObject == null', 'true'],
    ['object.metadata.namespace', '"default"'],
    ['request.namespace', '"default"'],
    ['request.userInfo.groups', '["devs"]'],
    ['has(request.name)', 'false'],
    ['request.options.kind', '"CreateOptions"'],
    ['namespaceObject.metadata.labels.team', '"a"'],
    ['params == null', 'true'],
    ['object.spec.missing', "expression 'object.spec.missing' resulted in error: no such key: missing"],
    ["authorizer.group('').resource('pods').check('get').allowed()", 'true'],
    ["authorizer.group('').resource('pods').check('list').allowed()", 'false'],
    ["authorizer.path('/healthz').check('get').allowed()", 'true'],
    [
      "authorizer.path(' ').check('get').allowed()",
      "expression 'authorizer.path(' ').check('get').allowed()' resulted in error: path must not be empty",
    ],
    [
      "authorizer.group('').resource('').check('get').allowed()",
      "expression 'authorizer.group('').resource('').check('get').allowed()' resulted in error: resource must not be empty",
    ],
    [
      "authorizer.serviceAccount('a', 'b').group('apps').resource('x').namespace('n').name('m').check('get').reason()",
      '"a:b get apps/x/n/m"',
    ],
    [
      "authorizer.serviceAccount('A', 'b').path('/').check('get').reason()",
      "expression 'authorizer.serviceAccount('A', 'b').path('/').check('get').reason()' resulted in error: Invalid service account namespace",
    ],
    ["authorizer.requestResource.check('get').reason()", '"get /pods/default/web"'],
    ["authorizer.path('/').check('fail').errored()", 'true'],
    ["authorizer.path('/').check('fail').error()", '"broken"'],
    ["authorizer.requestResource.fieldSelector('a=b').labelSelector('c').check('get').allowed()", 'true'],
    [
      "authorizer.requestResource.check('a').allowed() || authorizer.requestResource.check('b').allowed() || authorizer.requestResource.check('c').allowed()",
      "expression 'authorizer.requestResource.check('a').allowed() || authorizer.requestResource.check('b').allowed() || authorizer.requestResource.check('c').allowed()' resulted in error: operation cancelled: actual cost limit exceeded",
    ],
    ['request.missing', "compilation failed: ERROR: <input>:1:8: undefined field 'missing'"],
    [
      'request.operation == 1',
      "compilation failed: ERROR: <input>:1:19: found no matching overload for '_==_' applied to '(string, int)'",
    ],
  ])('%s is %s', (expression, expected) => {
    expect(evaluated(expression)).toBe(expected);
  });

  it.each([
    ['variables.a + variables.b', { a: 'object.spec.replicas', b: 'variables.a * 2' }, '9'],
    ['variables.missing', { a: '1' }, "compilation failed: ERROR: <input>:1:10: undefined field 'missing'"],
    [
      'variables.a',
      { a: "'text'.size() ==" },
      "expression 'variables.a' resulted in error: composited variable \"a\" fails to compile: compilation failed: ERROR: <input>:1:17: Syntax error: mismatched input '<EOF>' expecting",
    ],
    [
      'variables.a == 1',
      { a: 'object.spec.missing' },
      'expression \'variables.a == 1\' resulted in error: composited variable "a" fails to evaluate: no such key: missing',
    ],
    [
      'variables.a + 1',
      { a: "'x'" },
      "compilation failed: ERROR: <input>:1:13: found no matching overload for '_+_' applied to '(string, int)'",
    ],
    ['true || variables.a', { a: '1 / 0 == 1' }, 'true'],
  ])('%s with %j', (expression, variables, expected) => {
    expect(evaluated(expression, variables as unknown as Record<string, string>).split(' {')[0]).toContain(
      expected.split(' {')[0],
    );
  });

  it.each([
    ['1', RETURNS_BOOL, 'must evaluate to bool but got int'],
    ['object.x', RETURNS_BOOL, 'must evaluate to bool but got dyn'],
    ['[true]', RETURNS_BOOL, 'must evaluate to bool but got list(bool)'],
    ['1', RETURNS_STRING_OR_NULL, 'must evaluate to one of [string null_type] but got int'],
    ["[JSONPatch{op: 'add', path: '/a', value: 1}]", RETURNS_JSON_PATCH, undefined],
    ['Object{}', RETURNS_JSON_PATCH, 'must evaluate to list(JSONPatch) but got Object'],
    [
      '[JSONPatch{op: 1}]',
      RETURNS_JSON_PATCH,
      "compilation failed: ERROR: <input>:1:14: expected type of field 'op' is 'string' but provided type is 'int'",
    ],
  ])('%s: %s %s', (expression, returns, expected) => {
    const { issue } = new AdmissionExpressions().compile(expression, { ...SCOPE, patches: true }, returns);
    expect(issue?.message.split('\n')[0]).toBe(expected);
  });

  it('knows authorizer and params only where they are', () => {
    const scope = { params: false, authorizer: false };
    const expressions = new AdmissionExpressions({ composition: false });
    for (const name of ['params', 'authorizer', 'variables'])
      expect(expressions.compile(name, scope, RETURNS_ANYTHING).issue?.message).toContain(
        `undeclared reference to '${name}' (in container '')`,
      );
  });

  it('runs nothing more when the budget is gone, and counts what variables cost', () => {
    const expressions = new AdmissionExpressions();
    expressions.addVariable('many', '[1,2,3,4,5,6,7,8,9].map(x, [1,2,3,4,5,6,7,8,9].map(y, x * y))', SCOPE);
    const rule = expressions.compile('variables.many.size() > 0', SCOPE, RETURNS_BOOL);
    expect(() => expressions.run(VALUES, 500).evaluate(rule)).toThrow(AdmissionBudgetError);
    const run = expressions.run(VALUES, 10_000);
    expect(run.evaluate(rule)).toEqual({ value: true });
    const left = run.budget;
    expect(run.evaluate(rule)).toEqual({ value: true });
    expect(left - run.budget).toBeLessThan(10);
  });
});
