import { spawn } from 'node:child_process';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { realClock, silentLogger, sleep } from '@k8ts/base';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BUSYBOX_IMAGE } from '../../testing/busybox-image.ts';
import { testContainerConfig, testSandboxConfig } from '../../testing/pod-configs.ts';
import type { TestContainerOptions } from '../../testing/pod-configs.ts';
import { openOfflineImages } from './offline-images.ts';
import { mountpoints } from './rootfs.ts';
import { openTestRuntime } from '../../testing/oci-runtime.ts';
import type { TestOciRuntime } from '../../testing/oci-runtime.ts';

const CHILD = fileURLToPath(new URL('../../testing/recovery-child.ts', import.meta.url));

/** Processes of this process namespace by their command lines. */
async function processes(): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (line !== '') lines.push(line.replaceAll('\0', ' ').trim());
  }
  return lines;
}

async function cgroupsOf(ids: readonly string[]): Promise<readonly string[]> {
  const names = await readdir('/sys/fs/cgroup/memory/k8ts').catch(() =>
    readdir('/sys/fs/cgroup/k8ts').catch(() => []),
  );
  return names.filter((name) => ids.includes(name));
}

describe('the embedded runtime after a restart', () => {
  let subject: TestOciRuntime;
  let pods = 0;
  beforeEach(async () => {
    subject = await openTestRuntime();
  });
  afterEach(async () => {
    await subject?.[Symbol.asyncDispose]();
  });

  async function start(script: string, options: TestContainerOptions = {}): Promise<string> {
    const { runtimeService } = subject.runtime;
    const sandbox = testSandboxConfig(`recovery-${pods++}`);
    const sandboxId = await runtimeService.runPodSandbox(sandbox);
    const config = testContainerConfig('main', BUSYBOX_IMAGE, { command: ['sh', '-c', script], ...options });
    const id = await runtimeService.createContainer(sandboxId, config, sandbox);
    await runtimeService.startContainer(id);
    return id;
  }

  it('finds running containers again, with their logs going on', async () => {
    const id = await start('i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.02; done');
    const before = await subject.runtime.runtimeService.containerStatus(id);
    await subject.reopen();
    expect(await subject.runtime.runtimeService.containerStatus(id)).toEqual(before);
    const { length } = await subject.readLog(id);
    await subject.until(async () => (await subject.readLog(id)).length > length);
    expect(
      (await subject.runtime.runtimeService.execSync(id, ['echo', 'still here'], 5)).stdout.toString(),
    ).toBe('still here\n');
    await subject.runtime.runtimeService.stopContainer(id, 0);
    expect((await subject.runtime.runtimeService.containerStatus(id)).exitCode).toBe(137);
  });

  it('learns the exit codes of what ended meanwhile', async () => {
    const id = await start('read line; echo "$line"; exit 23', { stdin: true });
    const created = await start('exit 0'); // one that had ended before
    await subject.until(
      async () =>
        (await subject.runtime.runtimeService.containerStatus(created)).state === 'CONTAINER_EXITED',
    );
    await subject.runtime[Symbol.asyncDispose]();
    const { bundle } = { bundle: join(subject.directory, 'run/containers', id) };
    const feeding = spawn('socat', ['-u', 'STDIN', 'UNIX-CONNECT:attach,type=5'], { cwd: bundle });
    feeding.stdin.end('go\n');
    await subject.until(async () => (await readdir(join(subject.directory, 'run/exits'))).includes(id));
    await subject.reopen();
    expect(await subject.runtime.runtimeService.containerStatus(id)).toMatchObject({
      state: 'CONTAINER_EXITED',
      exitCode: 23,
      reason: 'Error',
    });
    expect((await subject.runtime.runtimeService.containerStatus(created)).exitCode).toBe(0);
  });

  it('keeps the layers of running containers when images are removed while no runtime is there', async () => {
    const id = await start('while sleep 0.05; do cat /etc/group > /dev/null && echo ok; done');
    await subject.runtime[Symbol.asyncDispose]();
    const images = await openOfflineImages({
      dataDir: join(subject.directory, 'data'),
      clock: realClock,
      logger: silentLogger,
    });
    await images.remove(BUSYBOX_IMAGE);
    await images.collect();
    const layers = join(subject.directory, 'data/images/layers');
    expect(await readdir(layers)).toHaveLength(1);
    await subject.reopen();
    const { runtimeService } = subject.runtime;
    expect((await runtimeService.execSync(id, ['cat', '/etc/group'], 5)).stdout.toString()).toContain(
      'root:x:0',
    );
    await runtimeService.removePodSandbox((await runtimeService.containerStatus(id)).sandboxId);
    await subject.runtime.images.collect();
    expect(await readdir(layers)).toEqual([]);
  });

  it('says so when it cannot know how a container ended', async () => {
    const id = await start('exec sleep 1000');
    const conmon = Number(
      await readFile(join(subject.directory, 'run/containers', id, 'conmon.pid'), 'utf8'),
    );
    const pid = Number(await readFile(join(subject.directory, 'run/containers', id, 'pid'), 'utf8'));
    process.kill(conmon, 'SIGKILL');
    expect((await subject.runtime.runtimeService.containerStatus(id)).state).toBe('CONTAINER_RUNNING');
    process.kill(pid, 'SIGKILL');
    await subject.reopen();
    await subject.until(
      async () => (await subject.runtime.runtimeService.containerStatus(id)).state === 'CONTAINER_EXITED',
    );
    expect(await subject.runtime.runtimeService.containerStatus(id)).toMatchObject({
      exitCode: 255,
      reason: 'Unknown',
    });
  });

  it('takes what a reboot ends as ended', async () => {
    const id = await start('exec sleep 1000');
    const { sandboxId } = await subject.runtime.runtimeService.containerStatus(id);
    await subject.runtime[Symbol.asyncDispose]();
    // What a reboot does: processes, mounts and the contents of /run are gone.
    const run = join(subject.directory, 'run');
    for (const file of ['pid', 'conmon.pid']) {
      process.kill(Number(await readFile(join(run, 'containers', id, file), 'utf8')), 'SIGKILL');
    }
    const { unmount } = await import('./rootfs.ts');
    for (const point of await mountpoints()) if (point.startsWith(run)) await unmount(point);
    await rm(run, { recursive: true });
    await subject.reopen();
    await subject.until(
      async () => (await subject.runtime.runtimeService.containerStatus(id)).state === 'CONTAINER_EXITED',
    );
    expect((await subject.runtime.runtimeService.podSandboxStatus(sandboxId)).state).toBe('SANDBOX_NOTREADY');
    await subject.runtime.runtimeService.removePodSandbox(sandboxId);
  });

  it(
    'is killed at any moment, and neither loses, doubles nor leaves anything',
    { timeout: 120_000 },
    async () => {
      await subject.runtime[Symbol.asyncDispose]();
      const started: string[] = [];
      for (const patience of [5, 60, 110, 150, 180, 230]) {
        const child = spawn(process.execPath, ['--import', 'tsx', CHILD, subject.directory], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        let output = '';
        child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
        await subject.until(() => output.includes('\n'));
        await sleep(realClock, patience);
        const ended = new Promise((resolve) => child.on('close', resolve));
        child.kill('SIGKILL');
        await ended;
        started.push(...output.split('\n').filter((line) => line.length === 64));
      }
      await subject.reopen();
      const { runtimeService } = subject.runtime;
      const containers = await runtimeService.listContainers();
      const known = new Map(containers.map((container) => [container.id, container]));
      for (const id of started) {
        expect(known.get(id)?.state, `container ${id} that had been reported as started`).toBe(
          'CONTAINER_RUNNING',
        );
      }
      // One conmon for each that runs, and none for others.
      const monitors = (await processes()).filter((line) => /\bconmon --cid/.test(line));
      const running = containers.filter(({ state }) => state === 'CONTAINER_RUNNING').map(({ id }) => id);
      expect(monitors.map((line) => /--cid ([0-9a-f]+)/.exec(line)?.[1]).sort()).toEqual([...running].sort());

      const sandboxIds = (await runtimeService.listPodSandboxes()).map(({ id }) => id);
      await subject.runtime.destroyAll();
      expect((await processes()).filter((line) => /conmon|tick/.test(line))).toEqual([]);
      expect([...(await mountpoints())].filter((point) => point.startsWith(subject.directory))).toEqual([]);
      expect(await cgroupsOf(sandboxIds)).toEqual([]);
      for (const below of [
        'data/sandboxes',
        'data/containers',
        'run/sandboxes',
        'run/containers',
        'run/exits',
        'run/state',
      ]) {
        expect(await readdir(join(subject.directory, below)), below).toEqual([]);
      }
    },
  );
});
