import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { inClusterConfig } from './in-cluster.ts';
import { loadKubeconfig } from './kubeconfig.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k8ts-kubeconfig-'));
});
afterEach(() => rm(directory, { recursive: true }));

async function file(name: string, text: string): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, text);
  return path;
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

const CONFIG = `
apiVersion: v1
kind: Config
current-context: dev
clusters:
- name: local
  cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: ${base64('CA')}}
- name: files
  cluster: {server: "https://[::1]:6443", certificate-authority: ca.crt, tls-server-name: k8s}
users:
- name: admin
  user: {client-certificate-data: ${base64('CERT')}, client-key-data: ${base64('KEY')}}
- name: robot
  user: {tokenFile: token, as: jane, as-groups: [devs]}
- name: plugin
  user: {exec: {command: aws}}
contexts:
- name: dev
  context: {cluster: local, user: admin}
- name: ops
  context: {cluster: files, user: robot, namespace: ops}
- name: cloud
  context: {cluster: local, user: plugin}
- name: dangling
  context: {cluster: nowhere, user: admin}
`;

describe('kubeconfig', () => {
  it('follows the current context', async () => {
    const path = await file('config', CONFIG);
    expect(await loadKubeconfig({ path })).toEqual({
      context: 'dev',
      namespace: 'default',
      transport: { server: 'https://127.0.0.1:6443', ca: 'CA', cert: 'CERT', key: 'KEY' },
    });
  });

  it('reads files beside the kubeconfig, and follows another context', async () => {
    await file('ca.crt', 'CA-FILE');
    const path = await file('config', CONFIG);
    expect(await loadKubeconfig({ path, context: 'ops' })).toEqual({
      context: 'ops',
      namespace: 'ops',
      transport: {
        server: 'https://[::1]:6443',
        ca: 'CA-FILE',
        tlsServerName: 'k8s',
        tokenFile: join(directory, 'token'),
        impersonate: { user: 'jane', groups: ['devs'], extra: {} },
      },
    });
  });

  it('merges several files, the first one first, and passes over missing ones', async () => {
    const first = await file('a', 'current-context: ops\nclusters: []\nusers: []\ncontexts: []');
    const second = await file('b', CONFIG);
    await file('ca.crt', 'x');
    const path = [first, join(directory, 'missing'), second].join(delimiter);
    expect((await loadKubeconfig({ path })).context).toBe('ops');
  });

  it.each([
    ['a context that is not there', { context: 'prod' }, 'context "prod" does not exist'],
    ['a cluster that is not there', { context: 'dangling' }, 'cluster "nowhere" does not exist'],
    ['a credential plugin', { context: 'cloud' }, 'exec credential plugins are not supported'],
  ])('says what is wrong: %s', async (_, options, message) => {
    const path = await file('config', CONFIG);
    await expect(loadKubeconfig({ path, ...options })).rejects.toThrow(message);
  });

  it.each([
    ['broken YAML', 'a: [', 'error loading config file'],
    ['a list', '- a', 'it is not an object'],
    ['clusters of another shape', 'clusters: {a: b}', 'clusters must be a list of named entries'],
    ['nothing', '', 'current-context is not set'],
  ])('refuses %s', async (_, text, message) => {
    await expect(loadKubeconfig({ path: await file('config', text) })).rejects.toThrow(message);
  });

  it('fails for a file that is missing', async () => {
    await expect(loadKubeconfig({ path: join(directory, 'none') })).rejects.toThrow('ENOENT');
  });
});

describe('in-cluster configuration', () => {
  it('is the mounted service account', async () => {
    await file('token', 't');
    await file('ca.crt', 'CA');
    await file('namespace', 'team\n');
    const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
    expect(await inClusterConfig({ env, directory })).toEqual({
      namespace: 'team',
      transport: { server: 'https://[fd00::1]:443', ca: 'CA', tokenFile: join(directory, 'token') },
    });
  });

  it('says when this is no pod', async () => {
    await expect(inClusterConfig({ env: {}, directory })).rejects.toThrow(
      'unable to load in-cluster configuration',
    );
  });
});
