import type { appsv1, corev1 } from '@k8ts/api';
import { scaledIntOrPercent } from '@k8ts/apimachinery';

import { isPodAvailable, isPodReady, isPodTerminating } from '../pod-state.ts';
import { firstOrdinal, isWanted, ordinalOf, revisionOf } from './identity.ts';

type Pod = corev1.Pod;

export interface StatefulState {
  readonly set: appsv1.StatefulSet;
  readonly pods: readonly Pod[];
  /** The revisions that pods are at, and are to come to; names of ControllerRevisions. */
  readonly current: string;
  readonly update: string;
  /** Milliseconds. */
  readonly now: number;
}

export type StatefulAction =
  | { readonly action: 'create'; readonly ordinal: number; readonly revision: string }
  /** `finished`: it failed or ended by itself, and is to be made anew. */
  | { readonly action: 'delete'; readonly ordinal: number; readonly pod: Pod; readonly finished: boolean }
  /** See that its claims exist and belong to whom they should, and that it has its labels. */
  | { readonly action: 'repair'; readonly ordinal: number; readonly pod: Pod };

/**
 * What to do next. With OrderedReady one thing at a time: ordinals come up from the lowest, each after the one before is
 * available, go away from the highest, and are updated from the highest. With Parallel scaling does not wait, updating does.
 */
export function planStatefulSet(state: StatefulState): StatefulAction[] {
  const { set } = state;
  const ordered = set.spec.podManagementPolicy !== 'Parallel';
  const byOrdinal = new Map<number, Pod>();
  for (const pod of state.pods) {
    const ordinal = ordinalOf(set, pod);
    if (ordinal !== undefined) byOrdinal.set(ordinal, pod);
  }
  const actions: StatefulAction[] = [];
  const start = firstOrdinal(set);
  for (let ordinal = start; isWanted(set, ordinal); ordinal++) {
    const pod = byOrdinal.get(ordinal);
    if (pod === undefined) {
      actions.push({ action: 'create', ordinal, revision: revisionFor(state, ordinal) });
      if (ordered) return actions;
      continue;
    }
    const phase = pod.status?.phase;
    if ((phase === 'Failed' || phase === 'Succeeded') && !isPodTerminating(pod)) {
      actions.push({ action: 'delete', ordinal, pod, finished: true });
      if (ordered) return actions;
      continue;
    }
    if (!isPodTerminating(pod)) actions.push({ action: 'repair', ordinal, pod });
    if (ordered && !isHealthy(pod, state)) return actions;
  }

  const condemned = [...byOrdinal].filter(([ordinal]) => !isWanted(set, ordinal)).sort(([a], [b]) => b - a);
  const firstUnhealthy = unhealthyFirst(state, byOrdinal, condemned);
  for (const [ordinal, pod] of condemned) {
    if (isPodTerminating(pod)) {
      if (ordered) return actions;
      continue;
    }
    // Going down while another one is ill would make two gone; the ill one itself may go.
    if (ordered && !isHealthy(pod, state) && pod !== firstUnhealthy) return actions;
    actions.push({ action: 'delete', ordinal, pod, finished: false });
    if (ordered) return actions;
  }
  if (actions.some(({ action }) => action !== 'repair') || set.spec.updateStrategy?.type === 'OnDelete')
    return actions;
  return [...actions, ...planUpdate(state, byOrdinal)];
}

