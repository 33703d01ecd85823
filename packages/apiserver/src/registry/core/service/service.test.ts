import type { corev1 } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import { create, strategyContext, update, type Json } from '../../testing/strategy-calls.ts';
import { DEFAULT_SERVICE_NETWORK } from './allocation.ts';
import { serviceStrategy } from './strategy.ts';

const service = (spec: Json = {}, name = 's'): Json => ({
  metadata: { name, namespace: 'default' },
  spec: { ports: [{ port: 80 }], selector: { app: 'a' }, ...spec },
});
const fresh = (): ReturnType<typeof serviceStrategy> => serviceStrategy(DEFAULT_SERVICE_NETWORK);

async function stored(
  strategy: ReturnType<typeof fresh>,
  spec: Json = {},
  name = 's',
): Promise<corev1.Service> {
  const { object, errors } = await create(strategy, service(spec, name));
  expect(errors).toEqual([]);
  return object;
}

describe('a new service', () => {
  test('gets an address and the defaults', async () => {
    const { spec, status } = await stored(fresh());
    expect(spec).toMatchObject({
      type: 'ClusterIP',
      sessionAffinity: 'None',
      internalTrafficPolicy: 'Cluster',
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      ports: [{ port: 80, targetPort: 80, protocol: 'TCP' }],
    });
    expect(spec?.clusterIP).toMatch(/^10\.(9[6-9]|10[0-9]|11[01])\./);
    expect(spec?.clusterIPs).toEqual([spec?.clusterIP]);
    expect(status).toEqual({ loadBalancer: {} });
  });

  test('gets node ports where it needs them', async () => {
    const { spec } = await stored(fresh(), { type: 'NodePort' });
    expect(spec?.ports?.[0]?.nodePort).toBeGreaterThanOrEqual(30000);
    expect(spec?.externalTrafficPolicy).toBe('Cluster');
    const local = await stored(fresh(), { type: 'LoadBalancer', externalTrafficPolicy: 'Local' });
    expect(local.spec?.healthCheckNodePort).toBeGreaterThanOrEqual(30000);
    expect(local.spec?.allocateLoadBalancerNodePorts).toBe(true);
  });

  test('may be headless or a mere name', async () => {
    expect((await stored(fresh(), { clusterIP: 'None' })).spec).toMatchObject({
      clusterIP: 'None',
      clusterIPs: ['None'],
      ipFamilies: ['IPv4'],
    });
    const external = await stored(fresh(), { type: 'ExternalName', externalName: 'example.com' });
    expect(external.spec?.clusterIP ?? '').toBe('');
  });

  test('keeps the address it asks for, and nobody else gets it', async () => {
    const strategy = fresh();
    const { spec } = await stored(strategy, { clusterIP: '10.96.0.10' });
    expect(spec?.clusterIP).toBe('10.96.0.10');
    await expect(create(strategy, service({ clusterIP: '10.96.0.10' }, 'other'))).rejects.toMatchObject({
      status: {
        code: 422,
        message:
          'Service "other" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.10"]: failed to allocate IP 10.96.0.10: provided IP is already allocated',
      },
    });
    await expect(create(strategy, service({ clusterIP: '10.0.0.1' }, 'other'))).rejects.toMatchObject({
      status: {
        code: 422,
        message:
          'Service "other" is invalid: spec.clusterIPs: Invalid value: ["10.0.0.1"]: failed to allocate IP 10.0.0.1: the provided IP (10.0.0.1) is not in the valid range. The range of valid IPs is 10.96.0.0/12',
      },
    });
  });

  test('keeps the node port it asks for, and nobody else gets it', async () => {
    const strategy = fresh();
    const ports = [{ port: 80, nodePort: 30080 }];
    await stored(strategy, { type: 'NodePort', ports });
    await expect(create(strategy, service({ type: 'NodePort', ports }, 'other'))).rejects.toMatchObject({
      status: {
        code: 422,
        message:
          'Service "other" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated',
      },
    });
    await expect(
      create(strategy, service({ type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] }, 'other')),
    ).rejects.toMatchObject({
      status: {
        message:
          'Service "other" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767',
      },
    });
  });

  test('gives back what it took when it is removed or refused', async () => {
    const strategy = fresh();
    const first = await stored(strategy, { clusterIP: '10.96.0.10' });
    await strategy.released?.(first, strategyContext());
    await stored(strategy, { clusterIP: '10.96.0.10' }, 'second');
    const refused = await create(strategy, service({ clusterIP: '10.96.0.11', ports: [] }, 'third'));
    expect(refused.errors).toEqual(['spec.ports: Required value']);
    await stored(strategy, { clusterIP: '10.96.0.11' }, 'fourth');
  });

  test('respects what was stored before the server started', async () => {
    const strategy = fresh();
    const before = { ...(await stored(fresh(), { clusterIP: '10.96.0.10' })) };
    await expect(
      create(strategy, service({ clusterIP: '10.96.0.10' }, 'other'), strategyContext([before])),
    ).rejects.toMatchObject({ status: { code: 422 } });
  });

  test.each<[string, Json, readonly string[]]>([
    ['no ports', { ports: [] }, ['spec.ports: Required value']],
    [
      'two ports without names',
      { ports: [{ port: 80 }, { port: 81 }] },
      ['spec.ports[0].name: Required value', 'spec.ports[1].name: Required value'],
    ],
    [
      'the same port twice',
      {
        ports: [
          { name: 'a', port: 80 },
          { name: 'b', port: 80 },
        ],
      },
      [
        'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}',
      ],
    ],
    [
      'a port out of range',
      { ports: [{ port: 70000 }] },
      [
        'spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive',
        'spec.ports[0].targetPort: Invalid value: 70000: must be between 1 and 65535, inclusive',
      ],
    ],
    [
      'an affinity that is none',
      { sessionAffinity: 'X' },
      ['spec.sessionAffinity: Unsupported value: "X": supported values: "ClientIP", "None"'],
    ],
    ['no external name', { type: 'ExternalName' }, ['spec.externalName: Required value']],
    [
      'a node port without need',
      { ports: [{ port: 80, nodePort: 30000 }] },
      ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
    ],
  ])('is refused with %s', async (_, spec, expected) => {
    expect((await create(fresh(), service(spec))).errors).toEqual(expected);
  });
});

