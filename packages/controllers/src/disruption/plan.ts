import type { corev1, metav1, policyv1 } from '@k8ts/api';
import { formatTime, scaledIntOrPercent } from '@k8ts/apimachinery';

import { isPodReady, isPodTerminal, isPodTerminating, milliseconds, podCondition } from '../pod-state.ts';

/** An eviction that was allowed should have led to a deletion by then; otherwise it no longer counts. */
const DELETION_TIMEOUT = 2 * 60_000;
/** A pod that says it is about to be disrupted and that nobody deletes is believed this long. */
const STALE_DISRUPTION_TIMEOUT = 2 * 60_000;

type Budget = policyv1.PodDisruptionBudget;
type Status = policyv1.PodDisruptionBudgetStatus;

/** How many pods there should be, and how many of them must be healthy. */
export interface Expectation {
  readonly expected: number;
  readonly desired: number;
}

/** Whether the budget is a share of what its pods' controllers want, so that these have to be asked. */
export function needsScale({ minAvailable, maxUnavailable }: policyv1.PodDisruptionBudgetSpec): boolean {
  return maxUnavailable !== undefined || typeof minAvailable === 'string';
}

/** `scale` is what the pods' controllers want; it counts where `needsScale`. Throws Error for what is no percentage. */
export function expectationOf(
  { minAvailable, maxUnavailable }: policyv1.PodDisruptionBudgetSpec,
  podCount: number,
  scale: number,
): Expectation {
  if (maxUnavailable !== undefined)
    return { expected: scale, desired: Math.max(0, scale - scaledIntOrPercent(maxUnavailable, scale, true)) };
  if (typeof minAvailable === 'string')
    return { expected: scale, desired: scaledIntOrPercent(minAvailable, scale, true) };
  return minAvailable === undefined
    ? { expected: 0, desired: 0 }
    : { expected: podCount, desired: minAvailable };
}

export interface BudgetPlan {
  readonly status: Status;
  /** Milliseconds until an eviction that was allowed and did not happen ceases to count. */
  readonly recheckAfter: number | undefined;
  /** Pods whose eviction was allowed, and that were not deleted. */
  readonly notDeleted: readonly corev1.Pod[];
}

export function planBudget(
  budget: Budget,
  pods: readonly corev1.Pod[],
  { expected, desired }: Expectation,
  now: number,
): BudgetPlan {
  const { disrupted, recheckAfter, notDeleted } = disruptedPods(budget, pods, now);
  const healthy = pods.filter(
    (pod) => !isPodTerminating(pod) && disrupted[pod.metadata.name] === undefined && isPodReady(pod),
  ).length;
  const spare = healthy - desired;
  const generation = budget.metadata.generation;
  const counts = {
    currentHealthy: healthy,
    desiredHealthy: desired,
    expectedPods: expected,
    // Without pods nothing is allowed: the first may appear before this is computed again.
    disruptionsAllowed: expected <= 0 || spare <= 0 ? 0 : spare,
    ...(Object.keys(disrupted).length > 0 ? { disruptedPods: disrupted } : {}),
    ...(generation === undefined ? {} : { observedGeneration: generation }),
  };
  const allowed = counts.disruptionsAllowed > 0;
  const condition = {
    status: allowed ? 'True' : 'False',
    reason: allowed ? 'SufficientPods' : 'InsufficientPods',
    message: '',
    ...(generation === undefined ? {} : { observedGeneration: generation }),
  } as const;
  return {
    status: { ...counts, conditions: withDisruptionAllowed(budget, condition, now) },
    recheckAfter,
    notDeleted,
  };
}

/** The status when nothing can be said: no disruption is allowed until it can. */
export function failedStatus(budget: Budget, message: string, now: number): Status {
  const observed = budget.status?.observedGeneration;
  return {
    currentHealthy: 0,
    desiredHealthy: 0,
    expectedPods: 0,
    ...budget.status,
    disruptionsAllowed: 0,
    conditions: withDisruptionAllowed(
      budget,
      {
        status: 'False',
        reason: 'SyncFailed',
        message,
        ...(observed === undefined ? {} : { observedGeneration: observed }),
      },
      now,
    ),
  };
}

/** Evictions that were allowed and whose pods are still there, unmarked. */
function disruptedPods(
  { status }: Budget,
  pods: readonly corev1.Pod[],
  now: number,
): Pick<BudgetPlan, 'recheckAfter' | 'notDeleted'> & {
  readonly disrupted: Readonly<Record<string, string>>;
} {
  const disrupted: Record<string, string> = {};
  const notDeleted: corev1.Pod[] = [];
  let recheckAfter: number | undefined;
  for (const pod of pods) {
    const since = status?.disruptedPods?.[pod.metadata.name];
    if (since === undefined || isPodTerminating(pod)) continue;
    const left = (milliseconds(since) ?? 0) + DELETION_TIMEOUT - now;
    if (left < 0) {
      notDeleted.push(pod);
      continue;
    }
    disrupted[pod.metadata.name] = since;
    // A millisecond more: at the time itself it still counts.
    recheckAfter = Math.min(recheckAfter ?? Infinity, left + 1);
  }
  return { disrupted, recheckAfter, notDeleted };
}

function withDisruptionAllowed(
  { status }: Budget,
  change: Omit<metav1.Condition, 'type' | 'lastTransitionTime'>,
  now: number,
): readonly metav1.Condition[] {
  const type = 'DisruptionAllowed';
  const conditions = status?.conditions ?? [];
  const before = conditions.find((condition) => condition.type === type);
  const lastTransitionTime = before?.status === change.status ? before.lastTransitionTime : formatTime(now);
  const next = { type, ...change, lastTransitionTime };
  return before === undefined
    ? [...conditions, next]
    : conditions.map((condition) => (condition === before ? next : condition));
}

/**
 * Milliseconds until a pod's announced disruption is no longer believed, 0 when it is not; undefined for a pod without
 * one. What a kubelet announces is always believed, for the pod may take long to stop.
 */
export function staleDisruptionIn(pod: corev1.Pod, now: number): number | undefined {
  if (isPodTerminating(pod) || isPodTerminal(pod)) return undefined;
  const condition = podCondition(pod, 'DisruptionTarget');
  if (condition?.status !== 'True' || condition.reason === 'TerminationByKubelet') return undefined;
  const since = milliseconds(condition.lastTransitionTime) ?? 0;
  return Math.max(0, since + STALE_DISRUPTION_TIMEOUT - now);
}

/** The pod without its disruption. */
export function withoutDisruption(pod: corev1.Pod, now: number): corev1.Pod {
  const { generation } = pod.metadata;
  const cleared: corev1.PodCondition = {
    type: 'DisruptionTarget',
    status: 'False',
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    lastTransitionTime: formatTime(now),
  };
  const conditions = (pod.status?.conditions ?? []).map((condition) =>
    condition.type === 'DisruptionTarget' ? cleared : condition,
  );
  return { ...pod, status: { ...pod.status, conditions } };
}
