import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BUSYBOX_IMAGE } from '../../testing/busybox-image.ts';
import { testContainerConfig, testSandboxConfig } from '../../testing/pod-configs.ts';
import type { TestContainerOptions } from '../../testing/pod-configs.ts';
import { logText, openTestRuntime } from '../../testing/oci-runtime.ts';
import type { TestOciRuntime } from '../../testing/oci-runtime.ts';

describe('containers run by util-linux', () => {
  let subject: TestOciRuntime;
  let pods = 0;
  beforeAll(async () => {
    subject = await openTestRuntime({ program: 'util-linux' });
  });
  afterAll(async () => {
    await subject?.[Symbol.asyncDispose]();
  });

  async function start(script: string, options: TestContainerOptions = {}): Promise<string> {
    const { runtimeService } = subject.runtime;
    const sandbox = testSandboxConfig(`util-linux-${pods++}`);
    const sandboxId = await runtimeService.runPodSandbox(sandbox);
    const config = testContainerConfig('main', BUSYBOX_IMAGE, {
      command: ['sh', '-c', `exec 2>&1; ${script}`],
      ...options,
    });
    const id = await runtimeService.createContainer(sandboxId, config, sandbox);
    await runtimeService.startContainer(id);
    return id;
  }

  async function outcome(script: string, options: TestContainerOptions = {}): Promise<string> {
    const id = await start(script, options);
    const { runtimeService } = subject.runtime;
    await subject.until(async () => (await runtimeService.containerStatus(id)).state === 'CONTAINER_EXITED');
    return logText(await subject.readLog(id)).trim();
  }

  it('says what it cannot do', async () => {
    const { conditions } = await subject.runtime.runtimeService.status();
    expect(conditions[0]).toMatchObject({
      status: true,
      message: expect.stringContaining('no terminal of their own, no seccomp and no device rules') as string,
    });
  });

  it.each<[string, TestContainerOptions, string]>([
    ['id', { security: { runAsUser: 1000 } }, 'uid=1000(app) gid=2000(app) groups=2000(app),3000(extra)'],
    ['echo "$A"', { env: { A: `it's "quoted" $HOME; \`x\`` } }, `it's "quoted" $HOME; \`x\``],
    ['pwd', { workingDir: "/a'b c" }, "/a'b c"],
    // SYS_CHROOT and SETUID stay, as it says.
    [
      'grep CapEff /proc/self/status',
      { security: { dropCapabilities: ['ALL'] } },
      'CapEff:\t0000000000040080',
    ],
    ['grep CapEff /proc/self/status', { security: { runAsUser: 1000 } }, 'CapEff:\t0000000000000000'],
    ['grep NoNewPrivs /proc/self/status', { security: { noNewPrivileges: true } }, 'NoNewPrivs:\t1'],
    ['touch /file', { security: { readonlyRootfs: true } }, 'touch: /file: Read-only file system'],
    ['cat /proc/cpuinfo | wc -c', { security: { maskedPaths: ['/proc/cpuinfo'] } }, '0'],
    ['hostname; echo $$', {}, /^util-linux-\d+\n1$/.source],
    ['no-such-program; echo $?', {}, 'sh: no-such-program: not found\n127'],
  ])('%s with %j', async (script, options, expected) => {
    const output = await outcome(script, options);
    if (expected.startsWith('^')) expect(output).toMatch(new RegExp(expected));
    else expect(output).toBe(expected);
  });

  it('follows no link of an image or a volume out of the container', async () => {
    const outside = join(subject.directory, 'outside');
    await mkdir(outside);
    const volume = join(subject.directory, 'volume');
    await mkdir(volume);
    await writeFile(join(volume, 'file'), 'from the volume');
    await symlink(outside, join(volume, 'door'));
    const output = await outcome('cat /mnt/file; ls -d /mnt/door/. 2>&1', {
      mounts: [{ containerPath: '/mnt', hostPath: volume, readonly: true }],
    });
    expect(output).toContain('from the volume');
    expect(output).toContain('No such file');
  });

  it('keeps limits, and exec has the same privileges', async () => {
    const id = await start('exec sleep 1000', {
      resources: { memoryLimitInBytes: 24 * 1024 * 1024, pidsLimit: 20 },
      security: { runAsUser: 1000, noNewPrivileges: true },
    });
    const { stdout } = await subject.runtime.runtimeService.execSync(
      id,
      ['sh', '-c', 'id -u; grep -E "CapEff|NoNewPrivs" /proc/self/status; cat /proc/1/comm'],
      5,
    );
    expect(stdout.toString()).toBe('1000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nsleep\n');
    const eater = await start('x=x; while :; do x=$x$x; done', {
      resources: { memoryLimitInBytes: 24 * 1024 * 1024 },
    });
    const { runtimeService } = subject.runtime;
    await subject.until(
      async () => (await runtimeService.containerStatus(eater)).state === 'CONTAINER_EXITED',
    );
    expect(await runtimeService.containerStatus(eater)).toMatchObject({ exitCode: 137, reason: 'OOMKilled' });
  });

  it.each<[string, TestContainerOptions]>([
    ['a terminal', { tty: true }],
    ['a seccomp profile', { security: { seccompProfile: { type: 'RuntimeDefault' } } }],
  ])('refuses %s', async (what, options) => {
    await expect(start('true', options)).rejects.toThrow(`${what} needs crun or runc`);
  });

  it('is found again after a restart', async () => {
    const id = await start('while :; do sleep 0.05; echo tick; done');
    await subject.reopen();
    expect((await subject.runtime.runtimeService.containerStatus(id)).state).toBe('CONTAINER_RUNNING');
    const { length } = await subject.readLog(id);
    await subject.until(async () => (await subject.readLog(id)).length > length);
    await subject.runtime.runtimeService.stopContainer(id, 0);
    expect((await subject.runtime.runtimeService.containerStatus(id)).exitCode).toBe(137);
  });
});
