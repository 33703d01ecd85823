import { writeFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { createMetrics, Scope, silentLogger, VirtualClock } from '@k8ts/base';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { userInfo } from '../../authentication/well-known-users.ts';
import { ask } from '../../testing/attributes.ts';
import { startReviewServer, type ReviewServer } from '../../testing/review-server.ts';
import type { Authorizer, Decision, RuleResolver } from '../contract.ts';
import { createAuthorizerChain, type AuthorizerChain } from './authorizer-chain.ts';
import type { AuthorizationOptions } from './configuration.ts';

let webhook: ReviewServer;
let scope: Scope;
let clock: VirtualClock;
let metrics = createMetrics();
beforeEach(async () => {
  scope = new Scope();
  clock = new VirtualClock();
  metrics = createMetrics();
  webhook = scope.use(await startReviewServer());
});
afterEach(() => scope[Symbol.asyncDispose]());

const local = (name: string, allowed: string): Authorizer & RuleResolver => ({
  name,
  authorize: ({ user }) => ({
    verdict: user.name === allowed ? 'allow' : 'no-opinion',
    reason: user.name === allowed ? '' : `${name} says nothing`,
  }),
  rulesFor: async () => ({ resourceRules: [], nonResourceRules: [], incomplete: false }),
});

async function chain(options: AuthorizationOptions): Promise<AuthorizerChain> {
  return scope.use(
    await createAuthorizerChain({
      options,
      node: local('Node', 'node'),
      rbac: local('RBAC', 'rbac'),
      clock,
      logger: silentLogger,
      metrics,
      serverId: 'apiserver-test',
    }),
  );
}

const sar = (status: unknown, version = 'v1'): { readonly body: unknown } => ({
  body: { apiVersion: `authorization.k8s.io/${version}`, kind: 'SubjectAccessReview', status },
});

interface Configured {
  readonly failurePolicy?: string;
  readonly timeout?: string;
  readonly matchConditions?: readonly { readonly expression: string }[];
  readonly [further: string]: unknown;
}

function webhookEntry(name: string, more: Configured = {}): object {
  return {
    type: 'Webhook',
    name,
    webhook: {
      timeout: '3s',
      subjectAccessReviewVersion: 'v1',
      matchConditionSubjectAccessReviewVersion: 'v1',
      failurePolicy: 'Deny',
      connectionInfo: { type: 'KubeConfigFile', kubeConfigFile: webhook.kubeconfig },
      ...more,
    },
  };
}

async function configured(...authorizers: readonly object[]): Promise<string> {
  const path = join(webhook.directory, 'authorization.yaml');
  const text = JSON.stringify({
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AuthorizationConfiguration',
    authorizers,
  });
  // As programs replace files: at once.
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
  return path;
}

describe('modes', () => {
  test('are asked in their order; system:masters before all', async () => {
    const { authorize } = await chain({ modes: ['Node', 'RBAC', 'AlwaysDeny'] });
    expect(authorize(ask('node', 'get pods'))).toMatchObject({ verdict: 'allow' });
    expect(authorize(ask('rbac', 'get pods'))).toMatchObject({ verdict: 'allow' });
    expect(authorize(ask('jane', 'get pods'))).toEqual({
      verdict: 'no-opinion',
      reason: 'Node says nothing\nRBAC says nothing\nEverything is forbidden.',
    });
    expect(authorize(ask(userInfo('root', ['system:masters']), 'get pods'))).toMatchObject({
      verdict: 'allow',
    });
    expect(await metrics.text()).toContain(
      'apiserver_authorization_decisions_total{type="RBAC",name="rbac",decision="allowed"} 1',
    );
  });

  test.each<[AuthorizationOptions, string]>([
    [{ modes: [] }, 'at least one authorization-mode must be passed'],
    [{ modes: ['Magic'] }, 'authorization-mode "Magic" is not a valid mode'],
    [{ modes: ['ABAC'] }, "authorization-mode ABAC's authorization policy file not passed"],
    [{ modes: ['Webhook'] }, "authorization-mode Webhook's authorization config file not passed"],
    [{ policyFile: '/x' }, 'cannot specify --authorization-policy-file without mode ABAC'],
    [
      { webhook: { kubeconfig: '/x' } },
      'cannot specify --authorization-webhook-config-file without mode Webhook',
    ],
    [{ modes: ['RBAC', 'RBAC'] }, 'authorization-mode ["RBAC" "RBAC"] has mode specified more than once'],
    [
      { modes: ['Webhook'], webhook: { kubeconfig: '/x', version: 'v2' } },
      'unsupported webhook authorizer version "v2", supported versions are "v1", "v1beta1"',
    ],
    [{ modes: ['ABAC'], policyFile: '/nowhere/policy' }, 'ENOENT'],
    [
      { modes: ['RBAC'], configurationFile: '/x' },
      '--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are defined',
    ],
  ])('%o: %s', async (options, message) => {
    await expect(chain(options)).rejects.toThrow(message);
  });
});

describe('a webhook', () => {
  test('is asked what is to be done, once; its answers are kept for their times', async () => {
    const { authorize } = await chain({ configurationFile: await configured(webhookEntry('judge')) });
    webhook.answer = ({ spec }) => sar({ allowed: spec['user'] === 'jane', reason: 'so it is' });
    const question = ask(
      { ...userInfo('jane', ['ops'], { 'example.com/a': ['1'] }, 'u1') },
      'list pods/log',
      { namespace: 'default', name: 'web', fields: 'spec.nodeName=n1', labels: 'app' },
    );
    expect(await authorize(question)).toEqual({ verdict: 'allow', reason: 'so it is' });
    expect(authorize(question)).toEqual({ verdict: 'allow', reason: 'so it is' });
    expect(webhook.asked).toEqual([
      {
        path: '/judge?timeout=3s',
        review: {
          kind: 'SubjectAccessReview',
          apiVersion: 'authorization.k8s.io/v1',
          metadata: {},
          spec: {
            resourceAttributes: {
              namespace: 'default',
              verb: 'list',
              version: 'v1',
              resource: 'pods',
              subresource: 'log',
              name: 'web',
              fieldSelector: { requirements: [{ key: 'spec.nodeName', operator: 'In', values: ['n1'] }] },
              labelSelector: { requirements: [{ key: 'app', operator: 'Exists' }] },
            },
            user: 'jane',
            groups: ['ops'],
            extra: { 'example.com/a': ['1'] },
            uid: 'u1',
          },
        },
      },
    ]);
    const refused = ask('bob', 'get /metrics');
    expect(await authorize(refused)).toEqual({ verdict: 'no-opinion', reason: 'so it is' });
    await clock.advance(30_000);
    await authorize(refused);
    await authorize(question);
    expect(webhook.asked.length).toBe(3);
    await clock.advance(270_000);
    await authorize(question);
    expect(webhook.asked.length).toBe(4);
    // Questions of any length would fill the memory.
    const long = ask('jane', 'get pods', { name: 'x'.repeat(10_001) });
    await authorize(long);
    await authorize(long);
    expect(webhook.asked.length).toBe(6);
  });

  test.each<[string, object, Decision]>([
    ['denies', { allowed: false, denied: true, reason: 'no' }, { verdict: 'deny', reason: 'no' }],
    [
      'contradicts itself',
      { allowed: true, denied: true },
      {
        verdict: 'deny',
        reason: '',
        error: 'webhook subject access review returned both allow and deny response',
      },
    ],
    ['has no opinion', {}, { verdict: 'no-opinion', reason: '' }],
  ])('%s', async (_title, status, decision) => {
    const { authorize } = await chain({
      modes: ['Webhook'],
      webhook: { kubeconfig: webhook.kubeconfig },
    });
    webhook.answer = () => sar(status, 'v1beta1');
    expect(await authorize(ask('jane', 'get pods'))).toEqual(decision);
  });

  test.each<[string, ReviewServer['answer'], string]>([
    ['text', () => ({ body: 'nonsense' }), "couldn't get version/kind"],
    ['a list', () => ({ body: '[]' }), 'json: cannot unmarshal array'],
    ['another kind', () => ({ body: { kind: 'Pod', apiVersion: 'v1' } }), 'no kind "Pod" is registered'],
    ['other types', () => sar({ allowed: 'yes' }), 'cannot unmarshal string into Go struct field'],
    ['403', () => ({ code: 403, body: 'go away' }), 'go away'],
    ['404', () => ({ code: 404, body: '' }), 'could not find the requested resource'],
    ['too much', () => ({ body: `"${'x'.repeat(4_000_000)}"` }), 'larger than'],
  ])('that answers %s is an error, by its failure policy', async (_title, answer, message) => {
    const { authorize } = await chain({
      configurationFile: await configured(
        webhookEntry('open', { failurePolicy: 'NoOpinion' }),
        webhookEntry('closed'),
        { type: 'RBAC', name: 'rbac' },
      ),
    });
    webhook.answer = answer;
    const decision = await authorize(ask('rbac', 'get pods'));
    expect(decision).toMatchObject({ verdict: 'deny', reason: '' });
    expect(decision.error).toContain(message);
    const text = await metrics.text();
    expect(text).toContain('apiserver_authorization_webhook_evaluations_total{name="open",result="error"} 1');
    expect(text).toContain(
      'apiserver_authorization_webhook_evaluations_fail_open_total{name="open",result="error"} 1',
    );
    expect(text).not.toContain('fail_open_total{name="closed"');
  });

  test('that hangs is given up after its timeout', async () => {
    const { authorize } = await chain({
      configurationFile: await configured(webhookEntry('slow', { timeout: '50ms' })),
    });
    webhook.answer = () => ({});
    const decision = await authorize(ask('jane', 'get pods'));
    expect(decision.error).toBe(
      `Post "${webhook.url}?timeout=50ms": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`,
    );
    expect(await metrics.text()).toContain('evaluations_total{name="slow",result="timeout"} 1');
  });

  test('that stumbles is asked again', async () => {
    const { authorize } = await chain({ configurationFile: await configured(webhookEntry('shaky')) });
    let count = 0;
    webhook.answer = () => (count++ === 0 ? { code: 500, body: 'oops' } : sar({ allowed: true }));
    expect(await authorize(ask('jane', 'get pods'))).toEqual({ verdict: 'allow', reason: '' });
    expect(webhook.asked.length).toBe(2);
  });

  test('is asked only when its conditions hold', async () => {
    const conditions = (...expressions: readonly string[]): Configured => ({
      matchConditions: expressions.map((expression) => ({ expression })),
    });
    const { authorize } = await chain({
      configurationFile: await configured(
        webhookEntry(
          'some',
          conditions(
            'has(request.resourceAttributes)',
            "request.resourceAttributes.namespace == 'kube-system'",
            "!('ops' in request.groups)",
          ),
        ),
        webhookEntry('broken', {
          failurePolicy: 'NoOpinion',
          ...conditions('request.resourceAttributes.fieldSelector.requirements[0].key == "x"'),
        }),
      ),
    });
    webhook.answer = () => sar({ allowed: true });
    expect(await authorize(ask('jane', 'get pods', { namespace: 'default' }))).toEqual({
      verdict: 'no-opinion',
      reason: '',
      error: `cel evaluation error: expression 'request.resourceAttributes.fieldSelector.requirements[0].key == "x"' resulted in error: no such key: fieldSelector`,
    });
    expect(webhook.asked).toEqual([]);
    const system = { namespace: 'kube-system' };
    expect((await authorize(ask('jane', 'get pods', system))).verdict).toBe('allow');
    expect((await authorize(ask(userInfo('o', ['ops']), 'get pods', system))).verdict).toBe('no-opinion');
    const selecting = { namespace: 'default', fields: 'x=1' };
    expect((await authorize(ask('jane', 'list pods', selecting))).verdict).toBe('allow');
    const text = await metrics.text();
    expect(text).toContain('match_condition_exclusions_total{type="Webhook",name="some"} 3');
    expect(text).toContain('match_condition_evaluation_errors_total{type="Webhook",name="broken"} 2');
  });
});

test('a changed file is taken over; a bad one, or one without what was there, is not', async () => {
  const rbac = { type: 'RBAC', name: 'rbac' };
  const path = await configured(rbac);
  const { authorize } = await chain({ configurationFile: path });
  webhook.answer = () => sar({ allowed: true });
  const jane = ask('jane', 'get pods');
  expect((await authorize(jane)).verdict).toBe('no-opinion');

  await configured(webhookEntry('new'), rbac);
  await expect.poll(async () => (await authorize(jane)).verdict).toBe('allow');
  const reloads = (status: string): Promise<boolean> =>
    metrics
      .text()
      .then((text) => text.includes(`automatic_reloads_total{status="${status}",apiserver_id_hash="sha256:`));
  expect(await reloads('success')).toBe(true);

  await configured(webhookEntry('new'));
  await expect.poll(() => reloads('failure')).toBe(true);
  expect((await authorize(ask('rbac', 'get pods'))).verdict).toBe('allow');
  expect((await metrics.text()).match(/last_config_info\{/g)?.length).toBe(1);
});

describe('a configuration is refused', () => {
  const text = (authorizers: unknown): string =>
    JSON.stringify({
      apiVersion: 'apiserver.config.k8s.io/v1',
      kind: 'AuthorizationConfiguration',
      authorizers,
    });
  const rejects = async (content: string): Promise<string> => {
    const path = join(webhook.directory, 'bad.yaml');
    await writeFile(path, content);
    return chain({ configurationFile: path }).then(
      () => 'was taken',
      (error: Error) => error.message,
    );
  };

  test.each<[string, string]>([
    ['', 'authorizers: Required value: at least one authorization mode must be defined'],
    ['{"kind": 1}', "failed to load AuthorizationConfiguration from file: Object 'Kind' is missing in"],
    [text([]), 'authorizers: Required value: at least one authorization mode must be defined'],
    [
      text([{ type: 'Foo', name: 'x' }]),
      'authorizers[0].type: Unsupported value: "Foo": supported values: "ABAC", "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook"',
    ],
    [text([{ type: 'RBAC', name: 'x' }]), 'expected name rbac for authorizer RBAC instead of x'],
    [
      text([{ type: 'RBAC', name: 'rbac', extra: 1 }]),
      'strict decoding error: unknown field "authorizers[0].extra"',
    ],
    [
      text([
        { type: 'RBAC', name: 'rbac' },
        { type: 'RBAC', name: 'rbac' },
      ]),
      'authorizers[1].type: Duplicate value: "RBAC"',
    ],
    [
      text([{ type: 'Webhook', name: 'a' }]),
      'authorizers[0].webhook: Required value: required when type=Webhook',
    ],
    [text([{ type: 'Webhook', name: 'A' }]), 'authorizer name is invalid: a lowercase RFC 1123 subdomain'],
    [
      text([{ type: 'RBAC', name: 'rbac', webhook: { timeout: '1s' } }]),
      'authorizers[0].webhook: Invalid value: "non-null": may only be specified when type=Webhook',
    ],
  ])('%s', async (content, message) => {
    expect(await rejects(content)).toContain(message);
  });

  test.each<[Configured, string]>([
    [{ timeout: '31s' }, 'authorizers[0].timeout: Invalid value: "31s": must be > 0s and <= 30s'],
    [{ timeout: '0s' }, 'authorizers[0].timeout: Required value'],
    [{ authorizedTTL: '-1s' }, 'authorizers[0].authorizedTTL: Invalid value: "-1s": must be > 0s'],
    [
      { subjectAccessReviewVersion: 'v2' },
      'authorizers[0].subjectAccessReviewVersion: Unsupported value: "v2": supported values: "v1", "v1beta1"',
    ],
    [
      { failurePolicy: 'Allow' },
      'authorizers[0].failurePolicy: Unsupported value: "Allow": supported values: "NoOpinion", "Deny"',
    ],
    [
      { connectionInfo: { type: 'KubeConfigFile', kubeConfigFile: 'relative' } },
      'authorizers[0].connectionInfo.kubeConfigFile: Invalid value: "relative": must be an absolute path',
    ],
    [
      { connectionInfo: { type: 'KubeConfigFile', kubeConfigFile: '/nowhere' } },
      'error loading file: stat /nowhere: no such file or directory',
    ],
    [{ connectionInfo: { type: 'KubeConfigFile', kubeConfigFile: '/' } }, 'must be a regular file'],
    [
      { matchConditions: [{ expression: '' }] },
      'authorizers[0].matchConditions[0].expression: Required value',
    ],
    [{ matchConditions: [{ expression: 'request.user' }] }, 'must evaluate to bool but got string'],
    [
      { matchConditions: [{ expression: 'request.foo' }] },
      "compilation failed: ERROR: <input>:1:8: undefined field 'foo'",
    ],
    [
      { matchConditions: [{ expression: 'true' }, { expression: 'true' }] },
      'authorizers[0].matchConditions[1].expression: Duplicate value: "true"',
    ],
    [
      { matchConditionSubjectAccessReviewVersion: '', matchConditions: [{ expression: 'true' }] },
      'required if match conditions are specified',
    ],
    [
      { matchConditions: Array.from({ length: 65 }, (_, i) => ({ expression: `${i} == ${i}` })) },
      'authorizers[0].matchConditions: Too many: 65: must have at most 64 items',
    ],
  ])('%o', async (webhookPart, message) => {
    expect(await rejects(text([webhookEntry('a', webhookPart)]))).toContain(message);
  });
});
