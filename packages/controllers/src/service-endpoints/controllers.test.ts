import { corev1, discoveryv1 } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { endpointsController } from '../endpoints/controller.ts';
import { endpointSliceController } from '../endpointslice/controller.ts';
import { ControllerHarness } from '../testing/controller-harness.ts';

const start = () =>
  ControllerHarness.start([endpointsController, endpointSliceController], {}, (api) => {
    api.seed(corev1.nodes, { metadata: { name: 'n1' }, spec: {} });
  });

const service = (name = 'web'): corev1.Service => ({
  metadata: { name, namespace: 'default' },
  spec: {
    clusterIP: '10.0.0.1',
    ipFamilies: ['IPv4'],
    selector: { app: 'web' },
    ports: [{ port: 80, targetPort: 8080, protocol: 'TCP' }],
  },
});

function pod(name: string, ip: string, node = 'n1'): corev1.Pod {
  return {
    metadata: { name, namespace: 'default', labels: { app: 'web' } },
    spec: { containers: [], nodeName: node },
    status: {
      phase: 'Running',
      podIP: ip,
      podIPs: [{ ip }],
      conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:05Z' }],
    },
  };
}

const sliceAddresses = ({ api }: ControllerHarness) =>
  api
    .all(discoveryv1.endpointSlices)
    .flatMap(({ endpoints = [] }) =>
      endpoints.flatMap(({ addresses, conditions }) =>
        addresses.map((ip) => `${ip} ${String(conditions?.ready)}`),
      ),
    );
const endpointAddresses = ({ api }: ControllerHarness) =>
  api
    .peek(corev1.endpoints, 'default/web')
    ?.subsets?.flatMap(({ addresses = [] }) => addresses.map(({ ip }) => ip));

describe('the controllers of endpoints', () => {
  it('follow Services and pods', async () => {
    await using harness = await start();
    const { api, clock } = harness;
    await api.client.resource(corev1.services, 'default').create(service());
    await clock.settle();
    expect(api.all(discoveryv1.endpointSlices)).toHaveLength(1);
    expect(api.peek(corev1.endpoints, 'default/web')?.subsets).toBeUndefined();

    api.seed(corev1.pods, pod('a', '10.1.0.1'));
    api.seed(corev1.pods, pod('b', '10.1.0.2'));
    await clock.advance(10);
    expect(sliceAddresses(harness)).toEqual(['10.1.0.1 true', '10.1.0.2 true']);
    expect(endpointAddresses(harness)).toEqual(['10.1.0.1', '10.1.0.2']);
    expect(api.all(discoveryv1.endpointSlices)[0]?.metadata.annotations).toEqual({
      'endpoints.kubernetes.io/last-change-trigger-time': '2026-01-01T00:00:05Z',
    });

    const pods = api.client.resource(corev1.pods, 'default');
    await pods.patch('a', { metadata: { labels: { app: 'other' } } }, { type: 'merge' });
    await pods.delete('b');
    await clock.advance(10);
    // A terminating pod is no longer ready but still known.
    expect(sliceAddresses(harness)).toEqual(['10.1.0.2 false']);
    expect(endpointAddresses(harness) ?? []).toEqual([]);

    await api.client.resource(corev1.services, 'default').delete('web');
    await clock.advance(10);
    expect(api.all(corev1.endpoints)).toEqual([]);
  });

  it('leave Services alone that have no selector, or are only an alias', async () => {
    await using harness = await start();
    const { api, clock } = harness;
    const services = api.client.resource(corev1.services, 'default');
    const { selector: _, ...manual } = service().spec ?? {};
    await services.create({ ...service('manual'), spec: manual });
    await services.create({
      ...service('alias'),
      spec: { type: 'ExternalName', externalName: 'a.b', selector: { a: 'b' } },
    });
    await clock.advance(1000);
    expect(api.all(discoveryv1.endpointSlices)).toEqual([]);
    expect(api.all(corev1.endpoints)).toEqual([]);
  });

  it('take a pod in as soon as its node is known', async () => {
    await using harness = await start();
    const { api, clock } = harness;
    await api.client.resource(corev1.services, 'default').create(service());
    api.seed(corev1.pods, pod('a', '10.1.0.1', 'n2'));
    await clock.advance(100);
    expect(sliceAddresses(harness)).toEqual([]);
    api.seed(corev1.nodes, { metadata: { name: 'n2' }, spec: {} });
    await clock.advance(100);
    expect(sliceAddresses(harness)).toEqual(['10.1.0.1 true']);
  });

  it('put right what somebody else changed or deleted', async () => {
    await using harness = await start();
    const { api, clock } = harness;
    await api.client.resource(corev1.services, 'default').create(service());
    api.seed(corev1.pods, pod('a', '10.1.0.1'));
    await clock.advance(100);
    const slices = api.client.resource(discoveryv1.endpointSlices, 'default');
    const { name } = (api.all(discoveryv1.endpointSlices)[0] as discoveryv1.EndpointSlice).metadata;
    await slices.patch(name, { endpoints: [] }, { type: 'merge' });
    await api.client.resource(corev1.endpoints, 'default').delete('web');
    await clock.advance(5000);
    expect(sliceAddresses(harness)).toEqual(['10.1.0.1 true']);
    expect(endpointAddresses(harness)).toEqual(['10.1.0.1']);
    await slices.delete(name);
    await clock.advance(5000);
    expect(sliceAddresses(harness)).toEqual(['10.1.0.1 true']);
  });

  it('remove Endpoints whose Service went away while they did not run', async () => {
    await using harness = await ControllerHarness.start([endpointsController], {}, (api) => {
      const managed = { 'endpoints.kubernetes.io/managed-by': 'endpoint-controller' };
      api.seed(corev1.endpoints, { metadata: { name: 'left', namespace: 'default', labels: managed } });
      api.seed(corev1.endpoints, { metadata: { name: 'manual', namespace: 'default' } });
    });
    await harness.clock.advance(100);
    expect(harness.api.all(corev1.endpoints).map(({ metadata }) => metadata.name)).toEqual(['manual']);
  });

  it('come to rest', async () => {
    await using harness = await start();
    const { api, clock } = harness;
    await api.client.resource(corev1.services, 'default').create(service());
    api.seed(corev1.pods, pod('a', '10.1.0.1'));
    await clock.advance(60_000);
    const before = api.requests.length;
    await clock.advance(240_000);
    expect(api.requests.slice(before).filter((request) => !request.startsWith('WATCH'))).toEqual([]);
  });
});
