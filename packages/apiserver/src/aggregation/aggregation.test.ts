import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { Duplex } from 'node:stream';
import { apiregistrationv1, corev1, type KubeObject } from '@k8ts/api';
import { realClock, silentLogger, systemRandom } from '@k8ts/base';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Authenticator } from '../authentication/contract.ts';
import { aggregationHook } from '../post-start/aggregation.ts';
import { apiServiceStrategy } from '../registry/apiregistration/api-service.ts';
import type { Strategy } from '../registry/contract.ts';
import { testAuthority, testCertificate } from '../testing/certificates.ts';
import {
  json,
  startExtensionServer,
  type Behaviour,
  type ExtensionServer,
  type Seen,
} from '../testing/extension-server.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';
import { AggregatedApis } from './aggregated-apis.ts';
import { clusterIpResolver } from './service-resolver.ts';

const GROUP = 'wardle.example.com';
const ROOT = `/apis/${GROUP}/v1alpha1`;
const FLUNDERS = `${ROOT}/namespaces/default/flunders`;
const NAME = `v1alpha1.${GROUP}`;
const API_SERVICES = '/apis/apiregistration.k8s.io/v1/apiservices';

const frontProxyAuthority = testAuthority('front-proxy-ca');
let extension: ExtensionServer;
let server: TestServer;

/** `Bearer alice:developers,testers` */
const byToken: Authenticator = {
  name: 'test',
  authenticate({ headers }) {
    const [name = '', groups = ''] = (headers.authorization ?? '').replace('Bearer ', '').split(':');
    if (name === '') return undefined;
    const extra = { 'example.com/scope': ['a', 'b'] };
    return { user: { name: decodeURIComponent(name), uid: '7', groups: groups.split(','), extra } };
  },
};

const RESOURCES = {
  kind: 'APIResourceList',
  groupVersion: `${GROUP}/v1alpha1`,
  resources: [
    { name: 'flunders', singularName: 'flunder', namespaced: true, kind: 'Flunder', verbs: ['get', 'list'] },
    { name: 'flunders/status', singularName: '', namespaced: true, kind: 'Flunder', verbs: ['get'] },
  ],
};

beforeAll(async () => {
  extension = await startExtensionServer('api.wardle.svc', frontProxyAuthority);
  server = await createTestServer(
    { authenticators: [byToken], strategies: [apiServiceStrategy as unknown as Strategy<KubeObject>] },
    (objects) => {
      const proxyClient = testCertificate(frontProxyAuthority, '/CN=front-proxy-client');
      const backends = { resolve: clusterIpResolver(objects), proxyClient };
      const apis = new AggregatedApis(objects, { ...backends, rejectRedirects: true });
      return {
        authorizers: [
          {
            name: 'test',
            authorize: ({ user }) => ({ verdict: user.name === 'eve' ? 'deny' : 'allow', reason: '' }),
          },
        ],
        aggregation: apis,
        postStartHooks: [aggregationHook({ apis, backends, onListening: () => undefined })],
        clock: realClock,
        logger: silentLogger,
        random: systemRandom,
      };
    },
  );
  await server.server.ready;
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await extension[Symbol.asyncDispose]();
});

beforeEach(async () => {
  extension.seen.length = 0;
  extension.behaviours.clear();
  extension.behaviours.set(ROOT, json(RESOURCES));
  const { registry } = server.server;
  for (const name of [NAME, `v1.${GROUP}`])
    await registry.delete(apiregistrationv1.apiServices, '', name, {}).catch(() => undefined);
  await registry.delete(corev1.services, 'wardle', 'api', {}).catch(() => undefined);
  await expect.poll(() => inDiscovery()).toBe('absent');
});

async function call(
  path: string,
  { token = 'alice:developers,testers', ...init }: RequestInit & { readonly token?: string } = {},
): Promise<{ readonly code: number; readonly text: string; readonly headers: Headers }> {
  const response = await fetch(server.url + path, {
    redirect: 'manual',
    ...init,
    headers: { authorization: `Bearer ${token}`, ...init.headers },
  });
  return { code: response.status, text: await response.text(), headers: response.headers };
}

const send = (method: string, path: string, body: object, contentType = 'application/json') =>
  call(path, { method, body: JSON.stringify(body), headers: { 'content-type': contentType } });

