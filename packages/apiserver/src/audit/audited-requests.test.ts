/** After k8s.io/apiserver/pkg/endpoints/filters/{audit,authn_audit,request_deadline}_test.go and pkg/endpoints/audit_test.go. */
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { corev1, type auditv1 } from '@k8ts/api';
import { StatusError, unauthorized } from '@k8ts/apimachinery';
import { createClient } from '@k8ts/client';
import { recordedAudit } from './testing/recorded-audit.ts';
import { userInfo } from '../authentication/well-known-users.ts';
import type { ApiServerOptions } from '../server-options.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';
import type { SpecialHandler } from '../registry/special-subresources.ts';

const servers: TestServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server[Symbol.asyncDispose]();
});

type Policy = Parameters<typeof recordedAudit>[0];

const ALL: Policy = { rules: [{ level: 'RequestResponse' }] };

async function audited(policy: Policy = ALL, options: Partial<ApiServerOptions> = {}) {
  const recorded = recordedAudit(policy);
  const server = await createTestServer({ auditor: recorded.auditor, ...options });
  servers.push(server);
  const ask = async (request: string, body?: unknown, headers: Record<string, string> = {}) => {
    const [method = '', path = ''] = request.split(' ');
    const response = await fetch(server.url + path, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    return { code: response.status, headers: response.headers, text: await response.text() };
  };
  const stages = () =>
    recorded.events.map(({ stage, responseStatus }) => `${stage} ${responseStatus?.code ?? '-'}`);
  const last = (): auditv1.Event => recorded.events.at(-1) as auditv1.Event;
  return { recorded, server, ask, stages, last };
}

const MAPS = '/api/v1/namespaces/default/configmaps';
const MAP = { metadata: { name: 'a' }, data: { k: 'v' } };

describe('stages', () => {
  const cases: readonly (readonly [string, string, readonly string[]])[] = [
    ['a read', 'GET /api/v1/namespaces', ['RequestReceived -', 'ResponseComplete 200']],
    ['what is not found', `GET ${MAPS}/none`, ['RequestReceived -', 'ResponseComplete 404']],
    ['a path', 'GET /version', ['RequestReceived -', 'ResponseComplete 200']],
    ['an unknown path', 'GET /unknown', ['RequestReceived -', 'ResponseComplete 404']],
    [
      'a watch',
      'GET /api/v1/namespaces?watch=true&timeoutSeconds=1',
      ['RequestReceived -', 'ResponseStarted 200', 'ResponseComplete 200'],
    ],
    [
      'a watch that cannot be',
      'GET /api/v1/namespaces?watch=true&fieldSelector=a',
      ['RequestReceived -', 'ResponseStarted 400', 'ResponseComplete 400'],
    ],
    ['a time limit that is none', 'GET /api/v1/namespaces?timeout=x', ['ResponseStarted 400']],
    ['a form that there is not', 'GET /api/v1/namespaces', ['RequestReceived -', 'ResponseComplete 406']],
  ];
  test.each(cases)('of %s', async (what, request, expected) => {
    const { ask, stages } = await audited();
    await ask(request, undefined, what.startsWith('a form') ? { accept: 'image/png' } : {});
    expect(stages()).toEqual(expected);
  });

  test('that the policy leaves out', async () => {
    const { ask, stages, recorded } = await audited({
      omitStages: ['RequestReceived'],
      rules: [{ level: 'Metadata', omitStages: ['ResponseStarted'] }],
    });
    await ask('GET /api/v1/namespaces?watch=true&timeoutSeconds=1');
    expect(stages()).toEqual(['ResponseComplete 200']);
    expect(await recorded.metrics.text()).toContain('apiserver_audit_event_total 1');
  });

  test('there are none at level None', async () => {
    const { ask, recorded } = await audited({
      rules: [{ level: 'None', verbs: ['get', 'list'] }, { level: 'Metadata' }],
    });
    expect((await ask('GET /api/v1/namespaces')).code).toBe(200);
    expect((await ask('GET /api/v1/namespaces?timeout=x')).code).toBe(400);
    expect(recorded.events).toEqual([]);
    await ask(`POST ${MAPS}`, MAP);
    expect(await recorded.metrics.text()).toContain('apiserver_audit_level_total{level="None"} 2');
    expect(await recorded.metrics.text()).toContain('apiserver_audit_level_total{level="Metadata"} 1');
  });

  test('a fault of the server’s own is a panic', async () => {
    const broken = (): never => {
      throw new TypeError('oh no');
    };
    const { ask, stages, last } = await audited(ALL, { otherPaths: new Map([['/broken', broken]]) });
    expect((await ask('GET /broken')).code).toBe(500);
    expect(stages()).toEqual(['RequestReceived -', 'Panic 500']);
    expect(last().responseStatus).toEqual({
      metadata: {},
      status: 'Failure',
      message: "APIServer panic'd: oh no",
      reason: 'InternalError',
      code: 500,
    });
  });

  test('a request that takes too long', async () => {
    const slow = (): Promise<never> => new Promise(() => undefined);
    const { ask, stages } = await audited(ALL, {
      otherPaths: new Map([['/slow', slow]]),
      requestTimeout: 30,
    });
    expect((await ask('GET /slow')).code).toBe(504);
    expect(stages()).toEqual(['RequestReceived -', 'ResponseComplete 504']);
  });

  test('of a watch over a WebSocket, which is a change of protocol', async () => {
    const { server, recorded, stages } = await audited();
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/api/v1/namespaces?watch=true`);
    await once(socket, 'open');
    socket.close();
    await expect.poll(() => recorded.events.length).toBe(3);
    expect(stages()).toEqual(['RequestReceived -', 'ResponseStarted 101', 'ResponseComplete 101']);
  });

  test('a client that goes away in the middle of a watch', async () => {
    const { server, recorded, stages } = await audited();
    const controller = new AbortController();
    await fetch(`${server.url}/api/v1/namespaces?watch=true`, { signal: controller.signal });
    controller.abort();
    await expect.poll(() => recorded.events.length).toBe(3);
    expect(stages()).toEqual(['RequestReceived -', 'ResponseStarted 200', 'ResponseComplete 200']);
  });
});

describe('what an event says', () => {
  test('of the request', async () => {
    const { ask, recorded } = await audited();
    const answer = await ask(`GET ${MAPS}/none/status?a=b%20c&pretty=true`, undefined, {
      'user-agent': 'x'.repeat(1_030),
      'x-forwarded-for': '10.1.2.3',
      'audit-id': 'mine',
    });
    expect(answer.headers.get('audit-id')).toBe('mine');
    expect(recorded.events[0]).toEqual({
      kind: 'Event',
      apiVersion: 'audit.k8s.io/v1',
      level: 'RequestResponse',
      auditID: 'mine',
      stage: 'RequestReceived',
      requestURI: `${MAPS}/none/status?a=b%20c&pretty=true`,
      verb: 'get',
      user: { username: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] },
      sourceIPs: ['10.1.2.3', '127.0.0.1'],
      userAgent: `${'x'.repeat(1_024)}...TRUNCATED`,
      objectRef: {
        resource: 'configmaps',
        namespace: 'default',
        name: 'none',
        apiVersion: 'v1',
        subresource: 'status',
      },
      requestReceivedTimestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/) as string,
      stageTimestamp: recorded.events[0]?.requestReceivedTimestamp,
    });
    const whole = await ask('GET /version', undefined, { 'audit-id': 'y'.repeat(300) });
    expect(whole.headers.get('audit-id')).toBe('y'.repeat(300));
    expect((await ask('GET /version')).headers.get('audit-id')).toBe(recorded.events.at(-1)?.auditID);
  });

  test('of a request that nobody may make', async () => {
    const { ask, last } = await audited(ALL, {
      authorizers: [{ name: 'no', authorize: () => ({ verdict: 'no-opinion', reason: 'not today' }) }],
    });
    await ask('GET /api/v1/namespaces');
    expect(last()).toMatchObject({
      stage: 'ResponseComplete',
      responseStatus: { status: 'Failure', reason: 'Forbidden', code: 403 },
      annotations: { 'authorization.k8s.io/decision': 'forbid', 'authorization.k8s.io/reason': 'not today' },
    });
  });

  test.each(['at once', 'later'])('of a request that nobody can judge (%s)', async (when) => {
    const fail = (): never => {
      throw new Error('no answer');
    };
    const { ask, last, server } = await audited(ALL, {
      authorizers: [
        { name: 'broken', authorize: () => (when === 'later' ? Promise.resolve().then(fail) : fail()) },
      ],
    });
    const { code, text, headers } = await ask('GET /api/v1/namespaces?a=1&b=2');
    expect(code).toBe(500);
    expect(headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(text).toBe('Internal Server Error: "/api/v1/namespaces?a=1&amp;b=2": no answer\n');
    expect(last()).toMatchObject({ stage: 'ResponseComplete', responseStatus: { code: 500 } });
    expect(last().annotations).toEqual({ 'authorization.k8s.io/reason': 'internal error' });
    await expect(createClient(server.transport).resource(corev1.namespaces).list()).rejects.toThrow(
      'an error on the server ("Internal Server Error: \\"/api/v1/namespaces\\": no answer") has prevented the request from succeeding',
    );
  });

  test('of a request whose credentials are wrong', async () => {
    const { ask, recorded } = await audited(
      { rules: [{ level: 'None', users: ['', 'system:anonymous'] }, { level: 'Metadata' }] },
      {
        authenticators: [
          {
            name: 'no',
            authenticate: () => {
              throw unauthorized();
            },
          },
        ],
      },
    );
    await ask('GET /api/v1/namespaces');
    expect(recorded.events).toHaveLength(1);
    expect(recorded.events[0]).toMatchObject({
      stage: 'ResponseStarted',
      user: {},
      responseStatus: { status: 'Failure', message: 'Unauthorized', reason: 'Unauthorized', code: 401 },
    });
    expect(recorded.events[0]?.annotations).toBeUndefined();
  });

  test('of who is impersonated, and what the credential was', async () => {
    const user = userInfo('ann', ['devs']);
    const { ask, recorded } = await audited(ALL, {
      authenticators: [
        { name: 'x', authenticate: () => ({ user, annotations: { 'authentication.k8s.io/x': 'y' } }) },
      ],
    });
    await ask('GET /api/v1/namespaces', undefined, {
      'impersonate-user': 'bob',
      'impersonate-extra-example.com%2fb': 'c',
    });
    const [received, complete] = recorded.events;
    expect(received?.annotations).toEqual({ 'authentication.k8s.io/x': 'y' });
    expect(received?.impersonatedUser).toBeUndefined();
    expect(complete).toMatchObject({
      user: { username: 'ann', groups: ['devs'] },
      impersonatedUser: {
        username: 'bob',
        groups: ['system:authenticated'],
        extra: { 'example.com/b': ['c'] },
      },
      authenticationMetadata: { impersonationConstraint: 'impersonate:user-info' },
      annotations: { 'authentication.k8s.io/x': 'y', 'authorization.k8s.io/decision': 'allow' },
    });
  });

  test('of what is on its way out', async () => {
    const { ask, last } = await audited(ALL, { stages: ['stable', 'legacy'] });
    await ask('GET /apis/policy/v1beta1/poddisruptionbudgets');
    expect(last().annotations).toMatchObject({
      'k8s.io/deprecated': 'true',
      'k8s.io/removed-release': '1.25',
    });
    await ask('GET /apis/policy/v1/poddisruptionbudgets');
    expect(last().annotations).not.toHaveProperty(['k8s.io/deprecated']);
  });

  test('of where the time went', async () => {
    const { ask, last } = await audited();
    await ask('GET /api/v1/namespaces?watch=true&timeoutSeconds=1');
    expect(last().annotations?.['apiserver.latency.k8s.io/total']).toMatch(/^1\.\d+s$/);
    await ask('GET /version');
    expect(last().annotations).not.toHaveProperty(['apiserver.latency.k8s.io/total']);
  });
});

describe('in the process', () => {
  test('requests are written down as others are', async () => {
    const { server, recorded, stages } = await audited();
    const maps = createClient(server.transport).resource(corev1.configMaps, 'default');
    await maps.create({ kind: 'ConfigMap', apiVersion: 'v1', ...MAP });
    await expect(maps.get('none')).rejects.toThrow('not found');
    expect(stages()).toEqual([
      'RequestReceived -',
      'ResponseComplete 201',
      'RequestReceived -',
      'ResponseComplete 404',
    ]);
    expect(recorded.events[1]).toMatchObject({
      requestURI: MAPS,
      user: { username: 'kubernetes-admin' },
      userAgent: 'kubernetes-admin',
      objectRef: { name: 'a' },
      requestObject: { data: { k: 'v' } },
      responseObject: { kind: 'ConfigMap', data: { k: 'v' } },
    });
    expect(recorded.events[1]).not.toHaveProperty('sourceIPs');
  });

  test('a watch has begun when it is there, and is over when it is let go', async () => {
    const { server, recorded, stages } = await audited();
    const controller = new AbortController();
    const watch = await server.transport.watch({
      method: 'GET',
      path: MAPS,
      query: { watch: 'true' },
      signal: controller.signal,
    });
    expect(stages()).toEqual(['RequestReceived -', 'ResponseStarted 200']);
    controller.abort();
    for await (const _ of watch);
    expect(recorded.events.at(-1)?.stage).toBe('ResponseComplete');
  });
});

describe('a back end', () => {
  test('that fails in the strict mode keeps requests from being served', async () => {
    const { ask, recorded, server, stages } = await audited();
    recorded.answer = () => false;
    const { code, text } = await ask(`POST ${MAPS}?a=<b>`, MAP);
    expect(code).toBe(500);
    expect(text).toBe(`Internal Server Error: "${MAPS}?a=%3Cb%3E": failed to store audit event\n`);
    await expect(
      createClient(server.transport).resource(corev1.configMaps, 'default').get('a'),
    ).rejects.toThrow(StatusError);
    expect(stages()).toEqual(['RequestReceived -', 'RequestReceived -']);
    expect(await recorded.metrics.text()).toContain('apiserver_audit_requests_rejected_total 2');
    recorded.answer = ({ stage }) => stage === 'RequestReceived';
    expect((await ask(`GET ${MAPS}/a`)).code).toBe(404);
    expect((await ask('GET /version')).code).toBe(200);
  });

  test('that takes its time is waited for, at the beginning and before the end', async () => {
    const { ask, recorded, stages } = await audited();
    const waiting: (() => void)[] = [];
    recorded.answer = () => new Promise((resolve) => waiting.push(() => resolve(true)));
    let answered = false;
    const asked = ask(`POST ${MAPS}`, MAP).then(({ code }) => {
      answered = true;
      return code;
    });
    await expect.poll(() => waiting.length).toBe(1);
    waiting[0]?.();
    await expect.poll(() => waiting.length).toBe(2);
    expect(stages()).toEqual(['RequestReceived -', 'ResponseComplete 201']);
    expect(answered).toBe(false);
    waiting[1]?.();
    expect(await asked).toBe(201);
  });

  test('gets the stages in their order, however long each takes', async () => {
    const { ask, recorded, stages } = await audited();
    recorded.answer = () => new Promise((resolve) => setImmediate(() => resolve(true)));
    await ask('GET /api/v1/namespaces?watch=true&timeoutSeconds=1');
    expect(stages()).toEqual(['RequestReceived -', 'ResponseStarted 200', 'ResponseComplete 200']);
  });
});

describe('annotations of admission plugins', () => {
  type Given = readonly [string, string, ('Metadata' | 'Request')?];
  const annotating = (all: readonly Given[]): Pick<ApiServerOptions, 'admission'> => ({
    admission: [
      {
        name: 'x',
        operations: ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'],
        handles: () => true,
        validate: ({ annotate }) => {
          for (const given of all) annotate?.(...given);
        },
      },
    ],
  });
  const mine = ({ annotations = {} }: auditv1.Event) =>
    Object.fromEntries(Object.entries(annotations).filter(([key]) => !key.startsWith('authorization.')));

  test.each<readonly [string, Policy, readonly Given[], Record<string, string>]>([
    ['are added', ALL, [['a.b/c', 'd']], { 'a.b/c': 'd' }],
    [
      'are not changed',
      ALL,
      [
        ['a.b/c', 'd'],
        ['a.b/c', 'e'],
      ],
      { 'a.b/c': 'd' },
    ],
    ['need a prefix', ALL, [['c', 'd']], {}],
    ['have one prefix', ALL, [['a/b/c', 'd']], {}],
    ['have names', ALL, [['a.b/-', 'd']], {}],
    [
      'wait for their level',
      { rules: [{ level: 'Metadata' }] },
      [
        ['a/b', 'c', 'Request'],
        ['a/d', 'e'],
      ],
      { 'a/d': 'e' },
    ],
    [
      'have reached their level',
      { rules: [{ level: 'Request' }] },
      [['a/b', 'c', 'Request']],
      { 'a/b': 'c' },
    ],
  ])('%s', async (_, policy, given, expected) => {
    const { ask, last } = await audited(policy, annotating(given));
    expect((await ask(`POST ${MAPS}`, MAP)).code).toBe(201);
    expect(mine(last())).toEqual(expected);
  });

  test('of special subresources too', async () => {
    const exec: SpecialHandler = {
      group: '',
      resource: 'pods',
      subresource: 'exec',
      connect: true,
      handle: () => ({ kind: 'raw', code: 200, contentType: 'text/plain', body: '' }),
    };
    const { ask, last } = await audited(ALL, { specialHandlers: [exec], ...annotating([['a/b', 'c']]) });
    await ask('GET /api/v1/namespaces/default/pods/x/exec');
    expect(mine(last())).toEqual({ 'a/b': 'c' });
  });

  test('cost nothing where nothing is written', async () => {
    let wasAsked = true;
    const { ask } = await audited(
      { rules: [{ level: 'None' }] },
      {
        admission: [
          {
            name: 'x',
            operations: ['CREATE'],
            handles: () => true,
            validate: ({ annotate }) => void (wasAsked = annotate !== undefined),
          },
        ],
      },
    );
    await ask(`POST ${MAPS}`, MAP);
    expect(wasAsked).toBe(false);
  });
});
