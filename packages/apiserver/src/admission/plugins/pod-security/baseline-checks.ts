/**
 * Known ways out of a container (https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline; the words
 * and versions are those of k8s.io/pod-security-admission/policy).
 */
import { goQuote } from '@k8ts/apimachinery';
import type { corev1 } from '@k8ts/api';
import {
  containersOf,
  containersText,
  containersThat,
  hasUserNamespace,
  plural,
  quoted,
  settersOf,
  uses,
  type AnySecurityContext,
  type Check,
  type PodCheck,
} from './check.ts';

const ALLOWED_PROFILES: readonly string[] = ['RuntimeDefault', 'Localhost'];

const APP_ARMOR_ANNOTATION = 'container.apparmor.security.beta.kubernetes.io/';

const appArmorProfile: PodCheck = (spec, { annotations = {} }) => {
  const values = new Set<string>();
  const setters = settersOf(spec, ({ appArmorProfile: profile }) => {
    if (profile === undefined || ALLOWED_PROFILES.includes(profile.type)) return false;
    values.add(profile.type);
    return true;
  });
  const forbidden = Object.entries(annotations)
    .filter(([name, value]) => name.startsWith(APP_ARMOR_ANNOTATION) && !isAppArmorAnnotationAllowed(value))
    .map(([name, value]) => `${name}=${goQuote(value)}`)
    .sort();
  if (forbidden.length > 0) setters.push(plural('annotation', forbidden.length));
  if (setters.length === 0) return undefined;
  const all = [...[...values].sort(), ...forbidden];
  return {
    reason: plural('forbidden AppArmor profile', all.length),
    detail: `${setters.join(' and ')} must not set AppArmor profile type to ${quoted(all)}`,
  };
};

function isAppArmorAnnotationAllowed(profile: string): boolean {
  return profile === '' || profile === 'runtime/default' || profile.startsWith('localhost/');
}

/** What container runtimes give anyway, without NET_RAW. */
const CAPABILITIES = new Set([
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
]);

const capabilities: PodCheck = (spec) => {
  const forbidden = new Set<string>();
  const names = containersThat(spec, ({ securityContext }) => {
    const added = (securityContext?.capabilities?.add ?? []).filter((name) => !CAPABILITIES.has(name));
    for (const name of added) forbidden.add(name);
    return added.length > 0;
  });
  if (names.length === 0) return undefined;
  return {
    reason: 'non-default capabilities',
    detail: `${containersText(names)} must not include ${quoted([...forbidden].sort())} in securityContext.capabilities.add`,
  };
};

const hostNamespaces: PodCheck = (spec) => {
  const shared = (['hostNetwork', 'hostPID', 'hostIPC'] as const).filter((field) => spec[field] === true);
  if (shared.length === 0) return undefined;
  return { reason: 'host namespaces', detail: shared.map((field) => `${field}=true`).join(', ') };
};

const hostPathVolumes: PodCheck = ({ volumes = [] }) => {
  const names = volumes.filter(({ hostPath }) => hostPath !== undefined).map(({ name }) => name);
  if (names.length === 0) return undefined;
  return { reason: 'hostPath volumes', detail: `${plural('volume', names.length)} ${quoted(names)}` };
};

const hostPorts: PodCheck = (spec) => {
  const ports = new Set<string>();
  const names = containersThat(spec, (container) => {
    const used = (container.ports ?? []).filter(({ hostPort = 0 }) => hostPort !== 0);
    for (const { hostPort } of used) ports.add(String(hostPort));
    return used.length > 0;
  });
  if (names.length === 0) return undefined;
  return {
    reason: 'hostPort',
    detail: `${containersText(names)} ${uses(names.length)} ${plural('hostPort', ports.size)} ${[...ports].sort().join(', ')}`,
  };
};

type Handler = Pick<corev1.LifecycleHandler, 'httpGet' | 'tcpSocket'>;

