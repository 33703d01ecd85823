import { connect } from 'node:tls';

import { corev1 } from '@k8ts/api';
import { seededRandom } from '@k8ts/base';
import { kubeconfigTarget, parseKubeconfig } from '@k8ts/client';
import { describe, expect, it } from 'vitest';

import type { Answer } from '../support/wire.ts';
import { hostileRequest, NAMELESS, type HostileRequest } from './hostile-requests.ts';
import { useSuite } from './support.ts';

const MEBIBYTE = 1 << 20;
/** Other seeds make other requests: `K8TS_FUZZ_SEEDS=100,101`. */
const SEEDS = (process.env['K8TS_FUZZ_SEEDS'] ?? '1,2,3,4').split(',').map(Number);

/** Whatever comes in: an answer that says what is wrong, and a server that goes on. */
describe('hostile input', () => {
  const suite = useSuite({ nodes: 0 });
  const healthy = async (): Promise<void> => {
    expect((await suite.wire.send('GET', '/readyz')).text).toBe('ok');
    const { items } = await suite.client.resource(corev1.namespaces).list();
    expect(items.map(({ metadata }) => metadata.name)).toContain('kube-system');
  };
  const send = ({ method, path, ...options }: HostileRequest): Promise<Answer> =>
    suite.wire.send(method, path, options);

  it.each(SEEDS)('a thousand requests of seed %i', async (seed) => {
    await suite.client
      .resource(corev1.configMaps, 'default')
      .create({ metadata: { name: 'config' }, data: { a: 'b' } })
      .catch(() => undefined); // another seed's
    const random = seededRandom(seed);
    const faults: string[] = [];
    for (let round = 0; round < 50; round++) {
      const requests = Array.from({ length: 20 }, () => hostileRequest(random));
      await Promise.all(
        requests.map(async (request) => {
          const told = `${request.method} ${request.path.slice(0, 200)} ${request.contentType ?? ''} ${String(request.body ?? '').slice(0, 2_000)}`;
          try {
            const answer = await send(request);
            const fault = faultOf(answer);
            if (fault !== undefined) faults.push(`${fault} ← ${told}`);
          } catch (error) {
            faults.push(`${(error as Error).message} ← ${told}`);
          }
        }),
      );
    }
    expect(faults).toEqual([]);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    await healthy();
  });

  it.each([
    [
      'application/json',
      `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"big"},"data":{"a":"${'x'.repeat(4 * MEBIBYTE)}"}}`,
      413,
    ],
    ['application/yaml', `data: "${'x'.repeat(4 * MEBIBYTE)}"`, 413],
    ['application/json', '['.repeat(3 * MEBIBYTE - 10), 400],
    ['application/json', `{"a":${'{"a":'.repeat(400_000)}1`, 400],
    ['application/yaml', `${'['.repeat(100_000)}`, 400],
    ['application/yaml', `${'{a: '.repeat(100_000)}`, 400],
    ['application/yaml', `a: ${'&a '.repeat(1_000)}x`, 400],
    [
      'application/vnd.kubernetes.protobuf',
      Buffer.concat([Buffer.from('k8s\0'), Buffer.alloc(MEBIBYTE, 0x0a)]),
      400,
    ],
    ['application/x-unknown', '{}', 415],
    ['application/json', '', 400],
  ])('a body of %s that is huge, deep or malformed', async (contentType, body, code) => {
    const answer = await suite.wire.send('POST', '/api/v1/namespaces/default/configmaps', {
      contentType,
      body,
    });
    expect([answer.code, answer.text.slice(0, 300)]).toEqual([
      code,
      expect.stringContaining('"kind":"Status"'),
    ]);
    await healthy();
  });

  it('an object without a name, of every kind', async () => {
    for (const request of NAMELESS) {
      const { code, text } = await send(request);
      // Forbidden by admission, invalid, or of a version that is not served.
      expect([403, 404, 422], `${request.path}: ${text.slice(0, 600)}`).toContain(code);
    }
  });

  it('an object that is larger than a request may make it', async () => {
    const configMaps = suite.client.resource(corev1.configMaps, 'default');
    const data = Object.fromEntries([0, 1, 2].map((key) => [`k${key}`, 'x'.repeat(MEBIBYTE / 2)]));
    const { code } = await suite.wire.send('POST', '/api/v1/namespaces/default/configmaps', {
      body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'fat' }, data },
    });
    expect(code).toBe(422); // "must have at most 1048576 bytes"
    expect((await configMaps.list()).items.map(({ metadata }) => metadata.name)).not.toContain('fat');
  });

  it('bytes that are no HTTP, and connections that stop half way', async () => {
    const { transport } = await kubeconfigTarget(parseKubeconfig(suite.cluster.kubeconfig, 'kubeconfig'));
    const { hostname, port } = new URL(transport.server);
    const random = seededRandom(9);
    const noise = Buffer.from(Array.from({ length: 3_000 }, () => Math.floor(random() * 256)));
    const messages = [
      noise,
      Buffer.from('GET / HTTP/9.9\r\n\r\n'),
      Buffer.from(`GET /${'a'.repeat(200_000)} HTTP/1.1\r\nHost: x\r\n\r\n`),
      Buffer.from(`GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(20_000)}\r\n`),
      Buffer.from('POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"a'),
      Buffer.from(
        'POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
      ),
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'.padEnd(400, '\0')),
    ];
    for (const message of messages) {
      await new Promise<void>((resolve) => {
        const socket = connect(
          { host: hostname, port: Number(port), ca: transport.ca, cert: transport.cert, key: transport.key },
          () => {
            socket.write(message);
            setTimeout(() => socket.destroy(), 50);
          },
        );
        socket.on('error', () => undefined);
        socket.on('close', () => resolve());
      });
    }
    await healthy();
  });
});

/** Anything but success or a Status that says who is to blame. */
function faultOf({ code, text, headers }: Answer): string | undefined {
  if (code >= 500) return `${code} ${text.slice(0, 300)}`;
  if (code < 400 || text === '') return undefined;
  if (!String(headers['content-type']).startsWith('application/json')) return undefined;
  try {
    const status = JSON.parse(text) as { kind?: string; code?: number; status?: string };
    if (status.kind === 'Status' && status.code === code && status.status === 'Failure') return undefined;
  } catch {
    // told below
  }
  return `${code} without a Status: ${text.slice(0, 300)}`;
}
