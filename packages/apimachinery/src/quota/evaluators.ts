import type { QuotaEvaluator } from './contract.ts';
import { objectCountEvaluator } from './object-counts.ts';
import { persistentVolumeClaimEvaluator } from './persistent-volume-claims.ts';
import { podEvaluator } from './pods.ts';
import { resourceClaimEvaluator } from './resource-claims.ts';
import { serviceEvaluator } from './services.ts';

const evaluators = new Map<string, QuotaEvaluator>(
  [
    podEvaluator,
    serviceEvaluator,
    persistentVolumeClaimEvaluator,
    resourceClaimEvaluator,
    ...['configmaps', 'resourcequotas', 'replicationcontrollers', 'secrets'].map((resource) =>
      objectCountEvaluator('', resource, resource),
    ),
  ].map((evaluator) => [`${evaluator.resource}.${evaluator.group}`, evaluator]),
);

/** What is not stored, and events, of which there are too many (pkg/quota/v1/install). */
const IGNORED: ReadonlySet<string> = new Set([
  'bindings.',
  'componentstatuses.',
  'tokenreviews.authentication.k8s.io',
  'selfsubjectreviews.authentication.k8s.io',
  'subjectaccessreviews.authorization.k8s.io',
  'selfsubjectaccessreviews.authorization.k8s.io',
  'localsubjectaccessreviews.authorization.k8s.io',
  'selfsubjectrulesreviews.authorization.k8s.io',
  'events.',
  'events.events.k8s.io',
]);

/** How a resource is counted; undefined where quotas do not count it. */
export function quotaEvaluatorOf(group: string, resource: string): QuotaEvaluator | undefined {
  const key = `${resource}.${group}`;
  if (IGNORED.has(key)) return undefined;
  return evaluators.get(key) ?? objectCountEvaluator(group, resource);
}
