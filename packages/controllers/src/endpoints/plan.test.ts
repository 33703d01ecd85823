import type { corev1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { MAX_ADDRESSES, countAddresses, endpointSubsets, equalSubsets, truncateSubsets } from './plan.ts';

const service = (spec: Partial<corev1.ServiceSpec> = {}): corev1.Service => ({
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    clusterIP: '10.0.0.1',
    ipFamilies: ['IPv4'],
    ports: [{ port: 80, targetPort: 'http', protocol: 'TCP' }],
    ...spec,
  },
});

function pod(name: string, ip: string, ready = true, port = 8080): corev1.Pod {
  return {
    metadata: { name, namespace: 'default', uid: name },
    spec: {
      nodeName: 'n1',
      containers: [{ name: 'c', ports: [{ name: 'http', containerPort: port, protocol: 'TCP' }] }],
    },
    status: {
      podIP: ip,
      podIPs: [{ ip }],
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  };
}

const address = (name: string, ip: string): corev1.EndpointAddress => ({
  ip,
  nodeName: 'n1',
  targetRef: { kind: 'Pod', namespace: 'default', name, uid: name },
});

describe('Endpoints', () => {
  it('keep what has the same ports together, ready apart from not ready, in order', () => {
    const pods = [
      pod('c', '10.1.0.3'),
      pod('a', '10.1.0.1'),
      pod('b', '10.1.0.2', false),
      pod('d', '10.1.0.4', true, 9090),
    ];
    const expected = [
      {
        addresses: [address('a', '10.1.0.1'), address('c', '10.1.0.3')],
        notReadyAddresses: [address('b', '10.1.0.2')],
        ports: [{ port: 8080, protocol: 'TCP' }],
      },
      { addresses: [address('d', '10.1.0.4')], ports: [{ port: 9090, protocol: 'TCP' }] },
    ];
    expect(endpointSubsets(service(), pods)).toEqual(expected);
    expect(endpointSubsets(service(), [...pods].reverse())).toEqual(expected);
  });

  it('leave terminating pods out, unless all are to be published', () => {
    const one = pod('a', '10.1.0.1', false);
    const terminating = { ...one, metadata: { ...one.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
    expect(endpointSubsets(service(), [terminating])).toEqual([]);
    expect(
      endpointSubsets(service({ publishNotReadyAddresses: true }), [terminating])[0]?.addresses,
    ).toHaveLength(1);
  });

  it('have the address of the first family of the Service', () => {
    const dual = { ...pod('a', '10.1.0.1') };
    const both = { ...dual, status: { ...dual.status, podIPs: [{ ip: '10.1.0.1' }, { ip: 'fd00::1' }] } };
    const ipOf = (spec: Partial<corev1.ServiceSpec>) =>
      endpointSubsets(service(spec), [both])[0]?.addresses?.[0]?.ip;
    expect(ipOf({ ipFamilies: ['IPv6', 'IPv4'] })).toBe('fd00::1');
    expect(ipOf({ ipFamilies: ['IPv4'] })).toBe('10.1.0.1');
  });

  it('of a headless Service need no ports; of another they do', () => {
    expect(endpointSubsets(service({ clusterIP: 'None', ports: [] }), [pod('a', '10.1.0.1')])).toEqual([
      { addresses: [address('a', '10.1.0.1')] },
    ]);
    expect(endpointSubsets(service({ ports: [] }), [pod('a', '10.1.0.1')])).toEqual([]);
    expect(
      endpointSubsets(service({ ports: [{ port: 80, targetPort: 'none' }] }), [pod('a', '10.1.0.1')]),
    ).toEqual([]);
  });

  it('are cut to size, not ready ones first', () => {
    const many = (count: number, from = 0, ready = true): corev1.Pod[] =>
      Array.from({ length: count }, (_, index) =>
        pod(`p${from + index}`, `10.${(from + index) >> 8}.0.${index & 255}`, ready),
      );
    const cut = truncateSubsets(endpointSubsets(service(), [...many(900), ...many(300, 5000, false)]));
    expect(countAddresses(cut)).toBe(MAX_ADDRESSES);
    expect(cut[0]?.addresses).toHaveLength(900);
    const ready = truncateSubsets(endpointSubsets(service(), [...many(1500), ...many(10, 5000, false)]));
    expect(ready[0]?.addresses).toHaveLength(MAX_ADDRESSES);
    expect(ready[0]?.notReadyAddresses).toBeUndefined();
  });

  it('are equal whatever the versions of the pods', () => {
    const [subset] = endpointSubsets(service(), [pod('a', '10.1.0.1')]);
    const [first] = subset?.addresses ?? [];
    const versioned = {
      ...subset,
      addresses: [{ ...first, ip: '10.1.0.1', targetRef: { ...first?.targetRef, resourceVersion: '7' } }],
    };
    expect(equalSubsets([subset ?? {}], [versioned])).toBe(true);
    expect(equalSubsets([subset ?? {}], [])).toBe(false);
  });
});
