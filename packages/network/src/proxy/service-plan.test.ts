import type { corev1, discoveryv1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { testService, testSlice } from '../testing/service-objects.ts';
import type { ServicePortPlan } from './contract.ts';
import { planService } from './service-plan.ts';

const NODE = { name: 'here', zone: 'z1' };
const READY = { ready: true, serving: true, terminating: false };
const DRAINING = { ready: false, serving: true, terminating: true };
const GONE = { ready: false, serving: false, terminating: true };

const at = (
  address: string,
  nodeName: string,
  conditions: discoveryv1.EndpointConditions = READY,
  hints?: discoveryv1.EndpointHints,
): discoveryv1.Endpoint => ({ addresses: [address], nodeName, conditions, ...(hints && { hints }) });

function plan(
  spec: Partial<corev1.ServiceSpec>,
  endpoints: readonly (string | discoveryv1.Endpoint)[],
  node = NODE,
): ServicePortPlan {
  const planned = planService(testService('web', spec), [testSlice('web', endpoints)], node, 'IPv4');
  const port = planned?.ports[0];
  if (port === undefined) throw new Error('nothing is planned');
  return port;
}

const ips = (targets: readonly { readonly ip: string }[]): string =>
  targets.map(({ ip }) => ip.slice(-1)).join('');
const NODE_PORT: Partial<corev1.ServiceSpec> = { type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] };

describe('endpoints by traffic policy', () => {
  it.each<
    [string, Partial<corev1.ServiceSpec>, readonly discoveryv1.Endpoint[], string, string, string, boolean]
  >([
    ['ready ones', {}, [at('10.0.0.1', 'here'), at('10.0.0.2', 'there', GONE)], '1', '', '1', true],
    ['none', {}, [], '', '', '', false],
    ['those without conditions', {}, [at('10.0.0.1', 'here', {})], '1', '', '1', true],
    [
      'draining ones when none is ready',
      {},
      [at('10.0.0.1', 'here', DRAINING), at('10.0.0.2', 'there', GONE)],
      '1',
      '',
      '1',
      true,
    ],
    [
      'ready before draining ones',
      {},
      [at('10.0.0.1', 'here', DRAINING), at('10.0.0.2', 'there')],
      '2',
      '',
      '2',
      true,
    ],
    [
      'internal policy Local: local ones',
      { internalTrafficPolicy: 'Local' },
      [at('10.0.0.1', 'here'), at('10.0.0.2', 'there')],
      '',
      '1',
      '1',
      true,
    ],
    [
      'internal policy Local: none here',
      { internalTrafficPolicy: 'Local' },
      [at('10.0.0.2', 'there')],
      '',
      '',
      '',
      true,
    ],
    [
      'external policy Local: draining here, ready elsewhere',
      { ...NODE_PORT, externalTrafficPolicy: 'Local' },
      [at('10.0.0.1', 'here', DRAINING), at('10.0.0.2', 'there')],
      '2',
      '1',
      '21',
      true,
    ],
    [
      'external policy Local without anything external',
      { externalTrafficPolicy: 'Local' },
      [at('10.0.0.1', 'here')],
      '1',
      '',
      '1',
      true,
    ],
    [
      'internal policy Local with node ports needs both',
      { ...NODE_PORT, internalTrafficPolicy: 'Local' },
      [at('10.0.0.1', 'here'), at('10.0.0.2', 'there')],
      '12',
      '1',
      '12',
      true,
    ],
  ])('%s', (_what, spec, endpoints, cluster, local, reachable, any) => {
    const { endpoints: choice } = plan(spec, endpoints);
    expect([ips(choice.cluster), ips(choice.local), ips(choice.reachable), choice.any]).toEqual([
      cluster,
      local,
      reachable,
      any,
    ]);
  });

  const zone = (name: string): discoveryv1.EndpointHints => ({ forZones: [{ name }] });
  const node = (name: string): discoveryv1.EndpointHints => ({
    forNodes: [{ name }],
    forZones: [{ name: 'z1' }],
  });
  it.each<[string, readonly discoveryv1.Endpoint[], string]>([
    [
      'those of the zone',
      [at('10.0.0.1', 'a', READY, zone('z1')), at('10.0.0.2', 'b', READY, zone('z2'))],
      '1',
    ],
    ['all, when one has no hint', [at('10.0.0.1', 'a', READY, zone('z1')), at('10.0.0.2', 'b')], '12'],
    [
      'all, when none is for here',
      [at('10.0.0.1', 'a', READY, zone('z3')), at('10.0.0.2', 'b', READY, zone('z2'))],
      '12',
    ],
    [
      'those of the node before the zone',
      [at('10.0.0.1', 'a', READY, node('here')), at('10.0.0.2', 'b', READY, node('there'))],
      '1',
    ],
    [
      'those of the zone when none is for the node',
      [at('10.0.0.1', 'a', READY, node('x')), at('10.0.0.2', 'b', READY, node('y'))],
      '12',
    ],
    [
      'not counting hints of others than ready ones',
      [at('10.0.0.1', 'a', READY, zone('z1')), at('10.0.0.2', 'b', GONE)],
      '1',
    ],
  ])('topology hints: %s', (_what, endpoints, cluster) => {
    expect(ips(plan({}, endpoints).endpoints.cluster)).toBe(cluster);
  });
});

