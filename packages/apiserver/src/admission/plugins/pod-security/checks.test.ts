import type { corev1 } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import { baselineChecks } from './baseline-checks.ts';
import { detailsText, evaluatePod } from './evaluation.ts';
import type { Level, PolicyVersion } from './policy.ts';
import { restrictedChecks } from './restricted-checks.ts';

type Context = NonNullable<corev1.Container['securityContext']>;
type PodContext = NonNullable<corev1.PodSpec['securityContext']>;
type Spec = Partial<corev1.PodSpec>;
interface Pod {
  readonly spec: corev1.PodSpec;
  readonly annotations?: Readonly<Record<string, string>>;
}
/** The level, the first version in which it is so, the last one, the pod, and what is wrong with it; nothing: allowed. */
type Row = readonly [level: Level, from: number, to: PolicyVersion, pod: Pod, message?: string];

const one = (container: Partial<corev1.Container> = {}): corev1.Container => ({ name: 'a', ...container });

/** A pod that the strictest level lets in, but for what is given. */
function hardened(context: Context = {}, spec: Spec = {}, podContext: PodContext = {}): Pod {
  return {
    spec: {
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' }, ...podContext },
      containers: [
        one({
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] }, ...context },
        }),
      ],
      ...spec,
    },
  };
}

/** A pod that says nothing but what is given. */
function plain(spec: Spec = {}, annotations: Readonly<Record<string, string>> = {}): Pod {
  return { spec: { containers: [one()], ...spec }, annotations };
}

const withContext = (securityContext: Context, podContext?: PodContext): Pod =>
  plain({
    containers: [one({ securityContext })],
    ...(podContext === undefined ? {} : { securityContext: podContext }),
  });
const withPodContext = (securityContext: PodContext, spec: Spec = {}): Pod =>
  plain({ securityContext, ...spec });
const sysctl = (...names: string[]): Pod =>
  withPodContext({ sysctls: names.map((name) => ({ name, value: '1' })) });
const volumes = (...sources: corev1.VolumeSource[]): Spec => ({
  volumes: sources.map((source, i) => ({ name: `v${i}`, ...source })),
});
const windows = { os: { name: 'windows' } } as const;
const inUserNamespace = { hostUsers: false } as const;