const apiService = (further: object = {}, version = 'v1alpha1'): object => ({
  metadata: { name: `${version}.${GROUP}` },
  spec: {
    group: GROUP,
    version,
    groupPriorityMinimum: 2000,
    versionPriority: 200,
    service: { namespace: 'wardle', name: 'api', port: extension.port },
    caBundle: extension.caBundle,
    ...further,
  },
});

/** The Service leads to loopback. */
async function register(further: object = {}): Promise<void> {
  await server.server.registry.create(corev1.services, {
    metadata: { name: 'api', namespace: 'wardle' },
    spec: { type: 'ExternalName', externalName: 'localhost' },
  });
  const created = await send('POST', API_SERVICES, apiService(further));
  expect(created.code, created.text).toBe(201);
  await expect.poll(() => condition()).toMatch(/^True/);
  await expect.poll(() => inDiscovery()).not.toBe('absent');
}

async function condition(): Promise<string> {
  const { text } = await call(`${API_SERVICES}/${NAME}`);
  const { status } = JSON.parse(text) as apiregistrationv1.APIService;
  const { status: is, reason, message } = status?.conditions?.[0] ?? {};
  return `${is} ${reason}: ${message}`;
}

const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

interface DiscoveryList {
  readonly items: readonly {
    readonly metadata: { readonly name: string };
    readonly versions: readonly { readonly freshness: string; readonly resources?: readonly object[] }[];
  }[];
}

async function discovered(): Promise<DiscoveryList['items']> {
  const { text } = await call('/apis', { headers: { accept: AGGREGATED } });
  return (JSON.parse(text) as DiscoveryList).items;
}

async function inDiscovery(): Promise<string> {
  const group = (await discovered()).find(({ metadata }) => metadata.name === GROUP);
  return group?.versions.map(({ freshness }) => freshness).join() ?? 'absent';
}

