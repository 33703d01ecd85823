/** Linux capabilities in the order of their numbers (include/uapi/linux/capability.h). */
const CAPABILITIES = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETPCAP',
  'CAP_LINUX_IMMUTABLE',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_BROADCAST',
  'CAP_NET_ADMIN',
  'CAP_NET_RAW',
  'CAP_IPC_LOCK',
  'CAP_IPC_OWNER',
  'CAP_SYS_MODULE',
  'CAP_SYS_RAWIO',
  'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE',
  'CAP_SYS_PACCT',
  'CAP_SYS_ADMIN',
  'CAP_SYS_BOOT',
  'CAP_SYS_NICE',
  'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME',
  'CAP_SYS_TTY_CONFIG',
  'CAP_MKNOD',
  'CAP_LEASE',
  'CAP_AUDIT_WRITE',
  'CAP_AUDIT_CONTROL',
  'CAP_SETFCAP',
  'CAP_MAC_OVERRIDE',
  'CAP_MAC_ADMIN',
  'CAP_SYSLOG',
  'CAP_WAKE_ALARM',
  'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ',
  'CAP_PERFMON',
  'CAP_BPF',
  'CAP_CHECKPOINT_RESTORE',
] as const;

/** What a container has when nothing is said (containerd's defaultUnixCaps). */
const DEFAULT_CAPABILITIES: readonly string[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FSETID',
  'CAP_FOWNER',
  'CAP_MKNOD',
  'CAP_NET_RAW',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETFCAP',
  'CAP_SETPCAP',
  'CAP_NET_BIND_SERVICE',
  'CAP_SYS_CHROOT',
  'CAP_KILL',
  'CAP_AUDIT_WRITE',
];

export const SYS_RESOURCE: bigint = 1n << 24n;

/**
 * The capabilities of a container: `ALL` is meant first, then single names are added and dropped, with or without `CAP_`.
 * What we do not have ourselves cannot be given and is left out. Throws for a name the kernel does not know.
 */
export function containerCapabilities(
  request: {
    readonly privileged: boolean;
    readonly add: readonly string[];
    readonly drop: readonly string[];
  },
  bounds: bigint,
): readonly string[] {
  const available = CAPABILITIES.filter((_, index) => (bounds >> BigInt(index)) & 1n);
  if (request.privileged) return available;
  const add = request.add.map(canonical);
  const drop = request.drop.map(canonical);
  const chosen = new Set<string>(DEFAULT_CAPABILITIES);
  if (add.includes('CAP_ALL')) for (const name of CAPABILITIES) chosen.add(name);
  if (drop.includes('CAP_ALL')) chosen.clear();
  for (const name of add) if (name !== 'CAP_ALL') chosen.add(known(name));
  for (const name of drop) if (name !== 'CAP_ALL') chosen.delete(known(name));
  return available.filter((name) => chosen.has(name));
}

function canonical(name: string): string {
  const upper = name.toUpperCase();
  return upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
}

function known(name: string): string {
  if (!(CAPABILITIES as readonly string[]).includes(name))
    throw new Error(`unknown capability ${JSON.stringify(name)}`);
  return name;
}
