import { isNotFound, notFound } from '@k8ts/apimachinery';
import { describe, expect, it } from 'vitest';

import { testContainer, testPod } from '../testing/index.ts';
import type { Pod, Service } from '../pod/types.ts';
import { type NodeDns, parseResolvConf, podDns } from './dns.ts';
import { containerEnvironment, type EnvironmentInput, isVariableName } from './environment.ts';
import { expand } from './expansion.ts';
import { fieldValue, resourceFieldValue } from './field-ref.ts';
import { nodeHostname, podHostname } from './hostname.ts';
import { hostNetworkHostsFile, managedHostsFile } from './hosts-file.ts';
import { sandboxConfig } from './sandbox-config.ts';
import { linuxSecurityContext, MASKED_PATHS } from './security-context.ts';
import { serviceEnvironment } from './service-environment.ts';

describe('$(NAME)', () => {
  // From third_party/forked/golang/expansion: input and what becomes of it with VAR_A=A, VAR_B=B, VAR_EMPTY=.
  const values: Readonly<Record<string, string>> = { VAR_A: 'A', VAR_B: 'B', VAR_EMPTY: '' };
  for (const [input, output] of [
    ['$(VAR_A)', 'A'],
    ['___$(VAR_B)___', '___B___'],
    ['___$(VAR_B)', '___B'],
    ['$(VAR_A)-1', 'A-1'],
    ['___$(VAR_C)___', '___$(VAR_C)___'],
    ['$$(VAR_A)', '$(VAR_A)'],
    ['$$$(VAR_A)', '$A'],
    ['$$$$(VAR_A)', '$$(VAR_A)'],
    ['$(VAR_EMPTY)', ''],
    ['$VAR_A', '$VAR_A'],
    ['$(VAR_A', '$(VAR_A'],
    ['foo$$var', 'foo$var'],
    ['$', '$'],
    ['$$', '$'],
    ['$()', '$()'],
    ['$(VAR_A)$(VAR_B)', 'AB'],
    ['f000-$((VAR_A)$)', 'f000-$((VAR_A)$)'],
  ] as const)
    it(`${input} → ${output}`, () => {
      expect(expand(input, (name) => values[name])).toBe(output);
    });
});

const config = {
  configMap: async (_namespace: string, name: string) => {
    if (name === 'none') throw notFound({ group: '', resource: 'configmap' }, name);
    return { metadata: { name }, data: { one: '1', 'a=b': 'x' } };
  },
  secret: async (_namespace: string, name: string) => {
    if (name === 'none') throw notFound({ group: '', resource: 'secret' }, name);
    return { metadata: { name }, data: { word: Buffer.from('hush').toString('base64') } };
  },
};

function environment(pod: Pod, more: Partial<EnvironmentInput> = {}): Promise<Map<string, string>> {
  return containerEnvironment({
    pod,
    container: pod.spec.containers[0]!,
    addresses: { podIps: ['10.0.0.9', 'fd00::9'], hostIps: ['192.168.0.1'] },
    services: [],
    allocatable: { cpu: '4', memory: '8Gi' },
    config,
    isNotFound,
    onInvalidNames: () => undefined,
    ...more,
  });
}

