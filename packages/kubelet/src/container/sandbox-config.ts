import type { DnsConfig, PodSandboxConfig, PortMapping } from '@k8ts/cri';

import { sandboxAnnotations, sandboxLabels } from '../pod/labels.ts';
import { isHostNetwork, isSidecar, podName, podNamespace, podUid } from '../pod/pod-spec.ts';
import type { Pod } from '../pod/types.ts';
import { podNamespaces, supplementalGroups } from './security-context.ts';

export interface SandboxConfigInput {
  readonly pod: Pod;
  readonly attempt: number;
  readonly hostname: string;
  readonly dns: DnsConfig;
  readonly cgroupParent: string;
  readonly logDirectory: string;
}

export function sandboxConfig(input: SandboxConfigInput): PodSandboxConfig {
  const { pod, attempt } = input;
  const security = pod.spec.securityContext;
  return {
    metadata: { name: podName(pod), namespace: podNamespace(pod), uid: podUid(pod), attempt },
    // In the host's network the pod has the host's name.
    hostname: isHostNetwork(pod) ? '' : input.hostname,
    logDirectory: input.logDirectory,
    dnsConfig: input.dns,
    portMappings: portMappings(pod),
    labels: sandboxLabels(pod),
    annotations: sandboxAnnotations(pod),
    linux: {
      cgroupParent: input.cgroupParent,
      namespaces: podNamespaces(pod),
      sysctls: Object.fromEntries((security?.sysctls ?? []).map(({ name, value }) => [dotted(name), value])),
      supplementalGroups: supplementalGroups(pod),
      ...(security?.fsGroup === undefined ? {} : { fsGroup: security.fsGroup }),
      privileged: hasPrivilegedContainer(pod),
    },
  };
}

/** Sysctls may be written with slashes: `net/ipv4/ip_forward`; then dots are part of a name. */
function dotted(name: string): string {
  const slash = name.indexOf('/');
  const dot = name.indexOf('.');
  if (slash < 0 || (dot >= 0 && dot < slash)) return name;
  return name.replace(/[./]/g, (character) => (character === '/' ? '.' : '/'));
}

function hasPrivilegedContainer(pod: Pod): boolean {
  return [...(pod.spec.initContainers ?? []), ...pod.spec.containers].some(
    ({ securityContext }) => securityContext?.privileged === true,
  );
}

/** The ports of the host that lead into the pod. In the host's network there is nothing to map. */
function portMappings(pod: Pod): PortMapping[] {
  if (isHostNetwork(pod)) return [];
  const containers = [...pod.spec.containers, ...(pod.spec.initContainers ?? []).filter(isSidecar)];
  return containers.flatMap(({ ports }) =>
    (ports ?? [])
      .filter(({ hostPort }) => hostPort !== undefined && hostPort > 0)
      .map((port) => ({
        protocol: port.protocol ?? 'TCP',
        containerPort: port.containerPort,
        hostPort: port.hostPort ?? 0,
        hostIp: port.hostIP ?? '',
      })),
  );
}
