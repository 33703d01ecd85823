import { corev1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { GUESTBOOK_ARCHIVE, useCluster } from '../../support/cluster.ts';
import { BUSYBOX } from '../../support/images.ts';
import { PAUSE, script } from '../../support/manifests.ts';
import { DEFAULTS, DEFAULTS_ARCHIVE, NODE, useDefaultsImage, usePods } from './support.ts';

// Upstream's test/e2e/common/node: what a container is started with.

const DATA = { 'data-1': 'value-1', 'data-2': 'value-2', 'data-3': 'value-3' };

useDefaultsImage();
const cluster = useCluster({ archives: [GUESTBOOK_ARCHIVE, DEFAULTS_ARCHIVE] });
const pods = usePods(cluster, [
  { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'map' }, data: DATA },
  { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'secret' }, stringData: DATA },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'fooservice' },
    spec: { ports: [{ port: 8765, targetPort: 8080 }], selector: { name: 'server' } },
  },
]);
const { prints } = pods;

/** Output that has all these lines, in any order. */
function lines(...wanted: readonly string[]): RegExp {
  return new RegExp(`^${wanted.map((line) => `(?=[^]*^${line}$)`).join('')}`, 'm');
}

describe('Containers', () => {
  const run = (container: { command?: string[]; args?: string[] }, output: string) =>
    prints({ container: { image: DEFAULTS, ...container }, prints: `${output}\n` });

  it(
    '[sig-node] Containers should use the image defaults if command and args are blank [NodeConformance] [Conformance]',
    run({}, 'entrypoint default arguments'),
  );
  it(
    "[sig-node] Containers should be able to override the image's default arguments (container cmd) [NodeConformance] [Conformance]",
    run({ args: ['override', 'arguments'] }, 'entrypoint override arguments'),
  );
  it(
    "[sig-node] Containers should be able to override the image's default command (container entrypoint) [NodeConformance] [Conformance]",
    run({ command: ['/bin/echo', 'other'] }, 'other'),
  );
  it(
    "[sig-node] Containers should be able to override the image's default command and arguments [NodeConformance] [Conformance]",
    run({ command: ['/bin/echo', 'other'], args: ['override', 'arguments'] }, 'other override arguments'),
  );
});

