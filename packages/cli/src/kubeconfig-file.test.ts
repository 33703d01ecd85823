import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parse } from 'yaml';
import { addToKubeconfig, adminKubeconfig, removeFromKubeconfig } from './kubeconfig-file.ts';

let directory: string;
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k8ts-kubeconfig-'));
  file = join(directory, '.kube', 'config');
});
afterEach(() => rm(directory, { recursive: true }));

const access = {
  name: 'k8ts',
  server: 'https://127.0.0.1:6443',
  certificateAuthority: 'CA',
  clientCertificate: 'CERT',
  clientKey: 'KEY',
};
const other = `apiVersion: v1
kind: Config
clusters: [{ name: prod, cluster: { server: "https://prod" } }]
users: [{ name: prod, user: { token: t } }]
contexts: [{ name: prod, context: { cluster: prod, user: prod, namespace: shop } }]
current-context: prod
extensions: [{ name: kept, extension: { a: 1 } }]
`;
const read = async (): Promise<Record<string, unknown>> =>
  parse(await readFile(file, 'utf8')) as Record<string, unknown>;

test('a new file is readable by its owner only and has one context', async () => {
  await addToKubeconfig(file, access);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await readFile(file, 'utf8')).toBe(adminKubeconfig(access));
  expect(await read()).toMatchObject({
    'current-context': 'k8ts',
    clusters: [
      {
        name: 'k8ts',
        cluster: {
          server: access.server,
          'certificate-authority-data': Buffer.from('CA').toString('base64'),
        },
      },
    ],
  });
});

test('what others have in the file stays; adding again replaces', async () => {
  await addToKubeconfig(file, access);
  await writeFile(file, other);
  await addToKubeconfig(file, access);
  await addToKubeconfig(file, { ...access, server: 'https://127.0.0.1:7443' });
  const config = await read();
  expect((config['contexts'] as { name: string }[]).map(({ name }) => name)).toEqual(['prod', 'k8ts']);
  expect(config).toMatchObject({
    'current-context': 'k8ts',
    clusters: [{ name: 'prod' }, { cluster: { server: 'https://127.0.0.1:7443' } }],
    extensions: [{ name: 'kept', extension: { a: 1 } }],
  });
  await removeFromKubeconfig(file, 'k8ts');
  expect(await read()).toMatchObject({ contexts: [{ name: 'prod' }], 'current-context': '' });
});

test.each(['just text', '- a\n- b', 'kind: Pod', 'clusters: 1', '{'])('%j is left as it is', async (text) => {
  await addToKubeconfig(file, access);
  await writeFile(file, text);
  await expect(addToKubeconfig(file, access)).rejects.toThrow(/left as it is/);
  expect(await readFile(file, 'utf8')).toBe(text);
});

test('a locked file is not touched', async () => {
  await addToKubeconfig(file, access);
  await writeFile(`${file}.lock`, '');
  await expect(removeFromKubeconfig(file, 'k8ts')).rejects.toThrow(
    /another program is changing the kubeconfig/,
  );
});
