import { existsSync } from 'node:fs';
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { isNotFound, notFound } from '@k8ts/apimachinery';
import { VirtualClock } from '@k8ts/base';
import { FakeApi } from '@k8ts/client/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { testContainer, testPod } from '../testing/index.ts';
import type { Volume } from '../pod/types.ts';
import { type VolumeFile, writeAtomically } from './atomic-writer.ts';
import { checkHostPath } from './host-path.ts';
import { applyFsGroup } from './ownership.ts';
import { volumePayload } from './payload.ts';
import { podDirectories } from './pod-directories.ts';
import { ServiceAccountTokens } from './service-account-tokens.ts';
import { openInside } from './sub-path.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'volumes-test-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const files = (entries: Readonly<Record<string, string>>): Map<string, VolumeFile> =>
  new Map(Object.entries(entries).map(([path, text]) => [path, { data: Buffer.from(text), mode: 0o640 }]));

describe('the atomic writer', () => {
  it('shows files by links to one directory, and exchanges that', async () => {
    expect(await writeAtomically(directory, files({ a: '1', 'd/b': '2' }), 0)).toBe(true);
    const first = await readlink(join(directory, '..data'));
    expect(first).toMatch(/^\.\.1970_01_01_00_00_00\.\d+$/);
    expect(await readlink(join(directory, 'a'))).toBe('..data/a');
    expect(await readFile(join(directory, 'd', 'b'), 'utf8')).toBe('2');
    expect((await stat(join(directory, 'a'))).mode & 0o777).toBe(0o640);

    expect(await writeAtomically(directory, files({ a: '1', 'd/b': '2' }), 1000)).toBe(false);
    expect(await readlink(join(directory, '..data'))).toBe(first);

    expect(await writeAtomically(directory, files({ a: 'new', c: '3' }), 1000)).toBe(true);
    expect(await readFile(join(directory, 'a'), 'utf8')).toBe('new');
    expect(existsSync(join(directory, 'd'))).toBe(false);
    expect(existsSync(join(directory, first))).toBe(false);
    expect((await readdir(directory)).filter((name) => !name.startsWith('..')).sort()).toEqual(['a', 'c']);
  });

  it('leaves the old files when the new ones cannot be finished', async () => {
    await writeAtomically(directory, files({ a: '1' }), 0);
    await expect(
      writeAtomically(directory, files({ a: '2' }), 1, () => Promise.reject(new Error('no'))),
    ).rejects.toThrow('no');
    expect(await readFile(join(directory, 'a'), 'utf8')).toBe('1');
    expect(await readdir(directory)).toHaveLength(3);
  });

  for (const path of ['/etc/passwd', '../x', 'a/../../x', '..data', '', `a/${'x'.repeat(256)}`, 'a\0b'])
    it(`refuses ${JSON.stringify(path.slice(0, 20))}`, async () => {
      await expect(writeAtomically(directory, files({ [path]: 'x' }), 0)).rejects.toThrow(/invalid path/);
      expect(await readdir(directory)).toEqual([]);
    });
});

describe('what a volume holds', () => {
  const payload = async (volume: Partial<Volume>): Promise<Record<string, string>> => {
    const content = await volumePayload(
      {
        pod: testPod(
          { containers: [testContainer('app', { resources: { limits: { cpu: '2' } } })] },
          { labels: { a: 'b' } },
        ),
        addresses: { podIps: ['10.0.0.9'], hostIps: [] },
        allocatable: {},
        config: {
          configMap: async (_namespace, name) => {
            if (name === 'none') throw notFound({ group: '', resource: 'configmap' }, name);
            return { metadata: { name }, data: { k: 'v', l: 'w' }, binaryData: { raw: 'AAE=' } };
          },
          secret: async (_namespace, name) => ({ metadata: { name }, data: { s: 'aHVzaA==' } }),
        },
        tokens: { token: async (_pod, audience, seconds) => `token ${audience} ${seconds}` },
        isNotFound,
      },
      { name: 'v', ...volume },
    );
    return Object.fromEntries(
      [...content].map(([path, { data, mode }]) => [path, `${mode.toString(8)} ${data.toString('latin1')}`]),
    );
  };

  it('is a ConfigMap, whole or in parts', async () => {
    expect(await payload({ configMap: { name: 'c' } })).toEqual({
      k: '644 v',
      l: '644 w',
      raw: '644 \0\x01',
    });
    expect(
      await payload({
        configMap: {
          name: 'c',
          defaultMode: 0o400,
          items: [
            { key: 'k', path: 'd/e', mode: 0o600 },
            { key: 'l', path: 'f' },
          ],
        },
      }),
    ).toEqual({ 'd/e': '600 v', f: '400 w' });
    expect(await payload({ configMap: { name: 'none', optional: true } })).toEqual({});
    expect(
      await payload({ configMap: { name: 'c', optional: true, items: [{ key: 'x', path: 'x' }] } }),
    ).toEqual({});
    await expect(payload({ configMap: { name: 'none' } })).rejects.toThrow('configmap "none" not found');
    await expect(payload({ configMap: { name: 'c', items: [{ key: 'x', path: 'x' }] } })).rejects.toThrow(
      'configmap references non-existent config key: x',
    );
  });

  it('is a Secret, the pod itself, or all of these and a token', async () => {
    expect(await payload({ secret: { secretName: 's', defaultMode: 0o400 } })).toEqual({ s: '400 hush' });
    expect(
      await payload({
        projected: {
          sources: [
            { secret: { name: 's' } },
            { configMap: { name: 'c', items: [{ key: 'k', path: 'k' }] } },
            {
              downwardAPI: {
                items: [
                  { path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } },
                  { path: 'cpu', resourceFieldRef: { containerName: 'app', resource: 'limits.cpu' } },
                ],
              },
            },
            { serviceAccountToken: { path: 'token', audience: 'me', expirationSeconds: 600 } },
          ],
        },
      }),
    ).toEqual({ s: '644 hush', k: '644 v', labels: '644 a="b"', cpu: '644 2', token: '644 token me 600' });
  });
});

