import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@k8ts/base';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { customResourcesHook } from '../../post-start/custom-resources.ts';
import { builtinStrategies } from '../../registry/builtin-strategies.ts';
import { createTestServer, type TestServer } from '../../testing/test-server.ts';
import type { Authorize } from '../expressions/request-values.ts';
import { createWebhookClient, type WebhookClient } from './webhook-client.ts';
import { mutatingWebhooks, validatingWebhooks } from './webhooks.ts';

interface Review {
  readonly kind: string;
  readonly apiVersion: string;
  readonly request: {
    readonly uid: string;
    readonly kind: { readonly kind: string };
    readonly operation: string;
    readonly name?: string;
    readonly namespace?: string;
    readonly object: Readonly<Record<string, unknown>> | null;
    readonly oldObject: Readonly<Record<string, unknown>> | null;
  };
}

/** What the webhook at a path answers. */
type Behaviour = (review: Review) => unknown;

const MAPS = '/api/v1/namespaces/default/configmaps';
const ADMISSION = '/apis/admissionregistration.k8s.io/v1';
const behaviours = new Map<string, Behaviour>();
const asked: { readonly path: string; readonly review: Review }[] = [];
let server: TestServer;
let hooks: Server;
let client: WebhookClient;
let ca = '';
let made: string[] = [];
const authorize: Authorize = ({ verb }) => ({ verdict: verb === 'get' ? 'allow' : 'no-opinion', reason: '' });

beforeAll(async () => {
  const directory = mkdtempSync(join(tmpdir(), 'k8ts-hooks-'));
  const [key, cert] = [join(directory, 'key'), join(directory, 'cert')];
  const subject = ['-subj', '/CN=hooks', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...subject, '-keyout', key, '-out', cert], {
    stdio: 'ignore',
  });
  const pem = { key: readFileSync(key), cert: readFileSync(cert) };
  ca = pem.cert.toString('base64');
  rmSync(directory, { recursive: true });
  hooks = createServer(pem, (request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const path = (request.url ?? '').replace(/\?.*/, '');
      const review = JSON.parse(text) as Review;
      asked.push({ path: request.url ?? '', review });
      const answer = behaviours.get(path)?.(review);
      if (answer === 'never') return;
      if (answer === 'break') request.socket.destroy();
      else if (typeof answer === 'number') response.writeHead(answer).end('broken');
      else response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
    });
  });
  hooks.listen(0, '127.0.0.1');
  await once(hooks, 'listening');
  server = await createTestServer(
    { strategies: builtinStrategies(), postStartHooks: [customResourcesHook] },
    (objects) => {
      client = createWebhookClient(objects);
      const services = { objects, client, logger: silentLogger, authorize };
      return { admission: [mutatingWebhooks(services), validatingWebhooks(services)] };
    },
  );
  await server.server.ready;
  for (const name of ['default', 'labelled'])
    await call('POST', '/api/v1/namespaces', {
      metadata: { name, labels: name === 'labelled' ? { hooked: 'yes' } : {} },
    });
});
afterAll(async () => {
  client.close();
  await server[Symbol.asyncDispose]();
  hooks.closeAllConnections();
  hooks.close();
});
afterEach(async () => {
  for (const path of made) expect((await call('DELETE', path)).code).toBe(200);
  made = [];
  behaviours.clear();
  asked.length = 0;
});

interface Answer {
  readonly code: number;
  readonly message: string;
  readonly reason: string;
  readonly warning: string | null;
  readonly data: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
}