describe('environment', () => {
  // Without a shell, which would keep only the names that it can use itself.
  const from = (source: object): object => ({
    command: ['env'],
    envFrom: [source, { prefix: 'p-', ...source }],
  });
  const both = lines(
    'data-1=value-1',
    'data-2=value-2',
    'data-3=value-3',
    'p-data-1=value-1',
    'p-data-2=value-2',
    'p-data-3=value-3',
  );
  const mapFrom = from({ configMapRef: { name: 'map' } });
  const secretFrom = from({ secretRef: { name: 'secret' } });
  const prefixes = (source: object): object => ({
    command: ['env'],
    envFrom: ['p_', 'p-', 'p.', '1-', '$_'].map((prefix) => ({ prefix, ...source })),
  });
  const prefixed = lines(...['\\$_', '1-', 'p-', 'p.', 'p_'].map((prefix) => `${prefix}data-1=value-1`));
  const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });
  const resource = (name: string, of: string) => ({
    name,
    valueFrom: { resourceFieldRef: { resource: of } },
  });

  it(
    '[sig-node] ConfigMap should be consumable via environment variable [NodeConformance] [Conformance]',
    prints({
      shell: 'env',
      container: {
        env: [{ name: 'CONFIG_DATA_1', valueFrom: { configMapKeyRef: { name: 'map', key: 'data-1' } } }],
      },
      prints: /^CONFIG_DATA_1=value-1$/m,
    }),
  );
  it(
    '[sig-node] ConfigMap should be consumable via the environment [NodeConformance] [Conformance]',
    prints({ container: mapFrom, prints: both }),
  );
  it(
    '[sig-node] ConfigMap should be consumable as environment variable names with various prefixes [Conformance]',
    prints({ container: prefixes({ configMapRef: { name: 'map' } }), prints: prefixed }),
  );
  it(
    '[sig-node] Secrets should be consumable from pods in env vars [NodeConformance] [Conformance]',
    prints({
      shell: 'env',
      container: {
        env: [{ name: 'SECRET_DATA', valueFrom: { secretKeyRef: { name: 'secret', key: 'data-1' } } }],
      },
      prints: /^SECRET_DATA=value-1$/m,
    }),
  );
  it(
    '[sig-node] Secrets should be consumable via the environment [NodeConformance] [Conformance]',
    prints({ container: secretFrom, prints: both }),
  );
  it(
    '[sig-node] Secrets should be consumable as environment variable names variable names with various prefixes [Conformance]',
    prints({ container: prefixes({ secretRef: { name: 'secret' } }), prints: prefixed }),
  );
  it(
    '[sig-node] Downward API should provide pod name, namespace and IP address as env vars [NodeConformance] [Conformance]',
    prints({
      shell: 'env',
      container: {
        env: [
          field('POD_NAME', 'metadata.name'),
          field('POD_NAMESPACE', 'metadata.namespace'),
          field('POD_IP', 'status.podIP'),
        ],
      },
      prints: ({ metadata, status }) =>
        lines(`POD_IP=${status?.podIP}`, `POD_NAME=${metadata.name}`, 'POD_NAMESPACE=default'),
    }),
  );
  it(
    '[sig-node] Downward API should provide host IP as an env var [NodeConformance] [Conformance]',
    prints({
      shell: 'env',
      container: { env: [field('HOST_IP', 'status.hostIP')] },
      prints: ({ status }) => lines(`HOST_IP=${status?.hostIP}`),
    }),
  );
  it(
    '[sig-node] Downward API should provide hostIPs as an env var [NodeConformance] [Conformance]',
    prints({
      shell: 'env',
      container: { env: [field('HOST_IPS', 'status.hostIPs')] },
      prints: ({ status }) => lines(`HOST_IPS=${status?.hostIPs?.map(({ ip }) => ip).join()}`),
    }),
  );
  it(
    '[sig-node] Downward API should provide pod UID as env vars [NodeConformance] [Conformance]',
    prints({
      shell: 'env',
      container: { env: [field('POD_UID', 'metadata.uid')] },
      prints: ({ metadata }) => lines(`POD_UID=${metadata.uid}`),
    }),
  );
  const four = [
    resource('CPU_LIMIT', 'limits.cpu'),
    resource('CPU_REQUEST', 'requests.cpu'),
    resource('MEMORY_LIMIT', 'limits.memory'),
    resource('MEMORY_REQUEST', 'requests.memory'),
  ];
  it(
    "[sig-node] Downward API should provide container's limits.cpu/memory and requests.cpu/memory as env vars [NodeConformance] [Conformance]",
    prints({
      shell: 'env',
      container: {
        env: four,
        resources: { requests: { cpu: '250m', memory: '32Mi' }, limits: { cpu: '1250m', memory: '64Mi' } },
      },
      prints: lines('CPU_LIMIT=2', 'CPU_REQUEST=1', 'MEMORY_LIMIT=67108864', 'MEMORY_REQUEST=33554432'),
    }),
  );
  it(
    '[sig-node] Downward API should provide default limits.cpu/memory from node allocatable [NodeConformance] [Conformance]',
    prints({
      shell: 'env',
      container: { env: four },
      prints: lines('CPU_LIMIT=[1-9]\\d*', 'CPU_REQUEST=0', 'MEMORY_LIMIT=[1-9]\\d*', 'MEMORY_REQUEST=0'),
    }),
  );

  pods.pod({ containers: [script(PAUSE)] }, { labels: { name: 'server' } });
  it(
    '[sig-node] Pods should contain environment variables for services [NodeConformance] [Conformance]',
    prints({
      shell: 'env',
      prints: lines(
        'FOOSERVICE_PORT=tcp://[0-9.]+:8765',
        'FOOSERVICE_PORT_8765_TCP=tcp://[0-9.]+:8765',
        'FOOSERVICE_PORT_8765_TCP_ADDR=[0-9.]+',
        'FOOSERVICE_PORT_8765_TCP_PORT=8765',
        'FOOSERVICE_PORT_8765_TCP_PROTO=tcp',
        'FOOSERVICE_SERVICE_HOST=[0-9.]+',
        'FOOSERVICE_SERVICE_PORT=8765',
      ),
    }),
  );
});

