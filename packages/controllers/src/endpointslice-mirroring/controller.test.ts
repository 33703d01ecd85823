import { corev1, discoveryv1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { endpointsController } from '../endpoints/controller.ts';
import { endpointSliceController } from '../endpointslice/controller.ts';
import { ControllerHarness } from '../testing/controller-harness.ts';
import { endpointSliceMirroringController } from './controller.ts';
import { MAX_MIRRORED, planMirror } from './plan.ts';

const start = () =>
  ControllerHarness.start([endpointSliceMirroringController, endpointSliceController, endpointsController]);

const service = (selector?: Record<string, string>): corev1.Service => ({
  metadata: { name: 'db', namespace: 'default' },
  spec: {
    clusterIP: '10.0.0.1',
    ipFamilies: ['IPv4'],
    ports: [{ port: 5432 }],
    ...(selector === undefined ? {} : { selector }),
  },
});

const endpoints = (...ips: string[]): corev1.Endpoints => ({
  metadata: { name: 'db', namespace: 'default', labels: { team: 'a' } },
  subsets: [{ addresses: ips.map((ip) => ({ ip })), ports: [{ name: 'pg', port: 5432, protocol: 'TCP' }] }],
});

const slices = ({ api }: ControllerHarness) =>
  api
    .all(discoveryv1.endpointSlices)
    .map(({ addressType, endpoints: found = [] }) => [
      addressType,
      found.map(({ addresses, conditions }) => `${addresses.join()} ${String(conditions?.ready)}`),
    ])
    .sort();

describe('EndpointSlice mirroring', () => {
  it('follows Endpoints that were made by hand', async () => {
    await using harness = await start();
    const { api, clock } = harness;
    const client = api.client.resource(corev1.endpoints, 'default');
    await api.client.resource(corev1.services, 'default').create(service());
    const created = await client.create(endpoints('10.1.2.3', 'fd00::1'));
    await clock.advance(100);
    expect(slices(harness)).toEqual([
      ['IPv4', ['10.1.2.3 true']],
      ['IPv6', ['fd00::1 true']],
    ]);
    const ipv4 = api.all(discoveryv1.endpointSlices).find(({ addressType }) => addressType === 'IPv4');
    expect(ipv4).toMatchObject({
      metadata: {
        labels: {
          team: 'a',
          'kubernetes.io/service-name': 'db',
          'endpointslice.kubernetes.io/managed-by': 'endpointslicemirroring-controller.k8s.io',
        },
        ownerReferences: [{ kind: 'Endpoints', name: 'db', uid: created.metadata.uid }],
      },
      ports: [{ name: 'pg', port: 5432, protocol: 'TCP' }],
    });
    const [subset] = endpoints('10.1.2.4').subsets ?? [];
    await client.update({ ...created, subsets: [{ ...subset, notReadyAddresses: [{ ip: '10.1.2.5' }] }] });
    await clock.advance(5000);
    expect(slices(harness)).toEqual([['IPv4', ['10.1.2.4 true', '10.1.2.5 false']]]);
    await client.delete('db');
    await clock.advance(5000);
    expect(slices(harness)).toEqual([]);
  });

  it('leaves alone what has slices already, or wants none', async () => {
    await using harness = await start();
    const { api, clock } = harness;
    await api.client.resource(corev1.services, 'default').create(service({ app: 'db' }));
    await clock.advance(100);
    const managers = () =>
      api
        .all(discoveryv1.endpointSlices)
        .map(({ metadata }) => metadata.labels?.['endpointslice.kubernetes.io/managed-by']);
    expect(managers()).toEqual(['endpointslice-controller.k8s.io']);
    await api.client
      .resource(corev1.services, 'default')
      .create({ ...service(), metadata: { name: 'quiet' } });
    const { metadata, ...rest } = endpoints('10.1.2.3');
    const labels = { ...metadata.labels, 'endpointslice.kubernetes.io/skip-mirror': 'true' };
    await api.client
      .resource(corev1.endpoints, 'default')
      .create({ ...rest, metadata: { name: 'quiet', labels } });
    await clock.advance(5000);
    expect(managers()).toHaveLength(1);
  });

  it('puts right what somebody else changed', async () => {
    await using harness = await start();
    const { api, clock } = harness;
    await api.client.resource(corev1.services, 'default').create(service());
    await api.client.resource(corev1.endpoints, 'default').create(endpoints('10.1.2.3'));
    await clock.advance(100);
    const client = api.client.resource(discoveryv1.endpointSlices, 'default');
    await client.patch(
      api.all(discoveryv1.endpointSlices)[0]?.metadata.name ?? '',
      { endpoints: [] },
      { type: 'merge' },
    );
    await clock.advance(5000);
    expect(slices(harness)).toEqual([['IPv4', ['10.1.2.3 true']]]);
    const before = api.requests.length;
    await clock.advance(120_000);
    expect(api.requests.slice(before)).toEqual([]);
  });

  it('takes so many of a subset, and no names', () => {
    const many = Array.from({ length: MAX_MIRRORED + 5 }, (_, index) => `10.0.${index >> 8}.${index & 255}`);
    const plan = planMirror(endpoints('not-an-ip', ...many), []);
    expect(plan.create[0]?.endpoints).toHaveLength(MAX_MIRRORED);
    expect([plan.invalid, plan.beyond]).toEqual([1, 5]);
  });
});
