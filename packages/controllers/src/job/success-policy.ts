import type { batchv1 } from '@k8ts/api';

import { Indexes } from './completion-indexes.ts';

/** Why the job has succeeded already, with the first rule that is met (KEP-3998); undefined when none is. */
export function successMessage(
  policy: batchv1.SuccessPolicy | undefined,
  completions: number,
  succeeded: Indexes,
): string | undefined {
  if (policy === undefined || succeeded.total === 0) return undefined;
  const index = policy.rules.findIndex((rule) => isMet(rule, completions, succeeded));
  return index < 0 ? undefined : `Matched rules at index ${index}`;
}

function isMet(
  { succeededIndexes, succeededCount }: batchv1.SuccessPolicyRule,
  completions: number,
  succeeded: Indexes,
): boolean {
  if (succeededIndexes === undefined)
    return succeededCount !== undefined && succeeded.total >= succeededCount;
  const required = Indexes.parse(succeededIndexes, completions);
  if (required.total === 0) return false;
  const done = required.overlap(succeeded);
  return done === required.total || (succeededCount !== undefined && done >= succeededCount);
}
