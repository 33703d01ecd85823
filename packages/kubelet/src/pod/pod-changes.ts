import { jsonEqual } from '@k8ts/apimachinery';

import { KUBELET_CONDITIONS } from './conditions.ts';
import { isTerminalPhase } from './pod-spec.ts';
import type { Pod } from './types.ts';

/**
 * Whether an update of a pod gives the kubelet something to do. Its own status writes come back as updates too; those are
 * nothing new (podsDifferSemantically in pkg/kubelet/config/config.go). Conditions of others count: they may be readiness
 * gates.
 */
export function podChanged(before: Pod, after: Pod): boolean {
  const { metadata: old } = before;
  const { metadata } = after;
  if (
    old.deletionTimestamp !== metadata.deletionTimestamp ||
    old.deletionGracePeriodSeconds !== metadata.deletionGracePeriodSeconds ||
    !jsonEqual(old.labels, metadata.labels) ||
    !jsonEqual(old.annotations, metadata.annotations)
  )
    return true;
  // The generation counts the changes of the spec; objects of old servers have none.
  const sameSpec =
    old.generation !== undefined && old.generation === metadata.generation
      ? true
      : jsonEqual(before.spec, after.spec);
  if (!sameSpec) return true;
  if (isTerminalPhase(before.status?.phase) !== isTerminalPhase(after.status?.phase)) return true;
  return !jsonEqual(foreignConditions(before), foreignConditions(after));
}

function foreignConditions({ status }: Pod): unknown[] {
  return (status?.conditions ?? []).filter(({ type }) => !KUBELET_CONDITIONS.has(type));
}
