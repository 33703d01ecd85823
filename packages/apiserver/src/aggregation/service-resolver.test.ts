import { corev1, discoveryv1 } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import { createObjectTable } from '../testing/object-table.ts';
import {
  clusterIpResolver,
  endpointResolver,
  loopbackResolver,
  type ServiceResolver,
} from './service-resolver.ts';

const objects = createObjectTable();

function service(name: string, spec: object): void {
  const metadata = { name, namespace: 'a' };
  objects.put(corev1.services, { metadata, spec });
}
function slice(name: string, of: string, rest: object): void {
  const metadata = { name, namespace: 'a', labels: { 'kubernetes.io/service-name': of } };
  objects.put(discoveryv1.endpointSlices, { metadata, ...rest } as unknown as discoveryv1.EndpointSlice);
}

const ports = [{ name: 'api', port: 443 }];
service('web', { type: 'ClusterIP', clusterIP: '10.96.0.9', ipFamilies: ['IPv4'], ports });
service('node-port', { type: 'NodePort', clusterIP: '10.96.0.8', ports });
service('headless', { type: 'ClusterIP', clusterIP: 'None', ports });
service('named', { type: 'ExternalName', externalName: 'api.example.com' });
service('odd', { type: 'Odd', ports });
const ready = (...addresses: string[]): object[] => addresses.map((each) => ({ addresses: [each] }));
slice('web-6', 'web', {
  addressType: 'IPv6',
  ports: [{ name: 'api', port: 8443 }],
  endpoints: ready('fd00::1'),
});
slice('web-4', 'web', {
  addressType: 'IPv4',
  ports: [{ name: 'api', port: 8443 }],
  endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: false } }, ...ready('10.0.0.2', '10.0.0.3')],
});
slice('web-other', 'web', {
  addressType: 'IPv4',
  ports: [{ name: 'x', port: 1 }],
  endpoints: ready('10.0.0.4'),
});
slice('not-ready', 'node-port', {
  addressType: 'IPv4',
  ports: [{ name: 'api', port: 1 }],
  endpoints: [{ addresses: ['10.0.0.5'], conditions: { ready: false } }],
});

const result = (resolve: ServiceResolver, name: string, port: number): string => {
  try {
    const location = resolve('a', name, port);
    return `${location.host} ${location.port}`;
  } catch (error) {
    return (error as Error).message;
  }
};

describe('by cluster IP', () => {
  test.each<[string, number, string]>([
    ['web', 443, '10.96.0.9 443'],
    ['web', 80, 'no service port 80 found for service "web"'],
    ['node-port', 443, '10.96.0.8 443'],
    ['headless', 443, 'cannot route to service with ClusterIP "None"'],
    ['named', 8443, 'api.example.com 8443'],
    ['odd', 443, 'unsupported service type "Odd"'],
    ['none', 443, 'service "none" not found'],
  ])('%s:%i is %s', (name, port, expected) => {
    expect(result(clusterIpResolver(objects), name, port)).toBe(expected);
  });
});

describe('by endpoint', () => {
  test.each<[string, number, number, string]>([
    ['web', 443, 0, '10.0.0.2 8443'],
    ['web', 443, 0.99, '10.0.0.3 8443'],
    ['web', 80, 0, 'no service port 80 found for service "web"'],
    ['headless', 443, 0, 'no endpoints available for service "headless"'],
    ['node-port', 443, 0, 'no endpoints available for service "node-port"'],
    ['named', 443, 0, 'unsupported service type "ExternalName"'],
  ])('%s:%i with chance %d is %s', (name, port, chance, expected) => {
    expect(
      result(
        endpointResolver(objects, () => chance),
        name,
        port,
      ),
    ).toBe(expected);
  });
});

test('the Service default/kubernetes is the server itself', () => {
  const resolve = loopbackResolver(
    (namespace, name, port) => ({ host: `${name}.${namespace}`, port }),
    () => ({ host: '127.0.0.1', port: 6443 }),
  );
  expect(resolve('default', 'kubernetes', 443)).toEqual({ host: '127.0.0.1', port: 6443 });
  expect(resolve('default', 'kubernetes', 80)).toEqual({ host: 'kubernetes.default', port: 80 });
  expect(resolve('other', 'kubernetes', 443).host).toBe('kubernetes.other');
});
