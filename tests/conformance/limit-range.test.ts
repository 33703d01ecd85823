import { corev1, type New } from '@k8ts/api';
import { describe, expect, it } from 'vitest';

import { changing, podOf, refusal, useSuite, watch } from './support.ts';

const amounts = (cpu: string, memory: string, storage: string) => ({
  cpu,
  memory,
  'ephemeral-storage': storage,
});

describe('limit ranges', () => {
  const suite = useSuite();

  function podWith(name: string, resources: corev1.ResourceRequirements): New<corev1.Pod> {
    return podOf(name, {
      spec: { containers: [{ name: 'pause', image: 'registry.example/pause:1', resources }] },
    });
  }

  it('[sig-scheduling] LimitRange should create a LimitRange with defaults and ensure pod has those defaults applied. [Conformance]', async () => {
    const namespace = await suite.namespace();
    const ranges = suite.client.resource(corev1.limitRanges, namespace);
    const pods = suite.client.resource(corev1.pods, namespace);
    const labels = { time: 'now' };
    await using watcher = await watch(ranges, { labelSelector: 'time=now' });
    const limits = amounts('500m', '500Mi', '500Gi');
    const requests = amounts('100m', '200Mi', '200Gi');
    const item = {
      type: 'Container',
      min: amounts('50m', '100Mi', '100Gi'),
      max: amounts('500m', '500Mi', '500Gi'),
      default: limits,
      defaultRequest: requests,
      maxLimitRequestRatio: {},
    } as const;
    await ranges.create({ metadata: { name: 'limit-range', labels }, spec: { limits: [item] } });
    await watcher.until('ADDED');
    const [stored] = (await ranges.get('limit-range')).spec.limits;
    expect([stored?.default, stored?.defaultRequest]).toEqual([limits, requests]);

    const resourcesOf = async (name: string): Promise<corev1.ResourceRequirements | undefined> =>
      (await pods.get(name)).spec.containers[0]?.resources;
    await pods.create(podWith('pod-no-resources', {}));
    expect(await resourcesOf('pod-no-resources')).toEqual({ requests, limits });
    // What is limited and not requested is requested up to its limit, before there are other defaults.
    await pods.create(
      podWith('pod-partial-resources', {
        requests: { memory: '150Mi', 'ephemeral-storage': '150Gi' },
        limits: { cpu: '300m' },
      }),
    );
    expect(await resourcesOf('pod-partial-resources')).toEqual({
      requests: amounts('300m', '150Mi', '150Gi'),
      limits: amounts('300m', '500Mi', '500Gi'),
    });

    const small = podWith('pfpod', { requests: amounts('10m', '50Mi', '50Gi') });
    const large = podWith('pfpod', { requests: amounts('600m', '600Mi', '600Gi') });
    expect((await refusal(pods.create(small))).message).toBe(
      'pods "pfpod" is forbidden: [minimum cpu usage per Container is 50m, but request is 10m, minimum ephemeral-storage usage per Container is 100Gi, but request is 50Gi, minimum memory usage per Container is 100Mi, but request is 50Mi]',
    );
    // Requests above the limits that they are given.
    expect((await refusal(pods.create(large))).code).toBe(422);
    const unlimited = podWith('pfpod', { requests: { cpu: '600m' }, limits: { cpu: '600m' } });
    expect((await refusal(pods.create(unlimited))).message).toBe(
      'pods "pfpod" is forbidden: maximum cpu usage per Container is 500m, but limit is 600m',
    );

    const min = amounts('9m', '49Mi', '49Gi');
    await changing(ranges, 'limit-range', (range) => ({ ...range, spec: { limits: [{ ...item, min }] } }));
    expect((await ranges.get('limit-range')).spec.limits[0]?.min).toEqual(min);
    await pods.create(small);
    await refusal(pods.create({ ...large, metadata: { name: 'pfpod-large' } }));

    await ranges.delete('limit-range', { gracePeriodSeconds: 30 });
    expect((await ranges.list()).items).toEqual([]);
    await pods.create({ ...large, metadata: { name: 'pfpod2' } });
  });

  it('are named by the server when they have no name', async () => {
    const ranges = suite.client.resource(corev1.limitRanges, await suite.namespace());
    const { metadata } = await ranges.create({ metadata: {}, spec: { limits: [] } });
    expect(metadata.name).toMatch(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
    expect((await ranges.get(metadata.name)).metadata.uid).toBe(metadata.uid);
  });
});