describe('Variable Expansion', () => {
  const TEST_VAR = [{ name: 'TEST_VAR', value: 'test-value' }];
  const WORK = { volumes: [{ name: 'work', emptyDir: {} }] };

  it(
    '[sig-node] Variable Expansion should allow composing env vars into new env vars [NodeConformance] [Conformance]',
    prints({
      shell: 'env',
      container: {
        env: [
          { name: 'FOO', value: 'foo-value' },
          { name: 'BAR', value: 'bar-value' },
          { name: 'FOOBAR', value: '$(FOO);;$(BAR)' },
        ],
      },
      prints: lines('BAR=bar-value', 'FOO=foo-value', 'FOOBAR=foo-value;;bar-value'),
    }),
  );
  it(
    "[sig-node] Variable Expansion should allow substituting values in a container's command [NodeConformance] [Conformance]",
    prints({
      shell: 'TEST_VAR=wrong echo "$(TEST_VAR)"',
      container: { env: TEST_VAR },
      prints: 'test-value\n',
    }),
  );
  it(
    "[sig-node] Variable Expansion should allow substituting values in a container's args [NodeConformance] [Conformance]",
    prints({
      container: {
        image: BUSYBOX,
        command: ['sh', '-c'],
        args: ['TEST_VAR=wrong echo "$(TEST_VAR)"'],
        env: TEST_VAR,
      },
      prints: 'test-value\n',
    }),
  );
  it(
    '[sig-node] Variable Expansion should allow substituting values in a volume subpath [Conformance]',
    prints({
      shell: 'test -d /testcontainer/named && touch /logscontainer/file && ls /testcontainer/named',
      container: {
        env: [{ name: 'POD_NAME', value: 'named' }],
        volumeMounts: [
          { name: 'work', mountPath: '/logscontainer', subPathExpr: '$(POD_NAME)' },
          { name: 'work', mountPath: '/testcontainer' },
        ],
      },
      spec: WORK,
      prints: 'file\n',
    }),
  );

  const failing = (value: string) => {
    const name = pods.pod({
      ...WORK,
      restartPolicy: 'Never',
      containers: [
        script('true', {
          env: [{ name: 'POD_NAME', value }],
          volumeMounts: [{ name: 'work', mountPath: '/logscontainer', subPathExpr: '$(POD_NAME)' }],
        }),
      ],
    });
    return async () => {
      await cluster.untilPod(
        name,
        ({ status }) =>
          status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CreateContainerConfigError',
      );
    };
  };
  it(
    '[sig-node] Variable Expansion should fail substituting values in a volume subpath with backticks [Conformance]',
    failing('..'),
  );
  it(
    '[sig-node] Variable Expansion should fail substituting values in a volume subpath with absolute path [Conformance]',
    failing('/tmp'),
  );

  const annotated = (annotations: Record<string, string>): string =>
    pods.pod(
      {
        ...WORK,
        restartPolicy: 'Never',
        containers: [
          script(PAUSE, {
            env: [
              { name: 'POD_NAME', value: 'foo' },
              {
                name: 'ANNOTATION',
                valueFrom: { fieldRef: { fieldPath: "metadata.annotations['mysubpath']" } },
              },
            ],
            volumeMounts: [
              { name: 'work', mountPath: '/subpath_mount', subPathExpr: '$(ANNOTATION)/$(POD_NAME)' },
              { name: 'work', mountPath: '/volume_mount' },
            ],
          }),
        ],
      },
      { annotations },
    );
  const annotate = (name: string, mysubpath: string): Promise<corev1.Pod> =>
    cluster.client
      .resource(corev1.pods, 'default')
      .patch(name, { metadata: { annotations: { mysubpath } } }, { type: 'merge' });
  const notYet = annotated({ notmysubpath: 'mypath' });
  it('[sig-node] Variable Expansion should verify that a failing subpath expansion can be modified during the lifecycle of a container [Slow] [Conformance]', async () => {
    await cluster.untilPod(
      notYet,
      ({ status }) => status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CreateContainerConfigError',
    );
    await annotate(notYet, 'mypath');
    await cluster.untilReady(notYet);
    await cluster.kubectl.ok('delete', 'pod', notYet);
  });
  const written = annotated({ mysubpath: 'mypath' });
  it('[sig-node] Variable Expansion should succeed in writing subpaths in container [Conformance]', async () => {
    await cluster.untilReady(written);
    await cluster.kubectl.ok('exec', written, '--', 'touch', '/volume_mount/mypath/foo/test.log');
    await cluster.kubectl.ok('exec', written, '--', 'test', '-f', '/subpath_mount/test.log');
    await annotate(written, 'mynewpath');
    await cluster.untilReady(written);
    await cluster.kubectl.ok('delete', 'pod', written);
  });
});

