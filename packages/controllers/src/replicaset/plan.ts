import type { appsv1, corev1 } from '@k8ts/api';
import { formatTime, matchesLabels, selectorFromLabels } from '@k8ts/apimachinery';

import { isPodAvailable, isPodReady, milliseconds, podCondition } from '../pod-state.ts';
import { rankForDeletion } from './pod-ranking.ts';

/** At most this many pods are made or deleted at a time; the rest follows once the cache has caught up. */
const BURST_REPLICAS = 500;

/** A ReplicaSet or a ReplicationController: what they have in common. */
export interface ReplicaOwner {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: appsv1.ReplicaSet['metadata'];
  readonly spec: {
    readonly replicas?: number;
    readonly minReadySeconds?: number;
    readonly template?: corev1.PodTemplateSpec;
  };
  readonly status?: appsv1.ReplicaSetStatus;
}

export type ReplicaPlan =
  | { readonly action: 'none' }
  | { readonly action: 'create'; readonly count: number }
  | { readonly action: 'delete'; readonly pods: readonly corev1.Pod[] };

/** What to do so that as many pods run as wanted. `active` are the owner's, `related` those of its siblings too. */
export function planReplicas(
  owner: ReplicaOwner,
  active: readonly corev1.Pod[],
  related: () => readonly corev1.Pod[],
  now: number,
): ReplicaPlan {
  const difference = active.length - (owner.spec.replicas ?? 1);
  if (difference === 0) return { action: 'none' };
  if (difference < 0) return { action: 'create', count: Math.min(-difference, BURST_REPLICAS) };
  const count = Math.min(difference, BURST_REPLICAS);
  // All have to go: the order does not matter.
  const order = count === active.length ? active : rankForDeletion(active, related(), now);
  return { action: 'delete', pods: order.slice(0, count) };
}

/** The status for what is seen. `failure` is why pods could not be made or deleted. */
export function replicaStatus(
  owner: ReplicaOwner,
  active: readonly corev1.Pod[],
  terminating: readonly corev1.Pod[],
  failure: string | undefined,
  now: number,
): appsv1.ReplicaSetStatus {
  const templateLabels = selectorFromLabels(owner.spec.template?.metadata?.labels ?? {});
  const minReadySeconds = owner.spec.minReadySeconds ?? 0;
  let labeled = 0;
  let ready = 0;
  let available = 0;
  for (const pod of active) {
    if (matchesLabels(templateLabels, pod.metadata.labels)) labeled++;
    if (!isPodReady(pod)) continue;
    ready++;
    if (isPodAvailable(pod, minReadySeconds, now)) available++;
  }
  const conditions = failureConditions(owner, active.length, failure, now);
  return {
    replicas: active.length,
    ...(labeled > 0 ? { fullyLabeledReplicas: labeled } : {}),
    ...(ready > 0 ? { readyReplicas: ready } : {}),
    ...(available > 0 ? { availableReplicas: available } : {}),
    ...(isReplicaSet(owner) ? { terminatingReplicas: terminating.length } : {}),
    ...(owner.metadata.generation === undefined ? {} : { observedGeneration: owner.metadata.generation }),
    ...(conditions.length > 0 ? { conditions } : {}),
  };
}

/** ReplicationControllers have no such field. */
function isReplicaSet({ kind }: ReplicaOwner): boolean {
  return kind !== 'ReplicationController';
}

function failureConditions(
  owner: ReplicaOwner,
  replicas: number,
  failure: string | undefined,
  now: number,
): readonly appsv1.ReplicaSetCondition[] {
  const current = owner.status?.conditions ?? [];
  const failed = current.some(({ type }) => type === 'ReplicaFailure');
  if (failure === undefined)
    return failed ? current.filter(({ type }) => type !== 'ReplicaFailure') : current;
  if (failed) return current; // the first reason stays until it is over
  const reason = replicas < (owner.spec.replicas ?? 1) ? 'FailedCreate' : 'FailedDelete';
  return [
    ...current,
    { type: 'ReplicaFailure', status: 'True', lastTransitionTime: formatTime(now), reason, message: failure },
  ];
}

/** Milliseconds until the next ready pod has been ready long enough; undefined when none is on its way. */
export function nextAvailability(
  active: readonly corev1.Pod[],
  minReadySeconds: number,
  now: number,
): number | undefined {
  if (minReadySeconds === 0) return undefined;
  let next: number | undefined;
  for (const pod of active) {
    const ready = podCondition(pod, 'Ready');
    const since = ready?.status === 'True' ? milliseconds(ready.lastTransitionTime) : undefined;
    if (since === undefined) continue;
    const left = since + minReadySeconds * 1000 - now;
    if (left > 0 && (next === undefined || left < next)) next = left;
  }
  return next;
}