describe('requests for the API of another server', () => {
  beforeEach(() => register());

  test('reach it as they are, in the name of who asks, and its answers come back as they are', async () => {
    extension.behaviours.set(FLUNDERS, ({ body }, response) => {
      response.writeHead(418, { 'content-type': 'text/x-flunder', 'x-from': 'wardle', warning: '299 - "w"' });
      response.end(`got ${body}`);
    });
    extension.seen.length = 0;
    const { code, text, headers } = await call(`${FLUNDERS}?a=%2F&b=c`, {
      method: 'PATCH',
      body: 'some bytes',
      headers: {
        'content-type': 'application/merge-patch+json',
        'x-kept': 'yes',
        'X-Remote-User': 'system:admin',
        'X-Remote-Group': 'system:masters',
        'X-Remote-Uid': '0',
        'X-Remote-Extra-Evil': 'yes',
        'Audit-Id': 'known-id',
      },
    });
    expect({ code, text }).toEqual({ code: 418, text: 'got some bytes' });
    expect(headers.get('content-type')).toBe('text/x-flunder');
    expect(headers.get('x-from')).toBe('wardle');
    const seen = asked(FLUNDERS);
    expect(seen).toMatchObject({
      method: 'PATCH',
      url: `${FLUNDERS}?a=%2F&b=c`,
      client: 'front-proxy-client',
    });
    const { authorization, ...sent } = seen?.headers ?? {};
    expect(authorization).toBeUndefined();
    expect(sent).toMatchObject({
      'content-type': 'application/merge-patch+json',
      'x-kept': 'yes',
      'x-remote-user': 'alice',
      'x-remote-uid': '7',
      'x-remote-group': 'developers, testers',
      'x-remote-extra-example.com%2fscope': 'a, b',
      'audit-id': 'known-id',
    });
    expect(sent).not.toHaveProperty('x-remote-extra-evil');
  });

  test.each(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])(
    'with method %s',
    async (method) => {
      extension.behaviours.set(FLUNDERS, (_, response) => void response.end(method));
      extension.seen.length = 0;
      const { code } = await call(FLUNDERS, { method });
      // A verb that the API does not know is nobody's to authorize.
      expect({ code, asked: asked(FLUNDERS)?.method }).toEqual({ code: 200, asked: method });
    },
  );

  test('are authorized first', async () => {
    extension.seen.length = 0;
    expect((await call(FLUNDERS, { token: 'eve:' })).code).toBe(403);
    expect(asked(FLUNDERS)).toBeUndefined();
  });

  test('bear names in UTF-8; a name that no header can hold is refused', async () => {
    extension.behaviours.set(FLUNDERS, json({}));
    await call(FLUNDERS, { token: `${encodeURIComponent('zoë')}:` });
    expect(Buffer.from(asked(FLUNDERS)?.headers['x-remote-user'] as string, 'latin1').toString()).toBe('zoë');
    const evil = await call(FLUNDERS, {
      token: `${encodeURIComponent('a\r\nX-Remote-Group: system:masters')}:`,
    });
    expect(evil).toMatchObject({
      code: 503,
      text: 'error trying to reach service: net/http: invalid header field value\n',
    });
  });

  test('with an impersonated user are that user’s', async () => {
    extension.behaviours.set(FLUNDERS, json({}));
    await call(FLUNDERS, { headers: { 'Impersonate-User': 'bob', 'Impersonate-Group': 'builders' } });
    const { headers } = asked(FLUNDERS) as Seen;
    expect(headers).toMatchObject({
      'x-remote-user': 'bob',
      'x-remote-group': 'builders, system:authenticated',
    });
    expect(Object.keys(headers).filter((name) => name.startsWith('impersonate'))).toEqual([]);
  });

  test('with an encoded slash in a name are nobody’s', async () => {
    extension.seen.length = 0;
    expect((await call(`${FLUNDERS}/a%2Fb`)).code).toBe(404);
    expect(extension.seen.filter(({ url }) => url.includes('%2F'))).toEqual([]);
  });

  test('stream: watches go on until either side ends, and leave no connection', async () => {
    let close = (): void => undefined;
    extension.behaviours.set(FLUNDERS, (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{"type":"ADDED"}\n');
      close = () => void response.end('{"type":"DELETED"}\n');
    });
    const watch = async (signal?: AbortSignal) =>
      fetch(`${server.url}${FLUNDERS}?watch=true`, {
        headers: { authorization: 'Bearer alice:' },
        ...(signal === undefined ? {} : { signal }),
      });
    const ended = (await watch()).body?.getReader();
    const read = async (): Promise<string> => Buffer.from((await ended?.read())?.value ?? []).toString();
    expect(await read()).toBe('{"type":"ADDED"}\n');
    close();
    expect(await read()).toBe('{"type":"DELETED"}\n');
    expect((await ended?.read())?.done).toBe(true);

    const abort = new AbortController();
    await watch(abort.signal);
    abort.abort();
    await expect.poll(() => extension.connections.size).toBe(0);
  });

  test('are upgraded, in the name of who asks', async () => {
    const outgoing = httpRequest(`${server.url}${FLUNDERS}/one/console`, {
      agent: false,
      headers: {
        connection: 'Upgrade',
        upgrade: 'SPDY/3.1',
        authorization: 'Bearer alice:developers',
        'x-remote-user': 'system:admin',
        'x-stream-protocol-version': ['v5.channel.k8s.io', 'v4.channel.k8s.io'],
      },
    });
    outgoing.end();
    const [response, socket] = (await once(outgoing, 'upgrade')) as [{ statusCode: number }, Duplex];
    expect(response.statusCode).toBe(101);
    socket.write('hello');
    expect(String((await once(socket, 'data'))[0])).toBe('echo hello');
    socket.destroy();
    expect(asked(`${FLUNDERS}/one/console`)).toMatchObject({
      client: 'front-proxy-client',
      headers: {
        'x-remote-user': 'alice',
        'x-remote-group': 'developers',
        'x-stream-protocol-version': 'v5.channel.k8s.io, v4.channel.k8s.io',
      },
    });
    await expect.poll(() => extension.connections.size).toBe(0);
  });

  test('are not sent elsewhere', async () => {
    extension.behaviours.set(FLUNDERS, (_, response) => {
      response.writeHead(302, { location: 'https://evil.example.com/' }).end();
    });
    expect(await call(FLUNDERS)).toMatchObject({
      code: 502,
      text: 'the backend attempted to redirect this request, which is not permitted',
    });
    await expect.poll(() => extension.connections.size).toBe(0);
  });

  test('of components in this process are answered with values, errors and events', async () => {
    const { transport } = server;
    extension.behaviours.set(FLUNDERS, ({ url, body }, response) => {
      response.setHeader('content-type', 'application/json');
      if (url.includes('watch')) {
        response.write('{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n');
        response.end('{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}\n');
      } else if (body !== '') response.writeHead(201).end(body);
      else response.end('{"kind":"FlunderList","apiVersion":"v1","items":[{"metadata":{"name":"a"}}]}');
    });
    expect(await transport.request({ method: 'GET', path: FLUNDERS })).toMatchObject({
      items: [{ kind: 'Flunder', metadata: { name: 'a' } }],
    });
    expect(await transport.request({ method: 'POST', path: FLUNDERS, body: { a: 1 } })).toEqual({ a: 1 });
    expect(asked(FLUNDERS)?.headers['content-type']).toBe('application/json');
    await expect(transport.request({ method: 'GET', path: `${FLUNDERS}/none` })).rejects.toMatchObject({
      message: 'the server could not find the requested resource',
      code: 404,
    });
    const events = await transport.watch({ method: 'GET', path: FLUNDERS, query: { watch: 'true' } });
    const seen: unknown[] = [];
    await expect(
      (async () => {
        for await (const batch of events) seen.push(...batch);
      })(),
    ).rejects.toMatchObject({ code: 410 });
    expect(seen).toEqual([{ type: 'ADDED', object: { metadata: { name: 'a' } } }]);
    await expect(
      transport.watch({ method: 'GET', path: `${FLUNDERS}/none`, query: { watch: 'true' } }),
    ).rejects.toMatchObject({ code: 404 });
  });
});

