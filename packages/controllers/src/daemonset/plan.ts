import type { appsv1, corev1 } from '@k8ts/api';
import { scaledIntOrPercent } from '@k8ts/apimachinery';

import { REVISION_HASH } from '../controller-revisions.ts';
import { isPodAvailable, isPodReady, isPodTerminating } from '../pod-state.ts';
import { isUpdated, judgeNode, targetNode, templateGeneration } from './daemon-pods.ts';

type Pod = corev1.Pod;

export interface DaemonState {
  readonly daemonSet: appsv1.DaemonSet;
  readonly nodes: readonly corev1.Node[];
  /** Its pods by the node they are on or meant for. */
  readonly podsByNode: ReadonlyMap<string, readonly Pod[]>;
  /** Of the present template. */
  readonly hash: string;
  /** Milliseconds. */
  readonly now: number;
}

export interface DaemonPlan {
  /** Nodes on which a pod is to be made. */
  readonly create: readonly string[];
  readonly delete: readonly Pod[];
}

/** Finished pods that have to make room; whether a failed one may be deleted yet is up to its back-off. */
export interface FinishedPods {
  readonly failed: readonly Pod[];
  readonly succeeded: readonly Pod[];
}

export function groupByNode(pods: readonly Pod[]): Map<string, Pod[]> {
  const groups = new Map<string, Pod[]>();
  for (const pod of pods) {
    const node = targetNode(pod);
    if (node === undefined) continue;
    const group = groups.get(node);
    if (group === undefined) groups.set(node, [pod]);
    else group.push(pod);
  }
  return groups;
}

/** One pod on every node that should have one, and none elsewhere; versions do not matter here, but see surging. */
export function planPlacement(state: DaemonState): DaemonPlan & { readonly finished: FinishedPods } {
  const create: string[] = [];
  const remove: Pod[] = [];
  const finished = { failed: [] as Pod[], succeeded: [] as Pod[] };
  const known = new Set<string>();
  const surge = allowsSurge(state.daemonSet);
  for (const node of state.nodes) {
    const { name } = node.metadata;
    known.add(name);
    const pods = state.podsByNode.get(name) ?? [];
    const { shouldRun, shouldContinue } = judgeNode(state.daemonSet, node);
    if (!shouldContinue) {
      remove.push(...pods.filter((pod) => !isPodTerminating(pod)));
      continue;
    }
    if (pods.length === 0) {
      if (shouldRun) create.push(name);
      continue;
    }
    const running: Pod[] = [];
    for (const pod of pods) {
      if (isPodTerminating(pod)) continue;
      if (pod.status?.phase === 'Failed') finished.failed.push(pod);
      else if (pod.status?.phase === 'Succeeded') finished.succeeded.push(pod);
      else running.push(pod);
    }
    running.sort(scheduledThenOldest);
    if (!surge) remove.push(...running.slice(1));
    else if (running.length === 0) {
      if (shouldRun) create.push(name);
    } else remove.push(...surplus(running, state));
  }
  // Pods for nodes that are gone were never bound, so the pod garbage collector does not see them.
  for (const [node, pods] of state.podsByNode)
    if (!known.has(node)) remove.push(...pods.filter(({ spec }) => !spec.nodeName));
  return { create, delete: remove, finished };
}

/**
 * With surging, two may be on a node while the new one is on its way: the oldest of each version. The old one goes as soon as
 * it is no longer ready, or the new one has become available.
 */
function surplus(running: readonly Pod[], { daemonSet, hash, now }: DaemonState): Pod[] {
  const { minReadySeconds = 0 } = daemonSet.spec;
  const isNew = ({ metadata }: Pod): boolean => metadata.labels?.[REVISION_HASH] === hash;
  const newest = running.find(isNew);
  const oldest = running.find((pod) => !isNew(pod));
  const rest = running.filter((pod) => pod !== newest && pod !== oldest);
  const done =
    newest !== undefined &&
    oldest !== undefined &&
    (!isPodReady(oldest) || isPodAvailable(newest, minReadySeconds, now));
  return done ? [...rest, oldest] : rest;
}

function scheduledThenOldest(a: Pod, b: Pod): number {
  if (Boolean(a.spec.nodeName) !== Boolean(b.spec.nodeName)) return a.spec.nodeName ? -1 : 1;
  const [aTime = '', bTime = ''] = [a.metadata.creationTimestamp, b.metadata.creationTimestamp];
  if (aTime !== bTime) return aTime < bTime ? -1 : 1;
  return a.metadata.name < b.metadata.name ? -1 : 1;
}

function allowsSurge(daemonSet: appsv1.DaemonSet): boolean {
  return isRolling(daemonSet) && limits(daemonSet, 100).surge > 0;
}

export function isRolling({ spec }: appsv1.DaemonSet): boolean {
  return spec.updateStrategy?.type !== 'OnDelete';
}

