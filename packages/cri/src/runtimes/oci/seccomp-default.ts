import type { LinuxContainerSecurityContext } from '../../contract.ts';

/**
 * The `RuntimeDefault` profile. Calls that reach outside a container or that the kernel has had trouble with are refused
 * with EPERM, unless a capability that the container was given asks for them; the groups are those of containerd's
 * profile. Everything else is allowed: unlike containerd's, which lists what is allowed and refuses what it does not know.
 */
const REFUSED: readonly { readonly names: readonly string[]; readonly unless?: readonly string[] }[] = [
  {
    names: [
      'bpf',
      'fanotify_init',
      'fsconfig',
      'fsmount',
      'fsopen',
      'fspick',
      'lookup_dcookie',
      'mount',
      'mount_setattr',
      'move_mount',
      'open_tree',
      'perf_event_open',
      'pivot_root',
      'quotactl',
      'quotactl_fd',
      'setdomainname',
      'sethostname',
      'setns',
      'umount',
      'umount2',
      'unshare',
    ],
    unless: ['SYS_ADMIN'],
  },
  { names: ['reboot'], unless: ['SYS_BOOT'] },
  { names: ['delete_module', 'finit_module', 'init_module'], unless: ['SYS_MODULE'] },
  { names: ['acct'], unless: ['SYS_PACCT'] },
  {
    names: ['kcmp', 'pidfd_getfd', 'process_madvise'],
    unless: ['SYS_PTRACE'],
  },
  { names: ['iopl', 'ioperm'], unless: ['SYS_RAWIO'] },
  { names: ['adjtimex', 'clock_adjtime', 'clock_settime', 'settimeofday', 'stime'], unless: ['SYS_TIME'] },
  { names: ['vhangup'], unless: ['SYS_TTY_CONFIG'] },
  { names: ['get_mempolicy', 'mbind', 'set_mempolicy', 'set_mempolicy_home_node'], unless: ['SYS_NICE'] },
  { names: ['syslog'], unless: ['SYSLOG'] },
  { names: ['open_by_handle_at'], unless: ['DAC_READ_SEARCH'] },
  {
    names: [
      '_sysctl',
      'add_key',
      'create_module',
      'get_kernel_syms',
      'io_uring_enter',
      'io_uring_register',
      'io_uring_setup',
      'kexec_file_load',
      'kexec_load',
      'keyctl',
      'move_pages',
      'nfsservctl',
      'query_module',
      'request_key',
      'swapoff',
      'swapon',
      'sysfs',
      'uselib',
      'userfaultfd',
      'ustat',
      'vm86',
      'vm86old',
    ],
  },
];

/** CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET. */
const NAMESPACE_FLAGS: readonly number[] = [
  0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
];
const EPERM = 1;
const ENOSYS = 38;

export function runtimeDefaultSeccomp(
  security: LinuxContainerSecurityContext,
): Readonly<Record<string, unknown>> {
  const given = new Set(security.addCapabilities.map((name) => name.toUpperCase().replace(/^CAP_/, '')));
  const has = (name: string): boolean => given.has(name) || given.has('ALL');
  const refused = REFUSED.filter(({ unless = [] }) => !unless.some(has)).flatMap(({ names }) => names);
  return {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [
      { names: refused, action: 'SCMP_ACT_ERRNO', errnoRet: EPERM },
      ...(has('SYS_ADMIN')
        ? []
        : [
            // One rule a flag: conditions within one rule must all hold.
            ...NAMESPACE_FLAGS.map((flag) => ({
              names: ['clone'],
              action: 'SCMP_ACT_ERRNO',
              errnoRet: EPERM,
              args: [{ index: 0, value: flag, valueTwo: flag, op: 'SCMP_CMP_MASKED_EQ' }],
            })),
            // Its flags are in memory, where a filter cannot look; programs fall back to clone.
            { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
          ]),
    ],
  };
}