const baseline: readonly Row[] = [
  ['baseline', 0, 'latest', plain()],
  ['baseline', 0, 'latest', hardened()],

  // appArmorProfile
  ['baseline', 0, 'latest', withContext({ appArmorProfile: { type: 'RuntimeDefault' } })],
  ['baseline', 0, 'latest', withPodContext({ appArmorProfile: { type: 'Localhost' } })],
  [
    'baseline',
    0,
    'latest',
    withContext({ appArmorProfile: { type: 'Unconfined' } }),
    'forbidden AppArmor profile (container "a" must not set AppArmor profile type to "Unconfined")',
  ],
  [
    'baseline',
    0,
    'latest',
    withContext({ appArmorProfile: { type: 'Unconfined' } }, { appArmorProfile: { type: 'Unconfined' } }),
    'forbidden AppArmor profile (pod and container "a" must not set AppArmor profile type to "Unconfined")',
  ],
  [
    'baseline',
    0,
    'latest',
    plain(
      {},
      {
        'container.apparmor.security.beta.kubernetes.io/a': 'runtime/default',
        'container.apparmor.security.beta.kubernetes.io/b': 'localhost/x',
        'container.apparmor.security.beta.kubernetes.io/c': '',
      },
    ),
  ],
  [
    'baseline',
    0,
    'latest',
    plain(
      { securityContext: { appArmorProfile: { type: 'Unconfined' } } },
      { 'container.apparmor.security.beta.kubernetes.io/a': 'unconfined' },
    ),
    'forbidden AppArmor profiles (pod and annotation must not set AppArmor profile type to "Unconfined", "container.apparmor.security.beta.kubernetes.io/a="unconfined"")',
  ],

  // capabilities_baseline
  ['baseline', 0, 'latest', withContext({ capabilities: { add: ['CHOWN', 'NET_BIND_SERVICE'] } })],
  [
    'baseline',
    0,
    'latest',
    withContext({ capabilities: { add: ['SYS_ADMIN', 'CHOWN', 'NET_RAW'] } }),
    'non-default capabilities (container "a" must not include "NET_RAW", "SYS_ADMIN" in securityContext.capabilities.add)',
  ],
  [
    'baseline',
    0,
    'latest',
    plain({
      initContainers: [one({ name: 'i', securityContext: { capabilities: { add: ['NET_RAW'] } } })],
      containers: [one({ securityContext: { capabilities: { add: ['NET_RAW'] } } })],
      ephemeralContainers: [{ name: 'e', securityContext: { capabilities: { add: ['BPF'] } } }],
    }),
    'non-default capabilities (containers "i", "a", "e" must not include "BPF", "NET_RAW" in securityContext.capabilities.add)',
  ],

  // hostNamespaces
  ['baseline', 0, 'latest', plain({ hostNetwork: false, hostPID: false, hostIPC: false })],
  ['baseline', 0, 'latest', plain({ hostPID: true }), 'host namespaces (hostPID=true)'],
  [
    'baseline',
    0,
    'latest',
    plain({ hostNetwork: true, hostPID: true, hostIPC: true }),
    'host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)',
  ],

  // hostPathVolumes
  ['baseline', 0, 'latest', plain(volumes({ nfs: { server: 's', path: '/' } }))],
  ['baseline', 0, 'latest', plain(volumes({ hostPath: { path: '/' } })), 'hostPath volumes (volume "v0")'],
  [
    'baseline',
    0,
    'latest',
    plain(volumes({ hostPath: { path: '/' } }, { emptyDir: {} }, { hostPath: { path: '/' } })),
    'hostPath volumes (volumes "v0", "v2")',
  ],

  // hostPorts
  ['baseline', 0, 'latest', plain({ containers: [one({ ports: [{ containerPort: 80 }] })] })],
  ['baseline', 0, 'latest', plain({ containers: [one({ ports: [{ containerPort: 80, hostPort: 0 }] })] })],
  [
    'baseline',
    0,
    'latest',
    plain({ containers: [one({ ports: [{ containerPort: 80, hostPort: 80 }] })] }),
    'hostPort (container "a" uses hostPort 80)',
  ],
  [
    'baseline',
    0,
    'latest',
    plain({
      containers: [
        one({ ports: [{ containerPort: 80, hostPort: 80 }] }),
        one({ name: 'b', ports: [{ containerPort: 81, hostPort: 1080 }] }),
      ],
    }),
    'hostPort (containers "a", "b" use hostPorts 1080, 80)',
  ],

  // hostProbesAndHostLifecycle
  ['baseline', 0, 'latest', plain({ containers: [one({ livenessProbe: { httpGet: { port: 80 } } })] })],
  [
    'baseline',
    0,
    33,
    plain({ containers: [one({ livenessProbe: { httpGet: { port: 80, host: '10.0.0.1' } } })] }),
  ],
  [
    'baseline',
    34,
    'latest',
    plain({ containers: [one({ livenessProbe: { httpGet: { port: 80, host: '10.0.0.1' } } })] }),
    'probe or lifecycle host (container "a" uses probe or lifecycle host "10.0.0.1")',
  ],
  [
    'baseline',
    34,
    'latest',
    plain({
      containers: [
        one({ name: 'b', readinessProbe: { tcpSocket: { port: 80, host: 'y' } } }),
        one({
          startupProbe: { httpGet: { port: 80, host: 'x' } },
          lifecycle: {
            postStart: { httpGet: { port: 80, host: 'x' } },
            preStop: { tcpSocket: { port: 80, host: 'z' } },
          },
        }),
      ],
    }),
    'probe or lifecycle host (containers "a", "b" use probe or lifecycle hosts "x", "y", "z")',
  ],

  // privileged
  ['baseline', 0, 'latest', withContext({ privileged: false })],
  [
    'baseline',
    0,
    'latest',
    withContext({ privileged: true }),
    'privileged (container "a" must not set securityContext.privileged=true)',
  ],
  [
    'baseline',
    0,
    'latest',
    plain({
      containers: [one()],
      ephemeralContainers: [{ name: 'e', securityContext: { privileged: true } }],
    }),
    'privileged (container "e" must not set securityContext.privileged=true)',
  ],

  // procMount
  ['baseline', 0, 'latest', withContext({ procMount: 'Default' })],
  [
    'baseline',
    0,
    'latest',
    withContext({ procMount: 'Unmasked' }),
    'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
  ],
  [
    'baseline',
    0,
    34,
    plain({ ...inUserNamespace, containers: [one({ securityContext: { procMount: 'Unmasked' } })] }),
    'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
  ],
  [
    'baseline',
    35,
    'latest',
    plain({ ...inUserNamespace, containers: [one({ securityContext: { procMount: 'Unmasked' } })] }),
  ],

  // seLinuxOptions
  ['baseline', 0, 'latest', withContext({ seLinuxOptions: { type: 'container_t', level: 's0' } })],
  [
    'baseline',
    0,
    30,
    withContext({ seLinuxOptions: { type: 'container_engine_t' } }),
    'seLinuxOptions (container "a" set forbidden securityContext.seLinuxOptions: type "container_engine_t")',
  ],
  ['baseline', 31, 'latest', withContext({ seLinuxOptions: { type: 'container_engine_t' } })],
  [
    'baseline',
    0,
    'latest',
    withContext(
      { seLinuxOptions: { type: 'bar', role: 'r' } },
      { seLinuxOptions: { type: 'foo', user: 'u' } },
    ),
    'seLinuxOptions (pod and container "a" set forbidden securityContext.seLinuxOptions: types "bar", "foo"; user may not be set; role may not be set)',
  ],

  // seccompProfile_baseline
  ['baseline', 0, 18, withPodContext({ seccompProfile: { type: 'Unconfined' } })],
  [
    'baseline',
    19,
    'latest',
    withContext({ seccompProfile: { type: 'Unconfined' } }, { seccompProfile: { type: 'Unconfined' } }),
    'seccompProfile (pod and container "a" must not set securityContext.seccompProfile.type to "Unconfined")',
  ],
  ['baseline', 0, 'latest', withContext({ seccompProfile: { type: 'Localhost', localhostProfile: 'p' } })],
  ['baseline', 0, 'latest', plain({}, { 'seccomp.security.alpha.kubernetes.io/pod': 'docker/default' })],
  [
    'baseline',
    0,
    18,
    plain(
      {},
      {
        'seccomp.security.alpha.kubernetes.io/pod': 'unconfined',
        'container.seccomp.security.alpha.kubernetes.io/a': 'unconfined',
        'container.seccomp.security.alpha.kubernetes.io/none': 'unconfined',
      },
    ),
    'seccompProfile (forbidden annotations container.seccomp.security.alpha.kubernetes.io/a="unconfined", seccomp.security.alpha.kubernetes.io/pod="unconfined")',
  ],
  ['baseline', 19, 'latest', plain({}, { 'seccomp.security.alpha.kubernetes.io/pod': 'unconfined' })],

  // sysctls
  ['baseline', 0, 'latest', sysctl('kernel.shm_rmid_forced', 'net.ipv4.ip_unprivileged_port_start')],
  ['baseline', 0, 'latest', sysctl('kernel.x', 'net.y'), 'forbidden sysctls (kernel.x, net.y)'],
  [
    'baseline',
    0,
    26,
    sysctl('net.ipv4.ip_local_reserved_ports'),
    'forbidden sysctls (net.ipv4.ip_local_reserved_ports)',
  ],
  ['baseline', 27, 'latest', sysctl('net.ipv4.ip_local_reserved_ports')],
  ['baseline', 0, 28, sysctl('net.ipv4.tcp_fin_timeout'), 'forbidden sysctls (net.ipv4.tcp_fin_timeout)'],
  ['baseline', 29, 'latest', sysctl('net.ipv4.tcp_keepalive_time', 'net.ipv4.tcp_fin_timeout')],
  ['baseline', 0, 31, sysctl('net.ipv4.tcp_rmem'), 'forbidden sysctls (net.ipv4.tcp_rmem)'],
  ['baseline', 32, 'latest', sysctl('net.ipv4.tcp_rmem', 'net.ipv4.tcp_wmem')],

  // windowsHostProcess
  ['baseline', 0, 'latest', withContext({ windowsOptions: { hostProcess: false } })],
  [
    'baseline',
    0,
    'latest',
    withContext({ windowsOptions: { hostProcess: true } }, { windowsOptions: { hostProcess: true } }),
    'hostProcess (pod and container "a" must not set securityContext.windowsOptions.hostProcess=true)',
  ],

  // All at once: in the order of the checks' names.
  [
    'baseline',
    0,
    'latest',
    plain({
      hostIPC: true,
      ...volumes({ hostPath: { path: '/' } }),
      containers: [one({ securityContext: { privileged: true, capabilities: { add: ['BPF'] } } })],
    }),
    'non-default capabilities (container "a" must not include "BPF" in securityContext.capabilities.add), host namespaces (hostIPC=true), hostPath volumes (volume "v0"), privileged (container "a" must not set securityContext.privileged=true)',
  ],
];

