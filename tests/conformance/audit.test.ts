/**
 * After upstream's test/integration/controlplane/audit_test.go and test/e2e/auth/audit.go: what the log says of the calls of a
 * client, at every level, with admission beside.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { admissionregistrationv1, appsv1, corev1, rbacv1, type auditv1 } from '@k8ts/api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { jsonPatch, startWebhookServer, type WebhookServer } from '../support/webhook-server.ts';
import { until } from '../support/waiting.ts';
import { refusal, useSuite } from './support.ts';

const directory = mkdtempSync(join(tmpdir(), 'k8ts-audit-'));
const policy = join(directory, 'policy.yaml');
const path = join(directory, 'logs', 'audit.log');

writeFileSync(
  policy,
  `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: None
    userGroups: ["system:serviceaccounts", "system:nodes"]
  - level: None
    users: ["system:apiserver", "system:kube-scheduler", "system:kube-controller-manager"]
  - level: RequestResponse
    namespaces: [plain, audit-response]
    omitManagedFields: true
  - level: Request
    namespaces: [audit-request]
  - level: Metadata
`,
);

const suite = useSuite({ nodes: 1, audit: { policy, log: { path } } });
afterAll(() => rmSync(directory, { recursive: true }));

function events(select: (event: auditv1.Event) => boolean): auditv1.Event[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as auditv1.Event)
    .filter(select);
}

/** One line each: `create 201 RequestResponse ResponseComplete request response`. */
function calls(namespace: string, resource: string): string[] {
  return events(({ objectRef }) => objectRef?.namespace === namespace && objectRef.resource === resource).map(
    ({ verb, level, stage, responseStatus, requestObject, responseObject, annotations }) =>
      [
        verb,
        responseStatus?.code,
        level,
        stage,
        ...(requestObject === undefined ? [] : ['request']),
        ...(responseObject === undefined ? [] : ['response']),
        annotations?.['authorization.k8s.io/decision'],
      ].join(' '),
  );
}

async function makeNamespace(name: string, labels: Readonly<Record<string, string>> = {}): Promise<void> {
  await suite.client.resource(corev1.namespaces).create({ metadata: { name, labels }, spec: {}, status: {} });
}

async function mapOperations(namespace: string): Promise<void> {
  const maps = suite.client.resource(corev1.configMaps, namespace);
  const map = await maps.create({ metadata: { name: 'audit-configmap' }, data: { 'map-key': 'map-value' } });
  await maps.get('audit-configmap');
  await suite.wire.send('GET', `/api/v1/namespaces/${namespace}/configmaps?watch=true&timeoutSeconds=1`);
  await maps.update(map);
  await maps.patch('audit-configmap', [], { type: 'json' });
  await maps.list();
  await maps.delete('audit-configmap', { propagationPolicy: 'Background' });
}

