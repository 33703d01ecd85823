import type { Metrics } from '@k8ts/base';

import { podUid } from './pod/pod-spec.ts';
import type { PodWorkers } from './pod/pod-workers.ts';
import type { RuntimeCache } from './pod/runtime-cache.ts';

/** The kubelet's own figures under upstream's names (pkg/kubelet/metrics); `collect` brings them up to date. */
export interface KubeletMetrics {
  collect(): void;
}

const STATES = {
  CONTAINER_CREATED: 'created',
  CONTAINER_RUNNING: 'running',
  CONTAINER_EXITED: 'exited',
  CONTAINER_UNKNOWN: 'unknown',
} as const;

export function createKubeletMetrics(
  metrics: Metrics,
  nodeName: string,
  workers: PodWorkers,
  runtimeCache: RuntimeCache,
): KubeletMetrics {
  const pods = metrics.gauge({
    name: 'kubelet_running_pods',
    help: 'Number of pods that have a running pod sandbox',
  });
  const containers = metrics.gauge({
    name: 'kubelet_running_containers',
    help: 'Number of containers currently running',
    labels: ['container_state'],
  });
  const desired = metrics.gauge({
    name: 'kubelet_active_pods',
    help: 'The number of pods the kubelet considers active and which are being considered when admitting new pods.',
    labels: ['static'],
  });
  metrics
    .gauge({ name: 'kubelet_node_name', help: "The node's name. The count is always 1.", labels: ['node'] })
    .set(1, [nodeName]);
  return {
    collect() {
      let running = 0;
      const counts: Record<string, number> = { created: 0, running: 0, exited: 0, unknown: 0 };
      for (const pod of workers.pods()) {
        const state = runtimeCache.peek(podUid(pod));
        if (state.sandboxes.some((sandbox) => sandbox.state === 'SANDBOX_READY')) running++;
        for (const container of state.containers) {
          const name = STATES[container.state];
          counts[name] = (counts[name] ?? 0) + 1;
        }
      }
      pods.set(running);
      for (const [state, count] of Object.entries(counts)) containers.set(count, [state]);
      const active = workers.active();
      const fixed = active.filter(
        ({ metadata }) => metadata.annotations?.['kubernetes.io/config.source'] === 'file',
      ).length;
      desired.set(fixed, ['true']);
      desired.set(active.length - fixed, ['false']);
    },
  };
}