describe('a server that misbehaves', () => {
  beforeEach(() => register());

  test.each<[string, Behaviour, number | 'broken']>([
    ['breaks off before it answers', (_, response) => void response.socket?.destroy(), 503],
    [
      'breaks off in the middle',
      (_, response) => {
        response.writeHead(200, { 'content-length': 100 });
        response.write('half', () => response.socket?.destroy());
      },
      'broken',
    ],
    ['speaks another language', (_, response) => void response.socket?.end('SSH-2.0-OpenSSH_9.2\r\n'), 503],
    [
      'agrees to what nobody asked for',
      (_, { socket }) =>
        void socket?.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'),
      503,
    ],
    ['has codes of its own', (_, response) => void response.writeHead(999).end(), 999],
  ])('%s', async (_, behaviour, expected) => {
    extension.behaviours.set(FLUNDERS, behaviour);
    const code = await call(FLUNDERS).then(
      (answer) => answer.code,
      () => 'broken',
    );
    expect(code).toBe(expected);
    await expect.poll(() => extension.connections.size).toBe(0);
    extension.behaviours.set(FLUNDERS, json({}));
    expect((await call(FLUNDERS)).code).toBe(200);
  });

  test('and never answers is left alone when its client goes', async () => {
    let asking = (): void => undefined;
    const asked = new Promise<void>((resolve) => (asking = resolve));
    extension.behaviours.set(FLUNDERS, () => asking());
    const abort = new AbortController();
    const answer = call(FLUNDERS, { signal: abort.signal });
    await asked;
    abort.abort();
    await expect(answer).rejects.toThrow();
    await expect.poll(() => extension.connections.size).toBe(0);
    // The same for who asks inside the process.
    const inside = new AbortController();
    const again = new Promise<void>((resolve) => (asking = resolve));
    const request = server.transport.request({ method: 'GET', path: FLUNDERS, signal: inside.signal });
    await again;
    inside.abort(new Error('enough'));
    await expect(request).rejects.toThrow('enough');
    await expect.poll(() => extension.connections.size).toBe(0);
  });
});

/** The last request of a path, without those of the server itself. */
function asked(path: string): Seen | undefined {
  return extension.seen.findLast(({ url }) => url.split('?')[0] === path);
}

