import { setMaxListeners } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { corev1 } from '@k8ts/api';
import {
  isConflict,
  isExpired,
  isNotFound,
  isTooManyRequests,
  notFound,
  tooManyRequests,
} from '@k8ts/apimachinery';
import { VirtualClock, realClock } from '@k8ts/base';
import { afterEach, describe, expect, it } from 'vitest';

import { createClient } from './client.ts';
import { createHttpTransport } from './http-transport.ts';
import type { HttpTransportOptions } from './http-transport.ts';
import { TEST_CERT, TEST_KEY } from './testing/test-certificate.ts';

type Request = IncomingMessage | Http2ServerRequest;
type Response = ServerResponse | Http2ServerResponse;
type Handler = (request: Request, response: ServerResponse, body: string) => void;

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const PROTOCOLS = ['HTTP/2', 'HTTP/1.1 over TLS', 'plain HTTP/1.1'] as const;
type Protocol = (typeof PROTOCOLS)[number];

interface Running {
  readonly url: string;
  /** Connections opened so far. */
  readonly connections: () => number;
  readonly stop: () => Promise<void>;
}

async function serve(
  protocol: Protocol,
  handler: Handler,
  settings: { maxConcurrentStreams?: number } = {},
): Promise<Running> {
  const listener = (request: Request, response: Response): void => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => handler(request, response as ServerResponse, Buffer.concat(chunks).toString()));
  };
  const tls = { cert: TEST_CERT, key: TEST_KEY };
  const server: Server =
    protocol === 'HTTP/2'
      ? createSecureServer({ ...tls, settings }, listener)
      : protocol === 'plain HTTP/1.1'
        ? createHttpServer(listener)
        : createHttpsServer(tls, listener);
  const sockets = new Set<Socket>();
  let opened = 0;
  server.on(protocol === 'plain HTTP/1.1' ? 'connection' : 'secureConnection', (socket: Socket) => {
    opened++;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  cleanups.push(stop);
  const { port } = server.address() as AddressInfo;
  const scheme = protocol === 'plain HTTP/1.1' ? 'http' : 'https';
  return { url: `${scheme}://127.0.0.1:${port}`, connections: () => opened, stop };
}

function connect(server: Running, options: Partial<HttpTransportOptions> = {}) {
  const transport = createHttpTransport({ server: server.url, ca: TEST_CERT, ...options });
  cleanups.push(async () => {
    await transport[Symbol.asyncDispose]();
  });
  return { transport, client: createClient(transport) };
}

function json(
  response: ServerResponse,
  value: unknown,
  code = 200,
  headers: Record<string, string> = {},
): void {
  response.writeHead(code, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(value));
}

const pod = (name: string, resourceVersion = '1') => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, resourceVersion },
});