const ESCALATION =
  'allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false)';
const DROP = 'unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"])';
const NON_ROOT = 'runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true)';
const SECCOMP =
  'seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")';

const restricted: readonly Row[] = [
  ['restricted', 0, 'latest', hardened()],
  ['restricted', 0, 7, plain(), NON_ROOT],
  ['restricted', 8, 18, plain(), `${ESCALATION}, ${NON_ROOT}`],
  ['restricted', 19, 21, plain(), `${ESCALATION}, ${NON_ROOT}, ${SECCOMP}`],
  ['restricted', 22, 'latest', plain(), `${ESCALATION}, ${DROP}, ${NON_ROOT}, ${SECCOMP}`],
  // What baseline forbids is forbidden too.
  ['restricted', 0, 'latest', hardened({}, { hostNetwork: true }), 'host namespaces (hostNetwork=true)'],

  // allowPrivilegeEscalation
  ['restricted', 0, 7, hardened({ allowPrivilegeEscalation: true })],
  ['restricted', 8, 'latest', hardened({ allowPrivilegeEscalation: true }), ESCALATION],
  ['restricted', 8, 24, hardened({ allowPrivilegeEscalation: true }, windows), ESCALATION],
  ['restricted', 25, 'latest', plain({ ...windows, securityContext: { runAsNonRoot: true } })],

  // capabilities_restricted
  ['restricted', 22, 24, hardened({ capabilities: {} }, windows), DROP],
  ['restricted', 0, 21, hardened({ capabilities: {} })],
  ['restricted', 22, 'latest', hardened({ capabilities: { drop: ['NET_RAW'] } }), DROP],
  [
    'restricted',
    0,
    'latest',
    hardened({ capabilities: { drop: ['NET_RAW', 'ALL'], add: ['NET_BIND_SERVICE'] } }),
  ],
  ['restricted', 0, 21, hardened({ capabilities: { drop: ['ALL'], add: ['CHOWN'] } })],
  [
    'restricted',
    22,
    'latest',
    hardened({ capabilities: { drop: ['ALL'], add: ['CHOWN', 'BPF'] } }),
    'unrestricted capabilities (container "a" must not include "BPF", "CHOWN" in securityContext.capabilities.add)',
  ],
  [
    'restricted',
    22,
    'latest',
    hardened({ capabilities: { add: ['BPF'] } }),
    'unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]; container "a" must not include "BPF" in securityContext.capabilities.add)',
  ],

  // procMount_restricted
  [
    'restricted',
    0,
    'latest',
    hardened({ procMount: 'Unmasked' }, inUserNamespace),
    'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
  ],

  // restrictedVolumes
  [
    'restricted',
    0,
    'latest',
    hardened(
      {},
      volumes(
        { configMap: {} },
        { csi: { driver: 'd' } },
        { downwardAPI: {} },
        { emptyDir: {} },
        { ephemeral: {} },
        { image: {} },
        { persistentVolumeClaim: { claimName: 'c' } },
        { projected: {} },
        { secret: {} },
      ),
    ),
  ],
  [
    'restricted',
    0,
    'latest',
    hardened({}, volumes({ hostPath: { path: '/' } })),
    'restricted volume types (volume "v0" uses restricted volume type "hostPath")',
  ],
  [
    'restricted',
    0,
    'latest',
    hardened(
      {},
      volumes(
        { nfs: { server: 's', path: '/' } },
        { emptyDir: {} },
        { gitRepo: { repository: 'r' } },
        { nfs: { server: 's', path: '/' } },
        {},
      ),
    ),
    'restricted volume types (volumes "v0", "v2", "v3", "v4" use restricted volume types "gitRepo", "nfs", "unknown")',
  ],

  // runAsNonRoot
  [
    'restricted',
    0,
    'latest',
    hardened({ runAsNonRoot: false }),
    'runAsNonRoot != true (container "a" must not set securityContext.runAsNonRoot=false)',
  ],
  [
    'restricted',
    0,
    'latest',
    hardened({ runAsNonRoot: true }, {}, { runAsNonRoot: false }),
    'runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)',
  ],
  ['restricted', 0, 'latest', { spec: hardenedWithoutPod({ runAsNonRoot: true }) }],
  ['restricted', 0, 'latest', { spec: hardenedWithoutPod({}) }, NON_ROOT],
  ['restricted', 0, 34, { spec: hardenedWithoutPod({}, inUserNamespace) }, NON_ROOT],
  ['restricted', 35, 'latest', { spec: hardenedWithoutPod({}, inUserNamespace) }],

  // runAsUser
  ['restricted', 0, 'latest', hardened({ runAsUser: 1000 }, {}, { runAsUser: 1 })],
  ['restricted', 0, 22, hardened({ runAsUser: 0 }, {}, { runAsUser: 0 })],
  [
    'restricted',
    23,
    'latest',
    hardened({ runAsUser: 0 }, {}, { runAsUser: 0 }),
    'runAsUser=0 (pod and container "a" must not set runAsUser=0)',
  ],
  [
    'restricted',
    23,
    34,
    hardened({ runAsUser: 0 }, inUserNamespace),
    'runAsUser=0 (container "a" must not set runAsUser=0)',
  ],
  ['restricted', 35, 'latest', hardened({ runAsUser: 0 }, inUserNamespace)],

  // seccompProfile_restricted
  [
    'restricted',
    19,
    'latest',
    hardened({ seccompProfile: { type: 'Unconfined' } }),
    'seccompProfile (container "a" must not set securityContext.seccompProfile.type to "Unconfined")',
  ],
  [
    'restricted',
    0,
    'latest',
    {
      spec: {
        ...hardened({ seccompProfile: { type: 'Localhost' } }).spec,
        securityContext: { runAsNonRoot: true },
      },
    },
  ],
  ['restricted', 0, 18, { spec: { ...hardened().spec, securityContext: { runAsNonRoot: true } } }],
  [
    'restricted',
    19,
    'latest',
    { spec: { ...hardened().spec, securityContext: { runAsNonRoot: true } } },
    SECCOMP,
  ],
  [
    'restricted',
    19,
    24,
    { spec: { ...hardened({}, windows).spec, securityContext: { runAsNonRoot: true } } },
    SECCOMP,
  ],
];

