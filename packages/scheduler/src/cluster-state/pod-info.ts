import type { corev1 } from '@k8ts/api';
import type { PlacedPod } from './pod-counters.ts';
import { podRequests } from './pod-resources.ts';
import type { ResourceAmounts } from './pod-resources.ts';

/** A pod as it is counted on a node. */
export interface PodInfo extends PlacedPod {
  /** As it was when it was counted. */
  readonly pod: corev1.Pod;
  readonly priority: number;
  readonly requests: ResourceAmounts;
  readonly nonZero: ResourceAmounts;
  readonly ports: readonly string[];
  /** `namespace/name` of the claims that its volumes name. */
  readonly claims: readonly string[];
  /** What `AntiAffinityTerms.register` gave for it. */
  readonly terms: readonly string[];
  /** As it was seen last. */
  latest: corev1.Pod;
  /** Milliseconds since the epoch; Infinity for a pod that has not started, which upstream takes as now. */
  startTime: number;
}

export function podInfo(pod: corev1.Pod, node: number, terms: readonly string[]): PodInfo {
  return {
    node,
    namespace: pod.metadata.namespace ?? '',
    labels: pod.metadata.labels,
    pod,
    priority: podPriority(pod),
    requests: podRequests(pod.spec),
    nonZero: podRequests(pod.spec, true),
    ports: hostPortsOf(pod),
    claims: claimKeysOf(pod),
    terms,
    latest: pod,
    startTime: startTimeOf(pod),
  };
}

const NO_CLAIMS: readonly string[] = [];

export function claimKeysOf({ metadata, spec: { volumes } }: corev1.Pod): readonly string[] {
  let keys: string[] | undefined;
  for (const { persistentVolumeClaim } of volumes ?? [])
    if (persistentVolumeClaim !== undefined)
      (keys ??= []).push(`${metadata.namespace ?? ''}/${persistentVolumeClaim.claimName}`);
  return keys ?? NO_CLAIMS;
}

export function podPriority({ spec }: corev1.Pod): number {
  return spec.priority ?? 0;
}

export function startTimeOf({ status }: corev1.Pod): number {
  return status?.startTime === undefined ? Infinity : Date.parse(status.startTime);
}

export function uidOf(pod: corev1.Pod): string {
  return pod.metadata.uid ?? `${pod.metadata.namespace ?? ''}/${pod.metadata.name ?? ''}`;
}

/** `TCP/0.0.0.0/80` for each port of the node that the pod takes. */
export function hostPortsOf({ spec }: corev1.Pod): readonly string[] {
  const ports: string[] = [];
  const sidecars = (spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  for (const container of [...spec.containers, ...sidecars])
    for (const { hostPort, protocol, hostIP } of container.ports ?? [])
      if (hostPort !== undefined && hostPort > 0)
        ports.push(
          `${protocol ?? 'TCP'}/${hostIP === undefined || hostIP === '' ? '0.0.0.0' : hostIP}/${String(hostPort)}`,
        );
  return ports;
}
