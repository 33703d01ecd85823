import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';

import { realClock } from '@k8ts/base';
import { ExecTimeoutError, type RuntimeService } from '@k8ts/cri';
import { Server as GrpcServer, ServerCredentials, status as grpcStatus } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { testContainer, testPod } from '../testing/index.ts';
import type { Probe } from '../pod/types.ts';
import { httpGet, resolvePort } from './http-target.ts';
import type { ProbeOutcome } from './probe-manager.ts';
import { createProber } from './prober.ts';

let server: Server;
let port: number;
let lastHeaders: Record<string, unknown> = {};

beforeAll(async () => {
  server = createServer((request, response) => {
    lastHeaders = request.headers;
    const path = request.url ?? '';
    if (path === '/slow') return;
    if (path === '/redirect') return void response.writeHead(302, { location: '/ok' }).end();
    if (path === '/away') return void response.writeHead(302, { location: 'http://example.invalid/' }).end();
    if (path === '/loop') return void response.writeHead(302, { location: '/loop' }).end();
    if (path === '/huge') return void response.end('x'.repeat(1_000_000));
    response.writeHead(path === '/ok' ? 200 : 500).end('body');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

function run(probe: Probe, runtime: Partial<RuntimeService> = {}): Promise<ProbeOutcome> {
  const prober = createProber({ clock: realClock, runtime: runtime as RuntimeService, fetch: httpGet });
  return prober({
    pod: testPod(),
    container: testContainer('app', { ports: [{ name: 'web', containerPort: port }] }),
    containerId: 'id',
    purpose: 'readiness',
    probe: { timeoutSeconds: 1, ...probe },
    podIp: '127.0.0.1',
    signal: new AbortController().signal,
  });
}

describe('HTTP probes', () => {
  const get = (path: string, more: object = {}): Promise<ProbeOutcome> =>
    run({ httpGet: { path, port: 'web', ...more } });

  it('pass from 200 to 399, also after redirects', async () => {
    expect(await get('/ok')).toEqual({ verdict: 'Success', output: 'body' });
    expect(await get('redirect')).toEqual({ verdict: 'Success', output: 'body' });
    expect((await get('/huge')).output.length).toBe(10 * 1024);
  });

  it('say what failed', async () => {
    expect(await get('/bad')).toEqual({
      verdict: 'Failure',
      output: 'HTTP probe failed with statuscode: 500',
    });
    expect(await get('/away')).toMatchObject({ verdict: 'Warning' });
    expect((await get('/loop')).output).toContain('stopped after 10 redirects');
    expect(await run({ httpGet: { path: '/x', port: 1 } })).toEqual({
      verdict: 'Failure',
      output: 'Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused',
    });
    expect(await get('/slow')).toEqual({
      verdict: 'Failure',
      output: `Get "http://127.0.0.1:${port}/slow": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`,
    });
  });

  it('send the headers that are asked for', async () => {
    await get('/ok', {
      httpHeaders: [
        { name: 'X-A', value: '1' },
        { name: 'Host', value: 'me' },
      ],
    });
    expect(lastHeaders).toMatchObject({ 'x-a': '1', host: 'me', 'user-agent': 'kube-probe/1.36' });
  });

  it('find ports by name or number', () => {
    const container = testContainer('app', { ports: [{ name: 'web', containerPort: 80 }] });
    expect([resolvePort('web', container), resolvePort('81', container), resolvePort(82, container)]).toEqual(
      [80, 81, 82],
    );
    expect(() => resolvePort('none', container)).toThrow(`couldn't find port: "none" in container "app"`);
    expect(() => resolvePort(0, container)).toThrow('invalid port number: 0');
  });
});

describe('TCP probes', () => {
  it('pass when something listens', async () => {
    const listener = createTcpServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => listener.once('listening', resolve));
    expect(await run({ tcpSocket: { port: (listener.address() as AddressInfo).port } })).toMatchObject({
      verdict: 'Success',
    });
    listener.close();
    expect(await run({ tcpSocket: { port: 1 } })).toEqual({
      verdict: 'Failure',
      output: 'dial tcp 127.0.0.1:1: connect: connection refused',
    });
  });
});

describe('exec probes', () => {
  const result = (exitCode: number) => ({
    execSync: async () => ({ exitCode, stdout: Buffer.from('out'), stderr: Buffer.from('err') }),
  });
  it('pass with exit code 0', async () => {
    expect(await run({ exec: { command: ['x'] } }, result(0))).toEqual({
      verdict: 'Success',
      output: 'outerr',
    });
    expect(await run({ exec: { command: ['x'] } }, result(2))).toEqual({
      verdict: 'Failure',
      output: 'outerr',
    });
    const timeout = { execSync: () => Promise.reject(new ExecTimeoutError('command timed out')) };
    expect(await run({ exec: { command: ['x'] } }, timeout)).toEqual({
      verdict: 'Failure',
      output: 'command timed out',
    });
    await expect(
      run({ exec: { command: ['x'] } }, { execSync: () => Promise.reject(new Error('gone')) }),
    ).rejects.toThrow('gone');
  });
});

describe('gRPC probes', () => {
  it('ask grpc.health.v1', async () => {
    const health = new GrpcServer();
    const answers: Readonly<Record<string, number>> = { '': 1, down: 2 };
    health.addService(
      {
        check: {
          path: '/grpc.health.v1.Health/Check',
          requestStream: false,
          responseStream: false,
          requestSerialize: (value: Buffer) => value,
          requestDeserialize: (value: Buffer) => value,
          responseSerialize: (value: Buffer) => value,
          responseDeserialize: (value: Buffer) => value,
        },
      },
      {
        check: (call: { request: Buffer }, done: (error: object | null, value?: Buffer) => void) => {
          const service = call.request.toString('utf8', 2);
          const answer = answers[service];
          if (answer === undefined) done({ code: grpcStatus.NOT_FOUND, details: 'unknown service' });
          else done(null, Buffer.from([0x08, answer]));
        },
      },
    );
    const grpcPort = await new Promise<number>((resolve, reject) =>
      health.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    try {
      const grpc = (service?: string): Promise<ProbeOutcome> =>
        run({ grpc: { port: grpcPort, ...(service === undefined ? {} : { service }) } });
      expect(await grpc()).toEqual({ verdict: 'Success', output: 'service healthy' });
      expect(await grpc('down')).toEqual({
        verdict: 'Failure',
        output: 'service unhealthy (responded with "NOT_SERVING")',
      });
      expect(await grpc('none')).toMatchObject({
        verdict: 'Failure',
        output: expect.stringContaining('health rpc probe failed') as string,
      });
    } finally {
      health.forceShutdown();
    }
    expect(await run({ grpc: { port: 1 } })).toEqual({
      verdict: 'Failure',
      output: 'timeout: failed to connect service "127.0.0.1:1" within 1s: context deadline exceeded',
    });
  });
});