describe('an update', () => {
  test('keeps the address, said or not', async () => {
    const strategy = fresh();
    const old = await stored(strategy);
    const { object, errors } = await update(strategy, old, (next) => {
      const spec = next.spec;
      delete spec.clusterIP;
      delete spec.clusterIPs;
      spec.selector = { app: 'b' };
    });
    expect(errors).toEqual([]);
    expect(object.spec?.clusterIP).toBe(old.spec?.clusterIP);
  });

  test('may not change the address', async () => {
    const strategy = fresh();
    const old = await stored(strategy, { clusterIP: '10.96.0.10' });
    const { errors } = await update(strategy, old, (next) => {
      const spec = next.spec;
      spec.clusterIP = '10.96.0.11';
      spec.clusterIPs = ['10.96.0.11'];
    });
    expect(errors).toEqual(['spec.clusterIPs[0]: Invalid value: ["10.96.0.11"]: may not change once set']);
  });

  test('changes of the type take and give back', async () => {
    const strategy = fresh();
    const old = await stored(strategy, { type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] });
    const plain = await update(strategy, old, (next) => {
      next.spec.type = 'ClusterIP';
    });
    expect(plain.errors).toEqual([]);
    expect(plain.object.spec?.ports?.[0]?.nodePort).toBeUndefined();
    expect(plain.object.spec?.externalTrafficPolicy).toBeUndefined();
    await stored(strategy, { type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] }, 'other');
    const named = await update(strategy, plain.object, (next) => {
      const spec = next.spec;
      spec.type = 'ExternalName';
      spec.externalName = 'example.com';
    });
    expect(named.errors).toEqual([]);
    expect(named.object.spec?.clusterIP ?? '').toBe('');
  });
});

test('ranges without sense are refused', () => {
  expect(() => serviceStrategy({ clusterIpRanges: ['x'], nodePorts: '30000-32767' })).toThrow();
  expect(() => serviceStrategy({ clusterIpRanges: ['10.96.0.0/12'], nodePorts: '1-' })).toThrow();
});