/** From the highest ordinal to the partition: as many at a time as may be unavailable, one unless the set says otherwise. */
function planUpdate(state: StatefulState, byOrdinal: ReadonlyMap<number, Pod>): StatefulAction[] {
  const { set, update } = state;
  const { partition = 0, maxUnavailable = 1 } = set.spec.updateStrategy?.rollingUpdate ?? {};
  const replicas = set.spec.replicas ?? 1;
  const start = firstOrdinal(set);
  const allowed = Math.max(1, scaledIntOrPercent(maxUnavailable, replicas, false));
  let unavailable = 0;
  for (let ordinal = start; isWanted(set, ordinal); ordinal++) {
    const pod = byOrdinal.get(ordinal);
    if (pod === undefined || !isHealthy(pod, state)) unavailable++;
  }
  const actions: StatefulAction[] = [];
  for (let ordinal = start + replicas - 1; ordinal >= start + partition; ordinal--) {
    const pod = byOrdinal.get(ordinal);
    if (pod === undefined) return actions;
    if (revisionOf(pod) !== update && !isPodTerminating(pod)) {
      const counted = !isHealthy(pod, state); // replacing what is ill makes nothing worse
      if (!counted && unavailable >= allowed) return actions;
      actions.push({ action: 'delete', ordinal, pod, finished: false });
      if (!counted) unavailable++;
      if (unavailable >= allowed) return actions;
    } else if (!isHealthy(pod, state) && unavailable >= allowed) return actions;
  }
  return actions;
}

/** Below the partition new pods are of the current revision, so that an update stays where it was stopped. */
function revisionFor({ set, current, update }: StatefulState, ordinal: number): string {
  const { type, rollingUpdate } = set.spec.updateStrategy ?? {};
  if (type === 'OnDelete') return update;
  const boundary =
    rollingUpdate === undefined ? (set.status?.currentReplicas ?? 0) : (rollingUpdate.partition ?? 0);
  return ordinal < firstOrdinal(set) + boundary ? current : update;
}

function isRunningAndReady(pod: Pod): boolean {
  return pod.status?.phase === 'Running' && isPodReady(pod);
}

function isHealthy(pod: Pod, { set, now }: StatefulState): boolean {
  return (
    isRunningAndReady(pod) &&
    !isPodTerminating(pod) &&
    isPodAvailable(pod, set.spec.minReadySeconds ?? 0, now)
  );
}

function unhealthyFirst(
  state: StatefulState,
  byOrdinal: ReadonlyMap<number, Pod>,
  condemned: readonly (readonly [number, Pod])[],
): Pod | undefined {
  for (let ordinal = firstOrdinal(state.set); isWanted(state.set, ordinal); ordinal++) {
    const pod = byOrdinal.get(ordinal);
    if (pod === undefined || !isHealthy(pod, state)) return pod;
  }
  return [...condemned].reverse().find(([, pod]) => !isHealthy(pod, state))?.[1];
}

/** The status that the pods amount to; counts of ordinals and revisions as upstream's updateStatus makes them. */
export function statefulStatus(state: StatefulState): appsv1.StatefulSetStatus {
  const { set, pods, current, update, now } = state;
  const count = (holds: (pod: Pod) => boolean): number => pods.filter(holds).length;
  const replicas = count((pod) => pod.status?.phase !== undefined);
  const ready = count(isRunningAndReady);
  const updated = count((pod) => revisionOf(pod) === update && !isPodTerminating(pod));
  const wanted = set.spec.replicas ?? 1;
  // An update is complete when all are at its revision, and it becomes the current one.
  const complete =
    set.spec.updateStrategy?.type !== 'OnDelete' &&
    updated === wanted &&
    ready === wanted &&
    replicas === wanted;
  const its = complete ? update : current;
  const atCurrent = count((pod) => revisionOf(pod) === its && !isPodTerminating(pod));
  const { generation } = set.metadata;
  const { collisionCount, conditions } = set.status ?? {};
  const available = count(
    (pod) => isRunningAndReady(pod) && isPodAvailable(pod, set.spec.minReadySeconds ?? 0, now),
  );
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    replicas,
    ...(ready > 0 ? { readyReplicas: ready } : {}),
    ...(atCurrent > 0 ? { currentReplicas: atCurrent } : {}),
    ...(updated > 0 ? { updatedReplicas: updated } : {}),
    currentRevision: its,
    updateRevision: update,
    ...(collisionCount === undefined ? {} : { collisionCount }),
    ...(conditions === undefined ? {} : { conditions }),
    availableReplicas: available,
  };
}
