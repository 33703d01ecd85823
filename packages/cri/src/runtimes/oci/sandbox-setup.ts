import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname as machineName } from 'node:os';
import { spawn } from 'node:child_process';
import { COMMAND_ENVIRONMENT, runCommand, sleep } from '@k8ts/base';
import type { Clock } from '@k8ts/base';
import type { PodSandboxConfig } from '../../contract.ts';
import type { SandboxPaths } from './layout.ts';
import { identifyProcess } from './records.ts';
import type { ProcessIdentity } from './records.ts';
import { unmount } from './rootfs.ts';

const SHM_SIZE = 64 * 1024 * 1024;

/**
 * Sets up in one go, by a shell inside the new namespaces: host name, loopback, sysctls. `unshare` pins each namespace by
 * a bind mount on a file, so no process is needed to keep it.
 *
 * $1 host name (empty: the machine's), $2 "net" when the network is its own, then `path=value` of the sysctls.
 */
const SETUP = `
set -e
if [ -n "$1" ]; then hostname "$1"; fi
if [ "$2" = net ]; then ip link set lo up; fi
shift 2
for setting; do
  printf %s "\${setting#*=}" > "/proc/sys/\${setting%%=*}"
done
`;

/**
 * The first process of a process namespace that the containers of a pod share: it reaps, and does nothing else. SIGKILL
 * from outside ends it, and with it the namespace.
 */
const PAUSE = `trap '' TERM INT HUP; while :; do sleep 2147483647 & wait $!; done`;

/** Makes the namespaces and files of a sandbox. When it throws, `tearDownSandbox` cleans up. */
export async function setUpSandbox(
  clock: Clock,
  config: PodSandboxConfig,
  paths: SandboxPaths,
): Promise<{ readonly pause: ProcessIdentity | undefined }> {
  await mkdir(paths.state, { recursive: true, mode: 0o711 });
  await mkdir(paths.run, { recursive: true, mode: 0o711 });
  await writeSandboxFiles(config, paths);
  const { namespaces, sysctls } = config.linux;
  const ownNetwork = namespaces.network !== 'NODE';
  const ownIpc = namespaces.ipc !== 'NODE';
  const flags: string[] = [];
  const pin = async (flag: string, path: string): Promise<void> => {
    await writeFile(path, '');
    flags.push(`--${flag}=${path}`);
  };
  if (ownNetwork) {
    await pin('net', paths.net);
    await pin('uts', paths.uts);
  }
  if (ownIpc) {
    await pin('ipc', paths.ipc);
    await mkdir(paths.shm, { mode: 0o1777 });
    await runCommand('mount', [
      '-t',
      'tmpfs',
      '-o',
      `nosuid,noexec,nodev,mode=1777,size=${SHM_SIZE}`,
      'shm',
      paths.shm,
    ]);
  }
  const settings = Object.entries(sysctls).map(([name, value]) => `${sysctlPath(name)}=${value}`);
  if (flags.length > 0) {
    const hostname = ownNetwork ? config.hostname : '';
    await runCommand('unshare', [
      ...flags,
      'sh',
      '-c',
      SETUP,
      'setup',
      hostname,
      ownNetwork ? 'net' : '',
      ...settings,
    ]);
  } else if (settings.length > 0) {
    throw new Error(
      'sysctls need namespaces of the pod: they cannot be set with the network and IPC of the node',
    );
  }
  return { pause: namespaces.pid === 'POD' ? await startPause(clock, paths) : undefined };
}

/** `net.core.somaxconn` → `net/core/somaxconn`; with a slash in the name, dots and slashes change roles (sysctl.d(5)). */
function sysctlPath(name: string): string {
  if (!/^[a-z0-9]([-_a-z0-9]*[a-z0-9])?([./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*$/.test(name)) {
    throw new Error(`invalid sysctl ${JSON.stringify(name)}`);
  }
  const firstSeparator = /[./]/.exec(name)?.[0];
  if (firstSeparator === '/') return name;
  return name.replace(/[./]/g, (separator) => (separator === '.' ? '/' : '.'));
}

async function startPause(clock: Clock, paths: SandboxPaths): Promise<ProcessIdentity> {
  await writeFile(paths.pid, '');
  // --fork: the shell is the namespace's first process; unshare waits for it and is what we can see by its pid.
  const child = spawn(
    'unshare',
    [`--pid=${paths.pid}`, '--fork', '--kill-child', 'sh', '-c', PAUSE, 'pause'],
    {
      detached: true,
      stdio: 'ignore',
      env: COMMAND_ENVIRONMENT,
      cwd: '/',
    },
  );
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', () => resolve());
    child.once('error', reject);
  });
  child.unref();
  const pid = child.pid ?? 0;
  // The namespace is pinned once its first process exists.
  for (let attempt = 0; attempt < 200; attempt++) {
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
    const first = await identifyProcess(Number(children.trim().split(' ')[0]));
    if (first !== undefined && (await isPinned(paths.pid))) return first;
    await sleep(clock, 5);
  }
  throw new Error('the process namespace of the pod could not be made');
}

async function isPinned(path: string): Promise<boolean> {
  return (await readFile('/proc/self/mountinfo', 'utf8')).includes(` ${path} `);
}

/** Takes back what `setUpSandbox` made, however far it came; the state directory stays. */
export async function tearDownSandbox(paths: SandboxPaths): Promise<void> {
  for (const path of [paths.net, paths.uts, paths.ipc, paths.pid, paths.shm]) await unmount(path);
  await rm(paths.run, { recursive: true, force: true });
}

async function writeSandboxFiles(config: PodSandboxConfig, paths: SandboxPaths): Promise<void> {
  const onNode = config.linux.namespaces.network === 'NODE';
  await writeFile(paths.hostname, `${onNode ? machineName() : config.hostname}\n`);
  if (onNode) await copyFile('/etc/hosts', paths.hosts).catch(() => writeFile(paths.hosts, LOCAL_HOSTS));
  else await writeFile(paths.hosts, LOCAL_HOSTS);
  const dns = config.dnsConfig;
  if (dns === undefined) {
    await copyFile('/etc/resolv.conf', paths.resolvConf).catch(() => writeFile(paths.resolvConf, ''));
    return;
  }
  const lines = [
    ...(dns.searches.length > 0 ? [`search ${dns.searches.join(' ')}`] : []),
    ...dns.servers.map((server) => `nameserver ${server}`),
    ...(dns.options.length > 0 ? [`options ${dns.options.join(' ')}`] : []),
  ];
  await writeFile(paths.resolvConf, lines.map((line) => `${line}\n`).join(''));
}

const LOCAL_HOSTS = '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n';
