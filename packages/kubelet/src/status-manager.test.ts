import { corev1 } from '@k8ts/api';
import { VirtualClock, silentLogger } from '@k8ts/base';
import { FakeApi } from '@k8ts/client/testing';
import { expect, it } from 'vitest';

import { StatusManager } from './status-manager.ts';

it('says how a pod ended before it deletes it, even when an earlier status is still on its way', async () => {
  const clock = new VirtualClock();
  const api = new FakeApi({ clock });
  const pods = api.client.resource(corev1.pods, 'default');
  await pods.create({
    metadata: { name: 'p', finalizers: ['example.com/keep'] },
    spec: { containers: [], nodeName: 'n' },
  });
  await pods.delete('p');
  const apiPod = () => api.peek(corev1.pods, 'default/p');
  await using statuses = new StatusManager({ client: api.client, clock, logger: silentLogger, apiPod });
  const pod = apiPod() as corev1.Pod;
  let arrived = (): void => undefined;
  using _ = api.intercept(async ({ method }) => {
    if (method === 'PATCH') await new Promise<void>((resolve) => (arrived = resolve));
    return undefined;
  });
  statuses.set(pod, { phase: 'Running' });
  await clock.settle();
  statuses.set(pod, { phase: 'Failed' });
  statuses.finish(pod);
  for (let write = 0; write < 2; write++) {
    arrived();
    await clock.settle();
  }
  expect(apiPod()).toMatchObject({
    metadata: { deletionGracePeriodSeconds: 0 },
    status: { phase: 'Failed' },
  });
  expect(api.requests.slice(-3)).toEqual([
    'PATCH /api/v1/namespaces/default/pods/p/status',
    'PATCH /api/v1/namespaces/default/pods/p/status',
    'DELETE /api/v1/namespaces/default/pods/p',
  ]);
});
