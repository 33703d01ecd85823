import type { corev1 } from '@k8ts/api';
import { parseTime } from '@k8ts/apimachinery';

/** Facts about pods that several controllers ask for (k8s.io/kubernetes/pkg/api/v1/pod, pkg/controller/controller_utils.go). */

export function podCondition(pod: corev1.Pod, type: string): corev1.PodCondition | undefined {
  const conditions = pod.status?.conditions;
  if (conditions === undefined) return undefined;
  // A set counts its ready pods at every change of one of them: a loop, since a closure for each pod shows in profiles.
  for (const condition of conditions) if (condition.type === type) return condition;
  return undefined;
}

export function isPodReady(pod: corev1.Pod): boolean {
  return podCondition(pod, 'Ready')?.status === 'True';
}

export function isPodTerminal(pod: corev1.Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

export function isPodTerminating(pod: corev1.Pod): boolean {
  return pod.metadata.deletionTimestamp !== undefined;
}

/** Neither finished nor being deleted: it counts towards a workload's replicas. */
export function isPodActive(pod: corev1.Pod): boolean {
  return !isPodTerminal(pod) && !isPodTerminating(pod);
}

/** Ready, and has been for `minReadySeconds`. `now` in milliseconds. */
export function isPodAvailable(pod: corev1.Pod, minReadySeconds: number, now: number): boolean {
  const ready = podCondition(pod, 'Ready');
  if (ready?.status !== 'True') return false;
  if (minReadySeconds === 0) return true;
  const since = milliseconds(ready.lastTransitionTime);
  return since !== undefined && since + minReadySeconds * 1000 <= now;
}

/** Milliseconds since the epoch; undefined for an absent or unreadable time. */
export function milliseconds(time: string | undefined): number | undefined {
  if (time === undefined) return undefined;
  try {
    return parseTime(time);
  } catch {
    return undefined;
  }
}
