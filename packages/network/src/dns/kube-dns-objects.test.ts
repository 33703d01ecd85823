import { describe, expect, it } from 'vitest';

import { kubeDnsEndpointSlices, kubeDnsService } from './kube-dns-objects.ts';

const OPTIONS = {
  clusterIps: ['10.96.0.10', 'fd00:96::a'],
  servers: [
    { address: '10.244.0.1', port: 10053, nodeName: 'a' },
    { address: '10.244.1.1', port: 10053, nodeName: 'b' },
    { address: 'fd00::1', port: 10053, nodeName: 'a' },
    { address: '10.244.2.1', port: 5353, nodeName: 'c' },
  ],
};

describe('the objects of cluster DNS', () => {
  it('are a Service at the usual address, without a selector', () => {
    const { metadata, spec } = kubeDnsService(OPTIONS);
    expect([metadata.namespace, metadata.name, spec.clusterIP]).toEqual([
      'kube-system',
      'kube-dns',
      '10.96.0.10',
    ]);
    expect(spec.selector).toBeUndefined();
    expect(spec.ports?.map(({ protocol, port, targetPort }) => `${protocol} ${port} ${targetPort}`)).toEqual([
      'UDP 53 10053',
      'TCP 53 10053',
    ]);
  });

  it('have a slice for each family and port, in which pods find their own node', () => {
    const slices = kubeDnsEndpointSlices(OPTIONS);
    expect(
      slices.map(({ metadata, addressType, endpoints, ports }) => [
        metadata.name,
        addressType,
        endpoints?.length,
        ports?.[0]?.port,
      ]),
    ).toEqual([
      ['kube-dns-ipv4-10053', 'IPv4', 2, 10053],
      ['kube-dns-ipv6-10053', 'IPv6', 1, 10053],
      ['kube-dns-ipv4-5353', 'IPv4', 1, 5353],
    ]);
    expect(slices[0]?.endpoints?.[1]).toMatchObject({ nodeName: 'b', hints: { forNodes: [{ name: 'b' }] } });
  });

  it('give no hints when a node is not known', () => {
    const [slice] = kubeDnsEndpointSlices({
      ...OPTIONS,
      servers: [...OPTIONS.servers, { address: '10.244.9.1', port: 10053 }],
    });
    expect(slice?.endpoints?.some(({ hints }) => hints !== undefined)).toBe(false);
  });
});
