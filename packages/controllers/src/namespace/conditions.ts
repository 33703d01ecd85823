import type { corev1 } from '@k8ts/api';
import { formatTime } from '@k8ts/apimachinery';

/** What a pass over a namespace's content found out. */
export interface DeletionFindings {
  /** Group versions that could not be discovered, with the reason. */
  readonly discoveryFailures: ReadonlyMap<string, string>;
  readonly errors: readonly string[];
  /** `pods.` (upstream writes the dot for the core group as well) to the number of objects left. */
  readonly remaining: ReadonlyMap<string, number>;
  readonly finalizers: ReadonlyMap<string, number>;
}

type Condition = Pick<corev1.NamespaceCondition, 'type' | 'status' | 'reason' | 'message'>;

const SUCCESS: readonly Condition[] = [
  ok('NamespaceDeletionDiscoveryFailure', 'ResourcesDiscovered', 'All resources successfully discovered'),
  ok(
    'NamespaceDeletionGroupVersionParsingFailure',
    'ParsedGroupVersions',
    'All legacy kube types successfully parsed',
  ),
  ok(
    'NamespaceDeletionContentFailure',
    'ContentDeleted',
    'All content successfully deleted, may be waiting on finalization',
  ),
  ok('NamespaceContentRemaining', 'ContentRemoved', 'All content successfully removed'),
  ok('NamespaceFinalizersRemaining', 'ContentRemoved', 'All content successfully removed'),
];

function ok(type: string, reason: string, message: string): Condition {
  return { type, status: 'False', reason, message };
}

/**
 * The conditions of a namespace that is being deleted, in upstream's words
 * (pkg/controller/namespace/deletion/status_condition_utils.go). Returns `current` itself when nothing changed.
 */
export function deletionConditions(
  current: readonly corev1.NamespaceCondition[],
  findings: DeletionFindings,
  now: number,
): readonly corev1.NamespaceCondition[] {
  const failures = failing(findings);
  let changed = false;
  const next = [...current];
  for (const success of SUCCESS) {
    const wanted = failures.find(({ type }) => type === success.type) ?? success;
    const index = next.findIndex(({ type }) => type === wanted.type);
    const known = next[index];
    if (known === undefined) {
      next.push({ ...wanted, lastTransitionTime: formatTime(now) });
      changed = true;
    } else if (
      known.status !== wanted.status ||
      known.reason !== wanted.reason ||
      known.message !== wanted.message
    ) {
      const since = known.status === wanted.status ? known.lastTransitionTime : formatTime(now);
      next[index] = { ...wanted, ...(since === undefined ? {} : { lastTransitionTime: since }) };
      changed = true;
    }
  }
  return changed ? next : current;
}

function failing({ discoveryFailures, errors, remaining, finalizers }: DeletionFindings): Condition[] {
  const conditions: Condition[] = [];
  if (discoveryFailures.size > 0) {
    const groups = [...discoveryFailures].sort().map(([groupVersion, error]) => `${groupVersion}: ${error}`);
    conditions.push({
      type: 'NamespaceDeletionDiscoveryFailure',
      status: 'True',
      reason: 'DiscoveryFailed',
      message: `Discovery failed for some groups, ${groups.length} failing: unable to retrieve the complete list of server APIs: ${groups.join(', ')}`,
    });
  }
  if (errors.length > 0)
    conditions.push({
      type: 'NamespaceDeletionContentFailure',
      status: 'True',
      reason: 'ContentDeletionFailed',
      message: `Failed to delete all resource types, ${errors.length} remaining: ${[...errors].sort().join(', ')}`,
    });
  if (remaining.size > 0)
    conditions.push({
      type: 'NamespaceContentRemaining',
      status: 'True',
      reason: 'SomeResourcesRemain',
      message: `Some resources are remaining: ${counts(remaining, 'has')}`,
    });
  if (finalizers.size > 0)
    conditions.push({
      type: 'NamespaceFinalizersRemaining',
      status: 'True',
      reason: 'SomeFinalizerRemain',
      message: `Some finalizers are remaining: ${counts(finalizers, 'in')}`,
    });
  return conditions;
}

function counts(numbers: ReadonlyMap<string, number>, word: string): string {
  return [...numbers]
    .map(([name, count]) => `${name} ${word} ${count} resource instances`)
    .sort()
    .join(', ');
}