describe('an API whose server', () => {
  const unavailable = { code: 503, text: 'service unavailable\n' };

  test('has no Service is not available', async () => {
    expect((await send('POST', API_SERVICES, apiService())).code).toBe(201);
    await expect
      .poll(() => condition())
      .toBe('False ServiceNotFound: service/api in "wardle" is not present');
    expect(await call(FLUNDERS)).toMatchObject(unavailable);
    expect(await call(ROOT)).toMatchObject(unavailable);
    expect(await inDiscovery()).toBe('Stale');
  });

  test('shows a certificate of another authority is reported as available, and cannot be reached', async () => {
    await register({ caBundle: Buffer.from(testAuthority('another').cert).toString('base64') });
    expect(await call(FLUNDERS)).toMatchObject({
      code: 503,
      text: 'error trying to reach service: tls: failed to verify certificate: x509: certificate signed by unknown authority\n',
    });
    expect(await inDiscovery()).toBe('Stale');
  });

  test.each<[string, string]>([
    ['nonsense', 'unable to load root certificates: unable to parse bytes as PEM block\n'],
    [
      '-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n',
      'unable to load root certificates: no valid certificate authority data seen\n',
    ],
  ])('has the caBundle %j says so', async (bundle, text) => {
    await register({ caBundle: Buffer.from(bundle).toString('base64') });
    expect(await call(FLUNDERS)).toMatchObject({ code: 500, text });
  });

  test('is not to be checked is reached whatever it shows', async () => {
    extension.behaviours.set(FLUNDERS, json({ ok: true }));
    await register({ caBundle: undefined, insecureSkipTLSVerify: true });
    expect(await call(FLUNDERS)).toMatchObject({ code: 200, text: '{"ok":true}' });
  });

  test('answers its discovery with an error is not available until it does not', async () => {
    extension.behaviours.set(ROOT, json({}, 500));
    await server.server.registry.create(corev1.services, {
      metadata: { name: 'api', namespace: 'wardle' },
      spec: { type: 'ExternalName', externalName: 'localhost' },
    });
    await send('POST', API_SERVICES, apiService());
    const url = `https://localhost:${extension.port}${ROOT}`;
    await expect
      .poll(() => condition())
      .toBe(
        `False FailedDiscoveryCheck: failing or missing response from ${url}: bad status from ${url}: 500`,
      );
    expect(asked(ROOT)).toMatchObject({
      client: 'front-proxy-client',
      headers: { 'x-remote-user': 'system:kube-aggregator' },
    });
    extension.behaviours.set(ROOT, json(RESOURCES));
    await expect.poll(() => condition()).toBe('True Passed: all checks passed');
    const { text } = await call('/metrics');
    expect(text).toContain(`aggregator_unavailable_apiservice{name="${NAME}"} 0`);
  });

  test('becomes a local one is available, and no longer asked', async () => {
    await register();
    const patched = await send(
      'PATCH',
      `${API_SERVICES}/${NAME}`,
      { spec: { service: null, caBundle: null } },
      'application/merge-patch+json',
    );
    expect(patched.code, patched.text).toBe(200);
    await expect.poll(() => condition()).toBe('True Local: Local APIServices are always available');
    expect((await call(FLUNDERS)).code).toBe(404);
    expect(await inDiscovery()).toBe('absent');
  });

  test('loses its Service is counted', async () => {
    await register();
    await server.server.registry.delete(corev1.services, 'wardle', 'api', {});
    await expect.poll(() => condition()).toMatch(/^False ServiceNotFound/);
    await expect
      .poll(async () => (await call('/metrics')).text)
      .toContain(`aggregator_unavailable_apiservice_total{name="${NAME}",reason="ServiceNotFound"} `);
    await call(`${API_SERVICES}/${NAME}`, { method: 'DELETE' });
    await expect
      .poll(async () => (await call('/metrics')).text)
      .not.toContain(`aggregator_unavailable_apiservice{name="${NAME}"}`);
  });
});

test('the API of APIServices themselves cannot be given away', async () => {
  const name = 'v1.apiregistration.k8s.io';
  const service = { namespace: 'wardle', name: 'api' };
  const spec = { group: 'apiregistration.k8s.io', version: 'v1', service };
  const created = await send('POST', API_SERVICES, {
    metadata: { name },
    spec: { ...spec, groupPriorityMinimum: 1, versionPriority: 1 },
  });
  expect(created.code, created.text).toBe(201);
  await expect
    .poll(async () => (await call(`${API_SERVICES}/${name}`)).text)
    .toContain('"reason":"ServiceNotFound"');
  expect((await call(API_SERVICES)).code).toBe(200);
  expect((await discovered())[0]).toMatchObject({
    metadata: { name: 'apiregistration.k8s.io' },
    versions: [{ freshness: 'Current' }],
  });
  expect((await call(`${API_SERVICES}/${name}`, { method: 'DELETE' })).code).toBe(200);
});

