import { chmod, lstat, mkdir, mkdtemp, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realClock, silentLogger } from '@k8ts/base';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildImageArchive } from './build-image.ts';
import { ImageStore } from './image-store.ts';
import { importImageArchive } from './import-archive.ts';

const isLinuxRoot = process.platform === 'linux' && process.getuid?.() === 0;

describe.skipIf(!isLinuxRoot)('building images (unpacking them needs root on Linux)', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'k8ts-build-'));
  });
  afterEach(async () => {
    await rm(directory, { recursive: true });
  });

  const openStore = (): Promise<ImageStore> =>
    ImageStore.open({ directory: join(directory, 'store'), clock: realClock, logger: silentLogger });

  it('takes files, directories, links and texts, with the configuration', async () => {
    const source = join(directory, 'source');
    await mkdir(join(source, 'sub'), { recursive: true });
    await writeFile(join(source, 'sub/script.sh'), '#!/bin/sh\n');
    await chmod(join(source, 'sub/script.sh'), 0o750);
    await symlink('sub/script.sh', join(source, 'link'));
    const output = join(directory, 'image.tar');
    const options = {
      output,
      tags: ['demo/app:1', 'localhost:5000/app:1'],
      files: [{ source, path: '/opt/app' }],
      directories: [{ path: '/tmp', mode: 0o1777 }],
      symlinks: { '/run.sh': 'opt/app/link' },
      texts: { '/etc/passwd': 'app:x:7:8::/:\n' },
      entrypoint: ['/run.sh'],
      cmd: ['--serve'],
      env: { MODE: 'demo' },
      workingDir: '/opt',
      user: 'app',
      stopSignal: 'SIGINT',
    };
    const built = await buildImageArchive(options);
    const store = await openStore();
    const [image] = await importImageArchive(store, output);
    expect(image).toMatchObject({
      id: built.id,
      repoTags: ['docker.io/demo/app:1', 'localhost:5000/app:1'],
      user: 'app',
    });
    const config = await store.config(image ?? expect.fail());
    expect(config.config).toMatchObject({
      Entrypoint: ['/run.sh'],
      Cmd: ['--serve'],
      WorkingDir: '/opt',
      StopSignal: 'SIGINT',
    });
    expect(config.config.Env).toContain('MODE=demo');
    const [layer = ''] = store.layers(image ?? expect.fail());
    expect((await lstat(join(layer, 'tmp'))).mode).toBe(0o41777);
    expect(await lstat(join(layer, 'opt/app/sub/script.sh'))).toMatchObject({
      mode: 0o100750,
      uid: 0,
      gid: 0,
    });
    expect(await readlink(join(layer, 'opt/app/link'))).toBe('sub/script.sh');
    expect(await readFile(join(layer, 'etc/passwd'), 'utf8')).toBe('app:x:7:8::/:\n');
    // The same files make the same image.
    expect((await buildImageArchive(options)).id).toBe(built.id);
  });

  it('brings the libraries that a program needs', async () => {
    const output = join(directory, 'node.tar');
    await buildImageArchive({
      output,
      tags: ['demo/node'],
      files: [{ source: process.execPath, path: '/usr/bin/node' }],
    });
    const store = await openStore();
    const [image] = await importImageArchive(store, output);
    const [layer = ''] = store.layers(image ?? expect.fail());
    const loader = process.arch === 'arm64' ? 'lib/ld-linux-aarch64.so.1' : 'lib64/ld-linux-x86-64.so.2';
    expect((await lstat(join(layer, loader))).isFile()).toBe(true);
    const { execFileSync } = await import('node:child_process');
    expect(execFileSync('chroot', [layer, '/usr/bin/node', '-p', '6 * 7']).toString()).toBe('42\n');
  });

  it('says which file is missing, and leaves nothing', async () => {
    const output = join(directory, 'none.tar');
    await expect(
      buildImageArchive({ output, tags: [], files: [{ source: '/no/such/file', path: '/x' }] }),
    ).rejects.toThrow('/no/such/file');
    await expect(lstat(output)).rejects.toThrow();
  });

  it.each([
    ['nothing of an image', { 'some-file': 'x' }, /neither manifest.json .* nor index.json/],
    ['a broken manifest', { 'manifest.json': '{' }, /not JSON/],
    ['a missing layer', { 'manifest.json': '[{"Config":"c.json","Layers":["l"]}]' }, /no file "c.json"/],
  ])('does not import an archive with %s', async (_, files, message) => {
    const { pack } = await import('tar-stream');
    const archive = pack();
    for (const [name, content] of Object.entries(files)) archive.entry({ name }, content);
    archive.finalize();
    const path = join(directory, 'bad.tar');
    const chunks: Buffer[] = [];
    for await (const chunk of archive) chunks.push(chunk as Buffer);
    await writeFile(path, Buffer.concat(chunks));
    const store = await openStore();
    await expect(importImageArchive(store, path)).rejects.toThrow(message);
    expect(store.list()).toEqual([]);
  });
});
