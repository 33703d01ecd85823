import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { customResourcesHook } from '../../post-start/custom-resources.ts';
import { builtinStrategies } from '../../registry/builtin-strategies.ts';
import { createTestServer, type TestServer } from '../../testing/test-server.ts';
import { validatingAdmissionPolicy } from './validating-admission-policy.ts';

const ADMISSION = '/apis/admissionregistration.k8s.io/v1';
const POLICIES = `${ADMISSION}/validatingadmissionpolicies`;
const BINDINGS = `${ADMISSION}/validatingadmissionpolicybindings`;
const MAPS = '/api/v1/namespaces/default/configmaps';
const RULES = [
  { operations: ['*'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'] },
] as const;

let server: TestServer;

beforeAll(async () => {
  server = await createTestServer(
    { strategies: builtinStrategies(), postStartHooks: [customResourcesHook] },
    (objects) => ({
      admission: [
        validatingAdmissionPolicy({
          objects,
          authorize: ({ verb }) => ({ verdict: verb === 'get' ? 'allow' : 'no-opinion', reason: '' }),
        }),
      ],
    }),
  );
  await server.server.ready;
  for (const name of ['default', 'other'])
    await call('POST', '/api/v1/namespaces', { metadata: { name, labels: { team: name } } });
});
afterAll(() => server[Symbol.asyncDispose]());
afterEach(async () => {
  for (const path of [BINDINGS, POLICIES, MAPS]) await call('DELETE', path);
});

interface Answer {
  readonly code: number;
  readonly message: string;
  readonly reason: string;
  readonly warning: string | null;
  readonly details?: { readonly causes?: readonly { readonly message: string }[] };
}

async function call(method: string, path: string, body?: object): Promise<Answer> {
  const response = await fetch(server.url + path, {
    method,
    headers: { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const parsed = (await response.json()) as Partial<Answer>;
  return {
    message: '',
    reason: '',
    ...parsed,
    code: response.status,
    warning: response.headers.get('warning'),
  };
}

async function policy(spec: object, binding: object = {}): Promise<void> {
  const made = await call('POST', POLICIES, {
    metadata: { name: 'p' },
    spec: { matchConstraints: { resourceRules: RULES }, ...spec },
  });
  expect(made.code, made.message).toBe(201);
  const bound = await call('POST', BINDINGS, {
    metadata: { name: 'b' },
    spec: { policyName: 'p', validationActions: ['Deny'], ...binding },
  });
  expect(bound.code, bound.message).toBe(201);
}

const map = (data: object = { a: '1' }, name = 'm'): object => ({ metadata: { name }, data });
const BY = `configmaps "m" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: `;
const rule = (expression: string, further: object = {}): object => ({
  validations: [{ expression, ...further }],
});
const DENIES = rule('false');

describe('validations', () => {
  test.each<[string, object, string]>([
    ['holds', rule("object.data.a == '1'"), ''],
    ['does not', rule(" object.data.a == '2' "), "failed expression: object.data.a == '2'"],
    ['has a message', rule('false', { message: ' no ' }), 'no'],
    [
      'makes its message',
      rule('false', { messageExpression: "'not ' + object.data.a", message: 'no' }),
      'not 1',
    ],
    ['makes no message', rule('false', { messageExpression: "object.data.b + 'x'", message: 'no' }), 'no'],
    ['makes an empty message', rule('false', { messageExpression: "' '" }), 'failed expression: false'],
    ['makes lines', rule('false', { messageExpression: "'a\\nb'", message: 'no' }), 'no'],
    [
      'breaks',
      rule("object.data.b == 'x'"),
      "expression 'object.data.b == 'x'' resulted in error: no such key: b",
    ],
    ['breaks, which does not matter', { ...rule("object.data.b == 'x'"), failurePolicy: 'Ignore' }, ''],
    [
      'uses variables',
      {
        ...rule("variables.a == '2'", { messageExpression: "'a is ' + variables.a" }),
        variables: [{ name: 'a', expression: 'object.data.a' }],
      },
      'a is 1',
    ],
    [
      'uses a variable that breaks',
      { ...rule('variables.a'), variables: [{ name: 'a', expression: "object.data.b == 'x'" }] },
      'expression \'variables.a\' resulted in error: composited variable "a" fails to evaluate: no such key: b',
    ],
    ['knows the namespace', rule("namespaceObject.metadata.labels.team == 'default'"), ''],
    ['asks the authorizer', rule("authorizer.requestResource.check('get').allowed()"), ''],
    ['is told no', rule("authorizer.requestResource.check('delete').allowed()", { message: 'no' }), 'no'],
    ['is not looked at', { ...DENIES, matchConditions: [{ name: 'c', expression: 'false' }] }, ''],
    [
      'has a condition that breaks',
      { ...DENIES, matchConditions: [{ name: 'c', expression: "object.data.b == 'x'" }] },
      "expression 'object.data.b == 'x'' resulted in error: no such key: b",
    ],
    [
      'has an annotation that breaks',
      { auditAnnotations: [{ key: 'k', valueExpression: "object.data.b + 'x'" }] },
      "expression 'object.data.b + 'x'' resulted in error: no such key: b",
    ],
    ['annotates', { auditAnnotations: [{ key: 'k', valueExpression: "'is ' + object.data.a" }] }, ''],
    [
      'is hostile',
      rule(
        `${Array.from({ length: 7 }, (_, i) => `[1,2,3,4,5,6,7,8,9,10].all(x${i}, `).join('')}true${')'.repeat(7)}`,
      ),
      `expression '${Array.from({ length: 7 }, (_, i) => `[1,2,3,4,5,6,7,8,9,10].all(x${i}, `).join('')}true${')'.repeat(7)}' resulted in error: operation cancelled: actual cost limit exceeded`,
    ],
  ])('one that %s', async (_name, spec, message) => {
    await policy(spec);
    const answer = await call('POST', MAPS, map());
    if (message === '') expect(answer.code, answer.message).toBe(201);
    else
      expect(answer).toMatchObject({
        code: 422,
        reason: 'Invalid',
        message: BY + message,
        details: { causes: [{ message: (BY + message).replace(/^.*? forbidden: /, '') }] },
      });
  });

  test.each([
    ['Forbidden', 403],
    ['RequestEntityTooLarge', 413],
    ['Invalid', 422],
  ])('refuse because of %s', async (reason, code) => {
    await policy(rule('false', { reason }));
    expect(await call('POST', MAPS, map())).toMatchObject({
      code,
      reason,
      message: `${BY}failed expression: false`,
    });
  });

  test('warn', async () => {
    await policy(rule('false', { message: 'careful' }), { validationActions: ['Warn', 'Audit'] });
    const answer = await call('POST', MAPS, map());
    expect(answer.code).toBe(201);
    expect(answer.warning).toBe(
      `299 - "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': careful"`,
    );
  });

  test('see what was and what is done', async () => {
    await policy(
      rule(
        "request.operation == 'CREATE' || (request.operation == 'UPDATE' && object.data.a != oldObject.data.a)",
      ),
    );
    expect((await call('POST', MAPS, map())).code).toBe(201);
    expect((await call('PUT', `${MAPS}/m`, map())).code).toBe(422);
    expect((await call('PUT', `${MAPS}/m`, map({ a: '2' }))).code).toBe(200);
    expect((await call('DELETE', `${MAPS}/m`)).code).toBe(422);
  });

  test('all together may cost only so much', async () => {
    const costly = `${Array.from({ length: 5 }, (_, i) => `[1,2,3,4,5,6,7,8,9,10].all(x${i}, `).join('')}true${')'.repeat(5)}`;
    await policy({ validations: Array.from({ length: 60 }, () => ({ expression: costly })) });
    expect((await call('POST', MAPS, map())).message).toBe(
      `${BY}validation failed due to running out of cost budget, no further validation rules will be run`,
    );
  });

  test('policies are not subject to policies', async () => {
    await policy({
      ...DENIES,
      matchConstraints: {
        resourceRules: [{ operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*'] }],
      },
    });
    expect((await call('POST', MAPS, map())).code).toBe(422);
    expect((await call('DELETE', `${POLICIES}/p`)).code).toBe(200);
    expect((await call('POST', MAPS, map())).code).toBe(201);
  });
});

describe('a policy is about', () => {
  const match = (further: object): object => ({
    ...DENIES,
    matchConstraints: { resourceRules: RULES, ...further },
  });
  test.each<[string, object, object, boolean]>([
    ['its resources', match({}), {}, true],
    ['no others', match({ resourceRules: [{ ...RULES[0], resources: ['pods'] }] }), {}, false],
    ['named objects', match({ resourceRules: [{ ...RULES[0], resourceNames: ['m'] }] }), {}, true],
    ['no others than named', match({ resourceRules: [{ ...RULES[0], resourceNames: ['n'] }] }), {}, false],
    ['nothing excluded', match({ excludeResourceRules: RULES }), {}, false],
    ['its namespaces', match({ namespaceSelector: { matchLabels: { team: 'default' } } }), {}, true],
    ['no other namespaces', match({ namespaceSelector: { matchLabels: { team: 'other' } } }), {}, false],
    ['labelled objects', match({ objectSelector: { matchLabels: { a: 'b' } } }), {}, false],
    [
      'what the binding is about',
      match({}),
      { matchResources: { namespaceSelector: { matchLabels: { team: 'other' } } } },
      false,
    ],
    ['nothing without a binding', match({}), { policyName: 'another' }, false],
  ])('%s', async (_name, spec, binding, denies) => {
    await policy(spec, binding);
    expect((await call('POST', MAPS, map())).code).toBe(denies ? 422 : 201);
  });
});

describe('params', () => {
  const withParams = {
    ...rule('params != null && object.data.a == params.data.a', {
      messageExpression: "'wants ' + params.data.a",
    }),
    paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
    matchConditions: [{ name: 'c', expression: "!object.metadata.name.startsWith('param')" }],
  };
  const CONFIGURED = BY.replace('denied request: ', 'denied request: failed to configure binding: ');

  test.each<[string, object, string]>([
    ['by name', { name: 'param1', parameterNotFoundAction: 'Deny' }, ''],
    ['by another name', { name: 'param2', parameterNotFoundAction: 'Deny' }, `${BY}wants 2`],
    [
      'in a namespace',
      { name: 'param1', namespace: 'other', parameterNotFoundAction: 'Deny' },
      `${CONFIGURED}no params found for policy binding with \`Deny\` parameterNotFoundAction`,
    ],
    ['that are not there', { name: 'none', parameterNotFoundAction: 'Allow' }, ''],
    [
      'that are all',
      { selector: { matchLabels: { is: 'param' } }, parameterNotFoundAction: 'Deny' },
      `${BY}wants 2`,
    ],
    [
      'that no selector finds',
      { selector: { matchLabels: { is: 'none' } }, parameterNotFoundAction: 'Deny' },
      `${CONFIGURED}no params found for policy binding with \`Deny\` parameterNotFoundAction`,
    ],
  ])('%s', async (_name, paramRef, message) => {
    for (const at of ['1', '2'])
      await call('POST', MAPS, {
        metadata: { name: `param${at}`, labels: { is: 'param' } },
        data: { a: at },
      });
    await policy(withParams, { paramRef });
    expect((await call('POST', MAPS, map())).message).toBe(message);
  });

  test('without a reference there are none', async () => {
    await policy({ ...withParams, ...rule('params == null') });
    expect((await call('POST', MAPS, map())).code).toBe(201);
  });

  test('of a kind that is not known', async () => {
    await policy(
      { ...DENIES, paramKind: { apiVersion: 'example.com/v1', kind: 'Limit' } },
      { paramRef: { name: 'x', parameterNotFoundAction: 'Allow' } },
    );
    expect((await call('POST', MAPS, map())).message).toBe(
      `configmaps "m" is forbidden: ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: failed to find resource referenced by paramKind: 'example.com/v1, Kind=Limit'`,
    );
  });
});