async function call(method: string, path: string, body?: object, type = 'application/json'): Promise<Answer> {
  const response = await fetch(server.url + path, {
    method,
    headers: { 'content-type': type },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const parsed = (await response.json()) as Readonly<Record<string, unknown>>;
  const { message = '', reason = '', data = {} } = parsed as Partial<Answer>;
  return {
    code: response.status,
    message,
    reason,
    data,
    warning: response.headers.get('warning'),
    body: parsed,
  };
}

const RULE = { apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'], operations: ['*'] };

/** Registers a webhook that answers at `/<name>`. */
async function webhook(
  kind: 'Validating' | 'Mutating',
  name: string,
  behaviour: Behaviour,
  further: object = {},
): Promise<void> {
  behaviours.set(`/${name}`, behaviour);
  const { port } = hooks.address() as AddressInfo;
  const path = `${ADMISSION}/${kind.toLowerCase()}webhookconfigurations`;
  const answer = await call('POST', path, {
    metadata: { name },
    webhooks: [
      {
        name: `${name}.example.com`,
        clientConfig: { url: `https://127.0.0.1:${port}/${name}`, caBundle: ca },
        admissionReviewVersions: ['v1'],
        sideEffects: 'None',
        rules: [RULE],
        ...further,
      },
    ],
  });
  expect(answer.code, answer.message).toBe(201);
  made.push(`${path}/${name}`);
}

const respond = (review: Review, response: object): object => ({
  kind: 'AdmissionReview',
  apiVersion: review.apiVersion,
  response: { uid: review.request.uid, ...response },
});
const allow: Behaviour = (review) => respond(review, { allowed: true });
const deny =
  (status?: object): Behaviour =>
  (review) =>
    respond(review, { allowed: false, ...(status === undefined ? {} : { status }) });
const patching =
  (...operations: object[]): Behaviour =>
  (review) =>
    respond(review, {
      allowed: true,
      patchType: 'JSONPatch',
      patch: Buffer.from(JSON.stringify(operations)).toString('base64'),
    });

let count = 0;
const map = (data: object = {}, further: object = {}): object => ({
  metadata: { name: `map-${count++}`, ...further },
  data,
});

describe('a validating webhook', () => {
  test('sees what is about to happen', async () => {
    await webhook('Validating', 'sees', allow);
    const object = map({ a: '1' }) as { metadata: { name: string } };
    await call('POST', `${MAPS}?fieldManager=me`, object);
    await call('PUT', `${MAPS}/${object.metadata.name}`, { ...object, data: { a: '2' } });
    await call('DELETE', `${MAPS}/${object.metadata.name}`);
    expect(
      asked.map(({ review: { request } }) => [
        request.operation,
        request.object?.['data'],
        request.oldObject?.['data'],
      ]),
    ).toEqual([
      ['CREATE', { a: '1' }, undefined],
      ['UPDATE', { a: '2' }, { a: '1' }],
      ['DELETE', undefined, { a: '2' }],
    ]);
    expect(asked[0]).toMatchObject({
      path: '/sees?timeout=10s',
      review: {
        kind: 'AdmissionReview',
        apiVersion: 'admission.k8s.io/v1',
        request: {
          kind: { group: '', version: 'v1', kind: 'ConfigMap' },
          resource: { group: '', version: 'v1', resource: 'configmaps' },
          requestKind: { group: '', version: 'v1', kind: 'ConfigMap' },
          requestResource: { group: '', version: 'v1', resource: 'configmaps' },
          name: object.metadata.name,
          namespace: 'default',
          userInfo: { username: 'kubernetes-admin' },
          object: { kind: 'ConfigMap', apiVersion: 'v1' },
          oldObject: null,
          dryRun: false,
          options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1', fieldManager: 'me' },
        },
      },
    });
  });

  test.each([
    [undefined, 400, '', 'admission webhook "denies.example.com" denied the request without explanation'],
    [{ message: 'no' }, 400, '', 'admission webhook "denies.example.com" denied the request: no'],
    [
      { reason: 'Because' },
      400,
      'Because',
      'admission webhook "denies.example.com" denied the request: Because',
    ],
    [
      { message: 'no', code: 403, reason: 'Forbidden' },
      403,
      'Forbidden',
      'admission webhook "denies.example.com" denied the request: no',
    ],
    [{ message: 'no', code: 200 }, 400, '', 'admission webhook "denies.example.com" denied the request: no'],
  ])('refuses in its own words: %j', async (status, code, reason, message) => {
    await webhook('Validating', 'denies', deny(status));
    expect(await call('POST', MAPS, map())).toMatchObject({ code, reason, message });
  });

  test('warns', async () => {
    await webhook('Validating', 'warns', (review) =>
      respond(review, { allowed: true, warnings: ['careful'] }),
    );
    expect(await call('POST', MAPS, map())).toMatchObject({ code: 201, warning: '299 - "careful"' });
  });

  test.each([
    ['no review', () => ({}), 'received invalid webhook response: webhook response was absent'],
    [
      'another uid',
      () =>
        respond({ apiVersion: 'admission.k8s.io/v1', request: { uid: 'x' } } as Review, { allowed: true }),
      'received invalid webhook response: expected response.uid="',
    ],
    [
      'another kind',
      (review: Review) => ({ ...respond(review, { allowed: true }), kind: 'Other' }),
      'expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got admission.k8s.io/v1, Kind=Other',
    ],
    [
      'a patch',
      patching({ op: 'add', path: '/data', value: {} }),
      'validating webhook may not return response.patch',
    ],
    ['no JSON', () => 'nonsense', 'failed to call webhook: '],
    [
      'an error',
      () => 500,
      'failed to call webhook: an error on the server ("broken") has prevented the request from succeeding',
    ],
    ['nothing found', () => 404, 'failed to call webhook: the server could not find the requested resource'],
    ['a broken connection', () => 'break', 'failed to call webhook: Post "https://127.0.0.1:'],
  ] as const)(
    'that answers %s fails closed, or open where that was asked for',
    async (_, behaviour, message) => {
      await webhook('Validating', 'faulty', behaviour);
      const refused = await call('POST', MAPS, map());
      expect(refused).toMatchObject({ code: 500, reason: 'InternalError' });
      expect(refused.message).toContain(
        'Internal error occurred: failed calling webhook "faulty.example.com": ',
      );
      expect(refused.message).toContain(message);
      await call('DELETE', made.pop() as string);
      await webhook('Validating', 'faulty', behaviour, { failurePolicy: 'Ignore' });
      expect((await call('POST', MAPS, map())).code).toBe(201);
    },
  );

  test('that takes too long', async () => {
    await webhook('Validating', 'slow', () => 'never', { timeoutSeconds: 1 });
    const refused = await call('POST', MAPS, map());
    expect(refused.code).toBe(500);
    expect(refused.message).toMatch(
      /failed calling webhook "slow\.example\.com": failed to call webhook: Post "https:\/\/127\.0\.0\.1:\d+\/slow\?timeout=1s": context deadline exceeded/,
    );
  });

  test('with a certificate of somebody else is not trusted', async () => {
    const { port } = hooks.address() as AddressInfo;
    await webhook('Validating', 'foreign', allow, {
      clientConfig: { url: `https://127.0.0.1:${port}/foreign` },
    });
    expect((await call('POST', MAPS, map())).message).toContain('certificate signed by unknown authority');
    expect(asked).toEqual([]);
  });

  test.each([
    [{ namespace: 'none', name: 'x' }, 'service "x" not found'],
    [{ namespace: 'default', name: 'headless' }, 'no service IP found for service "headless"'],
  ])('behind a Service that does not lead anywhere: %j', async (service, message) => {
    if (service.name === 'headless')
      await call('POST', '/api/v1/namespaces/default/services', {
        metadata: { name: 'headless' },
        spec: { clusterIP: 'None', ports: [{ port: 443 }] },
      });
    await webhook('Validating', 'service', allow, { clientConfig: { service, caBundle: ca } });
    expect((await call('POST', MAPS, map())).message).toContain(message);
  });

  test('speaks v1beta1 where that is what it knows', async () => {
    await webhook(
      'Validating',
      'older',
      (review) => ({ response: { allowed: review.apiVersion.endsWith('v1beta1') } }),
      {
        admissionReviewVersions: ['v1beta1'],
      },
    );
    expect((await call('POST', MAPS, map())).code).toBe(201);
  });
});

describe('match conditions', () => {
  const condition = (...expressions: string[]): object => ({
    matchConditions: expressions.map((expression, i) => ({ name: `c${i}`, expression })),
  });
  const BROKEN = "object.data.missing == 'x'";

  test.each<[string, readonly string[], object, number]>([
    ['all hold', ["object.metadata.namespace == 'default'", "request.operation == 'CREATE'"], {}, 1],
    ['one does not', ["object.metadata.namespace == 'other'", 'true'], {}, 0],
    ['one does not, another breaks', [BROKEN, 'false'], {}, 0],
    ['there is no old object', ['oldObject == null'], {}, 1],
    ['there is an authorizer', ["authorizer.group('').resource('pods').check('get').allowed()"], {}, 1],
    ['it refuses', ["authorizer.requestResource.check('delete').allowed()"], {}, 0],
    ['who asks is known', ["request.userInfo.username == 'kubernetes-admin'"], {}, 1],
    ['one breaks, which does not matter', [BROKEN], { failurePolicy: 'Ignore' }, 0],
  ])('%s', async (_name, expressions, further, calls) => {
    await webhook('Validating', 'conditions', allow, { ...condition(...expressions), ...further });
    expect((await call('POST', MAPS, map())).code).toBe(201);
    expect(asked).toHaveLength(calls);
  });

  test.each<[string, readonly string[], string]>([
    ['breaks', [BROKEN], "expression 'object.data.missing == 'x'' resulted in error: no such key: missing"],
    [
      'break',
      [BROKEN, '1 / int(object.data.a) == 1'],
      "[expression 'object.data.missing == 'x'' resulted in error: no such key: missing, expression '1 / int(object.data.a) == 1' resulted in error: division by zero]",
    ],
    [
      'costs too much',
      [
        '[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, [1,2,3,4,5,6,7,8,9,10].all(f, a + b + c + d + e + f > 0))))))',
      ],
      'operation cancelled: actual cost limit exceeded',
    ],
  ])('what %s refuses', async (_name, expressions, message) => {
    await webhook('Mutating', 'conditions', allow, condition(...expressions));
    const object = map({ a: '0' }) as { metadata: { name: string } };
    const answer = await call('POST', MAPS, object);
    expect(answer.code).toBe(403);
    expect(answer.message.startsWith(`configmaps "${object.metadata.name}" is forbidden: `)).toBe(true);
    expect(answer.message).toContain(message);
    expect(asked).toEqual([]);
  });
});

describe('a webhook is asked', () => {
  const MATCHES: readonly (readonly [what: string, further: object, isAsked: boolean])[] = [
    ['by its rule', {}, true],
    ['not for other operations', { rules: [{ ...RULE, operations: ['UPDATE', 'DELETE'] }] }, false],
    ['not for other groups', { rules: [{ ...RULE, apiGroups: ['apps'] }] }, false],
    ['not for other versions', { rules: [{ ...RULE, apiVersions: ['v2'] }] }, false],
    ['not for other resources', { rules: [{ ...RULE, resources: ['secrets', 'configmaps/status'] }] }, false],
    [
      'by wildcards',
      { rules: [{ ...RULE, apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'] }] },
      true,
    ],
    ['by one rule of several', { rules: [{ ...RULE, resources: ['secrets'] }, RULE] }, true],
    ['for namespaced resources', { rules: [{ ...RULE, scope: 'Namespaced' }] }, true],
    ['not for cluster resources', { rules: [{ ...RULE, scope: 'Cluster' }] }, false],
    ['for labelled objects', { objectSelector: { matchLabels: { a: 'b' } } }, true],
    ['not for others', { objectSelector: { matchLabels: { a: 'c' } } }, false],
    ['in labelled namespaces', { namespaceSelector: { matchLabels: { hooked: 'yes' } } }, true],
    [
      'not in others',
      { namespaceSelector: { matchExpressions: [{ key: 'hooked', operator: 'DoesNotExist' }] } },
      false,
    ],
  ];

  test.each(MATCHES)('%s', async (_, further, isAsked) => {
    await webhook('Validating', 'match', deny(), further);
    const path = MAPS.replace('default', 'labelled');
    expect((await call('POST', path, map({}, { labels: { a: 'b' } }))).code).toBe(isAsked ? 400 : 201);
  });

  test('in the version that it knows, where the resource has several', async () => {
    const events = {
      apiGroups: ['events.k8s.io'],
      apiVersions: ['v1'],
      resources: ['events'],
      operations: ['CREATE'],
    };
    const event = {
      metadata: { name: 'e', namespace: 'default' },
      involvedObject: { namespace: 'default' },
      message: 'm',
    };
    await webhook('Validating', 'equivalent', deny(), { rules: [events] });
    expect((await call('POST', '/api/v1/namespaces/default/events', event)).code).toBe(400);
    expect(asked[0]?.review.request).toMatchObject({
      kind: { group: 'events.k8s.io', kind: 'Event' },
      requestKind: { group: '', kind: 'Event' },
      object: { apiVersion: 'events.k8s.io/v1', note: 'm' },
    });
    await call('DELETE', made.pop() as string);
    await webhook('Validating', 'equivalent', deny(), { rules: [events], matchPolicy: 'Exact' });
    expect((await call('POST', '/api/v1/namespaces/default/events', event)).code).toBe(201);
  });

  test('never about webhook configurations', async () => {
    await webhook('Validating', 'all', deny(), {
      rules: [{ ...RULE, apiGroups: ['*'], apiVersions: ['*'], resources: ['*'] }],
    });
    await webhook('Mutating', 'all', deny(), {
      rules: [{ ...RULE, apiGroups: ['*'], apiVersions: ['*'], resources: ['*'] }],
    });
    expect((await call('POST', MAPS, map())).code).toBe(400);
  });

  test('about custom resources, and may change them', async () => {
    await call('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
      metadata: { name: 'foos.hooks.com' },
      spec: {
        group: 'hooks.com',
        scope: 'Namespaced',
        names: { plural: 'foos', kind: 'Foo' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: {
              openAPIV3Schema: {
                type: 'object',
                properties: {
                  data: { type: 'object', additionalProperties: { type: 'string' } },
                  level: { type: 'integer' },
                },
              },
            },
          },
        ],
      },
    });
    const path = '/apis/hooks.com/v1/namespaces/default/foos';
    for (let turn = 0; turn < 100 && (await fetch(server.url + path)).status !== 200; turn++)
      await new Promise((resolve) => setTimeout(resolve, 20));
    const rules = [{ ...RULE, apiGroups: ['hooks.com'], resources: ['foos'] }];
    await webhook(
      'Mutating',
      'custom',
      patching(
        { op: 'add', path: '/data', value: { a: 'hooked' } },
        { op: 'add', path: '/unknown', value: 1 },
      ),
      { rules },
    );
    const created = await call('POST', path, { metadata: { name: 'one' } });
    expect(created.data).toEqual({ a: 'hooked' });
    expect(created.body).not.toHaveProperty('unknown');
    behaviours.set('/custom', patching({ op: 'add', path: '/level', value: 'high' }));
    expect((await call('POST', path, { metadata: { name: 'two' } })).message).toContain(
      'level in body must be of type integer',
    );
  });
});

describe('a mutating webhook', () => {
  test('changes the object before it is validated and stored', async () => {
    await webhook('Mutating', 'adds', patching({ op: 'add', path: '/data/added', value: 'yes' }));
    await webhook('Validating', 'after', (review) =>
      respond(review, { allowed: (review.request.object?.['data'] as { added?: string }).added === 'yes' }),
    );
    const created = await call('POST', MAPS, map({ a: '1' }));
    expect(created).toMatchObject({ code: 201, data: { a: '1', added: 'yes' } });
    behaviours.set('/adds', patching({ op: 'add', path: '/data/bad key', value: 'x' }));
    expect((await call('POST', MAPS, map({ a: '1' }))).code).toBe(422);
    behaviours.set('/adds', patching({ op: 'test', path: '/data/a', value: 'other' }));
    expect((await call('POST', MAPS, map({ a: '1' }))).code).toBe(500);
  });

  test('has its work completed by defaults', async () => {
    await webhook(
      'Mutating',
      'containers',
      patching({
        op: 'add',
        path: '/spec/initContainers',
        value: [{ name: 'init', image: 'i', resources: {} }],
      }),
      {
        rules: [{ ...RULE, resources: ['pods'] }],
      },
    );
    const pod = await call('POST', '/api/v1/namespaces/default/pods', {
      metadata: { name: 'p' },
      spec: { containers: [{ name: 'c', image: 'c' }] },
    });
    expect(pod.body).toMatchObject({
      spec: {
        initContainers: [{ name: 'init', terminationMessagePolicy: 'File', imagePullPolicy: 'Always' }],
      },
    });
  });

  test('cannot change what is being deleted', async () => {
    const object = map() as { metadata: { name: string } };
    await call('POST', MAPS, object);
    await webhook('Mutating', 'deleted', patching({ op: 'add', path: '/data', value: {} }));
    expect((await call('DELETE', `${MAPS}/${object.metadata.name}`)).message).toBe(
      'Internal error occurred: admission webhook "deleted.example.com" attempted to modify the object, which is not supported for this operation',
    );
  });

  test.each([
    ['IfNeeded', { stage: '2', first: '2' }, ['/first', '/second', '/first']],
    ['Never', { stage: '2', first: '1' }, ['/first', '/second']],
  ])('is asked again after others changed the object: %s', async (reinvocationPolicy, data, paths) => {
    await webhook(
      'Mutating',
      'first',
      (review) =>
        patching({
          op: 'add',
          path: '/data/first',
          value: (review.request.object?.['data'] as { stage: string }).stage,
        })(review),
      { reinvocationPolicy },
    );
    await webhook('Mutating', 'second', patching({ op: 'replace', path: '/data/stage', value: '2' }));
    expect((await call('POST', MAPS, map({ stage: '1' }))).data).toEqual(data);
    expect(asked.map(({ path }) => path.replace(/\?.*/, ''))).toEqual(paths);
  });

  test.each([
    [
      'a patch without its type',
      (review: Review) => respond(review, { allowed: true, patch: 'W10=' }),
      'webhook returned response.patch but not response.patchType',
    ],
    [
      'a type without its patch',
      (review: Review) => respond(review, { allowed: true, patchType: 'JSONPatch' }),
      'webhook returned response.patchType but not response.patch',
    ],
    [
      'a patch that is none',
      (review: Review) =>
        respond(review, {
          allowed: true,
          patchType: 'JSONPatch',
          patch: Buffer.from('{').toString('base64'),
        }),
      'received undecodable patch in webhook response',
    ],
  ])('that answers %s fails', async (_, behaviour, message) => {
    await webhook('Mutating', 'wrong', behaviour);
    expect((await call('POST', MAPS, map())).message).toContain(message);
  });
});