describe('Security Context', () => {
  const ids = 'echo "$(id -u) $(id -g)"';
  /** Tries what needs a capability that unprivileged containers do not have. */
  const dummy = 'ip link add dummy0 type dummy 2>&1 || true';

  it(
    '[sig-node] Security Context When creating a container with runAsUser should run the container with uid 65534 [LinuxOnly] [NodeConformance] [Conformance]',
    prints({ shell: 'id -u', container: { securityContext: { runAsUser: 65534 } }, prints: '65534\n' }),
  );
  it(
    '[sig-node] Security Context should support container.SecurityContext.RunAsUser And container.SecurityContext.RunAsGroup [LinuxOnly] [Conformance]',
    prints({
      shell: ids,
      container: { securityContext: { runAsUser: 1001, runAsGroup: 2002 } },
      spec: { securityContext: { runAsUser: 5, runAsGroup: 6 } },
      prints: '1001 2002\n',
    }),
  );
  it(
    '[sig-node] Security Context should support pod.Spec.SecurityContext.RunAsUser And pod.Spec.SecurityContext.RunAsGroup [LinuxOnly] [Conformance]',
    prints({
      shell: ids,
      spec: { securityContext: { runAsUser: 1001, runAsGroup: 2002 } },
      prints: '1001 2002\n',
    }),
  );
  it(
    '[sig-node] Security Context When creating a pod with privileged should run the container as unprivileged when false [LinuxOnly] [NodeConformance] [Conformance]',
    prints({
      shell: dummy,
      container: { securityContext: { privileged: false } },
      prints: /Operation not permitted/,
    }),
  );
  it(
    '[sig-node] Security Context When creating a pod with readOnlyRootFilesystem should run the container with writable rootfs when readOnlyRootFilesystem=false [NodeConformance] [Conformance]',
    prints({
      shell: 'touch checkfile && ls checkfile',
      container: { securityContext: { readOnlyRootFilesystem: false } },
      prints: 'checkfile\n',
    }),
  );

  /** A program that is set-user-ID root, run by user 1000: the effective user that it gets. */
  const setuid = (allowPrivilegeEscalation: boolean) => {
    const volumeMounts = [{ name: 'v', mountPath: '/v' }];
    const copy =
      "const fs = require('fs'); fs.copyFileSync(process.execPath, '/v/node'); fs.chmodSync('/v/node', 0o4755)";
    const name = pods.pod({
      restartPolicy: 'Never',
      volumes: [{ name: 'v', emptyDir: {} }],
      initContainers: [
        {
          name: 'copy',
          image: 'guestbook:1',
          command: [NODE, '-e', copy],
          volumeMounts,
          securityContext: { runAsUser: 0 },
        },
      ],
      containers: [
        {
          name: 'app',
          image: 'guestbook:1',
          command: ['/v/node', '-p', 'process.geteuid()'],
          volumeMounts,
          securityContext: { allowPrivilegeEscalation, runAsUser: 1000 },
        },
      ],
    });
    return async (): Promise<string> => {
      await cluster.untilPhase(name, 'Succeeded');
      return (await cluster.kubectl.ok('logs', name)).trim();
    };
  };
  const forbidden = setuid(false);
  const allowed = setuid(true);
  it('[sig-node] Security Context when creating containers with AllowPrivilegeEscalation should not allow privilege escalation when false [LinuxOnly] [NodeConformance] [Conformance]', async () => {
    expect(await forbidden()).toBe('1000');
    expect(await allowed()).toBe('0');
  });
  it(
    '[sig-node] Sysctls [LinuxOnly] [NodeConformance] should support sysctls [Environment:NotInUserNS] [Conformance]',
    prints({
      shell: 'cat /proc/sys/kernel/shm_rmid_forced',
      spec: { securityContext: { sysctls: [{ name: 'kernel.shm_rmid_forced', value: '1' }] } },
      prints: '1\n',
    }),
  );
});