describe('the environment', () => {
  it('comes from ConfigMaps, Secrets, fields and resources, in order', async () => {
    const warnings: string[] = [];
    const pod = testPod({
      nodeName: 'node-1',
      serviceAccountName: 'robot',
      containers: [
        testContainer('app', {
          resources: { requests: { cpu: '250m' }, limits: { memory: '64Mi' } },
          envFrom: [
            { prefix: 'P_', configMapRef: { name: 'settings' } },
            { secretRef: { name: 'none', optional: true } },
          ],
          env: [
            { name: 'A', value: '1' },
            { name: 'B', value: '$(A)-$(P_one)-$(LATER)' },
            { name: 'LATER', value: 'x' },
            { name: 'A', value: '2' },
            { name: 'WORD', valueFrom: { secretKeyRef: { name: 's', key: 'word' } } },
            { name: 'GONE', valueFrom: { configMapKeyRef: { name: 'none', key: 'k', optional: true } } },
            { name: 'IPS', valueFrom: { fieldRef: { fieldPath: 'status.podIPs' } } },
            { name: 'WHO', valueFrom: { fieldRef: { fieldPath: 'spec.serviceAccountName' } } },
            { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
            { name: 'REQUEST', valueFrom: { resourceFieldRef: { resource: 'requests.cpu', divisor: '1m' } } },
            {
              name: 'MEMORY',
              valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } },
            },
          ],
        }),
      ],
    });
    const values = await environment(pod, { onInvalidNames: (message) => warnings.push(message) });
    expect([...values]).toEqual([
      ['P_one', '1'],
      ['B', '1-1-$(LATER)'],
      ['LATER', 'x'],
      ['A', '2'],
      ['WORD', 'hush'],
      ['IPS', '10.0.0.9,fd00::9'],
      ['WHO', 'robot'],
      ['CPU', '4'],
      ['REQUEST', '250'],
      ['MEMORY', '64'],
    ]);
    expect(warnings).toEqual([
      'Keys [P_a=b] from the EnvFrom configMap default/settings were skipped since they are considered invalid environment variable names.',
    ]);
  });

  it('says what is missing', async () => {
    const of = (env: object): Pod =>
      testPod({ containers: [testContainer('app', { env: [{ name: 'X', valueFrom: env }] })] });
    await expect(environment(of({ configMapKeyRef: { name: 'none', key: 'k' } }))).rejects.toThrow(
      'configmap "none" not found',
    );
    await expect(environment(of({ configMapKeyRef: { name: 'c', key: 'k' } }))).rejects.toThrow(
      "couldn't find key k in ConfigMap default/c",
    );
    await expect(environment(of({ secretKeyRef: { name: 's', key: 'k' } }))).rejects.toThrow(
      "couldn't find key k in Secret default/s",
    );
  });

  it('names variables by any printable text without =', () => {
    expect(['A', 'a.b-c', 'with space', '#'].map(isVariableName)).toEqual([true, true, true, true]);
    expect(['', 'a=b', 'ä', 'a\nb'].map(isVariableName)).toEqual([false, false, false, false]);
  });
});

describe('services in the environment', () => {
  const service = (namespace: string, name: string, spec: object): Service => ({
    metadata: { name, namespace },
    spec,
  });
  const services = [
    service('default', 'redis-main', {
      clusterIP: '10.96.0.7',
      ports: [
        { name: 'main-port', port: 6379 },
        { port: 53, protocol: 'UDP' },
      ],
    }),
    service('default', 'headless', { clusterIP: 'None', ports: [{ port: 1 }] }),
    service('other', 'elsewhere', { clusterIP: '10.96.0.8', ports: [{ port: 1 }] }),
    service('default', 'kubernetes', { clusterIP: '10.96.0.1', ports: [{ port: 443 }] }),
  ];

  it('are those of the namespace and kubernetes', () => {
    const variables = Object.fromEntries(serviceEnvironment(services, 'default', true));
    expect(variables).toMatchObject({
      REDIS_MAIN_SERVICE_HOST: '10.96.0.7',
      REDIS_MAIN_SERVICE_PORT: '6379',
      REDIS_MAIN_SERVICE_PORT_MAIN_PORT: '6379',
      REDIS_MAIN_PORT: 'tcp://10.96.0.7:6379',
      REDIS_MAIN_PORT_6379_TCP: 'tcp://10.96.0.7:6379',
      REDIS_MAIN_PORT_6379_TCP_PROTO: 'tcp',
      REDIS_MAIN_PORT_6379_TCP_PORT: '6379',
      REDIS_MAIN_PORT_6379_TCP_ADDR: '10.96.0.7',
      REDIS_MAIN_PORT_53_UDP: 'udp://10.96.0.7:53',
      KUBERNETES_SERVICE_HOST: '10.96.0.1',
      KUBERNETES_SERVICE_PORT: '443',
    });
    expect(Object.keys(variables).some((name) => /HEADLESS|ELSEWHERE/.test(name))).toBe(false);
  });

  it('are only kubernetes without links, and elsewhere', () => {
    for (const [namespace, links] of [
      ['default', false],
      ['third', true],
    ] as const)
      expect(
        [...serviceEnvironment(services, namespace, links).keys()].every((name) =>
          name.startsWith('KUBERNETES_'),
        ),
      ).toBe(true);
  });
});

