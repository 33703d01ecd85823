import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pack } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Readable } from 'node:stream';
import { sha256 } from '../../images/digest.ts';
import { hostPlatform } from '../../images/manifest.ts';
import { BUSYBOX_IMAGE } from '../../testing/busybox-image.ts';
import { testContainerConfig, testSandboxConfig } from '../../testing/pod-configs.ts';
import { logText, openTestRuntime } from '../../testing/oci-runtime.ts';
import type { TestOciRuntime } from '../../testing/oci-runtime.ts';

async function tarOf(entries: Readonly<Record<string, string>>): Promise<Buffer> {
  const archive = pack();
  for (const [name, content] of Object.entries(entries)) {
    if (name.endsWith('/')) archive.entry({ name, type: 'directory', mode: 0o755 });
    else archive.entry({ name, mode: 0o644 }, Buffer.from(content));
  }
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

describe.each(['overlay', 'copy'])('layers as a container sees them, by %s', (rootfs) => {
  let subject: TestOciRuntime;
  beforeAll(async () => {
    subject = await openTestRuntime({ copyRootfs: rootfs === 'copy' });
    const { images } = subject.runtime;
    const base = images.find(BUSYBOX_IMAGE) ?? expect.fail('no busybox');
    const tars = [
      await tarOf({
        'a/': '',
        'a/gone': 'x',
        'a/kept': 'old',
        'b/': '',
        'b/hidden': 'x',
        c: 'a file',
        'd/': '',
        'd/x': 'x',
      }),
      await tarOf({
        'a/.wh.gone': '',
        'a/kept': 'new',
        'b/': '',
        'b/.wh..wh..opq': '',
        'b/shown': 'y',
        '.wh.c': '',
        '.wh.d': '',
      }),
      await tarOf({ d: 'now a file', 'c/': '', 'c/y': 'now a directory' }),
    ];
    const diffIds = [...base.diffIds, ...tars.map(sha256)];
    await images.add({
      config: Buffer.from(
        JSON.stringify({
          ...hostPlatform(),
          config: { Cmd: ['sh', '-c', 'find a b c d | sort; cat a/kept c/y d'] },
          rootfs: { type: 'layers', diff_ids: diffIds },
        }),
      ),
      openLayer: async (index) => Readable.from([tars[index - 1] ?? expect.fail('the base is here already')]),
      repoTags: ['docker.io/k8ts/layered:test'],
      repoDigests: [],
    });
  });
  afterAll(async () => {
    await subject?.[Symbol.asyncDispose]();
  });

  it('mounts an image volume whose sub-path is a link, without leaving the image', async () => {
    const { images, runtimeService } = subject.runtime;
    const archive = pack();
    archive.entry({ name: 'etc', type: 'symlink', linkname: '/inside' });
    archive.entry({ name: 'inside/passwd', mode: 0o644 }, 'of the image');
    archive.finalize();
    const chunks: Buffer[] = [];
    for await (const chunk of archive) chunks.push(chunk as Buffer);
    const tar = Buffer.concat(chunks);
    await images.add({
      config: Buffer.from(
        JSON.stringify({
          ...hostPlatform(),
          config: {},
          rootfs: { type: 'layers', diff_ids: [sha256(tar)] },
        }),
      ),
      openLayer: async () => Readable.from([tar]),
      repoTags: ['docker.io/k8ts/volume:test'],
      repoDigests: [],
    });
    const sandbox = testSandboxConfig('image-volume');
    const sandboxId = await runtimeService.runPodSandbox(sandbox);
    const config = testContainerConfig('main', BUSYBOX_IMAGE, {
      command: ['sh', '-c', 'cat /volume/passwd; ls /volume'],
      mounts: [
        {
          containerPath: '/volume',
          hostPath: '',
          readonly: true,
          image: 'docker.io/k8ts/volume:test',
          imageSubPath: '../etc',
        },
      ],
    });
    const id = await runtimeService.createContainer(sandboxId, config, sandbox);
    await runtimeService.startContainer(id);
    await subject.until(async () => (await runtimeService.containerStatus(id)).state === 'CONTAINER_EXITED');
    expect(logText(await subject.readLog(id))).toBe('of the imagepasswd\n');
    await runtimeService.removePodSandbox(sandboxId);
  });

  it('replaces links of lower layers instead of following them', async () => {
    const { images, runtimeService } = subject.runtime;
    const outside = join(subject.directory, 'outside');
    await writeFile(outside, 'of the node');
    const linked = pack();
    linked.entry({ name: 'file', type: 'symlink', linkname: outside });
    linked.entry({ name: 'directory', type: 'symlink', linkname: subject.directory });
    linked.finalize();
    const chunks: Buffer[] = [];
    for await (const chunk of linked) chunks.push(chunk as Buffer);
    const base = images.find(BUSYBOX_IMAGE) ?? expect.fail('no busybox');
    const tars = [
      Buffer.concat(chunks),
      await tarOf({ file: 'of the image', 'directory/': '', 'directory/outside': 'of the image' }),
    ];
    await images.add({
      config: Buffer.from(
        JSON.stringify({
          ...hostPlatform(),
          config: { Cmd: ['cat', '/file', '/directory/outside'] },
          rootfs: { type: 'layers', diff_ids: [...base.diffIds, ...tars.map(sha256)] },
        }),
      ),
      openLayer: async (index) => Readable.from([tars[index - 1] ?? expect.fail('the base is here already')]),
      repoTags: ['docker.io/k8ts/links:test'],
      repoDigests: [],
    });
    const sandbox = testSandboxConfig('links');
    const sandboxId = await runtimeService.runPodSandbox(sandbox);
    const config = testContainerConfig('main', 'docker.io/k8ts/links:test');
    const id = await runtimeService.createContainer(sandboxId, config, sandbox);
    await runtimeService.startContainer(id);
    await subject.until(async () => (await runtimeService.containerStatus(id)).state === 'CONTAINER_EXITED');
    expect(logText(await subject.readLog(id))).toBe('of the imageof the image');
    expect(await readFile(outside, 'utf8')).toBe('of the node');
    await runtimeService.removePodSandbox(sandboxId);
  });

  it('hides what upper layers took away, and is written to without changing the image', async () => {
    const { runtimeService } = subject.runtime;
    for (const _ of ['first', 'second']) {
      const sandbox = testSandboxConfig('layers');
      const sandboxId = await runtimeService.runPodSandbox(sandbox);
      const config = testContainerConfig('main', 'docker.io/k8ts/layered:test', {
        command: ['sh', '-c', 'echo $(find a b c d | sort) $(cat a/kept c/y d); rm -r a b c d'],
      });
      const id = await runtimeService.createContainer(sandboxId, config, sandbox);
      await runtimeService.startContainer(id);
      await subject.until(
        async () => (await runtimeService.containerStatus(id)).state === 'CONTAINER_EXITED',
      );
      expect((await subject.readLog(id)).replace(/^\S+ stdout F /, '')).toBe(
        'a a/kept b b/shown c c/y d newnow a directorynow a file\n',
      );
      await runtimeService.removePodSandbox(sandboxId);
    }
  });
});
