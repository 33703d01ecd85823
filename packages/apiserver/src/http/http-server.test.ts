import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect as connectHttp2, constants } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Authenticator } from '../authentication/contract.ts';
import { ADMIN } from '../testing/identities.ts';
import { createTestServer, type TestServer } from '../testing/test-server.ts';

const MAPS = '/api/v1/namespaces/default/configmaps';
let server: TestServer;
/** The common name of the client certificate of the last request. */
let shown: string | undefined;
let pem: { readonly cert: string; readonly key: string };

const remember: Authenticator = {
  name: 'remember',
  authenticate({ socket }) {
    const subject = socket?.getPeerCertificate().subject as { CN?: string } | undefined;
    shown = subject?.CN;
    return { user: ADMIN };
  },
};

beforeAll(async () => {
  const directory = mkdtempSync(join(tmpdir(), 'k8ts-tls-'));
  const file = (name: string): string => join(directory, name);
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=tester',
      '-keyout',
      file('key'),
      '-out',
      file('cert'),
    ],
    { stdio: 'ignore' },
  );
  pem = { cert: readFileSync(file('cert'), 'utf8'), key: readFileSync(file('key'), 'utf8') };
  rmSync(directory, { recursive: true });
  server = await createTestServer({
    authenticators: [remember],
    tls: { ...pem, clientCa: pem.cert },
    host: '127.0.0.1',
    port: 0,
  });
});
afterAll(() => server[Symbol.asyncDispose]());

const tlsPort = (): number => server.server.address?.port as number;

interface Answered {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: Buffer;
}

async function over2(
  path: string,
  options: {
    method?: string;
    body?: string;
    headers?: Record<string, string>;
    withCertificate?: boolean;
  } = {},
): Promise<Answered> {
  const session = connectHttp2(`https://127.0.0.1:${tlsPort()}`, {
    rejectUnauthorized: false,
    ...(options.withCertificate === true ? pem : {}),
  });
  try {
    const stream = session.request({ ':path': path, ':method': options.method ?? 'GET', ...options.headers });
    stream.end(options.body);
    const [headers] = (await once(stream, 'response')) as [Record<string, string>];
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    return { status: Number(headers[constants.HTTP2_HEADER_STATUS]), headers, body: Buffer.concat(chunks) };
  } finally {
    session.close();
  }
}

async function over1(
  path: string,
  options: { method?: string; body?: string | Buffer; headers?: Record<string, string> } = {},
): Promise<Answered> {
  const outgoing = httpRequest(`${server.url}${path}`, {
    method: options.method ?? 'GET',
    headers: options.headers ?? {},
  });
  outgoing.on('error', () => undefined);
  outgoing.end(options.body);
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode as number, headers: response.headers, body: Buffer.concat(chunks) };
}

interface Parsed {
  readonly message: string;
  readonly data: object;
  readonly items: readonly object[];
}

const parse = (bytes: Buffer): Parsed => JSON.parse(bytes.toString()) as Parsed;
const json = (answer: Answered): Parsed => parse(answer.body);

describe('HTTP/2', () => {
  test('serves requests, with the client certificate of the connection', async () => {
    const made = await over2(MAPS, {
      method: 'POST',
      body: JSON.stringify({ metadata: { name: 'h2' } }),
      headers: { 'content-type': 'application/json' },
      withCertificate: true,
    });
    expect(made.status).toBe(201);
    expect(shown).toBe('tester');
    expect((await over2(`${MAPS}/h2`)).status).toBe(200);
    expect(shown).toBeUndefined();
    expect((await over2(`${MAPS}/none`)).status).toBe(404);
  });

  test('a HEAD has no body', async () => {
    const head = await over2(`${MAPS}/h2`, { method: 'HEAD' });
    expect(head).toMatchObject({ status: 200, body: Buffer.alloc(0) });
    expect(Number(head.headers['content-length'])).toBeGreaterThan(100);
  });

  test('a stream that the client resets ends its watch', async () => {
    const session = connectHttp2(`https://127.0.0.1:${tlsPort()}`, { rejectUnauthorized: false });
    const stream = session.request({ ':path': `${MAPS}?watch=1` });
    await once(stream, 'response');
    stream.close(constants.NGHTTP2_CANCEL);
    await once(stream, 'close');
    session.close();
    expect((await over2('/livez')).status).toBe(200);
  });

  test('a body that does not come in time costs its stream, not the connection', async () => {
    const session = connectHttp2(`https://127.0.0.1:${tlsPort()}`, { rejectUnauthorized: false });
    const stream = session.request({
      ':method': 'POST',
      ':path': `${MAPS}?timeout=100ms`,
      'content-type': 'application/json',
    });
    stream.write('{"metadata":');
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    expect(headers[constants.HTTP2_HEADER_STATUS]).toBe(504);
    stream.resume();
    await once(stream, 'close');
    const next = session.request({ ':path': '/livez' });
    const [answer] = (await once(next, 'response')) as [Record<string, unknown>];
    expect(answer[constants.HTTP2_HEADER_STATUS]).toBe(200);
    session.destroy();
  });
});