function limits(
  { spec }: appsv1.DaemonSet,
  desired: number,
): { readonly surge: number; readonly unavailable: number } {
  const { maxSurge = 0, maxUnavailable = 0 } = spec.updateStrategy?.rollingUpdate ?? {};
  const surge = scaledIntOrPercent(maxSurge, desired, true);
  const unavailable = scaledIntOrPercent(maxUnavailable, desired, true);
  return surge === 0 && unavailable === 0 ? { surge, unavailable: 1 } : { surge, unavailable };
}

/**
 * The next step towards the present template. Without surging old pods are deleted, as many as may be missing; placement
 * makes the new ones. With surging new pods are made beside old ones, and old ones go when the new are available.
 */
export function planRollingUpdate(state: DaemonState): DaemonPlan {
  const { daemonSet, nodes, now } = state;
  const { minReadySeconds = 0 } = daemonSet.spec;
  const wanted = nodes.filter((node) => judgeNode(daemonSet, node).shouldRun);
  const { surge, unavailable } = limits(daemonSet, wanted.length);
  const isAvailable = (pod: Pod): boolean => isPodAvailable(pod, minReadySeconds, now);

  const names = new Set([...state.podsByNode.keys(), ...wanted.map(({ metadata }) => metadata.name)]);
  const replaceNow: { node: string; pod: Pod }[] = [];
  const candidates: { node: string; pod: Pod }[] = [];
  const superseded: Pod[] = [];
  let busy = 0; // unavailable nodes, or with surging nodes that have a new pod on its way
  for (const node of names) {
    const versions = versionsOn(state, node);
    if (versions === undefined) {
      busy++; // more than one of a version: placement cleans up first
      continue;
    }
    const { newPod, oldPod } = versions;
    if (surge > 0) {
      if (oldPod === undefined) continue;
      if (newPod === undefined) (isAvailable(oldPod) ? candidates : replaceNow).push({ node, pod: oldPod });
      else if (isAvailable(newPod)) superseded.push(oldPod);
      else busy++;
    } else if (newPod === undefined && oldPod !== undefined) {
      if (isAvailable(oldPod)) candidates.push({ node, pod: oldPod });
      else {
        replaceNow.push({ node, pod: oldPod });
        busy++;
      }
    } else if (newPod === undefined || oldPod !== undefined || !isAvailable(newPod)) busy++;
  }
  const room = Math.max(0, (surge > 0 ? surge : unavailable) - busy);
  const chosen = [...replaceNow, ...candidates.slice(0, room)];
  return surge > 0
    ? { create: chosen.map(({ node }) => node), delete: superseded }
    : { create: [], delete: chosen.map(({ pod }) => pod) };
}

function versionsOn(
  { daemonSet, podsByNode, hash }: DaemonState,
  node: string,
): { readonly newPod: Pod | undefined; readonly oldPod: Pod | undefined } | undefined {
  const generation = templateGeneration(daemonSet);
  const living = (podsByNode.get(node) ?? []).filter((pod) => !isPodTerminating(pod));
  const newPods = living.filter((pod) => isUpdated(pod, hash, generation));
  const oldPods = living.filter((pod) => !newPods.includes(pod));
  return newPods.length > 1 || oldPods.length > 1 ? undefined : { newPod: newPods[0], oldPod: oldPods[0] };
}

/** `observed`: this generation has been acted on. */
export function daemonStatus(state: DaemonState, observed: boolean): appsv1.DaemonSetStatus {
  const { daemonSet, nodes, podsByNode, hash, now } = state;
  const { minReadySeconds = 0 } = daemonSet.spec;
  const generation = templateGeneration(daemonSet);
  const count = { desired: 0, current: 0, misscheduled: 0, ready: 0, updated: 0, available: 0 };
  for (const node of nodes) {
    const pods = podsByNode.get(node.metadata.name) ?? [];
    if (!judgeNode(daemonSet, node).shouldRun) {
      if (pods.length > 0) count.misscheduled++;
      continue;
    }
    count.desired++;
    const [pod] = [...pods].sort(scheduledThenOldest);
    if (pod === undefined) continue;
    count.current++;
    if (isPodReady(pod)) count.ready++;
    if (isPodAvailable(pod, minReadySeconds, now)) count.available++;
    if (isUpdated(pod, hash, generation)) count.updated++;
  }
  const unavailable = count.desired - count.available;
  const { observedGeneration, collisionCount, conditions } = daemonSet.status ?? {};
  const acted = observed ? daemonSet.metadata.generation : observedGeneration;
  return {
    currentNumberScheduled: count.current,
    numberMisscheduled: count.misscheduled,
    desiredNumberScheduled: count.desired,
    numberReady: count.ready,
    ...(acted === undefined ? {} : { observedGeneration: acted }),
    ...(count.updated > 0 ? { updatedNumberScheduled: count.updated } : {}),
    ...(count.available > 0 ? { numberAvailable: count.available } : {}),
    ...(unavailable > 0 ? { numberUnavailable: unavailable } : {}),
    ...(collisionCount === undefined ? {} : { collisionCount }),
    ...(conditions === undefined ? {} : { conditions }),
  };
}
