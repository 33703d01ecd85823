import { formatTime, jsonEqual } from '@k8ts/apimachinery';

import { KUBELET_CONDITIONS } from './pod/conditions.ts';
import type { PodCondition, PodStatus } from './pod/types.ts';

/**
 * Gives a fresh status its times: a condition keeps its last transition while its value stays, a pod its first start. When
 * nothing else changed the result equals `previous`.
 */
export function stampStatus(status: PodStatus, previous: PodStatus | undefined, now: number): PodStatus {
  const conditions = (status.conditions ?? []).map((condition): PodCondition => {
    if (!KUBELET_CONDITIONS.has(condition.type) && condition.lastTransitionTime !== undefined)
      return condition;
    const before = previous?.conditions?.find(({ type }) => type === condition.type);
    const unchanged = before?.status === condition.status && before.lastTransitionTime !== undefined;
    return {
      ...condition,
      lastTransitionTime: unchanged ? before.lastTransitionTime : formatTime(now),
    };
  });
  return {
    ...status,
    conditions,
    startTime: previous?.startTime ?? status.startTime ?? formatTime(now),
  };
}

/** Fields that the kubelet writes and takes away again; others in the API's status are not its own. */
const OWN_FIELDS = [
  'observedGeneration',
  'phase',
  'message',
  'reason',
  'hostIP',
  'hostIPs',
  'podIP',
  'podIPs',
  'startTime',
  'qosClass',
  'initContainerStatuses',
  'containerStatuses',
  'ephemeralContainerStatuses',
] as const;

/**
 * The strategic merge patch that turns `current` (the API's) into `wanted`; undefined when nothing differs. Conditions are
 * merged by type, so those of others (readiness gates) survive a race; pod addresses have a merge key too and are replaced
 * whole when they change.
 */
export function statusPatch(
  current: PodStatus,
  wanted: PodStatus,
  uid: string,
): { metadata: { uid: string }; status: Record<string, unknown> } | undefined {
  const patch: Record<string, unknown> = {};
  for (const field of OWN_FIELDS) {
    const before = current[field];
    const after = wanted[field];
    if (jsonEqual(before, after)) continue;
    if (after === undefined) patch[field] = null;
    else if (field === 'podIPs' && Array.isArray(before) && before.length > 0)
      patch[field] = [...(after as readonly object[]), { $patch: 'replace' }];
    else patch[field] = after;
  }
  const changed = (wanted.conditions ?? []).flatMap((condition) => {
    const before = current.conditions?.find(({ type }) => type === condition.type);
    if (jsonEqual(condition, before)) return [];
    // A merge keeps what the patch does not name: `{type: Ready, status: "True"}` alone would leave the old reason.
    const gone = Object.keys(before ?? {}).filter((field) => !Object.hasOwn(condition, field));
    return [{ ...condition, ...Object.fromEntries(gone.map((field) => [field, null])) }];
  });
  const lost = (current.conditions ?? []).flatMap(({ type }) =>
    KUBELET_CONDITIONS.has(type) && !wanted.conditions?.some((condition) => condition.type === type)
      ? [{ type, $patch: 'delete' }]
      : [],
  );
  if (changed.length + lost.length > 0) patch['conditions'] = [...changed, ...lost];
  return Object.keys(patch).length === 0 ? undefined : { metadata: { uid }, status: patch };
}