function hardenedWithoutPod(context: Context, spec: Spec = {}): corev1.PodSpec {
  return { ...hardened(context, spec).spec, securityContext: { seccompProfile: { type: 'RuntimeDefault' } } };
}

function messageOf(level: Level, version: PolicyVersion, { spec, annotations = {} }: Pod): string {
  return detailsText(evaluatePod({ level, version }, spec, { annotations }));
}

describe('checks of pods', () => {
  test.each(
    [...baseline, ...restricted].map((row, i) => ({
      row,
      name: `${i}: ${row[0]} from ${row[1]} to ${row[2]}: ${row[4] ?? 'allowed'}`,
    })),
  )('$name', ({ row: [level, from, to, pod, message = ''] }) => {
    const last = to === 'latest' ? 40 : to;
    for (let version = from; version <= last; version++)
      expect(messageOf(level, version, pod), `v1.${version}`).toBe(message);
    if (to === 'latest') expect(messageOf(level, to, pod)).toBe(message);
    else expect(messageOf(level, to + 1, pod), `v1.${to + 1}`).not.toBe(message);
    if (from > 0) expect(messageOf(level, from - 1, pod), `v1.${from - 1}`).not.toBe(message);
    expect(messageOf('privileged', 'latest', pod)).toBe('');
  });

  test('are in the order of their names, and their versions ascend', () => {
    for (const checks of [baselineChecks, restrictedChecks]) {
      const ids = checks.map(({ id }) => id);
      expect(ids).toEqual([...ids].sort());
      for (const { versions } of checks) {
        const since = versions.map((version) => version.since);
        expect(since).toEqual([...new Set(since)].sort((a, b) => a - b));
      }
    }
    const ids = baselineChecks.map(({ id }) => id);
    for (const { overrides } of restrictedChecks)
      if (overrides !== undefined) expect(ids).toContain(overrides);
  });
});
