import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type {
  ContainerConfig,
  Device,
  LinuxContainerResources,
  Mount,
  PodSandboxConfig,
} from '../../contract.ts';
import type { ImageConfig } from '../../images/image-config.ts';
import { containerCapabilities, SYS_RESOURCE } from './capabilities.ts';
import type { Host } from './host.ts';
import type { SandboxPaths } from './layout.ts';
import type { ProcessUser } from './users.ts';

/** The parts of the OCI runtime specification (config.md, config-linux.md) that we write. */
export interface OciSpec {
  readonly ociVersion: string;
  readonly process: OciProcess;
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly mounts: readonly OciMount[];
  readonly linux: Record<string, unknown>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface OciProcess {
  readonly terminal: boolean;
  readonly user: ProcessUser;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly capabilities: Readonly<Record<string, readonly string[]>>;
  readonly noNewPrivileges: boolean;
  readonly oomScoreAdj?: number;
  readonly apparmorProfile?: string;
}

export interface OciMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

export interface SpecRequest {
  readonly config: ContainerConfig;
  readonly sandbox: PodSandboxConfig;
  readonly paths: SandboxPaths;
  readonly image: ImageConfig;
  readonly user: ProcessUser;
  readonly host: Host;
  readonly cgroup: string;
  readonly rootfs: string;
  /** Process whose process namespace is shared: the sandbox's, or an ephemeral container's target. */
  readonly pidNamespace: string | undefined;
  /** Host paths of mounted images, by the mount's container path. */
  readonly imageMounts: ReadonlyMap<string, string>;
  readonly seccomp: Readonly<Record<string, unknown>> | undefined;
}

const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The `config.json` of a container. Throws an `Error` when the configuration cannot be run. */
export async function containerSpec(request: SpecRequest): Promise<OciSpec> {
  const { config, image, host, user } = request;
  const security = config.linux.securityContext;
  const capabilities = containerCapabilities(
    { privileged: security.privileged, add: security.addCapabilities, drop: security.dropCapabilities },
    host.capabilityBounds,
  );
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: config.tty,
      user,
      args: commandLine(config, image),
      env: environment(request),
      cwd: config.workingDir || image.config.WorkingDir || '/',
      capabilities: {
        bounding: capabilities,
        permitted: capabilities,
        // The kernel takes them from a user other than root when it executes the program.
        effective: capabilities,
      },
      noNewPrivileges: security.noNewPrivileges,
      ...oomScoreAdj(config.linux.resources.oomScoreAdj, host),
      ...(security.apparmorProfile?.type === 'Localhost' && {
        apparmorProfile: security.apparmorProfile.localhostRef ?? '',
      }),
    },
    root: { path: request.rootfs, readonly: security.readonlyRootfs },
    mounts: containerMounts(request),
    linux: {
      namespaces: namespaces(request),
      cgroupsPath: request.cgroup,
      resources: await resources(config, security.privileged, host),
      ...(security.privileged
        ? { devices: await allDevices() }
        : { devices: await Promise.all((config.devices ?? []).map(deviceNode)) }),
      maskedPaths: security.privileged ? [] : security.maskedPaths,
      readonlyPaths: security.privileged ? [] : security.readonlyPaths,
      rootfsPropagation: rootfsPropagation(config.mounts),
      ...(request.seccomp !== undefined && { seccomp: request.seccomp }),
    },
    annotations: {},
  };
}

/** Kubernetes' rule: `command` replaces the image's entrypoint and drops its arguments; `args` replace the arguments. */
function commandLine(config: ContainerConfig, image: ImageConfig): readonly string[] {
  const { Entrypoint = [], Cmd = [] } = image.config;
  const entrypoint = config.command.length > 0 ? config.command : Entrypoint;
  const args = config.args.length > 0 ? config.args : config.command.length > 0 ? [] : Cmd;
  const line = [...entrypoint, ...args];
  if (line.length === 0) throw new Error('no command specified');
  return line;
}

function environment({ config, image, sandbox }: SpecRequest): readonly string[] {
  const variables = new Map<string, string>();
  const set = (text: string): void => {
    const equals = text.indexOf('=');
    if (equals > 0) variables.set(text.slice(0, equals), text.slice(equals + 1));
  };
  set(DEFAULT_PATH);
  if (config.tty) set('TERM=xterm');
  if (sandbox.hostname !== '') set(`HOSTNAME=${sandbox.hostname}`);
  for (const text of image.config.Env ?? []) set(text);
  for (const { key, value } of config.envs) variables.set(key, value);
  return [...variables].map(([key, value]) => `${key}=${value}`);
}