describe('fields', () => {
  it('are read by their paths', () => {
    const pod = testPod({}, { labels: { b: '2', a: 'say "hi"\n' }, annotations: { 'x.y/z': 'v' } });
    const addresses = { podIps: ['1'], hostIps: ['2'] };
    expect(fieldValue(pod, "metadata.labels['a']", addresses)).toBe('say "hi"\n');
    expect(fieldValue(pod, "metadata.annotations['x.y/z']", addresses)).toBe('v');
    expect(fieldValue(pod, "metadata.annotations['none']", addresses)).toBe('');
    expect(fieldValue(pod, 'metadata.labels', addresses)).toBe('a="say \\"hi\\"\\n"\nb="2"');
    expect(() => fieldValue(pod, 'spec.containers', addresses)).toThrow(
      'unsupported fieldPath: spec.containers',
    );
  });

  it('of resources are rounded up', () => {
    const container = testContainer('app', { resources: { limits: { cpu: '1500m', memory: '100' } } });
    expect(resourceFieldValue(container, 'limits.cpu', undefined, {})).toBe('2');
    expect(resourceFieldValue(container, 'limits.memory', '1Ki', {})).toBe('1');
    expect(resourceFieldValue(container, 'requests.memory', '0', {})).toBe('100');
    expect(
      resourceFieldValue(container, 'limits.ephemeral-storage', '1Gi', { 'ephemeral-storage': '10Gi' }),
    ).toBe('10');
    expect(() => resourceFieldValue(container, 'limits.gpu', undefined, {})).toThrow(
      'unsupported container resource : limits.gpu',
    );
  });
});

describe('names', () => {
  it('come from the pod, its hostname and subdomain', () => {
    expect(podHostname(testPod({ hostname: 'h', subdomain: 's' }), 'cluster.local')).toEqual({
      hostname: 'h',
      domain: 's.default.svc.cluster.local',
    });
    const long = testPod({}, { name: `${'a'.repeat(62)}-b` });
    expect(podHostname(long, 'x').hostname).toBe('a'.repeat(62));
  });

  it('are whole where asked for, and not too long', () => {
    const pod = testPod({ subdomain: 's', setHostnameAsFQDN: true });
    expect(nodeHostname(pod, podHostname(pod, 'cluster.local'))).toBe('web.s.default.svc.cluster.local');
    const long = testPod({ subdomain: 'a'.repeat(60), setHostnameAsFQDN: true });
    expect(() => nodeHostname(long, podHostname(long, 'cluster.local'))).toThrow(
      /is too long \(64 characters is the max, 90 characters requested\)/,
    );
  });

  it('stand in /etc/hosts', () => {
    const pod = testPod({ hostAliases: [{ ip: '1.2.3.4', hostnames: ['a', 'b'] }] });
    expect(managedHostsFile(pod, ['10.0.0.9'], { hostname: 'web', domain: '' })).toBe(
      '# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n10.0.0.9\tweb\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n',
    );
    expect(hostNetworkHostsFile(testPod(), '127.0.0.1\tlocalhost\n')).toBe(
      '# Kubernetes-managed hosts file (host network).\n127.0.0.1\tlocalhost\n',
    );
  });
});