describe('Kubelet', () => {
  it(
    '[sig-node] Kubelet when scheduling a read only busybox container should not write to root filesystem [LinuxOnly] [NodeConformance] [Conformance]',
    prints({
      shell: 'echo test > /file; sleep 0',
      container: { securityContext: { readOnlyRootFilesystem: true } },
      prints: "sh: can't create /file: Read-only file system\n",
    }),
  );
  it(
    '[sig-node] Kubelet when scheduling an agnhost Pod with hostAliases should write entries to /etc/hosts [NodeConformance] [Conformance]',
    prints({
      shell: 'cat /etc/hosts',
      spec: { hostAliases: [{ ip: '123.45.67.89', hostnames: ['foo', 'bar'] }] },
      prints: /^# Kubernetes-managed hosts file\.\n[^]*123\.45\.67\.89\tfoo\tbar$/m,
    }),
  );

  const hostsOf = (hostNetwork: boolean): string =>
    pods.pod({
      hostNetwork,
      containers: [
        script(PAUSE),
        script(PAUSE, { name: 'own', volumeMounts: [{ name: 'hosts', mountPath: '/etc/hosts' }] }),
      ],
      volumes: [{ name: 'hosts', hostPath: { path: '/etc/hosts', type: 'File' } }],
    });
  const inPod = hostsOf(false);
  const onHost = hostsOf(true);
  it('[sig-node] KubeletManagedEtcHosts should test kubelet managed /etc/hosts file [NodeConformance] [Conformance]', async () => {
    for (const name of [inPod, onHost]) await cluster.untilReady(name);
    const managed = async (pod: string, container: string): Promise<boolean> =>
      (await cluster.kubectl.ok('exec', pod, '-c', container, '--', 'cat', '/etc/hosts')).startsWith(
        '# Kubernetes-managed hosts file',
      );
    expect(await managed(inPod, 'app')).toBe(true);
    // Nor where the pod brings one of its own, nor where the network is the host's.
    expect(await managed(inPod, 'own')).toBe(false);
    expect(await managed(onHost, 'own')).toBe(false);
    expect(await cluster.kubectl.ok('exec', onHost, '-c', 'app', '--', 'cat', '/etc/hosts')).not.toMatch(
      /^# Kubernetes-managed hosts file\.\n/,
    );
  });
});

describe('Container Runtime', () => {
  const message = (text: string, more: object, status: 'Succeeded' | 'Failed', expected: string) => {
    const name = pods.pod({ restartPolicy: 'Never', containers: [script(text, more)] });
    return async () => {
      const { status: found } = await cluster.untilPhase(name, 'Succeeded', 'Failed');
      expect(found?.phase).toBe(status);
      expect(found?.containerStatuses?.[0]?.state?.terminated?.message ?? '').toBe(expected);
    };
  };
  const FALLBACK = { terminationMessagePolicy: 'FallbackToLogsOnError' };

  it(
    '[sig-node] Container Runtime blackbox test on terminated container should report termination message if TerminationMessagePath is set as non-root user and at a non-default path [NodeConformance] [Conformance]',
    message(
      'printf DONE > /dev/termination-custom-log',
      { terminationMessagePath: '/dev/termination-custom-log', securityContext: { runAsUser: 1000 } },
      'Succeeded',
      'DONE',
    ),
  );
  it(
    '[sig-node] Container Runtime blackbox test on terminated container should report termination message from log output if TerminationMessagePolicy FallbackToLogsOnError is set [NodeConformance] [Conformance]',
    message('printf DONE; exit 1', FALLBACK, 'Failed', 'DONE'),
  );
  it(
    '[sig-node] Container Runtime blackbox test on terminated container should report termination message as empty when pod succeeds and TerminationMessagePolicy FallbackToLogsOnError is set [NodeConformance] [Conformance]',
    message('printf DONE', FALLBACK, 'Succeeded', ''),
  );
  it(
    '[sig-node] Container Runtime blackbox test on terminated container should report termination message from file when pod succeeds and TerminationMessagePolicy FallbackToLogsOnError is set [NodeConformance] [Conformance]',
    message('printf OK > /dev/termination-log; printf DONE', FALLBACK, 'Succeeded', 'OK'),
  );

  /** Fails, then succeeds, then stays. */
  const counting = (restartPolicy: 'Always' | 'OnFailure' | 'Never'): string =>
    pods.pod({
      restartPolicy,
      containers: [
        script(`echo run >> /v/runs; case $(wc -l < /v/runs) in 1) exit 1;; 2) exit 0;; esac; ${PAUSE}`, {
          volumeMounts: [{ name: 'v', mountPath: '/v' }],
        }),
      ],
      volumes: [{ name: 'v', emptyDir: {} }],
    });
  const runs = (['Always', 'OnFailure', 'Never'] as const).map(counting) as [string, string, string];
  it('[sig-node] Container Runtime blackbox test when starting a container that exits should run with the expected status [NodeConformance] [Conformance]', async () => {
    const is = (
      name: string,
      phase: string,
      restarts: number,
      ready: boolean,
      state: 'running' | 'terminated',
    ) =>
      cluster.untilPod(
        name,
        ({ status }) => {
          const [container] = status?.containerStatuses ?? [];
          return (
            status?.phase === phase &&
            container?.restartCount === restarts &&
            container.ready === ready &&
            container.state?.[state] !== undefined
          );
        },
        50_000,
      );
    await is(runs[2], 'Failed', 0, false, 'terminated');
    await is(runs[1], 'Succeeded', 1, false, 'terminated');
    await is(runs[0], 'Running', 2, true, 'running');
  });
});