/** Without CAP_SYS_RESOURCE a process cannot be spared more than we are ourselves. */
function oomScoreAdj(wanted: number | undefined, host: Host): { readonly oomScoreAdj?: number } {
  if (wanted === undefined) return {};
  const mayLower = (host.capabilityBounds & SYS_RESOURCE) !== 0n;
  return { oomScoreAdj: mayLower ? wanted : Math.max(wanted, host.oomScoreAdj) };
}

function namespaces(request: SpecRequest): readonly { readonly type: string; readonly path?: string }[] {
  const { paths, sandbox, pidNamespace } = request;
  const modes = request.config.linux.securityContext.namespaces;
  const list: { type: string; path?: string }[] = [{ type: 'mount' }];
  if (sandbox.linux.namespaces.network !== 'NODE') {
    list.push({ type: 'network', path: paths.net }, { type: 'uts', path: paths.uts });
  }
  if (sandbox.linux.namespaces.ipc !== 'NODE') list.push({ type: 'ipc', path: paths.ipc });
  if (pidNamespace !== undefined) list.push({ type: 'pid', path: pidNamespace });
  else if (modes.pid !== 'NODE') list.push({ type: 'pid' });
  if (request.host.cgroups.mode === 'v2') list.push({ type: 'cgroup' });
  return list;
}

function containerMounts(request: SpecRequest): readonly OciMount[] {
  const { config, sandbox, paths } = request;
  const { privileged, readonlyRootfs } = config.linux.securityContext;
  const access = privileged ? 'rw' : 'ro';
  const system: OciMount[] = [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', access] },
    {
      destination: '/sys/fs/cgroup',
      type: 'cgroup',
      source: 'cgroup',
      options: ['nosuid', 'noexec', 'nodev', 'relatime', access],
    },
  ];
  const shm = sandbox.linux.namespaces.ipc === 'NODE' ? '/dev/shm' : paths.shm;
  const fileAccess = readonlyRootfs ? 'ro' : 'rw';
  const file = (destination: string, source: string): OciMount => ({
    destination,
    type: 'bind',
    source,
    options: ['rbind', 'rprivate', fileAccess],
  });
  const files = [
    { ...file('/dev/shm', shm), options: ['rbind', 'rprivate', 'rw'] },
    file('/etc/hostname', paths.hostname),
    file('/etc/hosts', paths.hosts),
    file('/etc/resolv.conf', paths.resolvConf),
  ];
  const asked = config.mounts.map((mount) => bindMount(mount, request.imageMounts));
  const taken = new Set(asked.map(({ destination }) => destination));
  // Parents before what is mounted in them; what the pod mounts itself is not mounted by us.
  const mounts = [...files.filter(({ destination }) => !taken.has(destination)), ...asked];
  mounts.sort((a, b) => depth(a.destination) - depth(b.destination));
  return [...system.filter(({ destination }) => !taken.has(destination)), ...mounts];
}

function depth(path: string): number {
  return path.split('/').filter(Boolean).length;
}

function bindMount(mount: Mount, imageMounts: ReadonlyMap<string, string>): OciMount {
  const destination = normalDestination(mount.containerPath);
  const propagation =
    mount.propagation === 'BIDIRECTIONAL'
      ? 'rshared'
      : mount.propagation === 'HOST_TO_CONTAINER'
        ? 'rslave'
        : 'rprivate';
  const readonly = mount.recursiveReadonly ? 'rro' : 'ro';
  const imagePath = imageMounts.get(mount.containerPath);
  return {
    destination,
    type: 'bind',
    source: imagePath ?? mount.hostPath,
    options: ['rbind', propagation, mount.readonly || imagePath !== undefined ? readonly : 'rw'],
  };
}

function normalDestination(path: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (!path.startsWith('/') || parts.includes('..'))
    throw new Error(`mount path ${JSON.stringify(path)} is not absolute`);
  return `/${parts.join('/')}`;
}