describe('the calls of a client', () => {
  it.each([
    ['plain', 'RequestResponse', ' request', ' response'],
    ['audit-request', 'Request', ' request', ''],
    ['audit-metadata', 'Metadata', '', ''],
  ])('in the namespace %s are written at level %s', async (namespace, level, request, response) => {
    await makeNamespace(namespace);
    await mapOperations(namespace);
    expect(calls(namespace, 'configmaps')).toEqual([
      `create 201 ${level} ResponseComplete${request}${response} allow`,
      `get 200 ${level} ResponseComplete${response} allow`,
      `watch 200 ${level} ResponseStarted allow`,
      `watch 200 ${level} ResponseComplete allow`,
      `update 200 ${level} ResponseComplete${request}${response} allow`,
      `patch 200 ${level} ResponseComplete${request}${response} allow`,
      `list 200 ${level} ResponseComplete${response} allow`,
      `delete 200 ${level} ResponseComplete${request}${response} allow`,
    ]);
  });

  it('are told in full', () => {
    const of = (verb: string): auditv1.Event | undefined =>
      events((event) => event.objectRef?.namespace === 'plain' && event.verb === verb).at(-1);
    expect(of('create')).toMatchObject({
      requestURI: '/api/v1/namespaces/plain/configmaps',
      user: { username: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] },
      sourceIPs: ['127.0.0.1'],
      objectRef: {
        resource: 'configmaps',
        namespace: 'plain',
        name: 'audit-configmap',
        apiVersion: 'v1',
      },
      requestObject: { kind: 'ConfigMap', apiVersion: 'v1', data: { 'map-key': 'map-value' } },
      responseObject: { kind: 'ConfigMap', metadata: { name: 'audit-configmap', namespace: 'plain' } },
    });
    expect(JSON.stringify(of('create'))).not.toContain('managedFields');
    expect(JSON.stringify(of('list'))).not.toContain('managedFields');
    expect(of('update')?.objectRef).toMatchObject({
      uid: expect.any(String) as string,
      resourceVersion: expect.any(String) as string,
    });
    expect(of('patch')?.requestObject).toEqual([]);
    expect(of('list')?.responseObject).toMatchObject({ kind: 'ConfigMapList' });
    expect(of('delete')).toMatchObject({
      requestObject: { kind: 'DeleteOptions', propagationPolicy: 'Background' },
      responseStatus: { status: 'Success', code: 200 },
      responseObject: { kind: 'Status', status: 'Success' },
    });
  });

  it('on subresources of other groups are told too', async () => {
    await makeNamespace('audit-response');
    const accounts = suite.client.resource(corev1.serviceAccounts, 'audit-response');
    await accounts.create({ metadata: { name: 'audit-serviceaccount' } });
    await accounts.createSubresource('audit-serviceaccount', 'token', {
      kind: 'TokenRequest',
      apiVersion: 'authentication.k8s.io/v1',
      metadata: {},
      spec: { audiences: ['api'] },
    });
    const [token] = events(({ objectRef }) => objectRef?.subresource === 'token');
    expect(token).toMatchObject({
      responseStatus: { code: 201 },
      objectRef: { resource: 'serviceaccounts', name: 'audit-serviceaccount', apiVersion: 'v1' },
      requestObject: { kind: 'TokenRequest', apiVersion: 'authentication.k8s.io/v1' },
      responseObject: { kind: 'TokenRequest' },
      annotations: {
        'authentication.kubernetes.io/issued-credential-id': expect.stringMatching(
          /^JTI=[0-9a-f-]{36}$/,
        ) as string,
      },
    });

    const deployments = suite.client.resource(appsv1.deployments, 'audit-response');
    const labels = { app: 'audit' };
    await deployments.create({
      metadata: { name: 'audit-deployment' },
      spec: {
        replicas: 0,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } },
      },
    });
    await deployments.updateSubresource('audit-deployment', 'scale', {
      metadata: { name: 'audit-deployment', namespace: 'audit-response' },
      spec: { replicas: 0 },
    });
    const scaled = events(({ objectRef, verb }) => objectRef?.subresource === 'scale' && verb === 'update');
    expect(scaled[0]).toMatchObject({
      objectRef: { resource: 'deployments', apiGroup: 'apps', apiVersion: 'v1', subresource: 'scale' },
      requestObject: { kind: 'Scale', apiVersion: 'autoscaling/v1' },
      responseObject: { kind: 'Scale' },
    });
  });

  it('as a table are told as they are shown', async () => {
    await suite.wire.send('GET', '/api/v1/namespaces/plain/serviceaccounts', {
      accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
    });
    const [listed] = events(({ responseObject }) => (responseObject as { kind?: string })?.kind === 'Table');
    expect(listed?.objectRef?.resource).toBe('serviceaccounts');
  });

  it('in protobuf and YAML are told in JSON', async () => {
    await suite.wire.send('POST', '/api/v1/namespaces/plain/configmaps', {
      body: 'metadata:\n  name: in-yaml\ndata:\n  a: "1"\n',
      contentType: 'application/yaml',
      accept: 'application/vnd.kubernetes.protobuf',
    });
    const [made] = events(({ objectRef }) => objectRef?.name === 'in-yaml');
    expect(made?.requestObject).toMatchObject({ kind: 'ConfigMap', data: { a: '1' } });
    expect(made?.responseObject).toMatchObject({ kind: 'ConfigMap', data: { a: '1' } });
    await suite.wire.send('PATCH', '/api/v1/namespaces/plain/configmaps/in-yaml?fieldManager=me&force=true', {
      body: 'apiVersion: v1\nkind: ConfigMap\ndata:\n  a: "2"\n',
      contentType: 'application/apply-patch+yaml',
    });
    const applied = events(({ objectRef, verb }) => objectRef?.name === 'in-yaml' && verb === 'patch');
    expect(applied[0]?.requestObject).toEqual({ apiVersion: 'v1', kind: 'ConfigMap', data: { a: '2' } });
  });

  it('that are not allowed say why', async () => {
    const ann = suite.cluster.clientFor('ann');
    await refusal(ann.resource(corev1.secrets, 'plain').list());
    const [forbidden] = events(({ user }) => user.username === 'ann');
    expect(forbidden).toMatchObject({
      responseStatus: { status: 'Failure', reason: 'Forbidden', code: 403 },
      annotations: { 'authorization.k8s.io/decision': 'forbid', 'authorization.k8s.io/reason': '' },
    });
    const bindings = suite.client.resource(rbacv1.clusterRoleBindings);
    await bindings.create({
      metadata: { name: 'ann' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
      subjects: [{ kind: 'User', name: 'ann', apiGroup: 'rbac.authorization.k8s.io' }],
    });
    await until(
      async () =>
        (await ann
          .resource(corev1.pods, 'plain')
          .list()
          .catch(() => undefined)) !== undefined,
    );
    expect(events(({ user }) => user.username === 'ann').at(-1)?.annotations).toMatchObject({
      'authorization.k8s.io/decision': 'allow',
      'authorization.k8s.io/reason':
        'RBAC: allowed by ClusterRoleBinding "ann" of ClusterRole "view" to User "ann"',
    });
  });

  it('of nobody known, and of who is impersonated', async () => {
    await suite.wire.send('GET', '/api/v1/namespaces', {
      anonymous: true,
      headers: { authorization: 'Bearer nonsense', 'audit-id': 'unknown' },
    });
    expect(events(({ auditID }) => auditID === 'unknown')).toMatchObject([
      { stage: 'ResponseStarted', user: {}, responseStatus: { reason: 'Unauthorized', code: 401 } },
    ]);
    await suite.wire.send('GET', '/api/v1/namespaces', {
      headers: { 'impersonate-user': 'superman', 'impersonate-group': 'system:masters', 'audit-id': 'cape' },
    });
    expect(events(({ auditID }) => auditID === 'cape')).toMatchObject([
      {
        user: { username: 'kubernetes-admin' },
        impersonatedUser: { username: 'superman', groups: ['system:masters', 'system:authenticated'] },
        responseStatus: { code: 200 },
      },
    ]);
  });
});

