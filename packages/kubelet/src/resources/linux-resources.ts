import type { LinuxContainerResources } from '@k8ts/cri';

import { isCriticalPod, restartPolicy } from '../pod/pod-spec.ts';
import { podQos } from '../pod/qos.ts';
import type { Container, Pod } from '../pod/types.ts';
import { amounts, podAmounts } from './amounts.ts';

const MINIMUM_SHARES = 2;
const MAXIMUM_SHARES = 262_144;
const QUOTA_PERIOD = 100_000;
const MINIMUM_QUOTA = 1_000;
const GUARANTEED_OOM_SCORE = -997;
const BEST_EFFORT_OOM_SCORE = 1000;

/** cgroup v1 weight of so many milli-cores. */
export function cpuShares(milliCpu: number): number {
  if (milliCpu === 0) return MINIMUM_SHARES;
  return Math.min(Math.max(Math.floor((milliCpu * 1024) / 1000), MINIMUM_SHARES), MAXIMUM_SHARES);
}

/** Microseconds a period of 100 ms; undefined: no limit. */
export function cpuQuota(milliCpu: number): number | undefined {
  return milliCpu === 0 ? undefined : Math.max(Math.floor((milliCpu * QUOTA_PERIOD) / 1000), MINIMUM_QUOTA);
}

export const CPU_PERIOD: number = QUOTA_PERIOD;

/** The weight of cgroup v2 for v1 shares, by the formula of KEP-2254: 2 … 262144 becomes 1 … 10000. */
export function cpuWeight(shares: number): number {
  if (shares <= 0) return 0;
  return Math.min(Math.max(Math.floor(1 + ((shares - 2) * 9999) / 262_142), 1), 10_000);
}

/**
 * What the kernel sees first when memory runs out (pkg/kubelet/qos/policy.go): guaranteed pods last, best effort first,
 * the others the sooner the less of the node's memory they requested.
 */
export function oomScoreAdjust(pod: Pod, container: Container, memoryCapacity: number): number {
  if (isCriticalPod(pod)) return GUARANTEED_OOM_SCORE;
  switch (podQos(pod)) {
    case 'Guaranteed':
      return GUARANTEED_OOM_SCORE;
    case 'BestEffort':
      return BEST_EFFORT_OOM_SCORE;
    case 'Burstable': {
      const request = amounts(container.resources?.requests)['memory'] ?? 0;
      const score = 1000 - Math.floor((1000 * request) / memoryCapacity);
      if (score < 1000 + GUARANTEED_OOM_SCORE) return 1000 + GUARANTEED_OOM_SCORE;
      return score === BEST_EFFORT_OOM_SCORE ? score - 1 : score;
    }
  }
}

/** What a container may use. A request that is missing is the limit. */
export function containerResources(
  pod: Pod,
  container: Container,
  memoryCapacity: number,
): LinuxContainerResources {
  const requests = amounts(container.resources?.requests);
  const limits = amounts(container.resources?.limits);
  const quota = cpuQuota(limits['cpu'] ?? 0);
  const memory = limits['memory'] ?? 0;
  const hugepages = Object.entries(limits)
    .filter(([name]) => name.startsWith('hugepages-'))
    .map(([name, limit]) => ({ pageSize: name.slice('hugepages-'.length).replace(/i$/, 'B'), limit }));
  return {
    cpuShares: cpuShares(requests['cpu'] ?? limits['cpu'] ?? 0),
    ...(quota === undefined ? {} : { cpuPeriod: QUOTA_PERIOD, cpuQuota: quota }),
    ...(memory === 0 ? {} : { memoryLimitInBytes: memory }),
    ...(hugepages.length === 0 ? {} : { hugepageLimits: hugepages }),
    oomScoreAdj: oomScoreAdjust(pod, container, memoryCapacity),
  };
}

/** Limits of the whole pod's cgroup; a limit holds only when every container has one. */
export interface PodCgroupResources {
  readonly cpuShares: number;
  /** Microseconds a period; undefined: no limit. */
  readonly cpuQuota: number | undefined;
  /** Bytes; undefined: no limit. */
  readonly memoryLimit: number | undefined;
}

export function podCgroupResources(pod: Pod): PodCgroupResources {
  const requests = podAmounts(pod, 'requests');
  const limits = podAmounts(pod, 'limits');
  const everyLimits = (name: string): boolean =>
    pod.spec.resources?.limits?.[name] !== undefined ||
    [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].every(
      (container) => (amounts(container.resources?.limits)[name] ?? 0) > 0,
    );
  return {
    cpuShares: cpuShares(requests['cpu'] ?? limits['cpu'] ?? 0),
    cpuQuota: everyLimits('cpu') ? cpuQuota(limits['cpu'] ?? 0) : undefined,
    memoryLimit: everyLimits('memory') ? limits['memory'] : undefined,
  };
}

/** Whether a change of resources may be made to a running container, or needs a new one (resizePolicy). */
export function resizeNeedsRestart(pod: Pod, container: Container, resource: 'cpu' | 'memory'): boolean {
  if (restartPolicy(pod) === 'Never') return false;
  return (container.resizePolicy ?? []).some(
    (policy) => policy.resourceName === resource && policy.restartPolicy === 'RestartContainer',
  );
}
