import type { corev1 } from '@k8ts/api';

import { isPodActive, isPodReady, milliseconds, podCondition } from '../pod-state.ts';

const POD_DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost';

/**
 * The pods of which a set is rid first when it shrinks, best first (upstream's ActivePodsWithRanks):
 *
 * 1. not assigned to a node before assigned
 * 2. pending before unknown before running
 * 3. not ready before ready
 * 4. lower before higher deletion cost (annotation controller.kubernetes.io/pod-deletion-cost)
 * 5. on a node with more pods of the same workload (`related`) before one with fewer
 * 6. ready for a short time before ready for long
 * 7. more before fewer restarts
 * 8. younger before older
 *
 * Times are compared by their order of magnitude (logarithms to base two), and among equals the UID decides, so that not
 * always the youngest go (KEP-2185).
 */
export function rankForDeletion(
  pods: readonly corev1.Pod[],
  related: readonly corev1.Pod[],
  now: number,
): corev1.Pod[] {
  const onNode = new Map<string, number>();
  for (const pod of related) {
    if (!isPodActive(pod)) continue;
    const node = pod.spec.nodeName ?? '';
    onNode.set(node, (onNode.get(node) ?? 0) + 1);
  }
  return pods
    .map((pod) => facts(pod, onNode.get(pod.spec.nodeName ?? '') ?? 0))
    .sort((a, b) => compare(a, b, now))
    .map(({ pod }) => pod);
}

interface Facts {
  readonly pod: corev1.Pod;
  readonly assigned: boolean;
  readonly phase: number;
  readonly ready: boolean;
  readonly cost: number;
  readonly rank: number;
  readonly readySince: number | undefined;
  readonly restarts: number;
  readonly sidecarRestarts: number;
  readonly createdAt: number | undefined;
}

const PHASES: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 };

function facts(pod: corev1.Pod, rank: number): Facts {
  const ready = isPodReady(pod);
  const [restarts, sidecarRestarts] = maxRestarts(pod);
  return {
    pod,
    assigned: (pod.spec.nodeName ?? '') !== '',
    phase: PHASES[pod.status?.phase ?? ''] ?? 0,
    ready,
    cost: deletionCost(pod),
    rank,
    readySince: ready ? milliseconds(podCondition(pod, 'Ready')?.lastTransitionTime) : undefined,
    restarts,
    sidecarRestarts,
    createdAt: milliseconds(pod.metadata.creationTimestamp),
  };
}

/** A 32-bit integer without leading zeros or plus sign; anything else counts as 0 (the API refuses it). */
function deletionCost(pod: corev1.Pod): number {
  const text = pod.metadata.annotations?.[POD_DELETION_COST];
  if (text === undefined || !/^(0|-?[1-9]\d{0,9})$/.test(text)) return 0;
  const cost = Number(text);
  return cost >= -(2 ** 31) && cost < 2 ** 31 ? cost : 0;
}

function maxRestarts(pod: corev1.Pod): [regular: number, sidecars: number] {
  const sidecars = new Set(
    (pod.spec.initContainers ?? [])
      .filter(({ restartPolicy }) => restartPolicy === 'Always')
      .map(({ name }) => name),
  );
  const { containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {};
  return [
    Math.max(0, ...containerStatuses.map(({ restartCount }) => restartCount)),
    Math.max(
      0,
      ...initContainerStatuses
        .filter(({ name }) => sidecars.has(name))
        .map(({ restartCount }) => restartCount),
    ),
  ];
}

function compare(a: Facts, b: Facts, now: number): number {
  if (a.assigned !== b.assigned) return a.assigned ? 1 : -1;
  if (a.phase !== b.phase) return a.phase - b.phase;
  if (a.ready !== b.ready) return a.ready ? 1 : -1;
  if (a.cost !== b.cost) return a.cost - b.cost;
  if (a.rank !== b.rank) return b.rank - a.rank;
  if (a.ready && a.readySince !== b.readySince) return compareAges(a, b, a.readySince, b.readySince, now);
  if (a.restarts !== b.restarts) return b.restarts - a.restarts;
  if (a.sidecarRestarts !== b.sidecarRestarts) return b.sidecarRestarts - a.sidecarRestarts;
  if (a.createdAt !== b.createdAt) return compareAges(a, b, a.createdAt, b.createdAt, now);
  return 0;
}

/** An unknown time counts as the youngest. */
function compareAges(
  a: Facts,
  b: Facts,
  aSince: number | undefined,
  bSince: number | undefined,
  now: number,
): number {
  if (aSince === undefined || bSince === undefined)
    return (bSince ?? Infinity) > (aSince ?? Infinity) ? 1 : -1;
  const difference = magnitude(now - aSince) - magnitude(now - bSince);
  if (difference !== 0) return difference;
  const [aUid, bUid] = [a.pod.metadata.uid ?? '', b.pod.metadata.uid ?? ''];
  return aUid < bUid ? -1 : aUid > bUid ? 1 : 0;
}

/** The logarithm of an age in nanoseconds, as upstream counts. */
function magnitude(age: number): number {
  return age <= 0 ? -1 : Math.trunc(Math.log2(age * 1e6));
}
