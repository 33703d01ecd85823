import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { createInstallation, ROOT, type Installation } from '../support/installation.ts';
import { until } from '../support/waiting.ts';

const ARGS = ['--node-name', 'node-1'];

let installation: Installation;
beforeEach(async () => {
  installation = await createInstallation();
});
afterEach(() => installation[Symbol.asyncDispose]());

/** The sentence that `k8ts up` ends with, when it must fail; nothing may be left then. */
async function failure(...args: readonly string[]): Promise<string> {
  const { code, stderr } = await installation.launch(...ARGS, ...args).ended;
  const errors = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
  expect(code, stderr).toBe(1);
  expect(errors).toHaveLength(1);
  expect(installation.leftovers()).toEqual({});
  return errors[0] as string;
}

describe('a start that cannot succeed says why in a sentence, and leaves nothing', () => {
  it('the port is taken', async () => {
    const server = createServer().listen(6443, '0.0.0.0');
    await new Promise((resolve) => server.once('listening', resolve));
    expect(await failure()).toBe(
      'error: port 6443 is in use by another program; choose another one with --port',
    );
    server.close();
  });

  it("the kubelet's port is taken", async () => {
    const server = createServer().listen(10250, '0.0.0.0');
    await new Promise((resolve) => server.once('listening', resolve));
    expect(await failure()).toBe('error: port 10250 is in use by another program');
    server.close();
  });

  it('the kubeconfig is none', async () => {
    await writeFile(installation.kubeconfig, 'just text');
    expect(await failure()).toBe(
      `error: ${installation.kubeconfig} is not a kubeconfig, and so left as it is`,
    );
    expect(await readFile(installation.kubeconfig, 'utf8')).toBe('just text');
  });

  it('the kubeconfig is a directory', async () => {
    await mkdir(installation.kubeconfig);
    expect(await failure()).toMatch(/^error: .*kubeconfig.* directory/);
  });

  it('the data directory is a file', async () => {
    await writeFile(installation.dataDir, '');
    expect(await failure()).toMatch(/^error: .*\/data\b.*/);
  });

  it('nobody answers for etcd', async () => {
    expect(await failure('--store', 'http://127.0.0.1:1')).toMatch(/^error: .*etcd.*127\.0\.0\.1:1\b/);
  });

  it('the store is of no kind', async () => {
    expect(await failure('--store', 'sqlite')).toBe(
      'error: --store takes lmdb, memory or the URLs of an etcd cluster; this is sqlite',
    );
  });

  it('there are no images where they should be', async () => {
    expect(await failure('--images', join(installation.directory, 'nowhere'))).toMatch(
      /^error: the images in \S+nowhere cannot be read: /,
    );
  });

  it('the data directory is in use', async () => {
    const up = await installation.up('--no-node');
    const second = await installation.launch('--no-node').ended;
    expect(second.code).toBe(1);
    expect(second.stderr).toBe(
      `error: a cluster runs already with this data directory (process ${up.pid})\n`,
    );
    await installation.kubectl.ok('get', 'namespaces');
    expect((await up.stop()).code).toBe(0);
  });
});

describe('stores', () => {
  const writesAndReads = async (): Promise<void> => {
    await installation.kubectl.ok('create', 'configmap', 'kept', '--from-literal=a=b');
    expect(await installation.kubectl.ok('get', 'configmap', 'kept', '-o', 'jsonpath={.data.a}')).toBe('b');
  };

  it('in memory: gone with the process', async () => {
    const up = await installation.up(...ARGS, '--store', 'memory');
    await writesAndReads();
    expect((await up.stop()).code).toBe(0);
    const again = await installation.up(...ARGS, '--store', 'memory');
    expect((await installation.kubectl.run(['get', 'configmap', 'kept'])).code).toBe(1);
    expect((await again.stop('SIGTERM')).code).toBe(0);
    expect(installation.leftovers()).toEqual({});
  });

  it('a real etcd', async () => {
    await using etcd = await startEtcd(installation.directory);
    const up = await installation.up(...ARGS, '--store', etcd.url);
    await writesAndReads();
    await up.stop();
    const again = await installation.up(...ARGS, '--store', etcd.url);
    expect(await installation.kubectl.ok('get', 'configmap', 'kept', '-o', 'jsonpath={.data.a}')).toBe('b');
    expect(await installation.kubectl.ok('get', 'nodes')).toMatch(/^node-1 +Ready /m);
    expect((await again.stop()).code).toBe(0);
    await etcd[Symbol.asyncDispose]();
    expect(installation.leftovers()).toEqual({});
  });
});

describe('in the background', () => {
  it('up --detach, status, down, up, reset', async () => {
    expect(await installation.run('status')).toMatchObject({
      code: 3,
      stdout: 'there is no cluster; `k8ts up` makes one\n',
    });
    await installation.ok('up', '--detach', ...ARGS);
    expect(await installation.ok('status')).toMatch(
      /^running at https:\/\/127\.0\.0\.1:6443 \(process \d+\)\n {2}node node-1: Ready\n$/,
    );
    await installation.kubectl.ok('create', 'configmap', 'kept', '--from-literal=a=b');
    const failed = await installation.run('up', '--detach', ...ARGS);
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain('a cluster runs already with this data directory');
    await installation.ok('down');
    expect(installation.leftovers()).toEqual({});
    expect(await installation.run('status')).toMatchObject({
      code: 3,
      stdout: 'stopped; `k8ts up` starts it again\n',
    });
    await installation.ok('up', '--detach', ...ARGS);
    expect(await installation.kubectl.ok('get', 'configmap', 'kept', '-o', 'name')).toBe('configmap/kept\n');
    await installation.ok('reset');
    expect(existsSync(installation.dataDir)).toBe(false);
    expect(await readFile(installation.kubeconfig, 'utf8')).not.toContain('k8ts');
    expect(installation.leftovers()).toEqual({});
    await installation.ok('reset'); // a second time is harmless
  });

  it('reset after down takes the cluster out of the kubeconfig too', async () => {
    await installation.ok('up', '--detach', '--no-node');
    await installation.ok('down');
    await installation.ok('reset');
    expect(await readFile(installation.kubeconfig, 'utf8')).not.toContain('k8ts');
  });
});

async function startEtcd(directory: string): Promise<AsyncDisposable & { readonly url: string }> {
  const bundled = join(ROOT, 'node_modules/.cache/upstream/usr/bin/etcd');
  const program = ['/usr/bin/etcd', bundled].find((path) => existsSync(path));
  if (program === undefined) throw new Error('there is no etcd here: install etcd-server');
  const data = join(directory, 'etcd');
  await mkdir(data);
  await chmod(data, 0o700);
  const [client, peer] = ['http://127.0.0.1:23790', 'http://127.0.0.1:23800'];
  const child: ChildProcess = spawn(
    program,
    [
      ...['--data-dir', data, '--listen-client-urls', client, '--advertise-client-urls', client],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
      ...['--initial-cluster', `default=${peer}`],
    ],
    { stdio: 'ignore' },
  );
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await until(() =>
    fetch(`${client}/health`).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
  return {
    url: client,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
