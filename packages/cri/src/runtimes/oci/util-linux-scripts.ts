import { join } from 'node:path';
import type { ContainerPaths } from './layout.ts';
import type { OciMount, OciProcess, OciSpec } from './oci-spec.ts';

/** Shell scripts that do with util-linux what an OCI runtime does. Every word that comes from outside is quoted. */
export interface PlacedMount extends OciMount {
  /** The mount's destination as a path of the node, every link followed inside the root file system. */
  readonly target: string;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

interface NamespaceEntry {
  readonly type: string;
  readonly path?: string;
}

/**
 * Starts the first process and ends, so that conmon becomes its parent. After `unshare --pid` without `--fork` the next
 * child of the shell is the first process of the new namespace, and `$!` is its pid outside.
 */
export function createScript(spec: OciSpec, init: string): string {
  const namespaces = spec.linux['namespaces'] as readonly NamespaceEntry[];
  const flags: Readonly<Record<string, string>> = { network: 'net', ipc: 'ipc', uts: 'uts', pid: 'pid' };
  const enter = namespaces
    .filter(({ type, path }) => path !== undefined && flags[type] !== undefined)
    .map(({ type, path = '' }) => `--${flags[type]}=${quote(path)}`);
  const ownPids = namespaces.some(({ type, path }) => type === 'pid' && path === undefined);
  const launch = quote('exec 3<&0; sh "$0" <&3 3<&- & echo "$!" > "$1"');
  const unshare = `unshare --mount ${ownPids ? '--pid ' : ''}--propagation slave sh -c ${launch} ${quote(init)} "$1"`;
  return `cd /\nexec ${enter.length > 0 ? `nsenter --no-fork ${enter.join(' ')} ` : ''}${unshare}\n`;
}

/** What the first process does before it becomes the container's program. */
export function initScript(
  spec: OciSpec,
  mounts: readonly PlacedMount[],
  paths: ContainerPaths,
  groups: readonly string[],
): string {
  const root = paths.rootfs;
  const gate = quote(join(paths.bundle, 'start'));
  const protectedPaths = (name: string): readonly string[] =>
    ((spec.linux[name] ?? []) as readonly string[]).filter((path) => /^\/(proc|sys)\//.test(path));
  return [
    'set -e',
    ...groups.map((group) => `echo 0 > ${quote(join(group, 'cgroup.procs'))}`),
    ...mounts.flatMap(mountCommands),
    deviceCommands(root),
    ...protectedPaths('readonlyPaths').map((path) => {
      const target = quote(root + path);
      return `if [ -e ${target} ]; then mount --bind ${target} ${target}; mount -o remount,bind,ro ${target}; fi`;
    }),
    ...protectedPaths('maskedPaths').map((path) => {
      const target = quote(root + path);
      const cover = `if [ -d ${target} ]; then mount -t tmpfs -o ro none ${target}; else mount --bind /dev/null ${target}; fi`;
      return `if [ -e ${target} ]; then ${cover}; fi`;
    }),
    // Bound on itself, for only a mount of this namespace can be made read-only without the others.
    ...(spec.root.readonly ? [`mount -o remount,bind,ro ${quote(root)}`] : []),
    `mkfifo ${gate}`,
    `read -r _ < ${gate}`,
    `exec ${commandLine(spec.process, root)}`,
    '',
  ].join('\n');
}

function mountCommands(mount: PlacedMount): readonly string[] {
  const target = quote(mount.target);
  if (mount.type === 'cgroup') return []; // would show the node's
  if (mount.type !== 'bind') {
    const options = mount.options.filter((option) => option !== 'newinstance').join(',');
    return [
      `mkdir -p ${target}`,
      `mount -t ${mount.type} -o ${quote(options)} ${quote(mount.source)} ${target}`,
    ];
  }
  const propagation = mount.options.find((option) => /^r(private|slave|shared)$/.test(option)) ?? 'rprivate';
  const readonly = mount.options.some((option) => option === 'ro' || option === 'rro');
  const source = quote(mount.source);
  // /dev is new and empty; elsewhere the places were made before anything was mounted.
  const place = `if [ -d ${source} ]; then mkdir -p ${target}; else : > ${target}; fi`;
  return [
    ...(mount.destination.startsWith('/dev/') ? [place] : []),
    `mount --rbind ${source} ${target}`,
    `mount --make-${propagation} ${target}`,
    ...(readonly ? [`mount -o remount,bind,ro ${target}`] : []),
  ];
}

/** /dev is a fresh tmpfs. */
function deviceCommands(root: string): string {
  return `
dev=${quote(join(root, 'dev'))}
for device in null:3 zero:5 full:7 random:8 urandom:9; do
  mknod -m 666 "$dev/\${device%:*}" c 1 "\${device#*:}"
done
mknod -m 666 "$dev/tty" c 5 0
ln -s pts/ptmx "$dev/ptmx"
ln -s /proc/self/fd "$dev/fd"
ln -s /proc/self/fd/0 "$dev/stdin"
ln -s /proc/self/fd/1 "$dev/stdout"
ln -s /proc/self/fd/2 "$dev/stderr"`;
}

/**
 * The command that takes privileges away, changes the root and runs the program. The two capabilities that the change
 * itself needs stay in the bounding set; a user other than root loses all with the change of user.
 */
export function commandLine(process: OciProcess, root: string): string {
  const { uid, gid, additionalGids } = process.user;
  const kept = new Set([...(process.capabilities['bounding'] ?? []), 'CAP_SYS_CHROOT', 'CAP_SETUID']);
  const bounding = [...kept].map((name) => `+${name.slice('CAP_'.length).toLowerCase()}`);
  return [
    'env -i --default-signal=INT,QUIT',
    ...process.env.map(quote),
    ...(process.env.some((variable) => variable.startsWith('HOME='))
      ? []
      : [quote(`HOME=${uid === 0 ? '/root' : '/'}`)]),
    '/usr/bin/setpriv',
    process.noNewPrivileges ? '--no-new-privs' : '',
    `--regid ${gid}`,
    additionalGids.length > 0 ? `--groups ${additionalGids.join(',')}` : '--clear-groups',
    `--inh-caps=-all --bounding-set=-all,${bounding.join(',')}`,
    `/usr/bin/unshare --root=${quote(root)} --wd=${quote(process.cwd)} --setuid=${uid} --`,
    ...process.args.map(quote),
  ]
    .filter(Boolean)
    .join(' ');
}

/** Runs a command line in the namespaces and control groups of the container's first process. */
export function execScript(paths: ContainerPaths, pidFile: string, line: string): string {
  return [
    `pid=$(cat ${quote(paths.pidFile)})`,
    // One directory a line, written when the container was created.
    `while read -r group; do echo "$$" > "$group/cgroup.procs"; done < ${quote(join(paths.bundle, 'groups'))}`,
    `echo "$$" > ${quote(pidFile)}`,
    `exec nsenter --target "$pid" --mount --net --ipc --uts --pid ${line}`,
  ].join('\n');
}