describe('planService', () => {
  it.each<[string, Partial<corev1.ServiceSpec>]>([
    ['headless', { clusterIP: 'None', clusterIPs: ['None'] }],
    ['an external name', { type: 'ExternalName', externalName: 'x', clusterIP: '' }],
    ['of another family', { clusterIP: 'fd00::1', clusterIPs: ['fd00::1'] }],
    ['without an address yet', { clusterIP: '' }],
  ])('plans nothing for a Service that is %s', (_what, spec) => {
    expect(planService(testService('web', spec), [], NODE, 'IPv4')).toBeUndefined();
  });

  it('takes what is of its family', () => {
    const service = testService('web', {
      clusterIPs: ['10.96.0.50', 'FD00::50'],
      externalIPs: ['198.51.100.1', '2001:DB8::1'],
    });
    const slices = [testSlice('web', ['10.0.0.1']), testSlice('web', ['FD00::1'], undefined, 'IPv6')];
    const addresses = (family: 'IPv4' | 'IPv6') => {
      const port = planService(service, slices, NODE, family)?.ports[0];
      return [port?.clusterIp, port?.externalIps, port?.endpoints.cluster.map(({ ip }) => ip)];
    };
    expect(addresses('IPv4')).toEqual(['10.96.0.50', ['198.51.100.1'], ['10.0.0.1']]);
    expect(addresses('IPv6')).toEqual(['fd00::50', ['2001:db8::1'], ['fd00::1']]);
  });

  it('matches ports by name and protocol, and counts an endpoint in two slices once', () => {
    const service = testService('web', {
      ports: [
        { name: 'a', port: 80, protocol: 'TCP' },
        { name: 'a-udp', port: 80, protocol: 'UDP' },
        { name: 'b', port: 81, protocol: 'TCP' },
      ],
    });
    const slices = [
      testSlice('web', ['10.0.0.2', '10.0.0.1'], [{ name: 'a', port: 8080, protocol: 'TCP' }]),
      testSlice(
        'web',
        ['10.0.0.1'],
        [
          { name: 'a', port: 8080, protocol: 'TCP' },
          { name: 'a-udp', port: 9090, protocol: 'TCP' },
          { name: 'b', port: 0, protocol: 'TCP' },
        ],
      ),
    ];
    const ports = planService(service, slices, NODE, 'IPv4')?.ports ?? [];
    expect(ports.map(({ protocol, endpoints }) => [protocol, ips(endpoints.cluster)])).toEqual([
      ['tcp', '12'],
      ['udp', ''],
      ['tcp', ''],
    ]);
  });

  it.each<[readonly string[], readonly string[]]>([
    [[' 10.0.0.0/8 ', '10.1.0.0/16', 'fd00::/8', 'x'], ['10.0.0.0/8']],
    [['10.0.0.0/8', '0.0.0.0/0'], []],
  ])('source ranges %j are %j', (loadBalancerSourceRanges, expected) => {
    expect(plan({ type: 'LoadBalancer', loadBalancerSourceRanges }, []).sourceRanges).toEqual(expected);
  });

  it('takes load balancer addresses that packets come with', () => {
    const service = testService('web', { type: 'LoadBalancer' });
    const ingress = [
      { ip: '192.0.2.1' },
      { ip: '192.0.2.2', ipMode: 'Proxy' },
      { hostname: 'lb' },
      { ip: '192.0.2.3', ipMode: 'VIP' },
    ];
    const planned = planService({ ...service, status: { loadBalancer: { ingress } } }, [], NODE, 'IPv4');
    expect(planned?.ports[0]?.loadBalancerIps).toEqual(['192.0.2.1', '192.0.2.3']);
  });

  it('counts local endpoints for load balancers that ask, under the external policy Local only', () => {
    const endpoints = [at('10.0.0.1', 'here'), at('10.0.0.2', 'there'), at('10.0.0.3', 'here', DRAINING)];
    const check = (spec: Partial<corev1.ServiceSpec>) =>
      planService(
        testService('web', { type: 'LoadBalancer', ...spec }),
        [testSlice('web', endpoints)],
        NODE,
        'IPv4',
      )?.healthCheck;
    expect(check({ externalTrafficPolicy: 'Local', healthCheckNodePort: 31000 })).toEqual({
      port: 31000,
      localEndpoints: 1,
    });
    expect(check({ externalTrafficPolicy: 'Cluster', healthCheckNodePort: 31000 })).toBeUndefined();
  });

  it.each([
    [{ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } }, 60],
    [{ sessionAffinity: 'ClientIP' }, 10_800],
    [{ sessionAffinity: 'None' }, 0],
  ] as const)('session affinity %j lasts %i seconds', (spec, seconds) => {
    expect(plan(spec, []).affinitySeconds).toBe(seconds);
  });

  it('lets no names into commands that validation would not let in', () => {
    const service = testService('web }\nflush ruleset');
    expect(planService(service, [], NODE, 'IPv4')).toBeUndefined();
    const ports = [{ name: 'x }', port: 80 }];
    expect(planService(testService('web', { ports }), [], NODE, 'IPv4')?.ports).toEqual([]);
  });
});