describe('DNS', () => {
  const node: NodeDns = {
    clusterDns: ['10.96.0.10'],
    clusterDomain: 'cluster.local',
    resolvConf: '# comment\nnameserver 8.8.8.8\nsearch example.com. .\noptions rotate\n',
  };
  const dns = (spec: Partial<Pod['spec']>, from = node, warn: (reason: string) => void = () => undefined) =>
    podDns(testPod(spec), from, warn);

  it('reads resolv.conf', () => {
    expect(parseResolvConf(node.resolvConf)).toEqual({
      servers: ['8.8.8.8'],
      searches: ['example.com'],
      options: ['rotate'],
    });
  });

  it('is the cluster first', () => {
    expect(dns({})).toEqual({
      servers: ['10.96.0.10'],
      searches: ['default.svc.cluster.local', 'svc.cluster.local', 'cluster.local', 'example.com'],
      options: ['ndots:5'],
    });
    expect(dns({ hostNetwork: true }).servers).toEqual(['8.8.8.8']);
    expect(dns({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' }).servers).toEqual(['10.96.0.10']);
    expect(dns({ dnsPolicy: 'Default' })).toEqual({
      servers: ['8.8.8.8'],
      searches: ['example.com'],
      options: ['rotate'],
    });
  });

  it("adds the pod's own", () => {
    expect(
      dns({
        dnsPolicy: 'None',
        dnsConfig: {
          nameservers: ['1.1.1.1'],
          searches: ['a'],
          options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }],
        },
      }),
    ).toEqual({ servers: ['1.1.1.1'], searches: ['a'], options: ['ndots:2', 'edns0'] });
    expect(dns({ dnsConfig: { options: [{ name: 'ndots', value: '2' }] } }).options).toEqual(['ndots:2']);
  });

  it('warns of what is missing or too much', () => {
    const reasons: string[] = [];
    dns({}, { ...node, clusterDns: [] }, (reason) => reasons.push(reason));
    const many = dns(
      {
        dnsConfig: {
          nameservers: ['1.1.1.1', '2.2.2.2', '3.3.3.3'],
          searches: Array.from({ length: 40 }, (_, i) => `s${i}`),
        },
      },
      node,
      (reason) => reasons.push(reason),
    );
    expect(reasons).toEqual(['MissingClusterDNS', 'DNSConfigForming', 'DNSConfigForming']);
    expect([many.servers.length, many.searches.length]).toEqual([3, 32]);
  });
});

describe('the security context', () => {
  const of = (pod: Pod, image: { uid?: number; username?: string } = { uid: 5 }) =>
    linuxSecurityContext({ pod, container: pod.spec.containers[0]!, image, seccompRoot: '/seccomp' });

  it("is the container's over the pod's", () => {
    const pod = testPod({
      securityContext: {
        runAsUser: 1,
        runAsGroup: 2,
        fsGroup: 3,
        supplementalGroups: [4],
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        testContainer('app', {
          securityContext: {
            runAsUser: 10,
            capabilities: { add: ['NET_ADMIN'], drop: ['ALL'] },
            allowPrivilegeEscalation: false,
            seccompProfile: { type: 'Localhost', localhostProfile: 'p.json' },
          },
        }),
      ],
    });
    expect(of(pod)).toMatchObject({
      runAsUser: 10,
      runAsGroup: 2,
      supplementalGroups: [4, 3],
      addCapabilities: ['NET_ADMIN'],
      dropCapabilities: ['ALL'],
      noNewPrivileges: true,
      maskedPaths: MASKED_PATHS,
      seccompProfile: { type: 'Localhost', localhostRef: '/seccomp/p.json' },
    });
  });

  it('masks nothing for the privileged and unmasked', () => {
    for (const securityContext of [{ privileged: true }, { procMount: 'Unmasked' as const }])
      expect(of(testPod({ containers: [testContainer('app', { securityContext })] })).maskedPaths).toEqual(
        [],
      );
  });

  it('takes the user of the image, and refuses root where it must', () => {
    expect(of(testPod()).runAsUser).toBe(5);
    expect(of(testPod(), { username: 'app' }).runAsUserName).toBe('app');
    const nonRoot = (more: object = {}): Pod => testPod({ securityContext: { runAsNonRoot: true, ...more } });
    expect(() => of(nonRoot(), {})).toThrow(
      'container has runAsNonRoot and image will run as root (pod: "web_default(uid-web)", container: app)',
    );
    expect(() => of(nonRoot(), { uid: 0 })).toThrow(/image will run as root/);
    expect(() => of(nonRoot(), { username: 'app' })).toThrow(
      'container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root (pod: "web_default(uid-web)", container: app)',
    );
    expect(() => of(nonRoot({ runAsUser: 0 }))).toThrow(`container's runAsUser breaks non-root policy`);
    expect(of(nonRoot({ runAsUser: 7 }), {}).runAsUser).toBe(7);
  });
});

describe('the sandbox', () => {
  const config = (pod: Pod) =>
    sandboxConfig({
      pod,
      attempt: 0,
      hostname: 'web',
      dns: { servers: [], searches: [], options: [] },
      cgroupParent: '/x',
      logDirectory: '/l',
    });

  it('maps host ports, but not in the network of the host', () => {
    const ports = [{ containerPort: 80, hostPort: 8080, hostIP: '127.0.0.1' }, { containerPort: 81 }];
    expect(config(testPod({ containers: [testContainer('app', { ports })] })).portMappings).toEqual([
      { protocol: 'TCP', containerPort: 80, hostPort: 8080, hostIp: '127.0.0.1' },
    ]);
    expect(
      config(testPod({ hostNetwork: true, containers: [testContainer('app', { ports })] })).portMappings,
    ).toEqual([]);
  });

  it('writes sysctls with dots', () => {
    const sysctls = [
      { name: 'net/ipv4/ip_local_port_range', value: '1 2' },
      { name: 'net.ipv4.x', value: '3' },
      { name: 'net/ipv4/conf/eth0.100/y', value: '4' },
    ];
    expect(config(testPod({ securityContext: { sysctls } })).linux.sysctls).toEqual({
      'net.ipv4.ip_local_port_range': '1 2',
      'net.ipv4.x': '3',
      'net.ipv4.conf.eth0/100.y': '4',
    });
  });

  it('shares the namespaces that are asked for', () => {
    expect(config(testPod()).linux.namespaces).toEqual({ network: 'POD', ipc: 'POD', pid: 'CONTAINER' });
    expect(config(testPod({ hostNetwork: true, hostPID: true, hostIPC: true })).linux.namespaces).toEqual({
      network: 'NODE',
      ipc: 'NODE',
      pid: 'NODE',
    });
    expect(config(testPod({ shareProcessNamespace: true })).linux.namespaces.pid).toBe('POD');
  });
});