describe('answers', () => {
  test('warn of what is deprecated', async () => {
    const warning = '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"';
    expect((await over1('/api/v1/endpoints')).headers.warning).toBe(warning);
    expect((await over1('/api/v1/namespaces/default/endpoints/none')).headers.warning).toBe(warning);
    expect((await over1(MAPS)).headers.warning).toBeUndefined();
  });

  test('carry the usual headers', async () => {
    const { headers } = await over1(`${MAPS}/h2`, { headers: { 'audit-id': 'given' } });
    expect(headers).toMatchObject({
      'audit-id': 'given',
      'cache-control': 'no-cache, private',
      'content-type': 'application/json',
    });
  });

  test('are compressed above 128 kB when asked', async () => {
    const data = { key: 'x'.repeat(200_000) };
    await over1(MAPS, {
      method: 'POST',
      body: JSON.stringify({ metadata: { name: 'big' }, data }),
      headers: { 'content-type': 'application/json' },
    });
    const headers = { 'accept-encoding': 'gzip' };
    const big = await over1(`${MAPS}/big`, { headers });
    expect(big.headers['content-encoding']).toBe('gzip');
    expect(parse(gunzipSync(big.body)).data).toEqual(data);
    expect((await over1(`${MAPS}/h2`, { headers })).headers['content-encoding']).toBeUndefined();
    expect((await over1(`${MAPS}/big`)).headers['content-encoding']).toBeUndefined();
    expect(parse(gunzipSync((await over1(MAPS, { headers })).body)).items).toHaveLength(2);
  });

  test.each<[string, string, string]>([
    ['application/yaml', 'application/yaml', 'kind: ConfigMap'],
    ['application/json;as=Table;v=v1;g=meta.k8s.io', 'application/json', '"kind":"Table"'],
    [
      'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io',
      'application/json',
      '"kind":"PartialObjectMetadata"',
    ],
    ['application/vnd.kubernetes.protobuf', 'application/vnd.kubernetes.protobuf', 'k8s\0'],
    ['text/html;q=0.9,application/yaml;q=0.5,application/json;q=0.4', 'application/yaml', 'apiVersion: v1'],
    [
      'application/json;as=Table;v=v9;g=meta.k8s.io,application/json',
      'application/json',
      '"kind":"ConfigMap"',
    ],
  ])('as %s', async (accept, type, text) => {
    const { status, headers, body } = await over1(`${MAPS}/h2`, { headers: { accept } });
    expect(status).toBe(200);
    expect(headers['content-type']).toBe(type);
    expect(body.toString()).toContain(text);
  });

  test('in no known form are 406', async () => {
    const answer = await over1(`${MAPS}/h2`, { headers: { accept: 'text/html' } });
    expect(answer.status).toBe(406);
    expect(json(answer).message).toBe(
      'only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf',
    );
  });

  test('to curl are indented', async () => {
    const { body } = await over1(`${MAPS}/h2`, { headers: { 'user-agent': 'curl/8' } });
    expect(body.toString()).toContain('{\n  "kind": "ConfigMap"');
  });
});

