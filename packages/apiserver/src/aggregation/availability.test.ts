import { corev1, discoveryv1 } from '@k8ts/api';
import { describe, expect, test } from 'vitest';
import { createObjectTable } from '../testing/object-table.ts';
import type { APIService } from './api-service.ts';
import { withCondition } from './api-service.ts';
import { checkAvailability } from './availability.ts';

const apiService: APIService = {
  metadata: { name: 'v1.example.com' },
  spec: {
    group: 'example.com',
    version: 'v1',
    service: { namespace: 'a', name: 'api', port: 443 },
    groupPriorityMinimum: 1,
    versionPriority: 1,
  },
};
const service = (spec: object): [typeof corev1.services, object] => [
  corev1.services,
  { metadata: { name: 'api', namespace: 'a' }, spec: { type: 'ClusterIP', clusterIP: '10.0.0.1', ...spec } },
];
const slice = (rest: object): [typeof discoveryv1.endpointSlices, object] => [
  discoveryv1.endpointSlices,
  { metadata: { name: 's', namespace: 'a', labels: { 'kubernetes.io/service-name': 'api' } }, ...rest },
];
const listening = service({ ports: [{ name: 'https', port: 443 }] });
const port = { name: 'https', port: 8443 };
const url = 'https://10.0.0.1:443/apis/example.com/v1';

const refused = {
  proxyClient: undefined,
  resolve: () => {
    throw new Error('no way there');
  },
};

describe('an APIService', () => {
  test.each<[string, readonly (readonly [object, object])[], string]>([
    ['without its Service', [], 'ServiceNotFound: service/api in "a" is not present'],
    [
      'whose Service has another port',
      [service({ ports: [{ port: 80 }] })],
      'ServicePortError: service/api in "a" is not listening on port 443',
    ],
    [
      'whose Service has no endpoint slice',
      [listening],
      'EndpointsNotFound: cannot find endpointslices for service/api in "a"',
    ],
    [
      'whose endpoints are not ready',
      [listening, slice({ ports: [port], endpoints: [{ addresses: ['1'], conditions: { ready: false } }] })],
      'MissingEndpoints: endpointslices for service/api in "a" have no addresses with port name "https"',
    ],
    [
      'whose endpoints have another port',
      [listening, slice({ ports: [{ name: 'x', port: 1 }], endpoints: [{ addresses: ['1'] }] })],
      'MissingEndpoints: endpointslices for service/api in "a" have no addresses with port name "https"',
    ],
    [
      'whose endpoints cannot be reached',
      [listening, slice({ ports: [port], endpoints: [{ addresses: ['1'] }] })],
      'FailedDiscoveryCheck: no way there',
    ],
    [
      'whose Service is of another type',
      [service({ type: 'NodePort', ports: [] })],
      'FailedDiscoveryCheck: no way there',
    ],
  ])('%s', async (_, put, expected) => {
    const objects = createObjectTable();
    for (const [type, object] of put) objects.put(type as never, object as never);
    const { condition } = await checkAvailability(apiService, objects, refused, new AbortController().signal);
    expect(`${condition.reason}: ${condition.message}`).toBe(expected);
    expect(condition.status).toBe('False');
  });

  test('is probed where its Service leads', async () => {
    const objects = createObjectTable();
    objects.put(...(service({ type: 'NodePort' }) as never as [never, never]));
    const { condition, isRetried } = await checkAvailability(
      apiService,
      objects,
      { proxyClient: undefined, resolve: () => ({ host: '127.0.0.1', port: 1 }) },
      new AbortController().signal,
    );
    const at = url.replace('10.0.0.1:443', '127.0.0.1:1');
    expect(condition.message).toBe(
      `failing or missing response from ${at}: Get "${at}": dial tcp 127.0.0.1:1: connect: connection refused`,
    );
    expect(isRetried).toBe(true);
  });
});

test('a condition keeps the time of its last change of status', () => {
  const failed = { type: 'Available', status: 'False', reason: 'A', message: 'a' };
  const first = withCondition({}, failed, 't1');
  expect(withCondition(first, failed, 't2')).toBe(first);
  const other = withCondition(first, { ...failed, reason: 'B' }, 't2');
  expect(other.conditions).toEqual([{ ...failed, reason: 'B', lastTransitionTime: 't1' }]);
  const passed = withCondition(other, { ...failed, status: 'True' }, 't3');
  expect(passed.conditions?.[0]?.lastTransitionTime).toBe('t3');
  const beside = { type: 'Other', status: 'True' };
  expect(withCondition({ conditions: [beside] }, failed, 't').conditions).toHaveLength(2);
});
