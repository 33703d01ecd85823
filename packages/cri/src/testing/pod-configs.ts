import type { ContainerConfig, Labels, PodSandboxConfig } from '../contract.ts';

/** A pod's sandbox configuration as the kubelet would make it, for tests. */
export function testSandboxConfig(
  name: string,
  overrides: Partial<PodSandboxConfig> & { readonly attempt?: number } = {},
): PodSandboxConfig {
  const { attempt = 0, ...rest } = overrides;
  return {
    metadata: { name, uid: `uid-${name}`, namespace: 'default', attempt },
    hostname: name,
    logDirectory: '',
    portMappings: [],
    labels: { 'io.kubernetes.pod.name': name },
    annotations: {},
    linux: {
      cgroupParent: '',
      namespaces: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' },
      sysctls: {},
    },
    ...rest,
  };
}

export interface TestContainerOptions extends Partial<
  Omit<ContainerConfig, 'metadata' | 'linux' | 'envs' | 'labels'>
> {
  readonly attempt?: number;
  readonly labels?: Labels;
  readonly env?: Labels;
  readonly resources?: ContainerConfig['linux']['resources'];
  readonly security?: Partial<ContainerConfig['linux']['securityContext']>;
}

export function testContainerConfig(
  name: string,
  image: string,
  options: TestContainerOptions = {},
): ContainerConfig {
  const { attempt = 0, env = {}, resources = {}, security = {}, ...rest } = options;
  return {
    metadata: { name, attempt },
    image,
    command: [],
    args: [],
    envs: Object.entries(env).map(([key, value]) => ({ key, value })),
    mounts: [],
    labels: { 'io.kubernetes.container.name': name },
    annotations: {},
    logPath: `${name}/${attempt}.log`,
    stdin: false,
    stdinOnce: false,
    tty: false,
    linux: {
      resources,
      securityContext: {
        addCapabilities: [],
        dropCapabilities: [],
        privileged: false,
        namespaces: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' },
        readonlyRootfs: false,
        supplementalGroups: [],
        noNewPrivileges: false,
        maskedPaths: [],
        readonlyPaths: [],
        ...security,
      },
    },
    ...rest,
  };
}
