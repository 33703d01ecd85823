import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createMetrics, realClock, silentLogger } from '@k8ts/base';
import { FakeApi } from '@k8ts/client/testing';
import { createSimulatedRuntime } from '@k8ts/cri';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { NOTHING_RUNS } from '../pod/runtime-state.ts';
import { testPod } from '../testing/pods.ts';
import { createAuthenticator, createAuthorizer, nodeAttributes } from './authentication.ts';
import { createKubeletServer, type KubeletServer } from './kubelet-server.ts';
import { route } from './routes.ts';
import type { ServedNode } from './served-node.ts';

let server: KubeletServer;
let port: number;
let directory: string;
let pems: Record<string, string>;
const asked: string[] = [];

function certificates(): Record<string, string> {
  directory = mkdtempSync(join(tmpdir(), 'kubelet-server-'));
  const openssl = (...args: string[]): void =>
    void execFileSync('openssl', args, { cwd: directory, stdio: 'ignore' });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/CN=ca', '-days', '1');
  openssl(
    'req',
    '-x509',
    ...newKey,
    '-keyout',
    'stranger.key',
    '-out',
    'stranger.crt',
    '-subj',
    '/O=system:masters/CN=admin',
    '-days',
    '1',
  );
  for (const [name, subject] of [
    ['server', '/CN=node-1'],
    ['client', '/O=readers/CN=reader'],
  ] as const) {
    openssl('req', ...newKey, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject);
    openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-out',
      `${name}.crt`,
      '-days',
      '1',
    );
  }
  const names = ['ca', 'server', 'client', 'stranger'].flatMap((name) => [`${name}.key`, `${name}.crt`]);
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(directory, name), 'utf8')]));
}

beforeAll(async () => {
  pems = certificates();
  const api = new FakeApi();
  api.intercept(({ method, path, body }) => {
    if (method !== 'POST') return undefined;
    if (path.endsWith('/tokenreviews')) {
      const { token } = (body as { spec: { token: string } }).spec;
      asked.push(`token ${token}`);
      return {
        status: token === 'good' ? { authenticated: true, user: { username: 'robot', groups: ['g'] } } : {},
      };
    }
    const { user, resourceAttributes } = (
      body as { spec: { user: string; resourceAttributes: Record<string, string> } }
    ).spec;
    const { verb, subresource, name } = resourceAttributes;
    asked.push(`${user} ${verb} nodes/${subresource} ${name}`);
    return { status: { allowed: user === 'robot' || subresource === 'pods' } };
  });
  const runtime = createSimulatedRuntime({ clock: realClock });
  const node: ServedNode = {
    nodeName: 'node-1',
    runtime,
    node: () => undefined,
    pods: () => [testPod()],
    findPod: (_namespace, name) => (name === 'web' ? testPod() : undefined),
    state: async () => NOTHING_RUNS,
    collectMetrics: () => metrics.gauge({ name: 'kubelet_running_pods', help: 'x' }).set(3),
  };
  const metrics = createMetrics();
  server = createKubeletServer({
    nodes: () => [node],
    clock: realClock,
    logger: silentLogger,
    metrics,
    authenticate: createAuthenticator(api.client, realClock),
    authorize: createAuthorizer(api.client, realClock),
    tls: { cert: pems['server.crt'] ?? '', key: pems['server.key'] ?? '', clientCa: pems['ca.crt'] ?? '' },
  });
  port = await server.listen(0, '127.0.0.1');
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

function get(
  path: string,
  { who, token, method = 'GET' }: { who?: 'client' | 'stranger'; token?: string; method?: string } = {},
): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const call = request(
      {
        host: '127.0.0.1',
        port,
        path,
        method,
        ca: pems['ca.crt'],
        checkServerIdentity: () => undefined,
        agent: false,
        ...(who === undefined ? {} : { cert: pems[`${who}.crt`], key: pems[`${who}.key`] }),
        ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }),
      },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () => resolve([response.statusCode ?? 0, text]));
      },
    );
    call.on('error', reject);
    call.end();
  });
}