/** The kubelet would connect to wherever they say. */
const hostProbesAndHostLifecycle: PodCheck = (spec) => {
  const hosts = new Set<string>();
  const names = new Set<string>();
  for (const { name, livenessProbe, readinessProbe, startupProbe, lifecycle } of containersOf(spec)) {
    const handlers: readonly (Handler | undefined)[] = [
      livenessProbe,
      readinessProbe,
      startupProbe,
      lifecycle?.postStart,
      lifecycle?.preStop,
    ];
    for (const handler of handlers)
      for (const host of [handler?.httpGet?.host, handler?.tcpSocket?.host]) {
        if (!host) continue;
        hosts.add(host);
        names.add(name);
      }
  }
  if (names.size === 0) return undefined;
  return {
    reason: 'probe or lifecycle host',
    detail: `${containersText([...names].sort())} ${uses(names.size)} ${plural('probe or lifecycle host', hosts.size)} ${quoted([...hosts].sort())}`,
  };
};

const privileged: PodCheck = (spec) => {
  const names = containersThat(spec, ({ securityContext }) => securityContext?.privileged === true);
  if (names.length === 0) return undefined;
  return {
    reason: 'privileged',
    detail: `${containersText(names)} must not set securityContext.privileged=true`,
  };
};

export const procMount: PodCheck = (spec) => {
  const values = new Set<string>();
  const names = containersThat(spec, ({ securityContext }) => {
    const value = securityContext?.procMount ?? 'Default';
    if (value === 'Default') return false;
    values.add(value);
    return true;
  });
  if (names.length === 0) return undefined;
  return {
    reason: 'procMount',
    detail: `${containersText(names)} must not set securityContext.procMount to ${quoted([...values].sort())}`,
  };
};

const SELINUX_TYPES = ['', 'container_t', 'container_init_t', 'container_kvm_t'];

function seLinuxOptions(allowed: readonly string[]): PodCheck {
  return (spec) => {
    const types = new Set<string>();
    const fields = new Set<'user' | 'role'>();
    const setters = settersOf(spec, ({ seLinuxOptions: options }) => {
      if (options === undefined) return false;
      const { type = '', user, role } = options;
      if (!allowed.includes(type)) types.add(type);
      if (user) fields.add('user');
      if (role) fields.add('role');
      return !allowed.includes(type) || !!user || !!role;
    });
    if (setters.length === 0) return undefined;
    const problems = [
      ...(types.size === 0 ? [] : [`${plural('type', types.size)} ${quoted([...types].sort())}`]),
      ...(['user', 'role'] as const)
        .filter((field) => fields.has(field))
        .map((field) => `${field} may not be set`),
    ];
    return {
      reason: 'seLinuxOptions',
      detail: `${setters.join(' and ')} set forbidden securityContext.seLinuxOptions: ${problems.join('; ')}`,
    };
  };
}

const SECCOMP_POD_ANNOTATION = 'seccomp.security.alpha.kubernetes.io/pod';
const SECCOMP_CONTAINER_ANNOTATION = 'container.seccomp.security.alpha.kubernetes.io/';

/** Before there was a field for it. */
const seccompAnnotations: PodCheck = (spec, { annotations = {} }) => {
  const names = [
    SECCOMP_POD_ANNOTATION,
    ...containersOf(spec).map(({ name }) => SECCOMP_CONTAINER_ANNOTATION + name),
  ];
  const forbidden = new Set<string>();
  for (const name of names) {
    const value = annotations[name];
    if (value !== undefined && !isSeccompAnnotationAllowed(value)) forbidden.add(`${name}=${goQuote(value)}`);
  }
  if (forbidden.size === 0) return undefined;
  return {
    reason: 'seccompProfile',
    detail: `forbidden ${plural('annotation', forbidden.size)} ${[...forbidden].sort().join(', ')}`,
  };
};

function isSeccompAnnotationAllowed(value: string): boolean {
  return value === 'runtime/default' || value === 'docker/default' || value.startsWith('localhost/');
}

