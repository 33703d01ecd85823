import type { corev1, discoveryv1 } from '@k8ts/api';

import { familyOf } from '../address.ts';

export interface KubeDnsOptions {
  /** The usual address, 10.96.0.10; two of different families make the Service dual-stack. */
  readonly clusterIps: readonly string[];
  /** Where `startClusterDns` listens on each node. */
  readonly servers: readonly KubeDnsServer[];
}

export interface KubeDnsServer {
  readonly address: string;
  readonly port: number;
  /** Pods of this node prefer it. */
  readonly nodeName?: string;
}

export const KUBE_DNS_NAMESPACE = 'kube-system';
export const KUBE_DNS_NAME = 'kube-dns';

const LABELS = {
  'k8s-app': 'kube-dns',
  'kubernetes.io/cluster-service': 'true',
  'kubernetes.io/name': 'k8ts-dns',
} as const;

/** As `kubernetes` in `default`: a Service without a selector, whose endpoints are kept by who runs them. */
export function kubeDnsService({ clusterIps, servers }: KubeDnsOptions): corev1.Service {
  const targetPort = servers[0]?.port ?? 53;
  const [clusterIP = ''] = clusterIps;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: KUBE_DNS_NAME, namespace: KUBE_DNS_NAMESPACE, labels: LABELS },
    spec: {
      type: 'ClusterIP',
      clusterIP,
      clusterIPs: [...clusterIps],
      ports: [
        { name: 'dns', protocol: 'UDP', port: 53, targetPort },
        { name: 'dns-tcp', protocol: 'TCP', port: 53, targetPort },
      ],
    },
  };
}

/** One slice for each family and port that servers have; a slice's endpoints share their ports. */
export function kubeDnsEndpointSlices({ servers }: KubeDnsOptions): readonly discoveryv1.EndpointSlice[] {
  const groups = new Map<string, KubeDnsServer[]>();
  for (const server of servers) {
    const key = `${(familyOf(server.address) ?? 'IPv4').toLowerCase()}-${server.port}`;
    groups.set(key, [...(groups.get(key) ?? []), server]);
  }
  // Hints count only when all endpoints have them.
  const hinted = servers.every(({ nodeName }) => nodeName !== undefined);
  return [...groups].map(([key, members]) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${KUBE_DNS_NAME}-${key}`,
      namespace: KUBE_DNS_NAMESPACE,
      labels: {
        ...LABELS,
        'kubernetes.io/service-name': KUBE_DNS_NAME,
        'endpointslice.kubernetes.io/managed-by': 'cluster-dns.k8ts',
      },
    },
    addressType: familyOf(members[0]?.address ?? '') ?? 'IPv4',
    endpoints: members.map(({ address, nodeName }) => ({
      addresses: [address],
      conditions: { ready: true, serving: true, terminating: false },
      ...(nodeName !== undefined && { nodeName }),
      ...(hinted && nodeName !== undefined && { hints: { forNodes: [{ name: nodeName }] } }),
    })),
    ports: [
      { name: 'dns', protocol: 'UDP', port: members[0]?.port ?? 53 },
      { name: 'dns-tcp', protocol: 'TCP', port: members[0]?.port ?? 53 },
    ],
  }));
}
