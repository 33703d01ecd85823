import { corev1 } from '@k8ts/api';
import { formatTime, isConflict, isNotFound } from '@k8ts/apimachinery';
import type { CancelTimer, Clock } from '@k8ts/base';
import type { FakeApi } from '@k8ts/client/testing';

import { targetNode } from '../daemonset/daemon-pods.ts';

export interface PodRunnerOptions {
  /** Milliseconds from a pod's creation until it is ready. Default 1000. */
  readonly readyAfter?: number;
  /** Milliseconds from its deletion until it is gone. Default 1000. */
  readonly stopAfter?: number;
  /** Pods that never get ready. */
  readonly broken?: (pod: corev1.Pod) => boolean;
}

/** Stands in for scheduler and kubelets: binds pods (to the node that they name, otherwise to node-1), makes them ready after a while, and removes those that are deleted. */
export async function runPods(
  api: FakeApi,
  clock: Clock,
  signal: AbortSignal,
  options: PodRunnerOptions = {},
): Promise<void> {
  const { readyAfter = 1000, stopAfter = 1000, broken = () => false } = options;
  const timers = new Set<CancelTimer>();
  const cancelAll = (): void => {
    for (const cancel of timers) cancel();
  };
  signal.addEventListener('abort', cancelAll, { once: true });
  const later = (delay: number, action: () => Promise<unknown>): void => {
    const cancel = clock.setTimeout(() => {
      timers.delete(cancel);
      action().catch((error: unknown) => {
        if (isConflict(error)) later(1, action);
        else if (!isNotFound(error)) throw error;
      });
    }, delay);
    timers.add(cancel);
  };
  const started = new Set<string>();
  const stopping = new Set<string>();
  for await (const events of await api.client.resource(corev1.pods).watch({ signal })) {
    for (const { type, object: pod } of events) {
      const { uid = '', name, namespace = '', deletionTimestamp } = pod.metadata;
      if (type === 'DELETED') continue;
      const pods = api.client.resource(corev1.pods, namespace);
      if (deletionTimestamp !== undefined) {
        if (stopping.has(uid)) continue;
        stopping.add(uid);
        later(stopAfter, () => pods.delete(name, { gracePeriodSeconds: 0 }));
      } else if (!started.has(uid)) {
        started.add(uid);
        later(0, async () => {
          const target = { apiVersion: 'v1', kind: 'Node', name: targetNode(pod) ?? 'node-1' };
          await pods.createSubresource(name, 'binding', { metadata: { name }, target });
        });
        if (broken(pod)) continue;
        later(Math.max(1, readyAfter), async () => {
          const fresh = await pods.get(name);
          const lastTransitionTime = formatTime(clock.now());
          await pods.updateStatus({
            ...fresh,
            status: {
              ...fresh.status,
              phase: 'Running',
              conditions: [{ type: 'Ready', status: 'True', lastTransitionTime }],
            },
          });
        });
      }
    }
  }
}