export const seccompProfile: PodCheck = (spec) => {
  const values = new Set<string>();
  const setters = settersOf(spec, (context) => {
    if (hasAllowedSeccompProfile(context) !== false) return false;
    values.add(context.seccompProfile?.type ?? '');
    return true;
  });
  if (setters.length === 0) return undefined;
  return {
    reason: 'seccompProfile',
    detail: `${setters.join(' and ')} must not set securityContext.seccompProfile.type to ${quoted([...values].sort())}`,
  };
};

/** Undefined: none is set. */
export function hasAllowedSeccompProfile(context: AnySecurityContext | undefined): boolean | undefined {
  const profile = context?.seccompProfile;
  return profile && ALLOWED_PROFILES.includes(profile.type);
}

const SYSCTLS = [
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.ping_group_range',
  'net.ipv4.ip_unprivileged_port_start',
];
const SYSCTLS_27 = [...SYSCTLS, 'net.ipv4.ip_local_reserved_ports'];
const SYSCTLS_29 = [
  ...SYSCTLS_27,
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
];
const SYSCTLS_32 = [...SYSCTLS_29, 'net.ipv4.tcp_rmem', 'net.ipv4.tcp_wmem'];

function sysctls(allowed: readonly string[]): PodCheck {
  return ({ securityContext }) => {
    const forbidden = (securityContext?.sysctls ?? [])
      .map(({ name }) => name)
      .filter((name) => !allowed.includes(name));
    return forbidden.length === 0 ? undefined : { reason: 'forbidden sysctls', detail: forbidden.join(', ') };
  };
}

const windowsHostProcess: PodCheck = (spec) => {
  const setters = settersOf(spec, ({ windowsOptions }) => windowsOptions?.hostProcess === true);
  if (setters.length === 0) return undefined;
  return {
    reason: 'hostProcess',
    detail: `${setters.join(' and ')} must not set securityContext.windowsOptions.hostProcess=true`,
  };
};

/** In the order of their ids, byte by byte, which is the order of the violations in messages. */
export const baselineChecks: readonly Check[] = [
  { id: 'appArmorProfile', versions: [{ since: 0, check: appArmorProfile }] },
  { id: 'capabilities_baseline', versions: [{ since: 0, check: capabilities }] },
  { id: 'hostNamespaces', versions: [{ since: 0, check: hostNamespaces }] },
  { id: 'hostPathVolumes', versions: [{ since: 0, check: hostPathVolumes }] },
  { id: 'hostPorts', versions: [{ since: 0, check: hostPorts }] },
  { id: 'hostProbesAndHostLifecycle', versions: [{ since: 34, check: hostProbesAndHostLifecycle }] },
  { id: 'privileged', versions: [{ since: 0, check: privileged }] },
  {
    id: 'procMount',
    versions: [
      { since: 0, check: procMount },
      {
        since: 35,
        check: (spec, metadata) => (hasUserNamespace(spec) ? undefined : procMount(spec, metadata)),
      },
    ],
  },
  {
    id: 'seLinuxOptions',
    versions: [
      { since: 0, check: seLinuxOptions(SELINUX_TYPES) },
      { since: 31, check: seLinuxOptions([...SELINUX_TYPES, 'container_engine_t']) },
    ],
  },
  {
    id: 'seccompProfile_baseline',
    versions: [
      { since: 0, check: seccompAnnotations },
      { since: 19, check: seccompProfile },
    ],
  },
  {
    id: 'sysctls',
    versions: [
      { since: 0, check: sysctls(SYSCTLS) },
      { since: 27, check: sysctls(SYSCTLS_27) },
      { since: 29, check: sysctls(SYSCTLS_29) },
      { since: 32, check: sysctls(SYSCTLS_32) },
    ],
  },
  { id: 'windowsHostProcess', versions: [{ since: 0, check: windowsHostProcess }] },
];