/** A mount that propagates needs a root that is not private. */
function rootfsPropagation(mounts: readonly Mount[]): string {
  if (mounts.some(({ propagation }) => propagation === 'BIDIRECTIONAL')) return 'rshared';
  if (mounts.some(({ propagation }) => propagation === 'HOST_TO_CONTAINER')) return 'rslave';
  return 'private';
}

async function resources(
  config: ContainerConfig,
  privileged: boolean,
  host: Host,
): Promise<Record<string, unknown>> {
  const allowed = await Promise.all((config.devices ?? []).map(deviceRule));
  return {
    devices: privileged ? [{ allow: true, access: 'rwm' }] : [{ allow: false, access: 'rwm' }, ...allowed], // the runtime itself adds null, zero, random, tty …
    ...ociResources(config.linux.resources, host),
  };
}

/** CRI resources in the runtime specification's form; also what `crun update` reads. */
export function ociResources(from: LinuxContainerResources, host: Host): Record<string, unknown> {
  const v2 = host.cgroups.mode === 'v2';
  const has = (controller: string): boolean => host.cgroups.trees.has(controller);
  const cpu = {
    ...(from.cpuShares !== undefined && from.cpuShares > 0 && { shares: from.cpuShares }),
    ...(from.cpuQuota !== undefined && from.cpuQuota !== 0 && { quota: from.cpuQuota }),
    ...(from.cpuPeriod !== undefined && from.cpuPeriod > 0 && { period: from.cpuPeriod }),
    ...(from.cpusetCpus !== undefined && from.cpusetCpus !== '' && { cpus: from.cpusetCpus }),
  };
  const limit = from.memoryLimitInBytes ?? 0;
  return {
    ...(has('cpu') && Object.keys(cpu).length > 0 && { cpu }),
    // No swap beyond the limit, where the kernel counts swap.
    ...(has('memory') && limit > 0 && { memory: v2 ? { limit, swap: limit } : { limit } }),
    ...(has('pids') &&
      from.pidsLimit !== undefined &&
      from.pidsLimit > 0 && { pids: { limit: from.pidsLimit } }),
    ...(has('hugetlb') &&
      from.hugepageLimits && {
        hugepageLimits: from.hugepageLimits.map(({ pageSize, limit: bytes }) => ({ pageSize, limit: bytes })),
      }),
    ...(v2 && from.unified && Object.keys(from.unified).length > 0 && { unified: from.unified }),
  };
}

interface OciDevice {
  readonly path: string;
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
  readonly fileMode: number;
  readonly uid: number;
  readonly gid: number;
}

async function deviceNode(device: Device): Promise<OciDevice> {
  const info = await stat(device.hostPath);
  if (!info.isCharacterDevice() && !info.isBlockDevice())
    throw new Error(`${device.hostPath} is not a device`);
  return {
    path: device.containerPath,
    type: info.isBlockDevice() ? 'b' : 'c',
    ...deviceNumbers(info.rdev),
    fileMode: info.mode & 0o777,
    uid: info.uid,
    gid: info.gid,
  };
}

async function deviceRule(device: Device): Promise<Record<string, unknown>> {
  const { type, major, minor } = await deviceNode(device);
  return { allow: true, type, major, minor, access: device.permissions || 'rwm' };
}

/** The kernel's packing of a device number in 64 bits (gnu_dev_major). */
function deviceNumbers(rdev: number): { readonly major: number; readonly minor: number } {
  const number = BigInt(rdev);
  return {
    major: Number(((number >> 8n) & 0xfffn) | ((number >> 32n) & ~0xfffn)),
    minor: Number((number & 0xffn) | ((number >> 12n) & 0xffffff00n)),
  };
}

/** Left out: what the runtime makes itself, terminals, and file systems of their own. */
const NOT_COPIED = new Set([
  'pts',
  'shm',
  'mqueue',
  'fd',
  'console',
  'null',
  'zero',
  'full',
  'random',
  'urandom',
  'tty',
  'ptmx',
]);

async function allDevices(directory = '/dev'): Promise<readonly OciDevice[]> {
  const devices: OciDevice[] = [];
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (directory === '/dev' && NOT_COPIED.has(entry.name)) continue;
    if (entry.isDirectory()) devices.push(...(await allDevices(path)));
    else if (entry.isCharacterDevice() || entry.isBlockDevice()) {
      devices.push(await deviceNode({ containerPath: path, hostPath: path, permissions: 'rwm' }));
    }
  }
  return devices;
}