describe('discovery', () => {
  test('has its group, by priority, in all forms', async () => {
    await register();
    const { groups } = JSON.parse((await call('/apis')).text) as {
      groups: { name: string; preferredVersion: object }[];
    };
    const names = groups.map(({ name }) => name);
    expect(names[0]).toBe('apiregistration.k8s.io');
    expect(names.at(-1)).toBe(GROUP);
    const version = { groupVersion: `${GROUP}/v1alpha1`, version: 'v1alpha1' };
    const group = { name: GROUP, versions: [version], preferredVersion: version };
    expect(groups.at(-1)).toEqual(group);
    expect(JSON.parse((await call(`/apis/${GROUP}`)).text)).toMatchObject(group);
    expect(JSON.parse((await call(ROOT)).text)).toEqual(RESOURCES);
    await expect.poll(() => inDiscovery()).toBe('Current');
    expect((await discovered()).at(-1)?.versions).toEqual([
      {
        version: 'v1alpha1',
        freshness: 'Current',
        resources: [
          {
            resource: 'flunders',
            responseKind: { group: '', version: '', kind: 'Flunder' },
            scope: 'Namespaced',
            singularResource: 'flunder',
            verbs: ['get', 'list'],
            subresources: [
              {
                subresource: 'status',
                responseKind: { group: '', version: '', kind: 'Flunder' },
                verbs: ['get'],
              },
            ],
          },
        ],
      },
    ]);

    await send(
      'PATCH',
      `${API_SERVICES}/${NAME}`,
      { spec: { groupPriorityMinimum: 19_000 } },
      'application/merge-patch+json',
    );
    await expect.poll(async () => (await discovered())[1]?.metadata.name).toBe(GROUP);
  });

  test('takes what the server says in one answer, and asks whether it has changed', async () => {
    const flunders = {
      resource: 'flunders',
      responseKind: { group: GROUP, version: 'v1alpha1', kind: 'Flunder' },
      scope: 'Namespaced',
      singularResource: 'flunder',
      verbs: ['list'],
    };
    const list = {
      kind: 'APIGroupDiscoveryList',
      items: [{ metadata: { name: GROUP }, versions: [{ version: 'v1alpha1', resources: [flunders] }] }],
    };
    extension.behaviours.set('/apis', ({ headers }, response) => {
      if (headers['if-none-match'] === '"one"') response.writeHead(304).end();
      else response.writeHead(200, { 'content-type': AGGREGATED, etag: '"one"' }).end(JSON.stringify(list));
    });
    await register();
    await expect.poll(() => inDiscovery()).toBe('Current');
    expect((await discovered()).at(-1)?.versions[0]?.resources).toEqual([flunders]);
    expect(asked('/apis')?.headers).toMatchObject({
      'x-remote-user': 'system:kube-aggregator',
      'x-remote-group': 'system:masters',
    });
    await send(
      'PATCH',
      `${API_SERVICES}/${NAME}`,
      { metadata: { labels: { a: 'b' } } },
      'application/merge-patch+json',
    );
    await expect.poll(() => asked('/apis')?.headers['if-none-match']).toBe('"one"');
    expect(await inDiscovery()).toBe('Current');
    expect((await discovered()).at(-1)?.versions[0]?.resources).toEqual([flunders]);
  });

  test.each<[string, unknown]>([
    ['no object', []],
    ['other things than resources', { resources: [1] }],
    ['verbs that are none', { resources: [{ name: 'a', verbs: [{}] }] }],
    ['scopes that contradict each other', { resources: [{ name: 'a', namespaced: true }, { name: 'a/b' }] }],
  ])('of a server that answers with %s is stale', async (_, answer) => {
    await register();
    await expect.poll(() => inDiscovery()).toBe('Current');
    extension.behaviours.set(ROOT, json(answer));
    await send(
      'PATCH',
      `${API_SERVICES}/${NAME}`,
      { metadata: { labels: { changed: 'yes' } } },
      'application/merge-patch+json',
    );
    await expect.poll(() => inDiscovery()).toBe('Stale');
    expect((await discovered()).at(-1)?.versions).toEqual([{ version: 'v1alpha1', freshness: 'Stale' }]);
  });
});

