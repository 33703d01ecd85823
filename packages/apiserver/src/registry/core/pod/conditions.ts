import type { corev1, Draft } from '@k8ts/api';

/** Sets a condition of a pod's status; the transition time moves only with the status (podutil.UpdatePodCondition). */
export function setPodCondition(
  status: Draft<corev1.PodStatus>,
  condition: {
    readonly type: string;
    readonly status: string;
    readonly reason?: string;
    readonly message?: string;
  },
  now: number,
): void {
  const time = new Date(now).toISOString().replace(/\.\d+Z$/, 'Z');
  const conditions = status.conditions ?? [];
  const position = conditions.findIndex((other) => other.type === condition.type);
  const before = conditions[position];
  const lastTransitionTime =
    before !== undefined && before.status === condition.status ? (before.lastTransitionTime ?? time) : time;
  const after = { ...condition, lastTransitionTime } as Draft<corev1.PodCondition>;
  status.conditions =
    position < 0 ? [...conditions, after] : conditions.map((other, i) => (i === position ? after : other));
}
