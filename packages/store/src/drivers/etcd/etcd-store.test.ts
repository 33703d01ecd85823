import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { realClock, sleep } from '@k8ts/base';
import { describe, expect, test } from 'vitest';

import { InvalidRequestError, UnavailableError } from '../../contract.ts';
import { eventually, put, record, remove } from '../../testing/contract-steps.ts';
import { describeStoreContract } from '../../testing/store-contract.ts';
import { parseEndpoints } from './connection.ts';
import { answersProgress, openEtcdStore } from './etcd-store.ts';
import { findEtcd, startTestEtcd } from './test-etcd.ts';

const clock = realClock;
const binary = findEtcd();
const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
const advance = (milliseconds: number): Promise<void> => sleep(clock, milliseconds);

if (binary === undefined) {
  const reason = 'etcd is not installed (apt-get install etcd-server, or set K8TS_TEST_ETCD)';
  if (process.env['CI'] !== undefined) test(`store contract: etcd`, () => expect.fail(reason));
  else test.skip(`store contract: etcd: ${reason}`, () => undefined);
} else {
  describeStoreContract(
    'etcd',
    async () => {
      const etcd = await startTestEtcd(binary);
      const store = await openEtcdStore({ endpoints: etcd.endpoint, clock });
      return { store, advance, close: async () => etcd[Symbol.asyncDispose]() };
    },
    { historySteps: 120, shared: true },
  );

  describe('etcd driver', () => {
    test('watches survive the death of etcd without gap or repetition', async () => {
      await using etcd = await startTestEtcd(binary);
      await using store = await openEtcdStore({ endpoints: etcd.endpoint, clock });
      const watch = record(store, '/a/');
      const late = record(store, '/b/');
      await Promise.all([watch.handle.ready, late.handle.ready]);
      const { revision } = await put(store, '/a/1', '');
      await watch.count(1);
      await etcd.kill();
      await expect(store.get('/a/1')).rejects.toThrow(UnavailableError);
      await expect(put(store, '/a/2', '')).rejects.toThrow();
      await etcd.start();
      await eventually(async () => void (await put(store, '/a/3', '')));
      await remove(store, '/a/1');
      await put(store, '/b/1', '');
      await late.count(1);
      await eventually(() => {
        const revisions = watch.events.map(({ kv }) => kv.modRevision);
        expect(revisions.at(-1)).toBe(late.events[0]!.kv.modRevision - 1);
        expect(revisions).toEqual([...new Set(revisions)]);
        expect(revisions[0]).toBe(revision);
        expect(watch.events.at(-1)).toMatchObject({ type: 'delete', kv: { key: '/a/1' } });
      });
      expect(watch.ends).toEqual([]);
    });

    test('a dead member among the endpoints does not matter', async () => {
      await using etcd = await startTestEtcd(binary);
      const endpoints = `http://127.0.0.1:1,${etcd.endpoint}`;
      await using store = await openEtcdStore({ endpoints, clock });
      expect((await put(store, '/a', '1')).succeeded).toBe(true);
      const watch = record(store, '/a');
      await watch.handle.ready;
      await put(store, '/a', '2');
      await watch.count(1);
    });

    test('an etcd that is not there is named', async () => {
      const opening = openEtcdStore({ endpoints: 'http://127.0.0.1:1', clock, connectTimeout: 300 });
      await expect(opening).rejects.toThrow(/no etcd answers at http:\/\/127.0.0.1:1: /);
    });

    test.skipIf(!hasOpenssl)('TLS with client certificates (needs openssl)', async () => {
      await using files = await makeCertificates();
      await using etcd = await startTestEtcd(binary, [
        ...['--cert-file', files.path('server.crt'), '--key-file', files.path('server.key')],
        ...['--client-cert-auth', '--trusted-ca-file', files.path('ca.crt')],
      ]);
      const endpoints = etcd.secureEndpoint;
      const [ca, cert, key] = ['ca.crt', 'client.crt', 'client.key'].map((name) =>
        readFileSync(files.path(name)),
      );
      if (ca === undefined || cert === undefined || key === undefined) throw new Error('no certificates');
      await using store = await openEtcdStore({ endpoints, clock, tls: { ca, cert, key } });
      const watch = record(store, '/a');
      await watch.handle.ready;
      expect((await put(store, '/a', '1')).succeeded).toBe(true);
      await watch.count(1);
      for (const tls of [{ ca }, { cert, key }])
        await expect(openEtcdStore({ endpoints, clock, tls, connectTimeout: 200 })).rejects.toThrow(
          UnavailableError,
        );
    });

    test('a value beyond the limit of etcd is refused, and so is what follows a close', async () => {
      await using etcd = await startTestEtcd(binary);
      const store = await openEtcdStore({ endpoints: etcd.endpoint, clock });
      const value = Buffer.alloc(3 * 2 ** 20);
      const commit = store.commit({ conditions: [], operations: [{ type: 'put', key: '/a', value }] });
      await expect(commit).rejects.toThrow(InvalidRequestError);
      const watch = record(store, '/a');
      await store[Symbol.asyncDispose]();
      expect(await watch.ended()).toBeInstanceOf(UnavailableError);
      await expect(store.get('/a')).rejects.toThrow(UnavailableError);
    });
  });
}

test.each([
  ['http://a:1234', ['a:1234']],
  ['http://a', ['a:2379']],
  ['http://a:80', ['a:80']],
  ['https://a:2379, https://b:2379/', ['a:2379', 'b:2379']],
  ['http://[::1]:2379', ['[::1]:2379']],
])('endpoints %s', (text, addresses) => {
  expect(parseEndpoints(text).map(({ address }) => address)).toEqual(addresses);
});

test.each(['', 'a:2379', 'ftp://a', 'http://a/path'])('bad endpoints %s', (text) => {
  expect(() => parseEndpoints(text)).toThrow(InvalidRequestError);
});

test.each([
  ['3.4.23', false],
  ['3.4.31', true],
  ['3.5.12', false],
  ['3.5.13', true],
  ['3.5.30', true],
  ['3.6.0-rc.1', true],
  ['4.0.0', true],
])('progress of etcd %s', (version, expected) => expect(answersProgress(version)).toBe(expected));

/** An authority, and certificates of it for a server on loopback and a client. */
async function makeCertificates(): Promise<AsyncDisposable & { path(name: string): string }> {
  const directory = await mkdtemp(join(tmpdir(), 'k8ts-certificates-'));
  const openssl = (...flags: string[]): void => {
    const { status, stderr } = spawnSync('openssl', flags, { cwd: directory, encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
  };
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...newKey, '-days', '1', '-subj', '/CN=ca', '-keyout', 'ca.key', '-out', 'ca.crt');
  for (const name of ['server', 'client']) {
    writeFileSync(
      join(directory, 'names'),
      'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n',
    );
    openssl('req', ...newKey, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`);
    const issuer = [
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-days',
      '1',
      '-extfile',
      'names',
    ];
    openssl('x509', '-req', '-in', `${name}.csr`, ...issuer, '-out', `${name}.crt`);
  }
  return {
    path: (name) => join(directory, name),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  };
}