describe.each(PROTOCOLS)('%s', (protocol) => {
  it('sends what was asked and returns what was answered', async () => {
    const seen: unknown[] = [];
    const server = await serve(protocol, (request, response, body) => {
      const { accept, authorization, 'content-type': type, 'user-agent': agent } = request.headers;
      seen.push([request.method, request.url, accept, authorization, type, agent, body]);
      json(response, pod('web'));
    });
    const { client } = connect(server, { token: 'secret', userAgent: 'test/1' });
    const pods = client.resource(corev1.pods, 'default');
    expect(await pods.get('web')).toEqual(pod('web'));
    await pods.patch('web', { a: 'ü' }, { type: 'merge', fieldManager: 'm' });
    await pods.delete('web', { gracePeriodSeconds: 0 });
    const path = '/api/v1/namespaces/default/pods/web';
    const common = ['application/json', 'Bearer secret'];
    expect(seen).toEqual([
      ['GET', path, ...common, undefined, 'test/1', ''],
      ['PATCH', `${path}?fieldManager=m`, ...common, 'application/merge-patch+json', 'test/1', '{"a":"ü"}'],
      [
        'DELETE',
        path,
        ...common,
        'application/json',
        'test/1',
        '{"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":0}',
      ],
    ]);
  });

  it("throws the server's Status, and makes one where there is none", async () => {
    const server = await serve(protocol, (request, response) => {
      if (request.url?.endsWith('/a') === true)
        json(response, notFound({ group: '', resource: 'pods' }, 'a').status, 404);
      else if (request.url?.endsWith('/b') === true) response.writeHead(409).end('<html>proxy</html>');
      else response.writeHead(502).end('bad gateway');
    });
    const pods = connect(server).client.resource(corev1.pods, 'default');
    await expect(pods.get('a')).rejects.toSatisfy(
      (error: Error) => isNotFound(error) && error.message === 'pods "a" not found',
    );
    await expect(pods.get('b')).rejects.toSatisfy(isConflict);
    await expect(pods.get('c')).rejects.toThrow('an error on the server ("bad gateway") has prevented');
  });

  it('names the items of a list', async () => {
    const server = await serve(protocol, (_, response) => {
      json(response, {
        apiVersion: 'v1',
        kind: 'PodList',
        metadata: { resourceVersion: '5' },
        items: [{ metadata: { name: 'web' } }],
      });
    });
    const list = await connect(server)
      .client.resource(corev1.pods)
      .list({ limit: 500, labelSelector: 'a=b,c' });
    expect(list.items).toEqual([{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web' } }]);
  });

  it('decodes a watch, however its bytes are cut, and throws its ERROR', async () => {
    const lines = [
      JSON.stringify({ type: 'ADDED', object: pod('ä') }),
      JSON.stringify({ type: 'MODIFIED', object: pod('b') }),
      JSON.stringify({
        type: 'ERROR',
        object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old', status: 'Failure' },
      }),
    ];
    const bytes = Buffer.from(`${lines.join('\n')}\n`);
    const server = await serve(protocol, (request, response) => {
      expect(request.url).toBe('/api/v1/pods?resourceVersion=7&watch=true&allowWatchBookmarks=true');
      response.writeHead(200, { 'content-type': 'application/json' });
      void (async () => {
        for (let start = 0; start < bytes.length; start += 31) {
          response.write(bytes.subarray(start, start + 31));
          await realClock.yield();
        }
      })();
    });
    const events = await connect(server)
      .client.resource(corev1.pods)
      .watch({ resourceVersion: '7', allowWatchBookmarks: true });
    const names: string[] = [];
    await expect(async () => {
      for await (const batch of events) names.push(...batch.map(({ object }) => object.metadata.name));
    }).rejects.toSatisfy(isExpired);
    expect(names).toEqual(['ä', 'b']);
  });

  it('ends a watch that is given up, quietly, and tells the server', async () => {
    let closed = 0;
    const server = await serve(protocol, (_, response) => {
      response.on('close', () => closed++);
      response.writeHead(200);
      response.write(`${JSON.stringify({ type: 'ADDED', object: pod('a') })}\n`);
    });
    const { client } = connect(server);
    const stop = new AbortController();
    const events = await client.resource(corev1.pods).watch({ signal: stop.signal });
    for await (const batch of events) {
      expect(batch).toHaveLength(1);
      stop.abort();
    }
    for await (const _ of await client.resource(corev1.pods).watch()) break;
    await expect.poll(() => closed).toBe(2);
  });

  it('has many watches and requests at once', async () => {
    const server = await serve(
      protocol,
      (request, response) => {
        if (request.url?.includes('watch') === true) {
          response.writeHead(200);
          response.write(`${JSON.stringify({ type: 'ADDED', object: pod('w') })}\n`);
        } else json(response, pod('x'));
      },
      { maxConcurrentStreams: 20 },
    );
    const { client } = connect(server);
    const stop = new AbortController();
    setMaxListeners(0, stop.signal);
    const watches = await Promise.all(
      Array.from({ length: 50 }, () => client.resource(corev1.pods).watch({ signal: stop.signal })),
    );
    const gets = await Promise.all(
      Array.from({ length: 100 }, () => client.resource(corev1.pods, 'default').get('x')),
    );
    expect(gets).toHaveLength(100);
    if (protocol === 'HTTP/2') expect(server.connections()).toBeLessThanOrEqual(10);
    stop.abort();
    for (const watch of watches) for await (const _ of watch);
  });

  it('aborts a request', async () => {
    const server = await serve(protocol, () => undefined); // never answers
    const stop = new AbortController();
    const request = connect(server).client.resource(corev1.pods).list({ signal: stop.signal });
    setTimeout(() => stop.abort(new Error('enough')), 20);
    await expect(request).rejects.toThrow('enough');
  });

  it('gives a request up after its time', async () => {
    const server = await serve(protocol, () => undefined);
    const { client } = connect(server, { requestTimeout: 30 });
    await expect(client.resource(corev1.pods).list()).rejects.toThrow(
      'no answer from the server within 30 ms',
    );
  });

  it('comes back when the server tells it to', async () => {
    let busy = 3;
    const server = await serve(protocol, (_, response) => {
      if (busy-- > 0) json(response, tooManyRequests('busy', 1).status, 429, { 'retry-after': '0' });
      else json(response, pod('a'));
    });
    const pods = connect(server).client.resource(corev1.pods, 'default');
    expect(await pods.get('a')).toEqual(pod('a'));
    busy = 100;
    await expect(pods.get('a')).rejects.toSatisfy(isTooManyRequests);
    expect(busy).toBe(89);
  });

  it('reaches a server that was started again', async () => {
    let server = await serve(protocol, (_, response) => json(response, pod('a')));
    const { port } = new URL(server.url);
    const { client } = connect(server);
    const pods = client.resource(corev1.pods, 'default');
    await pods.get('a');
    await server.stop();
    cleanups.shift();
    await expect(pods.get('a')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    server = await serveAt(protocol, Number(port));
    await expect.poll(async () => (await pods.get('b')).metadata.name).toBe('b');
  });

  it('fails what is under way when it is closed', async () => {
    const server = await serve(protocol, () => undefined);
    const { client, transport } = connect(server);
    const request = expect(client.resource(corev1.pods).list()).rejects.toThrow();
    await expect.poll(server.connections).toBe(1);
    await transport[Symbol.asyncDispose]();
    await request;
  });
});

async function serveAt(protocol: Protocol, port: number): Promise<Running> {
  const listener = (_: Request, response: Response): void => json(response as ServerResponse, pod('b'));
  const tls = { cert: TEST_CERT, key: TEST_KEY };
  const server: Server =
    protocol === 'HTTP/2'
      ? createSecureServer(tls, listener)
      : protocol === 'plain HTTP/1.1'
        ? createHttpServer(listener)
        : createHttpsServer(tls, listener);
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  cleanups.unshift(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: '', connections: () => 0, stop: async () => undefined };
}

describe('security', () => {
  it('refuses a server whose certificate nobody vouches for', async () => {
    const server = await serve('HTTP/2', (_, response) => json(response, {}));
    const transport = createHttpTransport({ server: server.url });
    cleanups.push(async () => {
      await transport[Symbol.asyncDispose]();
    });
    await expect(createClient(transport).raw('/version')).rejects.toMatchObject({
      code: expect.stringMatching(/CERT/) as string,
    });
  });

  it('reads a token file again once a minute', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'k8ts-token-'));
    cleanups.push(() => rm(directory, { recursive: true }));
    const tokenFile = join(directory, 'token');
    await writeFile(tokenFile, 'one\n');
    const seen: (string | undefined)[] = [];
    const server = await serve('plain HTTP/1.1', (request, response) => {
      seen.push(request.headers.authorization);
      json(response, {});
    });
    const clock = new VirtualClock();
    const { client } = connect(server, { tokenFile, clock });
    await client.raw('/version');
    await writeFile(tokenFile, 'two\n');
    await client.raw('/version');
    await clock.advance(60_000);
    await client.raw('/version');
    await rm(tokenFile);
    await clock.advance(60_000);
    await client.raw('/version');
    expect(seen).toEqual(['Bearer one', 'Bearer one', 'Bearer two', 'Bearer two']);
  });

  it('impersonates', async () => {
    const server = await serve('HTTP/2', (request, response) => {
      const { headers } = request;
      json(response, [
        headers['impersonate-user'],
        headers['impersonate-group'],
        headers['impersonate-extra-a%2fb'],
      ]);
    });
    const { client } = connect(server, {
      impersonate: { user: 'jane', groups: ['a', 'b'], extra: { 'a/b': ['x'] } },
    });
    expect(await client.raw('/')).toEqual(['jane', 'a, b', 'x']);
  });

  it.each(['..', '.', ''])('does not let the name %j address something else', async (name) => {
    const server = await serve('plain HTTP/1.1', (_, response) => json(response, {}));
    await expect(connect(server).client.resource(corev1.pods, 'default').get(name)).rejects.toThrow(
      TypeError,
    );
    const path = await pathOf(server, 'a/../../secrets?x=1#y');
    expect(path).toBe('/api/v1/namespaces/default/pods/a%2F..%2F..%2Fsecrets%3Fx%3D1%23y');
  });
});

async function pathOf(server: Running, name: string): Promise<string> {
  const { transport } = connect(server);
  let path = '';
  const client = createClient({
    request: (request) => {
      path = request.path;
      return transport.request(request);
    },
    watch: (request) => transport.watch(request),
  });
  await client.resource(corev1.pods, 'default').get(name);
  return path;
}