describe('hostile requests', () => {
  const post = (body: string | Buffer, type = 'application/json'): Promise<Answered> =>
    over1(MAPS, { method: 'POST', body, headers: { 'content-type': type } });

  test.each<[string, () => Promise<Answered>, number]>([
    ['a body above 3 MiB', () => post(Buffer.alloc(3 * 1024 * 1024 + 1, ' ')), 413],
    ['broken JSON', () => post('{"metadata":'), 400],
    ['an empty body', () => post(''), 400],
    ['a number', () => post('5'), 400],
    ['null', () => post('null'), 422],
    ['very deep JSON', () => post(`{"data":${'['.repeat(100_000)}${']'.repeat(100_000)}}`), 400],
    ['deep objects', () => post(`${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`), 400],
    ['bytes that are no UTF-8', () => post(Buffer.from([0x7b, 0xff, 0xfe, 0x7d])), 400],
    ['an unknown media type', () => post('{}', 'text/plain'), 415],
    ['protobuf that is none', () => post('{}', 'application/vnd.kubernetes.protobuf'), 400],
    [
      'protobuf cut off',
      () => post(Buffer.from('k8s\0\x0a\x7f'), 'application/vnd.kubernetes.protobuf'),
      400,
    ],
    ['broken YAML', () => post('a: [', 'application/yaml'), 400],
    [
      'YAML that explodes',
      () =>
        post(
          `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n`,
          'application/yaml',
        ),
      400,
    ],
    ['__proto__ as metadata', () => post('{"__proto__":{"metadata":{"name":"x"}}}'), 422],
    ['metadata as a list', () => post('{"metadata":[]}'), 400],
    ['a name as an object', () => post('{"metadata":{"name":{}}}'), 400],
    ['a path with a broken escape', () => over1(`${MAPS}/%zz`), 404],
    ['a name with an encoded slash', () => over1(`${MAPS}/a%2Fb`), 404],
    ['a namespace of dots', () => over1('/api/v1/namespaces/../configmaps/x'), 404],
    ['an unknown resource', () => over1('/api/v1/namespaces/default/widgets'), 404],
    ['an unknown subresource', () => over1(`${MAPS}/h2/status`), 404],
    ['an unknown method', () => over1(`${MAPS}/h2`, { method: 'OPTIONS' }), 405],
    [
      'a POST to an object',
      () =>
        over1(`${MAPS}/h2`, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }),
      405,
    ],
    ['a namespaced object without namespace', () => over1('/api/v1/configmaps/h2'), 404],
    ['exec without upgrade', () => over1('/api/v1/namespaces/default/pods/p/exec?command=x'), 404],
  ])('%s', async (_name, ask, status) => {
    const answer = await ask();
    expect(answer.status).toBe(status);
    expect(json(answer)).toMatchObject({ kind: 'Status', code: status });
  });

  test('413 says the limit', async () => {
    const answer = await post(Buffer.alloc(4 * 1024 * 1024, ' '));
    expect(json(answer).message).toBe('Request entity too large: limit is 3145728');
  });

  test('a chunked body beyond the limit is cut off', async () => {
    const outgoing = httpRequest(`${server.url}${MAPS}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    });
    outgoing.on('error', () => undefined);
    for (let at = 0; at < 5; at++) outgoing.write(Buffer.alloc(1024 * 1024, ' '));
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(413);
    outgoing.destroy();
  });

  test('headers beyond the limit are 431', async () => {
    const answer = await over1('/livez', { headers: { big: 'x'.repeat(100_000) } });
    expect(answer.status).toBe(431);
  });

  test.each(['\x16\x03\x01garbage', 'GET / HTTP/9.9\r\n\r\n', '\r\n\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\n'])(
    'bytes that are no HTTP (%j) harm nobody',
    async (bytes) => {
      const socket = connectTcp(server.server.plainAddress?.port as number, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.end(bytes);
      socket.resume();
      await once(socket, 'close');
      expect((await over1('/livez')).status).toBe(200);
    },
  );

  test('no TLS on the TLS port, and a client that leaves in the middle, harm nobody', async () => {
    const plain = connectTcp(tlsPort(), '127.0.0.1');
    plain.on('error', () => undefined);
    plain.write('GET / HTTP/1.1\r\n\r\n');
    plain.resume();
    await once(plain, 'close');
    const tls = connectTls({ port: tlsPort(), host: '127.0.0.1', rejectUnauthorized: false });
    await once(tls, 'secureConnect');
    tls.write(
      `POST ${MAPS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`,
    );
    tls.destroy();
    expect((await over2('/livez')).status).toBe(200);
  });
});

describe('the end', () => {
  test('watches end, ports close, requests are refused', async () => {
    const ending = await createTestServer({ tls: pem, host: '127.0.0.1', port: 0 });
    const watch = await fetch(`${ending.url}${MAPS}?watch=1`);
    const ended = watch.text().catch(() => 'cut off');
    await ending[Symbol.asyncDispose]();
    expect(typeof (await ended)).toBe('string');
    await expect(fetch(`${ending.url}/livez`)).rejects.toThrow();
  });
});