describe("the kubelet's API over TLS", () => {
  it('knows callers by certificate or token, and nobody else', async () => {
    expect(await get('/pods')).toEqual([401, 'Unauthorized\n']);
    expect(await get('/pods', { who: 'stranger' })).toEqual([401, 'Unauthorized\n']);
    expect(await get('/pods', { token: 'bad' })).toEqual([401, 'Unauthorized\n']);
    expect((await get('/pods', { who: 'client' }))[0]).toBe(200);
    expect((await get('/pods', { token: 'good' }))[0]).toBe(200);
    asked.length = 0;
    await get('/pods', { token: 'good' });
    expect(asked).toEqual([]); // answers are kept
  });

  it('asks whether they may', async () => {
    asked.length = 0;
    const [code, text] = await get('/containerLogs/default/web/app', { who: 'client' });
    expect([code, text]).toEqual([
      403,
      'Forbidden (user=reader, verb=get, resource=nodes, subresource(s)=[proxy])\n',
    ]);
    expect(asked).toEqual(['reader get nodes/proxy node-1']);
    expect(await get('/metrics', { token: 'good' })).toEqual([
      200,
      expect.stringContaining('kubelet_running_pods 3') as string,
    ]);
  });

  it('says what is not there', async () => {
    const as = { token: 'good' };
    expect(await get('/healthz', as)).toEqual([200, 'ok']);
    expect(await get('/containerLogs/default/none/app', as)).toEqual([404, 'pod does not exist\n']);
    expect(await get('/containerLogs/default/web/none', as)).toEqual([
      404,
      'container "none" not found in pod "web"\n',
    ]);
    expect(await get('/containerLogs/default/web/app?tailLines=x', as)).toMatchObject([
      422,
      expect.any(String),
    ]);
    expect(await get('/exec/default/web/app', as)).toEqual([400, 'Upgrade request required\n']);
    expect(await get('/run/default/web/app', as)).toEqual([405, 'Method Not Allowed\n']);
    expect(await get('/pods', { ...as, method: 'DELETE' })).toEqual([405, 'Method Not Allowed\n']);
    expect((await get('/stats/summary', as))[0]).toBe(200);
    expect(JSON.parse((await get('/pods', as))[1])).toMatchObject({
      kind: 'PodList',
      items: [{ metadata: { name: 'web' } }],
    });
  });
});

describe('paths', () => {
  it('are told apart', () => {
    expect(route('/exec/ns/pod/c')).toEqual({
      kind: 'exec',
      namespace: 'ns',
      pod: 'pod',
      uid: '',
      container: 'c',
    });
    expect(route('/exec/ns/pod/uid/c')).toEqual({
      kind: 'exec',
      namespace: 'ns',
      pod: 'pod',
      uid: 'uid',
      container: 'c',
    });
    expect(route('/portForward/ns/pod/')).toEqual({
      kind: 'portForward',
      namespace: 'ns',
      pod: 'pod',
      uid: '',
    });
    expect(route('/runningpods/')).toEqual({ kind: 'runningpods' });
  });
  for (const path of [
    '/',
    '/exec',
    '/exec/a/b',
    '/containerLogs/a/b/c/d',
    '/portForward/a/b/c/d',
    '/pods/x',
    '/toString',
    '//a/b/c',
    '/exec/%ff/b/c',
    `/${'x'.repeat(5000)}`,
  ])
    it(`refuse ${path.slice(0, 30)}`, () => {
      expect(() => route(path)).toThrow();
    });
  it('need rights as upstream wants them', () => {
    const of = (method: string, path: string): string =>
      nodeAttributes(method, path, 'n')
        .map(({ verb, subresource }) => `${verb} ${subresource}`)
        .join(', ');
    expect(of('GET', '/metrics/resource')).toBe('get metrics');
    expect(of('GET', '/stats/summary')).toBe('get stats');
    expect(of('GET', '/pods')).toBe('get pods, get proxy');
    expect(of('GET', '/podsecrets')).toBe('get proxy');
    expect(of('POST', '/exec/a/b/c')).toBe('create proxy');
    expect(of('GET', '/exec/a/b/c')).toBe('get proxy');
  });
});
