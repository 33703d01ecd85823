import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import { connect as connectTcp, type AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RawData, WebSocket } from 'ws';
import { createTestServer, type TestServer } from '../testing/test-server.ts';
import { tcpBackend, type KubeletConnection } from './dial.ts';
import { podStreamHandlers } from './pod-streams.ts';
import { parseProxyId, proxyHandlers } from './proxies.ts';

let kubelet: Server;
let server: TestServer;
/** Resolves when the log that never ends has lost its reader. */
let followed: Promise<void>;
/** What the kubelet was asked. */
const asked: { method: string; url: string; headers: IncomingMessage['headers']; body: string }[] = [];

/** What reached the kubelet on a connection that it had not given away. */
const smuggled: string[] = [];

beforeAll(async () => {
  kubelet = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      asked.push({ method, url, headers, body });
      if (url.includes('/waiting')) {
        response.writeHead(400).end('container "c" in pod "waiting" is waiting to start: ContainerCreating');
      } else if (url.startsWith('/moved')) {
        response.writeHead(302, { location: '/there?x=1' }).end();
      } else if (url.startsWith('/page')) {
        const page = '<a href="/there">there</a>';
        response.writeHead(200, {
          'content-type': 'text/html; charset=utf-8',
          'content-length': page.length,
        });
        response.end(page);
      } else if (url.includes('sinceSeconds=1234')) {
        followed = new Promise((resolve) => response.once('close', () => resolve()));
        response.write('line 1\n');
      } else {
        response.writeHead(url.startsWith('/teapot') ? 418 : 200, {
          'content-type': 'text/plain',
          'x-from': 'kubelet',
        });
        response.write('line 1\n');
        response.end('line 2\n');
      }
    });
  });
  kubelet.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    const { method = '', url = '', headers } = request;
    asked.push({ method, url, headers, body: '' });
    socket.on('error', () => undefined);
    if (url.startsWith('/declines')) {
      // It stays open, for the next request.
      socket.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
      socket.on('data', (chunk: Buffer) => smuggled.push(chunk.toString()));
      return;
    }
    if (url.startsWith('/attach')) {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
      return;
    }
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${headers.upgrade}\r\n\r\n`,
    );
    socket.on('data', (chunk: Buffer) => socket.write(`echo ${chunk.toString()}`));
  });
  kubelet.listen(0, '127.0.0.1');
  await once(kubelet, 'listening');
  const { port } = kubelet.address() as AddressInfo;
  const backend = tcpBackend('127.0.0.1', port);
  const kubelets: KubeletConnection = {
    forNode: ({ metadata }) => (metadata.name === 'down' ? tcpBackend('127.0.0.1', 1) : backend),
  };
  server = await createTestServer({
    specialHandlers: [...podStreamHandlers(kubelets), ...proxyHandlers(kubelets, { backend: () => backend })],
  });
  const create = (path: string, body: object): Promise<unknown> =>
    server.transport.request({ method: 'POST', path, body });
  for (const name of ['n', 'down']) await create('/api/v1/nodes', { metadata: { name } });
  const pod = async (name: string, nodeName: string | undefined, ...containers: string[]): Promise<void> => {
    await create('/api/v1/namespaces/a/pods', {
      metadata: { name },
      spec: {
        ...(nodeName === undefined ? {} : { nodeName }),
        initContainers: name === 'two' ? [{ name: 'init', image: 'i' }] : [],
        containers: containers.map((container) => ({
          name: container,
          image: 'i',
          ports: [{ containerPort: 8080 }],
        })),
      },
    });
    await server.transport.request({
      method: 'PATCH',
      path: `/api/v1/namespaces/a/pods/${name}/status`,
      contentType: 'application/merge-patch+json',
      body: { status: { podIPs: [{ ip: name === 'two' ? '127.0.0.1' : '10.1.2.3' }] } },
    });
  };
  await pod('one', 'n', 'c');
  await pod('two', 'n', 'a', 'b');
  await pod('waiting', 'n', 'c');
  await pod('unbound', undefined, 'c');
  await pod('lost', 'down', 'c');
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  kubelet.closeAllConnections();
  kubelet.close();
});

const PODS = '/api/v1/namespaces/a/pods';

interface Upgraded {
  readonly status: number;
  readonly socket?: Duplex;
  readonly body?: string;
}

async function upgrade(path: string, headers: Record<string, string> = {}): Promise<Upgraded> {
  const outgoing = httpRequest(`${server.url}${path}`, {
    agent: false,
    headers: {
      connection: 'Upgrade',
      upgrade: 'SPDY/3.1',
      'x-stream-protocol-version': 'v4.channel.k8s.io',
      ...headers,
    },
  });
  outgoing.end();
  return new Promise((resolve, reject) => {
    outgoing.once('upgrade', (response, socket) =>
      resolve({ status: response.statusCode as number, socket }),
    );
    outgoing.once('response', (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.once('close', () => resolve({ status: response.statusCode as number, body }));
    });
    outgoing.once('error', reject);
  });
}

async function get(
  path: string,
  method = 'GET',
  body?: string,
): Promise<{ status: number; text: string; headers: Headers }> {
  const response = await fetch(`${server.url}${path}`, {
    method,
    redirect: 'manual',
    ...(body === undefined ? {} : { body }),
  });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

describe('logs', () => {
  test('come from the kubelet, with its parameters', async () => {
    const log = await get(`${PODS}/one/log?tailLines=5&timestamps=true&follow=true&previous=false`);
    expect(log).toMatchObject({ status: 200, text: 'line 1\nline 2\n' });
    expect(log.headers.get('content-type')).toBe('text/plain');
    expect(asked.at(-1)?.url).toBe('/containerLogs/a/one/c?follow=true&timestamps=true&tailLines=5');
  });

  test.each<[string, number, string]>([
    ['two/log', 400, 'a container name must be specified for pod two, choose one of: [init a b]'],
    ['two/log?container=x', 400, 'container x is not valid for pod two'],
    ['waiting/log', 400, 'container "c" in pod "waiting" is waiting to start: ContainerCreating'],
    ['none/log', 404, 'pods "none" not found'],
    ['lost/log', 503, 'error trying to reach service: dial tcp 127.0.0.1:1:'],
    ['one/log?tailLines=-1', 422, 'tailLines: Invalid value: -1: must be greater than or equal to 0'],
    ['one/log?limitBytes=0', 422, 'limitBytes: Invalid value: 0: must be greater than 0'],
    [
      'one/log?sinceSeconds=1&sinceTime=2020-01-01T00:00:00Z',
      422,
      'at most one of `sinceTime` or `sinceSeconds` may be specified',
    ],
    [
      'one/log?stream=Both',
      422,
      'stream: Unsupported value: "Both": supported values: "All", "Stderr", "Stdout"',
    ],
  ])('%s is %i', async (path, status, message) => {
    const answer = await get(`${PODS}/${path}`);
    expect(answer.status).toBe(status);
    expect((JSON.parse(answer.text) as { message: string }).message).toContain(message);
  });

  test('of a pod without a node are empty', async () => {
    expect(await get(`${PODS}/unbound/log`)).toMatchObject({ status: 204, text: '' });
  });
});

describe('logs over WebSockets', () => {
  const open = (path: string, protocols: readonly string[]): WebSocket =>
    new WebSocket(`${server.url.replace('http', 'ws')}${PODS}/${path}`, [...protocols]);

  const BEARER = `base64url.bearer.authorization.k8s.io.${Buffer.from('token').toString('base64url')}`;
  test.each<[readonly string[], string, boolean]>([
    [[], '', true],
    [['binary.k8s.io'], 'binary.k8s.io', true],
    [['base64.binary.k8s.io'], 'base64.binary.k8s.io', false],
    [['channel.k8s.io', 'base64.binary.k8s.io', 'binary.k8s.io'], 'base64.binary.k8s.io', false],
    [[BEARER, 'binary.k8s.io'], 'binary.k8s.io', true],
  ])('a client of %j is spoken to in %j', async (offered, protocol, binary) => {
    const websocket = open('one/log?follow=true', offered);
    const messages: [Buffer, boolean][] = [];
    websocket.on('message', (data: RawData, isBinary: boolean) => messages.push([data as Buffer, isBinary]));
    const [code] = (await once(websocket, 'close')) as [number];
    expect(code).toBe(1000);
    expect(websocket.protocol).toBe(protocol);
    expect(messages[0]?.[0]).toHaveLength(0);
    expect(messages.every(([, isBinary]) => isBinary === binary)).toBe(true);
    const text = messages.map(([data]) =>
      (binary ? data : Buffer.from(data.toString(), 'base64')).toString(),
    );
    expect(text.join('')).toBe('line 1\nline 2\n');
    expect(asked.at(-1)?.url).toBe('/containerLogs/a/one/c?follow=true');
  });

  test.each<[string, readonly string[], number]>([
    ['one/log', ['channel.k8s.io'], 403],
    ['two/log', ['binary.k8s.io'], 400],
    ['none/log', ['binary.k8s.io'], 404],
  ])('%s for a client of %j is %i', async (path, protocols, status) => {
    const [error] = (await once(open(path, protocols), 'error')) as [Error];
    expect(error.message).toBe(`Unexpected server response: ${status}`);
  });

  test('stop when the client goes', async () => {
    const websocket = open('one/log?container=c&sinceSeconds=1234', ['binary.k8s.io']);
    await once(websocket, 'message');
    websocket.close();
    await followed;
  });
});

describe('streams', () => {
  test.each<[string, string]>([
    [
      'one/exec?command=sh&command=-c&command=a%20b&stdin=true&stdout=true&tty=true',
      '/exec/a/one/c?input=1&output=1&tty=1&command=sh&command=-c&command=a+b',
    ],
    ['two/exec?container=b&command=x&stderr=1', '/exec/a/two/b?error=1&command=x'],
    ['one/portforward?ports=80&ports=90', '/portForward/a/one?port=80%2C90'],
    ['one/portforward', '/portForward/a/one'],
  ])('%s is passed on, and bytes go both ways', async (path, url) => {
    const { status, socket } = await upgrade(`${PODS}/${path}`, { authorization: 'Bearer secret' });
    expect(status).toBe(101);
    expect(asked.at(-1)).toMatchObject({
      method: 'GET',
      url,
      headers: { upgrade: 'SPDY/3.1', 'x-stream-protocol-version': 'v4.channel.k8s.io' },
    });
    expect(asked.at(-1)?.headers.authorization).toBeUndefined();
    socket?.write('hello');
    const [chunk] = (await once(socket as Duplex, 'data')) as [Buffer];
    expect(chunk.toString()).toBe('echo hello');
    socket?.destroy();
  });

  test("the kubelet's refusal reaches the client", async () => {
    expect(await upgrade(`${PODS}/one/attach?stdout=1`)).toMatchObject({ status: 403, body: 'no' });
  });

  test.each<[string, number, string]>([
    ['two/exec?command=x', 400, 'choose one of: [init a b]'],
    ['unbound/exec?command=x', 400, 'pod unbound does not have a host assigned'],
    ['none/exec?command=x', 404, 'pods "none" not found'],
    ['lost/exec?command=x', 500, 'error dialing backend: dial tcp 127.0.0.1:1:'],
    ['one/exec?command=x&dryRun=All', 400, 'dryRun is not supported'],
  ])('%s is %i', async (path, status, message) => {
    const refused = await upgrade(`${PODS}/${path}`);
    expect(refused.status).toBe(status);
    expect(refused.body).toContain(message.replaceAll('"', '\\"'));
  });

  test('a backend that declines gets nothing more on that connection', async () => {
    const client = connectTcp(Number(new URL(server.url).port), '127.0.0.1');
    let answer = '';
    client.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    client.on('error', () => undefined);
    const closed = once(client, 'close');
    client.write(
      'GET /api/v1/nodes/n/proxy/declines HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n' +
        'GET /smuggled-at-once HTTP/1.1\r\nHost: x\r\n\r\n',
    );
    await expect.poll(() => answer).toMatch(/^HTTP\/1.1 403 Forbidden\r\n(.|\r\n)*\r\n\r\nno$/);
    client.write('GET /smuggled-later HTTP/1.1\r\nHost: x\r\n\r\n', () => undefined);
    await closed;
    expect(smuggled).toEqual([]);
  });

  test('say only what the client may say: repeated headers apart, identities dropped', async () => {
    const { socket } = await upgrade('/api/v1/nodes/n/proxy/plain', {
      'x-remote-user': 'system:admin',
      'x-remote-extra-a': 'b',
      authorization: 'Bearer secret',
      'x-kept': 'yes',
    });
    socket?.destroy();
    const { headers } = asked.at(-1) as { headers: IncomingMessage['headers'] };
    expect(headers).toMatchObject({ 'x-kept': 'yes', upgrade: 'SPDY/3.1', connection: 'Upgrade' });
    expect(JSON.stringify(headers)).not.toMatch(/x-remote|secret/);
  });

  test('need an upgrade', async () => {
    expect((await get(`${PODS}/one/exec?command=x`)).text).toContain('Upgrade request required');
  });
});

describe('proxies', () => {
  test('pass on method, path, query and body, and bring back everything', async () => {
    const answer = await get(`${PODS}/one:80/proxy/teapot/a%2Fb?x=1&y=%20`, 'POST', 'tea');
    expect(answer).toMatchObject({ status: 418, text: 'line 1\nline 2\n' });
    expect(answer.headers.get('x-from')).toBe('kubelet');
    expect(asked.at(-1)).toMatchObject({ method: 'POST', url: '/teapot/a%2Fb?x=1&y=%20', body: 'tea' });
    expect(asked.at(-1)?.headers['x-forwarded-uri']).toBe(`${PODS}/one:80/proxy/teapot/a%2Fb?x=1&y=%20`);
  });

  test('do not say who the client says it is, nor what is between it and this server', async () => {
    const response = await fetch(`${server.url}/api/v1/nodes/n/proxy/a`, {
      headers: { 'X-Remote-Group': 'system:masters', 'X-Remote-Extra-Key': 'value', 'X-Kept': 'yes' },
    });
    await response.text();
    const { headers } = asked.at(-1) as { headers: IncomingMessage['headers'] };
    expect(headers['x-kept']).toBe('yes');
    expect(Object.keys(headers).filter((name) => name.startsWith('x-remote'))).toEqual([]);
  });

  test('redirects stay inside', async () => {
    const answer = await get(`${PODS}/one/proxy/moved`);
    expect(answer.headers.get('location')).toBe(`${PODS}/one/proxy/there?x=1`);
  });

  test('links of pages stay inside', async () => {
    const answer = await get(`${PODS}/one/proxy/page`);
    expect(answer.text).toBe(`<a href="${PODS}/one/proxy/there">there</a>`);
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
    const head = await get(`${PODS}/one/proxy/page`, 'HEAD');
    expect(head).toMatchObject({ status: 200, text: '' });
  });

  test('the root needs its slash', async () => {
    const answer = await get(`${PODS}/one/proxy`);
    expect(answer).toMatchObject({ status: 301 });
    expect(answer.headers.get('location')).toBe(`${PODS}/one/proxy/`);
    expect((await get(`${PODS}/one/proxy/`)).status).toBe(200);
  });

  test('reach kubelets', async () => {
    expect((await get('/api/v1/nodes/n/proxy/stats/summary')).status).toBe(200);
    expect(asked.at(-1)?.url).toBe('/stats/summary');
  });

  test('WebSockets go through', async () => {
    const { status, socket } = await upgrade(`${PODS}/one/proxy/ws`, { upgrade: 'websocket' });
    expect(status).toBe(101);
    socket?.destroy();
  });

  test.each<[string, number, string]>([
    [`${PODS}/two/proxy/`, 400, 'address not allowed'],
    [`${PODS}/a:b:c:d/proxy/`, 400, 'invalid pod request "a:b:c:d"'],
    ['/api/v1/namespaces/a/services/none/proxy/', 404, 'services "none" not found'],
  ])('%s is %i', async (path, status, message) => {
    const answer = await get(path);
    expect(answer.status).toBe(status);
    expect(answer.text).toContain(message.replaceAll('"', '\\"'));
  });

  test.each([
    ['web', { scheme: 'http', name: 'web', port: '' }],
    ['web:80', { scheme: 'http', name: 'web', port: '80' }],
    ['https:web:', { scheme: 'https', name: 'web', port: '' }],
    ['ftp:web:80', undefined],
    [':80', undefined],
  ])('the name %s', (id, expected) => {
    expect(parseProxyId(id)).toEqual(expected);
  });
});