describe('paths inside volumes', () => {
  it('are made, and opened without following links', async () => {
    const handle = await openInside(directory, 'a/b', 0o750);
    await handle.close();
    expect((await stat(join(directory, 'a', 'b'))).mode & 0o777).toBe(0o750);
    await writeFile(join(directory, 'a', 'file'), 'x');
    const file = await openInside(directory, 'a/file', 0o750);
    expect((await file.stat()).isFile()).toBe(true);
    await file.close();
  });

  it('do not lead out', async () => {
    await symlink('/etc', join(directory, 'out'));
    await mkdir(join(directory, 'd'));
    await symlink('../..', join(directory, 'd', 'up'));
    await expect(openInside(directory, 'out', 0o755)).rejects.toThrow(/symbolic link/);
    await expect(openInside(directory, 'out/passwd', 0o755)).rejects.toThrow(/symbolic link/);
    await expect(openInside(directory, 'd/up/x', 0o755)).rejects.toThrow(/symbolic link/);
    await expect(openInside(directory, '../x', 0o755)).rejects.toThrow(/must not contain/);
    await expect(openInside(directory, 'missing', undefined)).rejects.toThrow(/ENOENT/);
    await writeFile(join(directory, 'plain'), '');
    await expect(openInside(directory, 'plain/x', 0o755)).rejects.toThrow(/not a directory/);
  });

  it('of pods are names only', () => {
    expect(() => podDirectories('/r').pod('../../etc')).toThrow(/unsafe/);
    expect(() => podDirectories('/r').volume('uid', 'configmap', '..')).toThrow(/unsafe/);
  });
});

describe('host paths', () => {
  it('are checked by type, or made', async () => {
    const file = join(directory, 'f');
    await checkHostPath(file, 'FileOrCreate');
    await checkHostPath(file, 'File');
    await checkHostPath(join(directory, 'x', 'y'), 'DirectoryOrCreate');
    await checkHostPath('/no/such', '');
    await expect(checkHostPath(file, 'Directory')).rejects.toThrow(
      `hostPath type check failed: ${file} is not a directory`,
    );
    await expect(checkHostPath('/no/such', 'File')).rejects.toThrow(
      'hostPath type check failed: /no/such is not a file',
    );
    await expect(checkHostPath(directory, 'Socket')).rejects.toThrow(/is not a socket file/);
  });
});

describe.skipIf(process.getuid?.() !== 0)('fsGroup (needs root)', () => {
  it('owns all, links are left alone', async () => {
    await mkdir(join(directory, 'd'));
    await writeFile(join(directory, 'd', 'f'), '');
    await chmod(join(directory, 'd', 'f'), 0o600);
    await symlink('/etc/hostname', join(directory, 'link'));
    const before = await stat('/etc/hostname');
    await applyFsGroup(directory, 4321, false);
    const inside = await stat(join(directory, 'd', 'f'));
    expect([inside.gid, inside.mode & 0o777]).toEqual([4321, 0o660]);
    const folder = await stat(join(directory, 'd'));
    expect([folder.gid, folder.mode & 0o7777]).toEqual([4321, 0o2775]);
    expect((await lstat(join(directory, 'link'))).gid).toBe(4321);
    expect((await stat('/etc/hostname')).gid).toBe(before.gid);
  });
});

describe('service account tokens', () => {
  it('are kept until 80 % of their time is over', async () => {
    const clock = new VirtualClock();
    const api = new FakeApi({ clock });
    let made = 0;
    let broken = false;
    api.intercept(({ method, path, body }) => {
      if (method !== 'POST' || !path.endsWith('/serviceaccounts/default/token')) return undefined;
      if (broken) throw new Error('the API is away');
      const { spec } = body as { spec: { expirationSeconds: number; boundObjectRef: object } };
      expect(spec.boundObjectRef).toMatchObject({ kind: 'Pod', name: 'web', uid: 'uid-web' });
      return {
        status: {
          token: `t${++made}`,
          expirationTimestamp: new Date(clock.now() + spec.expirationSeconds * 1000).toISOString(),
        },
      };
    });
    const tokens = new ServiceAccountTokens(api.client, clock, () => 0);
    const token = (): Promise<string> => tokens.token(testPod(), '', 3600);
    expect(await token()).toBe('t1');
    await clock.advance(2_879_000);
    expect(await token()).toBe('t1');
    await clock.advance(2_000);
    expect(await token()).toBe('t2');
    broken = true;
    await clock.advance(3_000_000);
    expect(await token()).toBe('t2');
    await clock.advance(1_000_000);
    await expect(token()).rejects.toThrow('the API is away');
    tokens.forget('uid-web');
    expect(tokens.nextRefresh('uid-web')).toBeUndefined();
  });
});
