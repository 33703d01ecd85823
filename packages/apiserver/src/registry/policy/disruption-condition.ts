import type { Draft, policyv1 } from '@k8ts/api';
import { formatTime } from '@k8ts/apimachinery';

/** Says whether pods may be disrupted, as the counts do (pdbhelper.UpdateDisruptionAllowedCondition). */
export function updateDisruptionAllowed(
  status: Draft<policyv1.PodDisruptionBudgetStatus>,
  now: number,
): void {
  const allowed = (status.disruptionsAllowed ?? 0) > 0;
  const conditions = status.conditions ?? [];
  const position = conditions.findIndex(({ type }) => type === 'DisruptionAllowed');
  const before = conditions[position];
  const value = allowed ? 'True' : 'False';
  const condition = {
    type: 'DisruptionAllowed',
    status: value,
    ...(status.observedGeneration === undefined ? {} : { observedGeneration: status.observedGeneration }),
    lastTransitionTime: before?.status === value ? before.lastTransitionTime : formatTime(now),
    reason: allowed ? 'SufficientPods' : 'InsufficientPods',
    message: '',
  };
  status.conditions =
    position < 0
      ? [...conditions, condition]
      : conditions.map((other, i) => (i === position ? condition : other));
}