describe('admission', () => {
  let server: WebhookServer;
  beforeAll(async () => {
    server = await startWebhookServer('localhost', {
      '/mutation': ({ object }) => ({
        allowed: true,
        auditAnnotations: { seen: 'yes', 'not a/name': 'x' },
        ...((object as { data?: { mutate?: string } } | null)?.data?.mutate === undefined
          ? {}
          : jsonPatch({ op: 'add', path: '/data/mutated', value: 'true' })),
      }),
      '/broken': () => ({ allowed: 'what', uid: 'another' }),
    });
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  const webhook = (name: string, path: string): admissionregistrationv1.MutatingWebhook => ({
    name,
    clientConfig: { url: `https://localhost:${server.port}${path}`, caBundle: server.caBundle },
    rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }],
    namespaceSelector: { matchLabels: { hooked: 'true' } },
    failurePolicy: 'Ignore',
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
  });
  const annotationsOf = (name: string): Readonly<Record<string, string>> | undefined => {
    const found = events(({ objectRef, verb }) => objectRef?.name === name && verb === 'create').at(-1);
    return found?.annotations;
  };
  const admissionOf = (name: string): Record<string, string> =>
    Object.fromEntries(
      Object.entries(annotationsOf(name) ?? {}).filter(([key]) => !key.startsWith('authorization.')),
    );

  it.each([
    ['hooked-metadata', 'audit-metadata', false],
    ['hooked-request', 'audit-request', true],
  ])('webhooks are noted (%s)', async (name, namespace, withPatch) => {
    await suite.client
      .resource(corev1.namespaces)
      .patch(namespace, { metadata: { labels: { hooked: 'true' } } }, { type: 'merge' });
    const configurations = suite.client.resource(admissionregistrationv1.mutatingWebhookConfigurations);
    await configurations.create({
      metadata: { name: 'integration.test' },
      webhooks: [webhook('a.integration.test', '/mutation'), webhook('b.integration.test', '/broken')],
    });
    const validating = suite.client.resource(admissionregistrationv1.validatingWebhookConfigurations);
    await validating.create({
      metadata: { name: 'integration.test' },
      webhooks: [webhook('c.integration.test', '/broken')],
    });
    const maps = suite.client.resource(corev1.configMaps, namespace);
    await maps.create({ metadata: { name }, data: { mutate: 'me' } });
    await maps.create({ metadata: { name: `${name}-2` } });
    await configurations.delete('integration.test');
    await validating.delete('integration.test');

    const named = (letter: string): string =>
      `"configuration":"integration.test","webhook":"${letter}.integration.test"`;
    const always = {
      'a.integration.test/seen': 'yes',
      'mutation.webhook.admission.k8s.io/round_0_index_1': `{${named('b')},"mutated":false}`,
      'failed-open.mutation.webhook.admission.k8s.io/round_0_index_1': 'b.integration.test',
      'failed-open.validating.webhook.admission.k8s.io/round_0_index_0': 'c.integration.test',
    };
    expect(admissionOf(name)).toEqual({
      ...always,
      'mutation.webhook.admission.k8s.io/round_0_index_0': `{${named('a')},"mutated":true}`,
      ...(withPatch
        ? {
            'patch.webhook.admission.k8s.io/round_0_index_0': `{${named('a')},"patch":[{"op":"add","path":"/data/mutated","value":"true"}],"patchType":"JSONPatch"}`,
          }
        : {}),
    });
    expect(admissionOf(`${name}-2`)).toEqual({
      ...always,
      'mutation.webhook.admission.k8s.io/round_0_index_0': `{${named('a')},"mutated":false}`,
    });
  });

  it('policies are noted, with their annotations', async () => {
    const policies = suite.client.resource(admissionregistrationv1.validatingAdmissionPolicies);
    const bindings = suite.client.resource(admissionregistrationv1.validatingAdmissionPolicyBindings);
    await policies.create({
      metadata: { name: 'audited.example.com' },
      spec: {
        matchConstraints: {
          resourceRules: [
            { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] },
          ],
        },
        validations: [
          { expression: 'true' },
          { expression: "object.metadata.name != 'bad'", message: 'it is bad' },
        ],
        auditAnnotations: [{ key: 'named', valueExpression: "'it is ' + object.metadata.name" }],
      },
    });
    await bindings.create({
      metadata: { name: 'audited-binding' },
      spec: { policyName: 'audited.example.com', validationActions: ['Audit', 'Warn'] },
    });
    const maps = suite.client.resource(corev1.configMaps, 'plain');
    await maps.create({ metadata: { name: 'bad' } });
    await maps.create({ metadata: { name: 'good' } });
    await bindings.delete('audited-binding');
    await policies.delete('audited.example.com');
    expect(admissionOf('good')).toEqual({ 'audited.example.com/named': 'it is good' });
    expect(admissionOf('bad')).toEqual({
      'audited.example.com/named': 'it is bad',
      'validation.policy.admission.k8s.io/validation_failure':
        '[{"message":"it is bad","policy":"audited.example.com","binding":"audited-binding","expressionIndex":1,"validationActions":["Audit","Warn"]}]',
    });
  });

  it('pod security levels are noted', async () => {
    await makeNamespace('audited-pods', {
      'pod-security.kubernetes.io/enforce': 'baseline',
      'pod-security.kubernetes.io/audit': 'restricted',
    });
    const accounts = suite.client.resource(corev1.serviceAccounts, 'audited-pods');
    await until(async () => (await accounts.list()).items.length > 0);
    const pods = suite.client.resource(corev1.pods, 'audited-pods');
    await pods.create({ metadata: { name: 'lax' }, spec: { containers: [{ name: 'c', image: 'i' }] } });
    expect(admissionOf('lax')).toMatchObject({
      'pod-security.kubernetes.io/enforce-policy': 'baseline:latest',
      'pod-security.kubernetes.io/audit-violations': expect.stringMatching(
        /^would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false \(container "c" must/,
      ) as string,
    });
    await makeNamespace('free-pods');
    const free = suite.client.resource(corev1.serviceAccounts, 'free-pods');
    await until(async () => (await free.list()).items.length > 0);
    await suite.client
      .resource(corev1.pods, 'free-pods')
      .create({ metadata: { name: 'free' }, spec: { containers: [{ name: 'c', image: 'i' }] } });
    expect(admissionOf('free')).toEqual({ 'pod-security.kubernetes.io/enforce-policy': 'privileged:latest' });
  });
});

it('the components of the cluster are left out as the policy says, and metrics count', async () => {
  expect(events(({ user }) => user.username === 'system:kube-scheduler')).toEqual([]);
  const { text } = await suite.wire.send('GET', '/metrics');
  expect(text).toMatch(/apiserver_audit_event_total [1-9]/);
  expect(text).toMatch(/apiserver_audit_level_total\{level="None"\} [1-9]/);
  expect(text).toMatch(/apiserver_audit_requests_rejected_total 0/);
  expect(text).not.toMatch(/apiserver_audit_error_total\{/);
});
