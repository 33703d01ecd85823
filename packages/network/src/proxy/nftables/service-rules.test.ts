import type { corev1, discoveryv1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { testService, testSlice } from '../../testing/service-objects.ts';
import type { ProxyModeOptions, ServicePlan } from '../contract.ts';
import { planService } from '../service-plan.ts';
import { namesOf } from './names.ts';
import { serviceRules } from './service-rules.ts';

const OPTIONS: ProxyModeOptions = {
  family: 'IPv4',
  nodePortAddresses: ['192.0.2.1'],
  localhostNodePorts: true,
  clusterCidrs: ['10.244.0.0/16'],
  serviceCidrs: [],
  masqueradeAll: false,
  nodeIp: '192.0.2.1',
};

function planOf(
  spec: Partial<corev1.ServiceSpec>,
  endpoints: readonly (string | discoveryv1.Endpoint)[],
  ingress: readonly string[] = [],
): ServicePlan {
  const service = {
    ...testService('svc1', { ports: [{ name: 'p80', port: 80, protocol: 'TCP' }], ...spec }),
    status: { loadBalancer: { ingress: ingress.map((ip) => ({ ip })) } },
  };
  service.metadata = { ...service.metadata, namespace: 'ns1' };
  const ports = [{ name: 'p80', port: 80, protocol: 'TCP' as const }];
  const plan = planService(
    service,
    [testSlice('svc1', endpoints, ports)],
    { name: 'here', zone: '' },
    'IPv4',
  );
  if (plan === undefined) throw new Error('nothing is planned');
  return plan;
}

/** Names of chains by what they are for, without their hashes. */
const plain = (text: string): string => text.replace(/\b(\w+)-[A-Z2-7]{8}-ns1\/svc1\/tcp\/p80/g, '$1');

function rulesOf(plan: ServicePlan, options = OPTIONS) {
  const { chains, elements, affinitySets } = serviceRules(plan, options);
  return {
    chains: Object.fromEntries([...chains].map(([name, lines]) => [plain(name), lines.map(plain)])),
    elements: [...elements].map(([element, value]) => plain(`${element}${value && ` : ${value}`}`)),
    sets: [...affinitySets].map(([name, timeout]) => `${plain(name)} ${timeout}`),
  };
}

const local = (address: string): discoveryv1.Endpoint => ({ addresses: [address], nodeName: 'here' });

describe('names', () => {
  it('are upstream’s', () => {
    const plan = planOf({}, []);
    const port = plan.ports[0];
    if (port === undefined) throw new Error('no port');
    const names = namesOf(plan, port);
    expect(names.cluster).toBe('service-ULMVA6XW-ns1/svc1/tcp/p80');
    expect(names.endpoint({ ip: '10.180.0.1', port: 80 })).toBe(
      'endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80',
    );
    expect(names.affinity({ ip: 'fd00::1', port: 80 })).toMatch(
      /^affinity-[A-Z2-7]{8}-ns1\/svc1\/tcp\/p80__fd00..1\/80$/,
    );
  });

  it('fit into nftables however long a Service’s are', () => {
    const plan = { ...planOf({}, []), namespace: 'n'.repeat(63), name: 's'.repeat(63) };
    const port = { ...plan.ports[0], portName: 'p'.repeat(63) } as ServicePlan['ports'][number];
    const ip = 'fd00:1111:2222:3333:4444:5555:6666:7777';
    expect(namesOf(plan, port).endpoint({ ip, port: 65_535 }).length).toBeLessThan(256);
  });
});

describe('the rules of a Service', () => {
  it('with a cluster IP', () => {
    expect(rulesOf(planOf({}, ['10.244.0.5', '10.244.1.5']))).toEqual({
      chains: {
        service: [
          'ip daddr 10.96.0.50 tcp dport 80 ip saddr != { 10.244.0.0/16 } jump mark-for-masquerade',
          'numgen random mod 2 vmap { 0 : goto endpoint__10.244.0.5/80, 1 : goto endpoint__10.244.1.5/80 }',
        ],
        'endpoint__10.244.0.5/80': [
          'ip saddr 10.244.0.5 jump mark-for-masquerade',
          'meta l4proto tcp dnat to 10.244.0.5:80',
        ],
        'endpoint__10.244.1.5/80': [
          'ip saddr 10.244.1.5 jump mark-for-masquerade',
          'meta l4proto tcp dnat to 10.244.1.5:80',
        ],
      },
      elements: ['cluster-ips 10.96.0.50', 'service-ips 10.96.0.50 . tcp . 80 : goto service'],
      sets: [],
    });
  });

  it('masquerading all, or not knowing what is the cluster’s', () => {
    const plan = planOf({}, ['10.244.0.5']);
    const first = (options: Partial<ProxyModeOptions>) =>
      rulesOf(plan, { ...OPTIONS, ...options }).chains['service']?.[0];
    expect(first({ masqueradeAll: true })).toBe('ip daddr 10.96.0.50 tcp dport 80 jump mark-for-masquerade');
    expect(first({ clusterCidrs: [] })).toBe('numgen random mod 1 vmap { 0 : goto endpoint__10.244.0.5/80 }');
  });

  it('without endpoints', () => {
    const spec: Partial<corev1.ServiceSpec> = {
      type: 'LoadBalancer',
      ports: [{ name: 'p80', port: 80, protocol: 'TCP', nodePort: 30080 }],
      externalIPs: ['198.51.100.1'],
    };
    expect(rulesOf(planOf(spec, [], ['198.51.100.2']))).toEqual({
      chains: {},
      elements: [
        'cluster-ips 10.96.0.50',
        'no-endpoint-services 10.96.0.50 . tcp . 80 : goto reject-chain',
        'no-endpoint-services 198.51.100.1 . tcp . 80 : goto reject-chain',
        'no-endpoint-services 198.51.100.2 . tcp . 80 : goto reject-chain',
        'no-endpoint-nodeports tcp . 30080 : goto reject-chain',
      ],
      sets: [],
    });
  });

  it('under the external policy Local, with endpoints elsewhere only', () => {
    const spec: Partial<corev1.ServiceSpec> = {
      type: 'NodePort',
      externalTrafficPolicy: 'Local',
      ports: [{ name: 'p80', port: 80, protocol: 'TCP', nodePort: 30080 }],
    };
    const elsewhere = rulesOf(planOf(spec, ['10.244.1.5']));
    expect(elsewhere.chains['external']).toEqual([
      'ip saddr { 10.244.0.0/16 } goto service comment "short-circuit pod traffic"',
      'fib saddr type local jump mark-for-masquerade comment "masquerade local traffic"',
      'fib saddr type local goto service comment "short-circuit local traffic"',
    ]);
    expect(elsewhere.elements).toEqual([
      'cluster-ips 10.96.0.50',
      'service-ips 10.96.0.50 . tcp . 80 : goto service',
      'service-nodeports tcp . 30080 : goto external',
      'no-endpoint-nodeports tcp . 30080 : drop',
    ]);
    const here = rulesOf(planOf(spec, [local('10.244.0.5'), '10.244.1.5']));
    expect(here.chains['external']?.at(-1)).toBe('goto local');
    expect(here.chains['local']).toEqual(['numgen random mod 1 vmap { 0 : goto endpoint__10.244.0.5/80 }']);
    expect(here.elements.some((element) => element.startsWith('no-endpoint'))).toBe(false);
  });

  it('under the internal policy Local', () => {
    const spec: Partial<corev1.ServiceSpec> = { internalTrafficPolicy: 'Local' };
    expect(rulesOf(planOf(spec, ['10.244.1.5'])).elements).toContain(
      'no-endpoint-services 10.96.0.50 . tcp . 80 : drop',
    );
    const here = rulesOf(planOf(spec, [local('10.244.0.5')]));
    expect(here.elements).toContain('service-ips 10.96.0.50 . tcp . 80 : goto local');
    expect(Object.keys(here.chains)).toEqual(['local', 'endpoint__10.244.0.5/80']);
  });

  it('with session affinity', () => {
    const { chains, sets } = rulesOf(planOf({ sessionAffinity: 'ClientIP' }, ['10.244.0.5']));
    expect(sets).toEqual(['affinity__10.244.0.5/80 10800']);
    expect(chains['service']?.[1]).toBe('ip saddr @affinity__10.244.0.5/80 goto endpoint__10.244.0.5/80');
    expect(chains['endpoint__10.244.0.5/80']?.[1]).toBe('update @affinity__10.244.0.5/80 { ip saddr }');
  });

  it.each([
    [['10.0.0.0/8'], 'ip saddr != { 10.0.0.0/8 } drop'],
    [['192.0.2.0/24'], 'ip saddr != { 192.0.2.0/24, 198.51.100.2 } drop'], // the node is allowed
  ])('with source ranges %j', (loadBalancerSourceRanges, rule) => {
    const plan = planOf({ type: 'LoadBalancer', loadBalancerSourceRanges }, ['10.244.0.5'], ['198.51.100.2']);
    const { chains, elements } = rulesOf(plan);
    expect(chains['firewall']).toEqual([rule]);
    expect(elements).toContain('firewall-ips 198.51.100.2 . tcp . 80 : goto firewall');
  });
});
