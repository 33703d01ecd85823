import { X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VirtualClock } from '@k8ts/base';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createEphemeralPki, ensureClusterPki } from './cluster-pki.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k8ts-pki-'));
});
afterEach(() => rm(directory, { recursive: true }));

const clock = new VirtualClock();
const options = { hosts: ['kubernetes', '10.96.0.1'], nodeHosts: ['node-1', '127.0.0.1'], clock };

test('certificates name their subjects, hosts and usages', async () => {
  const pki = await ensureClusterPki({ ...options, directory });
  const server = new X509Certificate(pki.apiserver.certificate);
  expect(server.checkHost('kubernetes')).toBe('kubernetes');
  expect(server.checkIP('10.96.0.1')).toBe('10.96.0.1');
  expect(server.checkHost('example.org')).toBeUndefined();
  expect(server.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  const admin = new X509Certificate(pki.admin.certificate);
  expect(admin.subject).toBe('O=system:masters\nCN=kubernetes-admin');
  expect(admin.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
  expect(admin.verify(new X509Certificate(pki.authority.certificate).publicKey)).toBe(true);
  expect(admin.ca).toBe(false);
  const proxy = new X509Certificate(pki.frontProxyClient.certificate);
  expect(proxy.subject).toBe('CN=front-proxy-client');
  expect(proxy.verify(new X509Certificate(pki.frontProxyAuthority.certificate).publicKey)).toBe(true);
  expect(proxy.verify(new X509Certificate(pki.authority.certificate).publicKey)).toBe(false);
});

test('a second start keeps everything; keys are readable by their owner only', async () => {
  const first = await ensureClusterPki({ ...options, directory });
  expect(await ensureClusterPki({ ...options, directory })).toEqual(first);
  for (const file of (await readdir(directory)).filter((name) => name.endsWith('.key')))
    expect((await stat(join(directory, file))).mode & 0o077).toBe(0);
});

test('what lacks a host, expires soon, is damaged, or has another key is issued anew', async () => {
  const first = await ensureClusterPki({ ...options, directory });
  const moved = await ensureClusterPki({ ...options, hosts: [...options.hosts, '192.0.2.1'], directory });
  expect(moved.apiserver).not.toEqual(first.apiserver);
  expect(moved.admin).toEqual(first.admin);

  await writeFile(join(directory, 'admin.crt'), 'damaged');
  const mended = await ensureClusterPki({ ...options, directory });
  expect(mended.admin).not.toEqual(first.admin);
  expect(mended.authority).toEqual(first.authority);

  const later = new VirtualClock(clock.now() + 330 * 24 * 3600 * 1000);
  const renewed = await ensureClusterPki({ ...options, directory, clock: later });
  expect(renewed.admin).not.toEqual(mended.admin);
  expect(renewed.authority).toEqual(first.authority);
});

test('a cluster in memory gets what it needs only', async () => {
  expect((await createEphemeralPki(clock)).served).toBeUndefined();
  const { authority, served } = await createEphemeralPki(clock, ['localhost', '127.0.0.1']);
  const server = new X509Certificate(served?.apiserver.certificate ?? '');
  expect(server.checkIP('127.0.0.1')).toBe('127.0.0.1');
  expect(server.verify(new X509Certificate(authority.certificate).publicKey)).toBe(true);
});