describe('OpenAPI', () => {
  const swagger = {
    swagger: '2.0',
    paths: {
      [`${ROOT}/flunders`]: {
        get: {
          produces: ['application/json'],
          responses: { 200: { schema: { $ref: '#/definitions/com.example.Flunder' } } },
        },
      },
      '/version/': { get: { responses: { 200: { schema: { $ref: '#/definitions/Info' } } } } },
    },
    definitions: { 'com.example.Flunder': { type: 'object' }, Info: { type: 'object' } },
  };
  const merged = async (): Promise<{ paths: object; definitions: object }> =>
    JSON.parse((await call('/openapi/v2')).text) as { paths: object; definitions: object };

  test('version 2 has the paths of the server, version 3 leads to it', async () => {
    const path = `apis/${GROUP}/v1alpha1`;
    const url = `/openapi/v3/${path}?hash=A`;
    extension.behaviours.set('/openapi/v2', json(swagger));
    extension.behaviours.set(
      '/openapi/v3',
      json({
        paths: {
          [path]: { serverRelativeURL: url },
          'apis/apps/v1': { serverRelativeURL: '/openapi/v3/apis/apps/v1?hash=EVIL' },
          elsewhere: { serverRelativeURL: 'https://evil.example.com/' },
        },
      }),
    );
    extension.behaviours.set(`/openapi/v3/${path}`, json({ openapi: '3.0.0' }));
    await register();
    await expect
      .poll(async () => (await merged()).paths, { timeout: 5_000 })
      .toHaveProperty([`${ROOT}/flunders`]);
    const document = await merged();
    expect(document.paths).not.toHaveProperty(['/version/']);
    expect(document.paths).toHaveProperty(['/apis/apps/v1/deployments']);
    expect(document.definitions).toHaveProperty(['com.example.Flunder']);
    expect(document.definitions).not.toHaveProperty(['Info']);
    expect(asked('/openapi/v2')?.headers['x-remote-user']).toBe('system:aggregator');

    const { paths } = JSON.parse((await call('/openapi/v3')).text) as {
      paths: Record<string, { serverRelativeURL: string }>;
    };
    expect(paths[path]).toEqual({ serverRelativeURL: url });
    expect(paths['apis/apps/v1']?.serverRelativeURL).not.toContain('EVIL');
    expect(paths).not.toHaveProperty('elsewhere');
    expect(await call(url)).toMatchObject({ code: 200, text: '{"openapi":"3.0.0"}' });
    expect(asked(`/openapi/v3/${path}`)?.headers['x-remote-user']).toBe('alice');

    await call(`${API_SERVICES}/${NAME}`, { method: 'DELETE' });
    await expect.poll(async () => (await merged()).paths).not.toHaveProperty([`${ROOT}/flunders`]);
    expect((await call(url)).code).toBe(404);
  });

  test('version 3 is made of version 2 for a server that has only that', async () => {
    extension.behaviours.set('/openapi/v2', json(swagger));
    await register();
    const path = `apis/${GROUP}/v1alpha1`;
    const index = async (): Promise<Record<string, { serverRelativeURL: string }>> =>
      (
        JSON.parse((await call('/openapi/v3')).text) as {
          paths: Record<string, { serverRelativeURL: string }>;
        }
      ).paths;
    await expect.poll(index, { timeout: 5_000 }).toHaveProperty([path]);
    const { text } = await call((await index())[path]?.serverRelativeURL ?? '');
    expect(JSON.parse(text)).toMatchObject({
      openapi: '3.0.0',
      paths: {
        [`${ROOT}/flunders`]: {
          get: {
            responses: {
              200: {
                content: {
                  'application/json': { schema: { $ref: '#/components/schemas/com.example.Flunder' } },
                },
              },
            },
          },
        },
      },
      components: { schemas: { 'com.example.Flunder': { type: 'object' } } },
    });
  });
});
