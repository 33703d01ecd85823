import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ContainerStatus, NamespaceOptions, PodSandboxConfig } from '../../contract.ts';
import { BUSYBOX_IMAGE } from '../../testing/busybox-image.ts';
import { testContainerConfig, testSandboxConfig } from '../../testing/pod-configs.ts';
import type { TestContainerOptions } from '../../testing/pod-configs.ts';
import { logText, openTestRuntime } from '../../testing/oci-runtime.ts';
import type { TestOciRuntime } from '../../testing/oci-runtime.ts';

const OWN: NamespaceOptions = { network: 'POD', pid: 'CONTAINER', ipc: 'POD' };

describe('what a container of the embedded runtime sees and may do', () => {
  let subject: TestOciRuntime;
  let pods = 0;
  beforeAll(async () => {
    subject = await openTestRuntime();
  });
  afterAll(async () => {
    await subject?.[Symbol.asyncDispose]();
  });

  async function startPod(sandbox: Partial<PodSandboxConfig> = {}): Promise<[string, PodSandboxConfig]> {
    const config = testSandboxConfig(`confined-${pods++}`, sandbox);
    return [await subject.runtime.runtimeService.runPodSandbox(config), config];
  }

  async function start(
    script: string,
    options: TestContainerOptions = {},
    pod?: [string, PodSandboxConfig],
  ): Promise<string> {
    const [sandboxId, sandbox] = pod ?? (await startPod());
    const config = testContainerConfig(`c${pods++}`, BUSYBOX_IMAGE, {
      command: ['sh', '-c', script],
      ...options,
    });
    const id = await subject.runtime.runtimeService.createContainer(sandboxId, config, sandbox);
    await subject.runtime.runtimeService.startContainer(id);
    return id;
  }

  /** Runs a script to its end; what it wrote, without the records' heads. */
  async function outcome(
    script: string,
    options: TestContainerOptions = {},
    pod?: [string, PodSandboxConfig],
  ): Promise<{ readonly output: string; readonly status: ContainerStatus }> {
    // Into one stream: between two, nothing says which line came first.
    const id = await start(`exec 2>&1; ${script}`, options, pod);
    const { runtimeService } = subject.runtime;
    await subject.until(async () => (await runtimeService.containerStatus(id)).state === 'CONTAINER_EXITED');
    const output = logText(await subject.readLog(id)).trim();
    return { output, status: await runtimeService.containerStatus(id) };
  }

  it.each<[string, TestContainerOptions, string]>([
    ['id', {}, 'uid=0(root) gid=0(root) groups=0(root)'],
    ['id', { security: { runAsUser: 1000 } }, 'uid=1000(app) gid=2000(app) groups=2000(app),3000(extra)'],
    ['id', { security: { runAsUser: 77, runAsGroup: 88 } }, 'uid=77 gid=88 groups=88'],
    [
      'id',
      { security: { runAsUserName: 'app', supplementalGroups: [9] } },
      'uid=1000(app) gid=2000(app) groups=9,2000(app),3000(extra)',
    ],
    ['echo $HOME; pwd', { workingDir: '/tmp' }, '/root\n/tmp'],
    ['pwd', { workingDir: '/made/for/it' }, '/made/for/it'],
    [
      'echo $A-$PATH',
      { env: { A: 'b c' } },
      'b c-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    ],
    ['grep CapEff /proc/self/status', {}, 'CapEff:\t00000000a80425fb'],
    [
      'grep CapEff /proc/self/status',
      { security: { dropCapabilities: ['ALL'] } },
      'CapEff:\t0000000000000000',
    ],
    [
      'grep CapEff /proc/self/status',
      { security: { dropCapabilities: ['ALL'], addCapabilities: ['NET_ADMIN', 'CAP_SYS_TIME'] } },
      'CapEff:\t0000000002001000',
    ],
    ['grep CapEff /proc/self/status', { security: { runAsUser: 1000 } }, 'CapEff:\t0000000000000000'],
    ['grep NoNewPrivs /proc/self/status', { security: { noNewPrivileges: true } }, 'NoNewPrivs:\t1'],
    ['touch /file && echo written', {}, 'written'],
    [
      'touch /file; touch /dev/shm/file && echo shm',
      { security: { readonlyRootfs: true } },
      'touch: /file: Read-only file system\nshm',
    ],
    ['cat /proc/cpuinfo | wc -c', { security: { maskedPaths: ['/proc/cpuinfo', '/not/there'] } }, '0'],
    [
      'echo 1 > /proc/sys/kernel/domainname',
      { security: { readonlyPaths: ['/proc/sys'] } },
      "sh: can't create /proc/sys/kernel/domainname: Read-only file system",
    ],
    ['mount -t tmpfs none /tmp', {}, 'mount: permission denied (are you root?)'],
    ['grep Seccomp: /proc/self/status', {}, 'Seccomp:\t0'],
    [
      'grep Seccomp: /proc/self/status; echo runs',
      { security: { seccompProfile: { type: 'RuntimeDefault' } } },
      'Seccomp:\t2\nruns',
    ],
    ['mount -t tmpfs none /tmp && echo mounted', { security: { privileged: true } }, 'mounted'],
    ['ls /dev/kmsg', { security: { privileged: true } }, '/dev/kmsg'],
    ['ls /dev/kmsg', {}, 'ls: /dev/kmsg: No such file or directory'],
  ])('%s with %j', async (script, options, expected) => {
    expect((await outcome(script, options)).output).toBe(expected);
  });

  it('mounts what it is told, read-only or not', async () => {
    const source = join(subject.directory, 'volume');
    await mkdir(source);
    await writeFile(join(source, 'file'), 'content');
    const { output } = await outcome('cat /rw/file /ro/file; echo x > /rw/new && echo ok; echo x > /ro/new', {
      mounts: [
        { containerPath: '/ro', hostPath: source, readonly: true },
        { containerPath: '/rw', hostPath: source, readonly: false },
        { containerPath: '/rw/made', hostPath: join(source, 'not-there'), readonly: false },
      ],
    });
    expect(output).toBe("contentcontentok\nsh: can't create /ro/new: Read-only file system");
    expect(await readFile(join(source, 'new'), 'utf8')).toBe('x\n');
  });

  it('mounts images', async () => {
    const mounts = [
      { containerPath: '/image', hostPath: '', readonly: true, image: BUSYBOX_IMAGE, imageSubPath: 'etc' },
    ];
    expect((await outcome('head -n 1 /image/passwd; touch /image/x', { mounts })).output).toBe(
      'root:x:0:0:root:/root:/bin/sh\ntouch: /image/x: Read-only file system',
    );
  });

  it('has the names and addresses of its pod', async () => {
    const pod = await startPod({
      hostname: 'web-0',
      dnsConfig: {
        servers: ['10.96.0.10'],
        searches: ['default.svc.cluster.local', 'svc.cluster.local'],
        options: ['ndots:5'],
      },
    });
    const { output } = await outcome('hostname; cat /etc/hostname /etc/resolv.conf; echo $HOSTNAME', {}, pod);
    expect(output.split('\n')).toEqual([
      'web-0',
      'web-0',
      'search default.svc.cluster.local svc.cluster.local',
      'nameserver 10.96.0.10',
      'options ndots:5',
      'web-0',
    ]);
  });

  it('shares network and IPC with its pod, but not its processes', async () => {
    const pod = await startPod();
    await start('echo shared > /dev/shm/note; exec nc -ll -p 7000 -e hostname', {}, pod);
    const { output } = await outcome(
      'until [ -s /dev/shm/note ]; do sleep 0.01; done; cat /dev/shm/note; ps | grep -c "[n]c -ll"; until nc 127.0.0.1 7000; do sleep 0.01; done',
      {},
      pod,
    );
    expect(output.split('\n').at(0)).toBe('shared');
    expect(output.split('\n').at(-1)).toBe(pod[1].hostname);
    expect(output.split('\n').at(1)).toBe('0');
  });

  it('shares its processes where the pod says so, and ends them with the pod', async () => {
    const namespaces: NamespaceOptions = { ...OWN, pid: 'POD' };
    const pod = await startPod({ linux: { cgroupParent: '', namespaces, sysctls: {} } });
    const first = await start('exec sleep 4321', { security: { namespaces } }, pod);
    const { output } = await outcome('ps | grep "sleep 432[1]"; echo $$', { security: { namespaces } }, pod);
    expect(output).toContain('sleep 4321');
    expect(output.split('\n').at(-1)).not.toBe('1');
    await subject.runtime.runtimeService.removePodSandbox(pod[0]);
    await expect(subject.runtime.runtimeService.containerStatus(first)).rejects.toThrow('not found');
  });

  it('sees the processes of the container that it debugs', async () => {
    const pod = await startPod();
    const target = await start('exec sleep 5432', {}, pod);
    const { output } = await outcome('ps', { security: { namespaces: OWN, targetContainerId: target } }, pod);
    expect(output).toContain('sleep 5432');
  });

  it('has the sysctls of its pod', async () => {
    const pod = await startPod({
      linux: {
        cgroupParent: '',
        namespaces: OWN,
        sysctls: { 'net.core.somaxconn': '321', 'kernel.shm_rmid_forced': '1' },
      },
    });
    const { output } = await outcome(
      'cat /proc/sys/net/core/somaxconn /proc/sys/kernel/shm_rmid_forced',
      {},
      pod,
    );
    expect(output).toBe('321\n1');
    await expect(
      startPod({ linux: { cgroupParent: '', namespaces: OWN, sysctls: { '../../etc/passwd': 'x' } } }),
    ).rejects.toThrow('invalid sysctl');
  });

  it('is killed when it takes more memory than it may', async () => {
    const { status } = await outcome('x=x; while :; do x=$x$x; done', {
      resources: { memoryLimitInBytes: 24 * 1024 * 1024 },
    });
    expect(status).toMatchObject({ exitCode: 137, signal: 9, reason: 'OOMKilled' });
  });

  it('keeps to its number of processes, and to new limits', async () => {
    const { output } = await outcome('for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo all', {
      resources: { pidsLimit: 5 },
    });
    expect(output).toContain("can't fork");
    const id = await start('exec sleep 1000', { resources: { memoryLimitInBytes: 64 * 1024 * 1024 } });
    await subject.runtime.runtimeService.updateContainerResources(id, {
      memoryLimitInBytes: 32 * 1024 * 1024,
    });
    const limit =
      'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max';
    const { stdout } = await subject.runtime.runtimeService.execSync(id, ['sh', '-c', limit], 5);
    expect(stdout.toString().trim()).toBe(String(32 * 1024 * 1024));
  });

  it.each<[string, TestContainerOptions, RegExp]>([
    ['a program that is not there', { command: ['/no/such/program'] }, /no\/such\/program/],
    ['a program that is not in the path', { command: ['no-such-program'] }, /no-such-program/],
    ['an unknown user', { security: { runAsUserName: 'nobody-here' } }, /unable to find user nobody-here/],
    ['an unknown signal', { stopSignal: 'SIGWHAT' }, /unknown signal/],
    ['an unknown capability', { security: { addCapabilities: ['FLY'] } }, /unknown capability "CAP_FLY"/],
  ])('cannot be %s', async (_, options, message) => {
    await expect(start('true', options)).rejects.toThrow(message);
  });

  it('tells that a command is not there', async () => {
    const id = await start('exec sleep 1000');
    await expect(subject.runtime.runtimeService.execSync(id, ['no-such-command'], 5)).rejects.toThrow(
      /no-such-command/,
    );
  });
});
